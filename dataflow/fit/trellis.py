"""A layered graph whose paths are designs, and shortest paths in it under prices of the resources."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Step:
    """Transitions from the states of one layer to those of the next, each with `cost`, shape (n, 4), and `cycles`.

    `source`, `target`: states; `choice`: what the transition stands for; `before`, `after`: states in each layer.
    """

    source: Ints
    target: Ints
    choice: Ints
    cost: Ints
    cycles: Ints
    before: int
    after: int


@dataclass(frozen=True, eq=False)
class Trellis:
    """Steps from one first state to one last state."""

    steps: tuple[Step, ...]

    def forward(self, prices: Floats) -> list[Floats]:
        """Find the cheapest way to each state of each layer, the first one included."""
        values = [np.zeros(1)]
        for step in self.steps:
            value = np.full(step.after, np.inf)
            np.minimum.at(value, step.target, values[-1][step.source] + step.cost @ prices)
            values.append(value)
        return values

    def backward(self, prices: Floats) -> list[Floats]:
        """Find the cheapest way from each state of each layer to the end, the last one included."""
        values = [np.zeros(1)]
        for step in reversed(self.steps):
            value = np.full(step.before, np.inf)
            np.minimum.at(value, step.source, values[-1][step.target] + step.cost @ prices)
            values.append(value)
        return values[::-1]

    def path(self, prices: Floats, values: list[Floats]) -> tuple[list[int], Ints]:
        """Find a cheapest path, one transition a step, from what `forward` gave; and its cost."""
        state, path = 0, []
        total = np.zeros(4, np.int64)
        for step, value in zip(reversed(self.steps), reversed(values[:-1]), strict=True):
            into = np.flatnonzero(step.target == state)
            best = int(into[(value[step.source[into]] + step.cost[into] @ prices).argmin()])
            path.append(best)
            total += step.cost[best]
            state = int(step.source[best])
        return path[::-1], total
