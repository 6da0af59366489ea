"""HGQ2's quantizers as step functions; runs in the process that holds Keras 3."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
from hgq.quantizer.internal.fixed_point_quantizer import FixedPointQuantizerBase
from keras import ops

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.op import IntArray
from muxflow.frontend.importer.float_chain import Floats
from muxflow.frontend.keras.kernel import Array
from muxflow.frontend.keras.steps import FINEST, Steps, find_period, find_steps

REACH = 20
"""Exponent of two up to which quantizers that saturate are evaluated, at the least."""


KNOWN: dict[tuple[Any, ...], Steps] = {}
"""What `steps_of` found, by all that it depends on; the same few types come again in every layer."""


def unchanged(x: Any) -> Any:
    """Return the input: no function stands before the quantizer."""
    return x


class _OneType:
    """A stand-in for a quantizer's bit-width mapper: the type of one place for every input."""

    def __init__(self, place: int) -> None:
        self.place = place

    def bw_to_x(self, widths: Any, shape: Any) -> Any:
        """Return the width at the place, for all elements."""
        return ops.broadcast_to(ops.reshape(widths, (-1,))[self.place], shape)


@contextmanager
def _one_type(quantizer: Any, place: int) -> Iterator[None]:
    mapper = quantizer.bw_mapper
    quantizer.bw_mapper = _OneType(place)
    try:
        yield
    finally:
        quantizer.bw_mapper = mapper


def is_quantizing(quantizer: Any) -> bool:
    """Tell whether it does anything at all: HGQ2's dummy quantizers do not."""
    return not quantizer.quantizer.__dummy__


def types_of(quantizer: Any, what: str) -> IntArray:
    """Return (sign, integer bits, fractional bits) of a quantizer, shape (1 or channels, 3).

    Raises UnsupportedError naming `what` for a floating-point quantizer, and for types that differ from pixel to pixel.
    """
    internal = quantizer.quantizer
    if not isinstance(internal, FixedPointQuantizerBase):
        raise UnsupportedError(f"its {what} is of type {quantizer.q_type}; supported are fixed-point ones, kbi and kif")
    widths = np.stack(np.broadcast_arrays(*map(ops.convert_to_numpy, internal.kif)), axis=-1).astype(np.int64)
    rows: IntArray = widths.reshape(-1, *widths.shape[-2:])
    if (rows != rows[0]).any():
        raise UnsupportedError(
            f"its {what} has bit widths that differ from pixel to pixel, so no stream of pixels can carry them; give it "
            "one type a channel (QuantizerConfig(..., homogeneous_axis=None, heterogeneous_axis=(-1,))) or one for all "
            "(heterogeneous_axis=()), and train on"
        )
    channels: IntArray = rows[0]
    return channels[:1] if (channels == channels[0]).all() else channels


def steps_of(quantizer: Any, what: str, before: Callable[[Any], Any] = unchanged) -> list[Steps]:
    """Find every jump of a quantizer after an elementwise function, in one row or one for each channel.

    Raises UnsupportedError as `types_of`, and where the two together are no step function.
    """
    internal = quantizer.quantizer
    settings = (internal.round_mode, internal.overflow_mode, quantizer.scaler, repr(quantizer.affine))
    found = KNOWN if before is unchanged else {}
    rows = [(*settings, *one) for one in types_of(quantizer, what).tolist()]
    for place, row in enumerate(rows):
        if row not in found:
            try:
                with _one_type(internal, place):
                    found[row] = _steps(quantizer, row[-2], before)
            except UnsupportedError as error:
                raise UnsupportedError(f"its {what} {internal}: {error}") from error
    return [found[row] for row in rows]


def _steps(quantizer: Any, integer_bits: int, before: Callable[[Any], Any]) -> Steps:
    def function(values: Floats) -> Floats:
        x = before(ops.convert_to_tensor(values))
        result: Floats = ops.convert_to_numpy(quantizer.call(x, training=False))
        return result

    scaler = int(np.ceil(np.log2(abs(quantizer.scaler)))) if quantizer.scaler else 0
    if quantizer.quantizer.overflow_mode.startswith("WRAP"):
        return find_period(function, max(integer_bits + scaler + 1, FINEST))
    return find_steps(function, max(integer_bits + scaler + 1, REACH))


def steps_of_values(quantizer: Any, shape: tuple[int, ...]) -> Array | None:
    """Return what each of a quantizer's values of a shape is a whole multiple of; None where it does not say."""
    internal = quantizer.quantizer
    if not isinstance(internal, FixedPointQuantizerBase) or quantizer.affine:
        return None
    finest: Array = np.asarray(ops.convert_to_numpy(quantizer.epsilon_(shape)), np.float64)
    return finest * float(abs(quantizer.scaler or 1.0))


def numbers(tensor: Any) -> Floats:
    """Return a weight, or what a quantizer makes of one, as an array."""
    values: Floats = np.asarray(keras.ops.convert_to_numpy(tensor), np.float32)
    return values
