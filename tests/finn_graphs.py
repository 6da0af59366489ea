"""Small networks that show what becomes of each op in FINN."""

from __future__ import annotations

from typing import Any

import numpy as np
from networks import NETWORKS, recurrent

from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.or_join import OrJoin
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.ops.top_k import TopK
from muxflow.dataflow.ops.window_pool import WindowPool


def chain(stream: Stream, *nodes: tuple[str, Any, tuple[str, ...], tuple[str, ...]], output: str = "y") -> Graph:
    """A graph of (name, op, inputs, outputs) with input x."""
    graph = Graph("small", (), {"x": stream}, ("x",), (output,))
    return insert_forks(with_nodes(graph, [Node(*node) for node in nodes]))


def steps(rows: int, count: int, span: int, seed: int) -> np.ndarray[Any, Any]:
    return np.sort(np.random.default_rng(seed).integers(-span, span, (rows, count)), axis=1)


def weights(rows: int, columns: int, seed: int, levels: int = 3) -> np.ndarray[Any, Any]:
    generator = np.random.default_rng(seed)
    return (
        generator.integers(-1, 2, (rows, columns)) if levels == 3 else 2 * generator.integers(0, 2, (rows, columns)) - 1
    )


NONE = np.zeros(4, np.int64)
BYTES = Stream((6, 6, 3), 0, 255)
CODES = Stream((4, 4, 4), 0, 7)
GRAPHS = {
    # FINN's own nodes: padding, window, product, thresholds, forks, add, pools.
    "residual": lambda: chain(
        BYTES,
        ("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1)), ("x",), ("v",)),
        ("w0", RomWeights(weights(4, 27, 0), repeats=36), (), ("w",)),
        ("conv", MatrixVector(1, 9), ("v", "w"), ("a",)),
        ("act", Threshold(steps(4, 7, 900, 1), NONE), ("a",), ("c",)),
        ("pool", Pool((2, 2), "max"), ("c",), ("p",)),
        ("add", AddJoin(), ("p", "p"), ("s",)),
        ("sum", Pool((3, 3), "sum"), ("s",), ("y",)),
    ),
    # Thresholds that fall: the rows of the weights are negated where they are stored.
    "falling": lambda: chain(
        CODES,
        ("w0", RomWeights(weights(4, 4, 2), repeats=16), (), ("w",)),
        ("conv", MatrixVector(), ("x", "w"), ("a",)),
        ("act", Threshold(steps(4, 3, 12, 3), np.array([0, 1, 1, 0]), base=-2), ("a",), ("y",)),
    ),
    # ... and not where they are generated.
    "falling-generated": lambda: chain(
        CODES,
        ("w0", AutomatonWeights(4, 4, 24, seed=3, burn_in=4, repeats=16), (), ("w",)),
        ("conv", MatrixVector(), ("x", "w"), ("a",)),
        ("act", Threshold(steps(4, 3, 12, 4), np.array([1, 0, 1, 0])), ("a",), ("y",)),
    ),
    # Bits and signs: the first product is FINN's, the second Muxflow's, because its input is made of bits.
    "bits": lambda: chain(
        CODES,
        ("w0", RomWeights(weights(6, 4, 5, 2), repeats=16), (), ("w",)),
        ("conv", MatrixVector(), ("x", "w"), ("a",)),
        ("act", Threshold(steps(6, 1, 8, 6), np.zeros(6, np.int64)), ("a",), ("b",)),
        ("window", SlidingWindow((3, 3), stride=(1, 1)), ("b",), ("v",)),
        ("w1", RomWeights(weights(5, 54, 7, 2), repeats=4), (), ("z",)),
        ("conv1", MatrixVector(1, 9), ("v", "z"), ("y",)),
    ),
    "bits-generated": lambda: chain(
        Stream((2, 2, 6), 0, 1),
        ("w0", AutomatonWeights(4, 6, 31, seed=3, burn_in=4, repeats=4), (), ("w",)),
        ("conv", MatrixVector(), ("x", "w"), ("y",)),
    ),
    "bipolar": lambda: chain(
        CODES,
        ("w0", RomWeights(weights(6, 4, 5, 2), repeats=16), (), ("w",)),
        ("conv", MatrixVector(), ("x", "w"), ("a",)),
        ("act", Threshold(np.repeat(steps(6, 1, 8, 6), 2, axis=1), np.zeros(6, np.int64), base=-1), ("a",), ("b",)),
        ("w1", RomWeights(weights(5, 6, 7, 2), repeats=16), (), ("z",)),
        ("conv1", MatrixVector(), ("b", "z"), ("y",)),
    ),
    # Signs times signs: FINN's unit counts, and the thresholds after it are those of the count.
    "counts": lambda: chain(
        Stream((3, 3, 5), -1, 1, bipolar=True),
        ("w0", RomWeights(weights(6, 5, 5, 2), repeats=9), (), ("w",)),
        ("conv", MatrixVector(), ("x", "w"), ("a",)),
        ("act", Threshold(np.repeat(steps(6, 1, 5, 6), 2, axis=1), np.array([0, 1] * 3), base=-1), ("a",), ("b",)),
        ("w1", AutomatonWeights(4, 6, 31, seed=3, burn_in=4, repeats=9), (), ("z",)),
        ("conv1", MatrixVector(), ("b", "z"), ("c",)),
        ("act1", Threshold(steps(4, 3, 6, 7), NONE), ("c",), ("y",)),
    ),
    # Padding of signs with a 0, which is no sign.
    "padded-signs": lambda: chain(
        Stream((3, 3, 2), -1, 1, bipolar=True),
        ("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1)), ("x",), ("v",)),
        ("w0", RomWeights(weights(3, 18, 5, 2), repeats=9), (), ("w",)),
        ("conv", MatrixVector(1, 9), ("v", "w"), ("y",)),
    ),
    "depthwise": lambda: chain(
        CODES,
        ("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1), groups=4), ("x",), ("v",)),
        ("w0", RomWeights(weights(4, 9, 8), groups=4, repeats=16), (), ("w",)),
        ("conv", MatrixVector(4, 9), ("v", "w"), ("y",)),
    ),
    "joins": lambda: chain(
        CODES,
        ("mux", MuxJoin("element", np.array([1, 2, 3, 4])), ("x", "x"), ("m",)),
        ("or", OrJoin(), ("m", "x"), ("o",)),
        ("shift", ShiftClip(np.array([1, -2, 3, 0]), 1, -1, 2), ("o",), ("n",)),
        ("cat", Concat(), ("n", "x"), ("y",)),
    ),
    # Ops that FINN has no node for.
    "others": lambda: chain(
        CODES,
        ("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1), groups=4), ("x",), ("v",)),
        ("pool", WindowPool(9, "max"), ("v",), ("p",)),
        ("scale", Scale(np.array([1, -2, 3, 5])), ("p",), ("s",)),
        ("all", Pool((4, 4), "sum"), ("s",), ("t",)),
        ("top", TopK(2), ("t",), ("y",)),
    ),
    "class": lambda: chain(CODES, ("all", Pool((4, 4), "sum"), ("x",), ("s",)), ("best", ArgMax(), ("s",), ("y",))),
    "line": lambda: chain(
        Stream((1, 9, 2), 0, 15),
        ("window", SlidingWindow((1, 3), pads=(0, 1, 0, 1)), ("x",), ("v",)),
        ("w0", RomWeights(weights(3, 6, 9), repeats=9), (), ("w",)),
        ("conv", MatrixVector(1, 3), ("v", "w"), ("y",)),
    ),
    # A sequence: the products before and after the cell are FINN's, the cell with its recurrent weights is not.
    "recurrent": recurrent,
    "one-pixel": lambda: chain(
        Stream((1, 1, 1), -4, 3), ("two", Fork(2), ("x",), ("a", "b")), ("add", AddJoin(), ("a", "b"), ("y",))
    ),
    **NETWORKS,
}
