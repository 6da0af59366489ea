"""Keras 2 weight quantizer of hybrid filter banks, the twin of `muxflow.frontend.training.hybrid`.

No torch is needed. Importing this module makes Keras read files that hold it.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from qkeras.quantizers import BaseQuantizer

from muxflow.frontend.training.keras.layer import Gradient, registered
from muxflow.frontend.training.mobilenet_config import LEAST_SCALE, TERNARY_THRESHOLD, check_bank, check_filters

MANTISSA = 23
"""Bits of a float32 below its exponent."""


def _power_of_two(values: Any, up: bool) -> Any:
    """Round positive numbers to a power of two: the least that is not below (`up`), or the nearest as a ratio; exactly."""
    bits = tf.bitcast(tf.maximum(values, LEAST_SCALE), tf.int32)
    below = tf.bitwise.right_shift(bits, MANTISSA)
    rest = tf.bitcast(bits - tf.bitwise.left_shift(below - 127, MANTISSA), tf.float32)  # 1..2
    more = tf.cast(rest > 1 if up else rest >= 2**0.5, tf.int32)
    return tf.bitcast(tf.bitwise.left_shift(below + more, MANTISSA), tf.float32)


@registered
class HybridBank(BaseQuantizer):  # type: ignore[misc]
    """Weights of which the first `precise` filters are signed, narrow integers of `precise_bits`, and the others ternary.

    For `kernel_quantizer`, and with `depthwise` for `depthwise_quantizer`. The scale of each filter is a power of two. The
    gradient passes as it is. Raises MuxflowError when a number is out of range.
    Source: per-layer hybrid filter banks (arXiv 1911.01028); threshold and scales are decisions.
    """

    def __init__(self, precise: int, precise_bits: int = 8, depthwise: bool = False) -> None:
        super().__init__()
        check_bank(precise, precise_bits)
        self.precise, self.precise_bits, self.depthwise = precise, precise_bits, depthwise
        self.bits = precise_bits  # what QKeras' own constraint and initializer look at

    def __call__(self, w: Any) -> Any:
        """Quantize the weights `w`: filters on the last axis, of a depthwise kernel on the one before.

        Raises MuxflowError where there are fewer filters than precise ones.
        """
        check_filters(self.precise, int(w.shape[len(w.shape) - 1 - self.depthwise]))
        axes = [axis for axis in range(len(w.shape)) if axis != len(w.shape) - 1 - self.depthwise]
        sizes = tf.abs(w)
        kept = tf.cast(sizes > TERNARY_THRESHOLD * tf.reduce_mean(sizes, axes, keepdims=True), w.dtype)
        mean = tf.math.divide_no_nan(
            tf.reduce_sum(sizes * kept, axes, keepdims=True), tf.reduce_sum(kept, axes, keepdims=True)
        )
        fine = _power_of_two(tf.reduce_max(sizes, axes, keepdims=True) / self.max_code, up=True)
        values = tf.sign(w) * kept * _power_of_two(mean, up=False), tf.math.rint(w / fine) * fine
        place = tf.reshape(tf.range(tf.size(mean)), mean.shape)

        @tf.custom_gradient  # type: ignore[untyped-decorator]
        def quantized(x: Any) -> tuple[Any, Gradient]:
            return tf.where(place < self.precise, values[1], values[0]), lambda gradient: gradient

        return quantized(w)

    @property
    def max_code(self) -> int:
        """Give the largest code of a precise filter."""
        return int(2 ** (self.precise_bits - 1) - 1)

    def max(self) -> float:
        """Return what QKeras clips weights to where a layer asks for it."""
        return 1.0

    def min(self) -> float:
        """Return the same with a sign."""
        return -1.0

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        return {"precise": self.precise, "precise_bits": self.precise_bits, "depthwise": self.depthwise}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> HybridBank:
        """Build it from its arguments."""
        return cls(**config)
