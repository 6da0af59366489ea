"""Keras 2 networks built from QKeras' layers and Muxflow's: MOGNET, its blocks, and a plain residual network.

Needs tf_keras as `tf.keras` and, where Keras 3 is installed too, `sys.modules["keras"] = tf_keras` before QKeras is
imported (as `keras_train` does). Channels last; pixels come in as p/256.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from qkeras import QActivation, QConv2D, QDense

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.qonnx.ops import Select
from muxflow.frontend.training.keras.mognet import CellularAutomatonConv2D, MuxJoin, OrJoin

layers = tf.keras.layers

PIXELS = "quantized_relu(8,0)"
"""Quantizer of 8-bit pixels p given as p/256: code p, exact."""
TERNARY = "ternary(alpha='auto_po2')"
"""Ternary weights with one power of two for each output channel."""


class DenselyGroupedConv2D(QConv2D):  # type: ignore[misc]
    """A QConv2D that computes its groups by one dense kernel with zeros outside the blocks: for training on a CPU.

    TensorFlow has no gradient of a grouped convolution there. Same weights, same numbers as QConv2D; without bias.
    Train with it, then give the weights to the same network made of QConv2D (`set_weights`).
    """

    def call(self, inputs: Any) -> Any:
        """Convolve with the quantized kernel, written out densely."""
        kernel = self.kernel_quantizer_internal(self.kernel)
        rows = np.arange(int(inputs.shape[-1])) // (int(inputs.shape[-1]) // self.groups)
        columns = np.arange(self.filters) // (self.filters // self.groups)
        blocks = tf.constant(rows[:, None] == columns, kernel.dtype)
        dense = tf.tile(kernel, (1, 1, self.groups, 1)) * blocks
        return tf.nn.conv2d(inputs, dense, self.strides, self.padding.upper(), dilations=self.dilation_rate)


def batch_norm(name: str, deviation: float = 1.0, mean: float = 0.0) -> Any:
    """Make a batch norm that starts at a standard deviation and a mean; moving averages over ten steps, as torch's."""
    constant = tf.keras.initializers.Constant
    return layers.BatchNormalization(
        momentum=0.9, gamma_initializer=constant(deviation), beta_initializer=constant(mean), name=name
    )


def conv_bn_act(x: Any, conv: Any, bits: int, name: str) -> Any:
    """Chain `conv`, batch norm, unsigned `bits`-bit activation named `name`.

    Batch norm starts at standard deviation 0.3 and mean 0.4, as the torch layers' does (decision).
    """
    return QActivation(f"quantized_relu({bits},0)", name=name)(batch_norm(f"{name}_norm", 0.3, 0.4)(conv(x)))


def quant_conv(
    filters: int, kernel: int, name: str, *, weights: str = TERNARY, groups: int = 1, layer: Any = QConv2D
) -> Any:
    """Make a QConv2D (or another `layer` with its arguments) without bias, stride 1, same padding."""
    return layer(filters, kernel, padding="same", groups=groups, use_bias=False, kernel_quantizer=weights, name=name)


def cflog(
    x: Any,
    filters: int,
    latent: int,
    groups: int,
    *,
    name: str,
    bits: int = 3,
    weights: str = TERNARY,
    automaton: Mapping[str, Any] | None = None,
    layer: Any = QConv2D,
) -> Any:
    """Chain a factorised convolution with generated weights: 1x1 -> 3x3 in groups -> 1x1 by cellular automaton.

    `x`: codes (N, H, W, C); returns codes (N, H, W, filters); `latent` channels inside. Batch norm and a `bits`-bit
    activation follow each of the three. `automaton`: further options of `CellularAutomatonConv2D`; `layer`: what the
    grouped convolution is made of.
    Raises MuxflowError when `groups` does not divide `latent`, or an option is out of range.
    Source: MOGNET (arXiv 2501.09531); 3x3, padding and activations after each are decisions.
    """
    if latent % groups:
        raise MuxflowError(f"{name}: {groups} groups do not divide {latent} latent channels")
    x = conv_bn_act(x, quant_conv(latent, 1, f"{name}_expand_conv", weights=weights), bits, f"{name}_expand")
    mix = quant_conv(latent, 3, f"{name}_mix_conv", weights=weights, groups=groups, layer=layer)
    x = conv_bn_act(x, mix, bits, f"{name}_mix")
    generated = CellularAutomatonConv2D(filters, name=f"{name}_project_conv", **(automaton or {}))
    return conv_bn_act(x, generated, bits, f"{name}_project")


