"""Fitting: goals, budgets, limits, the frontier; `test_solver.py` holds the exactness of the folds."""

import re
from dataclasses import replace

import numpy as np
import pytest

from muxflow.dataflow.errors import BudgetError, GraphError, MuxflowError
from muxflow.dataflow.fit.axi import axi_lanes, container_bits
from muxflow.dataflow.fit.curves import frontier, slowdown_curve
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.device import Device, Resources, Utilisation
from muxflow.dataflow.fit.fifo_sizing import SLACK
from muxflow.dataflow.fit.folded import fold_graph, resolve_folds, unfolded
from muxflow.dataflow.fit.folding import fit, in_rounds
from muxflow.dataflow.fit.goal import Goal
from muxflow.dataflow.fit.held import expected_elements, held_elements
from muxflow.dataflow.fit.implementation import Limits
from muxflow.dataflow.fit.resource_model import ratio
from muxflow.dataflow.fit.solver import Solution
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.ops.window_pool import WindowPool
from muxflow.hls.kernels import KERNELS


def network():
    """Two layers with few folds."""
    rng = np.random.default_rng(2)
    nodes = [
        Node("rom", RomWeights(rng.integers(-3, 4, (4, 6)), 1, 4), (), ("w",)),
        Node("first", MatrixVector(), ("x", "w"), ("a",)),
        Node("act", Threshold(np.sort(rng.integers(-30, 30, (4, 3)), axis=1), [0] * 4), ("a",), ("c",)),
        Node("rom2", RomWeights(rng.integers(-3, 4, (2, 16)), 1, 1), (), ("w2",)),
        Node("second", MatrixVector(), ("c", "w2"), ("y",)),
    ]
    return with_nodes(Graph("tiny", (), {"x": Stream((2, 2, 6), 0, 7)}, ("x",), ("y",)), nodes)


WHOLE = Utilisation(1, 1, 1, 1)
LARGE = Device("large", 10**6, 10**6, 10**4, 10**4)


def fitted(graph, device=LARGE, **changes):
    return fit(graph, KERNELS, device=device, board="b", clock_mhz=100, utilisation=WHOLE, **changes)


def between(graph, *shares):
    """Devices on which an estimate may come to LUTs between those of the slowest and the fastest folds."""
    points = frontier(graph, KERNELS, expected_elements(insert_forks(graph)), LARGE.allowance(WHOLE))
    most, least = points[0].resources.lut, min(point.resources.lut for point in points)
    luts = [int(ratio("lut", WHOLE.sure) * (least + share * (most - least))) + 1 for share in shares]
    return [Device("part", lut, 10**5, 40, 10**3) for lut in luts]


def cycles(graph, node, fold):
    ports, kernel = graph.ports(node), KERNELS.of(node.op)
    return kernel.access(node.op, ports, fold).trips * kernel.cost(node.op, ports, fold).interval


def test_fit_with_plenty_is_as_fast_as_the_slowest_node_at_its_fastest():
    graph = insert_forks(network())
    leaders = [node for node in graph.nodes if not node.op.folds_with_reader]
    fastest = [min(cycles(graph, node, fold) for fold in node.op.folds(graph.ports(node))) for node in leaders]
    port = 24 // 8  # elements a frame, of 8 bits each in a word of 64
    assert max(fastest) < port
    assert fitted(network()).interval == port


@pytest.mark.parametrize("simulated", [False, True])
def test_a_smaller_device_is_slower_and_never_over_its_budget(residual, simulated):
    intervals = []
    for device in between(residual, 1.2, 0.7, 0.4):
        design = fitted(residual, device, simulated=simulated)
        assert not design.resources.exceeds(design.allowance)
        assert not design.resources.quantile(WHOLE.sure).exceeds(design.budget)
        assert (design.timing is not None) == simulated
        intervals.append(design.interval)
    assert intervals == sorted(intervals)
    assert intervals[0] < intervals[-1]


