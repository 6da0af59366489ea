"""Keras 2 layers of ERN, channels last: thermometer encoding and the half-wave activation.

Twins of `muxflow.frontend.training.thermometer` and `quantizers.half_wave_activation` with the same integers; no torch
is needed. Binary weights are QKeras' own: `binary(alpha='auto')` is sign(W) * mean|W| of each output channel,
`binary(alpha=0.03125)` is sign(W) / 32. Importing this module makes Keras read files that hold these layers.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from muxflow.dataflow.ops.thermometer_encode import ThermometerEncode
from muxflow.frontend.training.keras.layer import floor, registered
from muxflow.frontend.training.scales import PIXEL_SCALE, half_wave_step


@registered
class ThermometerEncoder(tf.keras.layers.Layer):  # type: ignore[misc]
    """Encode 8-bit pixels p/256 as `codes` codes of `bits` bits each, times `scale`; no gradient passes.

    Input (..., C), output (..., codes * C): channel `c * codes + i` holds code i of channel c, see
    `dataflow.ops.thermometer_encode`. Raises GraphError when a number is out of range.
    Source: ERN (arXiv 2410.11553), 10 codes of 2 bits; scale and order of channels are decisions.
    """

    def __init__(self, codes: int = 10, bits: int = 2, scale: float = 0.5, **options: Any) -> None:
        super().__init__(**options)
        self.op = ThermometerEncode(codes, bits)
        self.scale = scale

    def call(self, inputs: Any) -> Any:
        """Encode the pixels."""
        op = self.op
        pixels = tf.math.rint(tf.stop_gradient(inputs) / PIXEL_SCALE)[..., None]
        offsets = tf.constant([op.step * (op.codes - 1 - i) for i in range(op.codes)], inputs.dtype)
        codes = tf.clip_by_value(tf.math.floor((pixels + offsets) / (op.step * op.codes)), 0, op.top)
        shape = tf.concat([tf.shape(inputs)[:-1], [inputs.shape[-1] * op.codes]], 0)
        return tf.ensure_shape(tf.reshape(codes * self.scale, shape), self.compute_output_shape(inputs.shape))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return (..., codes * C)."""
        return (*input_shape[:-1], input_shape[-1] * self.op.codes)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        return {**super().get_config(), "codes": self.op.codes, "bits": self.op.bits, "scale": self.scale}


@registered
class HalfWave(tf.keras.layers.Layer):  # type: ignore[misc]
    """Half-wave activation: `clip(floor(x / step + 1/2), 0, 2^k - 1)` steps, any shape in, same shape out.

    `bits`: k, 1..4; `scale`: `power_of_two` makes the step 2/2^k (decision), `unit` 2/(2^k - 1), as published. The
    straight-through estimator passes the gradient wherever the code was not clipped.
    Raises MuxflowError when k or the scale is not supported. Source: ERN (arXiv 2410.11553).
    """

    def __init__(self, bits: int = 2, scale: Any = "power_of_two", **options: Any) -> None:
        super().__init__(**options)
        self.step = half_wave_step(bits, scale)
        self.bits, self.scale = bits, scale

    def call(self, inputs: Any) -> Any:
        """Quantize."""
        return tf.clip_by_value(floor(inputs / self.step + 0.5), 0, 2**self.bits - 1) * self.step

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        return {**super().get_config(), "bits": self.bits, "scale": self.scale}
