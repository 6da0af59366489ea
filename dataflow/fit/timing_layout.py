"""Nodes of a folded graph, and the host at its ends, as the tables that the cycle simulator takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.access import Pattern
from muxflow.dataflow.fit.folded import Folded
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.stream import Stream

SOURCE = "host input"
SINK = "host output"
"""What the host's ends are called; the stream's name follows where there are several."""

FEWEST_CYCLES = 2048
"""Cycles between two looks at the state, at least: a look takes as long as some cycles."""

ROW = 4
"""The column of `Layout.nodes` that holds the iterations of a row."""

Longs = npt.NDArray[np.int64]

Style = Literal["flushing", "stalling", "drained"]
"""What a pipeline does while a beat that its next iteration reads is missing: the iterations in it go on, they stand still,
or they stand still but for the end of each frame, where the pipeline empties before the next frame begins."""
STYLES: tuple[Style, ...] = get_args(Style)


def host_ends(names: Sequence[str], end: str) -> dict[str, str]:
    """Name the host's end of each outer stream."""
    return {name: end if len(names) == 1 else f"{end} {name}" for name in names}


def stream_ends(graph: Graph) -> dict[str, tuple[str, str]]:
    """Name the writer and the reader of each stream, the host's ends included."""
    writers = {name: node.name for node in graph.nodes for name in node.outputs} | host_ends(graph.inputs, SOURCE)
    readers = {name: node.name for node in graph.nodes for name in node.inputs} | host_ends(graph.outputs, SINK)
    return {name: (writers[name], readers[name]) for name in graph.streams}


@dataclass(frozen=True)
class PatternTable:
    """Access patterns as the simulator takes them; `parts`, `runs`: as in `Layout`."""

    parts: list[tuple[int, int, int, int]]
    runs: list[tuple[int, int]]

    def add(self, pattern: Pattern) -> tuple[int, int]:
        """Add a pattern; gives its first part and how many it has."""
        first = len(self.parts)
        for runs, repeat in pattern.parts:
            self.parts.append((len(self.runs), len(runs), repeat, sum(count for count, _ in runs)))
            self.runs.extend((count, int(used)) for count, used in runs)
        return first, len(self.parts) - first


@dataclass(frozen=True)
class Layout:
    """The tables of a simulated graph.

    `nodes`: for each the iterations of a frame, interval, depth, style, iterations of a row, numbers of read and write
    ports; those that write nothing, `sinks` many, come last. `ports`: stream, first part, parts; `parts`: first run, runs,
    how often they are played, their iterations; `runs`: iterations, used. `tail`: frames that push a frame out of all
    pipelines: each holds back as many as begin in its depth.
    """

    names: tuple[str, ...]
    nodes: Longs
    ports: Longs
    parts: Longs
    runs: Longs
    sinks: int
    tail: int

    def paced(self, sources: int, interval: int) -> Layout:
        """Spread the beats of a frame of the first nodes, `sources` many, evenly over `interval` cycles."""
        nodes, ports = self.nodes.copy(), self.ports.copy()
        table = PatternTable(self.parts.tolist(), self.runs.tolist())
        for source in range(sources):
            beats = int(nodes[source, 0])
            pace = interval // beats
            spread = Pattern(((1, True), (pace - 1, False)), beats)
            nodes[source, 0] = interval
            nodes[source, ROW] *= pace
            ports[source, 1:] = table.add(Pattern((spread, (interval - pace * beats, False))))
        return replace(self, nodes=nodes, ports=ports, parts=np.array(table.parts), runs=np.array(table.runs))


@dataclass(frozen=True)
class _Process:
    """A node's loop: the pattern of each stream that it reads or writes, its pipeline, and a stream of its shape."""

    name: str
    reads: Mapping[str, Pattern]
    writes: Mapping[str, Pattern]
    trips: int
    interval: int
    depth: int
    style: Style
    shape: Stream

    def within(self, streams: Set[str]) -> _Process:
        """Leave out the ports of other streams."""
        reads, writes = (
            {name: pattern for name, pattern in ports.items() if name in streams} for ports in (self.reads, self.writes)
        )
        return replace(self, reads=reads, writes=writes)

    def row(self, cycles: int) -> int:
        """Choose after how many iterations to look whether the state recurs: a row, or some, or a frame.

        `cycles`: of a frame, where nothing goes faster than the slowest node.
        """
        repeated = [
            (repeat * period, period)
            for pattern in (*self.reads.values(), *self.writes.values())
            if len(pattern.parts) > 1
            for period, repeat in ((sum(count for count, _ in runs), repeat) for runs, repeat in pattern.parts)
        ]
        rows = prod(self.shape.shape[:-2])
        row = max(repeated)[1] if repeated else self.trips // rows if self.trips % rows == 0 else self.trips
        while row * cycles < FEWEST_CYCLES * self.trips:
            row *= 2
        return row


def _processes(folded: Folded, style: Style, deeper: int, streams: Set[str]) -> Iterable[_Process]:
    """List the host's inputs, the nodes in their order, and the host's outputs, those at the ends of these streams."""
    graph = folded.graph

    def host(name: str, end: str, *, written: bool) -> _Process:
        stream = graph.streams[name]
        ports = {name: Pattern.always(stream.beats)}
        reads, writes = ({}, ports) if written else (ports, {})
        return _Process(end, reads, writes, stream.beats, 1, 1, "flushing", stream)

    for name, end in host_ends(graph.inputs, SOURCE).items():
        if name in streams:
            yield host(name, end, written=True)
    for node in graph.nodes:
        if streams.isdisjoint((*node.inputs, *node.outputs)):
            continue
        loop, cost = folded.access(node), folded.cost(node)
        reads, writes = (
            dict(zip(node.inputs, loop.reads, strict=True)),
            dict(zip(node.outputs, loop.writes, strict=True)),
        )
        depth = max(1, cost.depth + deeper)
        yield _Process(
            node.name, reads, writes, loop.trips, cost.interval, depth, style, graph.streams[node.outputs[0]]
        )
    for name, end in host_ends(graph.outputs, SINK).items():
        if name in streams:
            yield host(name, end, written=False)


def layout(folded: Folded, style: Style, deeper: int, streams: Set[str] | None) -> Layout:
    """Lay out the access patterns of all nodes; the arguments are those of `Simulator.of`."""
    processes = list(_processes(folded, style, deeper, folded.graph.streams.keys() if streams is None else streams))
    if streams is not None:
        processes = [one.within(streams) for one in processes]
        processes.sort(key=lambda one: not one.writes)
    number = {name: i for i, name in enumerate(folded.graph.streams)}
    slowest = max(one.trips * one.interval for one in processes)
    table = PatternTable([], [])
    nodes, ports = [], []
    for one in processes:
        kinds = STYLES.index(one.style), one.row(slowest), len(one.reads), len(one.writes)
        nodes.append((one.trips, one.interval, one.depth, *kinds))
        ports += [(number[name], *table.add(pattern)) for name, pattern in (*one.reads.items(), *one.writes.items())]
    return Layout(
        tuple(one.name for one in processes),
        np.array(nodes, np.int64),
        np.array(ports, np.int64),
        np.array(table.parts, np.int64),
        np.array(table.runs, np.int64),
        sum(not one.writes for one in processes),
        sum(1 + one.depth // (one.trips * one.interval) for one in processes),
    )
