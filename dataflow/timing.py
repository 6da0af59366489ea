"""Cycle simulation of a folded graph: latency, interval, stalls, FIFO fill, deadlocks; semantics in docs/timing.md."""

from __future__ import annotations

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import networkx as nx
import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.graph import Graph
from muxflow.dataflow.op import Fold, Pattern

SOURCE = "host input"
SINK = "host output"
UNBOUNDED = 1 << 40
CYCLE_LIMIT = 1 << 40
Longs = npt.NDArray[np.int64]


@dataclass(frozen=True)
class NodeTiming:
    """Shares of the simulated cycles, each in [0, 1]: busy (an iteration starts or its interval runs), starved (an input is
    empty), blocked (an output is full)."""

    busy: float
    starved: float
    blocked: float


@dataclass(frozen=True)
class Timing:
    """What a simulation gave, in cycles.

    `completions`: cycle after which each frame has left; `high_water`: depth of each FIFO that would not have made its
    writer wait; `cycles`: length of the simulation.
    """

    completions: tuple[int, ...]
    nodes: Mapping[str, NodeTiming]
    high_water: Mapping[str, int]
    cycles: int

    @property
    def latency(self) -> int:
        """Cycles from the start to the end of the first frame."""
        return self.completions[0]

    @property
    def interval(self) -> float:
        """Cycles between frames over the second half of the simulated frames (the first half fills the pipeline)."""
        middle = (len(self.completions) - 1) // 2
        frames = len(self.completions) - 1 - middle
        return (self.completions[-1] - self.completions[middle]) / frames if frames else float(self.latency)


class DeadlockError(ToolError):
    """The graph stops with the given FIFO depths.

    `waiting`: (node, stream, how) of the cycle of nodes that wait for each other, how being "reads" or "writes";
    `depths`: a depth for each full stream of the cycle that frees it.
    """

    def __init__(self, message: str, waiting: tuple[tuple[str, str, str], ...], depths: Mapping[str, int]) -> None:
        super().__init__(message)
        self.waiting = waiting
        self.depths = depths


def simulate(graph: Graph, folds: Mapping[str, Fold], depths: Mapping[str, int] | None, *, frames: int = 4) -> Timing:
    """Simulates `frames` frames of a folded graph (lanes on every stream, one reader each).

    `depths`: FIFO depth of each stream in beats, None for unbounded ones; weight streams included.
    Raises DeadlockError when nothing can move, MuxflowError for a depth under 1, ToolError without a compiler.
    """
    if frames < 1:
        raise MuxflowError(f"timing: {frames} frames; simulate at least one")
    timing, waits = _run(graph, folds, depths, frames)
    if waits is not None:
        raise _deadlock(graph, folds, depths or {}, frames, waits)
    return timing


