"""Efficiera Residual Networks of QKeras' layers and Muxflow's, the twins of `muxflow.frontend.training.zoo_ern`.

Needs what `muxflow.frontend.training.keras.zoo` needs. Channels last; pixels come in as p/256.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from qkeras import QActivation, QConv2D

from muxflow.frontend.training.ern_config import BOTTLENECK_EXPANSION, ErnConfig
from muxflow.frontend.training.keras.ern import HalfWave, ThermometerEncoder
from muxflow.frontend.training.keras.zoo import PIXELS, batch_norm
from muxflow.frontend.training.scales import FIXED_BINARY_SCALE, half_wave_step

layers = tf.keras.layers


def _conv(
    x: Any, filters: int, kernel: int, name: str, stride: int = 1, *, residual: bool = False, **options: Any
) -> Any:
    """Write a binary convolution without bias, zeros on all sides; `residual`: its scale is the shared 1/32."""
    if kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    weights = f"binary(alpha={FIXED_BINARY_SCALE})" if residual else "binary(alpha='auto')"
    options = {"strides": stride, "use_bias": False, "kernel_quantizer": weights, "name": name} | options
    return QConv2D(filters, kernel, **options)(x)


def _norm_act(x: Any, config: ErnConfig, name: str) -> Any:
    """Chain batch norm and half-wave activation; both start with most values inside the activation's range (decision)."""
    step = half_wave_step(config.bits, config.scale)
    return HalfWave(config.bits, config.scale, name=name)(batch_norm(f"{name}_norm", 1.2 * step, step)(x))


def ern_block(x: Any, width: int, stride: int, first: bool, config: ErnConfig, name: str) -> Any:
    """Chain a pre-activation residual block, basic or bottleneck: y = shortcut + body.

    `x`: integer sums times the shared scale, (N, H, W, C). `first`: the shortcut is a 1x1 convolution of the block's first
    activation, with its stride; else the input itself. `name`: that of the sum, and what its layers' names begin with.
    Source: ERN (arXiv 2410.11553); a 1x1 shortcut in every stage follows from the published weight counts.
    """
    outputs = width * (BOTTLENECK_EXPANSION if config.bottleneck else 1)
    codes = _norm_act(x, config, f"{name}_act0")
    plan = (
        [(width, 1, 1), (width, 3, stride), (outputs, 1, 1)]
        if config.bottleneck
        else [(width, 3, stride), (width, 3, 1)]
    )
    body = codes
    for index, (filters, kernel, step) in enumerate(plan):
        body = _norm_act(body, config, f"{name}_act{index}") if index else body
        body = _conv(body, filters, kernel, f"{name}_conv{index}", step, residual=index + 1 == len(plan))
    shortcut = _conv(codes, outputs, 1, f"{name}_shortcut", stride, residual=True) if first else x
    return layers.Add(name=name)([shortcut, body])


def ern(config: ErnConfig) -> Any:
    """Build an ERN: thermometer, stem, stages of pre-activation blocks, binary 1x1 classifier, average pooling.

    Input (N, H, W, C): pixels p/256; output (N, classes): logits. `config.input_shape` is (C, H, W).
    Source: ERN (arXiv 2410.11553).
    """
    channels, *size = config.input_shape
    image = layers.Input((*size, channels), name="image")
    x = QActivation(PIXELS, name="pixels")(image)
    x = ThermometerEncoder(
        config.codes, config.code_bits, half_wave_step(config.bits, config.scale), name="thermometer"
    )(x)
    for index, stride in enumerate(config.stem):
        x = _norm_act(_conv(x, config.stem_width, 3, f"stem{index}_conv", stride), config, f"stem{index}")
    x = _conv(x, config.stem_width, 1, "stem", residual=True)
    for stage, (width, count) in enumerate(zip(config.widths, config.blocks, strict=True)):
        for block in range(count):
            x = ern_block(x, width, 2 if stage and not block else 1, block == 0, config, f"block{stage}_{block}")
    # No batch norm follows: weights of this size give logits that a softmax can train on (decision).
    wide = tf.keras.initializers.RandomUniform(-1.0, 1.0)
    x = _conv(_norm_act(x, config, "act"), config.classes, 1, "classifier", kernel_initializer=wide)
    return tf.keras.Model(image, layers.GlobalAveragePooling2D(name="logits")(x), name="ern")
