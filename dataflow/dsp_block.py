"""What the multiplier of a DSP block holds."""

from __future__ import annotations

from muxflow.dataflow.graph.stream import Stream

NARROW, WIDE = 18, 25
"""Bits of the factors of a DSP48E1's multiplier, signed (UG479). The wide one of a DSP48E2 has 27 (UG579), which no board
makes use of here: one way to build a product, on every part (decision)."""


def products_a_block(w: Stream, x: Stream) -> int:
    """Count the products of weights with one input that one multiplication makes.

    The weights lie side by side in the wide factor, as many bits apart as a product has: (w1 * 2^S + w0) * x is
    w1 * x * 2^S + w0 * x. That factor takes a bit more than the top weight, because the sum of those below it may be negative,
    and because the multiplier is signed. At least 1. Two products of 8 bits with one factor in common are AMD's (white paper
    WP486); that they lie no further apart than they need, and that there may be more than two, are decisions.
    """
    if x.bits + (not x.signed) > NARROW:
        return 1
    return 1 + max(0, WIDE - 1 - w.bits) // (w.bits + x.bits)
