"""MobileNets with hybrid filter banks, of QKeras' layers: the twins of `muxflow.frontend.training.zoo_mobilenet`.

Needs what `muxflow.frontend.training.keras.zoo` needs. Channels last; pixels come in as p/256.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from qkeras import QActivation, QConv2D, QDense, QDepthwiseConv2D

from muxflow.frontend.training.keras.hybrid import HybridBank
from muxflow.frontend.training.keras.zoo import PIXELS, TERNARY, batch_norm
from muxflow.frontend.training.mobilenet_config import MobilenetConfig

layers = tf.keras.layers

POOLED = "quantized_relu(8,0)"
"""Quantizer of the averages before the classifier."""


def _precise(config: MobilenetConfig) -> str:
    """Name the quantizer of precise weights: fixed steps of one below 1."""
    return f"quantized_bits({config.precise_bits},0,alpha=1)"


def _others(config: MobilenetConfig) -> list[Any]:
    """List the quantizers of the stem, of each depthwise layer and of the classifier."""
    if config.banks == "pointwise":
        return [_precise(config)] * (len(config.pairs) + 2)
    stem, *rest, _, classes = config.counts
    banks = [HybridBank(precise, config.precise_bits, depthwise=True) for precise in (stem, *rest)]
    return [HybridBank(stem, config.precise_bits), *banks, HybridBank(classes, config.precise_bits)]


def _norm_act(x: Any, config: MobilenetConfig, name: str) -> Any:
    """Chain batch norm and unsigned activation, which start as the torch layers' do."""
    return QActivation(f"quantized_relu({config.bits},0)", name=name)(batch_norm(f"{name}_norm", 0.3, 0.4)(x))


def bank(x: Any, filters: int, precise: int, config: MobilenetConfig, name: str) -> Any:
    """Write a pointwise layer whose first `precise` filters have `config.precise_bits`, and whose others are ternary.

    Two convolutions of the same input and their concatenation; one where all filters are of a kind.
    """
    kinds = [(precise, _precise(config), "precise"), (filters - precise, TERNARY, "ternary")]
    parts = [
        QConv2D(count, 1, use_bias=False, kernel_quantizer=weights, name=f"{name}_{kind}")(x)
        for count, weights, kind in kinds
        if count
    ]
    return layers.Concatenate(name=f"{name}_bank")(parts) if len(parts) > 1 else parts[0]


def mobilenet(config: MobilenetConfig) -> Any:
    """Build a MobileNet: 3x3 stem, blocks of a depthwise 3x3 and a hybrid pointwise layer, average pooling, classifier.

    Input (N, H, W, C): pixels p/256; output (N, classes): logits. `config.input_shape` is (C, H, W). With `config.banks`
    "all" stem, depthwise layers and classifier have quantizers of two kinds of filters, of which the first are precise.
    Source: MobileNet (arXiv 1704.04861), hybrid banks (arXiv 1911.01028).
    """
    channels, *size = config.input_shape
    image = layers.Input((*size, channels), name="image")
    x = layers.ZeroPadding2D(1, name="stem_pad")(QActivation(PIXELS, name="pixels")(image))
    stem, *depthwise, classifier = _others(config)
    options = {"strides": config.strides[0], "use_bias": False, "kernel_quantizer": stem}
    x = _norm_act(QConv2D(config.channels[0], 3, name="stem_conv", **options)(x), config, "stem")
    pointwise = config.counts if config.banks == "pointwise" else config.counts[1:-1]
    for index, ((_, filters), quantizer, precise, stride) in enumerate(
        zip(config.pairs, depthwise, pointwise, config.strides[1:], strict=True)
    ):
        name = f"block{index}"
        x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
        options = {"strides": stride, "use_bias": False, "depthwise_quantizer": quantizer}
        x = _norm_act(QDepthwiseConv2D(3, name=f"{name}_depthwise", **options)(x), config, f"{name}_act")
        x = _norm_act(bank(x, filters, precise, config, f"{name}_pointwise"), config, name)
    x = QActivation(POOLED, name="pooled")(layers.GlobalAveragePooling2D(name="pool")(x))
    x = QDense(config.classes, use_bias=False, kernel_quantizer=classifier, name="logits")(x)
    return tf.keras.Model(image, x, name="mobilenet")
