"""What each Keras and QKeras layer becomes; runs in the process that holds TensorFlow.

The layers themselves are read, and not hls4ml's parsed list: that one leaves out the groups of a convolution and drops
some activations, and the quantizers must be at hand here, because their own results are what is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from qkeras.quantizers import BaseQuantizer

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.float_chain import Floats
from muxflow.frontend.keras_joins import HANDLERS as MOGNET_HANDLERS
from muxflow.frontend.keras_steps import find_steps
from muxflow.frontend.keras_writer import TO_CHANNEL_FIRST, TO_CHANNEL_LAST, Writer

REACH, NOISY_REACH = 20, 10
"""Exponents of two up to which quantizers are evaluated; the second where `settled` must take noise away."""

LayerHandler = Callable[[Writer, Any, list[str]], str]


def settled(quantizer: Any, values: Floats) -> Floats:
    """A quantizer's output without the float32 noise of its straight-through estimator, `x + (q(x) - x)`.

    Newer quantizers can be asked to leave the estimator out; the others give a whole number times their scale.
    """
    if hasattr(quantizer, "use_ste"):
        used, quantizer.use_ste = quantizer.use_ste, False
        try:
            return np.asarray(quantizer(tf.constant(values)))
        finally:
            quantizer.use_ste = used
    result = np.asarray(quantizer(tf.constant(values)))
    scale = np.asarray(getattr(quantizer, "scale", 1.0), np.float32)
    if not hasattr(quantizer, "scale") or not scale.all():
        return result
    codes = np.rint(result / scale)
    near = np.abs(result / scale - codes).max(initial=0) < 0.1
    return np.asarray(codes * scale, np.float32) if near else result


def quantized(quantizer: Any, variable: Any, what: str) -> Floats:
    """The numbers that a layer computes with: a variable behind its quantizer, if it has one."""
    values = np.asarray(variable, np.float32)
    if quantizer is None:
        return values
    result = settled(quantizer, values)
    if not np.array_equal(result, settled(quantizer, values)):
        raise UnsupportedError(f"its {what} quantizer {quantizer} rounds at random; use a deterministic one")
    return result


def activation(writer: Writer, x: str, function: Any) -> str:
    """An activation: a QKeras quantizer, or one of Keras' functions that stay exact."""
    name = getattr(function, "__name__", type(function).__name__)
    from_qkeras = isinstance(function, BaseQuantizer) or getattr(function, "__module__", "").startswith("qkeras")
    if function is None or (name == "linear" and not from_qkeras):
        return x
    if not from_qkeras:
        if name not in ("relu", "softmax"):
            raise UnsupportedError(
                f"activation {name} is not supported; supported are linear, relu, softmax at the end, and QKeras' "
                "quantizers, so use quantized_tanh, quantized_sigmoid, quantized_relu or quantized_bits"
            )
        return writer.node("Relu", x) if name == "relu" else writer.node("Softmax", x, axis=1)
    alpha = getattr(function, "alpha", 1.0)
    if isinstance(alpha, str):
        raise UnsupportedError(
            f"activation {function}: alpha={alpha!r} takes the scale from each batch, so the grid is not "
            "fixed; use alpha=1 or another number"
        )
    if isinstance(alpha, np.ndarray) and alpha.size > 1:
        raise UnsupportedError(f"activation {function}: one alpha a channel; use one number for all")
    shown = str(function) if isinstance(function, BaseQuantizer) else name
    reach = REACH if hasattr(function, "use_ste") else NOISY_REACH
    try:
        return writer.steps(x, find_steps(lambda values: settled(function, values), reach))
    except UnsupportedError as error:
        raise UnsupportedError(f"activation {shown}: {error}") from error


def _check_channels_last(layer: Any) -> None:
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise UnsupportedError("data_format='channels_first'; supported is 'channels_last'")


def _window(layer: Any, pads: tuple[int, ...] | None = None) -> dict[str, Any]:
    _check_channels_last(layer)
    if layer.padding not in ("same", "valid"):
        raise UnsupportedError(f"padding={layer.padding!r}; supported are 'same' and 'valid'")
    strides: dict[str, Any] = {"strides": list(layer.strides)}
    if pads is None:
        strides["auto_pad"] = "SAME_UPPER" if layer.padding == "same" else "VALID"
    elif layer.padding == "valid":
        strides["pads"] = list(pads)
    else:
        raise UnsupportedError("padding='same' behind a ZeroPadding2D; give it padding='valid', or leave one out")
    return strides | ({"dilations": list(layer.dilation_rate)} if hasattr(layer, "dilation_rate") else {})


