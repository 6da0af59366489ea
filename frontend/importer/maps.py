"""How nodes read maps: with the padding around them, and with their pixels gathered in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import wraps
from itertools import combinations
from math import prod
from typing import cast

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.frontend.importer.float_chain import BINARY, Evaluator, Floats, Step
from muxflow.frontend.importer.layout import Axes, axes_of, feature_axes, is_feature_map, map_index
from muxflow.frontend.importer.padding import code_of
from muxflow.frontend.importer.values import Image, Numbers, Padded, Tensor, Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import Constant, ModelNode

Elementwise = Callable[[Importer, ModelNode], Value]
"""A handler of a node that works on elements."""


def feature_map(importer: Importer, node: ModelNode, supported: str) -> Tensor:
    """Return a node's first input, which must be a map; pixels that were gathered into channels are laid out anew.

    `supported`: what may be there. Raises UnsupportedError naming the node where it is no map.
    """
    tensor = importer.tensor(node, 0)
    source = importer.streams[tensor.stream]
    if is_feature_map(tensor, source):
        return tensor
    gathered = _blocks(importer, node, tensor)
    if gathered is None:
        feature_axes(node.label, tensor, source, supported)
    return gathered or tensor


def map_axes(importer: Importer, node: ModelNode, tensor: Tensor) -> Axes:
    """Return the axes of a tensor that is a feature map."""
    return feature_axes(node.label, tensor, importer.streams[tensor.stream], "maps")


def padded_map(
    importer: Importer, node: ModelNode, supported: str, takes: Callable[[Padded, Tensor, Axes, int], bool]
) -> tuple[Tensor, tuple[int, ...], int]:
    """Return a node's first input, which must be a map, and the padding that the node's own window adds: pads and code.

    `takes`: whether that window can add the padding, of a code, around the map of these axes; where it cannot, a node before
    it does.
    """
    value = importer.values[node.inputs[0]]
    if isinstance(value, Padded) and isinstance(value.inner, Tensor):
        inner = value.inner
        code = code_of(value.node.label, inner, value.fill, importer.opset)
        axes = axes_of(inner, importer.streams[inner.stream])
        if axes is not None and takes(value, inner, axes, code):
            return inner, value.pads, code
    tensor = feature_map(importer, node, supported)
    return tensor, (0,) * (2 * tensor.index.ndim - 2), 0


def _blocks(importer: Importer, node: ModelNode, tensor: Tensor) -> Tensor | None:
    """Lay out a map whose channels are blocks of pixels, in either order of channel and pixel; None for any other."""
    stream = importer.streams[tensor.stream]
    channels, *made = tensor.index.shape
    sizes = stream.shape[:-1]
    for arranged in _arranged(made, len(sizes)):
        kernel = tuple(size // new for size, new in zip(sizes, arranged, strict=True))
        if (
            any(size % new for size, new in zip(sizes, arranged, strict=True))
            or prod(kernel) * stream.channels != channels
        ):
            continue
        for groups in (1, stream.channels):
            window = SlidingWindow(kernel, kernel, groups=groups)
            (index,) = window.compute(np.arange(stream.size).reshape(1, *stream.shape))
            if np.array_equal(np.moveaxis(index[0], -1, 0).reshape(tensor.index.shape), tensor.index):
                return in_blocks(importer, node, tensor, window, made)
    return None


def _arranged(sizes: Sequence[int], rank: int) -> Iterator[tuple[int, ...]]:
    """List the ways to have sizes on so many axes, in their order, those of size one anywhere."""
    large = [size for size in sizes if size > 1]
    for chosen in combinations(range(rank), len(large)):
        found = dict(zip(chosen, large, strict=True))
        yield tuple(found.get(axis, 1) for axis in range(rank))


def in_blocks(
    importer: Importer, node: ModelNode, tensor: Tensor, window: SlidingWindow, sizes: Sequence[int]
) -> Tensor | None:
    """Put the pixels of each of a window's positions into channels; None where constants differ from pixel to pixel.

    `window`: over the stream's axes; `sizes`: of the spatial axes of the result in the model.
    """
    channels, pixels = importer.streams[tensor.stream].channels, prod(window.kernel)
    if tensor.rows > channels:
        return None

    def spread(values: Numbers) -> Numbers:
        if values.size == 1:
            return values
        moved = np.tile(values, pixels) if window.groups == 1 else np.repeat(values, pixels)
        return cast(Numbers, moved)

    def spread_out(step: Step) -> Step:
        return replace(step, operands=tuple(None if one is None else spread(one) for one in step.operands))

    name = importer.emit(f"{node.name}_blocks", window, tensor.stream)
    importer.describe(name, spread(tensor.scale))
    index = map_index(importer.streams[name], sizes)
    return replace(
        tensor, stream=name, index=index, scale=spread(tensor.scale), steps=tuple(map(spread_out, tensor.steps))
    )


def through_padding(handler: Elementwise) -> Elementwise:
    """Let a handler of an elementwise node work on the map inside of padding, and the padding with it.

    Where the node has a constant for each pixel, or gives channels unlike padding, a node of its own adds it before.
    """

    @wraps(handler)
    def handled(importer: Importer, node: ModelNode) -> Value:
        name = next((name for name in node.inputs if isinstance(importer.values[name], Padded)), None)
        if name is None:
            return handler(importer, node)
        padded = importer.values[name]
        assert isinstance(padded, Padded)
        if not _alike(importer, node, padded):
            return handler(importer, node)
        try:
            importer.values[name] = padded.inner
            result = handler(importer, node)
            importer.values[name] = Constant(padded.fill)
            fill = _filled(importer, node, handler, padded, result)
        finally:
            importer.values[name] = padded
        if fill is None:
            return handler(importer, node)
        assert isinstance(result, Tensor | Image)
        if isinstance(result, Tensor):
            importer.tensors.pop(result.stream, None)  # the model's own has the padding
        return replace(padded, node=node, inner=result, fill=fill)

    return handled


def _alike(importer: Importer, node: ModelNode, padded: Padded) -> bool:
    """Tell whether the constants of an elementwise node are the same for all pixels."""
    if node.op_type not in BINARY:
        return True
    rank = len(padded.pads) // 2
    values = (importer.values[name] for name in node.inputs)
    shapes = [value.value.shape for value in values if isinstance(value, Constant)]
    return all(prod(shape) == 1 or (len(shape) > rank and set(shape[-rank:]) == {1}) for shape in shapes)


def _filled(importer: Importer, node: ModelNode, handler: Elementwise, padded: Padded, result: Value) -> Floats | None:
    """Compute an elementwise node on the padding's value; None where that gives no code of what it makes of the map."""
    inner = padded.inner
    if result is inner:
        return padded.fill
    if isinstance(inner, Tensor) and isinstance(result, Tensor) and result.stream == inner.stream:
        steps = result.steps[len(inner.steps) :]
        met = Evaluator(steps, padded.fill.size, importer.opset)(padded.fill.reshape(1, -1))
        return met.reshape(padded.fill.shape)
    try:
        value = handler(importer, node)
        if not isinstance(value, Constant) or not isinstance(result, Tensor):
            return None
        code_of(padded.node.label, result, value.value, importer.opset)
    except UnsupportedError:
        return None
    return np.broadcast_to(value.value, padded.fill.shape)
