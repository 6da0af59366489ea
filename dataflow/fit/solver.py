"""The exact choice of folds: fewest resources under a budget, every node fast enough."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence, Set
from copy import copy
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from muxflow.dataflow.fit.axi import axi_lanes
from muxflow.dataflow.fit.candidates import Group, groups
from muxflow.dataflow.fit.device import AMOUNTS, MOST_AMOUNT, Resources
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.fit.labels import ROUNDING, cheapest_path, smallest_share
from muxflow.dataflow.fit.options import Connections, Options, amounts, end_options, within
from muxflow.dataflow.fit.trellis import Ints, Section, Trellis
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import Fold


@dataclass(frozen=True)
class Solution:
    """Folds of the leading nodes, and what the cost model says of them: cycles of the slowest node, resources."""

    folds: Mapping[str, Fold]
    cycles: int
    resources: Resources


class Solver:
    """The search for the folds of a graph (forks inserted) that take least of a budget and are fast enough.

    The cost model: logic and memories of every node under its fold (weight sources and sliding windows follow their
    reader), every memory in LUTs, in block RAM or in UltraRAM, the width converters that different beats on the two ends
    of a stream cause, the cycles of all these loops, and FIFOs: of depth 2, or deep enough for the elements in `held` (by
    stream), which do not depend on the folds. It is the model of `build_design` with those FIFO depths.

    Exact: `solve` returns the design of the smallest load (`Resources.load`) among all that have every resource
    within the budget and every node within the cycles, or None when there is none. Folds interact by the beats of
    the streams between them alone, so the choices are the paths of a layered graph whose states are the beats of the
    open streams; the constrained shortest path is found by Lagrangian bounds and labels that they cannot exclude.

    `folds`: the folds that a leading node may take, all legal ones where it is absent; `found`: the groups of the graph
    where they are known, and then those are the folds.
    Raises BudgetError when a node has no fold within the tools' limits.
    """

    def __init__(
        self,
        graph: Graph,
        implementations: Implementations,
        held: Mapping[str, int],
        *,
        folds: Mapping[str, Set[Fold]] | None = None,
        found: Sequence[Group] | None = None,
    ) -> None:
        self.graph = replace(graph, streams={name: one.without_meaning() for name, one in graph.streams.items()})
        self.implementations = implementations
        self.groups = _order(graph, groups(self.graph, implementations, folds) if found is None else found)
        self._set([Options.of(group, self.graph, held) for group in self.groups], held)

    def _set(self, options: Sequence[Options], held: Mapping[str, int]) -> None:
        self.held = held
        self._options = options
        self._connections = self._connected()
        # The trellis that was built last: a budget is often asked about twice for the same cycles.
        self._latest: tuple[int, Trellis | None] | None = None

    def holding(self, held: Mapping[str, int]) -> Solver:
        """Give the solver of the same graph whose FIFOs hold other elements."""
        solver = copy(self)
        changed = {name for name in self.graph.streams if held.get(name) != self.held.get(name)}
        options = [
            Options.of(group, self.graph, held)
            if any(changed.intersection(node.inputs) for node in group.members)
            else one
            for group, one in zip(self.groups, self._options, strict=True)
        ]
        solver._set(options, held)
        return solver

    def _connected(self) -> dict[str, Connections]:
        """Tabulate the width converters of every stream between groups, or between one and the host."""
        ends = {name: np.array([axi_lanes(self.graph.streams[name])]) for name in self.graph.inputs}
        starts = {name: np.array([axi_lanes(self.graph.streams[name])]) for name in self.graph.outputs}
        for group, options in zip(self.groups, self._options, strict=True):
            ends.update(zip(group.writes, options.writes.T, strict=True))
            starts.update(zip(group.reads, options.reads.T, strict=True))
        return {
            name: Connections.of(self.implementations, self.graph.streams[name], end, starts[name])
            for name, end in ends.items()
        }

    def intervals(self) -> list[int]:
        """List the cycles that some node or converter can have, ascending: the interval of any design is one of them."""
        every = [options.cycles for options in self._options]
        every += [connections.cycles.reshape(-1) for connections in self._connections.values()]
        return [cycles for cycles in np.unique(np.concatenate(every)).tolist() if cycles]

    def solve(self, cycles: int, budget: Resources) -> Solution | None:
        """Find the cheapest design that needs at most so many cycles a frame in every node, None when none fits."""
        trellis = self._trellis(cycles)
        path = None if trellis is None else cheapest_path(trellis, amounts(budget))
        return None if trellis is None or path is None else self._solution(trellis, path)

    def excludes(self, cycles: int, budget: Resources) -> bool:
        """Say whether a bound rules out every design for an interval; where it does not, there may be none all the same."""
        trellis = self._trellis(cycles)
        return trellis is None or smallest_share(trellis, amounts(budget)).bound > 1 + ROUNDING

    def reaches(self, cycles: int) -> bool:
        """Say whether any folds need at most so many cycles a frame in every node, whatever they take."""
        return self._trellis(cycles) is not None

    def least(self) -> int:
        """Find the fewest cycles a frame that any folds need in every node, whatever they take."""
        intervals = self.intervals()
        return intervals[bisect_left(intervals, True, key=self.reaches)]

    def fits(self, cycles: int, budget: Resources) -> bool:
        """Say whether a design for an interval fits a budget: `solve` finds one. Mostly without a search."""
        trellis = self._trellis(cycles)
        if trellis is None:
            return False
        limits = amounts(budget)
        near = smallest_share(trellis, limits, (limits < MOST_AMOUNT).astype(float), decide=True)
        if near.bound > 1 + ROUNDING:
            return False
        if not self._solution(trellis, near.path).resources.exceeds(budget):
            return True
        return cheapest_path(trellis, limits) is not None

    def smallest(self, cycles: int, budget: Resources) -> tuple[float, Solution] | None:
        """Bound what share of a budget any design for an interval takes at least, and give a design that comes near it.

        The share is that of the scarcest resource. None when no fold is as fast, whatever it takes.
        """
        trellis = self._trellis(cycles)
        if trellis is None:
            return None
        near = smallest_share(trellis, amounts(budget))
        return near.bound, self._solution(trellis, near.path)

    def nearest(self, cycles: int, budget: Resources) -> Solution | None:
        """Find the design for an interval whose largest share of a budget is smallest, to a hundredth of it.

        None when no fold is as fast, whatever it takes.
        """
        near = self.smallest(cycles, budget)
        if near is None:
            return None
        low, found = near
        high = found.resources.share(budget)
        while high - low > 0.01 * high:
            middle = (low + high) / 2
            scaled = Resources(*(int(middle * max(1, amount)) for _, amount in budget.items()))
            closer = self.solve(cycles, scaled)
            if closer is None:
                low = middle
            else:
                found, high = closer, middle
        return found

    def _trellis(self, cycles: int) -> Trellis | None:
        if self._latest is None or self._latest[0] != cycles:
            self._latest = cycles, self._build(cycles)
        return self._latest[1]

    def _solution(self, trellis: Trellis, path: Sequence[int]) -> Solution:
        folds, total, slowest = {}, np.zeros(len(AMOUNTS), np.int64), 0
        chosen = iter(self.groups)
        for section, transition in zip(trellis.sections, path, strict=True):
            total += section.cost[transition]
            slowest = max(slowest, int(section.cycles[transition]))
            if section.choice[transition] >= 0:
                group = next(chosen)
                folds[group.leader.name] = group.candidates[int(section.choice[transition])].fold
        return Solution(folds, slowest, Resources(*map(int, total)))

    def _build(self, cycles: int) -> Trellis | None:
        """Build the layered graph of all designs whose nodes are fast enough; None when there is none.

        Before the section in which a group chooses its fold stands one for each stream that it reads, of the width converters
        that may come before: its states are the beats that these give.
        """
        lanes = [
            [axi_lanes(self.graph.streams[name]) for name in names] for names in (self.graph.inputs, self.graph.outputs)
        ]
        layers = _Layers(self._connections, self.graph.inputs, lanes[0], cycles)
        for group, options in zip(self.groups, self._options, strict=True):
            layers.add(group.reads, group.writes, options.within(cycles))
        sinks = [self.graph.streams[name] for name in self.graph.outputs]
        layers.add(self.graph.outputs, (), end_options(sinks, lanes[1]))
        return Trellis(tuple(layers.sections)) if len(layers.states) else None


class _Layers:
    """The sections of a layered graph so far, and the states that the last one leads to: beats of the open streams."""

    def __init__(
        self, connections: Mapping[str, Connections], opened: Sequence[str], beats: Sequence[int], cycles: int
    ) -> None:
        self.connections = connections
        self.cycles = cycles
        self.opened = list(opened)
        self.states = np.array([beats], np.int64)
        self.sections: list[Section] = []

    def add(self, reads: Sequence[str], writes: Sequence[str], options: Options) -> None:
        """Add what a group that has these options may do in each state."""
        columns = [self.opened.index(name) for name in reads]
        for number in range(len(reads)):
            self._convert(reads, columns, number, options)
        # Which option may follow a state: one that reads what it holds.
        fitting, wanted = _distinct(options.reads)
        met = _matches(self.states[:, columns], fitting)
        order = np.argsort(wanted, kind="stable")
        starts = np.searchsorted(wanted[order], met)
        counts = np.searchsorted(wanted[order], met, side="right") - starts
        state = np.repeat(np.arange(len(met)), counts)
        option = order[within(counts) + np.repeat(starts, counts)]
        kept = [i for i, name in enumerate(self.opened) if name not in reads]
        reached = np.concatenate([self.states[state][:, kept], options.writes[option]], axis=1)
        self._section(state, reached, options.candidate[option], options.cost[option], options.cycles[option])
        self.opened = [self.opened[i] for i in kept] + list(writes)

    def _convert(self, reads: Sequence[str], columns: list[int], number: int, options: Options) -> None:
        """Add the width converters of stream `number`; those before it have the beats that an option reads."""
        before, after = columns[:number], columns[number]
        fitting, group = _distinct(options.reads[:, :number])
        pairs, _ = _distinct(np.stack([group, options.reads[:, number]], axis=1))
        met = _matches(self.states[:, before], fitting)
        starts = np.searchsorted(pairs[:, 0], met)
        counts = np.searchsorted(pairs[:, 0], met, side="right") - starts
        state = np.repeat(np.arange(len(met)), counts)
        target = pairs[within(counts) + np.repeat(starts, counts), 1]
        cost, cycles = self.connections[reads[number]].between(self.states[state, after], target)
        fast = cycles <= self.cycles
        reached = self.states[state]
        reached[:, after] = target
        nothing = np.full(int(fast.sum()), -1)
        self._section(state[fast], reached[fast], nothing, cost[fast], cycles[fast])

    def _section(self, state: Ints, reached: Ints, choice: Ints, cost: Ints, cycles: Ints) -> None:
        fresh, target = _distinct(reached)
        self.sections.append(Section(state, target, choice, cost, cycles, len(self.states), len(fresh)))
        self.states = fresh


def _matches(rows: Ints, known: Ints) -> Ints:
    """Tell for each row which of the different known rows it is, -1 where it is none of them."""
    if not rows.shape[1]:
        return np.zeros(len(rows), np.int64)
    _, both = _distinct(np.concatenate([known, rows]))
    place = np.full(int(both.max(initial=0)) + 1, -1)
    place[both[: len(known)]] = np.arange(len(known))
    found: Ints = place[both[len(known) :]]
    return found


def _distinct(rows: Ints) -> tuple[Ints, Ints]:
    """Give the different rows of numbers from 0, ascending, and for each row which of them it is."""
    if not rows.size:
        return rows[:1], np.zeros(len(rows), np.int64)
    bases = [int(most) + 1 for most in rows.max(axis=0)]
    if prod(bases) >= 1 << 63:
        fresh, which = np.unique(rows, axis=0, return_inverse=True)
        return fresh, which.reshape(-1)
    # Rows as digits of one number sort alike, and numbers much faster.
    digits = np.array([prod(bases[column + 1 :]) for column in range(len(bases))], np.int64)
    _, first, which = np.unique(rows @ digits, return_index=True, return_inverse=True)
    return rows[first], which


def _order(graph: Graph, found: Sequence[Group]) -> tuple[Group, ...]:
    """Find a topological order with few open streams: from the end, a group that leaves the fewest lanes open comes next."""
    writer = {name: index for index, group in enumerate(found) for name in group.writes}
    sizes = [len({candidate.writes for candidate in group.candidates}) for group in found]
    needs = [{writer[name] for name in group.reads if name in writer} for group in found]
    readers = [sum(index in need for need in needs) for index in range(len(found))]
    order: list[int] = []
    opened = {writer[name] for name in graph.outputs if name in writer and not readers[writer[name]]}
    while opened:
        ready = [index for index in opened if readers[index] == 0]
        left_open = {
            index: sum(np.log2(1 + sizes[one]) for one in (opened - {index}) | needs[index]) for index in ready
        }
        chosen = min(sorted(ready, reverse=True), key=left_open.__getitem__)
        order.append(chosen)
        opened = (opened - {chosen}) | needs[chosen]
        for one in needs[chosen]:
            readers[one] -= 1
    return tuple(found[index] for index in reversed(order))
