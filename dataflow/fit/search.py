"""Which design of the solver a goal asks for, and why there is none."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from muxflow.dataflow.fit.binding import Binding, find_binding
from muxflow.dataflow.fit.ceiling import limit_of_folds
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.folded import fold_graph
from muxflow.dataflow.fit.goal import Goal
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.fit.schedule import schedule
from muxflow.dataflow.fit.solver import Solution, Solver
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.quantities import counted, rate, rounded, si

WORTH = 0.98
"""A design of the same interval is worth sizing when its shares of the budget are expected to be this much smaller."""


def fastest(solver: Solver, budget: Resources, *, at_least: int = 0, near: int | None = None) -> Solution | None:
    """Find the cheapest of the fastest designs within a budget, None when nothing fits.

    By bisection, as what is fast enough for an interval is so for every longer one; `near`: an interval to begin at.
    """
    intervals = [cycles for cycles in solver.intervals() if cycles >= at_least]
    if near is None and (not intervals or solver.excludes(intervals[-1], budget)):
        return None
    best = None
    # Invariant: intervals from `high` on fit, those before `low` do not.
    low, high, stride = 0, len(intervals), 1
    middle = (low + high) // 2 if near is None else min(bisect_left(intervals, near), high - 1)
    while low < high:
        found = solver.solve(intervals[middle], budget)
        if found is None:
            low = middle + 1
        else:
            best, high = found, middle
        # Near the guess small increments, which grow.
        middle = (low + high) // 2 if near is None or found is None else max(low, high - stride)
        stride *= 4
    return best


class Search:
    """Which solution of the solver a goal asks for.

    `budget`: what an estimate may come to, `whole`: what it might where designs may use all of the device.
    """

    def __init__(
        self,
        graph: Graph,
        implementations: Implementations,
        goal: Goal,
        clock_mhz: float,
        budget: Resources,
        whole: Resources,
    ) -> None:
        self.graph = graph
        self.implementations = implementations
        self.goal = goal
        self.budget = budget
        self.whole = whole
        self.clock_mhz = clock_mhz
        self.interval = goal.interval(clock_mhz) or 0
        self.latency = goal.latency_cycles(clock_mhz)
        self._limit = self.interval
        self.floor = 0
        self._near: int | None = None
        self._missed: Design | None = None
        self._solver: Solver | None = None

    def solver(self, held: Mapping[str, int]) -> Solver:
        """Give the solver for what FIFOs hold; the one that was asked for last is kept."""
        if self._solver is None:
            self._solver = Solver(self.graph, self.implementations, held)
        elif self._solver.held != held:
            self._solver = self._solver.holding(held)
        return self._solver

    def solve(self, held: Mapping[str, int], best: Design | None) -> Solution | None:
        """Find the next design worth sizing; None when nothing fits, or nothing that is better than the best one by far."""
        solver = self.solver(held)
        if self.goal.fps is not None:
            found = solver.solve(self._limit, self.budget)
        elif self.latency is not None:
            found = self._within_latency(solver)
        else:
            found = fastest(solver, self.budget, at_least=self.floor, near=self._near)
        if found is None:
            return None
        self._near = found.cycles
        if best is not None:
            faster = self.goal == Goal() and found.cycles < best.slowest_cycles
            cheaper = found.resources.load(self.budget) < WORTH * best.resources.load(self.budget)
            if not (faster or (cheaper and found.cycles <= best.slowest_cycles)):
                return None
        return found

    def allowed(self, slowest: int, slowdown: float) -> float:
        """Give the interval that FIFOs may cause: that of the frame rate, or the slowest node's with the slowdown; 0 for none."""
        return self.interval or (slowest * (1 + slowdown / 100) if slowdown else 0.0)

    def meets(self, design: Design) -> bool:
        """Say whether the design, its FIFOs sized, reaches the goal; where not, the next one must be faster."""
        if self.goal.fps is not None and design.interval > self.interval:
            self._limit = min(self._limit, design.slowest_cycles) - 1
        elif self.latency is not None and design.latency > self.latency:
            self._limit = design.slowest_cycles - 1
        else:
            return True
        if self._missed is None or self._off(design) < self._off(self._missed):
            self._missed = design
        return False

    def _off(self, design: Design) -> int:
        """Give what a goal bounds, in cycles."""
        return design.interval if self.latency is None else design.latency

    def rank(self, design: Design) -> tuple[float, float]:
        """Rank a design, smaller is better: the interval where speed is asked for, then shares of the budget."""
        speed = design.interval if self.goal.fps is None and self.latency is None else 0
        return speed, design.resources.load(self.budget)

    def _within_latency(self, solver: Solver) -> Solution | None:
        """Find the design of the longest interval whose latency with unbounded FIFOs is short enough."""
        assert self.latency is not None
        intervals = [cycles for cycles in solver.intervals() if self._limit == 0 or cycles <= self._limit]
        best = None
        low, high = 0, len(intervals)
        while low < high:
            middle = (low + high) // 2
            found = solver.solve(intervals[middle], self.budget)
            if found is None:
                low = middle + 1
                continue
            if self._latency_of(found) <= self.latency:
                best, low = found, middle + 1
            else:
                high = middle
        return best

    def _latency_of(self, solution: Solution) -> int:
        return schedule(fold_graph(self.graph, solution.folds, self.implementations), timed=True).latency

    def failure(self, held: Mapping[str, int], board: str, exact: bool, gone: str = "") -> str:
        """Explain why there is no design: the nearest one that fits, or how far the smallest is from fitting.

        The nearest is one whose FIFOs were sized, where there is one, else the fastest folds. `exact`: search for the
        smallest; else a bound says how large any is. `gone`: what nothing is left of, and why (`Device.spent`).
        """
        solver = self.solver(held)
        name = self.graph.name
        nearest = fastest(solver, self.budget)
        if nearest is None:
            cycles = solver.intervals()[-1]
            binding = find_binding(solver, cycles, self.budget, self.whole)
            told = self._smallest(solver, binding, exact, gone)
            return f"{name} does not fit {board}: {told}. Remedy: {_larger(binding)}, or make the network smaller"
        if self.goal == Goal():
            return (
                f"{name} does not fit {board} with its FIFOs, at any rate: its fastest folds that fit take "
                f"{nearest.resources} without them (estimate); an estimate may come to {self.budget}. What FIFOs hold binds. "
                f"Remedy: {_larger(None)}, or make the network smaller, above all maps that wait beside a longer path"
            )
        asked = f"a latency of {si(self.goal.latency or 0, 's')}" if self.goal.fps is None else rate(self.goal.fps)
        return (
            f"{name} does not reach {asked} on {board}: {self._nearest(nearest)}; an estimate may come to {self.budget}. "
            f"{self._beyond(solver, nearest)}"
        )

    def _beyond(self, solver: Solver, nearest: Solution) -> str:
        """Say what keeps a design from being faster than the nearest point, and what to do."""
        least = solver.least()
        if least >= nearest.cycles:
            return (
                f"{_stops(solver, least)}. Remedy: lower the goal, raise the clock (--clock), or make the network smaller: a "
                "larger board does not help"
            )
        # No image takes less than the slowest node does, whatever a latency is.
        wanted = self.latency if self.goal.fps is None else self.interval
        unreached = wanted is not None and wanted < least
        faster = nearest.cycles - 1
        if self.goal.fps is not None and not unreached:
            faster = min(faster, self.interval)
        binding = find_binding(solver, faster, self.budget, self.whole)
        found = solver.smallest(faster, self.budget)
        assert found is not None
        binds = str(binding or "what its FIFOs hold binds")
        takes = f"takes {'more, such as ' if binding and binding.more else ''}{found[1].resources}"
        if not unreached:
            return f"{binds}: faster {takes}. Remedy: lower the goal, {_larger(binding)}, or make the network smaller"
        most = rate(self.clock_mhz * 1e6 / least)
        return (
            f"No folds reach it, whatever they take: the fastest do {most} ({counted(least, 'cycle')} a frame, estimate). "
            f"{_stops(solver, least)}. At the nearest point {binds}: faster {takes}. Remedy: lower the goal; towards {most} "
            f"{_larger(binding)}; beyond it raise the clock (--clock), or make the network smaller"
        )

    def _nearest(self, fast: Solution) -> str:
        """Say what the nearest point does and takes: a design whose FIFOs were sized, or the fastest folds that fit."""
        sized, how = self._missed, "estimate"
        if sized is not None and sized.timing is not None:
            how = "cycle simulation"
        cycles = fast.cycles if sized is None else sized.interval
        near = f"the nearest point that fits is {rate(self.clock_mhz * 1e6 / cycles)} ({counted(cycles, 'cycle')} a frame, {how})"
        if self.latency is not None:
            latency = self._latency_of(fast) if sized is None else sized.latency
            near += f" with a latency of {si(latency / self.clock_mhz / 1e6, 's')} ({how})"
        return f"{near} and takes {(fast if sized is None else sized).resources}"

    def _smallest(self, solver: Solver, binding: Binding | None, exact: bool, gone: str) -> str:
        """Say what the smallest folding takes, or a small one and a bound on all."""
        found = solver.smallest(solver.intervals()[-1], self.budget)
        assert found is not None
        bound, solution = found
        which, times = "a small folding", f"any needs at least {_times(bound)} the budget"
        if exact or bound <= 1:
            nearest = solver.nearest(solver.intervals()[-1], self.budget)
            assert nearest is not None
            solution = nearest
            which, times = (
                "the nearest folding",
                f"it needs {_times(nearest.resources.share(self.budget))} the budget",
            )
        over = solution.resources.exceeds(self.budget)
        if gone and any(not limit for name, limit in self.budget.items() if name in over):
            times = gone  # of nothing there is no multiple
        binds = str(binding or "what its FIFOs hold binds")
        return f"{which} needs {solution.resources} (estimate); an estimate may come to {self.budget}. {binds}: {times}"


def _stops(solver: Solver, cycles: int) -> str:
    """Say why no folds take fewer cycles a frame than the fewest."""
    limit = limit_of_folds(solver, cycles)
    return str(limit or "no fold within the tools' limits on stream width and unrolled work is faster")


def _times(share: float) -> str:
    """Say how many times a budget does not suffice: of hardly more than once, and of a budget of nothing, that it is more."""
    return "more than" if share <= 1 or rounded(share) == "1" else f"{rounded(share)} times"


def _larger(binding: Binding | None) -> str:
    """Say what of a board to use more of, as far as that helps."""
    share = "(--lut, --bram)" if binding is None else binding.share
    return f"choose a larger board (`muxflow boards`){f', raise the utilisation {share}' if share else ''}"
