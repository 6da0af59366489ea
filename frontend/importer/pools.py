"""Import of pools over maps of one to three spatial axes."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Literal

import numpy as np

from muxflow.dataflow.common_grid import LARGEST_FACTOR
from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.window_pool import WindowPool
from muxflow.frontend.importer.float_chain import constant_step
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.layout import SUPPORTED_MAPS, Axes, axis_of, channel_first, is_feature_map, map_index
from muxflow.frontend.importer.maps import feature_map, map_axes, padded_map
from muxflow.frontend.importer.products import aligned, sums_exactly
from muxflow.frontend.importer.values import Padded, Tensor, Value, grown
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.importer.windows import (
    in_stream,
    pads_itself,
    whole_windows,
    window_of,
    with_hanging_windows,
    with_padding,
)
from muxflow.frontend.model import ModelNode

Mode = Literal["max", "sum"]
MAPS = f"{SUPPORTED_MAPS} maps"


@handles("MaxPool", "AveragePool")
def pool(importer: Importer, node: ModelNode) -> Value:
    """Import MaxPool and AveragePool; padding of a node before them stands in the windows like the map's own pixels."""

    def takes(padded: Padded, inner: Tensor, axes: Axes, code: int) -> bool:
        rises = not inner.steps and bool((inner.scale > 0).all())
        return rises and not pads_itself(node) and not axes.adds(padded.pads)

    tensor, around, code = padded_map(importer, node, MAPS, takes)
    source = importer.streams[tensor.stream]
    kernel = tuple(int(size) for size in node.attributes.get("kernel_shape", ()))
    axes = map_axes(importer, node, tensor)
    if len(kernel) != len(axes.sizes):
        raise UnsupportedError(
            f"{node.label}: a window of {kernel} on a map of {len(axes.sizes)} spatial axes; supported is one size "
            "for each axis"
        )
    window = window_of(node, kernel, grown(axes.sizes, around), source.channels)
    mode = _mode(node)
    if any(around):
        window = with_padding(window, around, code)
        return _maximum(importer, node, tensor, window) if mode == "max" else _average(importer, node, tensor, window)
    return _pooled(importer, node, tensor, window)


@handles("GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceMax")
def global_pool(importer: Importer, node: ModelNode) -> Value:
    """Import GlobalMaxPool, GlobalAveragePool, and ReduceMean or ReduceMax over spatial axes, all of them or some.

    Over all of them these may be flattened into one, or be in another order: `x.flatten(2).mean(-1)`.
    """
    shape = importer.tensor(node, 0).index.shape
    axes = set(range(1, len(shape)))
    keep = True
    if node.op_type.startswith("Reduce"):
        given = len(node.inputs) > 1 and node.inputs[1]
        named = importer.constant(node, 1).tolist() if given else node.attributes.get("axes", ())
        keep = bool(node.attributes.get("keepdims", 1))
        reduced = {axis_of(node.label, axis, len(shape) + 1) - 1 for axis in named}
        if not reduced or not reduced <= axes or len(reduced) < len(named):
            raise UnsupportedError(
                f"{node.label}: over axes {list(named)}; supported is the mean or the maximum over axes after the channels of "
                f"(N, {', '.join(map(str, shape))})"
            )
        axes = reduced
    flat = _flattened(importer, node) if axes == set(range(1, len(shape))) else None
    if flat is not None:
        result = _pooled(importer, node, flat, whole_windows(flat.index.shape[1:], importer.streams[flat.stream]))
        return replace(result, index=result.index.reshape(shape[0], *[1] * (len(shape) - 1) if keep else []))
    tensor = feature_map(importer, node, MAPS)
    kernel = tuple(size if axis in axes else 1 for axis, size in enumerate(shape) if axis)
    result = _pooled(importer, node, tensor, whole_windows(kernel, importer.streams[tensor.stream]))
    return result if keep else replace(result, index=np.squeeze(result.index, tuple(axes)))


def _flattened(importer: Importer, node: ModelNode) -> Tensor | None:
    """Give a node's input as the map it was where its pixels are flattened, in whatever order; None where they are not."""
    tensor = importer.tensor(node, 0)
    whole = channel_first(importer.streams[tensor.stream])
    rows, wanted = (index.reshape(len(index), -1) for index in (tensor.index, whole))
    if (
        min(tensor.index.ndim, whole.ndim) < 2
        or rows.shape != wanted.shape
        or is_feature_map(tensor, importer.streams[tensor.stream])
    ):
        return None
    return replace(tensor, index=whole) if np.array_equal(np.sort(rows), np.sort(wanted)) else None


def _mode(node: ModelNode) -> Mode:
    return "max" if "Max" in node.op_type else "sum"


