"""The integer grid that several scales have in common."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import lcm

LARGEST_FACTOR = 4096
"""Largest integer factor that brings a stream onto a common grid: 12 more bits a code (decision)."""

_SLACK = Fraction(1, 1 << 22)


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
