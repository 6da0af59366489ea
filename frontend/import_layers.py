"""Import of layers with weights and of pools."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
import onnx

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops import AutomatonWeights, MatrixVector, Pool, RomWeights, SlidingWindow, WindowPool
from muxflow.dataflow.stream import Stream
from muxflow.frontend.float_chain import constant_step
from muxflow.frontend.qonnx_importer import Importer, attribute, integer_codes, label
from muxflow.frontend.values import Constant, Doubles, Generated, Tensor, Value, channel_last, is_feature_map

LARGEST_WEIGHT = 128


def weight_codes(
    importer: Importer, node: onnx.NodeProto, position: int, row_axis: int
) -> tuple[IntArray, Doubles]:
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
    return codes, (scale[:1] if (scale == scale[0]).all() else scale)


def _recover(values: npt.NDArray[np.float32], node: onnx.NodeProto) -> tuple[IntArray, Doubles]:
    flat = values.reshape(len(values), -1).astype(np.float64)
    magnitude = np.where(flat == 0, np.inf, np.abs(flat))
    for step in (np.full(len(flat), magnitude.min()), magnitude.min(axis=1)):
        step = np.where(np.isfinite(step), step, 1.0)
        codes = flat / step[:, None]
        if np.abs(codes).max(initial=0) <= LARGEST_WEIGHT and np.abs(codes - np.rint(codes)).max(initial=0) < 1e-6:
            return np.rint(codes).astype(np.int64).reshape(values.shape), step
    raise UnsupportedError(
        f"{label(node)}: its weights are floats without a quantizer; give the layer a weight quantizer of 1 to 8 bits "
        "(Brevitas: weight_quant=...)"
    )


def _input_meaning(importer: Importer, node: onnx.NodeProto, tensor: Tensor, depthwise: bool) -> tuple[Doubles, Doubles]:
    """Scale and offset of the codes that a layer multiplies; raises where they are not one grid."""
    meaning = tensor.meaning()
    if meaning is None:
        names = ", ".join(step.name for step in tensor.steps)
        raise UnsupportedError(
            f"{label(node)}: its input passes {names} after the last integer stream, without a quantizer; put an "
            "activation quantizer before this layer"
        )
    scale, offset = (np.unique(part) if not depthwise else part for part in meaning)
    if not depthwise and (scale.size > 1 or offset.size > 1):
        raise UnsupportedError(
            f"{label(node)}: the channels of its input differ in scale or offset, so their sum is not an integer; "
            "quantize the input with one scale for all channels"
        )
    return scale, offset


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
    scale, offset = _input_meaning(importer, node, tensor, group_channels == 1)
    if any(window.pads) and offset.any():
        code = -offset / scale
        if (code != np.rint(code)).any() or np.unique(code).size > 1:
            raise UnsupportedError(
                f"{label(node)}: its input has an offset of {float(offset.reshape(-1)[0]):g} and the padding's zero is "
                "between two codes; quantize before the layer"
            )
        window = SlidingWindow(
            window.kernel, window.stride, window.dilation, window.pads, window.groups, int(code.reshape(-1)[0])
        )
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
        exact=tensor.exact and _sums_exactly(scale, weight_scale, importer.streams[stream]),
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
    return tensor.then(constant_step("Add", bias[:1] if (bias == bias[0]).all() else bias, f"{label(node)} bias"))


def _odd_part(scale: Doubles) -> int:
    """Largest odd factor of the scales' float32 mantissas: 1 for powers of two."""
    mantissa, _ = np.frexp(scale)
    whole = (np.abs(mantissa) * (1 << 53)).astype(np.int64)
    return max(int(value) // (int(value) & -int(value)) for value in whole)


def _sums_exactly(scale: Doubles, weight_scale: Doubles, stream: Stream) -> bool:
    """Whether every float32 partial sum of scaled products is a float32 number, in any order of summation."""
    largest = max(abs(stream.lo), abs(stream.hi), 1)
    return _odd_part(scale) * _odd_part(weight_scale) * largest < 1 << 24


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
    swapped = node.op_type == "MatMul" and isinstance(importer.values[node.input[0]], Constant)
    if swapped:
        raise UnsupportedError(f"{label(node)}: the constant stands on the left; put it on the right (x @ W)")
    tensor = importer.tensor(node, 0)
    if isinstance(importer.values[node.input[1]], Tensor):
        raise UnsupportedError(f"{label(node)}: both factors are data (attention); supported are constant weights")
    if tensor.index.ndim != 1:
        raise UnsupportedError(
            f"{label(node)}: its input has shape (N, {', '.join(map(str, tensor.index.shape))}); flatten it to "
            "(N, features) first"
        )
    if node.op_type == "Gemm":
        if float(attribute(node, "alpha", 1.0)) != 1.0 or float(attribute(node, "beta", 1.0)) != 1.0:
            raise UnsupportedError(f"{label(node)}: alpha and beta other than 1 are not supported")
        if attribute(node, "transA", 0):
            raise UnsupportedError(f"{label(node)}: transA is not supported")
    row_axis = 0 if node.op_type == "Gemm" and attribute(node, "transB", 0) else 1
    codes, weight_scale = weight_codes(importer, node, 1, row_axis)
    features = tensor.index.size
    if codes.ndim != 2 or codes.shape[1] != features:
        raise UnsupportedError(f"{label(node)}: weights of shape {codes.shape} for {features} features")
    scale, offset = _input_meaning(importer, node, tensor, False)
    matrix = np.empty_like(codes)
    matrix[:, tensor.index] = codes
    name = node.name or node.output[0]
    supply = importer.emit(f"{name}_weights", RomWeights(matrix))
    stream = importer.emit(name, MatrixVector(), tensor.stream, supply)
    product = scale * weight_scale
    importer.describe(stream, product)
    exact = tensor.exact and _sums_exactly(scale, weight_scale, importer.streams[stream])
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
        raise UnsupportedError(f"{label(node)}: its input is not an image in the order its stream has")
    if any(operand is not None and operand.size == source.size != source.channels
           for step in tensor.steps for operand in step.operands):
        raise UnsupportedError(f"{label(node)}: its input is scaled pixel by pixel; put a quantizer before the pool")
    if mode == "max" and not ((tensor.scale > 0).all() and all(step.rises() for step in tensor.steps)):
        raise UnsupportedError(
            f"{label(node)}: between the last integer stream and this pool a channel may fall as its input rises "
            "(a negative batch-norm factor); put the activation quantizer before the pool"
        )
    meaning = tensor.meaning()
    if mode == "sum" and meaning is None:
        names = ", ".join(step.name for step in tensor.steps)
        raise UnsupportedError(f"{label(node)}: averages {names} without a quantizer; put one before the pool")
    window = SlidingWindow(kernel, kernel) if whole else window_of(node, kernel, source, source.channels)
    if attribute(node, "ceil_mode", 0) and any(
        (size + window.pads[i] + window.pads[i + 2] - window.extent[i]) % window.stride[i]
        for i, size in enumerate(source.shape[:2])
    ):
        raise UnsupportedError(f"{label(node)}: ceil_mode adds windows that hang over the edge; use ceil_mode=False")
    if mode == "sum" and any(window.pads):
        if not attribute(node, "count_include_pad", 0):
            raise UnsupportedError(
                f"{label(node)}: averages at the edge have other divisors; use count_include_pad=True or no padding"
            )
        assert meaning is not None
        if meaning[1].any():
            raise UnsupportedError(f"{label(node)}: padding of a tensor with an offset; quantize before the pool")
    name = node.name or node.output[0]
    if window.stride == kernel and not any(window.pads) and window.dilation == (1, 1):
        stream = importer.emit(name, Pool(kernel, mode), tensor.stream)
    else:
        pad_code = source.lo if mode == "max" else 0
        laid_out = SlidingWindow(kernel, window.stride, window.dilation, window.pads, source.channels, pad_code)
        stream = importer.emit(f"{name}_window", laid_out, tensor.stream)
        stream = importer.emit(name, WindowPool(kernel[0] * kernel[1], mode), stream)
    result = importer.streams[stream]
    importer.describe(stream, tensor.scale)
    steps = tensor.steps
    exact = tensor.exact
    if mode == "sum":
        # The mean of an affine map is the map of the mean, so the division may come first.
        steps = (constant_step("Div", float(kernel[0] * kernel[1]), f"{label(node)} divisor"), *steps)
        exact = exact and not tensor.steps and _sums_exactly(tensor.scale, np.ones(1), result)
    elif not tensor.steps:
        importer.tensors[stream] = node.output[0]
    return Tensor(stream, channel_last(result), tensor.scale, steps, exact)
