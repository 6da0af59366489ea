"""Fitting: folds, FIFO depths and memories solved together, so that the whole design is inside the budget."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from sys import float_info

from muxflow.dataflow.errors import BudgetError, UsageError
from muxflow.dataflow.fit.design import Design, place, with_depths
from muxflow.dataflow.fit.device import Device, Resources, Utilisation, check_clock
from muxflow.dataflow.fit.fifo_sizing import SLACK, Sizing, cut_fifos, size_fifos
from muxflow.dataflow.fit.folded import FIFO_DEPTH, converter_chains, fold_graph, frame_edges, unfolded
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.fit.resizing import CUTS, secure
from muxflow.dataflow.fit.schedule import fifo_depths, schedule
from muxflow.dataflow.fit.solver import Solution, Solver
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.spec import check, check_network
from muxflow.dataflow.limits import check_option
from muxflow.dataflow.op import Role

ROUNDS = 4
"""How often folds are solved again with what the sized FIFOs really hold, to become faster."""

PATIENCE = 12
"""How often at most until something fits."""

WORTH = 0.98
"""A design of the same interval is worth sizing when its shares of the budget are expected to be this much smaller."""

FEWEST_FPS, LONGEST_LATENCY = 1e-6, 1e6
"""Frames a second and seconds beyond which a goal is a mistake of units (decision), and its cycles no integer of 64 bits."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Goal:
    """What a design must reach: `fps` frames a second, `latency` seconds for one image, or neither: as fast as fits.

    Raises UsageError for both at once, and for a number that is not positive or beyond `FEWEST_FPS` or `LONGEST_LATENCY`.
    """

    fps: float | None = None
    latency: float | None = None

    def __post_init__(self) -> None:
        if self.fps is not None and self.latency is not None:
            raise UsageError("both a frame rate and a latency are asked for; give one of them")
        if self.fps is not None:
            remedy = f"it must be positive and finite, at least {FEWEST_FPS:g}"
            check_option(self.fps, FEWEST_FPS, float_info.max, "a goal of {} frames a second", remedy)
        if self.latency is not None:
            remedy = f"it must be positive, at most {LONGEST_LATENCY:g}"
            check_option(self.latency, float_info.min, LONGEST_LATENCY, "a goal of {} seconds of latency", remedy)


def check_slowdown(percent: float) -> None:
    """Raise UsageError for a slowdown outside 0 to 100 per cent."""
    check_option(percent, 0, 100, "a slowdown of {} %", "give one from 0 to 100")


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


def expected_elements(graph: Graph) -> dict[str, int]:
    """Estimate the elements that FIFOs hold before any was sized.

    A frame for a join whose select comes once a frame, a row before a sliding window.
    """
    held = {name: graph.streams[name].size for name in frame_edges(graph)}
    for node in graph.nodes:
        if node.op.role is Role.LAYOUT:
            for name in node.inputs:
                held[name] = graph.streams[name].size // graph.streams[name].shape[0]
    return held


def held_elements(design: Design) -> dict[str, int]:
    """Count the elements that the FIFOs of each stream can hold, counted to the stream before its width converters."""
    found: dict[str, int] = {}
    for start, chain in converter_chains(design.graph).items():
        deep = [
            design.depths[name] * design.graph.streams[name].lanes for name in chain if design.depths[name] > FIFO_DEPTH
        ]
        if deep:
            found[start] = max(deep)
    return found


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


