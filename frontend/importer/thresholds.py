"""Integer thresholds by evaluating the model's own float arithmetic over the accumulator's range."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.limits import check_elements
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.threshold import Threshold

EXHAUSTIVE = 1 << 23
"""Accumulator values times rows up to which every one is evaluated; more are bisected and checked on a sample."""
RESOLUTION = 21
"""Bits that float32 resolves after a few roundings: wider accumulators are rounded before the activation sees them."""
MOST_STEPS = (1 << 12) - 1
"""Thresholds of a row (decision): the codes of 12 bits."""
MOST_THRESHOLDS = 1 << 24
"""Thresholds of all rows (decision): 128 MiB at 8 bytes each."""
SAMPLE = 1 << 13
BLOCK = 1 << 20
"""Evaluations in one call: bounds the memory."""

Codes = Callable[[IntArray], IntArray]
"""Codes of accumulator values, both of shape (R, rows)."""
SmallArray = npt.NDArray[np.int32]


def distinct(thresholds: IntArray) -> npt.NDArray[np.bool_]:
    """Mark the first of equal thresholds in each row: where they are equal, the code takes several steps at once, as a sign."""
    return np.asarray(np.diff(thresholds, axis=-1, prepend=thresholds[..., :1] - 1) != 0)


def count_distinct(*tables: IntArray) -> int:
    """Count the thresholds of tables, equal ones of a row once."""
    return sum(int(distinct(table).sum()) for table in tables)


def find_thresholds(codes: Codes, rows: int, lo: int, hi: int, where: str) -> Threshold:
    """Find the thresholds of a quantizer whose codes on [lo, hi] are given by `codes`, rising or falling in each row.

    Every value is evaluated where there are few (see EXHAUSTIVE). Wider ranges are bisected, and what was found is
    compared on SAMPLE values across the range and on the values next to the thresholds; beyond 2^RESOLUTION a float
    function may waver between neighbours that it cannot tell apart, so a threshold may then be off by as many.
    Raises UnsupportedError naming `where`, the row and the values when a row is not monotone.
    """
    if (hi - lo + 1) * rows <= EXHAUSTIVE and _slack(lo, hi) == 0:
        return _exhaustive(codes, rows, lo, hi, where)
    return _bisect(codes, rows, lo, hi, where)


def _slack(lo: int, hi: int) -> int:
    """Count neighbouring accumulator values that are one float32 number after a few roundings."""
    return max(abs(lo), abs(hi)) >> RESOLUTION


def _evaluate(codes: Codes, points: IntArray, rows: int) -> SmallArray:
    """Compute the codes of the same points in every row, shape (points, rows)."""
    block = max(1, BLOCK // rows)
    parts = [
        codes(np.broadcast_to(part[:, None], (len(part), rows))).astype(np.int32)
        for part in np.split(points, range(block, len(points), block))
    ]
    return np.concatenate(parts)


def _refuse(where: str, row: int, points: IntArray, values: npt.NDArray[np.integer], falling: bool) -> NoReturn:
    steps = np.diff(values.astype(np.int64))
    turn = int(np.flatnonzero(steps > 0 if falling else steps < 0)[0])
    raise UnsupportedError(
        f"{where}: the activation is not monotone in channel {row}: accumulator {points[turn]} gives code "
        f"{values[turn]}, {points[turn + 1]} gives {values[turn + 1]}, the ends give {values[0]} and {values[-1]}; "
        "supported are activations that only rise or only fall, so use one of those (ReLU, clip, sigmoid, tanh, leaky "
        "ReLU with a positive slope); SiLU, hard-swish, GELU and Mish only rise before an unsigned quantizer"
    )


def _check_count(steps: int, rows: int, where: str) -> None:
    if steps * rows > MOST_THRESHOLDS:
        raise UnsupportedError(
            f"{where}: {steps} steps in each of {rows} rows; at most {MOST_THRESHOLDS:,} (MOST_THRESHOLDS) are searched, so use "
            "fewer bits, or one scale and bias for all channels"
        )


def _falling(where: str, points: IntArray, values: SmallArray) -> IntArray:
    """Return 1 for each falling row, 0 for each rising one; raises where a row is neither."""
    steps = np.diff(values, axis=0)
    falls, rises = (steps < 0).any(axis=0), (steps > 0).any(axis=0)
    both = np.flatnonzero(falls & rises)
    if both.size:
        column = values[:, both[0]]
        _refuse(where, int(both[0]), points, column, bool(column[-1] < column[0]))
    return np.asarray(falls, np.int64)


def _exhaustive(codes: Codes, rows: int, lo: int, hi: int, where: str) -> Threshold:
    points = np.arange(lo, hi + 1, dtype=np.int64)
    values = _evaluate(codes, points, rows)
    falling = _falling(where, points, values)
    base, top = int(values.min()), int(values.max())
    _check_count(top - base, rows, where)
    # Count of thresholds reached at each point, in the direction of the row.
    reached = np.where(falling, top - values, values - base)
    wanted = np.arange(1, max(1, top - base) + 1)
    return Threshold(np.stack([lo + np.searchsorted(column, wanted) for column in reached.T]), falling, base)


def _bisect(codes: Codes, rows: int, lo: int, hi: int, where: str) -> Threshold:
    check_elements(f"{where}: the activation's values on {SAMPLE} accumulators", SAMPLE, rows)
    points = np.unique(np.linspace(lo, hi, SAMPLE).astype(np.int64))
    values = _evaluate(codes, points, rows)
    falling = _falling(where, points, values)
    base, top = int(values.min()), int(values.max())
    steps = max(1, top - base)
    _check_count(steps, rows, where)
    wanted = np.arange(1, steps + 1)[:, None]
    block = max(1, BLOCK // rows)

    def reached(at: IntArray) -> IntArray:
        met = np.concatenate([codes(at[start : start + block]) for start in range(0, len(at), block)])
        return np.where(falling, top - met, met - base)

    # Invariant: the threshold lies in (below, above]; above = hi + 1 means that it is never reached.
    below = np.full((steps, rows), lo - 1, np.int64)
    above = np.full((steps, rows), hi + 1, np.int64)
    while (above - below > 1).any():
        middle = (below + above) // 2
        yes = reached(np.clip(middle, lo, hi)) >= wanted
        inside = above - below > 1
        above = np.where(inside & yes, middle, above)
        below = np.where(inside & ~yes, middle, below)
    found = Threshold(np.sort(above, axis=0).T, falling, base)
    beside = [np.clip(above - back, lo, hi) for back in (0, 1)]
    checked = [(np.broadcast_to(points[:, None], values.shape), values), *((at, codes(at)) for at in beside)]
    for at, met in checked:
        ends = [found.codes(at + shift) for shift in (-_slack(lo, hi), _slack(lo, hi))]
        wrong = np.flatnonzero(((met < np.minimum(*ends)) | (met > np.maximum(*ends))).any(axis=0))
        if wrong.size:
            # The values on either side of the thresholds show where the row turns.
            row = int(wrong[0])
            union = np.unique(np.concatenate([points, *(part[:, row] for part in beside)]))
            _refuse(where, row, union, _evaluate(codes, union, rows)[:, row], bool(falling[row]))
    return found
