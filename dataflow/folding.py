"""Folding: how parallel each node is, so that the slowest node is as fast as the budget allows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from muxflow.dataflow.design import Design, build_design, reads_follower
from muxflow.dataflow.device import Device, Resources, Utilisation
from muxflow.dataflow.errors import BudgetError, GraphError
from muxflow.dataflow.graph import Graph, Node
from muxflow.dataflow.memory import Memory, place
from muxflow.dataflow.op import STREAM_BITS_LIMIT, UNROLL_LIMIT, Fold, Ports
from muxflow.dataflow.passes import insert_forks

PRICES = (60.0, 150.0, 20.0, 400.0, 0.0, 1e6)
"""LUTs that a block RAM is worth, tried in turn: a low price fills block RAM, a high one spares it; the last two are
the ends, where everything that can goes to one side."""


@dataclass(frozen=True)
class Candidate:
    """One fold of a leading node together with its followers: cycles of the slowest of them, and what they take."""

    fold: Fold
    cycles: int
    logic: Resources
    memories: tuple[Memory, ...]


@dataclass(frozen=True)
class Option:
    """A candidate with its memories placed."""

    fold: Fold
    cycles: int
    resources: Resources


def candidates(graph: Graph, node: Node) -> list[Candidate]:
    """Every fold of a leading node that the tools' limits allow."""
    producers = graph.producers()
    group = [node]
    for name in node.inputs:
        behind = producers.get(name)
        if behind is not None and behind.op.follows == "consumer":
            group.append(behind)
    found = []
    for fold in node.op.folds(graph.ports(node)):
        if node.op.interleaved(fold) and not reads_follower(graph, node):
            continue
        cycles = 0
        total = Resources()
        memories: list[Memory] = []
        for member in group:
            ports = graph.ports(member)
            if not _allowed(member, ports, fold):
                break
            cycles = max(cycles, member.op.loop(ports, fold).cycles)
            logic = member.op.logic(ports, fold)
            total += Resources(logic.lut, logic.ff, 0, logic.dsp)
            memories += member.op.memories(ports, fold)
        else:
            found.append(Candidate(fold, cycles, total, tuple(memories)))
    return found


def options(found: Sequence[Candidate], price: float) -> list[Option]:
    """The candidates that no other one beats in cycles and cost at a price of block RAM, slowest first."""
    placed = []
    for candidate in found:
        total = candidate.logic
        for memory in candidate.memories:
            home = place(memory, price)
            total += Resources(home.lut, home.ff, home.bram18, 0)
        placed.append(Option(candidate.fold, candidate.cycles, total))
    best: list[Option] = []
    for option in sorted(placed, key=lambda o: (_cost(o.resources, price), o.cycles)):
        if not best or option.cycles < best[-1].cycles:
            best.append(option)
    return best


def _allowed(node: Node, ports: Ports, fold: Fold) -> bool:
    try:
        lanes_in, lanes_out = node.op.lanes(ports, fold)
    except GraphError:
        # A follower that cannot keep up with this fold of its reader.
        return False
    widest = max(
        (stream.bits * lanes for stream, lanes in zip(ports.inputs + ports.outputs, lanes_in + lanes_out, strict=True)),
        default=0,
    )
    return widest <= STREAM_BITS_LIMIT and node.op.unrolled(ports, fold) <= UNROLL_LIMIT


def _cost(resources: Resources, price: float) -> float:
    return resources.lut + price * resources.bram18 + 50 * resources.dsp


def fit(
    graph: Graph,
    *,
    device: Device,
    board: str,
    clock_mhz: float,
    utilisation: Utilisation | None = None,
    progress: Callable[[str], None] | None = None,
) -> Design:
    """The fastest design that this search finds inside the device's budget (by the resource estimate).

    For each price of block RAM, the smallest interval is searched by bisection over the cycles that any fold of any
    node can have; every node takes its cheapest fold that is as fast. The whole design, FIFOs and width converters
    included, must fit; a fold's cost leaves out the width converters that it causes, so a design near the edge of the
    budget can be a step slower than the best. Among the prices the smallest interval wins, then the smallest share of
    LUTs plus block RAMs.

    Raises BudgetError with the smallest design's needs, and what binds, when nothing fits.
    """
    utilisation = utilisation or Utilisation()
    budget = device.budget(utilisation)
    forked = insert_forks(graph)
    found = {node.name: candidates(forked, node) for node in forked.nodes if node.op.follows != "consumer"}
    stuck = [name for name, row in found.items() if not row]
    if stuck:
        raise BudgetError(f"{stuck[0]}: every fold is over the tools' limits on stream width and unrolled work")
    # No design is faster than its slowest node at that node's fastest fold.
    floor = max((min(candidate.cycles for candidate in row) for row in found.values()), default=1)
    targets = sorted({floor} | {max(floor, candidate.cycles) for row in found.values() for candidate in row})
    best: Design | None = None
    smallest: Design | None = None
    for price in PRICES:
        choices = {name: options(row, price) for name, row in found.items()}

        def attempt(target: int, choices: dict[str, list[Option]] = choices, price: float = price) -> Design | None:
            chosen = {name: next(o for o in row if o.cycles <= target) for name, row in choices.items()}
            total = sum((option.resources for option in chosen.values()), Resources())
            if total.exceeds(budget) and target != targets[-1]:
                return None
            if progress:
                progress(f"folding: {target} cycles a frame, a block RAM at {price:.0f} LUTs")
            return build_design(
                forked,
                {name: option.fold for name, option in chosen.items()},
                device=device,
                board=board,
                clock_mhz=clock_mhz,
                utilisation=utilisation,
                lut_per_bram18=price,
            )

        # Invariant: targets from `high` on fit, those before `low` do not (a slower design is never larger).
        low, high = 0, len(targets)
        if best is not None:
            high = bisect_right(targets, best.interval)
        while low < high:
            middle = (low + high) // 2
            design = attempt(targets[middle])
            if design is not None and not design.resources.exceeds(budget):
                high = middle
                if best is None or (design.interval, _load(design, budget)) < (best.interval, _load(best, budget)):
                    best = design
            else:
                low = middle + 1
                if design is not None and (
                    smallest is None or design.resources.share(budget) < smallest.resources.share(budget)
                ):
                    smallest = design
    if best is None:
        assert smallest is not None
        raise BudgetError(_nearest(smallest, budget))
    return best


def _load(design: Design, budget: Resources) -> float:
    used = design.resources
    return used.lut / max(1, budget.lut) + used.bram18 / max(1, budget.bram18)


def _nearest(design: Design, budget: Resources) -> str:
    binding = ", ".join(design.resources.exceeds(budget))
    return (
        f"{design.graph.name} does not fit {design.board}: the nearest folding needs {design.resources} (estimate); "
        f"the budget is {budget}. {binding} binds: it needs {design.resources.share(budget):.2f} times the budget. "
        "Raise the utilisation, choose a larger board (`muxflow boards`), or make the network smaller"
    )
