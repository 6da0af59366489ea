"""What each layer of Keras 3 and HGQ2 becomes; runs in the process that holds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import keras
import numpy as np
from hgq.layers import QLayerBase, Quantizer
from keras import ops

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.keras.kernel import Kernel
from muxflow.frontend.keras.layers import (
    ADVICE,
    FUNCTIONS,
    GLOBAL_POOLS,
    POOLS,
    SHARED,
    Call,
    LayerHandler,
    Layers,
    add,
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
    sizes,
)
from muxflow.frontend.keras.v3.quantizers import is_quantizing, numbers, steps_of, steps_of_values
from muxflow.frontend.keras.writer import Writer

OWN_FUNCTIONS = {**FUNCTIONS, "hard_sigmoid": ("HardSigmoid", {"alpha": 1 / 6, "beta": 0.5})}
QUANTIZERS = "QUnaryFunctionLUT with an output quantizer (enable_oq=True)"


def input_quantized(writer: Writer, call: Call, position: int, quantizer: Any) -> str:
    """Write an input after the layer's own quantizer of it; zeros that a ZeroPadding puts around it stay zeros."""
    name, tensor = call.inputs[position], call.tensors[position]
    if not is_quantizing(quantizer):
        return name
    steps = steps_of(quantizer, "input quantizer")
    inner, padding = quantizer(tensor), writer.padding_of(name)
    if padding is None or any(row.values[np.searchsorted(row.thresholds, 0, side="right")] for row in steps):
        quantized = writer.steps(name, steps, "iq")
        call.inner[quantized] = inner
        return quantized
    x, pads = padding
    quantized = writer.steps(x, steps, "iq")
    rank = len(pads) // 2
    sides = tuple(zip(pads[:rank], pads[rank:], strict=True))
    cropping = getattr(keras.layers, f"Cropping{rank}D")
    call.inner[quantized] = cropping(sides if rank > 1 else sides[0])(inner)
    return writer.pad(quantized, pads)


def inputs_quantized(writer: Writer, call: Call) -> Call:
    """Return the call after the layer's input quantizers, if it has any."""
    if not getattr(call.layer, "enable_iq", False):
        return call
    iq = call.layer.iq
    quantizers = [iq] if isinstance(iq, Quantizer) else list(iq)
    return replace(call, inputs=[input_quantized(writer, call, *pair) for pair in enumerate(quantizers)])


def output_quantized(writer: Writer, call: Call, x: str) -> str:
    """Write a layer's result after its output quantizer, if it has one."""
    if not getattr(call.layer, "enable_oq", False) or not is_quantizing(call.layer.oq):
        return x
    return writer.steps(x, steps_of(call.layer.oq, "output quantizer"), "oq")


def quantizing(handler: LayerHandler) -> LayerHandler:
    """Put the handler between the layer's own input and output quantizers."""

    def handled(writer: Writer, call: Call) -> str:
        mode = getattr(call.layer, "quantization_mode", None)
        if mode is not None:
            raise UnsupportedError(f"Keras' own quantization ({mode}); supported is HGQ2's")
        return output_quantized(writer, call, handler(writer, inputs_quantized(writer, call)))

    return handled


def activation(writer: Writer, x: str, function: Any) -> str:
    """Write an activation that a layer brings with it."""
    name = "linear" if function is None else getattr(function, "__name__", type(function).__name__)
    return plain_activation(writer, x, name, QUANTIZERS, OWN_FUNCTIONS)


def _kernel(layer: Any) -> Kernel:
    """Return a layer's weights, after their quantizer where it has one."""
    if not isinstance(layer, QLayerBase):
        return Kernel(numbers(layer.kernel))
    values = numbers(layer.qkernel)
    return Kernel(values, steps_of_values(layer.kq, values.shape))


def _bias(writer: Writer, layer: Any) -> tuple[str, ...]:
    """Write a layer's bias, after its quantizer where it has one."""
    if not layer.use_bias:
        return ()
    return (writer.constant(numbers(layer.qbias if isinstance(layer, QLayerBase) else layer.bias)),)


def convolution(writer: Writer, call: Call) -> str:
    """Write Conv and QConv of one to three axes, dense or grouped."""
    x = convolved(writer, call, _kernel(call.layer), *_bias(writer, call.layer))
    return activation(writer, x, call.layer.activation)


def transposed_convolution(writer: Writer, call: Call) -> str:
    """Write Conv2DTranspose and its like."""
    layer = call.layer
    x = convolved_back(writer, call, _kernel(layer), *_bias(writer, layer))
    return activation(writer, x, layer.activation)


def depthwise(writer: Writer, call: Call) -> str:
    """Write DepthwiseConv, any depth multiplier."""
    x = convolved_by_channel(writer, call, _kernel(call.layer), *_bias(writer, call.layer))
    return activation(writer, x, call.layer.activation)


def separable(writer: Writer, call: Call) -> str:
    """Write SeparableConv: depthwise, then pointwise, no quantizer between."""
    layer = call.layer
    first, pointwise = Kernel(numbers(layer.depthwise_kernel)), Kernel(numbers(layer.pointwise_kernel))
    return activation(writer, separated(writer, call, first, pointwise, *_bias(writer, layer)), layer.activation)


