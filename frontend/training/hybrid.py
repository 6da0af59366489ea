"""Hybrid filter banks: the first rows of a weight tensor have 4 to 8 bits, the others are ternary.

Which filters stay precise is chosen between two stages of training (`precise_counts`); they are moved to the front, so that
hardware has each kind in one piece and joins them without re-ordering. Scales are powers of two, one a filter, so every
partial sum is exact.
Source: per-layer hybrid filter banks (arXiv 1911.01028); threshold, scales and order are decisions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from brevitas.core.utils import StatelessBuffer
from brevitas.inject import ExtendedInjector
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.text import shown
from muxflow.frontend.training.mobilenet_config import PRECISE_BITS, TERNARY_BITS
from muxflow.frontend.training.quantizers import (
    BrevitasQuantOp,
    PrequantizedWeightHandler,
    PrequantizedWeightProxy,
    QONNXManager,
    QuantResult,
)
from muxflow.frontend.training.scales import is_whole

TERNARY_THRESHOLD = 0.7
"""Weights of at most this share of their filter's mean magnitude become 0 (ternary weight networks, arXiv 1605.04711)."""
LEAST_SCALE = 2.0**-20
"""Of a filter whose weights are all zero (decision)."""


class _StraightThrough(torch.autograd.Function):  # type: ignore[misc]
    """Quantized weights, exactly, with the gradient of the weights."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, quantized: Tensor) -> Tensor:
        return quantized.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient, None


def ternary_codes(rows: Tensor) -> Tensor:
    """Quantize filters, shape (rows, columns), to the sign where a weight is above 0.7 of its filter's mean, else to 0."""
    sizes = rows.abs()
    return torch.sign(rows) * (sizes > TERNARY_THRESHOLD * sizes.mean(dim=1, keepdim=True))


def _mean_kept(rows: Tensor, codes: Tensor) -> Tensor:
    """Return the best scale of ternary codes, the mean magnitude of what is not 0; shape (rows, 1)."""
    return (rows * codes).sum(dim=1, keepdim=True) / codes.abs().sum(dim=1, keepdim=True).clamp(min=1)


def _power_of_two(values: Tensor, up: bool) -> Tensor:
    """Round positive numbers to a power of two: the least that is not below (`up`), or the nearest as a ratio; exactly."""
    mantissa, exponent = torch.frexp(values.clamp(min=LEAST_SCALE))
    lower = mantissa == 0.5 if up else mantissa < 0.5**0.5
    return torch.ldexp(torch.ones_like(values), exponent - lower.int())


def ternary_form(weights: Tensor) -> Tensor:
    """Give the ternary weights that are nearest to each filter with the codes of `ternary_codes`; same shape."""
    rows = weights.detach().flatten(1)
    codes = ternary_codes(rows)
    return (codes * _mean_kept(rows, codes)).view_as(weights)


def ternarisation_errors(weights: Tensor) -> Tensor:
    """Measure what of each filter its best ternary form misses, as a share of its squared norm, 0..1; shape (rows,).

    Relative, because the batch norm that follows takes up a filter's size (decision).
    """
    rows = weights.detach().flatten(1)
    missed = (rows - ternary_form(rows)).square().sum(dim=1)
    return missed / rows.square().sum(dim=1).clamp(min=torch.finfo(rows.dtype).tiny)


class HybridTensorQuant(nn.Module):  # type: ignore[misc]
    """Weights whose first `precise` rows are signed, narrow integers of `precise_bits`, and whose other rows are ternary.

    Shape (rows, ...) in and out; the scale of each row is a power of two. The gradient passes as it is.
    """

    def __init__(self, precise: int, precise_bits: int) -> None:
        super().__init__()
        self.precise = precise
        self.top = 2 ** (precise_bits - 1) - 1
        self.precise_bits = precise_bits
        self.zero_point = StatelessBuffer(torch.tensor(0.0))

    def forward(self, x: Tensor) -> QuantResult:
        """Quantize the weights `x`; returns (value, scale, zero point, bit width).

        One scale a row, shape (rows, 1, ...); one bit width a row, or a single one where all rows have the same.
        """
        rows = x.detach().flatten(1)
        head, tail = rows[: self.precise], rows[self.precise :]
        codes = ternary_codes(tail)
        fine = _power_of_two(head.abs().amax(dim=1, keepdim=True) / self.top, up=True)
        coarse = _power_of_two(_mean_kept(tail, codes), up=False)
        values = torch.cat([torch.round(head / fine) * fine, codes * coarse]).view_as(x)
        shape = (-1, *(1,) * (x.dim() - 1))
        bits = torch.full((len(rows), 1), float(TERNARY_BITS))
        bits[: self.precise] = self.precise_bits
        bits = bits[0] if self.precise in (0, len(rows)) else bits.view(shape)
        return _StraightThrough.apply(x, values), torch.cat([fine, coarse]).view(shape), self.zero_point(), bits


