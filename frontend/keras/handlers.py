"""Import of the quantizers of Keras models: step functions that are given by their jumps (see `keras.writer`)."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.op import IntArray
from muxflow.frontend.importer.elementwise import spread
from muxflow.frontend.importer.float_chain import Evaluator, Floats
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.maps import through_padding
from muxflow.frontend.importer.quantizers import ACTIVATION_BITS, Quantizer, activation
from muxflow.frontend.importer.values import Doubles, Image, Tensor, Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.keras.steps import LARGEST, UNEVEN
from muxflow.frontend.keras.writer import TENSORFLOW
from muxflow.frontend.model import DESCRIBE, MUXFLOW, Constant, ModelNode

SHARED_BITS = 8
"""Up to so many bits, channels of different types share one grid; beyond, each has its own (decision)."""


@dataclass(frozen=True, eq=False)
class StepQuantizer(Quantizer):
    """A quantizer that is given by its jumps, one row for each row of the stream.

    `thresholds`: (R, K); `codes`: (R, K + 1); `ends`: (R, 2), the first and last value at which it does not wrap around.
    """

    thresholds: Floats = field(kw_only=True)
    codes: IntArray = field(kw_only=True)
    ends: Doubles = field(kw_only=True)

    def levels(self, values: Floats, scale: Floats, zero_point: Floats) -> Floats:
        """Return the values of the level that each input reaches; `zero_point` is 0."""
        if len(self.codes) == 1:
            reached = self.codes[0][np.searchsorted(self.thresholds[0], values, side="right")]
        else:
            reached = np.empty(values.shape, np.int64)
            for column in range(values.shape[-1]):
                row = column % len(self.codes)
                steps = np.searchsorted(self.thresholds[row], values[..., column], side="right")
                reached[..., column] = self.codes[row][steps]
        return np.asarray(reached * scale.astype(np.float64), np.float32)

    def interval(self) -> tuple[int, int]:
        """Return the smallest and the largest code."""
        return int(self.codes.min()), int(self.codes.max())

    @property
    def remedy(self) -> str:
        """What to do where codes are far apart on their grid, as those of a power-of-two quantizer."""
        return UNEVEN if (np.diff(self.codes, axis=1) > 1).any() else ""

    @property
    def bits_needed(self) -> int:
        """Bits that its codes take, from the smallest to the largest."""
        lo, hi = self.interval()
        return (hi - lo).bit_length()

    def on_one_grid(self) -> StepQuantizer:
        """Return the same with one scale for all rows, that of the finest; itself where the scales are no multiples of it."""
        factors = self.scale / self.scale.min()
        if (factors != np.rint(factors)).any():
            return self
        codes = self.codes * factors.astype(np.int64)[:, None]
        return replace(self, scale=self.scale.min().reshape(1), codes=codes)


@handles("Unsupported", domains=(MUXFLOW,))
def unsupported(importer: Importer, node: ModelNode) -> Value:
    """Refuse a layer that the child could not describe."""
    raise UnsupportedError(str(node.attributes.get("message", "")))


@handles("Steps", domains=(MUXFLOW,))
@through_padding
def import_steps(importer: Importer, node: ModelNode) -> Value:
    """Import a table of steps: see `keras.writer`."""
    quantizer = _read(importer, node)
    value = importer.values[node.inputs[0]]
    if isinstance(value, Constant):  # padding, one value for each channel
        levels = quantizer.levels(value.value.reshape(-1), quantizer.scale, quantizer.zero_point)
        return Constant(levels.reshape(value.value.shape))
    at_input = isinstance(value, Image) and importer.given_grid(value) is None
    one_grid = quantizer.on_one_grid()
    if at_input or one_grid.bits_needed <= SHARED_BITS or one_grid.bits_needed == quantizer.bits_needed:
        quantizer = one_grid
    if quantizer.bits_needed > ACTIVATION_BITS:
        lo, hi = quantizer.interval()
        remedy = f": {quantizer.remedy}" if quantizer.remedy else ""
        raise UnsupportedError(
            f"a quantizer with codes from {lo} to {hi}; supported are {ACTIVATION_BITS} bits{remedy}"
        )
    if isinstance(value, Image) and at_input:
        opened = _open_input(importer, node, value, quantizer)
        if len(quantizer.codes) == 1:
            return opened
        importer.values[node.inputs[0]] = opened
        return import_steps(importer, node)
    tensor = importer.tensor(node, 0)
    if importer.model.computed_by == TENSORFLOW and any(step.op_type == "Mul" for step in tensor.steps):
        # A batch norm, which TensorFlow rounds in another order where oneDNN computes it: its near ties count.
        tensor = replace(tensor, exact=False)
    spread_out = _on_rows(importer, node, tensor, quantizer)
    _check_ends(importer, tensor, spread_out)
    return activation(importer, node, tensor, spread_out)


def _read(importer: Importer, node: ModelNode) -> StepQuantizer:
    thresholds, codes, scale, ends = (importer.constant(node, position) for position in range(1, 5))
    return StepQuantizer(scale, np.zeros(1, np.float32), thresholds=thresholds, codes=codes, ends=ends)


def _on_rows(importer: Importer, node: ModelNode, tensor: Tensor, quantizer: StepQuantizer) -> StepQuantizer:
    """Return the quantizer of each row of a tensor's stream, from one for each channel of the tensor."""
    count = len(quantizer.codes)
    if count == 1:
        return quantizer
    by_channel = (count, *(1,) * (tensor.index.ndim - 1))
    ids = spread(importer, tensor, np.arange(count).reshape(by_channel), node.label)
    if quantizer.scale.size > 1 and len(ids) > importer.streams[tensor.stream].channels:
        raise UnsupportedError(
            f"types that differ by more than {SHARED_BITS} bits within one channel of the map that was flattened; give "
            "the quantizer one type for all (heterogeneous_axis=())"
        )
    scale = quantizer.scale.reshape(by_channel) if quantizer.scale.size > 1 else quantizer.scale
    parts = {"thresholds": quantizer.thresholds[ids], "codes": quantizer.codes[ids], "ends": quantizer.ends[ids]}
    return replace(quantizer, scale=scale, rows=len(ids), **parts)


