"""Passes: what they change, and that the function of the graph stays the same."""

from collections import Counter

import numpy as np
import pytest

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import CLEAN_UP, append_arg_max, insert_forks, remove_identity_thresholds, run_passes
from muxflow.dataflow.graph.spec import check
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold


def same(before, after, count=5):
    stream = before.streams[before.inputs[0]]
    images = np.random.default_rng(0).integers(stream.lo, stream.hi + 1, (count, *stream.shape))
    np.testing.assert_array_equal(before(images), after(images))


def one_reader_each(graph):
    """Every stream has one reader; the host is one of the output's."""
    for name, readers in graph.consumers().items():
        inputs = sum(node.inputs.count(name) for node in readers) // max(1, len(readers))
        assert len(readers) * max(1, inputs) + (name == graph.outputs[0]) == 1, name


IDENTITY = Threshold([[1, 2, 3]], [0])


def test_identity_thresholds_go(make_graph):
    graph = make_graph(Stream((2, 2, 3), 0, 3), IDENTITY, Scale([2]), IDENTITY)
    after = remove_identity_thresholds(graph)
    assert [node.name for node in after.nodes] == ["n1", "n2"]  # the last one is none: codes up to 6
    same(graph, after)


def test_identity_at_the_output_and_in_a_row(make_graph):
    graph = make_graph(Stream((2, 2, 3), 0, 3), Scale([1]), IDENTITY, IDENTITY)
    graph = Graph(graph.name, graph.nodes, graph.streams, ("x",), graph.outputs, tensors={"t2": "tensor", "x": "image"})
    after = run_passes(graph, CLEAN_UP)
    assert [node.op.kind for node in after.nodes] == ["Scale"]
    assert after.outputs == ("t0",)
    assert dict(after.tensors) == {"t0": "tensor", "x": "image"}
    same(graph, after)


def test_an_identity_at_the_end_of_64_bits_goes(make_graph):
    top = 2**63 - 1
    graph = make_graph(Stream((1, 1, 2), top - 2, top), Threshold([[top - 1, top]], [0], top - 2), Scale([1]))
    assert [node.op.kind for node in remove_identity_thresholds(graph).nodes] == ["Scale"]


def test_an_identity_between_two_ports_stays(make_graph):
    graph = make_graph(Stream((2, 2, 3), 0, 3), Scale([1]), IDENTITY, IDENTITY)
    both = with_nodes(graph, list(graph.nodes), outputs=("t2", "t0"))
    after = run_passes(both, CLEAN_UP)
    assert [node.name for node in after.nodes] == ["n0", "n2"]
    assert after.outputs == ("t2", "t0")
    alone = make_graph(Stream((2, 2, 3), 0, 3), IDENTITY)
    assert run_passes(alone, CLEAN_UP).nodes == alone.nodes


@pytest.mark.parametrize(
    "op", [Threshold([[1, 2, 3]], [1]), Threshold([[1, 2, 3]], [0], base=1), Threshold([[1, 3, 3]], [0])]
)
def test_thresholds_that_change_a_code_stay(make_graph, op):
    graph = make_graph(Stream((2, 2, 3), 0, 3), op)
    assert remove_identity_thresholds(graph).nodes == graph.nodes


def fan(count, *, from_input, output_read):
    """`count` readers of one stream, added up again."""
    nodes = [] if from_input else [Node("first", Scale([3]), ("x",), ("a",))]
    shared = "x" if from_input else "a"
    nodes += [Node(f"reader{i}", Scale([i + 1]), (shared,), (f"r{i}",)) for i in range(count)]
    total = "r0"
    for i in range(1, count):
        nodes.append(Node(f"add{i}", AddJoin(), (total, f"r{i}"), (f"sum{i}",)))
        total = f"sum{i}"
    if output_read:
        nodes.append(Node("echo", AddJoin(), (total, shared), ("y",)))
        total = "y"
    return with_nodes(Graph("fan", (), {"x": Stream((1, 2, 3), -2, 2)}, ("x",), (total,)), nodes)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 6, 7])
