"""Where a model leaves the chip: nodes at its end that the host computes, and the choice of a class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.graph.ranking import ordering
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.top_k import TopK
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.layout import axis_of, natural
from muxflow.frontend.importer.leaving import CHOICES, HostComputes
from muxflow.frontend.importer.values import Ending, Tensor, Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import ModelNode


@handles("Softmax", "LogSoftmax")
def softmax(importer: Importer, node: ModelNode) -> Value:
    """Leave Softmax at the end to the host: the logits leave the chip."""
    _axis(importer, node, -1)
    raise HostComputes(f"{node.label}: supported only as the last node, where the host computes it")


@handles(*sorted(CHOICES))
def choice(importer: Importer, node: ModelNode) -> Sequence[Value]:
    """Import ArgMax and TopK at the end, of logits or of a softmax of them; the indices leave the chip.

    Where the order of the integers is not that of the logits, the logits leave the chip, and the host chooses.
    """
    axis = _axis(importer, node, -1 if node.op_type == "TopK" else 0)
    end = importer.leaving.readable(node.inputs[0])
    k = 1 if node.op_type == "ArgMax" else int(importer.constant(node, 1).reshape(-1)[0])
    complaint, stream = _complaint(importer, node, end, k, axis), end.tensor.stream
    try:
        ops = [] if complaint else ordering(importer.readout(end.name, end.tensor), importer.streams[stream])
    except GraphError as error:
        complaint = str(error)
    if complaint:
        raise HostComputes(f"{node.label}: {complaint}; the host chooses where it is the last node")
    for part, op in ops:
        stream = importer.emit(f"{stream}_{part}", op, stream)
    indices = importer.emit(node.name, ArgMax() if node.op_type == "ArgMax" else TopK(k), stream)
    chosen = Tensor(indices, natural(importer.streams[indices]), np.ones(1))
    found = Ending(chosen, node.outputs[-1], logits=end.name)
    return (found,) if node.op_type == "ArgMax" else (replace(end, ordered=False), found)


def _axis(importer: Importer, node: ModelNode, default: int) -> int:
    """Read the axis that a node works along; raises UnsupportedError where what the chip gives it has no such axis."""
    axis = int(node.attributes.get("axis", default))
    value = importer.values[node.inputs[0]]
    if isinstance(value, Tensor):
        axis_of(node.label, axis, value.index.ndim + 1)
    return axis


def _complaint(importer: Importer, node: ModelNode, end: Ending, k: int, axis: int) -> str:
    """Say why the chip cannot choose, "" where it can."""
    given = node.attributes
    shape = end.tensor.index.shape
    if len(shape) != 1 or axis not in (1, -1):
        return f"along axis {axis} of (N, {', '.join(map(str, shape))}), supported is (N, classes) along the classes"
    if not given.get("largest", 1) or given.get("select_last_index", 0):
        return "the smallest, or the last of equals; supported are the largest, and of equals the first"
    if end.logits or not end.ordered:
        return "it chooses from what the host computes"
    if not 1 <= k <= shape[0]:
        raise MuxflowError(f"{node.label}: {k} of {shape[0]} classes; export the model again")
    stream = importer.streams[end.tensor.stream]
    if stream.pixels > 1:
        return "the logits are spread over a map"
    return ""