@pytest.mark.parametrize("seed", range(4))
def test_sized_fifos_of_random_graphs_fit_and_keep_the_rate(make_random_design, seed):
    graph = unfolded(make_random_design(seed).graph)
    for device in between(graph, 2, 0.8):
        design = fitted(graph, device, simulated=True)
        assert not design.resources.exceeds(design.allowance)
        assert not design.resources.quantile(WHOLE.sure).exceeds(design.budget)
        # Frames of a few beats: the fill of the pipeline moves the mean of so few of them by some cycles.
        assert design.interval <= design.slowest_cycles * SLACK + 8


def test_a_frame_rate_is_reached_with_fewer_resources(residual):
    fast = fitted(residual, simulated=True)
    for share in (1.0, 0.5, 0.2):
        fps = share * 100e6 / fast.interval
        design = fitted(residual, goal=Goal(fps=fps), simulated=True)
        assert design.frames_per_second >= fps * (1 - 1e-9)
        assert design.resources.lut <= fast.resources.lut
    assert design.resources.lut < fast.resources.lut


def test_a_latency_is_reached_with_fewer_resources(residual):
    fast = fitted(residual, simulated=True)
    design = fitted(residual, goal=Goal(latency=4 * fast.latency_seconds), simulated=True)
    assert fast.latency_seconds < design.latency_seconds <= 4 * fast.latency_seconds
    assert design.resources.lut < fast.resources.lut


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (Goal(fps=1e9), r"does not reach 1,000,000,000 frames/s on b: the nearest point that fits is [\d,]+ frames/s"),
        (
            Goal(latency=1e-9),
            r"does not reach a latency of 1 ns on b: .* with a latency of \d+ ns \(estimate\) and takes [\d,]+ LUT",
        ),
    ],
)
def test_a_goal_out_of_reach_names_the_nearest_point(residual, goal, words):
    with pytest.raises(BudgetError, match=words):
        fitted(residual, goal=goal)
    with pytest.raises(BudgetError, match=r"input port x: 8 elements .*; lifted by a faster clock") as met:
        fitted(residual, goal=goal)
    assert str(met.value).endswith("make the network smaller: a larger board does not help")


def test_a_rate_that_only_the_budget_forbids_names_what_binds(residual):
    fast = fitted(residual)
    (tight,) = between(residual, 0.5)
    with pytest.raises(BudgetError, match=r"the nearest point that fits is .* LUT binds: faster takes [\d,]+ LUT"):
        fitted(residual, tight, goal=Goal(fps=fast.frames_per_second))


def test_a_missed_latency_is_told_by_the_figure_that_missed_it(residual):
    """Folds whose latency is short enough with unbounded FIFOs, and is not with those that they get."""
    latency, message = fitted(residual, simulated=True).latency, ""
    while not message:
        try:
            latency = fitted(residual, goal=Goal(latency=(latency - 1) / 100e6), simulated=True).latency
        except BudgetError as error:
            message = str(error)
    told = re.search(r"a latency of (\S+) ns on .* with a latency of (\S+) ns \(cycle simulation\)", message)
    assert told and float(told[1]) < float(told[2]) == 10 * latency


@pytest.mark.parametrize("clock_mhz", [66.67, 100.0, 142.857, 200.0, 300.0])
def test_a_goal_is_reached_by_the_cycles_that_it_was_computed_from(clock_mhz):
    for cycles in range(1, 5001):
        seconds = cycles / (clock_mhz * 1e6)
        assert Goal(latency=seconds).latency_cycles(clock_mhz) == Goal(fps=1 / seconds).interval(clock_mhz) == cycles
        assert Goal(latency=float(f"{seconds * 1000:.15g}") / 1000).latency_cycles(clock_mhz) == cycles
        assert Goal(latency=seconds * (1 - 1e-9)).latency_cycles(clock_mhz) == cycles - 1


