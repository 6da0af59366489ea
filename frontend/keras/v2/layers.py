"""What each Keras and QKeras layer becomes; runs in the process that holds TensorFlow.

The layers themselves are read, and not hls4ml's parsed list: that one leaves out the groups of a convolution and drops
some activations, and the quantizers must be at hand here, because their own results are what is written down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import numpy as np
import tensorflow as tf
from qkeras.quantizers import BaseQuantizer

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.importer.float_chain import Floats
from muxflow.frontend.keras.kernel import Array, Kernel
from muxflow.frontend.keras.layers import (
    ADVICE,
    GLOBAL_POOLS,
    IN_TORCH,
    POOLS,
    SHARED,
    Call,
    LayerHandler,
    Layers,
    by_channel,
    check_normalizes_channels,
    convolved,
    convolved_back,
    convolved_by_channel,
    globally_pooled,
    multiplied,
    normalized,
    plain_activation,
    pooled,
    separated,
)
from muxflow.frontend.keras.steps import REACH, find_steps
from muxflow.frontend.keras.v2.own_layers import HANDLERS as OWN_HANDLERS
from muxflow.frontend.keras.writer import Writer

NOISY_REACH = 10
"""Exponent of two up to which quantizers are evaluated where `settled` must take noise away."""


def told(quantizer: Any) -> str:
    """Name a quantizer as QKeras writes it, and by its class where QKeras cannot, as `quantized_hswish`."""
    try:
        return str(quantizer)
    except Exception as error:
        raise_machine_fault(error, type(quantizer).__name__)
        return type(quantizer).__name__


def settled(quantizer: Any, values: Floats) -> Floats:
    """Return a quantizer's output without the float32 noise of its straight-through estimator, `x + (q(x) - x)`.

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
    """Return the numbers that a layer computes with: a variable after its quantizer, if it has one."""
    values = np.asarray(variable, np.float32)
    if not np.isfinite(values).all():
        raise UnsupportedError(f"its {what} holds NaN or infinity; the training diverged or the file is damaged")
    if quantizer is None:
        return values
    result = settled(quantizer, values)
    if not np.array_equal(result, settled(quantizer, values)):
        raise UnsupportedError(f"its {what} quantizer {told(quantizer)} rounds at random; use a deterministic one")
    return result


def kernel_of(quantizer: Any, variable: Any, what: str = "kernel") -> Kernel:
    """Return a layer's weights after their quantizer, if they have one; raises UnsupportedError as `quantized`."""
    values = quantized(quantizer, variable, what)
    return Kernel(values, _steps(quantizer, values))


def _steps(quantizer: Any, values: Floats) -> Array | None:
    """Return what a quantizer's values are multiples of, after a call that gave them; None where it does not say."""
    kind = type(quantizer).__name__
    if kind == "quantized_po2":
        return np.asarray(np.abs(values), np.float64)
    if kind == "HEQ":
        return np.asarray(quantizer.scale, np.float64)
    if kind not in ("quantized_bits", "binary", "stochastic_binary", "ternary", "stochastic_ternary"):
        return None
    magnitude = quantizer.bits - quantizer.keep_negative if kind == "quantized_bits" else 0
    scale: Array = np.abs(np.asarray(quantizer.scale, np.float64))
    return scale * 2.0 ** (int(quantizer.integer) - magnitude) if magnitude > 0 else scale


