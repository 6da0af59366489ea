"""Import of nodes that change the size of a map: padding, upsampling, transposed convolutions, blocks of pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.resize import Resize
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.layers import convolution
from muxflow.frontend.importer.layout import (
    SUPPORTED_MAPS,
    axis_of,
    is_channel_last,
    is_feature_map,
    map_index,
    natural,
)
from muxflow.frontend.importer.maps import feature_map, in_blocks, map_axes
from muxflow.frontend.importer.padding import code_of
from muxflow.frontend.importer.values import Doubles, Image, Numbers, Padded, Tensor, Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.importer.windows import SAME, auto_pad, check_kernel, check_padded_once, in_stream, numbers
from muxflow.frontend.model import Constant, ModelNode

MAPS = f"{SUPPORTED_MAPS} maps"


@handles("Pad")
def pad(importer: Importer, node: ModelNode) -> Value:
    """Import Pad with a constant: the window after it takes the padding in where it can."""
    mode = str(node.attributes.get("mode", "constant"))
    if mode != "constant":
        raise UnsupportedError(f"{node.label}: mode {mode!r}; supported is padding with a constant, as with zeros")
    given = importer.values[node.inputs[0]]
    fill = np.float32(_given(importer, node, 2, "value", 0.0).reshape(-1)[0])
    value = (
        given if isinstance(given, Image) else given.inner if isinstance(given, Padded) else importer.tensor(node, 0)
    )
    rank = value.index.ndim
    before, after = _padding(importer, node, rank + 1)
    if not any(before) and not any(after):
        return given
    around = (0,) * (2 * rank - 2)
    if isinstance(given, Padded):
        if (given.fill == fill).all() and min(*before, *after) >= 0:
            around = given.pads
        else:
            value = importer.tensor(node, 0)
    last = isinstance(value, Tensor) and _is_last(importer, value, before, after)
    if last and isinstance(value, Tensor):
        value = replace(value, index=np.moveaxis(value.index, -1, 0))
        before, after = (side[:1] + side[-1:] + side[1:-1] for side in (before, after))
    if any(before[:2]) or any(after[:2]):
        behind = "; behind the input's quantizer of channel-last maps, too" if isinstance(value, Image) else ""
        raise UnsupportedError(
            f"{node.label}: pads images or channels; supported is padding of the axes after the channels{behind}"
        )
    pads = tuple(map(sum, zip(around, (*before[2:], *after[2:]), strict=True)))
    padded = Padded(node, value, pads, np.full((1, value.index.shape[0], *(1,) * (rank - 1)), fill, np.float32))
    if min(pads) >= 0 and not last:
        return padded
    importer.values[node.outputs[0]] = padded
    made = importer.tensor(replace(node, inputs=node.outputs), 0)
    if last:
        importer.tensors.pop(made.stream, None)
        return replace(made, index=natural(importer.streams[made.stream]))
    return made


def _is_last(importer: Importer, value: Tensor, before: Sequence[int], after: Sequence[int]) -> bool:
    """Tell whether the channels of a padded map are its last axis.

    Where sizes of one let it be either, the padding says it: channels are not padded.
    """
    stream = importer.streams[value.stream]
    return is_channel_last(value, stream) and (not is_feature_map(value, stream) or bool(before[1] or after[1]))


def _given(importer: Importer, node: ModelNode, position: int, name: str, default: object) -> npt.NDArray[Any]:
    """Return a constant that newer operators read and older ones have as an attribute."""
    if len(node.inputs) > position and node.inputs[position]:
        return importer.constant(node, position)
    return np.asarray(node.attributes.get(name, default))


def _padding(importer: Importer, node: ModelNode, rank: int) -> tuple[list[int], list[int]]:
    """Return what a Pad node adds before and after each axis, the batch included."""
    pads = [int(size) for size in _given(importer, node, 1, "pads", ()).reshape(-1)]
    axes = [axis_of(node.label, axis, rank) for axis in _given(importer, node, 3, "axes", range(rank)).reshape(-1)]
    if len(pads) != 2 * len(axes):
        raise MuxflowError(f"{node.label}: {len(pads)} pads for {len(axes)} axes; they must be two for each")
    before, after = [0] * rank, [0] * rank
    for axis, first, last in zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True):
        before[axis], after[axis] = first, last
    return before, after


@handles("Resize", "Upsample")
def resize(importer: Importer, node: ModelNode) -> Value:
    """Import Resize and Upsample by whole factors to the nearest pixel."""
    tensor = feature_map(importer, node, MAPS)
    sizes = tensor.index.shape[1:]
    mode = str(node.attributes.get("mode", "nearest"))
    if mode != "nearest":
        raise UnsupportedError(
            f"{node.label}: mode {mode!r}; supported is 'nearest', or train a transposed convolution in its place"
        )
    factors = _factors(importer, node, tensor.index.shape)
    for size, factor in zip(sizes, factors, strict=True):
        if (
            factor > 1
            and node.op_type == "Resize"
            and not np.array_equal(_sources(node, size, factor), np.arange(size * factor) // factor)
        ):
            raise UnsupportedError(
                f"{node.label}: {node.attributes.get('coordinate_transformation_mode', 'half_pixel')} coordinates do not "
                f"repeat each pixel {factor} times; use 'asymmetric' with nearest_mode 'floor', as PyTorch exports"
            )
    return resized(importer, node, tensor, Resize(factors))


def _factors(importer: Importer, node: ModelNode, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return by how much a node scales each axis after the channels; `shape`: of its input, without the batch."""
    rank = len(shape) + 1
    scales = np.ones(rank)
    axes = [axis_of(node.label, axis, rank) for axis in node.attributes.get("axes", range(rank))]
    older = importer.opset < 11  # from then on a region stands before them
    given = _given(importer, node, 1 if older else 2, "scales", ()).reshape(-1).astype(np.float64)
    if not given.size and len(node.inputs) > 3:
        target = importer.constant(node, 3).astype(np.float64)
        given = target / np.array([1, *shape])[axes]
        if 0 in axes:
            given[axes.index(0)] = 1.0
    if len(given) != len(axes):
        raise MuxflowError(f"{node.label}: {len(given)} scales for {len(axes)} axes; export the model again")
    scales[axes] = given
    if (scales[:2] != 1).any() or (scales < 1).any() or (scales != np.rint(scales)).any():
        raise UnsupportedError(
            f"{node.label}: scales {', '.join(f'{scale:g}' for scale in scales)}; supported are whole factors of the axes "
            "after the channels, and pools or strides to make maps smaller"
        )
    return tuple(int(scale) for scale in scales[2:])


