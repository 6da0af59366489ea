"""What a design could have been: interval against resources, and FIFO bits against slowdown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from muxflow.dataflow.fit.design import Design, with_depths
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.fifo_sizing import cut_fifos, size_fifos
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.fit.held import held_elements
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.fit.resizing import CUTS
from muxflow.dataflow.fit.search import fastest
from muxflow.dataflow.fit.solver import Solver
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.spec import check


@dataclass(frozen=True)
class FrontierPoint:
    """The cheapest folds for an interval in cycles, and what they take (estimate)."""

    interval: int
    resources: Resources


@dataclass(frozen=True)
class SlowdownPoint:
    """FIFOs that may slow a design down: the interval they are allowed, the one they have, their bits, all resources."""

    allowed: float
    interval: float
    fifo_bits: int
    resources: Resources


def slowdown_curve(design: Design, slowdown: float, *, points: int = 3) -> tuple[SlowdownPoint, ...]:
    """Set FIFO bits against interval at slowdowns from 0 to `slowdown` per cent of the slowest node's cycles.

    The folds of the design are kept.
    """
    found = []
    for index in range(points):
        allowed = design.slowest_cycles * (1 + slowdown / 100 * index / (points - 1))
        sized = size_fifos(design.folded, interval=allowed)
        sized = cut_fifos(design.folded, sized, cuts=CUTS)
        resized = with_depths(design, sized.depths, sized.timing)
        bits = sum(placed.memory.bits for placed in resized.fifos.values())
        found.append(SlowdownPoint(allowed, sized.timing.interval, bits, resized.resources))
    return tuple(found)


def design_frontier(design: Design, *, points: int = 12) -> tuple[FrontierPoint, ...]:
    """Set interval against resources inside a design's budget, with FIFOs that hold what its own do; see `frontier`."""
    graph, held = unfolded(design.graph), held_elements(design)
    return frontier(graph, design.folded.implementations, held, design.allowance, points=points)


def frontier(
    graph: Graph, implementations: Implementations, held: Mapping[str, int], budget: Resources, *, points: int = 12
) -> tuple[FrontierPoint, ...]:
    """Set interval against resources, fastest first: each point is the cheapest design of its interval within the budget.

    `held`: elements in the FIFOs of each stream (`held_elements` of a fitted design). Of all intervals about `points`
    are taken, evenly in proportion, to the one from which on nothing becomes cheaper. Estimates.
    """
    solver = Solver(insert_forks(check(graph)), implementations, held)
    first = fastest(solver, budget)
    if first is None:
        return ()
    intervals = [cycles for cycles in solver.intervals() if cycles >= first.cycles]
    ratio = (intervals[-1] / intervals[0]) ** (1 / max(1, points - 1))
    found = [FrontierPoint(first.cycles, first.resources)]
    for cycles in intervals:
        if cycles < found[-1].interval * ratio and cycles != intervals[-1]:
            continue
        solution = solver.solve(cycles, budget)
        assert solution is not None
        if solution.resources.load(budget) < found[-1].resources.load(budget):
            found.append(FrontierPoint(solution.cycles, solution.resources))
    return tuple(found)
