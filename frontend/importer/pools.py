"""Import of pools over maps of one to three spatial axes."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Literal

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.window_pool import WindowPool
from muxflow.frontend.importer.float_chain import constant_step
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.layout import SUPPORTED_MAPS, channel_first, check_feature_map
from muxflow.frontend.importer.products import aligned, sums_exactly
from muxflow.frontend.importer.values import Tensor, Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.importer.windows import whole_map, window_of, with_hanging_windows
from muxflow.frontend.model import ModelNode

Mode = Literal["max", "sum"]


@handles("MaxPool", "AveragePool")
def pool(importer: Importer, node: ModelNode) -> Value:
    """Import MaxPool and AveragePool."""
    tensor = _map(importer, node)
    source = importer.streams[tensor.stream]
    kernel = tuple(int(size) for size in node.attributes.get("kernel_shape", ()))
    if len(kernel) != len(source.shape) - 1:
        raise UnsupportedError(
            f"{node.label}: a window of {kernel} on a map of {len(source.shape) - 1} spatial axes; supported is one size "
            "for each axis"
        )
    window = window_of(node, kernel, source, source.channels)
    return _pooled(importer, node, tensor, window, "max" if node.op_type == "MaxPool" else "sum")


@handles("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax")
def global_pool(importer: Importer, node: ModelNode) -> Value:
    """Import GlobalMaxPool, GlobalAveragePool, and ReduceMean or ReduceMax over all spatial axes."""
    tensor = importer.tensor(node, 0)
    keep = True
    if node.op_type.startswith("Reduce"):
        given = len(node.inputs) > 1 and node.inputs[1]
        axes = importer.constant(node, 1).tolist() if given else node.attributes.get("axes", ())
        keep = bool(node.attributes.get("keepdims", 1))
        spatial = list(range(2, tensor.index.ndim + 1))
        if not spatial or sorted(axis % (tensor.index.ndim + 1) for axis in axes) != spatial:
            raise UnsupportedError(
                f"{node.label}: over axes {list(axes)}; supported is the mean or the maximum over all axes after the "
                f"channels of (N, {', '.join(map(str, tensor.index.shape))})"
            )
    mode: Mode = "max" if node.op_type in ("GlobalMaxPool", "ReduceMax") else "sum"
    tensor = _map(importer, node)
    result = _pooled(importer, node, tensor, whole_map(importer.streams[tensor.stream]), mode)
    return result if keep else replace(result, index=result.index.reshape(-1))


def _map(importer: Importer, node: ModelNode) -> Tensor:
    """Return the first input, which must be a feature map; raises UnsupportedError where a pool cannot read it."""
    tensor = importer.tensor(node, 0)
    source = importer.streams[tensor.stream]
    check_feature_map(node.label, tensor, source, f"{SUPPORTED_MAPS} maps")
    sizes = [operand.size for step in tensor.steps for operand in step.operands if operand is not None]
    if max(sizes, default=1) > source.channels:
        raise UnsupportedError(f"{node.label}: its input is scaled pixel by pixel; put a quantizer before the pool")
    return tensor


def _pooled(importer: Importer, node: ModelNode, tensor: Tensor, window: SlidingWindow, mode: Mode) -> Tensor:
    source = importer.streams[tensor.stream]
    if mode == "max":
        tensor = _rising(importer, node, tensor)
        window = replace(window, pad_code=importer.streams[tensor.stream].lo)
    else:
        _check_averages(node, tensor, window)
    if node.attributes.get("ceil_mode", 0):
        hanging = with_hanging_windows(window, source)
        if mode == "sum" and hanging != window:
            raise UnsupportedError(
                f"{node.label}: ceil_mode averages windows that hang over the edge; use ceil_mode=False"
            )
        window = hanging
    pixels = prod(window.kernel)
    if window.stride == window.kernel and not any(window.pads) and set(window.dilation) == {1}:
        stream = importer.emit(node.name, Pool(window.kernel, mode), tensor.stream)
    else:
        stream = importer.emit(f"{node.name}_window", window, tensor.stream)
        stream = importer.emit(node.name, WindowPool(pixels, mode), stream)
    result = importer.streams[stream]
    importer.describe(stream, tensor.scale)
    index = channel_first(result)
    if mode == "sum":
        # The mean of an affine map is the map of the mean, so the division may come first.
        steps = (constant_step("Div", float(pixels), f"{node.label} divisor"), *tensor.steps)
        exact = tensor.exact and not tensor.steps and sums_exactly(tensor.scale, result)
        return Tensor(stream, index, tensor.scale, steps, exact)
    if not tensor.steps:
        importer.tensors[stream] = node.outputs[0]
    return replace(tensor, stream=stream, index=index)


def _check_averages(node: ModelNode, tensor: Tensor, window: SlidingWindow) -> None:
    """Raise UnsupportedError where the average of codes is not that of values."""
    meaning = tensor.meaning()
    if meaning is None:
        names = ", ".join(step.name for step in tensor.steps)
        raise UnsupportedError(f"{node.label}: averages {names} without a quantizer; put one before the pool")
    if any(window.pads) and not node.attributes.get("count_include_pad", 0):
        raise UnsupportedError(
            f"{node.label}: averages at the edge have other divisors; use count_include_pad=True or no padding"
        )
    if any(window.pads) and meaning[1].any():
        raise UnsupportedError(f"{node.label}: padding of a tensor with an offset; put a quantizer before the pool")


def _rising(importer: Importer, node: ModelNode, tensor: Tensor) -> Tensor:
    """Return the tensor over codes that rise with it, so that the maximum of codes is that of values."""
    direction = np.where(tensor.scale < 0, -1, 1)
    for step in tensor.steps:
        one = step.direction()
        if one is None:
            raise UnsupportedError(
                f"{node.label}: {step.name} between the last integer stream and this pool may rise and fall; put the "
                "activation quantizer before the pool"
            )
        direction = direction * one
    return replace(tensor, stream=aligned(importer, tensor.stream, direction), scale=tensor.scale * direction)