def _sources(node: ModelNode, size: int, factor: int) -> IntArray:
    """Return which pixel each position shows along an axis, as ONNX defines it."""
    at = np.arange(size * factor, dtype=np.float64)
    last = size * factor - 1
    coordinates = {
        "asymmetric": at / factor,
        "half_pixel": (at + 0.5) / factor - 0.5,
        "half_pixel_symmetric": (at + 0.5) / factor - 0.5,
        "pytorch_half_pixel": (at + 0.5) / factor - 0.5,
        "tf_half_pixel_for_nn": (at + 0.5) / factor,
        "align_corners": at * (size - 1) / last,
    }
    roundings: dict[str, Callable[[Doubles], Doubles]] = {
        "round_prefer_floor": lambda x: np.ceil(x - 0.5),
        "round_prefer_ceil": lambda x: np.floor(x + 0.5),
        "floor": np.floor,
        "ceil": np.ceil,
    }
    found = coordinates.get(str(node.attributes.get("coordinate_transformation_mode", "half_pixel")))
    rounding = roundings.get(str(node.attributes.get("nearest_mode", "round_prefer_floor")))
    if found is None or rounding is None:
        return np.zeros(0, np.int64)
    nearest: IntArray = np.clip(rounding(found), 0, size - 1).astype(np.int64)
    return nearest


def resized(importer: Importer, node: ModelNode, tensor: Tensor, op: Resize) -> Tensor:
    """Emit a Resize of a map; raises UnsupportedError where the map has constants pixel by pixel."""
    if tensor.rows > importer.streams[tensor.stream].channels:
        raise UnsupportedError(f"{node.label}: its input is scaled pixel by pixel; put a quantizer before it")
    axes = map_axes(importer, node, tensor)
    whole = Stream((*axes.sizes, tensor.index.shape[0]), 0, 0)
    sizes = tuple(axis.kept for axis in op.axes(whole))
    axes.check(node.label, sizes, op.pads)
    op = replace(op, factors=axes.in_stream(op.factors, 1), pads=axes.in_stream(op.pads, 0))
    name = importer.emit(node.name, op, tensor.stream)
    importer.describe(name, tensor.scale)
    if not tensor.steps and node.op_type != "ConvTranspose":
        importer.tensors[name] = node.outputs[0]
    return replace(tensor, stream=name, index=map_index(importer.streams[name], sizes))


@handles("SpaceToDepth")
def space_to_depth(importer: Importer, node: ModelNode) -> Value:
    """Import SpaceToDepth: the pixels of each block become channels."""
    tensor = feature_map(importer, node, MAPS)
    block = (int(node.attributes.get("blocksize", 0)),) * 2
    if tensor.index.ndim != 3 or block[0] < 1 or any(size % block[0] for size in tensor.index.shape[1:]):
        raise UnsupportedError(
            f"{node.label}: blocks of {block[0]} pixels on (N, {', '.join(map(str, tensor.index.shape))}); supported are "
            "blocks that divide height and width"
        )
    window = SlidingWindow(block, block)
    axes = map_axes(importer, node, tensor)
    sizes = window.output_size(*axes.sizes)
    result = in_blocks(importer, node, tensor, in_stream(node.label, window, axes), sizes)
    if result is None:
        raise UnsupportedError(f"{node.label}: its input is scaled pixel by pixel; put a quantizer before it")
    return result