@pytest.mark.parametrize("from_input", [False, True])
@pytest.mark.parametrize("output_read", [False, True])
def test_forks(count, from_input, output_read):
    graph = fan(count, from_input=from_input, output_read=output_read)
    after = check(insert_forks(graph), "forked")
    one_reader_each(after)
    forks = [node for node in after.nodes if node.op.kind == "Fork"]
    readers = count + output_read
    assert sum(node.op.ways - 1 for node in forks) == readers - 1
    same(graph, after)
    assert insert_forks(after).nodes == after.nodes


@pytest.mark.parametrize("readers", [1, 2, 3])
def test_output_that_is_read_as_well(readers):
    nodes = [Node("a", Scale([2]), ("x",), ("y",))]
    nodes += [Node(f"r{i}", AddJoin(), ("y", "y"), (f"d{i}",)) for i in range(readers)]
    last = "d0"
    for i in range(1, readers):
        nodes.append(Node(f"j{i}", AddJoin(), (last, f"d{i}"), (f"e{i}",)))
        last = f"e{i}"
    # The host reads y; what the nodes make of it is added to x and read by nobody but a last add.
    graph = with_nodes(Graph("g", (), {"x": Stream((1, 1, 2), 0, 3)}, ("x",), (last,)), nodes)
    after = insert_forks(graph)
    one_reader_each(after)
    same(graph, after)


def test_host_is_a_reader():
    nodes = [
        Node("a", Scale([2]), ("x",), ("y",)),
        Node("b", Scale([5]), ("y",), ("z",)),
        Node("c", AddJoin(), ("y", "z"), ("w",)),
    ]
    broken = with_nodes(Graph("g", (), {"x": Stream((1, 1, 2), 0, 3)}, ("x",), ("w",)), nodes)
    graph = with_nodes(broken, nodes[:1], outputs=("y",))
    assert insert_forks(graph).outputs == ("y",)
    # The input itself as an output that a node reads too cannot be: every stream but the output needs a reader.
    with pytest.raises(GraphError, match="nobody reads the stream w"):
        with_nodes(broken, nodes, outputs=("y",))


def test_an_output_keeps_its_name_when_it_is_forked():
    nodes = [Node("a", Scale([2]), ("x",), ("y",)), Node("b", Scale([5]), ("y",), ("z",))]
    start = Graph("g", (), {"x": Stream((1, 1, 2), 0, 3)}, ("x",), ("z", "y"), tensors={"y": "tensor"})
    after = insert_forks(with_nodes(start, nodes, readouts={"y": readout()}))
    assert after.outputs == ("z", "y")
    assert after.producers()["y"].op.kind == "Fork"
    assert (dict(after.readouts), dict(after.tensors)) == ({"y": readout()}, {"y": "tensor"})
    x = np.array([[[[1, 2]]]])
    assert [codes.tolist() for codes in after(x)] == [[[[[10, 20]]]], [[[[2, 4]]]]]


def test_sources_and_windows_are_copied_not_forked():
    """Weights and windows are laid out for their reader's fold, so two readers take two of them."""
    rng = np.random.default_rng(0)
    nodes = [
        Node("window", SlidingWindow((2, 2), groups=3), ("x",), ("v",)),
        Node("rom", RomWeights(rng.integers(-2, 3, (3, 4)), 3, 9), (), ("w",)),
        Node("a", MatrixVector(3, 4), ("v", "w"), ("ya",)),
        Node("b", MatrixVector(3, 4), ("v", "w"), ("yb",)),
        Node("add", AddJoin(), ("ya", "yb"), ("y",)),
    ]
    graph = with_nodes(Graph("g", (), {"x": Stream((4, 4, 3), 0, 3)}, ("x",), ("y",)), nodes)
    after = insert_forks(graph)
    assert Counter(node.op.kind for node in after.nodes) == {
        "Fork": 1,
        "SlidingWindow": 2,
        "RomWeights": 2,
        "MatrixVector": 2,
        "AddJoin": 1,
    }
    one_reader_each(after)
    same(graph, after)