def fit(
    graph: Graph,
    implementations: Implementations,
    *,
    device: Device,
    board: str,
    clock_mhz: float,
    utilisation: Utilisation | None = None,
    goal: Goal | None = None,
    slowdown: float = 0.0,
    simulated: bool = False,
    nearest: bool = False,
    progress: Progress | None = None,
) -> Design:
    """Find the best design for a goal inside the device's budget, FIFOs and width converters included (estimates).

    `goal`: without one, the smallest interval that fits, then the smallest load (`Resources.load`); for a frame
    rate, the cheapest design that reaches it; for a latency, the cheapest design of the longest interval at which it is
    reached. `simulated`: FIFO depths come from cycle simulation and the design carries it; otherwise
    they are conservative and cycles are estimates. `slowdown`: per cent that the interval may be above the slowest
    node's for the sake of smaller FIFOs; a frame rate already says how much. `nearest`: where nothing fits, search for the
    folding that comes nearest, which may take minutes; else a bound on all of them is given, and one that comes close.

    Folds are exact for the cost model of `Solver`, in which every FIFO holds as many elements as it is expected to. The
    FIFOs of the design found are sized; what they hold is expected next time, until nothing becomes better or `ROUNDS`
    are over. Only designs whose own FIFOs fit are returned.

    The budget is `Device.allowance`. Raises BudgetError with the nearest point and what binds when the goal cannot be met,
    UsageError for a clock or a slowdown outside its range.
    """
    check_clock(clock_mhz)
    check_slowdown(slowdown)
    goal = goal or Goal()
    utilisation = utilisation or Utilisation()
    budget = device.allowance(utilisation)
    forked = insert_forks(check_network(check(graph)))
    search = _Search(forked, implementations, goal, clock_mhz, budget)
    tell = progress or (lambda _text: None)

    def sized(solution: Solution) -> Design:
        """Build the folded design with FIFO depths and placed memories."""
        folded = fold_graph(forked, solution.folds, implementations)
        timing = None
        if simulated:
            found = size_fifos(folded, interval=search.allowed(solution.cycles, slowdown))
            depths, timing = found.depths, found.timing
        else:
            depths = fifo_depths(folded)
        placed = folded.with_depths(depths)
        return place(placed, device=device, board=board, clock_mhz=clock_mhz, utilisation=utilisation, timing=timing)

    def longest(design: Design) -> float:
        """Give the interval that FIFOs may not make longer."""
        return search.allowed(design.slowest_cycles, slowdown) or design.slowest_cycles * SLACK

    def secured(design: Design) -> Design:
        """Give a design the FIFOs that no pipelines wait on for ever."""
        return secure(design, longest(design))

    best, held = _in_rounds(search, sized, secured, tell)
    if best is None:
        raise BudgetError(search.failure(held, board, nearest))
    if best.timing is not None:
        tell("FIFO depths: cutting")
        fifos = cut_fifos(best.folded, Sizing(best.depths, best.timing, longest(best)), cuts=CUTS)
        cut = secured(with_depths(best, fifos.depths, fifos.timing))
        if not cut.resources.exceeds(budget) and search.meets(cut) and search.rank(cut) < search.rank(best):
            best = cut
    return best


def _in_rounds(
    search: _Search, sized: Callable[[Solution], Design], secured: Callable[[Design], Design], tell: Progress
) -> tuple[Design | None, Mapping[str, int]]:
    """Solve and size in turn, and give the best design with what its FIFOs hold; None where none fits.

    `sized`: builds a design with the FIFOs that its interval needs; `secured`: gives it those that deadlocks need.
    """
    held: Mapping[str, int] = expected_elements(search.graph)
    best: Design | None = None
    tried = 0
    for turn in range(PATIENCE):
        if best is not None and turn >= ROUNDS:
            break
        tell(f"round {turn + 1}: folds")
        solution = search.solve(held, best)
        if solution is None and best is None and tried and search.goal == Goal():
            # What FIFOs hold at a high rate is too much for any design: begin anew with a slower one.
            held, search.floor, tried = expected_elements(search.graph), tried + 1 + tried // 4, 0
            continue
        if solution is None:
            break
        tried = solution.cycles
        tell(f"round {turn + 1}: FIFO depths for {solution.cycles} cycles a frame")
        design = sized(solution)
        fits = not design.resources.exceeds(search.budget)
        if fits and search.meets(design) and (best is None or search.rank(design) < search.rank(best)):
            design = secured(design)
            fits = not design.resources.exceeds(search.budget)
        needed = held_elements(design)
        if fits and search.meets(design):
            if best is None or search.rank(design) < search.rank(best):
                best = design
            held = needed
        elif best is not None:
            break
        elif not fits:
            # What they hold is expected from now on, the larger of two where that is not enough; after some rounds a
            # slower design is asked for as well.
            names = {*needed, *(held if turn else ())}
            held = {name: max(held.get(name, 0) if turn else 0, needed.get(name, 0)) for name in names}
            if turn + 1 >= ROUNDS:
                search.floor = solution.cycles + 1 + solution.cycles // 4
    return best, held


