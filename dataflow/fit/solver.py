"""The exact choice of folds: fewest resources under a budget, every node fast enough."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from math import prod

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.fit.axi import axi_lanes
from muxflow.dataflow.fit.candidates import Candidate, Group, connection, fifo, groups
from muxflow.dataflow.fit.device import AMOUNTS, Resources
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.fit.labels import ROUNDING, Bound, cheapest_path, lagrangian, smallest_share
from muxflow.dataflow.fit.memory import choices, without_ultra_fifos
from muxflow.dataflow.fit.trellis import Section, Trellis
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.stream import Beat
from muxflow.dataflow.op import Fold

Ints = npt.NDArray[np.int64]

MOST_LANES = 1 << 14
"""More lanes than a beat can have, by a wide margin."""


@dataclass(frozen=True)
class Solution:
    """Folds of the leading nodes, and what the cost model says of them: cycles of the slowest node, resources."""

    folds: Mapping[str, Fold]
    cycles: int
    resources: Resources


@dataclass(frozen=True, eq=False)
class _Options:
    """Candidates of a group with their memories placed, one row each, none dominated by another of the same beats.

    `reads`, `writes`: numbers of beats, see `_number`.
    """

    candidate: Ints
    cycles: Ints
    cost: Ints
    reads: Ints
    writes: Ints

    def rows(self, kept: npt.NDArray[np.bool_] | Ints) -> _Options:
        return _Options(self.candidate[kept], self.cycles[kept], self.cost[kept], self.reads[kept], self.writes[kept])

    def pareto(self, columns: Ints) -> _Options:
        """Drop the rows that another one of the same beats betters in, or equals in, all columns."""
        lanes = np.concatenate([self.reads, self.writes], axis=1)
        order = np.lexsort((*columns.T[::-1], *lanes.T))
        kept: list[int] = []
        first = 0
        for row in order:
            if kept and (lanes[kept[-1]] != lanes[row]).any():
                first = len(kept)
            if not (columns[kept[first:]] <= columns[row]).all(axis=1).any():
                kept.append(int(row))
        return self.rows(np.array(sorted(kept), np.int64))


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

    `folds`: the folds that a leading node may take, all legal ones where it is absent.
    Raises BudgetError when a node has no fold within the tools' limits.
    """

    def __init__(
        self,
        graph: Graph,
        implementations: Implementations,
        held: Mapping[str, int],
        *,
        folds: Mapping[str, Set[Fold]] | None = None,
    ) -> None:
        self.graph = graph
        self.implementations = implementations
        self.groups = _order(graph, groups(graph, implementations, held, folds))
        self._options = [_options(group.candidates) for group in self.groups]
        # The trellis that was built last: a budget is often asked about twice for the same cycles.
        self._latest: tuple[int, Trellis | None] | None = None

    def intervals(self) -> list[int]:
        """List the cycles that some node or converter can have, ascending: the interval of any design is one of them."""
        found = {int(cycles) for options in self._options for cycles in options.cycles}
        ends = {
            name: set(options.writes[:, i].tolist())
            for group, options in zip(self.groups, self._options, strict=True)
            for i, name in enumerate(group.writes)
        }
        starts = {
            name: set(options.reads[:, i].tolist())
            for group, options in zip(self.groups, self._options, strict=True)
            for i, name in enumerate(group.reads)
        }
        for name in self.graph.inputs:
            ends[name] = {axi_lanes(self.graph.streams[name])}
        for name in self.graph.outputs:
            starts[name] = {axi_lanes(self.graph.streams[name])}
        for name, numbers in ends.items():
            stream = self.graph.streams[name]
            before, after = (map(_beat, sorted(some)) for some in (numbers, starts[name]))
            pairs = itertools.product(before, after)
            found |= {connection(self.implementations, stream, a, b)[1] for a, b in pairs}
        return sorted(found - {0})

    def solve(self, cycles: int, budget: Resources) -> Solution | None:
        """Find the cheapest design that needs at most so many cycles a frame in every node, None when none fits."""
        trellis = self._trellis(cycles)
        path = None if trellis is None else cheapest_path(trellis, _vector(budget))
        return None if trellis is None or path is None else self._solution(trellis, path)

    def excludes(self, cycles: int, budget: Resources) -> bool:
        """Say whether a bound rules out every design for an interval; where it does not, there may be none all the same."""
        trellis = self._trellis(cycles)
        return trellis is None or smallest_share(trellis, _vector(budget))[0] > 1 + ROUNDING

    def smallest(self, cycles: int, budget: Resources) -> tuple[float, Solution] | None:
        """Bound what share of a budget any design for an interval takes at least, and give a design that comes near it.

        The share is that of the scarcest resource. None when no fold is as fast, whatever it takes.
        """
        trellis = self._trellis(cycles)
        if trellis is None:
            return None
        bound, path = smallest_share(trellis, _vector(budget))
        return bound, self._solution(trellis, path)

    def bound(self, cycles: int, budget: Resources) -> Bound | None:
        """Bound what designs cost that need at most so many cycles a frame in every node; None when there is none."""
        trellis = self._trellis(cycles)
        return None if trellis is None else lagrangian(trellis, _vector(budget))

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
        graph = self.graph
        layers = _Layers(self.implementations, graph, cycles)
        for group, every in zip(self.groups, self._options, strict=True):
            options = every.rows(every.cycles <= cycles)
            layers.add(group.reads, group.writes, options.pareto(options.cost))
        sinks = [graph.streams[name] for name in graph.outputs]
        fifos = [choices(fifo(sink, Beat(axi_lanes(sink)), 0))[0].resources for sink in sinks]
        end = _Options(
            np.full(1, -1),
            np.zeros(1, np.int64),
            np.sum([_vector(one) for one in fifos], axis=0)[None],
            np.array([[axi_lanes(sink) for sink in sinks]], np.int64),
            np.zeros((1, 0), np.int64),
        )
        layers.add(graph.outputs, (), end)
        return Trellis(tuple(layers.sections)) if len(layers.states) else None


