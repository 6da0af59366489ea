"""Folding: how parallel each node is, so that the slowest node is as fast as the budget allows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from muxflow.dataflow.design import Design, build_design
from muxflow.dataflow.device import Device, Resources, Utilisation
from muxflow.dataflow.errors import BudgetError
from muxflow.dataflow.graph import Graph, Node
from muxflow.dataflow.memory import place
from muxflow.dataflow.op import STREAM_BITS_LIMIT, UNROLL_LIMIT, Fold, Ports
from muxflow.dataflow.passes import insert_forks

PRICES = (0.0, 20.0, 60.0, 120.0, 200.0, 400.0, 1000.0)
"""LUTs that a block RAM is worth, tried in turn: a low price fills block RAM, a high one spares it."""


@dataclass(frozen=True)
class Option:
    """One fold of a leading node together with its followers: cycles of the slowest of them and their resources."""

    fold: Fold
    cycles: int
    resources: Resources


def options(graph: Graph, node: Node, price: float) -> list[Option]:
    """The folds of a leading node that no other one beats in cycles and cost, slowest first."""
    producers = graph.producers()
    group = [node]
    for name in node.inputs:
        behind = producers.get(name)
        if behind is not None and behind.op.follows == "consumer":
            group.append(behind)
    found = []
    for fold in node.op.folds(graph.ports(node)):
        cycles = 0
        total = Resources()
        for member in group:
            ports = graph.ports(member)
            if not _allowed(member, ports, fold):
                break
            cycles = max(cycles, member.op.loop(ports, fold).cycles)
            logic = member.op.logic(ports, fold)
            total += Resources(logic.lut, logic.ff, 0, logic.dsp)
            for memory in member.op.memories(ports, fold):
                placed = place(memory, price)
                total += Resources(placed.lut, placed.ff, placed.bram18, 0)
        else:
            found.append(Option(fold, cycles, total))
    best: list[Option] = []
    for option in sorted(found, key=lambda o: (_cost(o.resources, price), o.cycles)):
        if not best or option.cycles < best[-1].cycles:
            best.append(option)
    return best


def _allowed(node: Node, ports: Ports, fold: Fold) -> bool:
    lanes_in, lanes_out = node.op.lanes(ports, fold)
    widest = max(
        (
            stream.bits * lanes
            for stream, lanes in zip(ports.inputs + ports.outputs, lanes_in + lanes_out, strict=True)
        ),
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
    """The fastest design of an imported graph that stays inside the device's budget (by the resource estimate).

    For each price of block RAM, the smallest interval is searched by bisection over the cycles that any fold of any
    node can have; every node takes its cheapest fold that is as fast. The whole design, FIFOs and width converters
    included, must fit. Among the prices the smallest interval wins, then the fewest LUTs.

    Raises BudgetError with the smallest design's needs, and what binds, when nothing fits.
    """
    utilisation = utilisation or Utilisation()
    budget = device.budget(utilisation)
    forked = insert_forks(graph)
    leaders = [node for node in forked.nodes if node.op.follows != "consumer"]
    best: Design | None = None
    smallest: Design | None = None
    for price in PRICES:
        if progress:
            progress(f"folding, a block RAM at {price:.0f} LUTs")
        choices = {node.name: options(forked, node, price) for node in leaders}
        stuck = [node for node in leaders if not choices[node.name]]
        if stuck:
            raise BudgetError(f"{stuck[0].name} ({stuck[0].op.kind}): every fold is over the tools' limits")
        targets = sorted({option.cycles for row in choices.values() for option in row})
        floor = max(min(option.cycles for option in row) for row in choices.values())
        targets = [target for target in targets if target >= floor]

        def attempt(target: int, choices: dict[str, list[Option]] = choices, price: float = price) -> Design:
            folds = {
                name: next(option.fold for option in row if option.cycles <= target) for name, row in choices.items()
            }
            return build_design(
                forked,
                folds,
                device=device,
                board=board,
                clock_mhz=clock_mhz,
                utilisation=utilisation,
                lut_per_bram18=price,
            )

        def quick(target: int, choices: dict[str, list[Option]] = choices) -> bool:
            total = Resources()
            for row in choices.values():
                total += next(option.resources for option in row if option.cycles <= target)
            return not total.exceeds(budget)

        low, high = 0, len(targets)
        while low < high:
            middle = (low + high) // 2
            if quick(targets[middle]):
                high = middle
            else:
                low = middle + 1
        # The quick sum leaves out FIFOs and converters: walk on until the whole design fits.
        for index in range(low, len(targets)):
            if best is not None and targets[index] > best.interval:
                break
            design = attempt(targets[index])
            if not design.resources.exceeds(budget):
                if best is None or (design.interval, design.resources.lut) < (best.interval, best.resources.lut):
                    best = design
                break
        if best is None:
            candidate = attempt(targets[-1])
            if smallest is None or _excess(candidate, budget) < _excess(smallest, budget):
                smallest = candidate
    if best is None:
        assert smallest is not None
        raise BudgetError(_nearest(smallest, budget))
    return best


def _excess(design: Design, budget: Resources) -> float:
    pairs = zip(design.resources.items(), budget.items(), strict=True)
    return max(used / max(1, limit) for (_, used), (_, limit) in pairs)


def _nearest(design: Design, budget: Resources) -> str:
    needs = ", ".join(f"{used} {name}" for name, used in design.resources.items())
    allows = ", ".join(f"{limit} {name}" for name, limit in budget.items())
    binding = ", ".join(design.resources.exceeds(budget))
    return (
        f"{design.graph.name} does not fit {design.board}: the nearest folding needs {needs} (estimate); "
        f"the budget is {allows}. {binding} binds: it needs {_excess(design, budget):.2f} times the budget. "
        "Raise the utilisation, choose a larger board (`muxflow boards`), or make the network smaller"
    )
