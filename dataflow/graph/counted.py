"""How many products a network asks for: those with zeros that stand between pixels are none of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np

from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Role
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.resize import Axis, Resize
from muxflow.dataflow.ops.sliding_window import SlidingWindow


def operations_of(nodes: Sequence[Node], streams: Mapping[str, Stream]) -> dict[str, int]:
    """Count the multiply-accumulates in a frame of each node of a graph, by name.

    Products with padding count, as the field has it. Of a map with zeros between its pixels, which a transposed convolution
    reads, a pixel counts once with each weight of the kernel, as the field has that; less where fewer are asked for, as the
    output is cropped.
    """
    producers = {name: node for node in nodes for name in node.outputs}

    def source(name: str) -> Node | None:
        """Find what made a stream, width converters and forks aside."""
        node = producers.get(name)
        while node is not None and node.op.role is Role.PLUMBING and len(node.inputs) == 1:
            node = producers.get(node.inputs[0])
        return node

    def share(node: Node) -> Fraction:
        before = source(node.inputs[0])
        window = before if before is not None and isinstance(before.op, SlidingWindow) else None
        if window is not None:
            before = source(window.inputs[0])
        if before is None or not isinstance(before.op, Resize) or before.op.mode != "insert":
            return Fraction(1)
        axes = before.op.axes(streams[before.inputs[0]])
        if window is None:  # a kernel of one position
            ones = (1,) * len(axes)
            numbers = list(zip(axes, (axis.kept for axis in axes), ones, ones, ones, (0,) * len(axes), strict=True))
        else:
            op, sizes = window.op, streams[window.outputs[0]].shape
            assert isinstance(op, SlidingWindow)
            numbers = list(zip(axes, sizes, op.kernel, op.stride, op.dilation, op.pads, strict=False))
        found = Fraction(1)
        for axis, size, kernel, stride, dilation, pad in numbers:
            if axis.factor > 1:
                met = _met(axis, size, kernel, stride, dilation, pad)
                found *= Fraction(min(met, axis.size * kernel), size * kernel)
        return found

    counts = {}
    for node in nodes:
        done = node.op.operations(node.ports(streams))
        counts[node.name] = int(done * share(node)) if isinstance(node.op, MatrixVector) else done
    return counts


def _met(axis: Axis, size: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    """Count the pairs of a window and a kernel position on an axis that meet a pixel, or padding where one would stand."""
    windows = np.bincount((np.arange(size) * stride - pad - axis.before) % axis.factor, minlength=axis.factor)
    return sum(int(windows[-position * dilation % axis.factor]) for position in range(kernel))
