"""Import of layers with weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray, Op
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.layout import (
    SUPPORTED_MAPS,
    Axes,
    is_pixel_by_pixel,
    map_index,
    natural,
)
from muxflow.frontend.importer.maps import map_axes, padded_map
from muxflow.frontend.importer.products import multiplied, operand, weight_codes
from muxflow.frontend.importer.values import Doubles, Generated, Padded, Tensor, Value, grown
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.importer.windows import in_stream, pads_itself, window_of, with_padding
from muxflow.frontend.model import Constant, ModelNode


@handles("Conv")
def convolution(importer: Importer, node: ModelNode) -> Value:
    """Import Conv: dense, grouped or depthwise; any kernel, stride, padding and dilation, one to three spatial axes."""

    def takes(padded: Padded, inner: Tensor, axes: Axes, code: int) -> bool:
        """Refuse a code that may differ from that of the layer's own zeros, or between channels once they are aligned.

        Along an axis that the stream has not only zeros may be left out.
        """
        if axes.adds(padded.pads) and padded.fill.any():
            return False
        meaning = inner.meaning()
        zero = code == 0 and meaning is not None and not meaning[1].any()
        return zero or (inner.scale.size == 1 and not pads_itself(node))

    tensor, around, code = padded_map(importer, node, f"convolutions on {SUPPORTED_MAPS}", takes)
    source = importer.streams[tensor.stream]
    axes = map_axes(importer, node, tensor)
    rows, group_channels, kernel, weight_scale = _shape_of_weights(importer, node, len(axes.sizes))
    groups = int(node.attributes.get("group", 1))
    if group_channels * groups != source.channels:
        raise UnsupportedError(
            f"{node.label}: weights for {group_channels * groups} channels, input has {source.channels}"
        )
    window = window_of(node, kernel, grown(axes.sizes, around), groups)
    tensor, scale, offset = operand(importer, node, tensor, group_channels == 1)
    window = with_padding(_with_pad_code(node, window, scale, offset), around, code)
    sizes, read = window.output_size(*axes.sizes), [_read_at(window, axis) for axis in axes.added]
    window, stream = in_stream(node.label, window, axes), tensor.stream
    if prod(window.kernel) > 1 or prod(window.stride) > 1 or any(window.pads):
        stream = importer.emit(f"{node.name}_window", window, stream)
    columns = dict(zip(axes.added, read, strict=True))
    supply, matrix = _supply(importer, node, groups, importer.streams[stream].pixels, columns)

    def by_row(channel_values: Doubles) -> Doubles:
        return np.repeat(channel_values, rows // source.channels) if channel_values.size > 1 else channel_values

    offsets = matrix.sum(axis=1) * weight_scale * by_row(offset) if offset.any() else None
    op = MatrixVector(groups, prod(window.kernel))

    def order(stream: Stream) -> IntArray:
        return map_index(stream, sizes)

    return multiplied(importer, node, tensor, stream, supply, op, by_row(scale) * weight_scale, offsets, order)


def _read_at(window: SlidingWindow, axis: int) -> int | None:
    """Return which position of a kernel reads the one of an axis of size one, where all others read padding; None for none."""
    at, beside = divmod(window.pads[axis], window.dilation[axis])
    return at if not beside and at < window.kernel[axis] else None


def _shape_of_weights(importer: Importer, node: ModelNode, rank: int) -> tuple[int, int, tuple[int, ...], Doubles]:
    """Return (rows, input channels of a group, kernel, scale of each row or of all) of a convolution's weights.

    `rank`: spatial axes of the map.
    """
    weights = importer.values[node.inputs[1]]
    if isinstance(weights, Generated):
        if int(node.attributes.get("group", 1)) != 1:
            raise UnsupportedError(
                f"{node.label}: generated weights feed dense layers; group={node.attributes['group']}"
            )
        return weights.rows, weights.columns, (1,) * rank, np.array([weights.scale], np.float64)
    codes, scale = weight_codes(importer, node, 1, 0)
    if codes.ndim != 2 + rank:
        raise UnsupportedError(
            f"{node.label}: weights of shape {codes.shape} for a map of {rank} spatial axes; supported is a kernel with "
            "the same axes"
        )
    return codes.shape[0], codes.shape[1], codes.shape[2:], scale


def _with_pad_code(node: ModelNode, window: SlidingWindow, scale: Doubles, offset: Doubles) -> SlidingWindow:
    """Return the window whose padding is the code of zero; raises UnsupportedError where zero is no code."""
    if not any(window.pads) or not offset.any():
        return window
    code = -offset / scale
    if (code != np.rint(code[0])).any():
        raise UnsupportedError(
            f"{node.label}: its input has an offset of {offset[0]:g} and the padding's zero is no code of every "
            "channel; quantize before the layer"
        )
    return replace(window, pad_code=int(code[0]))


def _supply(
    importer: Importer, node: ModelNode, groups: int, vectors: int, read: Mapping[int, int | None]
) -> tuple[Op, IntArray]:
    """Return (the source of a convolution's weights, their matrix) for a number of vectors a frame.

    `read`: the one position of the kernel that is taken on each axis that the stream has not, None where all read padding.
    """
    weights = importer.values[node.inputs[1]]
    if not isinstance(weights, Generated):
        codes, _ = weight_codes(importer, node, 1, 0)
        for axis, position in read.items():
            codes = np.take(codes, [position or 0], 2 + axis) * (position is not None)
        matrix = np.moveaxis(codes, 1, -1).reshape(len(codes), -1)
        return RomWeights(matrix, groups, vectors), matrix
    made = weights.automaton
    source = AutomatonWeights(
        weights.rows,
        weights.columns,
        made.ring,
        made.rule,
        made.seed,
        made.burn_in or 0,
        made.alphabet,
        vectors,
    )
    return source, made.weights(weights.rows, weights.columns)


@handles("MatMul")
def product(importer: Importer, node: ModelNode) -> Value:
    """Import MatMul on vectors, or pixel by pixel on channel-last maps."""
    value, weights = (importer.values[name] for name in node.inputs)
    if (
        not isinstance(value, Tensor)
        or not isinstance(weights, Constant)
        or not is_pixel_by_pixel(value, importer.streams[value.stream])
    ):
        return dense(importer, node)
    codes, weight_scale = weight_codes(importer, node, 1, 1)
    columns = importer.streams[value.stream].channels
    if codes.ndim != 2 or codes.shape[1] != columns:
        raise UnsupportedError(f"{node.label}: weights of shape {codes.shape[::-1]} for {columns} channels")
    window = next((made.op for made in importer.nodes if value.stream in made.outputs), None)
    pixels = prod(window.kernel) if isinstance(window, SlidingWindow) else 1
    tensor, scale, offset = operand(importer, node, value, False)
    supply = RomWeights(codes, repeats=importer.streams[tensor.stream].pixels)
    offsets = codes.sum(axis=1) * weight_scale * offset if offset.any() else None
    op = MatrixVector(1, pixels)

    def order(stream: Stream) -> IntArray:
        return natural(stream).reshape(*value.index.shape[:-1], stream.channels)

    return multiplied(importer, node, tensor, tensor.stream, supply, op, scale * weight_scale, offsets, order)


@handles("Gemm")
def dense(importer: Importer, node: ModelNode) -> Value:
    """Import Gemm and MatMul with constant weights."""
    if isinstance(importer.values[node.inputs[0]], Constant):
        raise UnsupportedError(f"{node.label}: the constant stands on the left; put it on the right (x @ W)")
    tensor = importer.tensor(node, 0)
    if not isinstance(importer.values[node.inputs[1]], Constant):
        raise UnsupportedError(
            f"{node.label}: both factors are data (attention), or the second is generated; supported are constant "
            "weights, and generated ones in a 1x1 convolution"
        )
    if tensor.index.ndim != 1:
        raise UnsupportedError(
            f"{node.label}: its input has shape (N, {', '.join(map(str, tensor.index.shape))}); flatten it to "
            "(N, features) first, or transpose it to (N, H, W, C) for a product pixel by pixel"
        )
    if node.op_type == "Gemm":
        if float(node.attributes.get("alpha", 1.0)) != 1.0 or float(node.attributes.get("beta", 1.0)) != 1.0:
            raise UnsupportedError(f"{node.label}: alpha and beta other than 1; multiply weights and bias instead")
        if node.attributes.get("transA", 0):
            raise UnsupportedError(f"{node.label}: transA moves the batch axis; set it to 0")
    row_axis = 0 if node.op_type == "Gemm" and node.attributes.get("transB", 0) else 1
    codes, weight_scale = weight_codes(importer, node, 1, row_axis)
    features = tensor.index.size
    if codes.ndim != 2 or codes.shape[1] != features:
        raise UnsupportedError(f"{node.label}: weights of shape {codes.shape} for {features} features")
    tensor, scale, offset = operand(importer, node, tensor, False)
    matrix = np.empty_like(codes)
    matrix[:, tensor.index] = codes
    offsets = codes.sum(axis=1) * weight_scale * offset if offset.any() else None
    supply = RomWeights(matrix)
    return multiplied(
        importer, node, tensor, tensor.stream, supply, MatrixVector(), scale * weight_scale, offsets, _flat
    )


def _flat(stream: Stream) -> IntArray:
    return np.arange(stream.size)
