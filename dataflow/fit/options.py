"""What a group may be, as rows of numbers: folds with their memories placed, and what lies on the streams between groups."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.fit.candidates import Candidate, Group, connection, fifo
from muxflow.dataflow.fit.device import AMOUNTS, Resources
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.fit.memory import choices, without_ultra_fifos
from muxflow.dataflow.fit.trellis import Ints
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.stream import Beat, Stream

MOST_LANES = 1 << 14
"""More lanes than a beat can have, by a wide margin."""

NEVER = np.iinfo(np.int64).max

PAIRS = 1 << 20
"""Pairs of rows that are compared at once: some tens of megabytes."""


@dataclass(frozen=True, eq=False)
class Options:
    """Candidates of a group with their memories placed, one row each, none dominated by another of the same beats.

    `reads`, `writes`: numbers of beats, see `beat_number`. `beaten`: the cycles from which on another row of the same beats
    costs no more in any resource.
    """

    candidate: Ints
    cycles: Ints
    cost: Ints
    reads: Ints
    writes: Ints
    beaten: Ints

    @staticmethod
    def of(group: Group, graph: Graph, held: Mapping[str, int]) -> Options:
        """List the options of a group; `held`: elements that the FIFO of a stream is expected to hold."""
        rows = []
        for index, candidate in enumerate(group.candidates):
            ends = [beat_number(beat) for beat in candidate.reads + candidate.writes]
            rows += [(index, candidate.cycles, *cost, *ends) for cost in _placements(candidate, graph, held)]
        table = np.array(rows, np.int64)
        first = 2 + len(AMOUNTS)
        lanes = first + len(group.reads)
        candidates, cycles, cost = table[:, 0], table[:, 1], table[:, 2:first]
        every = Options(
            candidates, cycles, cost, table[:, first:lanes], table[:, lanes:], _beaten(cycles, cost, table[:, first:])
        )
        return every.rows(cycles < every.beaten)

    def rows(self, kept: npt.NDArray[np.bool_]) -> Options:
        """Keep some of the rows."""
        columns = self.candidate, self.cycles, self.cost, self.reads, self.writes, self.beaten
        return Options(*(column[kept] for column in columns))

    def within(self, cycles: int) -> Options:
        """Keep the rows of at most so many cycles, but for those that another one of these betters or equals in cost."""
        return self.rows((self.cycles <= cycles) & (cycles < self.beaten))


def _placements(candidate: Candidate, graph: Graph, held: Mapping[str, int]) -> list[tuple[int, ...]]:
    """List what a candidate takes, a tuple in the order of AMOUNTS for each placement of its memories worth having."""
    queues = [fifo(graph.streams[name], beat, held.get(name, 0)) for name, beat in candidate.queues]
    placed = [(candidate.logic.lut, candidate.logic.ff, 0, 0)]
    for memory in (*candidate.memories, *queues):
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
    return [(lut, ff, blocks, candidate.logic.dsp, ultra) for lut, ff, blocks, ultra in placed]


def _beaten(cycles: Ints, cost: Ints, lanes: Ints) -> Ints:
    """Give for each row the fewest cycles of another one of the same lanes that costs no more in any column.

    NEVER where there is none; of equal rows the first one has none of the others.
    """
    order = np.lexsort((cycles, *cost.T[::-1], *lanes.T))
    cycles, cost, lanes = cycles[order], cost[order], lanes[order]
    # Only rows that come before one in this order can cost no more.
    places = np.arange(len(order))
    begins = np.concatenate([[True], (lanes[1:] != lanes[:-1]).any(axis=1)])
    earlier = places - np.maximum.accumulate(np.where(begins, places, 0))
    found = np.full(len(order), NEVER)
    for rows in np.split(places, np.flatnonzero(np.diff(np.cumsum(earlier) // PAIRS)) + 1):
        some = rows[earlier[rows] > 0]
        if not len(some):
            continue
        counts = earlier[some]
        later = np.repeat(some, counts)
        other = later - np.repeat(counts, counts) + within(counts)
        cheaper = np.all([column[other] <= column[later] for column in cost.T], axis=0)
        found[some] = np.minimum.reduceat(np.where(cheaper, cycles[other], NEVER), np.cumsum(counts) - counts)
    beaten = np.empty_like(found)
    beaten[order] = found
    return beaten


def within(counts: Ints) -> Ints:
    """Count the members of each of so many runs from 0: 2, 3 --> 0, 1, 0, 1, 2."""
    return np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)


@dataclass(frozen=True, eq=False)
class Connections:
    """What the width converters of a stream take between each of the beats that are written and that are read.

    `sources`, `targets`: numbers of beats, ascending; `cost`, shape (sources, targets, resources), and `cycles`.
    """

    sources: Ints
    targets: Ints
    cost: Ints
    cycles: Ints

    @staticmethod
    def of(implementations: Implementations, stream: Stream, sources: Ints, targets: Ints) -> Connections:
        """Tabulate the converters of a stream; `sources`, `targets`: as often as they come."""
        sources, targets = np.unique(sources), np.unique(targets)
        pairs = itertools.product(map(_beat, sources), map(_beat, targets))
        found = [connection(implementations, stream, before, after) for before, after in pairs]
        shape = len(sources), len(targets)
        cost = np.array([amounts(taken) for taken, _ in found], np.int64)
        return Connections(
            sources, targets, cost.reshape(*shape, -1), np.array([cycles for _, cycles in found]).reshape(shape)
        )

    def between(self, source: Ints, target: Ints) -> tuple[Ints, Ints]:
        """Give cost, shape (n, resources), and cycles from each source to the target beside it."""
        where = np.searchsorted(self.sources, source), np.searchsorted(self.targets, target)
        return self.cost[where], self.cycles[where]


def beat_number(beat: Beat) -> int:
    """Give a beat as one number: of a beat in the order of the elements, its lanes."""
    return beat.lanes + (beat.pixels - 1) * MOST_LANES


def _beat(number: np.int64) -> Beat:
    """Give the beat of a number."""
    pixels, lanes = divmod(int(number) - 1, MOST_LANES)
    return Beat(lanes + 1, pixels + 1)


def amounts(resources: Resources) -> Ints:
    """Give resources as a row of numbers, in the order of AMOUNTS."""
    return np.array([amount for _, amount in resources.items()], np.int64)


def end_options(sinks: Sequence[Stream], lanes: Sequence[int]) -> Options:
    """Give the one option of the host, which reads all outputs through FIFOs, in beats of so many lanes."""
    fifos = [choices(fifo(sink, Beat(count), 0))[0].resources for sink, count in zip(sinks, lanes, strict=True)]
    return Options(
        np.full(1, -1),
        np.zeros(1, np.int64),
        np.sum([amounts(one) for one in fifos], axis=0)[None],
        np.array([lanes], np.int64),
        np.zeros((1, 0), np.int64),
        np.full(1, NEVER),
    )
