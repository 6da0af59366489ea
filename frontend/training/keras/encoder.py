"""Keras 2 layers of the 1 Mb encoder, channels last: HEQ weights, bit-shift norm, most-significant-bits activation.

Twins of `muxflow.frontend.training.bit_shift_norm` and of `quantizers.heq_weight` and `quantizers.hwmsb_activation`, with
the same integers; no torch is needed. Importing this module makes Keras read files that hold them.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import tensorflow as tf
from qkeras.quantizers import BaseQuantizer

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.keras.layer import Gradient, floor, registered, rounded
from muxflow.frontend.training.scales import BIASES, MOST_SHIFT, BiasPer, activation_scale, heq_bits, heq_scale


def quantile(values: Any, share: float) -> Any:
    """Find the quantile of a tensor of fixed size, linear between neighbours."""
    ordered = tf.sort(tf.reshape(values, [-1]))
    place = share * (ordered.shape[0] - 1)
    below = math.floor(place)
    above = min(below + 1, ordered.shape[0] - 1)
    return (below + 1 - place) * ordered[below] + (place - below) * ordered[above]


@registered
class HEQ(BaseQuantizer):  # type: ignore[misc]
    """Weights of `levels` equally populated levels, for `kernel_quantizer`: `scale * clip(round(w / s), ±(n-1)/2)`.

    `levels`: n, odd, 3 or more; `scale_mode`: as in `scales.heq_scale`. The step s fits the n-quantiles of the weights at
    each call, where torch's twin keeps a moving average; at inference the weights stay, and so does s.
    Raises MuxflowError when n is not odd or the scale is unknown. Source: HEQ (arXiv 2501.04517), least squares: a decision.
    """

    def __init__(self, levels: int = 3, scale_mode: Any = "power_of_two") -> None:
        super().__init__()
        self.scale = heq_scale(levels, scale_mode)
        self.bits = heq_bits(levels)  # what QKeras' own constraint and initializer look at
        self.levels, self.scale_mode = levels, scale_mode

    def __call__(self, w: Any) -> Any:
        """Quantize the weights `w`."""
        places = [i - (self.levels - 2) / 2 for i in range(self.levels - 1)]
        ends = [quantile(w, (i + 1) / self.levels) for i in range(self.levels - 1)]
        weighted = tf.add_n([place * end for place, end in zip(places, ends, strict=True)])
        step = tf.stop_gradient(weighted) / sum(place**2 for place in places)
        half = (self.levels - 1) // 2

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def quantized(x: Any) -> tuple[Any, Gradient]:
            codes = tf.clip_by_value(tf.math.rint(x / step), -half, half)
            return codes * self.scale, lambda gradient: gradient * self.scale / step

        return quantized(w)

    def max(self) -> float:
        """Return the largest value."""
        return self.scale * ((self.levels - 1) // 2)

    def min(self) -> float:
        """Return the smallest value."""
        return -self.max()

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        return {"levels": self.levels, "scale_mode": self.scale_mode}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HEQ:
        """Build it from its arguments."""
        return cls(**config)


@registered
class MostSignificantBits(tf.keras.layers.Layer):  # type: ignore[misc]
    """Half-wave, most-significant-bits activation: `clip(floor(x / step), 0, 2^k - 1)` steps, any shape in, same shape out.

    `bits`: k, 1..4; `scale`: `power_of_two` makes the step 2^-k (decision), `unit` 1/(2^k - 1), as published. The
    straight-through estimator passes the gradient wherever the code was not clipped.
    Raises MuxflowError when k or the scale is not supported. Source: 1 Mb encoder (arXiv 2501.05097).
    """

    def __init__(self, bits: int = 2, scale: Any = "power_of_two", **options: Any) -> None:
        super().__init__(**options)
        self.step = activation_scale(bits, scale)
        self.bits, self.scale = bits, scale

    def call(self, inputs: Any) -> Any:
        """Quantize."""
        return tf.clip_by_value(floor(inputs / self.step), 0, 2**self.bits - 1) * self.step

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        return {**super().get_config(), "bits": self.bits, "scale": self.scale}


@registered
class BitShiftNormalization(tf.keras.layers.Layer):  # type: ignore[misc]
    """Add an integer bias to integer sums and shift them right, one shift for all channels: `(sum + bias_c) / 2^p` steps.

    Input (..., C): integer sums times `unit`; output: quotients times `step`, not yet rounded down. `gamma`, `beta`,
    `moving_mean`, `moving_variance` and the rule for shift and bias are those of `bit_shift_norm.BitShiftNorm2d`; the shift
    is the weight `shift`. With `trainable` off it computes in training what it computes at inference.
    Raises MuxflowError when an option is out of range. Source: 1 Mb encoder (arXiv 2501.05097); the rule is a decision.
    """

    def __init__(
        self,
        unit: float,
        step: float,
        *,
        deviation: float = 0.3,
        mean: float = 0.4,
        bias_per: BiasPer = "channel",
        momentum: float = 0.9,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if not (unit > 0 and step > 0) or bias_per not in BIASES:
            raise MuxflowError(
                f"{self.name}: unit {unit}, step {step}, bias_per {bias_per!r}; give positive values of one code, and one of "
                f"{', '.join(BIASES)}"
            )
        self.unit, self.step, self.bias_per, self.momentum = unit, step, bias_per, momentum
        self.deviation, self.mean = deviation, mean

    def build(self, input_shape: Any) -> None:
        """Make gamma, beta and the statistics, (C,), and the shift, a number."""

        def weight(name: str, value: float, trainable: bool, shape: tuple[int, ...] = (int(input_shape[-1]),)) -> Any:
            start = tf.keras.initializers.Constant(value)
            return self.add_weight(name=name, shape=shape, initializer=start, trainable=trainable)

        self.gamma, self.beta = weight("gamma", self.deviation, True), weight("beta", self.mean, True)
        self.moving_mean = weight("moving_mean", 0.0, False)
        self.moving_variance = weight("moving_variance", 1.0, False)
        self.shift = weight("shift", 0.0, False, ())
        super().build(input_shape)

    def terms(self, mean: Any, shift: Any) -> tuple[Any, Any]:
        """Return what is added to each channel, or to all, and what is multiplied with, for means and a shift."""
        powers = tf.constant(
            [2.0**bits for bits in range(MOST_SHIFT + 1)]
        )  # powers that a processor may not give exactly
        power = tf.gather(powers, tf.cast(tf.stop_gradient(shift), tf.int32))
        power *= 1 + math.log(2) * (shift - tf.stop_gradient(shift))
        bias = power * self.beta / self.step - mean / self.unit
        bias = rounded(bias if self.bias_per == "channel" else tf.reduce_mean(bias, keepdims=True))
        return (bias + 0.5) * self.unit, (self.step / self.unit) / power

    def call(self, inputs: Any, training: Any = None) -> Any:
        """Normalise the sums."""
        if not (training and self.trainable):
            added, factor = self.terms(self.moving_mean, self.shift)
            return (inputs + added) * factor
        axes = list(range(len(inputs.shape) - 1))
        mean, variance = tf.nn.moments(inputs, axes)
        for moving, met in ((self.moving_mean, mean), (self.moving_variance, variance)):
            moving.assign(self.momentum * moving + (1 - self.momentum) * met)
        sigma = tf.sqrt(self.moving_variance + 1e-5 * self.unit**2) / self.unit
        spread = tf.math.log(sigma * self.step / tf.maximum(tf.abs(self.gamma), 1e-5)) / math.log(2)
        shift = tf.clip_by_value(rounded(quantile(spread, 0.5)), 0.0, float(MOST_SHIFT))
        self.shift.assign(shift)
        added, factor = self.terms(mean, shift)
        return (inputs + added) * factor

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        names = ("unit", "step", "deviation", "mean", "bias_per", "momentum")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def constants(layer: BitShiftNormalization) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return what a layer adds and multiplies with at inference; raises MuxflowError for a shift out of range."""
    shift = float(layer.shift.numpy())
    if shift not in range(MOST_SHIFT + 1):
        raise MuxflowError(f"{layer.name}: a shift by {shift:g} bits; supported are 0 to {MOST_SHIFT}")
    added, factor = layer.terms(layer.moving_mean, layer.shift)
    return np.asarray(added), np.asarray(factor)