def dense(writer: Writer, call: Call) -> str:
    """Write Dense, QDense and QBatchNormDense; the last with its moving statistics in the weights."""
    x = multiplied(writer, call, _kernel(call.layer), *_bias(writer, call.layer))
    return activation(writer, x, call.layer.activation)


def batch_normalization(writer: Writer, call: Call) -> str:
    """Write BatchNormalization at inference, in the order in which Keras 3 computes it on torch."""
    check_normalizes_channels(call)
    layer = call.layer
    factor = ops.rsqrt(layer.moving_variance + layer.epsilon)
    if layer.scale:
        factor = factor * layer.gamma
    beta = numbers(layer.beta) if layer.center else np.zeros(call.channels, np.float32)
    return normalized(writer, call, numbers(layer.moving_mean), numbers(factor), beta)


def quantized_batch_normalization(writer: Writer, call: Call) -> str:
    """Write QBatchNormalization at inference: a quantized factor and a quantized summand a channel."""
    check_normalizes_channels(call)
    factor, summand = map(numbers, call.layer.qscaler_and_qoffset)
    return by_channel(writer, call, "Add", by_channel(writer, call, "Mul", call.inputs[0], factor), summand)


def average_pool(writer: Writer, call: Call) -> str:
    """Write AveragePooling; Keras 3 on torch repeats the edges where "same" pads the two sides of an axis unlike."""
    if call.layer.padding == "same":
        axes = zip(call.input_shapes[0][1:], sizes(call.layer.pool_size), sizes(call.layer.strides), strict=False)
        for size, kernel, stride in axes:
            lacking = max((-(-(size or 0) // stride) - 1) * stride + kernel - (size or 0), 0)
            if lacking % 2:
                raise UnsupportedError(
                    "padding='same' that is not the same on both sides, where Keras 3 on torch averages repeated edges; put a "
                    "ZeroPadding before it, or use another size"
                )
    return pooled(writer, call)


def average_pow2(writer: Writer, call: Call) -> str:
    """Write QAveragePow2: a sum times a power of two."""
    return writer.node("Mul", add(writer, call), writer.constant(np.array([call.layer._scale], np.float32)))


def quantizer_layer(writer: Writer, call: Call) -> str:
    """Write Quantizer as a layer of its own."""
    if not is_quantizing(call.layer):
        return call.inputs[0]
    return writer.steps(call.inputs[0], steps_of(call.layer, "quantizer"))


def activation_layer(writer: Writer, call: Call) -> str:
    """Write Activation."""
    return activation(writer, call.inputs[0], call.layer.activation)


def lookup_table(writer: Writer, call: Call) -> str:
    """Write QUnaryFunctionLUT and QAffinedUnaryFunctionLUT: function and output quantizer are one step function together."""
    layer = call.layer
    x = inputs_quantized(writer, call).inputs[0]
    if not layer.enable_oq or not is_quantizing(layer.oq):
        raise UnsupportedError(
            "no output quantizer, so its numbers lie on no grid; give it enable_oq=True and an oq_conf"
        )

    def function(values: Any) -> Any:
        affine = values * layer.scale + layer.bias if hasattr(layer, "scale") else values
        return layer.activation(affine)

    return writer.steps(x, steps_of(layer.oq, "output quantizer", function), "oq")


CONVOLUTIONS: Mapping[str, LayerHandler] = {
    **dict.fromkeys(("Conv1D", "QConv1D", "Conv2D", "QConv2D", "Conv3D", "QConv3D"), convolution),
    **dict.fromkeys(("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose"), transposed_convolution),
    **dict.fromkeys(("DepthwiseConv1D", "DepthwiseConv2D"), depthwise),
    **dict.fromkeys(("SeparableConv1D", "SeparableConv2D"), separable),
}
BETWEEN_QUANTIZERS: Mapping[str, LayerHandler] = {
    **SHARED,
    **CONVOLUTIONS,
    **dict.fromkeys(("Dense", "QDense", "QBatchNormDense"), dense),
    "BatchNormalization": batch_normalization,
    "QBatchNormalization": quantized_batch_normalization,
    **{f"{q}{name}": pooled if "Max" in name else average_pool for name in POOLS for q in ("", "Q")},
    **dict.fromkeys((*GLOBAL_POOLS, *(f"Q{name}" for name in GLOBAL_POOLS)), globally_pooled),
    "QAdd": add,
    "QAveragePow2": average_pow2,
    "Activation": activation_layer,
}
LAYERS = Layers(
    {
        **{name: quantizing(handler) for name, handler in BETWEEN_QUANTIZERS.items()},
        "Quantizer": quantizer_layer,
        **dict.fromkeys(("QUnaryFunctionLUT", "QAffinedUnaryFunctionLUT"), lookup_table),
    },
    {
        **ADVICE,
        "QEinsumDense": "use QDense",
        "QSoftmax": "leave it out: the host computes it",
        **dict.fromkeys(("QSubtract", "QMultiply", "QMaximum", "QMinimum", "QDot"), "join with QAdd or Concatenate"),
    },
)
"""Layers of Keras 3 and HGQ2."""