@pytest.mark.parametrize("wrong", [0, -1, float("nan"), float("inf")])
def test_goals_must_be_positive_and_one(wrong):
    with pytest.raises(MuxflowError, match="frames a second; it must be positive"):
        Goal(fps=wrong)
    with pytest.raises(MuxflowError, match="seconds of latency; it must be positive"):
        Goal(latency=wrong)
    with pytest.raises(MuxflowError, match="both a frame rate and a latency"):
        Goal(fps=1, latency=1)


@pytest.mark.parametrize("wrong", [-1, 101, float("nan")])
def test_a_slowdown_is_a_percentage(wrong):
    with pytest.raises(MuxflowError, match="a slowdown of"):
        fitted(network(), slowdown=wrong)


def test_a_slowdown_is_used_and_its_curve_falls(residual):
    design = fitted(residual, simulated=True, slowdown=20)
    assert design.interval <= 1.2 * design.slowest_cycles
    curve = slowdown_curve(design, 20)
    assert [point.allowed for point in curve] == [design.slowest_cycles * (1 + share) for share in (0, 0.1, 0.2)]
    assert curve[-1].fifo_bits <= curve[0].fifo_bits


def test_the_frontier_falls_and_every_point_fits(residual, device):
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    points = frontier(residual, KERNELS, held_elements(design), design.budget)
    assert [point.interval for point in points] == [18, 36, 72, 144, 288, 648, 1328, 3888]
    assert points[0].interval == design.slowest_cycles
    loads = [p.resources.lut / design.budget.lut + p.resources.bram18 / design.budget.bram18 for p in points]
    assert loads == sorted(loads, reverse=True)
    assert [p.interval for p in points] == sorted({p.interval for p in points})
    assert not any(p.resources.exceeds(design.budget) for p in points)
    assert frontier(residual, KERNELS, {}, Resources(10, 10, 0, 0)) == ()


def test_the_same_answer_twice(residual, device):
    first, second = (fit(residual, KERNELS, device=device, board="b", clock_mhz=100, simulated=True) for _ in range(2))
    assert dict(first.folds) == dict(second.folds)
    assert dict(first.depths) == dict(second.depths)
    assert dict(first.fifos) == dict(second.fifos)


def test_a_graph_with_a_cycle_is_refused(residual, device):
    turned = replace(residual, nodes=residual.nodes[::-1])
    with pytest.raises(GraphError, match="the graph has a cycle or a missing node"):
        fit(turned, KERNELS, device=device, board="b", clock_mhz=100)


def test_fifos_that_fit_at_no_rate():
    """A map of 16 bits waits beside three windows of 7x7: folds fit alone, and no goal was given that could be lowered."""
    rng, size, source = np.random.default_rng(0), 16, "x"
    nodes = []
    for i in range(3):
        window = SlidingWindow((7, 7), pads=(3, 3, 3, 3))
        nodes += [
            Node(f"window{i}", window, (source,), (f"v{i}",)),
            Node(f"rom{i}", RomWeights(rng.integers(0, 2, (1, 49)), 1, size * size), (), (f"w{i}",)),
            Node(f"conv{i}", MatrixVector(), (f"v{i}", f"w{i}"), (f"y{i}",)),
            Node(f"act{i}", Threshold([[0]], [0]), (f"y{i}",), (f"z{i}",)),
        ]
        source = f"z{i}"
    start = Graph("skip", (), {"x": Stream((size, size, 1), 0, 2**16 - 1)}, ("x",), ("o",))
    graph = with_nodes(start, [*nodes, Node("join", AddJoin(), (source, "x"), ("o",))])
    said = []
    for lut in range(6200, 6800, 100):
        try:
            fit(graph, KERNELS, device=Device("p", lut, 10**6, 0, 0), board="b", clock_mhz=100, simulated=True)
        except BudgetError as error:
            said.append(str(error))
    (message,) = {one.partition(":")[0] for one in said if "with its FIFOs" in one}
    assert message == "skip does not fit b with its FIFOs, at any rate"
    assert not any("lower the goal" in one for one in said)
    assert any("it needs more than the budget" in one for one in said)  # a block RAM of none


