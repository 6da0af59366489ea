"""Cycle simulation of a folded graph: latency, interval, stalls, FIFO fill, deadlocks; semantics in docs/design/timing.md."""

from __future__ import annotations

import ctypes
import shutil
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

import networkx as nx
import numpy as np

from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.fit.folded import FIFO_DEPTH, Folded
from muxflow.dataflow.fit.timing_layout import Layout, Longs, Style, layout, stream_ends
from muxflow.dataflow.folders import scratch_folder
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.processes import compiled, first_errors, runs_nothing
from muxflow.dataflow.text import plainly

COMPILER = "g++"
NO_COMPILER = f"no {COMPILER} on PATH"
INSTALL_COMPILER = "Debian and Ubuntu: `apt-get install g++`"
UNBOUNDED = 1 << 40
FOREVER = (1 << 63) - 1


@dataclass(frozen=True)
class NodeTiming:
    """Shares of the simulated cycles, each in [0, 1].

    Busy: an iteration starts or its interval runs; starved: an input is empty; blocked: an output is full.
    """

    busy: float
    starved: float
    blocked: float


@dataclass(frozen=True)
class Timing:
    """What a simulation gave, in cycles.

    `completions`: cycle after which each frame has left; `high_water`: depth of each FIFO that would not have made its
    writer wait; `cycles`: length of the simulation; `style`: of the nodes' pipelines.
    """

    completions: tuple[int, ...]
    nodes: Mapping[str, NodeTiming]
    high_water: Mapping[str, int]
    cycles: int
    style: Style = "flushing"

    @property
    def latency(self) -> int:
        """Cycles from the start to the end of the first frame."""
        return self.completions[0]

    @property
    def interval(self) -> float:
        """Cycles between frames over the second half of the simulated frames (the first half fills the pipeline)."""
        middle, frames = second_half(len(self.completions))
        return (self.completions[-1] - self.completions[middle]) / frames if frames else float(self.latency)


def second_half(frames: int) -> tuple[int, int]:
    """Give the frame after which the interval is measured, and how many frames follow it."""
    middle = (frames - 1) // 2
    return middle, frames - 1 - middle


class DeadlockError(ToolError):
    """The graph stops with the given FIFO depths.

    `waiting`: (node, stream, how) of the cycle of nodes that wait for each other, how being "reads" or "writes";
    `depths`: a depth for each full stream of the cycle that frees it.
    """

    passing = False

    def __init__(self, message: str, waiting: tuple[tuple[str, str, str], ...], depths: Mapping[str, int]) -> None:
        super().__init__(message)
        self.waiting = waiting
        self.depths = depths


