"""What the layers of a design do with their time: a cycle simulation, and one frame alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.schedule import schedule
from muxflow.dataflow.fit.timing import NodeTiming, Timing, have_compiler, simulate
from muxflow.dataflow.limits import MOST_ELEMENTS
from muxflow.reports.schema.rows import Activity

FRAMES = 8
"""Frames over which shares are taken, after as many that fill the pipeline (decision)."""


@dataclass(frozen=True)
class Pipeline:
    """By node: shares of the cycles of a simulation, empty without a compiler; first read and last write of a frame alone.

    `source`: what both come from, in words.
    """

    shares: Mapping[str, NodeTiming]
    frame: Mapping[str, tuple[int, int]]
    source: str


def watch(design: Design) -> Pipeline | None:
    """Simulate a few frames at the design's FIFO depths, or one where they do not overlap; schedule one with unbounded FIFOs.

    None for a design whose schedule would fill the memory: one number an iteration.
    """
    if sum(stream.beats for stream in design.graph.streams.values()) > MOST_ELEMENTS // 8:
        return None
    shares: Mapping[str, NodeTiming] = {}
    said = "one frame: estimate, FIFOs unbounded"
    if have_compiler() and design.apart is not None:
        shares = _simulated(design, 1).nodes
        said = f"shares: cycle simulation of one frame, as frames do not overlap; {said}"
    elif have_compiler():
        shares = _steady(design)
        said = f"shares: cycle simulation of {FRAMES} frames after {FRAMES} others; {said}"
    times = schedule(design.folded, timed=True)
    frame = {}
    for node in design.graph.nodes:
        begins = [int(times.reads[name][0]) for name in node.inputs if name in times.reads]
        ends = [int(times.writes[name][-1]) for name in node.outputs if name in times.writes]
        if begins and ends:
            frame[node.name] = min(begins), max(ends) + 1
    return Pipeline(shares, frame, said)


def _steady(design: Design) -> dict[str, NodeTiming]:
    """Give the shares between the ends of two simulations, so that filling and emptying the pipeline count in neither."""
    few, many = (_simulated(design, frames) for frames in (FRAMES, 2 * FRAMES))

    def share(node: str, name: str) -> float:
        more, less = (timing.cycles * float(getattr(timing.nodes[node], name)) for timing in (many, few))
        return min(1.0, max(0.0, round((more - less) / (many.cycles - few.cycles), 6)))

    names = ("busy", "starved", "blocked")
    return {node: NodeTiming(*(share(node, name) for name in names)) for node in many.nodes}


def _simulated(design: Design, frames: int) -> Timing:
    """Simulate frames with the pipelines that the design's own cycles are of."""
    style = "flushing" if design.timing is None else design.timing.style
    return simulate(design.folded, design.depths, frames=frames, style=style)


def layer_activity(design: Design, layers: Mapping[str, str], pipeline: Pipeline) -> dict[str, Activity]:
    """Give the activity of each layer: from its first read to its last write, with the shares of its slowest node."""
    found = {}
    for layer in dict.fromkeys(layers.values()):
        nodes = [node for node in design.graph.nodes if layers[node.name] == layer and node.name in pipeline.frame]
        if not nodes:
            continue
        slowest = max(nodes, key=design.cycles).name
        ends = [pipeline.frame[node.name] for node in nodes]
        shares = pipeline.shares.get(slowest)
        told = () if shares is None else (shares.busy, shares.starved, shares.blocked)
        found[layer] = Activity(min(start for start, _ in ends), max(end for _, end in ends), *told)
    return found
