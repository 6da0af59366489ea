"""Products that multiply the accumulators of another product: a quantizer between them was forgotten, perhaps."""

from __future__ import annotations

from collections.abc import Mapping

from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.lstm_cell import LstmCell
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.threshold import Threshold

QUANTIZERS = (Threshold, ShiftClip, LstmCell)
NARROW = 8
"""Bits up to which a product of accumulators is not worth a remark: networks are quantized to so many (decision)."""


def remark_on(node: Node, writers: Mapping[str, Node], streams: Mapping[str, Stream]) -> str:
    """Say where a product reads accumulators of another one that no quantizer has made short; "" where it does not.

    `writers`: the nodes before it, by the streams that they write.
    """
    if not isinstance(node.op, MatrixVector) or (bits := streams[node.inputs[0]].bits) <= NARROW:
        return ""
    waiting, seen = [node.inputs[0]], set[str]()
    while waiting:
        before = writers.get(name := waiting.pop())
        if before is None or name in seen or isinstance(before.op, QUANTIZERS):
            continue
        if isinstance(before.op, MatrixVector):
            return (
                f"{node.name} multiplies the sums of {before.name}, {bits} bits each, for want of a quantizer between them; "
                "one (QuantReLU, QuantIdentity) makes the product smaller"
            )
        seen.add(name)
        waiting += before.inputs
    return ""