def activation(writer: Writer, x: str, function: Any) -> str:
    """Write an activation: a QKeras quantizer, or one of Keras' functions that stay exact."""
    name = getattr(function, "__name__", type(function).__name__)
    from_qkeras = isinstance(function, BaseQuantizer) or getattr(function, "__module__", "").startswith("qkeras")
    if function is None:
        return x
    if not from_qkeras:
        return plain_activation(
            writer,
            x,
            name,
            "QKeras' quantizers, so use quantized_tanh, quantized_sigmoid, quantized_relu or quantized_bits",
        )
    shown = told(function) if isinstance(function, BaseQuantizer) else name
    alpha = getattr(function, "alpha", 1.0)
    if isinstance(alpha, str):
        raise UnsupportedError(
            f"activation {shown}: alpha={alpha!r} takes the scale from each batch, so the grid is not "
            "fixed; use alpha=1 or another number"
        )
    if isinstance(alpha, np.ndarray) and alpha.size > 1:
        raise UnsupportedError(f"activation {shown}: one alpha a channel; use one number for all")
    reach = REACH if hasattr(function, "use_ste") else NOISY_REACH
    try:
        return writer.steps(x, [find_steps(lambda values: settled(function, values), reach)])
    except UnsupportedError as error:
        raise UnsupportedError(f"activation {shown}: {error}") from error


def _bias(writer: Writer, layer: Any) -> tuple[str, ...]:
    if not layer.use_bias:
        return ()
    return (writer.constant(quantized(getattr(layer, "bias_quantizer_internal", None), layer.bias, "bias")),)


def convolution(writer: Writer, call: Call) -> str:
    """Write Conv and QConv of one to three axes, dense or grouped."""
    layer = call.layer
    kernel = kernel_of(getattr(layer, "kernel_quantizer_internal", None), layer.kernel)
    return activation(writer, convolved(writer, call, kernel, *_bias(writer, layer)), layer.activation)


def transposed_convolution(writer: Writer, call: Call) -> str:
    """Write Conv2DTranspose and its like."""
    layer = call.layer
    x = convolved_back(writer, call, kernel_of(None, layer.kernel), *_bias(writer, layer))
    return activation(writer, x, layer.activation)


def _depthwise_kernel(layer: Any) -> Kernel:
    quantizer = getattr(layer, "depthwise_quantizer_internal", None)
    return kernel_of(quantizer, layer.depthwise_kernel, "depthwise kernel")


def depthwise(writer: Writer, call: Call) -> str:
    """Write DepthwiseConv and QDepthwiseConv, any depth multiplier."""
    x = convolved_by_channel(writer, call, _depthwise_kernel(call.layer), *_bias(writer, call.layer))
    return activation(writer, x, call.layer.activation)


def folded(product: Callable[..., str], quantizer: str) -> LayerHandler:
    """Write QConv2DBatchnorm, QDepthwiseConv2DBatchnorm and QDenseBatchnorm at inference.

    `product` gets kernel and bias that hold the batch norm's moving statistics before they are quantized.
    """

    def handler(writer: Writer, call: Call) -> str:
        kernel, bias = call.layer.get_folded_weights()
        weights = kernel_of(getattr(call.layer, quantizer), kernel)
        summand = writer.constant(quantized(call.layer.bias_quantizer_internal, bias, "bias"))
        return activation(writer, product(writer, call, weights, summand), call.layer.activation)

    return handler


def separable(writer: Writer, call: Call) -> str:
    """Write SeparableConv and QSeparableConv: depthwise, then pointwise, no quantizer between."""
    layer = call.layer
    quantizer = getattr(layer, "pointwise_quantizer_internal", None)
    pointwise = kernel_of(quantizer, layer.pointwise_kernel, "pointwise kernel")
    x = separated(writer, call, _depthwise_kernel(layer), pointwise, *_bias(writer, layer))
    return activation(writer, x, layer.activation)


def dense(writer: Writer, call: Call) -> str:
    """Write Dense and QDense."""
    layer = call.layer
    kernel = kernel_of(getattr(layer, "kernel_quantizer_internal", None), layer.kernel)
    return activation(writer, multiplied(writer, call, kernel, *_bias(writer, layer)), layer.activation)


