"""What `check` refuses at each stage of a graph."""

from dataclasses import replace

import numpy as np
import pytest

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.folded import Folded, fold_graph
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.spec import check, check_network
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.hls.kernels import KERNELS

X = Stream((1, 2, 4), 0, 3)
ONE = Scale([1])
CHAIN = (Node("n", ONE, ("x",), ("a",)), Node("m", ONE, ("a",), ("y",)))


def chain(nodes: tuple[Node, ...] = CHAIN, **changes: object) -> Graph:
    streams = dict.fromkeys(("x", *(name for node in nodes for name in node.outputs)), X)
    return replace(Graph("g", nodes, streams, ("x",), ("y",)), **changes)  # type: ignore[arg-type]


def lanes(graph: Graph, number: int, **others: int) -> Graph:
    """The graph with as many lanes on every stream, other ones on those that are named."""
    streams = {name: stream.with_lanes(others.get(name, number)) for name, stream in graph.streams.items()}
    return replace(graph, streams=streams)


READOUT = Readout((1.0,) * 4, (0.0,) * 4, tuple(range(8)), (8,))


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (chain(inputs=()), "g: 0 inputs, 1 outputs; at least one of each"),
        (chain(outputs=()), "g: 1 inputs, 0 outputs; at least one of each"),
        (chain(inputs=("x", "x")), "g: the input x is named twice"),
        (chain(outputs=("y", "y")), "g: the output y is named twice"),
        (chain(inputs=("x", "z")), "g: the input z is not recorded in the graph"),
        (chain(readouts={"a": READOUT}), "g: a readout for a, which is no output"),
        (chain(streams={**chain().streams, "u": X}, inputs=("x", "u")), "g: nobody reads the stream u"),
        (chain(streams={**chain().streams, "u": X}), "g: nothing writes the stream u"),
        (lanes(chain(), 2), "g: stream x has 2 lanes before the graph is folded"),
    ],
)
@pytest.mark.parametrize("stage", ["imported", "forked"])
def test_ends_and_streams(graph, message, stage):
    with pytest.raises(GraphError, match=message):
        check(graph, stage)


@pytest.mark.parametrize("field", ["shape", "lo", "hi", "repeats"])
def test_a_recorded_stream_is_what_its_op_infers(field):
    other = {"shape": (2, 1, 4), "lo": -1, "hi": 2, "repeats": 2}[field]
    streams = {**chain().streams, "a": replace(X, **{field: other})}
    with pytest.raises(GraphError, match=r"n \(Scale\): stream a is .*, its op infers uint2\[1x2x4\]"):
        check(chain(streams=streams))


def test_a_recorded_stream_is_as_bipolar_as_its_op_infers():
    streams = {**chain((Node("n", Fork(), ("x",), ("y", "z")),)).streams, "x": Stream((1, 2, 4), -1, 1, bipolar=True)}
    nodes = (Node("n", Fork(), ("x",), ("y", "z")),)
    graph = Graph("g", nodes, dict.fromkeys(streams, streams["x"]), ("x",), ("y", "z"))
    check(graph, "forked")
    changed = {**graph.streams, "z": replace(graph.streams["z"], bipolar=False)}
    with pytest.raises(GraphError, match=r"n \(Fork\): stream z is int2\[1x2x4\], its op infers bipolar\[1x2x4\]"):
        check(replace(graph, streams=changed))


TWO_READERS = [
    ((*CHAIN[:1], Node("m", AddJoin(), ("a", "a"), ("y",))), "stream a has 2 readers (m, m)", ("y",)),
    (
        (*CHAIN[:1], Node("m", ONE, ("a",), ("b",)), Node("j", AddJoin(), ("a", "b"), ("y",))),
        "stream a has 2 readers (m, j)",
        ("y",),
    ),
    (CHAIN, "stream a has 2 readers (m, the host)", ("y", "a")),
    ((Node("n", ONE, ("x",), ("y",)),), "stream x has 2 readers (n, the host)", ("y", "x")),
]


@pytest.mark.parametrize(("nodes", "message", "outputs"), TWO_READERS)
def test_two_readers_are_for_an_imported_graph_alone(nodes, message, outputs):
    start = Graph("g", (), {"x": X}, ("x",), outputs)
    graph = with_nodes(start, nodes)
    pattern = f"^g: {message}; one is allowed, fork it first$".replace("(", r"\(").replace(")", r"\)")
    with pytest.raises(GraphError, match=pattern):
        check(graph, "forked")
    with pytest.raises(GraphError, match=pattern):
        check(lanes(graph, 2), "folded", {node.name: Fold(2) for node in nodes})
    assert check(insert_forks(graph), "forked")


