"""Thresholds as clip((factor * x + bias) >> shift), where that is exactly what they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.threshold import Threshold

NARROW, WIDE = 18, 25
"""Bits of the factors of a DSP48E1's multiplier, signed (UG479); later ones are wider."""

SUM = 46
"""Bits that the largest code takes before the shift, at most: sums then fit the 48 of a DSP block."""

TRIED = 8
"""Rows that are tried before all: most thresholds that are no line show it early (decision)."""


@dataclass(frozen=True, eq=False)
class MultiplyShift:
    """Codes as clip((factors[row] * clip(x, lowest, highest) + biases[row]) >> shift, 0, steps).

    `lo` and `hi` bound the sums before the shift.
    """

    factors: IntArray
    biases: IntArray
    shift: int
    lowest: int
    highest: int
    lo: int
    hi: int


@lru_cache(maxsize=1 << 10)
def multiply_shift(op: Threshold, lo: int, hi: int) -> MultiplyShift | None:
    """Find factors and biases at the least common shift that give every code of `op`'s levels for each x in [lo, hi].

    None where there are none that a DSP block multiplies. Where x itself does not do, it is clipped to where codes change,
    so that it fits the narrow factor of the multiplier. Exact: row by row, all integer solutions are searched.
    """
    levels = np.clip(op.levels, lo, min(hi + 1, np.iinfo(np.int64).max))
    lowest, highest = max(lo, int(levels.min()) - 1), min(hi, int(levels.max()))
    found = _on_interval(op, levels, lo, hi) if _bits(lo, hi) <= WIDE else None
    if found is None and _bits(lowest, highest) <= NARROW < _bits(lo, hi):
        found = _on_interval(op, levels, lowest, highest)
    return found


def _bits(lo: int, hi: int) -> int:
    return width(min(lo, -1), hi)[0]


def _on_interval(op: Threshold, levels: IntArray, lo: int, hi: int) -> MultiplyShift | None:
    """Solve all rows for x in [lo, hi]; a row that falls is a rising one with the negative factor."""
    most = (1 << (NARROW if _bits(lo, hi) > NARROW else WIDE) - 1) - 1
    if len(levels) > 2 * TRIED and _least_shift(levels[:TRIED], lo, hi, most) is None:
        return None
    found = _least_shift(levels, lo, hi, most)
    if found is None:
        return None
    shift, factors, biases = found
    falls = op.falling != 0
    factors = np.where(falls, -factors, factors)
    biases = np.where(falls, ((levels.shape[1] + 1) << shift) - 1 - biases, biases)
    ends = np.stack([factors * lo + biases, factors * hi + biases])
    return MultiplyShift(factors, biases, shift, lo, hi, int(ends.min()), int(ends.max()))


def _least_shift(levels: IntArray, lo: int, hi: int, most: int) -> tuple[int, IntArray, IntArray] | None:
    """Find the least shift at which every row has a solution with a factor in [0, most], and one solution a row.

    Twice a solution is one at the next shift, and the least factor never falls from one shift to the next: so a row
    without any solution needs a larger shift, one whose factors are all above `most` a smaller one.
    """
    low, high = 0, SUM - int(levels.shape[1]).bit_length()
    best = None
    while low <= high:
        shift = (low + high) // 2
        factors, biases, larger, smaller = _solve(levels, lo, hi, most, shift)
        if larger and smaller:
            return None
        if larger:
            low = shift + 1
        else:
            high = shift - 1
            if not smaller:
                best = shift, factors, biases
    return best


def _solve(levels: IntArray, lo: int, hi: int, most: int, shift: int) -> tuple[IntArray, IntArray, bool, bool]:
    """Find the least factor of each row at one shift, and a bias; tell whether a row needs a larger shift, or a smaller one.

    Code k begins at its threshold t: factor * t + bias >= k << shift, and factor * (t - 1) + bias < k << shift, where
    t, or t - 1, is in [lo, hi]. A factor leaves the bias an interval, by whose ends a convex function of the factor says
    how much is missing until it is not empty. From 0, each step goes where the line that is met would reach zero: no
    solution lies before it.
    """
    codes = np.arange(1, levels.shape[1] + 1, dtype=np.int64) << shift
    none = np.int64(1) << 61
    factors, biases = np.zeros(len(levels), np.int64), np.zeros(len(levels), np.int64)
    rows = np.arange(len(levels))
    larger = smaller = False
    while len(rows):
        some, factor = levels[rows], factors[rows, None]
        least = np.where(some <= hi, codes - factor * some, -none)
        greatest = np.where(some > lo, codes - 1 - factor * (some - 1), none)
        begins, ends = least.argmax(axis=1)[:, None], greatest.argmin(axis=1)[:, None]
        bottom, top, from_level, to_level = (
            np.take_along_axis(array, index, axis=1)[:, 0]
            for array, index in ((least, begins), (greatest, ends), (some, begins), (some, ends))
        )
        biases[rows] = np.where(bottom == -none, top, bottom)
        missing, slope = bottom - top, to_level - 1 - from_level
        found, hopeless = missing <= 0, (missing > 0) & (slope >= 0)
        factors[rows] -= np.where(found | hopeless, 0, missing // np.minimum(slope, -1))
        beyond = factors[rows] > most
        larger |= bool(hopeless.any())
        smaller |= bool(beyond.any())
        rows = rows[~found & ~hopeless & ~beyond]
    return factors, biases, larger, smaller