class _Layers:
    """The sections of a layered graph so far, and the states that the last one leads to: beats of the open streams."""

    def __init__(self, implementations: Implementations, graph: Graph, cycles: int) -> None:
        self.implementations = implementations
        self.graph = graph
        self.cycles = cycles
        self.opened = list(graph.inputs)
        self.states = np.array([[axi_lanes(graph.streams[name]) for name in self.opened]], np.int64)
        self.sections: list[Section] = []

    def add(self, reads: Sequence[str], writes: Sequence[str], options: _Options) -> None:
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
        option = order[_within(counts) + np.repeat(starts, counts)]
        kept = [i for i, name in enumerate(self.opened) if name not in reads]
        reached = np.concatenate([self.states[state][:, kept], options.writes[option]], axis=1)
        self._section(state, reached, options.candidate[option], options.cost[option], options.cycles[option])
        self.opened = [self.opened[i] for i in kept] + list(writes)

    def _convert(self, reads: Sequence[str], columns: list[int], number: int, options: _Options) -> None:
        """Add the width converters of stream `number`; those before it have the beats that an option reads."""
        before, after = columns[:number], columns[number]
        fitting, group = _distinct(options.reads[:, :number])
        pairs = np.unique(np.stack([group, options.reads[:, number]], axis=1), axis=0)
        met = _matches(self.states[:, before], fitting)
        starts = np.searchsorted(pairs[:, 0], met)
        counts = np.searchsorted(pairs[:, 0], met, side="right") - starts
        state = np.repeat(np.arange(len(met)), counts)
        target = pairs[_within(counts) + np.repeat(starts, counts), 1]
        sources, source = np.unique(self.states[:, after], return_inverse=True)
        targets, column = np.unique(target, return_inverse=True)
        table = self._connections(reads[number], sources, targets)[source[state], column]
        fast = table[:, -1] <= self.cycles
        reached = self.states[state]
        reached[:, after] = target
        nothing = np.full(int(fast.sum()), -1)
        self._section(state[fast], reached[fast], nothing, table[fast, :-1], table[fast, -1])

    def _connections(self, name: str, sources: Ints, targets: Ints) -> Ints:
        """List what the width converters from each to each beat take, and their cycles."""
        stream = self.graph.streams[name]
        table = np.zeros((len(sources), len(targets), len(AMOUNTS) + 1), np.int64)
        for (a, before), (b, after) in itertools.product(
            enumerate(map(_beat, sources)), enumerate(map(_beat, targets))
        ):
            taken, slow = connection(self.implementations, stream, before, after)
            table[a, b] = (*_vector(taken), slow)
        return table

    def _section(self, state: Ints, reached: Ints, choice: Ints, cost: Ints, cycles: Ints) -> None:
        fresh, target = _distinct(reached)
        self.sections.append(Section(state, target, choice, cost, cycles, len(self.states), len(fresh)))
        self.states = fresh


def _within(counts: Ints) -> Ints:
    """Count the members of each of so many runs from 0: 2, 3 --> 0, 1, 0, 1, 2."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


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


def _number(beat: Beat) -> int:
    """Give a beat as one number: of a beat in the order of the elements, its lanes."""
    return beat.lanes + (beat.pixels - 1) * MOST_LANES


def _beat(number: int | np.int64) -> Beat:
    """Give the beat of a number."""
    pixels, lanes = divmod(int(number) - 1, MOST_LANES)
    return Beat(lanes + 1, pixels + 1)


def _vector(resources: Resources) -> Ints:
    return np.array([amount for _, amount in resources.items()], np.int64)


def _options(candidates: Sequence[Candidate]) -> _Options:
    rows = []
    for index, candidate in enumerate(candidates):
        placed = [(candidate.logic.lut, candidate.logic.ff, 0, 0)]
        for memory in candidate.memories:
            sums = sorted(
                {
                    (lut + home.lut, ff + home.ff, blocks + home.bram18, ultra + home.uram)
                    for lut, ff, blocks, ultra in placed
                    for home in without_ultra_fifos(memory)
                }
            )
            placed = []
            for one in sums:
                if not any(kept[2] <= one[2] and kept[3] <= one[3] for kept in placed):
                    placed.append(one)
        ends = [_number(beat) for beat in candidate.reads + candidate.writes]
        rows += [
            (index, candidate.cycles, lut, ff, blocks, candidate.logic.dsp, ultra, *ends)
            for lut, ff, blocks, ultra in placed
        ]
    table = np.array(rows, np.int64)
    first = 2 + len(AMOUNTS)
    lanes = first + len(candidates[0].reads)
    every = _Options(table[:, 0], table[:, 1], table[:, 2:first], table[:, first:lanes], table[:, lanes:])
    return every.pareto(table[:, 1:first])


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
