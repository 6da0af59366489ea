"""Import of float steps between streams, and of nodes that only re-order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.float_chain import Step
from muxflow.frontend.qonnx_importer import Importer, attribute, label
from muxflow.frontend.values import Constant, Image, Tensor, Value


def spread(importer: Importer, tensor: Tensor, constant: npt.NDArray[Any], where: str) -> npt.NDArray[Any]:
    """A constant broadcast against a tensor, brought into the stream's order: shape (1,), (channels,) or (size,)."""
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
    flat[tensor.index.reshape(-1)] = full.reshape(-1)
    if (flat == flat[0]).all():
        return flat[:1]
    pixels = flat.reshape(-1, stream.channels)
    return pixels[0] if (pixels == pixels[0]).all() else flat


def _attributes(node: onnx.NodeProto) -> tuple[tuple[str, Any], ...]:
    return tuple((entry.name, helper.get_attribute_value(entry)) for entry in node.attribute)


def unary(importer: Importer, node: onnx.NodeProto) -> Value:
    """An elementwise function, its further inputs (bounds of Clip) constant."""
    if all(isinstance(importer.values[name], Constant) for name in node.input):
        return importer_fold(importer, node)
    tensor = importer.tensor(node, 0)
    if node.op_type in ("Identity", "Dropout"):
        return tensor
    operands: list[npt.NDArray[np.float32] | None] = [None]
    if node.op_type == "Clip":
        ends = np.finfo(np.float32)
        for position, missing in ((1, ends.min), (2, ends.max)):
            given = len(node.input) > position and node.input[position]
            value = importer.constant(node, position) if given else np.float32(missing)
            operands.append(np.asarray(value, np.float32).reshape(1))
    return tensor.then(Step(node.op_type, _attributes(node), tuple(operands), label(node)))


def importer_fold(importer: Importer, node: onnx.NodeProto) -> Constant:
    """A node of constants only, computed now."""
    from muxflow.frontend.qonnx_importer import _fold

    return Constant(_fold(node, [importer.constant(node, i) for i in range(len(node.input))]))


def with_constant(importer: Importer, node: onnx.NodeProto) -> Value:
    """A binary elementwise op with one constant side."""
    left, right = (importer.values[name] for name in node.input)
    if isinstance(left, Constant) and isinstance(right, Constant):
        return importer_fold(importer, node)
    if not isinstance(left, Constant) and not isinstance(right, Constant):
        raise UnsupportedError(
            f"{label(node)}: both inputs are data; supported joins of two streams are Add, Concat, MuxShift and OrJoin"
        )
    position = 0 if isinstance(right, Constant) else 1
    tensor = importer.tensor(node, position)
    constant = importer.constant(node, 1 - position).astype(np.float32)
    rows = spread(importer, tensor, constant, label(node))
    operands = (None, rows) if position == 0 else (rows, None)
    return tensor.then(Step(node.op_type, _attributes(node), operands, label(node)))


def batch_normalization(importer: Importer, node: onnx.NodeProto) -> Value:
    """Batch normalisation at inference."""
    tensor = importer.tensor(node, 0)
    channels = tensor.index.shape[0]
    operands: list[npt.NDArray[np.float32] | None] = [None]
    for position in range(1, 5):
        vector = importer.constant(node, position).astype(np.float32)
        if vector.shape != (channels,):
            raise UnsupportedError(f"{label(node)}: parameters of shape {vector.shape} for {channels} channels")
        column = vector.reshape(1, channels, *(1,) * (tensor.index.ndim - 1))
        operands.append(spread(importer, tensor, column, label(node)))
    epsilon = float(attribute(node, "epsilon", 1e-5))
    return tensor.then(Step("BatchNormalization", (("epsilon", epsilon),), tuple(operands), label(node)))


def reorder(importer: Importer, node: onnx.NodeProto) -> Value:
    """Reshape, Flatten, Transpose, Squeeze, Unsqueeze: they only move elements, so they cost nothing."""
    value = importer.values[node.input[0]]
    if isinstance(value, Constant):
        return importer_fold(importer, node)
    if isinstance(value, Image) and node.op_type in ("Reshape", "Flatten"):
        flat = Image(value.name, (int(np.prod(value.shape)),))
        if _moved(importer, node, np.arange(flat.shape[0]).reshape(value.shape)).ndim == 1 and len(value.shape) == 1:
            return flat
    tensor = importer.tensor(node, 0)
    index = _moved(importer, node, tensor.index)
    return Tensor(tensor.stream, index, tensor.scale, tensor.steps, tensor.exact)


def _moved(importer: Importer, node: onnx.NodeProto, index: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    batch = index[None]
    kind = node.op_type
    if kind == "Reshape":
        target = [int(size) for size in importer.constant(node, 1)]
        if not attribute(node, "allowzero", 0):
            target = [batch.shape[i] if size == 0 else size for i, size in enumerate(target)]
        moved = _try(lambda: batch.reshape(target), node, batch.shape)
    elif kind == "Flatten":
        axis = int(attribute(node, "axis", 1)) % (batch.ndim + 1)
        moved = batch.reshape(int(np.prod(batch.shape[:axis])), -1)
    elif kind == "Transpose":
        order = attribute(node, "perm", list(range(batch.ndim))[::-1])
        moved = _try(lambda: batch.transpose(list(order)), node, batch.shape)
    else:
        given = len(node.input) > 1 and node.input[1]
        axes = importer.constant(node, 1).tolist() if given else attribute(node, "axes", None)
        if kind == "Squeeze":
            chosen = axes or [i for i, size in enumerate(batch.shape) if size == 1 and i > 0]
            moved = _try(lambda: np.squeeze(batch, tuple(int(a) for a in chosen)), node, batch.shape)
        else:
            moved = np.expand_dims(batch, tuple(int(axis) for axis in axes))
    if moved.shape[0] != 1:
        raise UnsupportedError(
            f"{label(node)}: moves the batch axis (to shape {moved.shape} for one image); keep it first"
        )
    return moved[0]


def _try(move: Any, node: onnx.NodeProto, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    try:
        return np.asarray(move())
    except (ValueError, IndexError) as error:
        raise UnsupportedError(f"{label(node)}: does not fit a tensor of shape {shape} ({error})") from error


def drop_softmax(importer: Importer, node: onnx.NodeProto) -> Value:
    """Softmax as the last node: the logits leave the chip, the host may normalise them."""
    if node.output[0] != importer.model.graph.output[0].name:
        raise UnsupportedError(f"{label(node)}: supported only as the last node, where the host computes it")
    importer.remarks.append(f"{label(node)} is left to the host: the outputs are logits")
    return importer.tensor(node, 0)