@pytest.mark.parametrize(
    ("device", "resource"),
    [
        (Device("p", 100, 10**6, 10**4, 100), "LUT"),
        (Device("p", 10**6, 50, 10**4, 100), "FF"),
    ],
)
def test_too_small_a_device(device, resource):
    with pytest.raises(
        BudgetError, match=rf"tiny does not fit b: .* {resource} binds: any needs at least .* times the budget"
    ):
        fit(network(), KERNELS, device=device, board="b", clock_mhz=100)
    with pytest.raises(BudgetError, match=rf"tiny does not fit b: .* {resource} binds: it needs .* times the budget"):
        fit(network(), KERNELS, device=device, board="b", clock_mhz=100, nearest=True)


@pytest.mark.parametrize(
    ("device", "utilisation", "message"),
    [
        (
            Device("p", 1000, 10**6, 100, 100, Resources(lut=600, ff=5)),
            Utilisation(lut=0.5, ff=0.5),
            r"LUT binds: the reserve for shell and DMA, 600 LUT, takes all of the share, 500 LUT\. Remedy",
        ),
        (
            Device("p", 1000, 1000, 100, 100, Resources(lut=600, ff=700)),
            Utilisation(lut=0.5, ff=0.5),
            r"LUT and FF bind together: the reserve for shell and DMA, 600 LUT, 700 FF, takes all of the share",
        ),
        (Device("p", 100, 10**6, 100, 100), Utilisation(lut=0.001), "LUT binds: the share of LUT is less than one"),
    ],
)
@pytest.mark.parametrize("nearest", [False, True])
def test_of_nothing_there_is_no_multiple(device, utilisation, message, nearest):
    with pytest.raises(BudgetError, match=message) as caught:
        fit(network(), KERNELS, device=device, board="b", clock_mhz=100, utilisation=utilisation, nearest=nearest)
    assert "times the budget" not in str(caught.value)


def test_progress_names_the_rounds(device):
    said = []
    fit(network(), KERNELS, device=device, board="b", clock_mhz=100, progress=said.append)
    assert said[:2] == ["round 1: folds", "round 1: FIFO depths for 3 cycles a frame"]


def test_bad_folds(device):
    graph = insert_forks(network())
    folds = {"first": Fold(4, 6), "act": Fold(3), "second": Fold()}
    with pytest.raises(GraphError, match=r"act .*'PE 3 SIMD 1' does not divide its shapes; legal folds: PE 1"):
        build_design(graph, folds, KERNELS, device=device, board="b", clock_mhz=100)
    with pytest.raises(GraphError, match=r"first .*no fold is given"):
        resolve_folds(graph, {"act": Fold(), "second": Fold()})


def test_wide_streams_are_refused(make_graph, device):
    graph = make_graph(Stream((1, 1, 2048), 0, 255), Scale([1]), Scale([1]))
    folds = {"n0": Fold(1024), "n1": Fold(1024)}
    with pytest.raises(BudgetError, match=f"stream .* is 8192 bits wide; the tools allow {KERNELS.limits.stream_bits}"):
        build_design(graph, folds, KERNELS, device=device, board="b", clock_mhz=100)
    folds = {"n0": Fold(512), "n1": Fold(512)}
    assert (
        build_design(graph, folds, KERNELS, device=device, board="b", clock_mhz=100).graph.streams["t0"].beat_bits
        == 4096
    )


def test_unrolling_is_limited(device):
    w = RomWeights(np.ones((64, 64), int))
    assert max(f.parallel for f in MatrixVector().folds(ports_of(w, 64))) == 4096
    w = RomWeights(np.ones((64, 128), int))
    assert max(f.parallel for f in MatrixVector().folds(ports_of(w, 128))) == 4096


