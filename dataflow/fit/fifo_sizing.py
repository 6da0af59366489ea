"""FIFO depths by cycle simulation: what the interval needs, with margins for what a tool makes of the pipelines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from muxflow.dataflow.fit.folded import FIFO_DEPTH, Folded, frame_edges
from muxflow.dataflow.fit.timing import UNBOUNDED, Simulator, Timing
from muxflow.dataflow.op import Role

SLACK = 1.001
"""An interval within a thousandth of the best one counts as kept: pipeline fill makes single frames vary by cycles."""

AHEAD = (0, 1, 4, UNBOUNDED)
"""How many vectors a sliding window may run ahead of its reader, tried in turn."""

MARGIN = 4
"""Cycles by which a tool may make each pipeline deeper than the estimate, with the interval kept within MARGIN_SLACK."""

MARGIN_SLACK = 1.01


@dataclass(frozen=True)
class Sizing:
    """Depths of all streams in beats, the simulation that proves them, and the interval that they had to keep."""

    depths: Mapping[str, int]
    timing: Timing
    allowed_interval: float


@dataclass(frozen=True)
class _Proof:
    """What depths must keep: the interval, with pipelines as estimated and with deeper ones."""

    nominal: Simulator
    deeper: Simulator
    frames: int
    allowed: float

    @staticmethod
    def of(folded: Folded, margin: int, sizing: Sizing | None = None) -> _Proof:
        """Keep what a sizing had to keep; without one the slowest node's interval.

        Simulated are the frames of the sizing, or as many as are in flight at once, and four more.
        """
        nominal = Simulator.of(folded)
        deeper = Simulator.of(folded, deeper=margin) if margin else nominal
        if sizing is not None:
            return _Proof(nominal, deeper, len(sizing.timing.completions), sizing.allowed_interval)
        return _Proof(nominal, deeper, frames_in_flight(deeper) + 4, nominal.slowest_cycles * SLACK)

    def timing(self, depths: Mapping[str, int]) -> Timing | None:
        """Give the timing with the estimated pipelines; None where the depths deadlock or are too slow."""
        if self.deeper is self.nominal:
            return _kept(self.nominal, depths, self.frames, self.allowed)
        with ThreadPoolExecutor(1) as thread:
            deeper = thread.submit(_kept, self.deeper, depths, self.frames, self.allowed * MARGIN_SLACK)
            timing = _kept(self.nominal, depths, self.frames, self.allowed)
            return timing if deeper.result() is not None else None

    def after_cut(
        self, depths: Mapping[str, int], cut: str, latest: Sequence[Timing | None]
    ) -> list[Timing | None] | None:
        """Give the timings with the estimated and with the deeper pipelines; None where the depths are too small.

        `latest`: the timings that were before the FIFO of stream `cut` was cut to the depth that it has now, where they are
        known. One in which its writer would not have waited at this depth either stays as it is.
        """
        runs = (self.nominal, self.allowed), (self.deeper, self.allowed * MARGIN_SLACK)
        timings: list[Timing | None] = []
        for (simulator, allowed), timing in zip(runs, latest, strict=True):
            if timing is None or timing.high_water[cut] > depths[cut]:
                timing = _kept(simulator, depths, self.frames, allowed)
            if timing is None:
                return None
            timings.append(timing)
        return timings


def frames_in_flight(simulator: Simulator) -> int:
    """Count the frames that the pipeline works on at once when nothing holds it up, at least 1 and at most 20."""
    return min(20, -(-simulator.run(None, 1).latency // simulator.slowest_cycles))


def size_fifos(
    folded: Folded,
    *,
    interval: float = 0,
    margin: int = MARGIN,
    fits: Callable[[Mapping[str, int]], bool] = lambda _depths: True,
) -> Sizing:
    """Find depths that keep an interval, the slowest node's or `interval` where that is longer, proved by simulations.

    A host that offers its beats evenly over the interval, and FIFOs without limit, show what each FIFO must hold; the
    same depths nearly always keep the interval with a host in more of a hurry, and another run proves that they do.
    FIFOs after weight sources and sliding windows stay shallow, because holding such a node up costs little but depth
    before it; where that is too slow, windows may run ahead by one vector of their reader, by four, and then without
    limit. Where even that is too slow (frames of a few beats, whose mean interval the fill of the pipeline moves) the
    depths are those at which no writer ever waits, and their interval is what is kept.

    `margin`: cycles by which each pipeline may turn out deeper than estimated; what FIFOs must hold is seen with them,
    and the proof is made without and with them. `without_deadlock` and `cut_fifos` go on from there. `fits`: says whether
    a design may have such depths; where it may not they need no proof, and come with the simulation that showed them.
    """
    graph = folded.graph
    proof = _Proof.of(folded, margin)
    slowest = proof.nominal.slowest_cycles
    if interval >= slowest:
        proof = replace(proof, allowed=interval)
    paced = proof.deeper.paced(max(slowest, int(interval)))
    weights = graph.weights()
    windows = _after_windows(folded)
    limits = dict.fromkeys(graph.streams, UNBOUNDED) | dict.fromkeys(weights, FIFO_DEPTH)
    for vectors in AHEAD:
        ahead = {name: min(UNBOUNDED, FIFO_DEPTH + vectors * run) for name, run in windows.items()}
        free = _kept(paced, limits | ahead, proof.frames, proof.allowed)
        if free is None:
            continue
        depths = _needed(free, limits | ahead)
        proved = proof.timing(depths) if fits(depths) else free
        if proved is not None:
            return Sizing(depths, proved, proof.allowed)
    # With both pipelines: those that are no deeper than estimated hold less, which FIFOs must then hold.
    free, deeper = (simulator.run(limits, proof.frames) for simulator in (proof.nominal, proof.deeper))
    needed = [_needed(timing, limits) for timing in (free, deeper)]
    depths = {name: max(one[name] for one in needed) for name in limits}
    timing = proof.nominal.run(depths, proof.frames)
    return Sizing(depths, timing, max(proof.allowed, timing.interval, deeper.interval))


def _needed(timing: Timing, limits: Mapping[str, int]) -> dict[str, int]:
    return {name: max(FIFO_DEPTH, min(limit, timing.high_water[name])) for name, limit in limits.items()}


def cut_fifos(folded: Folded, sizing: Sizing, *, cuts: int, margin: int = MARGIN) -> Sizing:
    """Cut the FIFOs of a sizing while its interval is kept: those with most bits first, those that hold a frame last.

    Each is cut by bisection to a sixteenth of its depth, until `cuts` trials are used up.
    """
    graph = folded.graph
    proof = _Proof.of(folded, margin, sizing)
    depths = dict(sizing.depths)
    latest: list[Timing | None] = [sizing.timing, None]
    held = frame_edges(graph)
    bits = {name: depths[name] * stream.beat_bits for name, stream in graph.streams.items()}
    weights = graph.weights()
    data = [name for name in graph.streams if name not in weights]
    for name in sorted(data, key=lambda name: (name in held, -bits[name], name)):
        # Invariant: depth `high` keeps the interval, depth `low` does not (or is none).
        low, high, guess = 0, depths[name], FIFO_DEPTH
        while high > FIFO_DEPTH and high - low > max(1, high // 16) and cuts > 0:
            cuts -= 1
            timings = proof.after_cut({**depths, name: guess}, name, latest)
            if timings is None:
                low = guess
            else:
                high, latest = guess, timings
            guess = (low + high) // 2
        depths[name] = high
    assert latest[0] is not None
    return Sizing(depths, latest[0], sizing.allowed_interval)


def _kept(simulator: Simulator, depths: Mapping[str, int], frames: int, allowed: float) -> Timing | None:
    """Return the timing with those depths, None where they deadlock or are too slow."""
    timing, waits = simulator.attempt(depths, frames, slowest=allowed)
    return None if waits is not None else timing


def _after_windows(folded: Folded) -> dict[str, int]:
    """Find the streams after sliding windows, width converters passed, each with the beats that its reader takes in one go."""
    graph = folded.graph
    found: dict[str, int] = {}
    for node in graph.nodes:
        names = [name for name in node.inputs if name in found]
        loop = folded.access(node)
        for name, pattern in zip(node.inputs, loop.reads, strict=True):
            if name in names and pattern.beats < pattern.trips:
                found[name] = pattern.longest
        after = node.op.role is Role.LAYOUT or (node.op.only_lanes and names)
        if after and node.outputs[0] not in graph.outputs:
            found[node.outputs[0]] = 1
    return found
