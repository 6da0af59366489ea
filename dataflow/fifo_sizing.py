"""FIFO depths by cycle simulation: no deeper than the steady-state interval needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from muxflow.dataflow.graph import Graph
from muxflow.dataflow.op import Fold, Loop
from muxflow.dataflow.timing import UNBOUNDED, DeadlockError, Simulator, Timing

SHALLOW = 2
"""Depth of an edge that needs no buffer: enough for a beat every cycle."""

SLACK = 1.001
"""An interval within a thousandth of the best one counts as kept: pipeline fill makes single frames vary by cycles."""


@dataclass(frozen=True)
class Sizing:
    """Depths of all streams in beats, the simulation that proves them, and the interval of unbounded FIFOs."""

    depths: Mapping[str, int]
    timing: Timing
    best_interval: float
    simulations: int


def frames_in_flight(simulator: Simulator) -> int:
    """Frames that the pipeline works on at once when nothing holds it up, at least 1 and at most 20."""
    alone = simulator.run(None, 1).latency
    slowest = int((simulator.nodes[:, 0] * simulator.nodes[:, 1]).max())
    return min(20, -(-alone // slowest))


def steady_state(graph: Graph, folds: Mapping[str, Fold], depths: Mapping[str, int]) -> Timing:
    """A simulation with those depths that is long enough for the interval to be steady.

    Raises DeadlockError when the depths make the graph stop.
    """
    simulator = Simulator.of(graph, folds)
    return simulator.run(depths, frames_in_flight(simulator) + 4)


def size_fifos(
    graph: Graph,
    folds: Mapping[str, Fold],
    *,
    simulations: int = 10,
    progress: Callable[[str], None] | None = None,
) -> Sizing:
    """Depths that keep the steady-state interval of unbounded FIFOs, proved by a last simulation with exactly them.

    Few edges need more than a register: those into a join, which wait for the other branch, those into a sliding window,
    which reads whole rows in a burst, and sometimes those into other nodes that read in bursts. A run in which these are
    unbounded and all others shallow tells what they hold at most; should it be too slow, all edges are unbounded.

    Then each FIFO, the one with most bits first, is cut by bisection while the interval stays, to a sixteenth of its
    depth, until `simulations` runs are used up: the depths always suffice, and are near the smallest ones where the
    runs suffice. Frames in a run: as many as are in flight at once, and four more.
    """
    simulator = Simulator.of(graph, folds)
    frames = frames_in_flight(simulator) + 4
    count = 0

    def run(depths: Mapping[str, int] | None) -> Timing | None:
        nonlocal count
        count += 1
        if progress:
            progress(f"FIFO depths: simulation {count}")
        try:
            return simulator.run(depths, frames)
        except DeadlockError:
            return None

    free = run(None)
    assert free is not None

    def kept(timing: Timing | None) -> bool:
        return timing is not None and timing.interval <= free.interval * SLACK

    loops = {node.name: node.op.loop(graph.ports(node), folds[node.name]) for node in graph.nodes}
    timing, deep = free, set(graph.streams)
    for chosen in (_deep_edges(graph, loops, bursts=False), _deep_edges(graph, loops, bursts=True)):
        attempt = run({name: UNBOUNDED if name in chosen else SHALLOW for name in graph.streams})
        if attempt is not None and kept(attempt):
            timing, deep = attempt, chosen
            break
    depths = {name: max(SHALLOW, timing.high_water[name]) if name in deep else SHALLOW for name in graph.streams}
    proved = run(depths)
    assert proved is not None

    for name in sorted(deep, key=lambda name: (-depths[name] * graph.streams[name].beat_bits, name)):
        # Invariant: depth `high` keeps the interval, depth `low` does not (or is none).
        low, high = 0, depths[name]
        guess = SHALLOW
        while high - low > max(1, high // 16) and high > SHALLOW and count < simulations:
            attempt = run({**depths, name: guess})
            if attempt is not None and kept(attempt):
                high, proved = guess, attempt
            else:
                low = guess
            guess = (low + high) // 2
        depths[name] = high
    return Sizing(depths, proved, free.interval, count)


def _deep_edges(graph: Graph, loops: Mapping[str, Loop], *, bursts: bool) -> set[str]:
    """Data edges into joins and sliding windows; with `bursts` also those into every node that pauses its reading."""
    deep: set[str] = set()
    for node in graph.nodes:
        data = [name for name in node.inputs if graph.streams[name].constant is None]
        pauses = any(pattern.beats != pattern.trips for pattern in loops[node.name].reads)
        if len(data) > 1 or (data and node.op.follows == "consumer") or (bursts and pauses):
            deep.update(data)
    return deep