def _bias(writer: Writer, layer: Any) -> tuple[str, ...]:
    if not layer.use_bias:
        return ()
    return (writer.constant(quantized(getattr(layer, "bias_quantizer_internal", None), layer.bias, "bias")),)


def _depthwise_kernel(kernel: Floats) -> Floats:
    """(KH, KW, C, M) as (C * M, 1, KH, KW)."""
    height, width, channels, multiplier = kernel.shape
    return kernel.transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, height, width)


def _convolved(writer: Writer, layer: Any, x: str, kernel: Floats, *bias: str) -> str:
    """A convolution in Keras' order of the kernel, (KH, KW, C / groups, filters), with the zeros put around `x` before."""
    x, pads = writer.padding_of(x)
    groups = int(layer.input_shape[-1]) // kernel.shape[2]
    weights = writer.constant(kernel.transpose(3, 2, 0, 1))
    return writer.node("Conv", x, weights, *bias, group=groups, **_window(layer, pads))


def _convolved_by_channel(writer: Writer, layer: Any, x: str, kernel: Floats, *bias: str) -> str:
    """A depthwise convolution, kernel (KH, KW, C, multiplier), with the zeros put around `x` before."""
    x, pads = writer.padding_of(x)
    weights = writer.constant(_depthwise_kernel(kernel))
    return writer.node("Conv", x, weights, *bias, group=kernel.shape[2], **_window(layer, pads))