def mognet(
    layer: Any = QConv2D,
    *,
    n: int = 24,
    groups: int = 8,
    bits: int = 3,
    select: Select | Literal["or"] = "channel",
    blocks: int = 2,
    classes: int = 10,
    input_shape: tuple[int, int, int] = (8, 8, 1),
    weights: str = TERNARY,
    automaton: Mapping[str, Any] | None = None,
) -> Any:
    """Build MOGNET: 3x3 stem, three stages of residual CFLOG blocks with 2x2 max pooling between, 1x1, BN, average pooling.

    `input_shape`: (H, W, C), H and W divisible by 4; pixels p/256 in, logits (N, classes) out. `select`: a mode of
    `MuxJoin`, or "or"; `layer`: what the grouped convolutions are made of (`DenselyGroupedConv2D` to train).
    Raises MuxflowError when a number does not fit, UnsupportedError on another select.
    Source: MOGNET (arXiv 2501.09531); the decisions are those of `zoo.MognetConfig`.
    """
    if any(size % 4 for size in input_shape[:2]):
        raise MuxflowError(f"mognet: input shape {input_shape}; give (H, W, C) with H and W divisible by 4")
    image = layers.Input(input_shape, name="image")
    x = QActivation(PIXELS, name="pixels")(image)
    x = conv_bn_act(x, quant_conv(n, 3, "stem_conv", weights=weights), bits, "stem")
    for stage, width in enumerate((n, 2 * n, 4 * n)):
        if stage:
            x = layers.MaxPooling2D(2, name=f"pool{stage}")(x)
        for block in range(blocks):
            name = f"block{stage}_{block}"
            f = cflog(x, width, width, groups, name=name, bits=bits, weights=weights, automaton=automaton, layer=layer)
            options: dict[str, Any] = {"bits": bits, "name": f"{name}_join"}
            x = (OrJoin(**options) if select == "or" else MuxJoin(select, **options))([x, f])
    x = quant_conv(classes, 1, "classifier", weights=weights)(x)
    x = batch_norm("classifier_norm")(x)
    return tf.keras.Model(image, layers.GlobalAveragePooling2D(name="logits")(x), name="mognet")


def residual_net(layer: Any = QConv2D, *, classes: int = 10, input_shape: tuple[int, int, int] = (8, 8, 1)) -> Any:
    """Build a small plain residual network of what QKeras users write, for 8x8 images; pixels p/256 in, logits out.

    It holds what other converters compute wrongly: quantizers right after a QConv2D, a grouped convolution between
    dense and depthwise (1 < groups < channels), and an average pool whose sum is no power of two. Source: decision.
    """
    relu, signed = "quantized_relu(4,1)", "quantized_bits(4,1,alpha=1)"

    def conv(filters: int, kernel: int, name: str, groups: int = 1) -> Any:
        return quant_conv(filters, kernel, name, weights="quantized_bits(3,0,alpha=1)", groups=groups, layer=layer)

    image = layers.Input(input_shape, name="image")
    x = QActivation(PIXELS, name="pixels")(image)
    x = QActivation(relu, name="stem")(batch_norm("stem_norm")(conv(16, 3, "stem_conv")(x)))
    for block in range(2):
        name = f"block{block}"
        y = QActivation(relu, name=f"{name}_a")(conv(16, 3, f"{name}_mix", groups=4)(x))
        y = QActivation(signed, name=f"{name}_b")(conv(16, 1, f"{name}_project")(y))
        y = batch_norm(f"{name}_norm")(y)
        y = QActivation(signed, name=f"{name}_c")(y)
        x = QActivation(relu, name=f"{name}_out")(layers.Add(name=f"{name}_sum")([x, y]))
    x = layers.AveragePooling2D(3, strides=2, name="pool")(x)
    x = layers.Flatten(name="flat")(QActivation(relu, name="pooled")(x))
    weights, bias = "quantized_bits(4,0,alpha=1)", "quantized_bits(6,1,alpha=1)"
    x = QDense(classes, kernel_quantizer=weights, bias_quantizer=bias, name="logits")(x)
    return tf.keras.Model(image, x, name="residual_net")


NETWORKS: Mapping[str, Callable[[Any], Any]] = {"mognet_digits_qkeras": mognet, "residual_digits_qkeras": residual_net}
"""What `muxflow train` builds, by name; for scikit-learn's digits."""