def readout(scale=(0.5, 0.5), offset=(0.0, 0.0), order=(0, 1)):
    return Readout(scale, offset, order, (2,))


def classifier(make_graph, meaning):
    graph = make_graph(Stream((1, 1, 2), -3, 3), Scale([1, 2]))
    return with_nodes(graph, list(graph.nodes), readouts={} if meaning is None else {graph.outputs[0]: meaning})


ALIGNED = [
    readout(scale=(0.5, 0.25)),
    readout(offset=(0.0, 1.0)),
    readout(offset=(1.25, -0.25)),  # three steps apart
    readout(scale=(-0.5, -0.5)),
    readout(scale=(0.75, -0.5), offset=(2.0, -0.25)),
    readout(scale=(0.25, 0.25), offset=(0.125, 0.375)),
    readout(scale=(0.25, 0.25), offset=(0.375, 0.0)),  # a step and a half apart
    readout(scale=(0.75, -0.5), offset=(0.125, 0.25)),
    readout(scale=(0.5, 0.5), offset=(0.5**12, 0.0)),
]


@pytest.mark.parametrize("meaning", [None, readout(), readout(offset=(1.5, 1.5)), *ALIGNED])
def test_arg_max_is_appended(make_graph, meaning):
    """Scales and offsets that differ become factors and summands; ties go to the first class."""
    graph = classifier(make_graph, meaning)
    after = append_arg_max(graph)
    assert (after.outputs, dict(after.readouts)) == (("label",), {})
    images = np.random.default_rng(0).integers(-3, 4, (20, 1, 1, 2))
    if meaning not in ALIGNED:
        assert len(after.nodes) == len(graph.nodes) + 1
        np.testing.assert_array_equal(after(images).reshape(-1), graph(images).reshape(-1, 2).argmax(axis=1))
    if meaning is not None:
        np.testing.assert_array_equal(after(images).reshape(-1), meaning(graph(images)).argmax(axis=1))


def test_arg_max_of_logits_at_the_edge_of_64_bits(make_graph):
    meaning = readout(scale=(0.5, 0.25), offset=(1.0, 0.0))
    for most, message in ((2**62 - 3, ""), (2**62, "is beyond integers of 64 bits")):
        graph = make_graph(Stream((1, 1, 2), -most, most), Threshold([[most]], [0]))
        graph = with_nodes(graph, [], outputs=graph.inputs, readouts={graph.inputs[0]: meaning})
        if message:
            with pytest.raises(GraphError, match=message):
                append_arg_max(graph)
        else:
            images = np.array([[most, most], [-most, -most], [-most, most]])[:, None, None]
            assert append_arg_max(graph)(images).reshape(-1).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("meaning", "message"),
    [
        (readout(scale=(0.5, 0.2531)), "the scales of the classes have no common integer grid"),
        (readout(scale=(0.5, 0.0)), "the scales of the classes have no common integer grid"),
        (readout(offset=(0.0, 1.01)), "the offsets of the classes have no common integer grid"),
        (readout(offset=(0.0, 0.5**14)), r"the offsets .* with factors up to 4096 \(LARGEST_FACTOR\)"),
        (readout(offset=(0.0, 2.0**40)), "the offsets of the classes have no common integer grid"),
        (readout(order=(1, 0)), "another order"),
    ],
)
def test_arg_max_is_refused(make_graph, meaning, message):
    with pytest.raises(GraphError, match=message):
        append_arg_max(classifier(make_graph, meaning))


def test_run_passes_checks_after_each(make_graph):
    graph = make_graph(Stream((1, 1, 2), 0, 3), Scale([1]))
    seen = []

    def breaks(given):
        seen.append("breaks")
        return Graph(given.name, (), given.streams, ("x",), ("nowhere",))

    def never(given):
        seen.append("never")
        return given

    with pytest.raises(GraphError, match="no node writes the output nowhere"):
        run_passes(graph, [breaks, never])
    assert seen == ["breaks"]
