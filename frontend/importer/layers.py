"""Import of layers with weights and of pools."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.window_pool import WindowPool
from muxflow.frontend.importer.float_chain import Floats, constant_step
from muxflow.frontend.importer.grids import common_grid
from muxflow.frontend.importer.values import (
    Constant,
    Doubles,
    Generated,
    Tensor,
    Value,
    channel_last,
    compact,
    is_feature_map,
)
from muxflow.frontend.importer.walk import Importer, attribute, label

LARGEST_WEIGHT = 255
"""Eight bits with any zero point taken off."""
FLOAT_NOISE = 2.0**-20
"""How far, as a share of the largest, float weights may lie from a grid and still stand on it: float32 rounding, of the
weights and of the x + (q(x) - x) that QKeras computes."""
NOISY_VALUES = 64 * LARGEST_WEIGHT
"""Most different values of weights on a grid, float noise counted; more are no grid."""


def weight_codes(importer: Importer, node: onnx.NodeProto, position: int, row_axis: int) -> tuple[IntArray, Doubles]:
    """Integer weights with the rows first, shape (rows, ...), and the scale of each row, shape (1,) or (rows,).

    Weights without a quantizer are accepted where they are whole multiples of one step a row.
    """
    value = importer.values[node.input[position]]
    if not isinstance(value, Constant):
        raise UnsupportedError(f"{label(node)}: its weights are computed from data; they must be constant or generated")
    if value.codes is None:
        codes, scale = _recover(np.moveaxis(value.value, row_axis, 0), node)
    else:
        codes = np.moveaxis(value.codes, row_axis, 0)
        full = np.moveaxis(np.broadcast_to(value.scale, value.codes.shape), row_axis, 0).reshape(len(codes), -1)
        if (full != full[:, :1]).any():
            raise UnsupportedError(
                f"{label(node)}: the weight scale differs between inputs of one output; use one scale a tensor or "
                "one an output channel"
            )
        scale = full[:, 0]
    if np.abs(codes).max(initial=0) > LARGEST_WEIGHT:
        raise UnsupportedError(
            f"{label(node)}: weight codes up to {np.abs(codes).max()}; supported are weights of 1 to 8 bits"
        )
    return codes, compact(scale)


def _recover(values: npt.NDArray[np.float32], node: onnx.NodeProto) -> tuple[IntArray, Doubles]:
    """Codes and scales of float weights that lie on a grid, one for the tensor or one for each row."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    step = _grid_step(flat)
    steps = [step] * len(flat) if step else [_grid_step(row) for row in flat]
    if not all(steps):
        raise UnsupportedError(
            f"{label(node)}: its weights are floats without a quantizer, or span more than {LARGEST_WEIGHT} of their "
            "steps; give the layer a weight quantizer of 1 to 8 bits (Brevitas: weight_quant=...)"
        )
    scale = np.array(steps, np.float64)
    return np.rint(flat / scale[:, None]).astype(np.int64).reshape(values.shape), scale


def _grid_step(values: Doubles) -> float | None:
    """The largest step of which all values are multiples by up to LARGEST_WEIGHT; None where there is none."""
    sizes = np.unique(np.abs(values))
    sizes = sizes[sizes > 0]
    if not 0 < sizes.size <= NOISY_VALUES:
        return None if sizes.size else 1.0
    # Counted from the largest, which float noise moves least.
    for parts in range(1, LARGEST_WEIGHT + 1):
        codes = sizes * (parts / sizes[-1])
        if (np.abs(codes - np.rint(codes)) <= FLOAT_NOISE * parts).all() and codes[0] > 0.5:
            return float(sizes[-1] / parts)
    return None


def aligned(importer: Importer, stream: str, factors: IntArray) -> str:
    """A stream times an integer factor for each channel; the stream itself where all are 1."""
    factors = compact(factors)
    return stream if (factors == 1).all() else importer.emit(f"{stream}_aligned", Scale(factors), stream)