class HybridWeightProxy(PrequantizedWeightProxy):
    """Weight proxy of its own type, so that its exporter takes one bit width a row."""


class HybridWeightHandler(PrequantizedWeightHandler):
    """QONNX export of hybrid banks: a `Quant` node of one bit width for each kind of rows, and `Concat`."""

    handled_layer = HybridWeightProxy

    def prepare_for_export(self, module: Any) -> None:
        """Collect the quantized weights and what `Quant` needs, of the precise rows and of the ternary ones."""
        (layer,) = module.tracked_module_list
        self.whole = layer.quant_weight()
        bank = module.tensor_quant
        kinds = ((slice(0, bank.precise), bank.precise_bits), (slice(bank.precise, None), TERNARY_BITS))
        self.parts = [
            (self.whole.value[rows].clone(), self.whole.scale[rows].clone(), torch.tensor(float(bits)))
            for rows, bits in kinds
            if len(self.whole.value[rows])
        ]

    def symbolic_execution(self, x: Tensor) -> QuantResult:
        """Emit the quantizers of the weights `x`, on their quantized values."""
        zero = self.whole.zero_point
        parts = [
            self.export_op(BrevitasQuantOp, value, scale, zero, bits, True, True, "ROUND")
            for value, scale, bits in self.parts
        ]
        value = parts[0] if len(parts) == 1 else torch.cat(parts)
        return value, self.whole.scale, zero, self.whole.bit_width


if HybridWeightHandler not in QONNXManager.handlers:
    QONNXManager.handlers.append(HybridWeightHandler)


class HybridWeight(ExtendedInjector):  # type: ignore[misc]
    """Weight quantizer of a hybrid bank; options: `precise` rows of `precise_bits`; export: `Quant`, signed, narrow."""

    proxy_class = HybridWeightProxy
    tensor_quant = HybridTensorQuant
    precise = 0
    precise_bits = 8
    signed = True
    narrow_range = True
    float_to_int_impl_type = "ROUND"


def hybrid_weight(precise: int, precise_bits: int = 8) -> Any:
    """Make the quantizer of a bank whose first `precise` filters have 4 to 8 bits, and whose others are ternary.

    Raises MuxflowError when a number is out of range.
    """
    if not is_whole(precise) or precise < 0 or not is_whole(precise_bits) or precise_bits not in PRECISE_BITS:
        raise MuxflowError(
            f"hybrid bank: {shown(precise)} filters of {shown(precise_bits)} bits; give a whole number from 0, and 4 to 8 bits"
        )
    return HybridWeight.let(precise=precise, precise_bits=precise_bits)


def precise_counts(scores: Sequence[Tensor], columns: Sequence[int], bits: int) -> tuple[int, ...]:
    """Choose the precise filters of several layers together: those of the highest scores, while `bits` pay for them.

    `scores`: of each layer's filters, shape (filters,); `columns`: what a filter of each layer takes more than a ternary
    one, in bits. Returns how many of each layer; equal scores in the order of layers and filters.
    """
    counts = [0] * len(scores)
    order = sorted(
        (-score, layer, index) for layer, some in enumerate(scores) for index, score in enumerate(some.tolist())
    )
    for _, layer, _ in order:
        if columns[layer] <= bits:
            bits -= columns[layer]
            counts[layer] += 1
    return tuple(counts)
