"""Fitting: folds, FIFO depths and memories solved together, so that the whole design is inside the budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from muxflow.dataflow.errors import BudgetError
from muxflow.dataflow.fit.design import Design, place, with_depths
from muxflow.dataflow.fit.device import Device, Utilisation, check_clock
from muxflow.dataflow.fit.fifo_sizing import SLACK, Sizing, cut_fifos, size_fifos
from muxflow.dataflow.fit.folded import fold_graph
from muxflow.dataflow.fit.goal import Asked, Goal, check_slowdown
from muxflow.dataflow.fit.held import expected_elements, held_elements
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.fit.resizing import CUTS, secure
from muxflow.dataflow.fit.schedule import fifo_depths
from muxflow.dataflow.fit.search import Search
from muxflow.dataflow.fit.solver import Solution
from muxflow.dataflow.fit.timing import Timing
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.spec import check, check_network
from muxflow.dataflow.op import Fold

ROUNDS = 4
"""How often folds are solved again with what the sized FIFOs really hold, to become faster."""

PATIENCE = 12
"""How often at most until something fits."""

Progress = Callable[[str], None]


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
    clock_mhz, slowdown = check_clock(clock_mhz), check_slowdown(slowdown)
    goal = goal or Goal()
    utilisation = utilisation or Utilisation()
    budget = device.allowance(utilisation)
    forked = insert_forks(check_network(check(graph)))
    whole = device.allowance(utilisation.whole)
    search = Search(forked, implementations, goal, clock_mhz, budget, whole)
    asked = Asked(goal, slowdown)
    tell = progress or (lambda _text: None)

    def sized(solution: Solution) -> Design:
        """Build the folded design with FIFO depths and placed memories."""
        folded = fold_graph(forked, solution.folds, implementations)

        def placed(depths: Mapping[str, int], timing: Timing | None = None) -> Design:
            deep = folded.with_depths(depths)
            return place(
                deep,
                device=device,
                board=board,
                clock_mhz=clock_mhz,
                utilisation=utilisation,
                timing=timing,
                asked=asked,
            )

        if not simulated:
            return placed(fifo_depths(folded))
        found = size_fifos(
            folded,
            interval=search.allowed(solution.cycles, slowdown),
            fits=lambda depths: not placed(depths).resources.exceeds(budget),
        )
        return placed(found.depths, found.timing)

    def longest(design: Design) -> float:
        """Give the interval that FIFOs may not make longer."""
        return search.allowed(design.slowest_cycles, slowdown) or design.slowest_cycles * SLACK

    def secured(design: Design) -> Design:
        """Give a design the FIFOs that no pipelines wait on for ever."""
        return secure(design, longest(design))

    best, held = in_rounds(search, sized, secured, tell)
    if best is None:
        raise BudgetError(search.failure(held, board, nearest, device.spent(utilisation)))
    if best.timing is not None:
        tell("FIFO depths: cutting")
        fifos = cut_fifos(best.folded, Sizing(best.depths, best.timing, longest(best)), cuts=CUTS)
        cut = with_depths(best, fifos.depths, fifos.timing)
        cut = secure(cut, longest(cut), best.depths)
        if not cut.resources.exceeds(budget) and search.meets(cut) and search.rank(cut) < search.rank(best):
            best = cut
    return best


def in_rounds(
    search: Search, sized: Callable[[Solution], Design], secured: Callable[[Design], Design], tell: Progress
) -> tuple[Design | None, Mapping[str, int]]:
    """Solve and size in turn, and give the best design with what its FIFOs hold; None where none fits.

    `sized`: builds a design with the FIFOs that its interval needs; `secured`: gives it those that deadlocks need.
    """
    held: Mapping[str, int] = expected_elements(search.graph)
    best: Design | None = None
    sized_before: list[Mapping[str, Fold]] = []
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
        if best is not None and solution.folds in sized_before:
            break  # the same design again
        sized_before.append(solution.folds)
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
