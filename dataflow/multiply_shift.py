"""Thresholds as clip((factor * x + bias) >> shift), or that with ties to even, where that is exactly what they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from muxflow.dataflow.dsp_block import NARROW, WIDE
from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.threshold import Threshold

SUM = 46
"""Bits that the largest code takes before the shift, at most: sums then fit the 48 of a DSP block."""

TRIED = 8
"""Rows that are tried before all: most thresholds that are no line show it early (decision)."""


@dataclass(frozen=True, eq=False)
class MultiplyShift:
    """Counts of levels as clip(v >> shift, 0, steps) with v = factors[row] * clip(x, lowest, highest) + biases[row].

    `even`: 1 is taken off v first where base + (v >> shift) is odd. With half a step in the bias that rounds to the nearest
    code, and to the even one half-way. `lo` and `hi` bound what is shifted.
    """

    factors: IntArray
    biases: IntArray
    shift: int
    lowest: int
    highest: int
    lo: int
    hi: int
    even: bool = False


@lru_cache(maxsize=1 << 10)
def multiply_shift(op: Threshold, lo: int, hi: int) -> MultiplyShift | None:
    """Find factors and biases at the least common shift that give every code of `op`'s levels for each x in [lo, hi].

    None where there are none that a DSP block multiplies, or whose factors are 0 and 1. Where x itself does not do, it is
    clipped to where codes change, so that it fits the narrow factor of the multiplier. Exact: row by row, all integer
    solutions are searched, then all with ties to even.
    """
    levels = np.clip(op.levels, lo, min(hi + 1, np.iinfo(np.int64).max))
    lowest, highest = max(lo, int(levels.min()) - 1), min(hi, int(levels.max()))
    ends = [(lo, hi)] if _bits(lo, hi) <= SUM else []
    if _bits(lowest, highest) <= NARROW < _bits(lo, hi):
        ends.append((lowest, highest))
    tried = (_on_interval(op, levels, *pair, even) for even in (False, True)[: 3 - op.jump] for pair in ends)
    return next((found for found in tried if found is not None), None)


def _bits(lo: int, hi: int) -> int:
    return width(min(lo, -1), hi)[0]


def _on_interval(op: Threshold, levels: IntArray, lo: int, hi: int, even: bool) -> MultiplyShift | None:
    """Solve all rows for x in [lo, hi]; a row that falls is a rising one with the negative factor."""
    bits = _bits(lo, hi)
    most = 1 if bits > WIDE else (1 << (NARROW if bits > NARROW else WIDE) - 1) - 1
    late = _late(op, levels.shape[1]) if even else np.zeros((len(levels), 1), np.int64)
    if len(levels) > 2 * TRIED and _least_shift(levels[:TRIED], late[:TRIED], lo, hi, most) is None:
        return None
    found = _least_shift(levels, late, lo, hi, most)
    if found is None:
        return None
    shift, factors, biases = found
    falls = op.falling != 0
    factors = np.where(falls, -factors, factors)
    biases = np.where(falls, ((levels.shape[1] + 1) << shift) - (not even) - biases, biases)
    ends = np.stack([factors * lo + biases, factors * hi + biases])
    return MultiplyShift(factors, biases, shift, lo, hi, int(ends.min()) - even, int(ends.max()), even)


def _late(op: Threshold, steps: int) -> IntArray:
    """Say by row and step, ties to even, whether a count begins 1 after its multiple of the step: 1 or 0.

    An odd code does. In a row that falls the sum is turned over, which turns the end of a code over, too.
    """
    rising = op.base + np.arange(1, steps + 1) & 1
    return np.where(op.falling[:, None] != 0, 1 - (op.base + np.arange(steps, 0, -1) & 1), rising)


def _least_shift(
    levels: IntArray, late: IntArray, lo: int, hi: int, most: int
) -> tuple[int, IntArray, IntArray] | None:
    """Find the least shift at which every row has a solution with a factor in [0, most], and one solution a row.

    Twice a solution is one at the next shift, and the least factor never falls from one shift to the next: so a row
    without any solution needs a larger shift, one whose factors are all above `most` a smaller one.
    """
    low, high = int(late.any()), SUM - int(levels.shape[1]).bit_length()
    best = None
    while low <= high:
        shift = (low + high) // 2
        factors, biases, larger, smaller = _solve(levels, late, lo, hi, most, shift)
        if larger and smaller:
            return None
        if larger:
            low = shift + 1
        else:
            high = shift - 1
            if not smaller:
                best = shift, factors, biases
    return best


def _solve(
    levels: IntArray, late: IntArray, lo: int, hi: int, most: int, shift: int
) -> tuple[IntArray, IntArray, bool, bool]:
    """Find the least factor of each row at one shift, and a bias; tell whether a row needs a larger shift, or a smaller one.

    Count k begins at its threshold t: factor * t + bias >= (k << shift) + late, and factor * (t - 1) + bias less than that,
    where t, or t - 1, is in [lo, hi]. A factor leaves the bias an interval, by whose ends a convex function of the factor says
    how much is missing until it is not empty. From 0, each step goes where the line that is met would reach zero: no
    solution lies before it.
    """
    begin = (np.arange(1, levels.shape[1] + 1, dtype=np.int64) << shift) + late
    none = np.int64(1) << 61
    factors, biases = np.zeros(len(levels), np.int64), np.zeros(len(levels), np.int64)
    rows = np.arange(len(levels))
    larger = smaller = False
    while len(rows):
        some, factor, codes = levels[rows], factors[rows, None], begin[rows]
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