def ports_of(rom, columns):
    nodes = [Node("w", rom, (), ("w",)), Node("mv", MatrixVector(), ("x", "w"), ("y",))]
    graph = with_nodes(Graph("g", (), {"x": Stream((1, 1, columns), 0, 1)}, ("x",), ("y",)), nodes)
    return graph.ports(graph.nodes[1])


def test_every_fold_over_the_limits(device, make_graph, monkeypatch):
    monkeypatch.setattr(type(KERNELS), "limits", Limits(stream_bits=4096, unrolled=12))  # a search takes 13 comparisons
    graph = make_graph(Stream((1, 1, 1), 0, 10**4), Threshold(np.arange(5000)[None] ** 2 // 2500, [0]))
    with pytest.raises(BudgetError, match="n0: every fold is over the tools' limits"):
        fit(graph, KERNELS, device=device, board="b", clock_mhz=100)


def test_one_pixel_one_channel(device, make_graph):
    design = fit(make_graph(Stream((1, 1, 1), 0, 1), Scale([3])), KERNELS, device=device, board="b", clock_mhz=100)
    assert (design.interval, design.latency) == (1, 4)
    assert [stream.lanes for stream in design.graph.streams.values()] == [1, 1]


def test_converter_slower_than_every_node(device, make_graph):
    """An odd map enters one element a beat, so that the converter after the port sets the interval."""
    design = fit(make_graph(Stream((5, 5, 3), 0, 255), Scale([3])), KERNELS, device=device, board="b", clock_mhz=100)
    assert design.interval == 75


def test_graph_that_ends_in_a_window(device, make_graph):
    graph = make_graph(Stream((3, 3, 2), 0, 1), SlidingWindow((2, 2)))
    design = fit(graph, KERNELS, device=device, board="b", clock_mhz=100)
    assert design.folds["n0"] == Fold()


@pytest.mark.parametrize(
    ("source", "target", "chain"), [(2, 8, [2, 8]), (3, 2, [3, 6, 2]), (8, 8, [8]), (4, 6, [4, 12, 6])]
)
def test_width_converters(device, make_graph, source, target, chain):
    graph = make_graph(Stream((1, 1, 24), 0, 1), Scale([1]), Scale([1]))
    found = fold_graph(graph, {"n0": Fold(source), "n1": Fold(target)}, KERNELS)
    folded, folds = found.graph, found.folds
    between = [s.lanes for name, s in folded.streams.items() if name.startswith("t0")]
    assert between == chain
    assert set(folds) == {node.name for node in folded.nodes}
    images = np.random.default_rng(0).integers(0, 2, (2, 1, 1, 24))
    np.testing.assert_array_equal(folded(images), graph(images))


def test_converter_over_the_limit_narrows(make_graph):
    """Least common multiple too wide: the two meet at the greatest common divisor."""
    graph = make_graph(Stream((1, 1, 4800), 0, 1), Scale([1]), Scale([1]))
    folded = fold_graph(graph, {"n0": Fold(1600), "n1": Fold(960)}, KERNELS).graph
    assert [s.lanes for name, s in folded.streams.items() if name.startswith("t0")] == [1600, 320, 960]


def test_ports_of_the_chip():
    assert [container_bits(Stream((1,), lo, hi)) for lo, hi in [(0, 255), (-1, 255), (0, 65536), (0, 2**32)]] == [
        8,
        16,
        32,
        64,
    ]
    assert [axi_lanes(Stream((1, 1, c), 0, 7)) for c in (1, 3, 4, 6, 8, 12, 16)] == [1, 1, 4, 2, 8, 4, 8]


def grouped(pixels):
    rng = np.random.default_rng(0)
    between = Threshold([[1, 2]], [1])
    nodes = [
        Node("window", SlidingWindow((2, 2), groups=4), ("x",), ("v",)),
        Node("between", between, ("v",), ("u",)),
        Node("rom", RomWeights(rng.integers(-1, 2, (4, 4)), 4, 4), (), ("w",)),
        Node("mv", MatrixVector(4, 4), ("u", "w"), ("y",)),
    ]
    if pixels:
        nodes[2:] = [Node("mv", WindowPool(4, "sum"), ("u",), ("y",))]
    return with_nodes(Graph("g", (), {"x": Stream((3, 3, 4), 0, 2)}, ("x",), ("y",)), nodes)


@pytest.mark.parametrize("pooled", [False, True])
def test_side_by_side_groups_need_a_window_right_before(device, pooled):
    """A node in between would see the elements in the window's order, not in the graph's."""
    graph = grouped(pooled)
    with pytest.raises(GraphError, match=r"mv .*several groups side by side"):
        build_design(graph, {"between": Fold(), "mv": Fold(1, 1, 2)}, KERNELS, device=device, board="b", clock_mhz=100)
    assert fit(graph, KERNELS, device=device, board="b", clock_mhz=100).folds["mv"].groups == 1


def test_memory_tables_add_up(make_random_design):
    design = make_random_design(1)
    kinds = {"rom", "threshold", "line", "frame", "fifo", "state"}
    table = design.memory_bits()
    assert set(table) == {node.name for node in design.graph.nodes}
    assert {kind for row in table.values() for kind in row} <= kinds
    everything = [*design.fifos.values(), *(one for row in design.memories.values() for one in row)]
    assert sum(sum(row.values()) for row in table.values()) == sum(one.memory.bits for one in everything)


def test_resources_add_up(make_random_design):
    design = make_random_design(1)
    parts = [design.node_resources(node) for node in design.graph.nodes]
    everything = [*design.fifos.values(), *(one for row in design.memories.values() for one in row)]
    logic = sum(design.cost(node).lut for node in design.graph.nodes)
    assert design.resources.lut == sum(p.lut for p in parts) == logic + sum(one.lut for one in everything)
    assert design.resources.bram18 == sum(p.bram18 for p in parts) == sum(one.bram18 for one in everything)
    assert design.budget == design.device.budget(design.utilisation)


def test_generated_weights_are_saved_bits(residual, device):
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    assert design.saved_bits == 4 * 6
    assert replace(design, folded=design.folded.with_depths(dict(design.depths))) == design


def test_what_fast_designs_hold_does_not_rule_slow_ones_out(residual, device):
    """The first design's FIFOs are over the budget, and no fold has room for them: a slower one is asked for anew."""
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    expected = expected_elements(insert_forks(residual))

    class Search:
        graph, goal, floor = insert_forks(residual), Goal(), 0
        budget = device.allowance(Utilisation())

        def solve(self, held, best):
            if best is not None or held != expected:
                return None
            return Solution({}, max(100, self.floor), Resources())

        def meets(self, design):
            return True

        def rank(self, design):
            return (0.0, 0.0)

    search = Search()
    small = Resources(1, 1, 0, 0)

    def sized(solution):
        search.budget = small if solution.cycles == 100 else Search.budget
        return design

    assert in_rounds(search, sized, lambda found: found, lambda text: None)[0] is design
    assert search.floor == 126


def test_folds_that_come_again_are_not_sized_again(residual, device):
    """What the FIFOs of the first design hold leads to the same folds: the round after it is the last one."""
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    solved, built = [], []

    class Search:
        graph, goal, floor = insert_forks(residual), Goal(), 0
        budget = device.allowance(Utilisation())

        def solve(self, held, best):
            solved.append(best)
            return Solution({"conv": Fold()}, 100, Resources())

        def meets(self, design):
            return True

        def rank(self, design):
            return (0.0, 0.0)

    def sized(solution):
        built.append(solution)
        return design

    assert in_rounds(Search(), sized, lambda found: found, lambda text: None)[0] is design
    assert (len(solved), len(built)) == (2, 1)