@dataclass(frozen=True)
class Simulator:
    """A folded graph (lanes on every stream, one reader each) made ready to be simulated many times.

    `in_place`: streams that are none in hardware, simulated with a beat or two always ready. `style`: of the nodes'
    pipelines. `tail`: frames that come after those that a run looks at, because a pipeline that stands still keeps the end
    of the last one. `skipping`: whether a run skips the periods in which the whole graph does the same again; what it gives
    is the same either way.
    """

    graph: Graph
    layout: Layout
    in_place: frozenset[str]
    style: Style = "flushing"
    tail: int = 0
    skipping: bool = True

    @staticmethod
    def of(folded: Folded, style: Style = "flushing", deeper: int = 0, *, streams: Set[str] | None = None) -> Simulator:
        """Lay out the access patterns of all nodes, the host at both ends included.

        `style`: of the nodes' pipelines; `deeper`: cycles of depth beyond those of its implementation, one cycle at least.
        `streams`: only these are simulated, with the nodes at their ends; on any other a beat is always there, and room.
        """
        tables = layout(folded, style, deeper, streams)
        tail = tables.tail if style == "stalling" else 0
        return Simulator(folded.graph, tables, frozenset(folded.in_place), style, tail)

    @property
    def slowest_cycles(self) -> int:
        """Cycles of the slowest node for a frame: with FIFOs deep enough the interval is this."""
        return int((self.layout.nodes[:, 0] * self.layout.nodes[:, 1]).max())

    def paced(self, interval: int) -> Simulator:
        """Give the same graph a host that spreads the beats of a frame evenly over `interval` cycles.

        `interval`: at least the beats of an input frame.
        """
        return replace(self, layout=self.layout.paced(len(self.graph.inputs), interval))

    def run(self, depths: Mapping[str, int] | None, frames: int, *, to_end: bool = False) -> Timing:
        """Simulate `frames` frames with those FIFO depths, None for unbounded ones; see `simulate` and `attempt`."""
        timing, waits = self.attempt(depths, frames, to_end=to_end)
        if waits is not None:
            raise self._deadlock(depths or {}, frames, waits)
        return timing

    def frame_cycles(self, depths: Mapping[str, int]) -> int:
        """Count the cycles after which all nodes have ended a frame that is alone: the last output may leave long before.

        So it is where a pool drops the last pixels of a map. One cycle more than the nodes take.
        """
        timing, waits = self.attempt(depths, 1, to_end=True, to_rest=True)
        if waits is not None:
            raise self._deadlock(depths, 1, waits)
        return timing.cycles

    def attempt(
        self,
        depths: Mapping[str, int] | None,
        frames: int,
        *,
        slowest: float | None = None,
        to_end: bool = False,
        to_rest: bool = False,
    ) -> tuple[Timing, dict[str, tuple[str, str]] | None]:
        """Give the timing, and what each node waits for where the run stopped before its end.

        It stops at a deadlock, or as soon as its interval is certain to be above `slowest` (None: never). Unless it is to go
        on `to_end` it also stops where its frames repeat: completions and high-water marks are those of the whole run all
        the same, cycles and shares of the nodes those of what was simulated. `to_rest`: it goes on until no node moves.
        """
        fifos, tables = list(self.graph.streams), self.layout
        given = dict.fromkeys(fifos, UNBOUNDED) if depths is None else depths
        limits = [FIFO_DEPTH if name in self.in_place else given[name] for name in fifos]
        shallow = [(name, limit) for name, limit in zip(fifos, limits, strict=True) if limit < 1]
        if shallow:
            raise MuxflowError(f"timing: stream {shallow[0][0]} has a FIFO of depth {shallow[0][1]}; at least 1")
        if frames < 1:
            raise MuxflowError(f"timing: {frames} frames; simulate at least one")
        limit_array = np.array(limits, np.int64)
        completions = np.zeros(frames, np.int64)
        shares = np.zeros((len(tables.names), 3), np.int64)
        high_water = np.zeros(len(fifos), np.int64)
        waits = np.zeros(len(tables.names), np.int64)
        cycles = np.zeros(1, np.int64)
        middle, counted = second_half(frames)
        outcome = _library().muxflow_simulate(
            len(tables.names),
            _pointer(tables.nodes),
            _pointer(tables.ports),
            _pointer(tables.parts),
            _pointer(tables.runs),
            len(fifos),
            _pointer(limit_array),
            tables.sinks,
            frames,
            self.tail,
            middle,
            FOREVER if slowest is None else int(slowest * counted),
            self.skipping,
            2 if to_rest else to_end,
            _pointer(completions),
            _pointer(shares),
            _pointer(high_water),
            _pointer(waits),
            _pointer(cycles),
        )
        total = int(cycles[0])
        rows = zip(tables.names, shares, strict=True)
        timing = Timing(
            tuple(map(int, completions)),
            MappingProxyType({name: NodeTiming(*(float(part) / total for part in row)) for name, row in rows}),
            MappingProxyType(dict(zip(fifos, map(int, high_water), strict=True))),
            total,
            self.style,
        )
        if outcome == 0:
            return timing, None
        waiting = {
            name: (fifos[wait // 2], "writes" if wait % 2 else "reads")
            for name, wait in zip(tables.names, waits.tolist(), strict=True)
            if wait >= 0
        }
        return timing, waiting

    def ring(self, waits: Mapping[str, tuple[str, str]]) -> tuple[tuple[str, str, str], ...]:
        """Find nodes that wait for each other in what `attempt` says that each waits for: (node, stream, how) in turn."""
        ends = stream_ends(self.graph)
        web = nx.DiGraph()
        for node, (stream, how) in waits.items():
            web.add_edge(node, ends[stream][0 if how == "reads" else 1])
        return tuple((edge[0], *waits[edge[0]]) for edge in nx.find_cycle(web))

    def _deadlock(self, depths: Mapping[str, int], frames: int, waits: Mapping[str, tuple[str, str]]) -> DeadlockError:
        """Name the cycle of waiting nodes, and depths that free it: what its full FIFOs hold when they have no limit."""
        waiting = self.ring(waits)
        full = [stream for _, stream, how in waiting if how == "writes"]
        freed: dict[str, int] = {}
        raised = dict(depths)
        # Freeing one cycle can uncover the next one: raise full FIFOs until the simulation ends.
        while full:
            raised.update(dict.fromkeys(full, UNBOUNDED))
            timing, still = self.attempt(raised, frames)
            freed = {name: timing.high_water[name] for name, limit in raised.items() if limit == UNBOUNDED}
            full = [stream for stream, how in (still or {}).values() if how == "writes" and raised[stream] != UNBOUNDED]
        lines = "".join(f"\n  {line}" for line in told(waiting, depths))
        advice = ", ".join(f"{stream}: {depth}" for stream, depth in freed.items())
        return DeadlockError(
            f"{self.graph.name} deadlocks with these FIFO depths and {self.style} pipelines:{lines}\n"
            f"depths that free it: {advice}",
            waiting,
            freed,
        )


def told(waiting: Iterable[tuple[str, str, str]], depths: Mapping[str, int]) -> list[str]:
    """Say in words for what each node of a ring waits; `waiting`: as in DeadlockError."""
    return [
        f"{node} waits for {'data on' if how == 'reads' else 'room on'} {stream} (depth {depths[stream]})"
        for node, stream, how in waiting
    ]


def simulate(folded: Folded, depths: Mapping[str, int] | None, *, frames: int = 4, style: Style = "flushing") -> Timing:
    """Simulate `frames` frames of a folded graph.

    `depths`: FIFO depth of each stream in beats, None for unbounded ones; weight streams included. `style`: of the nodes'
    pipelines.
    Raises DeadlockError when nothing can move, MuxflowError for a depth under 1, ToolError without a compiler.
    """
    return Simulator.of(folded, style).run(depths, frames, to_end=True)


def have_compiler() -> bool:
    """Say whether the simulator can be built here."""
    return shutil.which(COMPILER) is not None


def _pointer(array: Longs) -> ctypes.Array[ctypes.c_int64]:
    return array.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))  # type: ignore[return-value]


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """Load the compiled simulator, built once a process; raises ToolError when there is no compiler."""
    compiler = shutil.which(COMPILER)
    if compiler is None:
        raise ToolError(f"{NO_COMPILER}: the timing simulation needs one ({INSTALL_COMPILER})")
    with scratch_folder() as folder:
        target = folder / "timing.so"
        command = [compiler, "-std=c++14", "-O2", "-shared", "-fPIC", "-o", str(target)]
        command.append(str(Path(__file__).parent / "timing.cpp"))
        done = compiled(command, folder, "the timing simulator")
        if done.returncode:
            raise ToolError("g++ failed on the timing simulator:\n" + first_errors(done.stderr))
        try:
            library = ctypes.CDLL(str(target))
            simulate = library.muxflow_simulate
        except (OSError, AttributeError) as error:
            why = runs_nothing(folder)
            remedy = "name another folder for temporary files in TMPDIR" if why else "see whether that compiler works"
            raise ToolError(
                f"the timing simulator, compiled by {compiler}, cannot be loaded ({plainly(error)}){why}; {remedy}"
            ) from None
    long, many = ctypes.c_int64, ctypes.POINTER(ctypes.c_int64)
    simulate.restype = ctypes.c_int64
    simulate.argtypes = [long, many, many, many, many, long, many, *[long] * 7, *[many] * 5]
    return library