def operand(
    importer: Importer, node: onnx.NodeProto, tensor: Tensor, depthwise: bool
) -> tuple[Tensor, Doubles, Doubles]:
    """What a layer multiplies: the tensor, and scale and offset of its codes.

    Both are one number, or one for each channel with `depthwise`. Channels that differ in scale are brought onto one
    integer grid; raises where there is none.
    """
    meaning = tensor.meaning()
    if meaning is None:
        names = ", ".join(step.name for step in tensor.steps)
        raise UnsupportedError(
            f"{label(node)}: its input passes {names} after the last integer stream, without a quantizer; put an "
            "activation quantizer before this layer"
        )
    scale, offset = (compact(part) for part in meaning)
    channels = importer.streams[tensor.stream].channels
    if depthwise and max(scale.size, offset.size) <= channels:
        return tensor, scale, offset
    grid = common_grid(scale.tolist()) if scale.all() and scale.size in (1, channels) else None
    if grid is None or offset.size > 1:
        raise UnsupportedError(
            f"{label(node)}: the channels of its input differ in scale or offset, so their sum is not an integer; "
            "quantize the input with one scale for all channels"
        )
    if scale.size > 1:
        factors, unit = np.array(grid[0]), np.array([grid[1]])
        exact = tensor.exact and bool((factors * unit == scale).all())
        tensor, scale = replace(tensor, stream=aligned(importer, tensor.stream, factors), exact=exact), unit
    return tensor, scale, offset


