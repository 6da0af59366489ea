"""How many elements the FIFO of each stream holds: as expected before any is sized, and of a design."""

from __future__ import annotations

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.folded import FIFO_DEPTH, converter_chains, frame_edges
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import Role


def expected_elements(graph: Graph) -> dict[str, int]:
    """Estimate the elements that FIFOs hold before any was sized.

    A frame for a join whose select comes once a frame, a row before a sliding window.
    """
    held = {name: graph.streams[name].size for name in frame_edges(graph)}
    for node in graph.nodes:
        if node.op.role is Role.LAYOUT:
            for name in node.inputs:
                held[name] = graph.streams[name].size // graph.streams[name].shape[0]
    return held


def held_elements(design: Design) -> dict[str, int]:
    """Count the elements that the FIFOs of each stream can hold, counted to the stream before its width converters.

    FIFOs in UltraRAM count as shallow: they are expected to find their place there again.
    """
    found: dict[str, int] = {}
    for start, chain in converter_chains(design.graph).items():
        deep = [
            design.depths[name] * design.graph.streams[name].lanes
            for name in chain
            if design.depths[name] > FIFO_DEPTH and not design.fifos[name].uram
        ]
        if deep:
            found[start] = max(deep)
    return found
