"""Integer thresholds by evaluating the model's own float arithmetic over the accumulator's range."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops import Threshold

EXHAUSTIVE = 1 << 15
"""Accumulator values up to which every one is evaluated; wider ranges are bisected and checked on a sample."""
SAMPLE = 1 << 13
BLOCK = 1 << 21
"""Evaluations in one call: bounds the memory."""

Codes = Callable[[IntArray], IntArray]
"""Codes of accumulator values, both of shape (R, rows)."""


def find_thresholds(codes: Codes, rows: int, lo: int, hi: int, where: str) -> Threshold:
    """The thresholds of a quantizer whose codes on [lo, hi] are given by `codes`, rising or falling in each row.

    Raises UnsupportedError naming `where`, the row and the values when a row is not monotone.
    """
    if hi - lo < EXHAUSTIVE:
        return _exhaustive(codes, rows, lo, hi, where)
    return _bisect(codes, rows, lo, hi, where)


def _evaluate(codes: Codes, points: IntArray, rows: int) -> IntArray:
    """Codes of the same points in every row, shape (points, rows)."""
    block = max(1, BLOCK // rows)
    parts = [
        codes(np.broadcast_to(points[start : start + block, None], (len(points[start : start + block]), rows)))
        for start in range(0, len(points), block)
    ]
    return np.concatenate(parts)


def _refuse(where: str, row: int, points: IntArray, values: IntArray) -> None:
    steps = np.diff(values)
    turn = int(np.flatnonzero(steps * np.sign(values[-1] - values[0] or 1) < 0)[0])
    raise UnsupportedError(
        f"{where}: the activation is not monotone in channel {row}: accumulator {points[turn]} gives code "
        f"{values[turn]}, {points[turn + 1]} gives {values[turn + 1]}, the ends give {values[0]} and {values[-1]}; "
        "supported are activations that only rise or only fall (ReLU, clip, sigmoid, tanh, leaky ReLU with a positive "
        "slope ...)"
    )


def _check_monotone(where: str, points: IntArray, values: IntArray) -> IntArray:
    """1 for each falling row, 0 for each rising one; raises where a row is neither."""
    steps = np.diff(values, axis=0)
    falls, rises = (steps < 0).any(axis=0), (steps > 0).any(axis=0)
    both = np.flatnonzero(falls & rises)
    if both.size:
        _refuse(where, int(both[0]), points, values[:, both[0]])
    return falls.astype(np.int64)


def _exhaustive(codes: Codes, rows: int, lo: int, hi: int, where: str) -> Threshold:
    points = np.arange(lo, hi + 1, dtype=np.int64)
    values = _evaluate(codes, points, rows)
    falling = _check_monotone(where, points, values)
    base, top = int(values.min()), int(values.max())
    # Count of thresholds reached at each point, in the direction of the row.
    reached = np.where(falling, top - values, values - base)
    steps = max(1, top - base)
    thresholds = np.stack([lo + np.searchsorted(column, np.arange(1, steps + 1)) for column in reached.T])
    return Threshold(thresholds, falling, base)


def _bisect(codes: Codes, rows: int, lo: int, hi: int, where: str) -> Threshold:
    points = np.unique(np.linspace(lo, hi, SAMPLE).astype(np.int64))
    values = _evaluate(codes, points, rows)
    falling = _check_monotone(where, points, values)
    base, top = int(values.min()), int(values.max())
    steps = max(1, top - base)
    wanted = np.arange(1, steps + 1)[:, None]

    def reached(at: IntArray) -> IntArray:
        parts = []
        block = max(1, BLOCK // rows)
        for start in range(0, len(at), block):
            value = codes(at[start : start + block])
            parts.append(np.where(falling, top - value, value - base))
        return np.concatenate(parts)

    # Invariant: the threshold lies in (below, above]; above = hi + 1 means that it is never reached.
    below = np.full((steps, rows), lo - 1, np.int64)
    above = np.full((steps, rows), hi + 1, np.int64)
    while (above - below > 1).any():
        middle = np.clip((below + above) // 2, lo, hi)
        yes = reached(middle) >= wanted
        open_ = above - below > 1
        above = np.where(open_ & yes, middle, above)
        below = np.where(open_ & ~yes, middle, below)
    found = Threshold(above.T, falling, base)
    near = np.unique(np.clip(np.concatenate([points, *(above.reshape(-1) + d for d in (-1, 0))]), lo, hi))
    sample = np.random.default_rng(0).permutation(near)[: 4 * SAMPLE]
    sample.sort()
    met = _evaluate(codes, sample, rows)
    expected = found.codes(np.broadcast_to(sample[:, None], met.shape))
    wrong = np.flatnonzero((met != expected).any(axis=0))
    if wrong.size:
        _refuse(where, int(wrong[0]), sample, met[:, wrong[0]])
    return found