# ---------------------------------------------------------------------------------------------------------- folded


def folded_chain(number: int = 2) -> tuple[Graph, dict[str, Fold]]:
    return lanes(chain(), number), {"n": Fold(number), "m": Fold(number)}


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ("x", r"n \(Scale\): stream x has 4 lanes; the fold 'PE 2 SIMD 1' asks for 2"),
        ("a", r"n \(Scale\): stream a has 4 lanes; the fold 'PE 2 SIMD 1' asks for 2"),
        ("y", r"m \(Scale\): stream y has 4 lanes; the fold 'PE 2 SIMD 1' asks for 2"),
    ],
)
def test_wrong_lanes(stream, message):
    graph, folds = folded_chain()
    assert check(graph, "folded", folds) is graph
    with pytest.raises(GraphError, match=message):
        check(lanes(graph, 2, **{stream: 4}), "folded", folds)


def test_both_ends_of_a_stream_ask_for_its_lanes():
    graph, folds = folded_chain()
    with pytest.raises(GraphError, match=r"m \(Scale\): stream a has 2 lanes; the fold 'PE 1 SIMD 1' asks for 1"):
        check(graph, "folded", {**folds, "m": Fold(1)})


def test_streams_without_lanes():
    graph, folds = folded_chain()
    for name in graph.streams:
        streams = {**graph.streams, name: replace(graph.streams[name], lanes=0)}
        with pytest.raises(GraphError, match=f"stream {name} has 0 lanes; the fold 'PE 2 SIMD 1' asks for 2"):
            check(replace(graph, streams=streams), "folded", folds)
    with pytest.raises(GraphError, match="g: stream x has no lanes"):
        check(Graph("g", (), {"x": X}, ("x",), ("x",)), "folded", {})


def test_a_network_keeps_weights_and_data_apart():
    weights = Node("w", RomWeights(np.ones((2, 4), np.int64)), (), ("w",))
    product = Node("p", MatrixVector(), ("x", "w"), ("y",))
    vector = Stream((1, 1, 4), 0, 3)
    start = Graph("g", (), {"x": vector}, ("x",), ("y",))
    check_network(with_nodes(start, (weights, product)))
    two = with_nodes(replace(start, outputs=("y", "w")), (weights, product))
    with pytest.raises(GraphError, match="the output w is a stream of weights"):
        check_network(two)
    depthwise = Node("w", RomWeights(np.ones((2, 4), np.int64), 2), (), ("w",))
    with pytest.raises(
        GraphError, match=r"p \(MatrixVector\): it reads weights in 1 groups, and w \(RomWeights\) sends them in 2"
    ):
        check_network(with_nodes(start, (depthwise, product)))
    outside = replace(start, streams={"x": vector, "w": Stream((2, 4), -1, 1)}, inputs=("x", "w"))
    with pytest.raises(GraphError, match=r"p \(MatrixVector\): its port w takes weights; w is no stream of them"):
        check_network(with_nodes(outside, (product,)))
    again = replace(start, streams={"x": replace(vector, repeats=3)})
    with pytest.raises(GraphError, match="the input x is sent 3 times; the host sends once"):
        check_network(with_nodes(again, (Node("n", ONE, ("x",), ("y",)),)))
    with pytest.raises(GraphError, match="the input x is an output and nothing reads it"):
        check_network(check(Graph("g", (), {"x": X}, ("x",), ("x",))))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": (0, 0, 0, 0)}, "does not put"),
        ({"order": (0, 1, 2, 99)}, "does not put"),
        ({"shape": (3,)}, "does not put"),
        ({"scale": (1.0, 2.0, 3.0)}, "has 3 scales"),
        ({"offset": (float("nan"),)}, "has 1 offsets"),
    ],
)
def test_a_readout_fits_its_stream(changes, message):
    stream = Stream((1, 1, 4), 0, 3)
    good = Readout((0.5,), (0.0,), (0, 1, 2, 3), (4,))
    start = Graph("g", (), {"x": stream}, ("x",), ("y",), {"y": good})
    graph = with_nodes(start, (Node("n", ONE, ("x",), ("y",)),))
    with pytest.raises(GraphError, match=message):
        check(replace(graph, readouts={"y": replace(good, **changes)}))


