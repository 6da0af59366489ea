"""The folding solver against enumeration: random trellises, and every design of small graphs."""

import itertools
from math import prod

import numpy as np
import pytest

from muxflow.dataflow.errors import BudgetError
from muxflow.dataflow.fit.design import place
from muxflow.dataflow.fit.device import Device, Resources, Utilisation
from muxflow.dataflow.fit.folded import FIFO_DEPTH, converter_chains, fold_graph, unfolded
from muxflow.dataflow.fit.held import expected_elements
from muxflow.dataflow.fit.implementation import Limits
from muxflow.dataflow.fit.labels import cheapest_path, lagrangian
from muxflow.dataflow.fit.search import fastest
from muxflow.dataflow.fit.solver import Solver
from muxflow.dataflow.fit.trellis import Section, Trellis
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks, load_weights
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.or_join import OrJoin
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS

WHOLE = Utilisation(1, 1, 1, 1, 1)


def expected_depths(graph, held):
    """FIFO depths of a folded graph that hold those elements, before the reader of each stream."""
    depths = dict.fromkeys(graph.streams, FIFO_DEPTH)
    for start, chain in converter_chains(graph).items():
        depths[chain[-1]] = max(FIFO_DEPTH, -(-held.get(start, 0) // graph.streams[chain[-1]].lanes))
    return depths


def random_trellis(rng, layers, ultra):
    sizes = [1, *rng.integers(1, 4, layers - 1).tolist(), 1]
    sections = []
    for before, after in itertools.pairwise(sizes):
        pairs = [(a, b) for a in range(before) for b in range(after) for _ in range(int(rng.integers(1, 4)))]
        source, target = np.array(pairs).T
        cost = rng.integers(0, (1000, 400, 12, 3, 1 + ultra), (len(pairs), 5))
        sections.append(Section(source, target, np.arange(len(pairs)), cost, np.ones(len(pairs), int), before, after))
    return Trellis(tuple(sections))


def every_path(trellis):
    """(path, cost) of all paths."""

    def follow(layer, state):
        if layer == len(trellis.sections):
            yield (), np.zeros(5, int)
            return
        section = trellis.sections[layer]
        for move in np.flatnonzero(section.source == state):
            for path, cost in follow(layer + 1, section.target[move]):
                yield (int(move), *path), cost + section.cost[move]

    return follow(0, 0)


@pytest.mark.parametrize("seed", range(40))
def test_the_path_is_the_cheapest_within_the_budget(seed):
    rng = np.random.default_rng(seed)
    trellis = random_trellis(rng, int(rng.integers(1, 6)), 5 * (seed % 2))
    costs = np.array([cost for _, cost in every_path(trellis)])
    for _ in range(6):
        # Between what the smallest and the largest need of each resource, so that any of them can bind.
        budget = rng.integers(costs.min(axis=0), costs.max(axis=0) + 2)
        fitting = costs[(costs <= budget).all(axis=1)]
        limits = Resources(*map(int, budget))
        loads = [Resources(*map(int, cost)).load(limits) for cost in fitting]
        path = cheapest_path(trellis, budget)
        if not loads:
            assert path is None
            continue
        cost = sum(section.cost[move] for section, move in zip(trellis.sections, path, strict=True))
        assert (cost <= budget).all()
        assert Resources(*map(int, cost)).load(limits) == pytest.approx(min(loads))
        assert lagrangian(trellis, budget).value <= min(loads) + 1e-9


def dense_network():
    rng = np.random.default_rng(2)
    nodes = [
        Node("rom", RomWeights(rng.integers(-90, 90, (4, 96)), 1, 4), (), ("w",)),
        Node("first", MatrixVector(), ("x", "w"), ("a",)),
        Node("act", Threshold(np.sort(rng.integers(-30, 30, (4, 3)), axis=1), [0] * 4), ("a",), ("c",)),
        Node("rom2", RomWeights(rng.integers(-3, 4, (2, 16)), 1, 1), (), ("w2",)),
        Node("second", MatrixVector(), ("c", "w2"), ("y",)),
    ]
    return with_nodes(Graph("dense", (), {"x": Stream((2, 2, 96), 0, 63)}, ("x",), ("y",)), nodes)


def mux_network():
    """A fork with three ways, two branches, a select that holds the frame."""
    rng = np.random.default_rng(3)
    nodes = [
        Node("window", SlidingWindow((2, 2), pads=(0, 0, 1, 1), groups=2), ("x",), ("v",)),
        Node("rom", RomWeights(rng.integers(-1, 2, (4, 8)), 2, 20), (), ("w",)),
        Node("conv", MatrixVector(2, 4), ("v", "w"), ("a",)),
        Node("act", Threshold(np.sort(rng.integers(-9, 9, (4, 3)), axis=1), [0] * 4), ("a",), ("f",)),
        Node("select", ChannelSelect("max", rng.integers(0, 4, 4)), ("x",), ("s",)),
        Node("join", MuxJoin("stream"), ("x", "f", "s"), ("y",)),
    ]
    return with_nodes(Graph("mux", (), {"x": Stream((4, 5, 4), 0, 3)}, ("x",), ("y",)), nodes)


def concat_network():
    """Lanes of which neither divides the other, and two joins that overlap."""
    nodes = [
        Node("left", Scale([1, 2, 1, 2, 1, 1]), ("x",), ("a",)),
        Node("both", Concat(), ("a", "x"), ("b",)),
        Node("act", Threshold([[1, 2, 3]], [0]), ("b",), ("c",)),
        Node("down", MatrixVector(), ("c", "w"), ("d",)),
        Node("narrow", Threshold([[1]], [0]), ("d",), ("e",)),
        Node("other", Threshold([[2]], [0]), ("a",), ("g",)),
        Node("join", OrJoin(), ("e", "g"), ("y",)),
    ]
    rom = Node("rom", RomWeights(np.random.default_rng(1).integers(-1, 2, (6, 12)), 1, 3), (), ("w",))
    return with_nodes(Graph("concat", (), {"x": Stream((1, 3, 6), 0, 3)}, ("x",), ("y",)), [rom, *nodes])


NETWORKS = {
    "dense": dense_network,
    "mux": mux_network,
    "concat": concat_network,
    "loaded": lambda: load_weights(dense_network()),
}


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("most", [800, pytest.param(3000, marks=pytest.mark.exhaustive)])
def test_the_solver_against_all_designs(name, most):
    """Every fold of every node, every memory placed: the same fastest interval and the same least load."""
    graph = insert_forks(NETWORKS[name]())
    held = expected_elements(graph)
    solver = Solver(graph, KERNELS, held)
    rng = np.random.default_rng(0)
    rows = [[(group.leader.name, one.fold) for one in group.candidates] for group in solver.groups]
    # Too many to try all: some folds of the nodes with most of them, the same for both sides.
    while prod(map(len, rows)) > most:
        longest = max(rows, key=len)
        del longest[int(rng.integers(len(longest)))]
    allowed = [{fold for _, fold in row} for row in rows]
    solver = Solver(graph, KERNELS, held, folds={row[0][0]: some for row, some in zip(rows, allowed, strict=True)})
    every = [fold_graph(graph, dict(combination), KERNELS) for combination in itertools.product(*rows)]
    every = [folded.with_depths(expected_depths(folded.graph, held)) for folded in every]

    def designs(device):
        for folded in every:
            yield place(folded, device=device, board="b", clock_mhz=100, utilisation=WHOLE)

    large = [design.resources for design in designs(Device("large", 10**6, 10**6, 10**4, 10**4))]
    luts, ffs = sorted(r.lut for r in large), sorted(r.ff for r in large)
    dsps = sorted(r.dsp for r in large)
    tried = set()
    for share, bram, ff, dsp, ultra in (
        (0.02, 40, 1, 1, 0),
        (0.1, 2, 1, 1, 1),
        (0.3, 0, 1, 1, 3),
        (0.9, 1, 0.05, 1, 1),
        (0.9, 3, 1, 0.1, 0),
    ):
        device = Device(
            "part",
            luts[int(share * (len(luts) - 1))],
            ffs[int(ff * (len(ffs) - 1))],
            bram,
            dsps[int(dsp * (len(dsps) - 1))],
            uram=ultra,
        )
        budget = device.allowance(WHOLE)
        built = [(d.slowest_cycles, d.resources.load(budget), d) for d in designs(device)]
        fitting = [(cycles, cost) for cycles, cost, d in built if not d.resources.exceeds(budget)]
        best = fastest(solver, budget)
        if not fitting:
            assert best is None
            continue
        assert best is not None
        assert best.cycles == min(cycles for cycles, _ in fitting)
        for cycles in {best.cycles, *sorted({cycles for cycles, _ in fitting})[:: max(1, len(fitting) // 300)]}:
            found = solver.solve(cycles, budget)
            assert found is not None
            assert not found.resources.exceeds(budget)
            least = min(cost for slowest, cost in fitting if slowest <= cycles)
            assert found.resources.load(budget) == pytest.approx(least), (share, cycles)
        tried.add(best.cycles)
        assert solver.solve(best.cycles - 1, budget) is None
    assert len(tried) > 1


def test_the_cost_model_is_that_of_the_design(make_random_design):
    """On a device where all fits, what the solver says a design takes is what the design says."""
    device = Device("large", 10**6, 10**6, 10**4, 10**4)
    budget = device.allowance(WHOLE)
    for seed in range(8):
        graph = unfolded(make_random_design(seed).graph)
        held = expected_elements(graph)
        solver = Solver(graph, KERNELS, held)
        intervals = solver.intervals()
        for cycles in intervals[:: max(1, len(intervals) // 4)]:
            found = solver.solve(cycles, budget)
            if found is None:
                continue
            folded = fold_graph(graph, found.folds, KERNELS)
            design = place(
                folded.with_depths(expected_depths(folded.graph, held)),
                device=device,
                board="b",
                clock_mhz=100,
                utilisation=WHOLE,
            )
            assert design.slowest_cycles == found.cycles <= cycles
            assert design.resources == found.resources


def test_the_nearest_design_needs_least_of_the_scarcest_resource():
    graph = insert_forks(dense_network())
    solver = Solver(graph, KERNELS, {})
    cycles = solver.intervals()[-1]
    budget = Resources(100, 10**6, 10, 10)
    assert solver.solve(cycles, budget) is None
    nearest = solver.nearest(cycles, budget)
    share = nearest.resources.share(budget)
    assert share > 1
    scaled = Resources(*(int(0.97 * share * amount) for _, amount in budget.items()))
    assert solver.solve(cycles, scaled) is None
    assert solver.nearest(0, budget) is None
    assert solver.smallest(0, budget) is None
    bound, small = solver.smallest(cycles, budget)
    assert 1 < bound <= share <= small.resources.share(budget)
    assert solver.excludes(cycles, budget)
    assert not solver.excludes(cycles, small.resources)


def test_every_fold_over_the_limits(make_graph, monkeypatch):
    monkeypatch.setattr(type(KERNELS), "limits", Limits(stream_bits=4096, unrolled=12))  # a search takes 13 comparisons
    graph = insert_forks(make_graph(Stream((1, 1, 1), 0, 10**4), Threshold(np.arange(5000)[None] ** 2 // 2500, [0])))
    with pytest.raises(BudgetError, match="n0: every fold is over the tools' limits"):
        Solver(graph, KERNELS, {})
