"""What of a graph FINN cannot carry; needs no FINN, so that it is said before the fit."""

from __future__ import annotations

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.fit.folded import Folded
from muxflow.dataflow.fit.implementation import PixelByPixel
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.hls.kernels import KERNELS
from muxflow.hls.registry import check_stored

FLOAT = 2**24
"""FINN's Python execution holds tensors in float32; integers up to this are exact there."""
OTHERWISE = "use target vitis, `muxflow build`"

IMPLEMENTATIONS = PixelByPixel(KERNELS)
"""What a design for FINN is fitted for: the kernels, of one pixel at once."""


def check_graph(graph: Graph) -> None:
    """Raise UnsupportedError naming what FINN's nodes or its execution cannot take."""
    for name, stream in graph.streams.items():
        if max(abs(stream.lo), abs(stream.hi)) > FLOAT:
            raise UnsupportedError(
                f"{graph.name}: stream {name} holds [{stream.lo}, {stream.hi}]; FINN's float32 tensors are exact up "
                f"to {FLOAT}: {OTHERWISE}"
            )
    check_stored(graph, "FINN")
    for node in graph.nodes:
        kernel = node.op.attributes().get("kernel")
        if kernel is not None and len(kernel) != 2:
            raise UnsupportedError(
                f"{node}: a window of {len(kernel)} axes; FINN's nodes take maps of height and width: {OTHERWISE}"
            )
        if isinstance(node.op, AutomatonWeights) and node.op.writable:
            raise UnsupportedError(
                f"{node.name}: seeds that are written at run time have no port in FINN; fit the graph with fixed "
                "seeds, or use target vitis"
            )


def check_folded(folded: Folded) -> None:
    """Raise UnsupportedError naming a node that takes neighbouring pixels at once: FINN's nodes take one after the other."""
    for node in folded.graph.nodes:
        fold = folded.folds[node.name]
        pixels = [folded.graph.streams[name].beat_pixels for name in (*node.inputs, *node.outputs)]
        if max(fold.pixels, *pixels) > 1:
            raise UnsupportedError(
                f"{node} takes {max(fold.pixels, *pixels)} neighbouring pixels at once; FINN's nodes take one after the other: "
                f"fit the model for FINN, `muxflow build --target finn`, or {OTHERWISE}"
            )
