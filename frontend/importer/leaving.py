"""Which nodes at the end of a model the host computes."""

from __future__ import annotations

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.model import MUXFLOW, QUANTIZED, ModelNode

ORDERED = frozenset("Softmax LogSoftmax Sigmoid Tanh Identity Dropout Flatten Squeeze Unsqueeze Cast".split())
"""Operators after which the largest of (N, classes) is still the largest."""
CHOICES = frozenset(("ArgMax", "TopK"))
"""Operators that choose the largest elements; the chip does so even where a softmax stands before them."""
LAYERS = frozenset(("Conv", "Gemm", "MatMul"))


class HostComputes(UnsupportedError):
    """A node that the chip does not compute, and the host does where the chip need compute nothing after it."""


def follower(nodes: tuple[ModelNode, ...], node: ModelNode) -> ModelNode | None:
    """Find the first node after `node` that is the chip's: a quantizer, an operator of Muxflow, a further layer."""
    reached = set(node.outputs)
    for one in nodes:
        if reached.intersection(one.inputs):
            if one.domain in (*QUANTIZED, MUXFLOW) or one.op_type in LAYERS:
                return one
            reached.update(one.outputs)
    return None
