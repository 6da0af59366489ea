"""FIFOs that no pipelines wait on for ever, found in the parts of a graph where a ring of waiting nodes can be."""

from __future__ import annotations

import os
from collections.abc import Mapping, Set
from concurrent.futures import ThreadPoolExecutor

import networkx as nx

from muxflow.dataflow.fit.folded import Folded
from muxflow.dataflow.fit.timing import Simulator
from muxflow.dataflow.fit.timing_layout import stream_ends
from muxflow.dataflow.graph.graph import Graph

SINGLE_STAGE = -(1 << 30)
"""Cycles beyond the estimate of pipelines that are one deep, whatever the estimate."""

EXTRA_DEPTHS = (8, 4, 2, 1, 0)
"""Pipeline depths beyond the estimate with which no pipeline may block another for ever, flushing or not."""

SHORT_FRAME = 4096
"""Cycles of a frame below which those between are tried as well: pipelines hold much of it, and a run is quick (decision)."""

CHECKED_FRAMES = 2
"""Frames of a run that looks for a deadlock: one that comes at all comes while the FIFOs fill."""


def rings(graph: Graph) -> tuple[Set[str], ...]:
    """Group the streams on which nodes can wait for each other in a ring: those of each reconvergent part of a graph.

    A ring of nodes, each of which waits for the next on the stream between them, goes around a cycle of the graph without
    its directions. No node of it waits for another part, as beats come there and room becomes free whatever happens here.
    """
    ends = stream_ends(graph)
    web = nx.Graph()
    for name, (writer, reader) in ends.items():
        web.add_edge(writer, reader)
        web.edges[writer, reader].setdefault("streams", []).append(name)
    found = []
    for edges in nx.biconnected_component_edges(web):
        streams = {name for edge in edges for name in web.edges[edge]["streams"]}
        if len(streams) > 1:
            found.append(streams)
    order = {name: index for index, name in enumerate(graph.streams)}
    return tuple(sorted(found, key=lambda streams: min(map(order.__getitem__, streams))))


def without_deadlock(
    folded: Folded, depths: Mapping[str, int], safe: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Make FIFOs deeper until no pipelines can wait for each other for ever, whatever the tool makes of them.

    Tried are pipelines that stall and ones that drain at the end of each frame, with each of EXTRA_DEPTHS beyond the
    estimate (those between as well where frames are short), and ones of a single stage, because no design may rely on
    what its pipelines hold. The full FIFOs of a ring of waiting nodes grow by a sixteenth, and by twice as much each
    time. More depth never makes a deadlock, so that one pass is enough.

    Simulated is each part of `rings` alone: what such pipelines do, one beat after another, does not depend on when, and a
    ring waits for nothing outside its part. One frame more pushes those that count out of pipelines that stand still.
    `safe`: depths of which that is known; a part in which none is less needs no simulation.
    """
    depths = dict(depths)
    short = folded.slowest_cycles < SHORT_FRAME
    depths_tried = range(max(EXTRA_DEPTHS), -1, -1) if short else EXTRA_DEPTHS
    parts = [part for part in rings(folded.graph) if safe is None or any(depths[name] < safe[name] for name in part)]
    tried = [
        Simulator.of(folded, style, deeper, streams=part)
        for style in ("stalling", "drained")
        for deeper in depths_tried
        for part in parts
    ]
    tried += [Simulator.of(folded, deeper=SINGLE_STAGE, streams=part) for part in parts]

    def waits(simulator: Simulator) -> Mapping[str, tuple[str, str]] | None:
        return simulator.attempt(depths, CHECKED_FRAMES + 1)[1]

    with ThreadPoolExecutor(os.cpu_count()) as threads:
        held = [simulator for simulator, ring in zip(tried, threads.map(waits, tried), strict=True) if ring]
    growth: dict[str, int] = {}
    for simulator in held:
        while (waiting := waits(simulator)) is not None:
            for _, stream, how in simulator.ring(waiting):
                if how == "writes":
                    growth[stream] = max(1, depths[stream] // 16, 2 * growth.get(stream, 0))
                    depths[stream] += growth[stream]
    return depths
