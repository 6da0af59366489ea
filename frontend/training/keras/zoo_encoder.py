"""Encoders of QKeras' layers and Muxflow's, the twins of `muxflow.frontend.training.zoo_encoder`.

Needs what `muxflow.frontend.training.keras.zoo` needs. Channels last; pixels come in as p/256.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from qkeras import QActivation, QConv2D

from muxflow.frontend.training.encoder_config import EncoderConfig, EncoderLayer
from muxflow.frontend.training.keras.encoder import HEQ, BitShiftNormalization, MostSignificantBits
from muxflow.frontend.training.keras.zoo import PIXELS, batch_norm
from muxflow.frontend.training.scales import PIXEL_SCALE, activation_scale, heq_scale

layers = tf.keras.layers


def _layer(
    x: Any, layer: EncoderLayer, config: EncoderConfig, unit: float, name: str, convolution: Any, *, code: bool = False
) -> Any:
    """Chain convolution, norm and activation, which a classifier has not; `unit`: the value of one input code."""
    if layer.padding:
        x = layers.ZeroPadding2D(layer.padding, name=f"{name}_pad")(x)
    x = convolution(
        layer.outputs,
        layer.kernel,
        strides=layer.stride,
        groups=layer.groups,
        use_bias=False,
        kernel_quantizer=HEQ(layer.levels),
        kernel_initializer=tf.keras.initializers.RandomUniform(-1.0, 1.0),
        name=f"{name}_conv",
    )(x)
    scale = "unit" if code else config.scale
    step, deviation, mean = layer.aims(scale)
    if config.norm == "bsn":
        options: dict[str, Any] = {"deviation": deviation, "mean": mean, "bias_per": config.bias_per}
        x = BitShiftNormalization(unit * heq_scale(layer.levels), step, name=f"{name}_norm", **options)(x)
    else:
        x = batch_norm(f"{name}_norm", deviation, mean)(x)
    return MostSignificantBits(layer.bits, scale, name=f"{name}_act")(x) if layer.bits else x


def encoder(config: EncoderConfig, convolution: Any = QConv2D) -> Any:
    """Build an encoder: a trunk that brings 16x16 pixels to one place, a classifier over all places, a binary code of each.

    Input (N, H, W, C): pixels p/256; outputs: logits (N, classes), and with `config.code` codes (N, H / 16, W / 16, code).
    `config.input_shape` is (C, H, W). `convolution`: `zoo.DenselyGroupedConv2D` to train on a CPU.
    Source: 1 Mb encoder (arXiv 2501.05097).
    """
    channels, *size = config.input_shape
    image = layers.Input((*size, channels), name="image")
    x = pixels = QActivation(PIXELS, name="pixels")(image)
    unit, plan = PIXEL_SCALE, config.layers()
    for index, layer in enumerate(plan[: config.trunk_layers]):
        x = _layer(x, layer, config, unit, f"trunk{index}", convolution)
        unit = activation_scale(layer.bits, config.scale)
    scores = _layer(x, plan[config.trunk_layers], config, unit, "classifier", convolution)
    logits = layers.GlobalAveragePooling2D(name="logits")(scores)
    if not config.code:
        return tf.keras.Model(image, logits, name="encoder")
    code, unit = (pixels, PIXEL_SCALE) if config.measured else (x, unit)
    heads = plan[config.trunk_layers + 1 :]
    for index, layer in enumerate(heads):
        code = _layer(code, layer, config, unit, f"code{index}", convolution, code=layer is heads[-1])
        unit = activation_scale(layer.bits, config.scale)
    return tf.keras.Model(image, [logits, code], name="encoder")
