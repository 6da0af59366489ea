"""Integer grids of constants whose quantizer says the step."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.frontend.model import Constant

LARGEST_WEIGHT = (1 << 16) - 1
"""Sixteen bits with any zero point taken off."""
NARROW_WEIGHT = 255
"""Eight bits with any zero point taken off: up to here one step for a whole tensor is as good as one a row."""
LARGEST_CODE = 2.0**31


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


def is_weight(constant: Constant, largest: int = LARGEST_WEIGHT) -> bool:
    """Tell whether a constant has codes, of at most `largest`."""
    return constant.codes is not None and int(np.abs(constant.codes).max(initial=0)) <= largest