def batch_normalization(writer: Writer, call: Call) -> str:
    """Write BatchNormalization and QBatchNormalization at inference, in the order in which TensorFlow computes them.

    That of its own kernels: oneDNN's orders the fused one differently, by processor.
    """
    layer, x = call.layer, call.inputs[0]
    check_normalizes_channels(call)

    def parameter(name: str, quantizer: str, missing: float) -> Any:
        variable = getattr(layer, name)
        if variable is None:
            return tf.fill((call.channels,), missing)
        return tf.constant(quantized(getattr(layer, f"{quantizer}_quantizer_internal", None), variable, quantizer))

    gamma, beta = parameter("gamma", "gamma", 1.0), parameter("beta", "beta", 0.0)
    mean, variance = parameter("moving_mean", "mean", 0.0), parameter("moving_variance", "variance", 1.0)
    factor = tf.math.rsqrt(variance + layer.epsilon) * gamma
    if getattr(layer, "fused", False) and type(layer).__name__ == "BatchNormalization":
        return normalized(writer, call, mean, factor, beta)
    return by_channel(writer, call, "Add", by_channel(writer, call, "Mul", x, factor), beta - mean * factor)


def pool(writer: Writer, call: Call) -> str:
    """Write MaxPooling, AveragePooling and QAveragePooling."""
    return _scaled_average(writer, call.layer, pooled(writer, call), int(np.prod(call.layer.pool_size)))


def global_pool(writer: Writer, call: Call) -> str:
    """Write GlobalMaxPooling, GlobalAveragePooling and QGlobalAveragePooling."""
    area = prod(size or 0 for size in call.input_shapes[0][1:-1])
    return _scaled_average(writer, call.layer, globally_pooled(writer, call), area)


def _scaled_average(writer: Writer, layer: Any, x: str, area: int) -> str:
    """Write what QKeras' average pools add: the divisor taken back, a quantized factor in its place, an activation."""
    quantizer = getattr(layer, "average_quantizer_internal", None)
    if quantizer is not None:
        factor = quantized(quantizer, np.float32(1.0 / area), "average")
        x = writer.node("Mul", x, writer.constant(np.array([area], np.float32)))
        x = writer.node("Mul", x, writer.constant(factor.reshape(1)))
    return activation(writer, x, getattr(layer, "activation", None))


def quantizer_layer(writer: Writer, call: Call) -> str:
    """Write QActivation."""
    return activation(writer, call.inputs[0], call.layer.quantizer)


def activation_layer(writer: Writer, call: Call) -> str:
    """Write Activation."""
    return activation(writer, call.inputs[0], call.layer.activation)


CONVOLUTIONS: Mapping[str, LayerHandler] = {
    **dict.fromkeys(("Conv1D", "QConv1D", "Conv2D", "QConv2D", "Conv3D"), convolution),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), transposed_convolution),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D", "QDepthwiseConv2D"), depthwise),
    **dict.fromkeys(("SeparableConv1D", "QSeparableConv1D", "SeparableConv2D", "QSeparableConv2D"), separable),
    "QConv2DBatchnorm": folded(convolved, "kernel_quantizer_internal"),
    "QDepthwiseConv2DBatchnorm": folded(convolved_by_channel, "depthwise_quantizer_internal"),
}

LAYERS = Layers(
    {
        **SHARED,
        **CONVOLUTIONS,
        **OWN_HANDLERS,
        **dict.fromkeys(("Dense", "QDense"), dense),
        "QDenseBatchnorm": folded(multiplied, "kernel_quantizer_internal"),
        **dict.fromkeys(("BatchNormalization", "QBatchNormalization"), batch_normalization),
        **dict.fromkeys((*POOLS, "QAveragePooling2D"), pool),
        **dict.fromkeys((*GLOBAL_POOLS, "QGlobalAveragePooling2D"), global_pool),
        "QActivation": quantizer_layer,
        "Activation": activation_layer,
    },
    {
        **ADVICE,
        "QAdaptiveActivation": "use QActivation with a fixed quantizer",
        "QLSTM": "it gives its output and takes the tanh of its state before either is quantized; " + IN_TORCH,
    },
)
"""Layers of Keras 2, QKeras and Muxflow."""
