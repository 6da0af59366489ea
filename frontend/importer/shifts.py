"""Activations that are computed, not compared: a shift and a clip, and a product where there are too many steps to store."""

from __future__ import annotations

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.graph import EVERY
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.multiply_shift import multiply_shift
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.importer.products import aligned
from muxflow.frontend.importer.thresholds import MOST_STEPS
from muxflow.frontend.importer.values import compact
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import ModelNode

MOST_SHIFT = 62
"""Bits of a shift, at most: sums then fit 64 bits."""

FLOAT_BITS = 24
"""Bits of the whole numbers that float32 holds."""

Ties = tuple[tuple[int, ...], ...]
"""As in `Graph.ties`: row, sum, and the codes other than the sum's that rounding may give there."""


def bit_shift(op: Threshold, x: Stream) -> ShiftClip | None:
    """Find bias and shift that give the codes of thresholds for everything that a stream holds; None where there are none.

    None also for one step: that is a comparison with one number a channel, as the bias would be.
    """
    lo, hi, (rows, steps) = x.lo, x.hi, op.thresholds.shape
    if rows not in (1, x.channels) or steps < 2 or op.jump != 1 or op.falling.any():
        return None
    levels = np.clip(op.thresholds, lo, hi + 1)
    met = (levels > lo) & (levels <= hi)
    gaps = np.diff(levels, axis=1)[met[:, 1:] & met[:, :-1]]
    step = int(gaps[0]) if gaps.size else 1 << (hi - lo).bit_length()
    shift = step.bit_length() - 1
    if step < 1 or step != 1 << shift or shift > MOST_SHIFT:
        return None
    # By the first threshold that is met; a channel whose code never changes gets one that puts the others out of reach.
    first = np.where(met.any(axis=1), met.argmax(axis=1), (levels <= lo).sum(axis=1) - 1)
    at = np.where(met.any(axis=1), np.take_along_axis(levels, first.clip(0)[:, None], axis=1)[:, 0], lo)
    bias = np.where(first < 0, -hi - 1 + step, (first + 1 << shift) - at)
    found = (np.arange(1, steps + 1) << shift) - bias[:, None]
    if not np.array_equal(np.clip(found, lo, hi + 1), levels):
        return None
    return ShiftClip(compact(bias) + (op.base << shift), shift, op.base, op.base + steps)


def shifted(
    importer: Importer, node: ModelNode, op: Threshold, stream: str, ties: Ties, remedy: str = ""
) -> tuple[str, Ties]:
    """Emit Scale and ShiftClip that give every code of the thresholds; returns the stream, and the ties of the ShiftClip.

    `remedy`: what to do where there are none, "" for what helps any quantizer.
    `ties`: of the thresholds. One where the sums are clipped first is dropped: other sums come to the same code there.
    Raises UnsupportedError naming the node where there are none.
    """
    x = importer.streams[stream]
    found = multiply_shift(op, x.lo, x.hi) if op.jump == 1 and len(op.thresholds) in (1, x.channels) else None
    if found is None:
        raise UnsupportedError(
            f"{node.label}: {op.thresholds.shape[1]:,} steps between codes; up to {MOST_STEPS:,} (MOST_STEPS) are stored as "
            f"thresholds, and no product and shift gives these codes exactly. "
            + (remedy[:1].upper() + remedy[1:] or f"Use at most 12 bits, or {_remedy(x)}")
        )
    if (found.lowest, found.highest) != (x.lo, x.hi):
        stream = importer.emit(
            f"{node.name}_clip", ShiftClip(np.zeros(1, np.int64), 0, found.lowest, found.highest), stream
        )
    stream = aligned(importer, stream, found.factors)
    bias = compact(found.biases + (op.base << found.shift))
    highest = op.base + op.thresholds.shape[1]
    name = importer.emit(node.name, ShiftClip(bias, found.shift, op.base, highest, found.even), stream)
    factors = np.broadcast_to(found.factors, x.channels).tolist()
    alike = len(op.thresholds) == 1
    moved = (
        (EVERY if alike else row, factors[row] * code, *codes)
        for row, code, *codes in ties
        if found.lowest <= code <= found.highest
    )
    return name, tuple(moved)


def _remedy(x: Stream) -> str:
    """Say how a product and a shift would give the codes: the sums below FLOAT_BITS, and then their scale."""
    bits = max(abs(x.lo), abs(x.hi)).bit_length()
    if bits > FLOAT_BITS:
        return (
            f"fewer bits in the layer before it: its sums take {bits}, and float32, in which the model computes them, rounds "
            f"those of more than {FLOAT_BITS}"
        )
    return "power-of-two scales with no batch norm before them"