def convolution(importer: Importer, node: onnx.NodeProto) -> Value:
    """Conv: dense, grouped or depthwise; any kernel, stride, padding and dilation, two spatial axes."""
    tensor = importer.tensor(node, 0)
    source = importer.streams[tensor.stream]
    if not is_feature_map(tensor, source):
        raise UnsupportedError(
            f"{label(node)}: its input is not an image in the order its stream has (shape {tensor.index.shape}); "
            "supported are two-dimensional convolutions on (C, H, W), not re-ordered before"
        )
    groups = int(attribute(node, "group", 1))
    weights = importer.values[node.input[1]]
    if isinstance(weights, Generated):
        if groups != 1:
            raise UnsupportedError(f"{label(node)}: generated weights feed dense layers; group={groups}")
        rows, group_channels, kernel = weights.rows, weights.columns, (1, 1)
        weight_scale = np.array([weights.scale], np.float64)
        matrix = weights.automaton.weights(rows, group_channels)
    else:
        codes, weight_scale = weight_codes(importer, node, 1, 0)
        if codes.ndim != 4:
            raise UnsupportedError(f"{label(node)}: weights of shape {codes.shape}; supported are two spatial axes")
        rows, group_channels = codes.shape[:2]
        kernel = (codes.shape[2], codes.shape[3])
        matrix = codes.transpose(0, 2, 3, 1).reshape(rows, -1)
    channels = source.channels
    if group_channels * groups != channels:
        raise UnsupportedError(f"{label(node)}: weights for {group_channels * groups} channels, input has {channels}")
    window = window_of(node, kernel, source, groups)
    tensor, scale, offset = operand(importer, node, tensor, group_channels == 1)
    if any(window.pads) and offset.any():
        code = -offset / scale
        if (code != np.rint(code[0])).any():
            raise UnsupportedError(
                f"{label(node)}: its input has an offset of {offset[0]:g} and the padding's zero is no code of every "
                "channel; quantize before the layer"
            )
        window = replace(window, pad_code=int(code[0]))
    name = node.name or node.output[0]
    stream = tensor.stream
    if kernel != (1, 1) or window.stride != (1, 1) or any(window.pads):
        stream = importer.emit(f"{name}_window", window, stream)
    vectors = importer.streams[stream].pixels
    if isinstance(weights, Generated):
        automaton = weights.automaton
        supply = importer.emit(
            f"{name}_weights",
            AutomatonWeights(
                rows,
                group_channels,
                automaton.ring,
                automaton.rule,
                automaton.seed,
                automaton.burn_in or 0,
                automaton.alphabet,
                vectors,
            ),
        )
    else:
        supply = importer.emit(f"{name}_weights", RomWeights(matrix, groups, vectors))
    stream = importer.emit(name, MatrixVector(groups, kernel[0] * kernel[1]), stream, supply)
    per_row = np.repeat(scale, rows // channels) if scale.size > 1 else scale
    product = per_row * weight_scale
    importer.describe(stream, product)
    result = Tensor(
        stream,
        channel_last(importer.streams[stream]),
        product,
        exact=tensor.scales_exactly() and sums_exactly(product, importer.streams[stream]),
    )
    if offset.any():
        sums = matrix.sum(axis=1) * weight_scale * (np.repeat(offset, rows // channels) if offset.size > 1 else offset)
        result = result.then(constant_step("Add", sums, f"{label(node)} offset"))
    return _with_bias(importer, node, result, 2, rows)


def _with_bias(importer: Importer, node: onnx.NodeProto, tensor: Tensor, position: int, rows: int) -> Tensor:
    if len(node.input) <= position or not node.input[position]:
        return tensor
    bias = importer.constant(node, position).astype(np.float32).reshape(-1)
    if bias.size not in (1, rows):
        raise UnsupportedError(f"{label(node)}: a bias of {bias.size} values for {rows} outputs")
    if not bias.any():
        return tensor
    exact = tensor.exact and _adds_exactly(bias, tensor.scale, importer.streams[tensor.stream])
    return replace(tensor, exact=exact).then(constant_step("Add", compact(bias), f"{label(node)} bias"))


def _odd_part(scale: Doubles) -> int:
    """Largest odd factor of the scales' mantissas: 1 for powers of two."""
    mantissa, _ = np.frexp(scale)
    whole = (np.abs(mantissa) * (1 << 53)).astype(np.int64)
    return max(int(value) // (int(value) & -int(value)) for value in whole if value) if whole.any() else 1


def sums_exactly(scale: Doubles, stream: Stream) -> bool:
    """Whether every float32 partial sum of multiples of the scale is a float32 number, in any order of summation."""
    return _odd_part(scale) * max(abs(stream.lo), abs(stream.hi), 1) < 1 << 24


def _adds_exactly(bias: Floats, scale: Doubles, stream: Stream) -> bool:
    """Whether that still holds with a bias that may come first: it lies on a grid that float32 resolves."""
    steps = bias / scale
    room = np.floor(np.log2((1 << 24) / _odd_part(scale) / (max(abs(stream.lo), abs(stream.hi)) + np.abs(steps) + 1)))
    fine = steps * 2.0**room
    return bool((room >= 0).all() and (fine == np.rint(fine)).all())


def window_of(node: onnx.NodeProto, kernel: tuple[int, int], source: Stream, groups: int) -> SlidingWindow:
    """The sliding window that a Conv or pool node asks for."""

    def pair(name: str) -> tuple[int, int]:
        values = attribute(node, name, [1, 1])
        return int(values[0]), int(values[1])

    stride, dilation = pair("strides"), pair("dilations")
    pads = tuple(int(p) for p in attribute(node, "pads", [0, 0, 0, 0]))
    auto = attribute(node, "auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        halves = []
        for size, k, s, d in zip(source.shape[:2], kernel, stride, dilation, strict=True):
            total = max(0, (-(-size // s) - 1) * s + (k - 1) * d + 1 - size)
            small, large = total // 2, total - total // 2
            halves.append((small, large) if auto == "SAME_UPPER" else (large, small))
        pads = (halves[0][0], halves[1][0], halves[0][1], halves[1][1])
    elif auto not in ("NOTSET", "VALID"):
        raise UnsupportedError(f"{label(node)}: auto_pad {auto!r}; supported: NOTSET, VALID, SAME_UPPER, SAME_LOWER")
    return SlidingWindow(kernel, stride, dilation, (pads[0], pads[1], pads[2], pads[3]), groups)


def dense(importer: Importer, node: onnx.NodeProto) -> Value:
    """Gemm and MatMul with constant weights."""
    if isinstance(importer.values[node.input[0]], Constant):
        raise UnsupportedError(f"{label(node)}: the constant stands on the left; put it on the right (x @ W)")
    tensor = importer.tensor(node, 0)
    if not isinstance(importer.values[node.input[1]], Constant):
        raise UnsupportedError(
            f"{label(node)}: both factors are data (attention), or the second is generated; supported are constant "
            "weights, and generated ones in a 1x1 convolution"
        )
    if tensor.index.ndim != 1:
        raise UnsupportedError(
            f"{label(node)}: its input has shape (N, {', '.join(map(str, tensor.index.shape))}); flatten it to "
            "(N, features) first, or transpose it to (N, H, W, C) for a product pixel by pixel"
        )
    if node.op_type == "Gemm":
        if float(attribute(node, "alpha", 1.0)) != 1.0 or float(attribute(node, "beta", 1.0)) != 1.0:
            raise UnsupportedError(f"{label(node)}: alpha and beta other than 1; multiply weights and bias instead")
        if attribute(node, "transA", 0):
            raise UnsupportedError(f"{label(node)}: transA moves the batch axis; set it to 0")
    row_axis = 0 if node.op_type == "Gemm" and attribute(node, "transB", 0) else 1
    codes, weight_scale = weight_codes(importer, node, 1, row_axis)
    features = tensor.index.size
    if codes.ndim != 2 or codes.shape[1] != features:
        raise UnsupportedError(f"{label(node)}: weights of shape {codes.shape} for {features} features")
    tensor, scale, offset = operand(importer, node, tensor, False)
    matrix = np.empty_like(codes)
    matrix[:, tensor.index] = codes
    name = node.name or node.output[0]
    supply = importer.emit(f"{name}_weights", RomWeights(matrix))
    stream = importer.emit(name, MatrixVector(), tensor.stream, supply)
    product = scale * weight_scale
    importer.describe(stream, product)
    exact = tensor.scales_exactly() and sums_exactly(product, importer.streams[stream])
    result = Tensor(stream, np.arange(len(codes)), product, exact=exact)
    if offset.any():
        sums = codes.sum(axis=1) * weight_scale * offset
        result = result.then(constant_step("Add", sums, f"{label(node)} offset"))
    return _with_bias(importer, node, result, 2, len(codes))


def pool(importer: Importer, node: onnx.NodeProto) -> Value:
    """MaxPool and AveragePool."""
    kernel = tuple(int(size) for size in attribute(node, "kernel_shape", []))
    if len(kernel) != 2:
        raise UnsupportedError(f"{label(node)}: a window of {kernel}; supported are two spatial axes")
    return _pool(importer, node, (kernel[0], kernel[1]), "max" if node.op_type == "MaxPool" else "sum")


def global_pool(importer: Importer, node: onnx.NodeProto) -> Value:
    """GlobalMaxPool, GlobalAveragePool, and ReduceMean or ReduceMax over height and width."""
    tensor = importer.tensor(node, 0)
    keep = True
    if node.op_type.startswith("Reduce"):
        given = len(node.input) > 1 and node.input[1]
        axes = importer.constant(node, 1).tolist() if given else attribute(node, "axes", [])
        keep = bool(attribute(node, "keepdims", 1))
        if sorted(axis % (tensor.index.ndim + 1) for axis in axes) != [2, 3]:
            raise UnsupportedError(f"{label(node)}: over axes {axes}; supported is the mean over height and width")
    mode: Literal["max", "sum"] = "max" if node.op_type in ("GlobalMaxPool", "ReduceMax") else "sum"
    size = importer.streams[tensor.stream].shape[:2]
    result = _pool(importer, node, (size[0], size[1]), mode, whole=True)
    index = result.index if keep else result.index[:, 0, 0]
    return Tensor(result.stream, index, result.scale, result.steps, result.exact)


def _pool(
    importer: Importer, node: onnx.NodeProto, kernel: tuple[int, int], mode: Literal["max", "sum"], whole: bool = False
) -> Tensor:
    tensor = importer.tensor(node, 0)
    source = importer.streams[tensor.stream]
    if not is_feature_map(tensor, source):
        raise UnsupportedError(
            f"{label(node)}: its input is not an image in the order its stream has (shape {tensor.index.shape}); "
            "supported are (C, H, W) maps, not re-ordered before"
        )
    sizes = [operand.size for step in tensor.steps for operand in step.operands if operand is not None]
    if max(sizes, default=1) > source.channels:
        raise UnsupportedError(f"{label(node)}: its input is scaled pixel by pixel; put a quantizer before the pool")
    window = SlidingWindow(kernel, kernel) if whole else window_of(node, kernel, source, source.channels)
    meaning = tensor.meaning()
    if mode == "max":
        tensor = _rising(importer, node, tensor)
        window = replace(window, pad_code=importer.streams[tensor.stream].lo)
    elif meaning is None:
        names = ", ".join(step.name for step in tensor.steps)
        raise UnsupportedError(f"{label(node)}: averages {names} without a quantizer; put one before the pool")
    elif any(window.pads) and not attribute(node, "count_include_pad", 0):
        raise UnsupportedError(
            f"{label(node)}: averages at the edge have other divisors; use count_include_pad=True or no padding"
        )
    elif any(window.pads) and meaning[1].any():
        raise UnsupportedError(f"{label(node)}: padding of a tensor with an offset; put a quantizer before the pool")
    if attribute(node, "ceil_mode", 0):
        window = _with_hanging_windows(node, window, source, mode)
    name = node.name or node.output[0]
    if window.stride == kernel and not any(window.pads) and window.dilation == (1, 1):
        stream = importer.emit(name, Pool(kernel, mode), tensor.stream)
    else:
        stream = importer.emit(f"{name}_window", window, tensor.stream)
        stream = importer.emit(name, WindowPool(kernel[0] * kernel[1], mode), stream)
    result = importer.streams[stream]
    importer.describe(stream, tensor.scale)
    index = channel_last(result)
    if mode == "sum":
        # The mean of an affine map is the map of the mean, so the division may come first.
        steps = (constant_step("Div", float(kernel[0] * kernel[1]), f"{label(node)} divisor"), *tensor.steps)
        exact = tensor.exact and not tensor.steps and sums_exactly(tensor.scale, result)
        return Tensor(stream, index, tensor.scale, steps, exact)
    if not tensor.steps:
        importer.tensors[stream] = node.output[0]
    return replace(tensor, stream=stream, index=index)


def _rising(importer: Importer, node: onnx.NodeProto, tensor: Tensor) -> Tensor:
    """The tensor over codes that rise with it, so that the maximum of codes is that of values."""
    direction = np.where(tensor.scale < 0, -1, 1)
    for step in tensor.steps:
        one = step.direction()
        if one is None:
            raise UnsupportedError(
                f"{label(node)}: {step.name} between the last integer stream and this pool may rise and fall; put the "
                "activation quantizer before the pool"
            )
        direction = direction * one
    return replace(tensor, stream=aligned(importer, tensor.stream, direction), scale=tensor.scale * direction)


def _with_hanging_windows(
    node: onnx.NodeProto, window: SlidingWindow, source: Stream, mode: Literal["max", "sum"]
) -> SlidingWindow:
    """The window with the further padding at the bottom and the right that ceil_mode asks for."""
    top, left, bottom, right = window.pads
    sizes = zip(source.shape[:2], (top, left), (bottom, right), window.extent, window.stride, strict=True)
    more = []
    for size, before, after, extent, stride in sizes:
        hanging = (extent - size - before - after) % stride
        # A window that would start behind the map and its leading padding does not count.
        starts = size + before + after + hanging - extent
        more.append(hanging if starts < size + before else 0)
    if not any(more):
        return window
    if mode == "sum":
        raise UnsupportedError(
            f"{label(node)}: ceil_mode averages windows that hang over the edge; use ceil_mode=False"
        )
    pads = (top, left, bottom + more[0], right + more[1])
    return replace(window, pads=pads)