def convolution(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """Conv2D and QConv2D, dense or grouped."""
    kernel = quantized(getattr(layer, "kernel_quantizer_internal", None), layer.kernel, "kernel")
    x = _convolved(writer, layer, inputs[0], kernel, *_bias(writer, layer))
    return activation(writer, x, layer.activation)


def depthwise(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """DepthwiseConv2D and QDepthwiseConv2D, any depth multiplier."""
    kernel = quantized(getattr(layer, "depthwise_quantizer_internal", None), layer.depthwise_kernel, "depthwise kernel")
    x = _convolved_by_channel(writer, layer, inputs[0], kernel, *_bias(writer, layer))
    return activation(writer, x, layer.activation)


def folded_convolution(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """QConv2DBatchnorm at inference: the batch norm's moving statistics are in kernel and bias before they are quantized."""
    kernel, bias = layer.get_folded_weights()
    x = _convolved(
        writer,
        layer,
        inputs[0],
        quantized(layer.kernel_quantizer_internal, kernel, "kernel"),
        writer.constant(quantized(layer.bias_quantizer_internal, bias, "bias")),
    )
    return activation(writer, x, layer.activation)


def folded_depthwise(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """QDepthwiseConv2DBatchnorm at inference, as `folded_convolution`."""
    kernel, bias = layer.get_folded_weights()
    x = _convolved_by_channel(
        writer,
        layer,
        inputs[0],
        quantized(layer.depthwise_quantizer_internal, kernel, "depthwise kernel"),
        writer.constant(quantized(layer.bias_quantizer_internal, bias, "bias")),
    )
    return activation(writer, x, layer.activation)


def separable(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """SeparableConv2D and QSeparableConv2D: depthwise, then 1x1, no quantizer between."""
    kernel = quantized(getattr(layer, "depthwise_quantizer_internal", None), layer.depthwise_kernel, "depthwise kernel")
    point = quantized(getattr(layer, "pointwise_quantizer_internal", None), layer.pointwise_kernel, "pointwise kernel")
    x = _convolved_by_channel(writer, layer, inputs[0], kernel)
    x = writer.node("Conv", x, writer.constant(point.transpose(3, 2, 0, 1)), *_bias(writer, layer))
    return activation(writer, x, layer.activation)


def dense(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """Dense and QDense; on a map they work pixel by pixel, which is a 1x1 convolution."""
    kernel = quantized(getattr(layer, "kernel_quantizer_internal", None), layer.kernel, "kernel")
    if len(layer.input_shape) == 4:
        weights = writer.constant(kernel.T[:, :, None, None])
        x = writer.node("Conv", inputs[0], weights, *_bias(writer, layer))
    else:
        x = writer.node("Gemm", inputs[0], writer.constant(kernel), *_bias(writer, layer))
    return activation(writer, x, layer.activation)


def batch_normalization(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """BatchNormalization and QBatchNormalization at inference, in the order in which TensorFlow computes them.

    That of its own kernels: oneDNN's orders the fused one differently, by processor.
    """
    rank = len(layer.input_shape)
    if list(layer.axis) != [rank - 1]:
        raise UnsupportedError(f"axis={list(layer.axis)}; supported is the last axis, the channels")

    def parameter(name: str, quantizer: str, missing: float) -> Any:
        variable = getattr(layer, name)
        if variable is None:
            return tf.fill((layer.input_shape[-1],), missing)
        return tf.constant(quantized(getattr(layer, f"{quantizer}_quantizer_internal", None), variable, quantizer))

    gamma, beta = parameter("gamma", "gamma", 1.0), parameter("beta", "beta", 0.0)
    mean, variance = parameter("moving_mean", "mean", 0.0), parameter("moving_variance", "variance", 1.0)
    factor = tf.math.rsqrt(variance + layer.epsilon) * gamma

    def by(op_type: str, x: str, value: Any) -> str:
        shape = (1, -1, 1, 1) if rank == 4 else (1, -1)
        return writer.node(op_type, x, writer.constant(np.asarray(value, np.float32).reshape(shape)))

    if getattr(layer, "fused", False) and type(layer).__name__ == "BatchNormalization":
        return by("Add", by("Mul", by("Sub", inputs[0], mean), factor), beta)
    return by("Add", by("Mul", inputs[0], factor), beta - mean * factor)


def pool(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """MaxPooling2D, AveragePooling2D and QAveragePooling2D."""
    kind = "MaxPool" if type(layer).__name__.startswith("Max") else "AveragePool"
    x = writer.node(kind, inputs[0], kernel_shape=list(layer.pool_size), **_window(layer))
    return _scaled_average(writer, layer, x, int(np.prod(layer.pool_size)))


def global_pool(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """GlobalMaxPooling2D, GlobalAveragePooling2D and QGlobalAveragePooling2D."""
    _check_channels_last(layer)
    kind = "GlobalMaxPool" if "Max" in type(layer).__name__ else "GlobalAveragePool"
    x = writer.node(kind, inputs[0])
    x = x if layer.keepdims else writer.node("Flatten", x)
    return _scaled_average(writer, layer, x, int(np.prod(layer.input_shape[1:3])))


def _scaled_average(writer: Writer, layer: Any, x: str, area: int) -> str:
    """What QKeras' average pools add: the divisor taken back, a quantized factor in its place, an activation."""
    quantizer = getattr(layer, "average_quantizer_internal", None)
    if quantizer is not None:
        factor = quantized(quantizer, np.float32(1.0 / area), "average")
        x = writer.node("Mul", x, writer.constant(np.array([area], np.float32)))
        x = writer.node("Mul", x, writer.constant(factor.reshape(1)))
    return activation(writer, x, getattr(layer, "activation", None))


def zero_padding(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """ZeroPadding2D: the convolution behind it adds the zeros."""
    _check_channels_last(layer)
    (top, bottom), (left, right) = layer.padding
    x, before = writer.padding_of(inputs[0])
    pads = zip(before or (0, 0, 0, 0), (top, left, bottom, right), strict=True)
    return writer.padded(x, tuple(int(outer) + int(inner) for outer, inner in pads))


def quantizer_layer(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """QActivation."""
    return activation(writer, inputs[0], layer.quantizer)


def activation_layer(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """Activation."""
    return activation(writer, inputs[0], layer.activation)


def relu(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """ReLU, with or without an upper bound."""
    if layer.negative_slope or layer.threshold:
        raise UnsupportedError("a negative slope or a threshold; supported is ReLU with max_value")
    x = writer.node("Relu", inputs[0])
    if layer.max_value is None:
        return x
    return writer.node("Min", x, writer.constant(np.array([layer.max_value], np.float32)))


def softmax(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """Softmax; the importer leaves it to the host at the end."""
    return activation(writer, inputs[0], tf.keras.activations.softmax)


def add(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """Add of two or more, from left to right."""
    shapes = {tuple(shape) for shape in layer.input_shape}
    if len(shapes) > 1:
        raise UnsupportedError(f"joins shapes {', '.join(map(str, sorted(shapes, key=str)))}; they must be equal")
    x = inputs[0]
    for other in inputs[1:]:
        x = writer.node("Add", x, other)
    return x


def concatenate(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """Concatenate along the channels."""
    rank = len(layer.output_shape)
    if layer.axis % rank != rank - 1:
        raise UnsupportedError(f"axis={layer.axis}; supported is the last axis, the channels")
    return writer.node("Concat", *inputs, axis=1)


def flatten(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """Flatten, in Keras' channel-last order."""
    _check_channels_last(layer)
    x = writer.transposed(inputs[0], TO_CHANNEL_LAST) if len(layer.input_shape) == 4 else inputs[0]
    return writer.node("Flatten", x)


def reshape(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """Reshape, in Keras' channel-last order."""
    x = writer.transposed(inputs[0], TO_CHANNEL_LAST) if len(layer.input_shape) == 4 else inputs[0]
    target = layer.output_shape[1:]
    x = writer.node("Reshape", x, writer.constant(np.array([0, *target], np.int64)))
    return writer.transposed(x, TO_CHANNEL_FIRST) if len(target) == 3 else x


def identity(writer: Writer, layer: Any, inputs: list[str]) -> str:
    """Layers that do nothing at inference."""
    return inputs[0]


TAKES_PADDING = {
    **dict.fromkeys(("Conv2D", "QConv2D"), convolution),
    **dict.fromkeys(("DepthwiseConv2D", "QDepthwiseConv2D"), depthwise),
    **dict.fromkeys(("SeparableConv2D", "QSeparableConv2D"), separable),
    "QConv2DBatchnorm": folded_convolution,
    "QDepthwiseConv2DBatchnorm": folded_depthwise,
}
"""Layers that can put the zeros of a ZeroPadding2D around their input."""

HANDLERS: Mapping[str, LayerHandler] = {
    **TAKES_PADDING,
    **MOGNET_HANDLERS,
    "ZeroPadding2D": zero_padding,
    **dict.fromkeys(("Dense", "QDense"), dense),
    **dict.fromkeys(("BatchNormalization", "QBatchNormalization"), batch_normalization),
    **dict.fromkeys(("MaxPooling2D", "AveragePooling2D", "QAveragePooling2D"), pool),
    **dict.fromkeys(("GlobalMaxPooling2D", "GlobalAveragePooling2D", "QGlobalAveragePooling2D"), global_pool),
    "QActivation": quantizer_layer,
    "Activation": activation_layer,
    "ReLU": relu,
    "Softmax": softmax,
    "Add": add,
    "Concatenate": concatenate,
    "Flatten": flatten,
    "Reshape": reshape,
    **dict.fromkeys(("Dropout", "SpatialDropout2D", "GaussianNoise", "ActivityRegularization"), identity),
}

ADVICE = {
    "UpSampling2D": "pool or use a stride instead of scaling maps up",
    "QAdaptiveActivation": "use QActivation with a fixed quantizer",
}
"""What to do about layers that people often meet here."""


def write_layer(writer: Writer, layer: Any, inputs: list[str], training: bool = False) -> str:
    """Writes one call of a layer; a layer that is not supported becomes a node that says so.

    `training`: the model calls the layer as in training, whatever predict wants.
    """
    kind = type(layer).__name__
    writer.layer = layer.name
    mark = writer.mark()
    try:
        if kind not in HANDLERS:
            advice = ADVICE.get(kind, "replace it, or move it behind the output onto the host")
            raise UnsupportedError(f"not supported; {advice}. Supported are {', '.join(sorted(HANDLERS))}")
        if not hasattr(layer, "input_shape"):
            raise UnsupportedError("it is shared by inputs of different shapes; use one layer for each")
        if training:
            raise UnsupportedError("called with training=True, so predict trains; call it without")
        if layer.compute_dtype != "float32":
            raise UnsupportedError(f"computes in {layer.compute_dtype}; supported is float32, without mixed precision")
        if kind not in TAKES_PADDING and kind != "ZeroPadding2D":
            inputs = [writer.unpadded(name) for name in inputs]
        output = HANDLERS[kind](writer, layer, inputs)
    except UnsupportedError as error:
        output = writer.unsupported(mark, [writer.padding_of(name)[0] for name in inputs], f"{kind}: {error}")
    return output if len(writer.nodes) == mark[0] else writer.end_layer()
