"""Keras 2 layers of MOGNET and its kin: generated weights and gated residual joins, channels last.

Twins of `muxflow.frontend.training.layers` with the same integer semantics; no torch is needed. Importing this module makes
Keras read files that hold these layers. Activations between layers are unsigned k-bit codes times one common scale,
as `quantized_relu(bits, 0)` of QKeras gives them: scale 2^-bits.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from muxflow.dataflow.automaton import Alphabet, Automaton, layer_automaton, weight_scale
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.ops.mux_join import Mix
from muxflow.dataflow.quantities import counted
from muxflow.frontend.qonnx.ops import Select, check_mix, check_select
from muxflow.frontend.training.keras.layer import PACKAGE, Gradient, ceiling, floor, registered, rounded

LARGEST_BITS = 8


def _step(margin: Any, width: float) -> Any:
    """Compute 1{margin >= 0} with the gradient of a ramp of width `width` centred on 0."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def step(u: Any) -> tuple[Any, Gradient]:
        inside = tf.cast(tf.abs(u) <= width / 2, u.dtype)
        return tf.cast(u >= 0, u.dtype), lambda gradient: gradient * inside / width

    return step(margin)


def _or(x: Any, f: Any, top: int) -> Any:
    """Compute the bitwise OR of codes 0..top; gradient of `x + f - x f` on codes over top."""

    @tf.custom_gradient  # type: ignore[untyped-decorator]
    def join(a: Any, b: Any) -> tuple[Any, Gradient]:
        joined = tf.bitwise.bitwise_or(tf.cast(a, tf.int32), tf.cast(b, tf.int32))

        def gradients(gradient: Any) -> tuple[Any, Any]:
            return gradient * (1 - b / top), gradient * (1 - a / top)

        return tf.cast(joined, a.dtype), gradients

    return join(x, f)