def test_passes_find_free_names():
    """Names that a pass would give are taken: a stream x_0, nodes x_fork and y_to4."""
    nodes = (
        Node("x_fork", ONE, ("x",), ("x_0",)),
        Node("x_to4", ONE, ("x",), ("b",)),
        Node("j", AddJoin(), ("x_0", "b"), ("y",)),
    )
    graph = insert_forks(with_nodes(Graph("g", (), {"x": X}, ("x",), ("y",)), nodes))
    assert {"x_fork", "x_fork_2"} <= {node.name for node in graph.nodes}
    fold_graph(graph, {node.name: Fold() for node in graph.nodes}, KERNELS)


def test_lanes_divide_what_they_carry():
    """A fold that every node agrees to, and that no beat can hold."""
    graph = chain()
    streams = {name: replace(stream, lanes=3) for name, stream in graph.streams.items()}
    with pytest.raises(GraphError, match=r"n \(Scale\): the fold 'PE 3 SIMD 1' does not divide its shapes; legal"):
        check(replace(graph, streams=streams), "folded", {"n": Fold(3), "m": Fold(3)})


def test_a_folded_graph_has_folds_for_all_its_nodes_and_no_others():
    graph, folds = folded_chain()
    with pytest.raises(GraphError, match="g: a folded graph is checked with its folds; none are given"):
        check(graph, "folded")
    with pytest.raises(GraphError, match=r"m \(Scale\): no fold is given for it"):
        check(graph, "folded", {"n": Fold(2)})
    with pytest.raises(GraphError, match="g: a fold for k, which is no node"):
        check(graph, "folded", {**folds, "k": Fold(2)})


def convolution() -> Graph:
    nodes = [
        Node("window", SlidingWindow((2, 2)), ("x",), ("v",)),
        Node("rom", RomWeights(np.arange(16 * 4).reshape(4, 16), 1, 4), (), ("w",)),
        Node("conv", MatrixVector(1, 4), ("v", "w"), ("y",)),
    ]
    return with_nodes(Graph("g", (), {"x": Stream((3, 3, 4), 0, 3)}, ("x",), ("y",)), nodes)


def folded_convolution() -> Folded:
    return fold_graph(convolution(), {"conv": Fold(2, 2)}, KERNELS, axi=False)


@pytest.mark.parametrize("follower", ["window", "rom"])
def test_a_follower_folds_as_its_reader(follower):
    """Lanes alone do not show it: 1 x 4 and 2 x 2 are four weights a beat, in another order."""
    folded = folded_convolution()
    assert folded.folds["window"] == folded.folds["rom"] == Fold(2, 2)
    other = {"window": Fold(4, 2), "rom": Fold(1, 4)}[follower]
    with pytest.raises(
        GraphError, match=rf"{follower} \(.*\): has the fold '{other}'; it folds as its reader, conv .*: 'PE 2 SIMD 2'"
    ):
        check(folded.graph, "folded", {**folded.folds, follower: other})


def test_a_follower_without_its_leader():
    folded = folded_convolution()
    folds = {name: fold for name, fold in folded.folds.items() if name != "conv"}
    with pytest.raises(GraphError, match=r"conv \(MatrixVector\): no fold is given for it"):
        check(folded.graph, "folded", folds)


def test_a_follower_of_the_host_sends_one_element_a_beat():
    graph = with_nodes(replace(convolution(), outputs=("v",)), convolution().nodes[:1])
    folded = fold_graph(graph, {}, KERNELS, axi=False)
    assert folded.folds == {"window": Fold()}
    with pytest.raises(
        GraphError, match=r"window .*: has the fold 'PE 1 SIMD 2'; it folds as its reader, the host: 'PE 1"
    ):
        check(lanes(folded.graph, 2), "folded", {"window": Fold(1, 2)})


@pytest.mark.parametrize("seed", range(12))
def test_random_designs_pass(make_random_design, seed):
    folded = make_random_design(seed).folded
    assert check(folded.graph, "folded", folded.folds) is folded.graph
    changed = 0
    for name, stream in folded.graph.streams.items():
        for number in (1, 2, 3):
            if number != stream.lanes and stream.size % number == 0:
                streams = {**folded.graph.streams, name: stream.with_lanes(number)}
                with pytest.raises(GraphError, match=f"stream {name} has {number} lanes"):
                    check(replace(folded.graph, streams=streams), "folded", folded.folds)
                changed += 1
    assert changed
