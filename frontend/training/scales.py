"""The values of activation and weight codes, of which the quantizers of every library are made; no library is needed."""

from __future__ import annotations

from typing import Literal, get_args

from muxflow.dataflow.errors import MuxflowError

ScaleMode = Literal["power_of_two", "unit"]
BiasPer = Literal["channel", "layer"]
"""What has one bias of a bit-shift norm."""

ACTIVATION_BITS = (1, 2, 3, 4)
PIXEL_SCALE = 1 / 256
"""The value of one pixel code."""
FIXED_BINARY_SCALE = 1 / 32
"""The constant that replaces mean|W| where a residual add follows (ERN, arXiv 2410.11553)."""


def check_scale_mode(scale: str) -> None:
    """Raise MuxflowError for an unknown scale."""
    if scale not in get_args(ScaleMode):
        raise MuxflowError(f"quantizer: scale {scale!r}; supported: 'power_of_two', 'unit'")


def activation_scale(bits: int, scale: ScaleMode = "power_of_two") -> float:
    """Return the value of one unsigned activation code: 1/2^k (`power_of_two`, decision) or 1/(2^k - 1) (`unit`, published).

    Raises MuxflowError when k is not 1..4 or the scale is unknown.
    """
    if bits not in ACTIVATION_BITS:
        raise MuxflowError(f"activation quantizer: {bits!r} bits; supported: {', '.join(map(str, ACTIVATION_BITS))}")
    check_scale_mode(scale)
    return 2.0**-bits if scale == "power_of_two" else 1 / (2**bits - 1)


def half_wave_step(bits: int = 2, scale: ScaleMode = "power_of_two") -> float:
    """Return the value of one half-wave code: 2/2^k (`power_of_two`, decision) or 2/(2^k - 1) (`unit`, published).

    Raises MuxflowError when k is not 1..4 or the scale is unknown.
    """
    return 2 * activation_scale(bits, scale)
