"""Networks with several inputs or outputs, a recurrent one, and batches for them."""

import numpy as np

from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.lstm_cell import LstmCell
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold

IMAGE, SPECTRUM = Stream((4, 4, 3), -2, 1), Stream((4, 4, 5), 0, 7)


def weights(rows: int, columns: int) -> IntArray:
    return np.random.default_rng([rows, columns]).integers(-2, 3, (rows, columns))


def activation(name: str, source: str, target: str, count: int) -> Node:
    steps = np.sort(np.random.default_rng(count).integers(-12, 13, (count, 3)), axis=1)
    return Node(name, Threshold(steps, [0] * count), (source,), (target,))


def convolution(name: str, source: str, target: str, channels: int, count: int) -> list[Node]:
    """3 x 3, padded, on a 4 x 4 map, with its activation."""
    return [
        Node(f"{name}_window", SlidingWindow((3, 3), pads=(1, 1, 1, 1)), (source,), (f"{name}_windows",)),
        Node(f"{name}_rom", RomWeights(weights(count, 9 * channels), 1, 16), (), (f"{name}_w",)),
        Node(name, MatrixVector(1, 9), (f"{name}_windows", f"{name}_w"), (f"{name}_sums",)),
        activation(f"{name}_act", f"{name}_sums", target, count),
    ]


def pointwise(name: str, source: str, target: str, channels: int, count: int, vectors: int = 16) -> list[Node]:
    return [
        Node(f"{name}_rom", RomWeights(weights(count, channels), 1, vectors), (), (f"{name}_w",)),
        Node(name, MatrixVector(), (source, f"{name}_w"), (f"{name}_sums" if target != "logits" else target,)),
        *([activation(f"{name}_act", f"{name}_sums", target, count)] if target != "logits" else []),
    ]


def fusion() -> Graph:
    """Late fusion: two branches of two inputs, of other sizes and depths, concatenated and classified."""
    nodes = [
        *convolution("seen", "image", "a", 3, 4),
        *pointwise("heard", "spectrum", "b", 5, 2),
        Node("join", Concat(), ("a", "b"), ("both",)),
        Node("pool", Pool((4, 4), "sum"), ("both",), ("pooled",)),
        *pointwise("classify", "pooled", "logits", 6, 3, 1),
    ]
    readout = Readout((0.5,) * 3, (0.0, 1.0, 0.0), (0, 1, 2), (3,))
    start = Graph("fusion", (), {"image": IMAGE, "spectrum": SPECTRUM}, ("image", "spectrum"), ("logits",))
    return with_nodes(start, nodes, readouts={"logits": readout})


def heads() -> Graph:
    """Two heads: the classes of a frame, and the label of each pixel."""
    nodes = [
        *convolution("body", "image", "a", 3, 4),
        Node("pool", Pool((4, 4), "max"), ("a",), ("pooled",)),
        *pointwise("classify", "pooled", "logits", 4, 3, 1),
        *pointwise("mark", "a", "marks", 4, 3),
        Node("label", ArgMax(), ("marks",), ("labels",)),
    ]
    return with_nodes(Graph("heads", (), {"image": IMAGE}, ("image",), ("logits", "labels")), nodes)


def crossed() -> Graph:
    """Two inputs that meet in a sum, two outputs, one of them also read by a node."""
    nodes = [
        *convolution("seen", "image", "a", 3, 4),
        *pointwise("heard", "spectrum", "b", 5, 4),
        Node("join", AddJoin(), ("a", "b"), ("both",)),
        activation("act", "both", "codes", 4),
        Node("pool", Pool((2, 2), "sum"), ("codes",), ("pooled",)),
    ]
    start = Graph("crossed", (), {"spectrum": SPECTRUM, "image": IMAGE}, ("spectrum", "image"), ("pooled", "codes"))
    return with_nodes(start, nodes)


def recurrent() -> Graph:
    """Five steps of six features through an LSTM cell of three units, whose outputs of each step are classified."""
    rng = np.random.default_rng(36)
    gates = np.sort(rng.integers(-12, 13, (12, 3)), axis=1)
    nodes = [
        Node("seen_rom", RomWeights(weights(12, 6), 1, 5), (), ("seen_w",)),
        Node("seen", MatrixVector(), ("sequence", "seen_w"), ("sums",)),
        Node("cell_rom", RomWeights(weights(12, 3), 1, 5), (), ("cell_w",)),
        Node("cell", LstmCell(gates, (0, 0, -1, 0), (1, 4), 2, (-7, 7), [[0], [1], [2]]), ("sums", "cell_w"), ("h",)),
        *pointwise("classify", "h", "logits", 3, 4, 5),
    ]
    return with_nodes(Graph("recurrent", (), {"sequence": Stream((5, 6), -2, 3)}, ("sequence",), ("logits",)), nodes)


NETWORKS = {"fusion": fusion, "heads": heads, "crossed": crossed}


def batch(graph: Graph, frames: int) -> dict[str, IntArray]:
    rng = np.random.default_rng(frames)
    return {name: random_codes(graph.streams[name], frames, rng) for name in graph.inputs}


def each(outputs: IntArray | tuple[IntArray, ...]) -> tuple[IntArray, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)
