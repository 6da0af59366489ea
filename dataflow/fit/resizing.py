"""FIFOs of given folds: deepened until no pipelines can wait for each other, and sized anew for what a synthesis made."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from muxflow.dataflow.fit.deadlock import CHECKED_FRAMES, without_deadlock
from muxflow.dataflow.fit.design import Design, with_depths
from muxflow.dataflow.fit.fifo_sizing import SLACK, cut_fifos, size_fifos
from muxflow.dataflow.fit.folded import Folded
from muxflow.dataflow.fit.implementation import Adjusted, Cost
from muxflow.dataflow.fit.memory import full_depth
from muxflow.dataflow.fit.timing import Simulator
from muxflow.dataflow.fit.timing_layout import STYLES, Style
from muxflow.dataflow.op import Fold, Op, Ports

CUTS = 8
"""Simulations spent on cutting the FIFOs of a design that was chosen."""


@dataclass(frozen=True)
class PipelineTiming:
    """What a tool made of a node's pipeline: `depth` in cycles, and `interval`, the cycles between iterations."""

    depth: int
    interval: int


@dataclass(frozen=True, eq=False)
class ReportedImplementations(Adjusted):
    """A target's implementations, their pipelines as they were reported instead of as they are estimated."""

    pipelines: Mapping[tuple[Op, Ports, Fold], PipelineTiming]

    def adjusted(self, op: Op, ports: Ports, fold: Fold, cost: Cost) -> Cost:
        """Give the estimate, its depth and interval as reported where they were."""
        found = self.pipelines.get((op, ports, fold))
        return cost if found is None else replace(cost, depth=found.depth, interval=found.interval)


def with_pipelines(folded: Folded, pipelines: Mapping[str, PipelineTiming]) -> Folded:
    """Give a folded graph the pipelines, by node, that a tool reported.

    Nodes of equal op, ports and fold are the same hardware; where their reports differ, the longer figures count.
    """
    found: dict[tuple[Op, Ports, Fold], PipelineTiming] = {}
    for node in folded.graph.nodes:
        if node.name in pipelines:
            key = node.op, folded.graph.ports(node), folded.folds[node.name]
            one, other = pipelines[node.name], found.get(key, pipelines[node.name])
            found[key] = PipelineTiming(max(one.depth, other.depth), max(one.interval, other.interval))
    return replace(folded, implementations=ReportedImplementations(folded.implementations, MappingProxyType(found)))


def deadlocks(design: Design) -> dict[Style, tuple[tuple[str, str, str], ...]]:
    """Find the styles of pipelines with which the design stops for ever, each with its ring of waiting nodes.

    A ring is as in `DeadlockError`. Pipelines are as deep as the design's implementations say.
    """
    found: dict[Style, tuple[tuple[str, str, str], ...]] = {}
    for style in STYLES:
        simulator = Simulator.of(design.folded, style)
        _, waits = simulator.attempt(design.depths, CHECKED_FRAMES)
        if waits is not None:
            found[style] = simulator.ring(waits)
    return found


def secure(design: Design, allowed: float, known: Mapping[str, int] | None = None) -> Design:
    """Raise FIFO depths until no pipelines wait for each other for ever, then to what their primitives hold anyway.

    `allowed`: the interval that the deeper ones may not exceed. `known`: depths of the same folds that were raised so.
    A design without a simulation stays as it is.
    """
    if design.timing is None:
        return design
    simulator, frames = Simulator.of(design.folded), len(design.timing.completions)
    depths = without_deadlock(design.folded, design.depths, known)
    safe = design if depths == design.depths else with_depths(design, depths, None)
    full = {**depths, **{name: full_depth(placed) for name, placed in safe.fifos.items()}}
    filled = with_depths(design, full, None)
    timing = simulator.run(full, frames) if filled.resources == safe.resources else None
    if timing is not None and timing.interval <= allowed:
        return replace(filled, timing=timing)
    if safe is design:
        return design
    needed = simulator.run(depths, frames)
    if timing is not None and timing.interval <= needed.interval:
        return replace(filled, timing=timing)
    return replace(safe, timing=needed)


def without_margins(design: Design) -> Design:
    """Give a design of the same folds and interval the FIFOs that suffice when every pipeline becomes as estimated.

    None of them is deeper than the design's own where a simulation shows that this keeps the interval. What is more in the
    design itself is what its margins cost; both are placed by `place`. A design without a simulation has no margins and
    stays as it is.
    """
    if design.timing is None:
        return design
    interval = design.timing.interval
    # An interval within SLACK of the slowest node's is what FIFOs are sized for where no other is asked for.
    bare = size_fifos(design.folded, interval=interval if interval > design.slowest_cycles * SLACK else 0, margin=0)
    depths = {name: min(depth, design.depths[name]) for name, depth in bare.depths.items()}
    frames = len(bare.timing.completions)
    timing, waits = Simulator.of(design.folded).attempt(depths, frames, slowest=bare.allowed_interval)
    return with_depths(design, depths, timing) if waits is None else with_depths(design, bare.depths, bare.timing)


def resized(design: Design) -> Design:
    """Fit the FIFOs of a design anew, its folds kept, for the pipelines that its implementations have now.

    Raises ToolError without a C++ compiler: the sizes come from cycle simulations.
    """
    sizing = cut_fifos(design.folded, size_fifos(design.folded), cuts=CUTS)
    return secure(with_depths(design, sizing.depths, sizing.timing), sizing.allowed_interval)
