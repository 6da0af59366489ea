"""A layered graph whose paths are designs, and shortest paths in it under prices of the resources."""

from __future__ import annotations

from dataclasses import dataclass
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


@dataclass(frozen=True, eq=False)
class Trellis:
    """Sections from one first state to one last state."""

    sections: tuple[Section, ...]

    def forward(self, prices: Floats) -> list[Floats]:
        """Find the cheapest way to each state of each layer, the first one included."""
        values = [np.zeros(1)]
        for section in self.sections:
            value = np.full(section.after, np.inf)
            np.minimum.at(value, section.target, values[-1][section.source] + section.priced(prices))
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

    def path(self, prices: Floats, values: list[Floats]) -> tuple[list[int], Ints]:
        """Find a cheapest path, one transition a section, from what `forward` gave; and its cost."""
        state, path = 0, []
        total = np.zeros(self.sections[0].cost.shape[1], np.int64)
        for section, value in zip(reversed(self.sections), reversed(values[:-1]), strict=True):
            into = np.flatnonzero(section.target == state)
            best = int(into[(value[section.source[into]] + section.priced(prices, into)).argmin()])
            path.append(best)
            total += section.cost[best]
            state = int(section.source[best])
        return path[::-1], total
