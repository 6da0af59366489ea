"""Folding: the fitted design against all designs, budgets, limits."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from muxflow.dataflow.design import build_design, container_bits, insert_width_converters, port_lanes, resolve_folds
from muxflow.dataflow.device import Device, Utilisation
from muxflow.dataflow.errors import BudgetError, GraphError
from muxflow.dataflow.folding import PRICES, candidates, fit, options
from muxflow.dataflow.graph import Graph, Node, with_nodes
from muxflow.dataflow.op import STREAM_BITS_LIMIT, Fold
from muxflow.dataflow.ops import MatrixVector, RomWeights, Scale, SlidingWindow, Threshold, WindowPool
from muxflow.dataflow.passes import insert_forks
from muxflow.dataflow.stream import Stream


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
    return with_nodes(Graph("tiny", (), {"x": Stream((2, 2, 6), 0, 7)}, "x", "y"), nodes)


def every_design(graph, device, utilisation):
    leaders = [node for node in graph.nodes if not node.op.follows]
    rows = [[(node.name, fold) for fold in node.op.folds(graph.ports(node))] for node in leaders]
    for combination in itertools.product(*rows):
        for price in PRICES:
            yield build_design(
                graph,
                dict(combination),
                device=device,
                board="b",
                clock_mhz=100,
                utilisation=utilisation,
                lut_per_bram18=price,
            )


WHOLE = Utilisation(1, 1, 1, 1)


def test_fit_against_all_designs():
    """The fitted design is legal, never faster than possible, and as fast as the best of all designs that leaves a
    quarter of the LUTs free: the choice of a fold does not know the width converters that it causes."""
    graph = insert_forks(network())
    large = Device("large", 10**6, 10**6, 10**4, 10**4)
    designs = list(every_design(graph, large, WHOLE))
    needs = sorted({(d.interval, d.resources.lut) for d in designs})
    luts = sorted({lut for _, lut in needs})
    tried = set()
    for limit in luts[:: max(1, len(luts) // 12)]:
        device = Device("part", limit, 10**6, 10**4, 10**4)
        budget = device.budget(WHOLE)
        best = min(d.interval for d in designs if not d.resources.exceeds(budget))
        roomy = [d.interval for d in designs if d.resources.lut <= 0.75 * limit]
        if not roomy:
            continue
        fitted = fit(graph, device=device, board="b", clock_mhz=100, utilisation=WHOLE)
        assert not fitted.resources.exceeds(budget)
        assert best <= fitted.interval <= min(roomy), limit
        tried.add(fitted.interval)
    assert len(tried) > 3


def test_fit_with_plenty_is_the_fastest():
    graph = network()
    large = Device("large", 10**6, 10**6, 10**4, 10**4)
    assert fit(graph, device=large, board="b", clock_mhz=100).interval == min(
        d.interval for d in every_design(insert_forks(graph), large, WHOLE)
    )


def test_options_are_not_dominated(residual):
    for node in residual.nodes:
        if node.op.follows:
            continue
        found = options(candidates(residual, node), 100)
        cost = [o.resources.lut + 100 * o.resources.bram18 + 50 * o.resources.dsp for o in found]
        assert [o.cycles for o in found] == sorted({o.cycles for o in found}, reverse=True)
        assert cost == sorted(cost)


@pytest.mark.parametrize(
    ("device", "resource"),
    [
        (Device("p", 100, 10**6, 10**4, 100), "LUT"),
        (Device("p", 10**6, 50, 10**4, 100), "FF"),
    ],
)
def test_too_small_a_device(device, resource):
    with pytest.raises(BudgetError, match=rf"tiny does not fit b: .* {resource} binds: it needs .* times the budget"):
        fit(network(), device=device, board="b", clock_mhz=100)


def test_progress_names_the_prices(device):
    said = []
    fit(network(), device=device, board="b", clock_mhz=100, progress=said.append)
    assert said
    assert {f"a block RAM at {price:.0f} LUTs" for price in PRICES} >= {line.split(", ")[1] for line in said}


def test_bad_folds(device):
    graph = insert_forks(network())
    folds = {"first": Fold(4, 6), "act": Fold(3), "second": Fold()}
    with pytest.raises(GraphError, match=r"act .*'PE 3 SIMD 1' does not divide its shapes; legal folds: PE 1"):
        build_design(graph, folds, device=device, board="b", clock_mhz=100)
    with pytest.raises(GraphError, match=r"first .*no fold is given"):
        resolve_folds(graph, {"act": Fold(), "second": Fold()})


def test_wide_streams_are_refused(make_graph, device):
    graph = make_graph(Stream((1, 1, 2048), 0, 255), Scale([1]), Scale([1]))
    folds = {"n0": Fold(1024), "n1": Fold(1024)}
    with pytest.raises(BudgetError, match=f"stream .* is 8192 bits wide; the tools allow {STREAM_BITS_LIMIT}"):
        build_design(graph, folds, device=device, board="b", clock_mhz=100)
    folds = {"n0": Fold(512), "n1": Fold(512)}
    assert build_design(graph, folds, device=device, board="b", clock_mhz=100).graph.streams["t0"].beat_bits == 4096


def test_unrolling_is_limited(device):
    w = RomWeights(np.ones((64, 64), int))
    assert max(f.parallel for f in MatrixVector().folds(ports_of(w, 64))) == 4096
    w = RomWeights(np.ones((64, 128), int))
    assert max(f.parallel for f in MatrixVector().folds(ports_of(w, 128))) == 4096


def ports_of(rom, columns):
    nodes = [Node("w", rom, (), ("w",)), Node("mv", MatrixVector(), ("x", "w"), ("y",))]
    graph = with_nodes(Graph("g", (), {"x": Stream((1, 1, columns), 0, 1)}, "x", "y"), nodes)
    return graph.ports(graph.nodes[1])


def test_every_fold_over_the_limits(device, make_graph):
    graph = make_graph(Stream((1, 1, 1), 0, 10**4), Threshold(np.arange(5000)[None], [0]))
    with pytest.raises(BudgetError, match="n0: every fold is over the tools' limits"):
        fit(graph, device=device, board="b", clock_mhz=100)


def test_one_pixel_one_channel(device, make_graph):
    design = fit(make_graph(Stream((1, 1, 1), 0, 1), Scale([3])), device=device, board="b", clock_mhz=100)
    assert (design.interval, design.latency) == (1, 4)
    assert [stream.lanes for stream in design.graph.streams.values()] == [1, 1]


def test_converter_slower_than_every_node(device, make_graph):
    """An odd map enters one element a beat, so that the converter behind the port sets the interval."""
    design = fit(make_graph(Stream((5, 5, 3), 0, 255), Scale([3])), device=device, board="b", clock_mhz=100)
    assert design.interval == 75


def test_graph_that_ends_in_a_window(device, make_graph):
    graph = make_graph(Stream((3, 3, 2), 0, 1), SlidingWindow((2, 2)))
    design = fit(graph, device=device, board="b", clock_mhz=100)
    assert design.folds["n0"] == Fold()


@pytest.mark.parametrize(
    ("source", "target", "chain"), [(2, 8, [2, 8]), (3, 2, [3, 6, 2]), (8, 8, [8]), (4, 6, [4, 12, 6])]
)
def test_width_converters(device, make_graph, source, target, chain):
    graph = make_graph(Stream((1, 1, 24), 0, 1), Scale([1]), Scale([1]))
    folded, folds = insert_width_converters(graph, {"n0": Fold(source), "n1": Fold(target)})
    between = [s.lanes for name, s in folded.streams.items() if name.startswith("t0")]
    assert between == chain
    assert set(folds) == {node.name for node in folded.nodes}
    images = np.random.default_rng(0).integers(0, 2, (2, 1, 1, 24))
    np.testing.assert_array_equal(folded(images), graph(images))


def test_converter_over_the_limit_narrows(make_graph):
    """Least common multiple too wide: the two meet at the greatest common divisor."""
    graph = make_graph(Stream((1, 1, 4800), 0, 1), Scale([1]), Scale([1]))
    folded, _ = insert_width_converters(graph, {"n0": Fold(1600), "n1": Fold(960)})
    assert [s.lanes for name, s in folded.streams.items() if name.startswith("t0")] == [1600, 320, 960]


def test_ports_of_the_chip():
    assert [container_bits(Stream((1,), lo, hi)) for lo, hi in [(0, 255), (-1, 255), (0, 65536), (0, 2**32)]] == [
        8,
        16,
        32,
        64,
    ]
    assert [port_lanes(Stream((1, 1, c), 0, 7)) for c in (1, 3, 4, 6, 8, 12, 16)] == [1, 1, 4, 2, 8, 4, 8]


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
    return with_nodes(Graph("g", (), {"x": Stream((3, 3, 4), 0, 2)}, "x", "y"), nodes)


@pytest.mark.parametrize("pooled", [False, True])
def test_side_by_side_groups_need_a_window_right_before(device, pooled):
    """A node in between would see the elements in the window's order, not in the graph's."""
    graph = grouped(pooled)
    with pytest.raises(GraphError, match=r"mv .*several groups side by side"):
        build_design(graph, {"between": Fold(), "mv": Fold(1, 1, 2)}, device=device, board="b", clock_mhz=100)
    assert fit(graph, device=device, board="b", clock_mhz=100).folds["mv"].groups == 1


def test_memory_tables_add_up(make_random_design):
    design = make_random_design(1)
    kinds = {"rom", "threshold", "line", "frame", "fifo", "state"}
    table = design.memory_bits()
    assert set(table) == {node.name for node in design.graph.nodes}
    assert {kind for row in table.values() for kind in row} <= kinds
    stored = sum(row.get("rom", 0) + row.get("threshold", 0) for row in table.values())
    assert stored == design.stored_parameter_bits > 0


def test_resources_add_up(make_random_design):
    design = make_random_design(1)
    parts = [design.node_resources(node) for node in design.graph.nodes]
    fifo = design.fifos[design.graph.input]
    assert design.resources.lut == sum(p.lut for p in parts) + fifo.lut
    assert design.resources.bram18 == sum(p.bram18 for p in parts) + fifo.bram18
    assert design.budget == design.device.budget(design.utilisation)


def test_generated_weights_are_saved_bits(residual, device):
    design = fit(residual, device=device, board="b", clock_mhz=100)
    assert design.saved_bits == 4 * 6
    assert replace(design, depths=dict(design.depths)) == design
