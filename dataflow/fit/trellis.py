"""A layered graph whose paths are designs, and shortest paths in it under prices of the resources."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Section:
    """Transitions from the states of one layer to those of the next, each with `cost`, shape (n, resources), and `cycles`.

    `source`, `target`: states; `choice`: what the transition stands for; `before`, `after`: states in each layer.
    """

    source: Ints
    target: Ints
    choice: Ints
    cost: Ints
    cycles: Ints
    before: int
    after: int

    @cached_property
    def _amounts(self) -> Floats:
        """The costs as floats, a row for each resource: a product with integers converts them each time."""
        return np.ascontiguousarray(self.cost.T, np.float64)

    def priced(self, prices: Floats, kept: Ints | slice = slice(None)) -> Floats:
        """Give the price of each transition that is kept, shape (n,)."""
        return prices @ self._amounts[:, kept]

    @cached_property
    def into(self) -> tuple[Ints, Ints, Ints]:
        """The transitions by their target, ascending; the targets that have one; where the transitions of each begin."""
        order = np.argsort(self.target, kind="stable")
        return order, *np.unique(self.target[order], return_index=True)

    def rows(self, kept: Ints) -> Section:
        """Keep some of the transitions, between the same states."""
        columns = {name: getattr(self, name)[kept] for name in ("source", "target", "choice", "cost", "cycles")}
        return replace(self, **columns)


@dataclass(frozen=True, eq=False)
class Trellis:
    """Sections from one first state to one last state.

    `names`: of a part of another trellis, by section, the numbers that its transitions have there; empty for a whole one.
    """

    sections: tuple[Section, ...]
    names: tuple[Ints, ...] = ()

    @cached_property
    def used(self) -> npt.NDArray[np.bool_]:
        """Which resources any path takes, shape (resources,)."""
        found: npt.NDArray[np.bool_] = np.any([section.cost.any(axis=0) for section in self.sections], axis=0)
        return found

    def forward(self, prices: Floats) -> list[Floats]:
        """Find the cheapest way to each state of each layer, the first one included."""
        values = [np.zeros(1)]
        for section in self.sections:
            value = np.full(section.after, np.inf)
            order, targets, begin = section.into
            ways = values[-1][section.source] + section.priced(prices)
            value[targets] = np.minimum.reduceat(ways[order], begin)
            values.append(value)
        return values

    def backward(self, prices: Floats) -> list[Floats]:
        """Find the cheapest way from each state of each layer to the end, the last one included."""
        values = [np.zeros(1)]
        for section in reversed(self.sections):
            value = np.full(section.before, np.inf)
            np.minimum.at(value, section.source, values[-1][section.target] + section.priced(prices))
            values.append(value)
        return values[::-1]

    def cheapest(self, prices: Floats) -> tuple[float, list[int], Ints]:
        """Find a cheapest path under prices: its price, the path as one transition a section, and its cost; or no path."""
        values = self.forward(prices)
        state = 0
        path: list[int] = []
        total = np.zeros(self.sections[0].cost.shape[1], np.int64)
        if not np.isfinite(values[-1][0]):
            return np.inf, path, total
        for section, value in zip(reversed(self.sections), reversed(values[:-1]), strict=True):
            order, targets, begin = section.into
            place = int(np.searchsorted(targets, state))
            into = order[begin[place] : begin[place + 1] if place + 1 < len(begin) else None]
            best = int(into[(value[section.source[into]] + section.priced(prices, into)).argmin()])
            path.append(best)
            total += section.cost[best]
            state = int(section.source[best])
        return float(values[-1][0]), path[::-1], total

    def part(self, prices: Floats, most: float) -> Trellis:
        """Keep the transitions that lie on a path which costs at most so much."""
        before, after = self.forward(prices), self.backward(prices)
        sections, names = [], []
        for i, section in enumerate(self.sections):
            cost = before[i][section.source] + section.priced(prices) + after[i + 1][section.target]
            kept = np.flatnonzero(cost <= most)
            sections.append(section.rows(kept))
            names.append(self.names[i][kept] if self.names else kept)
        return Trellis(tuple(sections), tuple(names))

    def named(self, path: Sequence[int]) -> list[int]:
        """Give a path in the numbers of the whole trellis."""
        return [int(names[move]) for names, move in zip(self.names, path, strict=True)] if self.names else list(path)
