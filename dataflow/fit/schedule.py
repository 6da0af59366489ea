"""When each beat moves: a schedule of one frame with unbounded FIFOs, from the loop nests alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.fit.folded import FIFO_DEPTH, Folded

Times = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Schedule:
    """Write time of each stream's beats and read time of each of them; weight streams, always ready, are left out.

    `outputs`: the streams at the end of the graph.
    """

    writes: Mapping[str, Times]
    reads: Mapping[str, Times]
    outputs: tuple[str, ...]

    @property
    def latency(self) -> int:
        """Time at which the last output beat of the frame has left."""
        return max(int(self.writes[name][-1]) for name in self.outputs) + 1

    @property
    def cycles(self) -> int:
        """Time at which every beat of the frame has been read and written: the last output may leave long before."""
        return max(int(times[-1]) for times in (*self.writes.values(), *self.reads.values())) + 1


def schedule(folded: Folded, *, timed: bool) -> Schedule:
    """Compute as-soon-as-possible times of one frame.

    timed: an iteration starts `interval` cycles after the one before it and no earlier than its beats arrive; its
    writes come `depth` cycles later; each input delivers a beat a cycle. So the times are cycles.
    not timed: nodes are infinitely fast and only the inputs take time, each its share of a frame at a time. So the times
    count the elements of the largest input that must have arrived.

    With T_i the start of iteration i and A_i the latest arrival of a beat that it reads,
    T_i = max(T_{i-1} + c, A_i), c = interval or 0, that is T_i = c*i + max_{k <= i} (A_k - c*k).
    """
    graph = folded.graph
    largest = max(graph.streams[name].size for name in graph.inputs)
    writes: dict[str, Times] = {}
    for name in graph.inputs:
        source = graph.streams[name]
        arrived = np.arange(1, source.beats + 1, dtype=np.int64) * source.lanes
        writes[name] = np.arange(source.beats, dtype=np.int64) if timed else -(-arrived * largest // source.size)
    reads: dict[str, Times] = {}
    for node in graph.nodes:
        loop, cost = folded.access(node), folded.cost(node)
        # A source is always ready: it has been waiting for its reader.
        waits = [(name, pattern) for name, pattern in zip(node.inputs, loop.reads, strict=True) if name in writes]
        if not waits:
            continue
        if timed or len(waits) > 1:
            start = np.zeros(loop.trips, np.int64)
            masks = [pattern.mask() for _, pattern in waits]
            for (name, _), mask in zip(waits, masks, strict=True):
                start[mask] = np.maximum(start[mask], writes[name])
            if timed:
                pace = np.arange(loop.trips, dtype=np.int64) * cost.interval
                start -= pace
                np.maximum.accumulate(start, out=start)
                start += pace
            else:
                np.maximum.accumulate(start, out=start)
            for (name, _), mask in zip(waits, masks, strict=True):
                reads[name] = start[mask]
            for name, pattern in zip(node.outputs, loop.writes, strict=True):
                writes[name] = start[pattern.mask()] + (cost.depth if timed else 0)
        else:
            # Infinitely fast and one input: a write happens when the last beat read before it has arrived.
            ((name, pattern),) = waits
            reads[name] = writes[name]
            for output, written in zip(node.outputs, loop.writes, strict=True):
                if written == pattern:
                    writes[output] = writes[name]
                    continue
                so_far = np.cumsum(pattern.mask(), dtype=np.int32)[written.mask()]
                writes[output] = np.where(so_far > 0, writes[name][so_far - 1], 0)
    return Schedule(writes, reads, graph.outputs)


def fifo_depths(folded: Folded) -> dict[str, int]:
    """Choose a FIFO depth, in beats, for every stream: enough that no join can deadlock, with a margin (not the smallest).

    A stream into a node that waits for no other stream needs a register or two. A join reads beat j of one input only
    when beat j of the others is there; by then the input has received every beat that the same input elements lead
    to. The depth is the largest number of beats held so, plus a quarter and 8 for the processing time of the other
    branch (conservative: the exact sizes come from the timing simulation).
    """
    graph = folded.graph
    times = schedule(folded, timed=False)
    depths = {}
    for node in graph.nodes:
        waiting = [name for name in node.inputs if name in times.writes]
        for name in node.inputs:
            if len(waiting) < 2 or name not in waiting:
                depths[name] = FIFO_DEPTH
                continue
            written = np.searchsorted(times.writes[name], times.reads[name], side="right")
            held = int((written - np.arange(len(written))).max())
            depths[name] = min(held + held // 4 + 8, 2 * graph.streams[name].beats)
    for name in (*graph.outputs, *graph.inputs):
        depths.setdefault(name, FIFO_DEPTH)
    return depths
