"""Import of float steps between streams, and of nodes that only re-order."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.importer.compositions import composed
from muxflow.frontend.importer.constants import REORDERINGS
from muxflow.frontend.importer.float_chain import BINARY, UNARY, Step
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.maps import through_padding
from muxflow.frontend.importer.reordering import moved
from muxflow.frontend.importer.values import Image, Padded, Tensor, Value, shape_of
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import Constant, ModelNode


def spread(importer: Importer, tensor: Tensor, constant: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    """Broadcast a constant against a tensor, brought into the stream's order: shape (1,), (channels,) or (size,)."""
    shape = (1, *tensor.index.shape)
    try:
        full = np.broadcast_to(constant, shape)[0]
    except ValueError:
        raise UnsupportedError(
            f"{where}: a constant of shape {constant.shape} does not broadcast against (N, "
            f"{', '.join(map(str, shape[1:]))})"
        ) from None
    stream = importer.streams[tensor.stream]
    flat = np.empty(stream.size, constant.dtype)
    flat[tensor.index] = full
    if (flat == flat[0]).all():
        return flat[:1].copy()  # a view would keep the whole map
    pixels = flat.reshape(-1, stream.channels)
    return pixels[0].copy() if (pixels == pixels[0]).all() else flat


@handles(*sorted(UNARY))
@through_padding
def unary(importer: Importer, node: ModelNode) -> Value:
    """Apply an elementwise function, its further inputs (bounds of Clip) constant."""
    if node.op_type in ("Identity", "Dropout"):
        return importer.values[node.inputs[0]]
    tensor = importer.tensor(node, 0)
    operands: list[npt.NDArray[np.float32] | None] = [None]
    if node.op_type == "Clip" and not node.attributes:
        ends = np.finfo(np.float32)
        for position, missing in ((1, ends.min), (2, ends.max)):
            given = len(node.inputs) > position and node.inputs[position]
            value = importer.constant(node, position) if given else np.float32(missing)
            operands.append(np.asarray(value, np.float32).reshape(1))
    return tensor.then(Step(node.op_type, tuple(node.attributes.items()), tuple(operands), node.label))


@handles(*sorted(BINARY - {"Add"}))
@through_padding
def with_constant(importer: Importer, node: ModelNode) -> Value:
    """Apply a binary elementwise op with one constant side."""
    if len(node.inputs) != 2:
        raise UnsupportedError(f"{node.label}: {len(node.inputs)} inputs; supported are two, chain the node")
    left, right = (importer.values[name] for name in node.inputs)
    if not isinstance(left, Constant) and not isinstance(right, Constant):
        together = composed(node, importer.tensor(node, 0), importer.tensor(node, 1))
        if together is None:
            raise UnsupportedError(
                f"{node.label}: both inputs are data; supported joins of two streams are Add, Concat, MuxJoin and OrJoin, "
                "so use one of those"
            )
        return together
    position = 0 if isinstance(right, Constant) else 1
    tensor = importer.tensor(node, position)
    constant = importer.constant(node, 1 - position).astype(np.float32)
    rows = spread(importer, tensor, constant, node.label)
    operands = (None, rows) if position == 0 else (rows, None)
    return tensor.then(Step(node.op_type, tuple(node.attributes.items()), operands, node.label))


@handles("BatchNormalization")
@through_padding
def batch_normalization(importer: Importer, node: ModelNode) -> Value:
    """Import batch normalisation at inference."""
    tensor = importer.tensor(node, 0)
    channels = tensor.index.shape[0]
    if not node.attributes.get("spatial", 1) and tensor.index.ndim > 1:
        raise UnsupportedError(
            f"{node.label}: spatial=0, which normalizes each pixel by numbers of its own; supported is spatial=1, or Mul and "
            "Add with constants of the whole map in its place"
        )
    operands: list[npt.NDArray[np.float32] | None] = [None]
    for position in range(1, 5):
        vector = importer.constant(node, position).astype(np.float32)
        if vector.shape != (channels,):
            raise UnsupportedError(f"{node.label}: parameters of shape {vector.shape} for {channels} channels")
        column = vector.reshape(1, channels, *(1,) * (tensor.index.ndim - 1))
        operands.append(spread(importer, tensor, column, node.label))
    epsilon = float(node.attributes.get("epsilon", 1e-5))
    return tensor.then(Step("BatchNormalization", (("epsilon", epsilon),), tuple(operands), node.label))


@handles(*REORDERINGS)
def reorder(importer: Importer, node: ModelNode) -> Value:
    """Import Reshape, Flatten, Transpose, Squeeze, Unsqueeze, DepthToSpace: they only move elements, so they cost nothing."""
    value = importer.values[node.inputs[0]]
    value = value if isinstance(value, Image) else importer.tensor(node, 0)
    return replace(value, index=moved(node, value.index, partial(importer.constant, node)))


@handles("Shape")
def shape(importer: Importer, node: ModelNode) -> Value:
    """Import Shape, the shape of a tensor for one image; exporters compute the target of a Reshape from it."""
    value = importer.values[node.inputs[0]]
    if not isinstance(value, Tensor | Image | Padded):
        raise UnsupportedError(f"{node.label}: the shape of generated weights; use constants")
    sizes = np.array((1, *shape_of(value)), np.int64)
    return Constant(sizes[int(node.attributes.get("start", 0)) : int(node.attributes.get("end", len(sizes)))])