def _pooled(importer: Importer, node: ModelNode, tensor: Tensor, window: SlidingWindow) -> Tensor:
    """Apply a pool whose window pads as the node itself says."""
    source, axes = importer.streams[tensor.stream], map_axes(importer, node, tensor)
    whole = with_hanging_windows(window, axes.sizes) if node.attributes.get("ceil_mode", 0) else window
    in_stream(node.label, whole, axes).infer(
        source
    )  # raises where there is no such window, or too much padding to count in
    counts = _counts(node, whole, axes.sizes)
    if _mode(node) == "max":
        tensor = _rising(importer, node, tensor)
        return _maximum(importer, node, tensor, replace(whole, pad_code=importer.streams[tensor.stream].lo))
    if not node.attributes.get("count_include_pad", 0):
        return _average(importer, node, tensor, whole, counts)
    if whole != window:
        raise UnsupportedError(
            f"{node.label}: ceil_mode averages windows that hang over the edge, and count_include_pad counts some of what "
            "is there; use one of them"
        )
    return _average(importer, node, tensor, window)


def _emitted(
    importer: Importer, node: ModelNode, tensor: Tensor, window: SlidingWindow, mode: Mode
) -> tuple[str, IntArray]:
    """Emit a pool; return its stream, and the index of the model's map over it."""
    axes = map_axes(importer, node, tensor)
    sizes, window = window.output_size(*axes.sizes), in_stream(node.label, window, axes)
    if tensor.rows > importer.streams[tensor.stream].channels:
        raise UnsupportedError(f"{node.label}: its input is scaled pixel by pixel; put a quantizer before the pool")
    if window.stride == window.kernel and not any(window.pads) and set(window.dilation) == {1}:
        stream = importer.emit(node.name, Pool(window.kernel, mode), tensor.stream)
    else:
        stream = importer.emit(f"{node.name}_window", window, tensor.stream)
        stream = importer.emit(node.name, WindowPool(prod(window.kernel), mode), stream)
    importer.describe(stream, tensor.scale)
    return stream, map_index(importer.streams[stream], sizes)


def _maximum(importer: Importer, node: ModelNode, tensor: Tensor, window: SlidingWindow) -> Tensor:
    """Take the maxima of a tensor whose codes rise with its values."""
    stream, index = _emitted(importer, node, tensor, window, "max")
    if not tensor.steps:
        importer.tensors[stream] = node.outputs[0]
    return replace(tensor, stream=stream, index=index)


def _average(
    importer: Importer, node: ModelNode, tensor: Tensor, window: SlidingWindow, counts: IntArray | None = None
) -> Tensor:
    """Give the average of each window, or of the `counts` elements of the map in each, in row-major order.

    Sums of unlike counts come onto one grid: each is multiplied by what its count lacks to the counts' common multiple.
    """
    meaning = tensor.meaning()
    if meaning is None:
        names = ", ".join(step.name for step in tensor.steps)
        raise UnsupportedError(f"{node.label}: averages {names} without a quantizer; put one before the pool")
    if counts is None and any(window.pads) and meaning[1].any():
        raise UnsupportedError(f"{node.label}: padding of a tensor with an offset; put a quantizer before the pool")
    stream, index = _emitted(importer, node, tensor, window, "sum")
    divisor = prod(window.kernel)
    if counts is not None and (counts != divisor).any():
        divisor = int(np.lcm.reduce(counts))
        if divisor // int(counts.min()) > LARGEST_FACTOR:
            raise UnsupportedError(
                f"{node.label}: its windows hold {len(set(counts.tolist()))} different counts of elements, too many for one "
                "integer grid; use count_include_pad=True, no padding or a smaller window"
            )
        if (counts != divisor).any():
            stream = importer.emit(f"{node.name}_grid", Scale((divisor // counts)[:, None]), stream)
    result = importer.streams[stream]
    importer.describe(stream, tensor.scale / divisor)
    # The mean of an affine map is the map of the mean, so the division may come first.
    steps = (constant_step("Div", float(divisor), f"{node.label} divisor"), *tensor.steps)
    exact = tensor.exact and not tensor.steps and sums_exactly(tensor.scale, result)
    return Tensor(stream, index, tensor.scale, steps, exact)


def _counts(node: ModelNode, window: SlidingWindow, sizes: tuple[int, ...]) -> IntArray:
    """Count the elements of the map in each window, in row-major order.

    Raises UnsupportedError naming the node where a window has none: libraries differ on its maximum, and refuse such nodes.
    """
    counts = np.ones(1, np.int64)
    axes = zip(
        sizes, window.pads, window.kernel, window.stride, window.dilation, window.output_size(*sizes), strict=False
    )
    for size, before, kernel, stride, dilation, places in axes:
        start = np.arange(places) * stride - before
        first = np.maximum(0, -(start // dilation))
        last = np.minimum(kernel - 1, (size - 1 - start) // dilation)
        counts = (counts[:, None] * np.maximum(0, last - first + 1)).reshape(-1)
    if not counts.all():
        raise UnsupportedError(
            f"{node.label}: a window lies in the padding whole (kernel {window.kernel}, pads {window.pads}), and has no "
            f"{'maximum' if _mode(node) == 'max' else 'average'}; pad less, at most half of the kernel"
        )
    return counts


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