def _check_ends(importer: Importer, tensor: Tensor, quantizer: StepQuantizer) -> None:
    """Raise UnsupportedError when sums can reach values at which the quantizer wraps around."""
    if (np.abs(quantizer.ends) == LARGEST).all():
        return
    stream = importer.streams[tensor.stream]
    operands = [operand.size for step in tensor.steps for operand in step.operands if operand is not None]
    rows = max(tensor.scale.size, quantizer.rows, *operands, 1)
    sums = np.array([[stream.lo], [stream.hi]]) * np.tile(tensor.scale, rows // tensor.scale.size)
    reached = np.sort(Evaluator(tensor.steps, rows, importer.opset)(sums.astype(np.float32)), axis=0)
    low, high = np.tile(quantizer.ends, (rows // len(quantizer.ends), 1)).T
    outside = np.flatnonzero((reached[0] < low) | (reached[1] > high))
    if outside.size:
        row = int(outside[0])
        raise UnsupportedError(
            f"a quantizer that wraps around beyond {low[row]:g} and {high[row]:g} (overflow_mode='WRAP'), where values "
            f"from {reached[0, row]:g} to {reached[1, row]:g} can come in (row {row}); supported is wrapping that no "
            "input can cause, so use overflow_mode='SAT', or give it more integer bits (i0)"
        )


def _open_input(importer: Importer, node: ModelNode, image: Image, quantizer: StepQuantizer) -> Tensor:
    lo, hi = quantizer.interval()
    bipolar = (lo, hi) == (-1, 1) and quantizer.codes.shape == (1, 2)
    every = np.arange(lo, hi + 1, 2 if bipolar else 1)
    values = (every * quantizer.scale).astype(np.float32)
    again = quantizer.codes[0][np.searchsorted(quantizer.thresholds[0], values, side="right")]
    if len(quantizer.codes) == 1 and not np.array_equal(again, every):
        raise UnsupportedError(
            f"the input quantizer does not give back its own values (some of the codes from {lo} to "
            f"{hi} are missing or move), so the input is no plain integer; use quantized_bits or quantized_relu with "
            f"alpha=1 at the input (HGQ2: a fixed-point Quantizer with overflow_mode='SAT'), or {DESCRIBE}"
        )
    return importer.open_input(image, lo, hi, quantizer.scale.astype(np.float64), bipolar=bipolar)
