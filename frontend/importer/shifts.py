"""Activations of more steps than are stored as thresholds: a product, a shift and a clip with the same codes."""

from __future__ import annotations

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.multiply_shift import multiply_shift
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.importer.products import aligned
from muxflow.frontend.importer.thresholds import MOST_STEPS
from muxflow.frontend.importer.values import compact
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import ModelNode

FLOAT_BITS = 24
"""Bits of the whole numbers that float32 holds."""


def shifted(importer: Importer, node: ModelNode, op: Threshold, stream: str) -> str:
    """Emit Scale and ShiftClip that give every code of the thresholds; returns the stream.

    Raises UnsupportedError naming the node where there are none.
    """
    x = importer.streams[stream]
    found = multiply_shift(op, x.lo, x.hi) if op.jump == 1 and len(op.thresholds) in (1, x.channels) else None
    if found is None:
        raise UnsupportedError(
            f"{node.label}: {op.thresholds.shape[1]:,} steps between codes; up to {MOST_STEPS:,} (MOST_STEPS) are stored as "
            f"thresholds, and no product and shift gives these codes exactly. Use at most 12 bits, or {_remedy(x)}"
        )
    if (found.lowest, found.highest) != (x.lo, x.hi):
        stream = importer.emit(
            f"{node.name}_clip", ShiftClip(np.zeros(1, np.int64), 0, found.lowest, found.highest), stream
        )
    stream = aligned(importer, stream, found.factors)
    bias = compact(found.biases + (op.base << found.shift))
    highest = op.base + op.thresholds.shape[1]
    return importer.emit(node.name, ShiftClip(bias, found.shift, op.base, highest, found.even), stream)


def _remedy(x: Stream) -> str:
    """Say how a product and a shift would give the codes: the sums below FLOAT_BITS, and then their scale."""
    bits = max(abs(x.lo), abs(x.hi)).bit_length()
    if bits > FLOAT_BITS:
        return (
            f"fewer bits in the layer before it: its sums take {bits}, and float32, in which the model computes them, rounds "
            f"those of more than {FLOAT_BITS}"
        )
    return "power-of-two scales with no batch norm before them"