class _Search:
    """Which solution of the solver a goal asks for."""

    def __init__(
        self, graph: Graph, implementations: Implementations, goal: Goal, clock_mhz: float, budget: Resources
    ) -> None:
        self.graph = graph
        self.implementations = implementations
        self.goal = goal
        self.budget = budget
        self.clock_mhz = clock_mhz
        self.interval = 0 if goal.fps is None else int(clock_mhz * 1e6 / goal.fps * (1 + 1e-12))
        self.latency = None if goal.latency is None else goal.latency * clock_mhz * 1e6
        self._limit = self.interval
        self.floor = 0
        self._near: int | None = None
        self._solver: tuple[Mapping[str, int], Solver] | None = None

    def solver(self, held: Mapping[str, int]) -> Solver:
        """Give the solver for what FIFOs hold; the one that was asked for last is kept."""
        if self._solver is None or self._solver[0] != held:
            self._solver = held, Solver(self.graph, self.implementations, held)
        return self._solver[1]

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
            return False
        if self.latency is not None and design.latency > self.latency:
            self._limit = design.slowest_cycles - 1
            return False
        return True

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

    def failure(self, held: Mapping[str, int], board: str, exact: bool) -> str:
        """Explain why there is no design: the fastest one that fits, or how far the smallest is from fitting.

        `exact`: search for the smallest; else a bound says how large any is.
        """
        solver = self.solver(held)
        name = self.graph.name
        nearest = fastest(solver, self.budget)
        advice = "choose a larger board (`muxflow boards`), raise the utilisation, or make the network smaller"
        if nearest is None:
            return f"{name} does not fit {board}: {self._smallest(solver, exact)}. Remedy: {advice}"
        rate = self.clock_mhz * 1e6 / nearest.cycles
        near = f"the nearest point that fits is {rate:,.1f} frames/s ({nearest.cycles} cycles a frame, estimate)"
        faster = [cycles for cycles in solver.intervals() if cycles < nearest.cycles]
        asked = "a rate at which its FIFOs fit too"
        if self.latency is not None:
            asked = f"a latency of {self.goal.latency:g} s"
            near += f" with a latency of {self._latency_of(nearest) / self.clock_mhz / 1e6:.3g} s"
        elif self.goal.fps is not None:
            asked = f"{self.goal.fps:g} frames/s"
            faster = [max([1, *(cycles for cycles in faster if cycles <= self.interval)])]
        found = solver.smallest(faster[-1], self.budget) if faster else None
        beyond = found and found[1]
        if beyond is None:
            why = "no fold within the tools' limits on stream width and unrolled work is faster"
        else:
            binding = ", ".join(beyond.resources.exceeds(self.budget)) or "what its FIFOs hold"
            why = f"{binding} binds: faster takes {beyond.resources}"
        return (
            f"{name} does not reach {asked} on {board}: {near} and takes {nearest.resources}; an estimate may come "
            f"to {self.budget}. {why}. Remedy: lower the goal, {advice}"
        )

    def _smallest(self, solver: Solver, exact: bool) -> str:
        """Say what the smallest folding takes, or a small one and a bound on all."""
        found = solver.smallest(solver.intervals()[-1], self.budget)
        assert found is not None
        bound, solution = found
        which, times = "a small folding", f"any needs at least {bound:.2f} times the budget"
        if exact or bound <= 1:
            nearest = solver.nearest(solver.intervals()[-1], self.budget)
            assert nearest is not None
            solution = nearest
            which, times = (
                "the nearest folding",
                f"it needs {nearest.resources.share(self.budget):.2f} times the budget",
            )
        binding = ", ".join(solution.resources.exceeds(self.budget))
        return f"{which} needs {solution.resources} (estimate); an estimate may come to {self.budget}. {binding} binds: {times}"