def _run(
    graph: Graph, folds: Mapping[str, Fold], depths: Mapping[str, int] | None, frames: int
) -> tuple[Timing, dict[str, tuple[str, str]] | None]:
    """The timing, and what each node waits for when the graph has stopped before its end."""
    fifos = list(graph.streams)
    number = {name: i for i, name in enumerate(fifos)}
    limits = [UNBOUNDED if depths is None else depths[name] for name in fifos]
    shallow = [name for name, limit in zip(fifos, limits, strict=True) if limit < 1]
    if shallow:
        raise MuxflowError(f"timing: stream {shallow[0]} has a FIFO of depth {limits[number[shallow[0]]]}; at least 1")
    runs: list[tuple[int, int]] = []
    seen: dict[tuple[tuple[int, bool], ...], tuple[int, int]] = {}

    def pattern_runs(pattern: Pattern) -> tuple[int, int]:
        if pattern.runs not in seen:
            kept = [(count, int(used)) for count, used in pattern.runs if count]
            seen[pattern.runs] = (len(runs), len(kept))
            runs.extend(kept)
        return seen[pattern.runs]

    names = [SOURCE]
    source, sink = graph.streams[graph.input], graph.streams[graph.output]
    entries = [(source.beats * frames, 1, 1, 0, 1)]
    ports = [(number[graph.input], *pattern_runs(Pattern.always(source.beats)))]
    for node in graph.nodes:
        loop = node.op.loop(graph.ports(node), folds[node.name])
        names.append(node.name)
        entries.append((loop.trips * frames, loop.interval, max(1, loop.depth), len(loop.reads), len(loop.writes)))
        for name, pattern in zip(node.inputs + node.outputs, loop.reads + loop.writes, strict=True):
            ports.append((number[name], *pattern_runs(pattern)))
    names.append(SINK)
    entries.append((sink.beats * frames, 1, 1, 1, 0))
    ports.append((number[graph.output], *pattern_runs(Pattern.always(sink.beats))))

    completions = np.zeros(frames, np.int64)
    shares = np.zeros((len(names), 3), np.int64)
    high_water = np.zeros(len(fifos), np.int64)
    waits = np.zeros(len(names), np.int64)
    cycles = np.zeros(1, np.int64)
    outcome = _library().muxflow_simulate(
        len(names),
        _pointer(np.array(entries, np.int64)),
        _pointer(np.array(ports, np.int64)),
        _pointer(np.array(runs, np.int64)),
        len(fifos),
        _pointer(np.array(limits, np.int64)),
        len(names) - 1,
        sink.beats,
        CYCLE_LIMIT,
        _pointer(completions),
        _pointer(shares),
        _pointer(high_water),
        _pointer(waits),
        _pointer(cycles),
    )
    total = int(cycles[0])
    timing = Timing(
        tuple(map(int, completions)),
        MappingProxyType(
            {name: NodeTiming(*(float(part) / total for part in row)) for name, row in zip(names, shares, strict=True)}
        ),
        MappingProxyType(dict(zip(fifos, map(int, high_water), strict=True))),
        total,
    )
    if outcome == 0:
        return timing, None
    waiting = {
        name: (fifos[wait // 2], "writes" if wait % 2 else "reads")
        for name, wait in zip(names, waits.tolist(), strict=True)
        if wait >= 0
    }
    return timing, waiting


def _deadlock(
    graph: Graph,
    folds: Mapping[str, Fold],
    depths: Mapping[str, int],
    frames: int,
    waits: Mapping[str, tuple[str, str]],
) -> DeadlockError:
    """Names the cycle of waiting nodes, and depths that free it: what its full FIFOs hold when they have no limit."""
    writers = {name: node.name for node in graph.nodes for name in node.outputs} | {graph.input: SOURCE}
    readers = {name: node.name for node in graph.nodes for name in node.inputs} | {graph.output: SINK}
    web = nx.DiGraph()
    for node, (stream, how) in waits.items():
        web.add_edge(node, writers[stream] if how == "reads" else readers[stream])
    ring = [edge[0] for edge in nx.find_cycle(web)]
    waiting = tuple((node, *waits[node]) for node in ring)
    full = [stream for _, stream, how in waiting if how == "writes"]
    freed: dict[str, int] = {}
    raised = dict(depths)
    # Freeing one cycle can uncover the next one: raise full FIFOs until the simulation ends.
    while True:
        raised.update(dict.fromkeys(full, UNBOUNDED))
        timing, still = _run(graph, folds, raised, frames)
        freed = {name: timing.high_water[name] for name, limit in raised.items() if limit == UNBOUNDED}
        if still is None:
            break
        full = [stream for stream, how in still.values() if how == "writes" and raised[stream] != UNBOUNDED]
        if not full:
            break
    lines = [
        f"  {node} waits for {'data on' if how == 'reads' else 'room on'} {stream} (depth {depths[stream]})"
        for node, stream, how in waiting
    ]
    advice = ", ".join(f"{stream}: {depth}" for stream, depth in freed.items())
    return DeadlockError(
        f"{graph.name} deadlocks with these FIFO depths:\n" + "\n".join(lines) + f"\ndepths that free it: {advice}",
        waiting,
        freed,
    )


def _pointer(array: Longs) -> ctypes.Array[ctypes.c_int64]:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))  # type: ignore[return-value]


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """The compiled simulator, built once a process; raises ToolError when there is no compiler."""
    compiler = shutil.which("g++")
    if compiler is None:
        raise ToolError(
            "no g++ on PATH: the timing simulation needs a C++ compiler (Debian and Ubuntu: `apt-get install g++`)"
        )
    with tempfile.TemporaryDirectory(prefix="muxflow-") as folder:
        target = Path(folder) / "timing.so"
        command = [compiler, "-std=c++14", "-O2", "-shared", "-fPIC", "-o", str(target)]
        command.append(str(Path(__file__).parent / "timing.cpp"))
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise ToolError("g++ failed on the timing simulator:\n" + "\n".join(done.stderr.splitlines()[-5:]))
        library = ctypes.CDLL(str(target))
    library.muxflow_simulate.restype = ctypes.c_int64
    long, many = ctypes.c_int64, ctypes.POINTER(ctypes.c_int64)
    library.muxflow_simulate.argtypes = [long, many, many, many, long, many, long, long, long, *[many] * 5]
    return library
