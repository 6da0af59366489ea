"""What of a graph FINN cannot carry; needs no FINN, so that it is said before the fit."""

from __future__ import annotations

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.hls.registry import check_stored

FLOAT = 2**24
"""FINN's Python execution holds tensors in float32; integers up to this are exact there."""
OTHERWISE = "use target vitis, `muxflow build`"


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
