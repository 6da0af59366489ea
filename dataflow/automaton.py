"""Elementary cellular automata: the numbers of weights that are generated and never stored (MOGNET, CFLOG)."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError, MuxflowWarning
from muxflow.dataflow.graph.stream import whole

Alphabet = Literal["binary", "ternary"]
IntArray = npt.NDArray[np.int64]

LARGEST = 1 << 16
"""Most cells of a ring and most rows of a burn-in (decision): far beyond any layer, and computed in seconds."""

SMALLEST_GOOD_RING = 24
"""Rings under this many cells have short cycles and correlated rows (decision: warn)."""


@dataclass(frozen=True)
class Automaton:
    """A recipe for a weight matrix: an elementary rule on a periodic ring, one step per row.

    `rule`: Wolfram number, 0..255; MOGNET's is 30 (decision).
    `ring`: cells on the ring, at least 3; a row of m binary weights reads cells 0..m-1, so `ring >= m`,
    a row of m ternary weights reads cells 0..2m-1, so `ring >= 2m`.
    `seed`: 0 is one single live cell in the middle (index `ring // 2`); any other value s >= 1 draws the cells at
    random from `numpy.random.Generator(PCG64(s))` (decision).
    `burn_in`: rows thrown away before the first weight row (decision: the ring's length).
    `alphabet`: binary, weight = 2*bit - 1; ternary, the pair of cells (2j, 2j+1) gives weight j:
    01 -> -1, 10 -> +1, 00 and 11 -> 0 (decision).

    Raises MuxflowError when a field is out of range.
    Source: MOGNET (arXiv 2501.09531) for on-line generated weights; rule, ring, seed and alphabet are decisions.
    """

    ring: int
    rule: int = 30
    seed: int = 0
    burn_in: int | None = None
    alphabet: Alphabet = "binary"

    def __post_init__(self) -> None:
        numbers = ("ring", "rule", "seed") if self.burn_in is None else ("ring", "rule", "seed", "burn_in")
        for name in numbers:
            object.__setattr__(self, name, whole(getattr(self, name), f"cellular automaton: {name}"))
        if not 0 <= self.rule <= 255:
            raise MuxflowError(f"cellular automaton: rule {self.rule} is not an elementary rule; use 0..255")
        if not 3 <= self.ring <= LARGEST:
            raise MuxflowError(f"cellular automaton: a ring of {self.ring} cells; from 3 to {LARGEST} are possible")
        if self.seed < 0:
            raise MuxflowError(f"cellular automaton: seed {self.seed} is negative; use 0 (one central cell) or more")
        if self.burn_in is None:
            object.__setattr__(self, "burn_in", self.ring)
        elif not 0 <= self.burn_in <= LARGEST:
            raise MuxflowError(f"cellular automaton: burn_in {self.burn_in}; from 0 to {LARGEST} rows are possible")
        if self.alphabet not in ("binary", "ternary"):
            raise MuxflowError(f"cellular automaton: alphabet {self.alphabet!r}; supported: 'binary', 'ternary'")

    @property
    def cells_per_weight(self) -> int:
        """How many cells one weight reads: 1 (binary) or 2 (ternary)."""
        return 1 if self.alphabet == "binary" else 2

    def step(self, cells: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Apply the rule once to a ring of cells (0/1): left, self and right neighbour index the rule's bits."""
        neighbourhood = 4 * np.roll(cells, 1) + 2 * cells + np.roll(cells, -1)
        return ((self.rule >> neighbourhood) & 1).astype(np.uint8)

    def first_row(self) -> npt.NDArray[np.uint8]:
        """Give the ring after `burn_in` steps: the cells of the first weight row, shape (ring,)."""
        if self.seed == 0:
            cells = np.zeros(self.ring, np.uint8)
            cells[self.ring // 2] = 1
        else:
            cells = np.random.Generator(np.random.PCG64(self.seed)).integers(0, 2, self.ring).astype(np.uint8)
        for _ in range(self.burn_in or 0):
            cells = self.step(cells)
        return cells

    def weights(self, rows: int, columns: int) -> IntArray:
        """Generate the matrix, shape (rows, columns), values -1/+1 or -1/0/+1; row i is the ring after i more steps.

        Raises MuxflowError for a matrix without elements, or when the ring is too short for `columns` weights.
        """
        if not (1 <= rows <= LARGEST and columns >= 1):
            raise MuxflowError(
                f"cellular automaton: a matrix of {rows} x {columns}; rows are from 1 to {LARGEST}, columns at least 1"
            )
        needed = columns * self.cells_per_weight
        if self.ring < needed:
            raise MuxflowError(
                f"cellular automaton: a row of {columns} {self.alphabet} weights reads {needed} cells, "
                f"the ring has {self.ring}; use ring >= {needed}"
            )
        cells = self.first_row()
        matrix = np.empty((rows, columns), np.int64)
        for row in range(rows):
            if row:
                cells = self.step(cells)
            if self.alphabet == "binary":
                matrix[row] = 2 * cells[:columns].astype(np.int64) - 1
            else:
                pairs = cells[:needed].astype(np.int64).reshape(columns, 2)
                matrix[row] = pairs[:, 0] - pairs[:, 1]
        return matrix


def layer_automaton(
    columns: int,
    *,
    rule: int = 30,
    ring: int | None = None,
    seed: int = 0,
    burn_in: int | None = None,
    alphabet: Alphabet = "binary",
) -> Automaton:
    """Make the automaton of a layer that reads rows of `columns` weights; `ring=None` takes the cells that one row reads.

    Warns when the ring has under SMALLEST_GOOD_RING cells. Raises MuxflowError when a field is out of range.
    """
    cells = columns * (2 if alphabet == "ternary" else 1)
    automaton = Automaton(cells if ring is None else ring, rule, seed, burn_in, alphabet)
    if automaton.ring < SMALLEST_GOOD_RING:
        warnings.warn(
            f"cellular automaton: a ring of {automaton.ring} cells repeats soon and its rows correlate; "
            f"give ring={SMALLEST_GOOD_RING} or more",
            MuxflowWarning,
            stacklevel=3,
        )
    return automaton


def weight_scale(columns: int) -> float:
    """Give what generated weights are multiplied with: the power of two nearest to 1/sqrt(columns), in octaves (decision)."""
    return 2.0 ** -math.floor(math.log2(columns) / 2 + 0.5)
