"""Quantizers as step functions: where a function of one float32 number jumps, and the integer grid of its values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from math import gcd, lcm

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.op import IntArray
from muxflow.frontend.importer.float_chain import Floats

LEVELS = 1 << 16
"""Most values a quantizer may have: the 16 bits of an input."""
LARGEST = float(np.finfo(np.float32).max)
"""Stands for infinity, which an ONNX model from a training should not hold."""
FLOAT_NOISE = 2.0**-20
"""How far, relatively, values may lie from a grid and still stand on it: a few float32 roundings."""
UNEVEN = (
    "its values lie on the grid of the smallest one, so use fewer bits, or of a power-of-two quantizer a max_value of 2 or more, "
    "as quantized_relu_po2(4, max_value=4): 1 or less makes its grid finer"
)
"""What to do about a quantizer whose values lie far apart on their grid."""
REACH = 20
"""Exponent of two up to which quantizers are evaluated, where nothing speaks against it."""
FINEST, POINTS = -16, 4096
"""The first points looked at: POINTS in each interval of [-2^e, 2^e], e rising from FINEST."""


@dataclass(frozen=True, eq=False)
class Steps:
    """A rising step function: `values[i]` from `thresholds[i - 1]` on, up to but not including `thresholds[i]`.

    `thresholds`: (K,) float32, rising; `values`: (K + 1,) float32, rising. `low`, `high`: the ends, both included, of
    where this is so; beyond them the function wraps around.
    """

    thresholds: Floats
    values: Floats
    low: float = -LARGEST
    high: float = LARGEST

    def grid(self) -> tuple[IntArray, float]:
        """Return (codes, scale) with value = scale * code; raises UnsupportedError where the values have no common grid."""
        if not self.values.any():
            return np.zeros(len(self.values), np.int64), 1.0
        # Powers of two first: they are exact. A quantizer with a float factor has rounded values.
        fractions = [Fraction(float(value)) for value in self.values]
        parts = lcm(*(fraction.denominator for fraction in fractions))
        unit = Fraction(reduce(gcd, (int(fraction * parts) for fraction in fractions)), parts)
        if max(abs(fraction / unit) for fraction in fractions) >= LEVELS:
            smallest = Fraction(float(np.abs(self.values[self.values != 0]).min()))
            unit = next((smallest / n for n in range(1, 17) if self._on(smallest / n)), Fraction(0))
        if not unit and (np.frexp(np.abs(self.values[self.values != 0]))[0] == 0.5).all():
            raise UnsupportedError(
                f"its values are powers of two from {smallest!s} to {max(map(abs, fractions))!s}; up to {LEVELS - 1:,} times the "
                f"smallest are supported: {UNEVEN}"
            )
        if not unit:
            raise UnsupportedError(
                f"its values {', '.join(f'{value:g}' for value in self.values[:6])} ... are no multiples of one step; "
                "use a quantizer with equal steps (quantized_bits, quantized_relu)"
            )
        return np.rint(self.values.astype(np.float64) / float(unit)).astype(np.int64), float(unit)

    def _on(self, unit: Fraction) -> bool:
        codes = self.values.astype(np.float64) / float(unit)
        near = np.abs(codes - np.rint(codes)) <= FLOAT_NOISE * np.abs(codes)
        return bool(near.all()) and float(np.abs(codes).max()) < LEVELS


def _floats(keys: IntArray) -> Floats:
    """Return the float32 numbers with these places in their order; 0 is at 0."""
    bits = np.where(keys < 0, -keys | 1 << 31, keys)
    return bits.astype(np.uint32).view(np.float32)


def _keys(values: Floats) -> IntArray:
    bits = (values.astype(np.float32) + np.float32(0)).view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)


def find_steps(function: Callable[[Floats], Floats], reach: int) -> Steps:
    """Find every jump of a rising step function on [-2^reach, 2^reach], to the last bit of float32.

    Beyond that range the function is taken to keep its end values (decision; it is some orders of magnitude wider
    than any quantizer of 16 bits that a network uses). Two points with equal values are taken to have none between.
    Raises UnsupportedError when the function falls, differs between two calls, or has more than LEVELS values.
    """
    steps = _find_jumps(function, reach)
    falls = np.flatnonzero(steps.values[1:] < steps.values[:-1])
    if falls.size:
        at = steps.thresholds[falls[0]]
        before = np.nextafter(at, np.float32(-LARGEST))
        raise UnsupportedError(
            f"it falls from {steps.values[falls[0]]:g} at {before:.9g} to {steps.values[falls[0] + 1]:g} at {at:.9g}; "
            "supported are quantizers that only rise"
        )
    return steps


def find_period(function: Callable[[Floats], Floats], reach: int) -> Steps:
    """Find the steps of a sawtooth on its period around 0, looked for on [-2^reach, 2^reach]; else as `find_steps`."""
    steps = _find_jumps(function, reach)
    falls = np.flatnonzero(steps.values[1:] < steps.values[:-1])
    first = max((fall + 1 for fall in falls if steps.thresholds[fall] <= 0), default=0)
    last = min((fall for fall in falls if steps.thresholds[fall] > 0), default=len(steps.thresholds))
    return Steps(
        steps.thresholds[first:last],
        steps.values[first : last + 1],
        float(steps.thresholds[first - 1]) if first else -LARGEST,
        float(np.nextafter(steps.thresholds[last], np.float32(-LARGEST))) if last < len(steps.thresholds) else LARGEST,
    )


def _find_jumps(function: Callable[[Floats], Floats], reach: int) -> Steps:
    """Do as `find_steps`, for a function that may fall."""
    octaves = [np.linspace(-(2.0**e), 2.0**e, POINTS + 1, dtype=np.float32) for e in range(FINEST, reach + 1)]
    keys = np.unique(_keys(np.concatenate(octaves)))
    values = function(_floats(keys))
    if not np.array_equal(values, function(_floats(keys))):
        raise UnsupportedError("it gives two results for one input (random rounding); use a deterministic quantizer")
    while True:
        jumps = np.flatnonzero(values[1:] != values[:-1])
        if len(jumps) >= LEVELS:
            raise UnsupportedError(
                f"it has more than {LEVELS} values, so it does not quantize; use a quantizer of at most 16 bits"
            )
        wide = jumps[keys[jumps + 1] - keys[jumps] > 1]
        if not wide.size:
            break
        middle = (keys[wide] + keys[wide + 1]) // 2
        keys = np.insert(keys, wide + 1, middle)
        values = np.insert(values, wide + 1, function(_floats(middle)))
    return Steps(_floats(keys[jumps + 1]), values[np.concatenate([[0], jumps + 1])])