@handles("ConvTranspose")
def transposed_convolution(importer: Importer, node: ModelNode) -> Value:
    """Import ConvTranspose: a convolution, its kernel turned round, over the map with codes of zero between the pixels."""
    tensor = feature_map(importer, node, f"transposed convolutions on {SUPPORTED_MAPS}")
    weights = importer.values[node.inputs[1]]
    rank = tensor.index.ndim - 1
    if not isinstance(weights, Constant) or weights.value.ndim != 2 + rank:
        raise UnsupportedError(
            f"{node.label}: its weights are computed, or no kernel of {rank} spatial axes; they must be constant"
        )
    groups = int(node.attributes.get("group", 1))
    if weights.value.shape[0] != tensor.index.shape[0] or groups < 1 or weights.value.shape[0] % groups:
        raise UnsupportedError(
            f"{node.label}: weights for {weights.value.shape[0]} channels in {groups} groups, input has "
            f"{tensor.index.shape[0]}"
        )
    check_kernel(node, weights.value.shape[2:])
    stride, dilation = (numbers(node, name, rank, 1) for name in ("strides", "dilations"))
    pads = _around(node, tensor.index.shape[1:], weights.value.shape[2:])
    cropped = tuple(min(size, 0) for size in pads)
    if max(stride) > 1 or any(cropped):
        code = code_of(node.label, tensor, np.zeros(1, np.float32), importer.opset)
        tensor = resized(
            importer, replace(node, name=f"{node.name}_stretched"), tensor, Resize(stride, cropped, "insert", code)
        )
    stretched, turned = f"{node.outputs[0]} stretched", f"{node.outputs[0]} turned"
    importer.values[stretched] = tensor
    importer.values[turned] = _turned(weights, groups)
    attributes = {"pads": tuple(max(size, 0) for size in pads), "dilations": dilation, "group": groups}
    inputs = (stretched, turned, *node.inputs[2:])
    return convolution(importer, replace(node, inputs=inputs, attributes=attributes))


def _around(node: ModelNode, sizes: tuple[int, ...], kernel: tuple[int, ...]) -> tuple[int, ...]:
    """Return the padding of the stretched map, before all axes and then after; negative where it is cropped."""
    rank = len(sizes)
    stride, dilation = (numbers(node, name, rank, 1) for name in ("strides", "dilations"))
    pads, more = numbers(node, "pads", 2 * rank, 0), numbers(node, "output_padding", rank, 0)
    auto = auto_pad(node)
    check_padded_once(node, pads)
    wanted = node.attributes.get("output_shape")
    if auto in SAME and wanted is None:
        wanted = tuple(size * step for size, step in zip(sizes, stride, strict=True))
    reach = tuple((k - 1) * d for k, d in zip(kernel, dilation, strict=True))
    full = tuple((n - 1) * s + r + 1 for n, s, r in zip(sizes, stride, reach, strict=True))
    if wanted is not None:
        totals = [whole + extra - int(size) for whole, extra, size in zip(full, more, wanted[-rank:], strict=True)]
        if "output_shape" in node.attributes:
            more = tuple(extra + max(-total, 0) for extra, total in zip(more, totals, strict=True))
        halves = [(max(total, 0) // 2, max(total, 0) - max(total, 0) // 2) for total in totals]
        halves = halves if auto == "SAME_UPPER" else [(large, small) for small, large in halves]
        pads = (*(first for first, _ in halves), *(last for _, last in halves))
    if any(extra >= step for extra, step in zip(more, stride, strict=True)):
        raise UnsupportedError(
            f"{node.label}: output_padding {more}{_from_shape(node)} with strides {stride}; supported is less than a stride, as "
            "beyond the ONNX runtime computes other numbers than ONNX defines: pad the output by a Pad node"
        )
    before = (r - p for r, p in zip(reach, pads[:rank], strict=True))
    after = (r - p + extra for r, p, extra in zip(reach, pads[rank:], more, strict=True))
    return (*before, *after)


def _from_shape(node: ModelNode) -> str:
    shape = node.attributes.get("output_shape")
    return f", which output_shape {tuple(shape)} asks for," if shape is not None else ""


def _turned(weights: Constant, groups: int) -> Constant:
    """Turn the kernel of a transposed convolution, (inputs, outputs of a group, ...), into that of a convolution."""

    def moved(values: Numbers) -> Numbers:
        inputs, outputs, *kernel = values.shape
        split = np.flip(values, tuple(range(2, values.ndim))).reshape(groups, inputs // groups, outputs, *kernel)
        return cast(Numbers, split.swapaxes(1, 2).reshape(groups * outputs, inputs // groups, *kernel))

    if weights.codes is None:
        return Constant(moved(weights.value))
    scale = np.broadcast_to(weights.scale, weights.codes.shape)
    return Constant(moved(weights.value), moved(weights.codes), moved(scale))
