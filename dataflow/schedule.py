"""When each beat moves: a schedule of one frame with unbounded FIFOs, from the loop nests alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.graph import Graph
from muxflow.dataflow.op import Fold

Times = npt.NDArray[np.int64]

FIFO_DEPTH = 2
"""Depth of an edge that no join waits on."""


@dataclass(frozen=True)
class Schedule:
    """Write time of each stream's beats and, for each node's input port, read time of each beat."""

    writes: Mapping[str, Times]
    reads: Mapping[str, Times]

    @property
    def last(self) -> int:
        """Time of the last write anywhere."""
        return max(int(times[-1]) for times in self.writes.values())


def schedule(graph: Graph, folds: Mapping[str, Fold], *, timed: bool) -> Schedule:
    """As-soon-as-possible times of one frame, every stream folded (`lanes` set) and with one reader.

    timed: an iteration starts `interval` cycles after the one before it and no earlier than its beats arrive; its
    writes come `depth` cycles later; the input delivers a beat a cycle. So the times are cycles.
    not timed: nodes are infinitely fast and only the input takes time, one element of it at a time. So the times count
    the input elements that must have arrived.

    With T_i the start of iteration i and A_i the latest arrival of a beat that it reads,
    T_i = max(T_{i-1} + c, A_i), c = interval or 0, that is T_i = c*i + max_{k <= i} (A_k - c*k).
    """
    source = graph.streams[graph.input]
    step = 1 if timed else source.lanes
    writes = {graph.input: (np.arange(source.beats, dtype=np.int64) + (0 if timed else 1)) * step}
    reads: dict[str, Times] = {}
    for node in graph.nodes:
        loop = node.op.loop(graph.ports(node), folds[node.name])
        pace = np.arange(loop.trips, dtype=np.int64) * (loop.interval if timed else 0)
        arrival = np.zeros(loop.trips, np.int64)
        masks = [pattern.mask() for pattern in loop.reads]
        for name, mask in zip(node.inputs, masks, strict=True):
            arrival[mask] = np.maximum(arrival[mask], writes[name])
        start = pace + np.maximum.accumulate(arrival - pace)
        for name, mask in zip(node.inputs, masks, strict=True):
            reads[name] = start[mask]
        for name, pattern in zip(node.outputs, loop.writes, strict=True):
            writes[name] = start[pattern.mask()] + (loop.depth if timed else 0)
    return Schedule(writes, reads)


def fifo_depths(graph: Graph, folds: Mapping[str, Fold]) -> dict[str, int]:
    """A FIFO depth, in beats, for every stream: enough that no join can deadlock, with a margin (not the smallest).

    A stream into a node that waits for no other stream needs a register or two. A join reads beat j of one input only
    when beat j of the others is there; by then the input has received every beat that the same input elements lead
    to. The depth is the largest number of beats held so, plus a quarter and 8 for the processing time of the other
    branch (conservative: the exact sizes come from the timing simulation).
    """
    times = schedule(graph, folds, timed=False)
    producers = graph.producers()
    depths = {}
    for node in graph.nodes:
        waiting = [name for name in node.inputs if name not in producers or producers[name].inputs]
        for name in node.inputs:
            if len(waiting) < 2 or name not in waiting:
                depths[name] = FIFO_DEPTH
                continue
            written = np.searchsorted(times.writes[name], times.reads[name], side="right")
            held = int((written - np.arange(len(written))).max())
            depths[name] = min(held + held // 4 + 8, 2 * graph.streams[name].beats)
    depths[graph.output] = FIFO_DEPTH
    depths.setdefault(graph.input, FIFO_DEPTH)
    return depths
