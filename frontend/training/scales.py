"""The values of activation and weight codes, of which the quantizers of every library are made; no library is needed."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Literal, get_args

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.limits import is_number
from muxflow.dataflow.text import shown

ScaleMode = Literal["power_of_two", "unit"]
BiasPer = Literal["channel", "layer"]
"""What has one bias of a bit-shift norm."""
BIASES: tuple[str, ...] = get_args(BiasPer)
MOST_SHIFT = 31
"""Bits by which a bit-shift norm shifts sums, at most (decision)."""

MOST_LEVELS = 255
"""Levels of an HEQ weight, at most (decision): 8 bits; each level is a quantile that is looked for."""
MOST_SIZE = 1 << 16
"""Channels, kernel and stride of a layer, at most (decision)."""
MOST_VALUE = 2.0**60
"""Value of one code, and what statistics aim at, at most (decision): products with their reciprocals stay floats."""
ACTIVATION_BITS = (1, 2, 3, 4)
PIXEL_SCALE = 1 / 256
"""The value of one pixel code."""
FIXED_BINARY_SCALE = 1 / 32
"""The constant that replaces mean|W| where a residual add follows (ERN, arXiv 2410.11553)."""


def is_whole(value: object) -> bool:
    """Tell whether a value is a whole number; a truth value is none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def check_sizes(where: str, **sizes: int) -> None:
    """Raise MuxflowError naming `where` and the first of `sizes` that is no whole number from 1 to MOST_SIZE."""
    for name, size in sizes.items():
        if not is_whole(size) or not 1 <= size <= MOST_SIZE:
            raise MuxflowError(f"{where}: {name} {shown(size)}; use a whole number from 1 to {MOST_SIZE:,} (MOST_SIZE)")


def check_numbers(where: str, least: float, most: float = MOST_VALUE, **values: float) -> None:
    """Raise MuxflowError naming `where` and the first of `values` that is no number from `least` to `most`."""
    for name, value in values.items():
        if not is_number(value) or not least <= value <= most:
            raise MuxflowError(f"{where}: {name} {shown(value)}; use a number from {least:g} to {most:g}")


def check_scale_mode(scale: str) -> None:
    """Raise MuxflowError for an unknown scale."""
    if scale not in get_args(ScaleMode):
        raise MuxflowError(f"quantizer: scale {scale!r}; supported: 'power_of_two', 'unit'")


def activation_scale(bits: int, scale: ScaleMode = "power_of_two") -> float:
    """Return the value of one unsigned activation code: 1/2^k (`power_of_two`, decision) or 1/(2^k - 1) (`unit`, published).

    Raises MuxflowError when k is not 1..4 or the scale is unknown.
    """
    if not is_whole(bits) or bits not in ACTIVATION_BITS:
        raise MuxflowError(f"activation quantizer: {bits!r} bits; supported: {', '.join(map(str, ACTIVATION_BITS))}")
    check_scale_mode(scale)
    return 2.0**-bits if scale == "power_of_two" else 1 / (2**bits - 1)


def half_wave_step(bits: int = 2, scale: ScaleMode = "power_of_two") -> float:
    """Return the value of one half-wave code: 2/2^k (`power_of_two`, decision) or 2/(2^k - 1) (`unit`, published).

    Raises MuxflowError when k is not 1..4 or the scale is unknown.
    """
    return 2 * activation_scale(bits, scale)


def check_levels(n: int) -> None:
    """Raise MuxflowError unless a number of HEQ levels is odd, and from 3 to MOST_LEVELS."""
    if not is_whole(n) or not 3 <= n <= MOST_LEVELS or n % 2 == 0:
        raise MuxflowError(
            f"HEQ: {shown(n)} levels; the quantizer is symmetric, so use an odd number from 3 (3, 5, 7) up to {MOST_LEVELS} "
            "(MOST_LEVELS)"
        )


def heq_scale(n: int, scale: ScaleMode = "power_of_two") -> float:
    """Return the value of one HEQ weight code: codes run over -(n-1)/2 .. (n-1)/2.

    `unit` gives the published 2/(n-1) (levels span [-1, 1]); `power_of_two` gives the largest power of two that is not
    above it (3 -> 1, 5 -> 1/2, 7 -> 1/4), a decision that keeps sums exact.
    Raises MuxflowError when n is not odd or the scale is unknown.
    """
    check_levels(n)
    check_scale_mode(scale)
    half = (n - 1) // 2
    return 1 / half if scale == "unit" else 2.0 ** -math.ceil(math.log2(half))


def heq_bits(n: int) -> int:
    """Count the bits of a signed narrow integer that holds one of n HEQ levels: 3 -> 2, 5 -> 3, 7 -> 3. Raises MuxflowError."""
    check_levels(n)
    return math.ceil(math.log2((n - 1) // 2 + 1)) + 1
