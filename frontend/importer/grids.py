"""Integer grids: of constants whose quantizer says the step, and those that several scales have in common."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.frontend.model import Constant

LARGEST_FACTOR = 4096
"""Largest integer factor that brings a stream onto a common grid: 12 more bits a code (decision)."""
LARGEST_WEIGHT = 255
"""Eight bits with any zero point taken off."""
LARGEST_CODE = 2.0**31

_SLACK = Fraction(1, 1 << 22)


def on_grid(values: npt.NDArray[Any], steps: npt.NDArray[np.float64]) -> Constant:
    """Give a constant the codes that its quantizer says.

    `steps`: of which the values are whole multiples, positive, with as many axes as `values`: one for all, or one for each
    place on some axes. A factor that all codes of one step have goes into the scale. Without codes where a value is not
    its code times the step, rounded once.
    """
    multiples = np.rint(values.astype(np.float64) / steps)
    on_steps = (multiples * steps).astype(values.dtype) == values
    if not on_steps.all() or np.abs(multiples).max(initial=0) >= LARGEST_CODE:
        return Constant(values)
    codes = multiples.astype(np.int64)
    shared = tuple(axis for axis, size in enumerate(steps.shape) if size == 1)
    factors = np.maximum(np.gcd.reduce(codes, axis=shared, keepdims=True), 1)
    return Constant(values, codes // factors, steps * factors)


def is_weight(constant: Constant) -> bool:
    """Tell whether a constant has codes, of at most `LARGEST_WEIGHT`."""
    return constant.codes is not None and int(np.abs(constant.codes).max(initial=0)) <= LARGEST_WEIGHT


def commensurate(ratio: Fraction) -> Fraction | None:
    """Find the fraction of small integers that a ratio of scales stands for, or None.

    Exact for terms up to `LARGEST_FACTOR`; a ratio that misses a fraction with terms up to 256 by float32 rounding
    alone counts as that fraction.
    """
    if max(abs(ratio.numerator), ratio.denominator) <= LARGEST_FACTOR:
        return ratio
    near = ratio.limit_denominator(256)
    if near == 0 or abs(near.numerator) > 256 or abs(ratio / near - 1) > _SLACK:
        return None
    return near


def common_grid(scales: Sequence[float]) -> tuple[list[int], float] | None:
    """Find integer factors and one unit with scale = factor * unit for each scale, or None where there is none.

    `scales`: one or more finite numbers, none of them 0; factors of negative ones are negative. The unit is the
    largest one, and positive.
    """
    base = Fraction(min(scales, key=abs))
    ratios = [commensurate(Fraction(scale) / abs(base)) for scale in scales]
    known = [ratio for ratio in ratios if ratio is not None]
    if len(known) < len(ratios):
        return None
    parts = lcm(*(ratio.denominator for ratio in known))
    factors = [int(ratio * parts) for ratio in known]
    if max(map(abs, factors)) > LARGEST_FACTOR:
        return None
    return factors, float(abs(base) / parts)