@registered
class CellularAutomatonConv2D(tf.keras.layers.Layer):  # type: ignore[misc]
    """1x1 convolution, no bias, whose weights a cellular automaton generates: never trained, never stored.

    Input (N, H, W, channels), output (N, H, W, filters). Column o of the kernel is automaton step o, times a power of
    two near 1/sqrt(channels). `ring=None` takes the cells that one row reads; rings under 24 cells warn. The layer has
    no weights, so a saved file holds none.
    Raises MuxflowError when the automaton's fields are out of range or the ring is too short.
    Source: MOGNET (arXiv 2501.09531), CFLOG; automaton, ring, seed and scale are decisions.
    """

    def __init__(
        self,
        filters: int,
        *,
        rule: int = 30,
        ring: int | None = None,
        seed: int = 0,
        burn_in: int | None = None,
        alphabet: Alphabet = "binary",
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.filters = filters
        self.rule, self.ring, self.seed, self.burn_in, self.alphabet = rule, ring, seed, burn_in, alphabet
        self.automaton: Automaton | None = None

    def build(self, input_shape: Any) -> None:
        """Generate the kernel, shape (1, 1, channels, filters)."""
        columns = int(input_shape[-1])
        self.automaton = layer_automaton(
            columns, rule=self.rule, ring=self.ring, seed=self.seed, burn_in=self.burn_in, alphabet=self.alphabet
        )
        self.columns, self.scale = columns, weight_scale(columns)
        # A plain array: a tensor made here would belong to whatever graph Keras builds the layer in.
        matrix = self.automaton.weights(self.filters, columns)
        self.generated = (self.scale * matrix.T).astype(np.float32)[None, None]
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Convolve with the generated weights."""
        return tf.nn.conv2d(inputs, tf.constant(self.generated), strides=1, padding="VALID")

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """Return (N, H, W, filters)."""
        return (*input_shape[:-1], self.filters)

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        names = ("filters", "rule", "ring", "seed", "burn_in", "alphabet")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class _Join(tf.keras.layers.Layer):  # type: ignore[misc]
    """A residual join of codes: inputs [x, f], (N, H, W, C); the first min(C_x, C_f) channels join, the others pass f."""

    def __init__(self, *, bits: int = 3, scale: float | None = None, **options: Any) -> None:
        super().__init__(**options)
        if not 1 <= bits <= LARGEST_BITS:
            raise MuxflowError(f"{self.name}: {bits} bits; supported: 1 to {LARGEST_BITS}")
        self.bits, self.scale = bits, 2.0**-bits if scale is None else scale

    def build(self, input_shape: Any) -> None:
        """Check the two shapes."""
        if len(input_shape) != 2:
            raise MuxflowError(f"{self.name}: {counted(len(input_shape), 'input')}; give two, [x, f]")
        x, f = (tuple(shape) for shape in input_shape)
        if len(x) != 4 or len(f) != 4 or x[1:3] != f[1:3]:
            raise MuxflowError(
                f"{self.name}: inputs of shape {x} and {f}; both must be (N, H, W, C) with equal H and W, so keep the "
                "stride at 1 inside a residual body and pool between blocks"
            )
        self.channels = int(min(x[3], f[3]))
        self.pixels = int(x[1] * x[2]) if x[1] and x[2] else None
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Join the codes."""
        x, f = (rounded(value / self.scale) for value in inputs)
        joined = self.join(x[..., : self.channels], f[..., : self.channels])
        return tf.concat([joined, f[..., self.channels :]], axis=-1) * self.scale

    def join(self, x: Any, f: Any) -> Any:
        """Join codes of equal shape."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Return the shape of f."""
        return input_shape[1]

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        return {**super().get_config(), "bits": self.bits, "scale": self.scale}


@registered
class MuxJoin(_Join):
    """MUX residual join on codes: `y = S ? (x + f) >> 1 : f`, with one select bit S per channel or element.

    `mix`: "mean", or "or" for `S ? x | f : f`.
    Called on [x, f]: unsigned `bits`-bit codes times `scale` (None: 2^-bits). `select`: channel, S_c = 1{max over
    H x W of x_c >= ceil(t_c)}; channel-mean, S_c = 1{sum over H x W of x_c >= ceil(t_c H W)}; element,
    S = 1{x >= ceil(t_c)}; always, S = 1. The weight `threshold` is trained through straight-through estimators; it is
    t times `scale`, an activation's value, so that it moves as fast as the activations do (torch's twin trains t
    itself, at a rate of its own). `integer_thresholds` are the effective ones.
    Raises UnsupportedError on another select or mix, MuxflowError on bits or shapes that do not fit.
    Source: MOGNET (arXiv 2501.09531), MUX residual block; BILLNET (arXiv 2501.14495), "or"; operands, select and thresholds
    are decisions.
    """

    def __init__(self, select: Select = "channel", mix: Mix = "mean", **options: Any) -> None:
        super().__init__(**options)
        check_select(select)
        check_mix(mix)
        self.select, self.mix = select, mix
        self.threshold: Any = None

    def build(self, input_shape: Any) -> None:
        """Make the thresholds, (channels,), starting at the middle of the codes (channel-mean: at a quarter)."""
        super().build(input_shape)
        if self.select == "channel-mean" and self.pixels is None:
            raise UnsupportedError(f"{self.name}: select channel-mean needs maps of fixed height and width")
        if self.select != "always":
            start = self.scale * (2**self.bits - 1) / (4 if self.select == "channel-mean" else 2)
            self.threshold = self.add_weight(
                name="threshold", shape=(self.channels,), initializer=tf.keras.initializers.Constant(start)
            )

    def _limits(self) -> Any:
        pixels = self.pixels if self.select == "channel-mean" else 1
        return ceiling(self.threshold / self.scale * float(pixels or 1))

    def integer_thresholds(self) -> list[int]:
        """Return the integers that hardware compares with, one per residual channel; empty for always."""
        return [] if self.threshold is None else [int(limit) for limit in self._limits().numpy()]

    def join(self, x: Any, f: Any) -> Any:
        """Compute `S ? (x + f) >> 1 : f`, or `S ? x | f : f`."""
        mixed = floor((x + f) / 2) if self.mix == "mean" else _or(x, f, 2**self.bits - 1)
        if self.threshold is None:
            return mixed
        if self.select == "element":
            margin = x - self._limits()
        elif self.select == "channel":
            margin = tf.reduce_max(x, (1, 2), keepdims=True) - self._limits()
        else:
            margin = (tf.reduce_sum(x, (1, 2), keepdims=True) - self._limits()) / float(self.pixels or 1)
        gate = _step(margin, 2.0**self.bits)
        return gate * mixed + (1 - gate) * f

    def get_config(self) -> dict[str, Any]:
        """Return all arguments."""
        return {**super().get_config(), "select": self.select, "mix": self.mix}


tf.keras.utils.get_custom_objects()[f"{PACKAGE}>MuxShift"] = MuxJoin  # its name in older files


@registered
class OrJoin(_Join):
    """OR residual join: bitwise OR of the codes of [x, f]; channels beyond the smaller count pass f.

    Unsigned `bits`-bit codes times `scale` (None: 2^-bits). Raises MuxflowError on bits or shapes that do not fit.
    Source: HEQ (arXiv 2501.04517); k-bit form and gradient: decisions.
    """

    def join(self, x: Any, f: Any) -> Any:
        """Compute the bitwise OR."""
        return _or(x, f, 2**self.bits - 1)
