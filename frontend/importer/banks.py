"""Weight matrices whose rows use different grids: hybrid filter banks, which become a product for each kind of rows.

Ternary rows are chosen in LUTs, rows of more bits multiplied, and each kind is stored in its own bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.op import IntArray

LEAST_SHARE = 1 / 4
"""Of a matrix's stored bits that a second product must save: more than rows of one quantizer differ by chance (decision)."""
LEAST_BITS = 1024
"""That it must save at least: a process, a fork and a join cost a few hundred LUTs (decision)."""


@dataclass(frozen=True, eq=False)
class Bank:
    """A matrix in two parts: `sides`, 1 for rows of few bits, else 0, shape (rows,); `bits`: of side 0 and of side 1."""

    sides: IntArray
    bits: tuple[int, int]


def shared_factors(matrix: IntArray) -> IntArray:
    """Find what all weights of each row are multiples of, at least 1: it belongs to the row's scale; shape (rows,)."""
    return np.maximum(np.gcd.reduce(matrix, axis=1), 1)


def find_bank(matrix: IntArray) -> Bank | None:
    """Divide the rows of a matrix by their bits where that saves most; None where one product is as good."""
    ends = zip(matrix.min(axis=1).tolist(), matrix.max(axis=1).tolist(), strict=True)
    bits = np.array([width(min(lo, -1), hi)[0] for lo, hi in ends])
    most, saved = int(bits.max()), 0
    found = None
    for few in np.unique(bits)[:-1].tolist():
        narrow = bits <= few
        less = int(narrow.sum()) * matrix.shape[1] * (most - few)
        if less > saved:
            found, saved = Bank(narrow.astype(np.int64), (most, few)), less
    return found if saved >= max(LEAST_BITS, LEAST_SHARE * matrix.size * most) else None
