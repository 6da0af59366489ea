"""Hybrid filter banks: some rows of a weight tensor have 4 to 8 bits, the others are ternary.

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
from muxflow.frontend.training.mobilenet_config import (
    LEAST_SCALE,
    TERNARY_BITS,
    TERNARY_THRESHOLD,
    check_bank,
    check_filters,
)
from muxflow.frontend.training.quantizers import (
    BrevitasQuantOp,
    PrequantizedWeightHandler,
    PrequantizedWeightProxy,
    QONNXManager,
    QuantResult,
)
from muxflow.frontend.training.scales import MOST_SIZE, is_whole


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
    """Weights of which `precise` rows are signed, narrow integers of `precise_bits`, and the other rows ternary.

    Shape (rows, ...) in and out; the scale of each row is a power of two. The gradient passes as it is. The first rows are
    the precise ones; with `rows`, their number, those that come first in the buffer `order`, for a layer whose rows keep
    their places.
    """

    order: Tensor | None

    def __init__(self, precise: int, precise_bits: int, rows: int = 0) -> None:
        super().__init__()
        self.precise = precise
        self.top = 2 ** (precise_bits - 1) - 1
        self.precise_bits = precise_bits
        self.zero_point = StatelessBuffer(torch.tensor(0.0))
        self.register_buffer("order", torch.arange(rows) if rows else None)

    def kinds(self, rows: int) -> tuple[tuple[Tensor, int], tuple[Tensor, int]]:
        """List the precise rows with their bits, and the ternary ones with theirs; raises MuxflowError for other rows."""
        check_filters(self.precise, rows, 0 if self.order is None else len(self.order))
        order = torch.arange(rows) if self.order is None else self.order
        return (order[: self.precise], self.precise_bits), (order[self.precise :], TERNARY_BITS)

    def forward(self, x: Tensor) -> QuantResult:
        """Quantize the weights `x`; returns (value, scale, zero point, bit width).

        One scale a row, shape (rows, 1, ...); one bit width a row, or a single one where all rows have the same.
        """
        rows = x.detach().flatten(1)
        (fine, _), (coarse, _) = kinds = self.kinds(len(rows))
        codes, scale, bits = torch.empty_like(rows), rows.new_empty(len(rows), 1), rows.new_empty(len(rows), 1)
        scale[fine] = _power_of_two(rows[fine].abs().amax(dim=1, keepdim=True) / self.top, up=True)
        codes[fine] = torch.round(rows[fine] / scale[fine])
        codes[coarse] = ternary_codes(rows[coarse])
        scale[coarse] = _power_of_two(_mean_kept(rows[coarse], codes[coarse]), up=False)
        for chosen, width in kinds:
            bits[chosen] = width
        shape = (-1, *(1,) * (x.dim() - 1))
        bits = bits[0] if self.precise in (0, len(rows)) else bits.view(shape)
        return _StraightThrough.apply(x, (codes * scale).view_as(x)), scale.view(shape), self.zero_point(), bits


class HybridWeightProxy(PrequantizedWeightProxy):
    """Weight proxy of its own type, so that its exporter takes one bit width a row."""


class HybridWeightHandler(PrequantizedWeightHandler):
    """QONNX export of hybrid banks: a `Quant` node of one bit width for each kind of rows, `Concat`, and `Gather` to order."""

    handled_layer = HybridWeightProxy

    def prepare_for_export(self, module: Any) -> None:
        """Collect the quantized weights and what `Quant` needs, of the precise rows and of the ternary ones."""
        (layer,) = module.tracked_module_list
        self.whole = layer.quant_weight()
        bank = module.tensor_quant
        self.places = None if bank.order is None else torch.argsort(bank.order)
        self.parts = [
            (self.whole.value[rows].clone(), self.whole.scale[rows].clone(), torch.tensor(float(bits)))
            for rows, bits in bank.kinds(len(self.whole.value))
            if len(rows)
        ]

    def symbolic_execution(self, x: Tensor) -> QuantResult:
        """Emit the quantizers of the weights `x`, on their quantized values."""
        zero = self.whole.zero_point
        parts = [
            self.export_op(BrevitasQuantOp, value, scale, zero, bits, True, True, "ROUND")
            for value, scale, bits in self.parts
        ]
        value = parts[0] if len(parts) == 1 else torch.cat(parts)
        if self.places is not None:
            value = torch.index_select(value, 0, self.places)
        return value, self.whole.scale, zero, self.whole.bit_width


if HybridWeightHandler not in QONNXManager.handlers:
    QONNXManager.handlers.append(HybridWeightHandler)


class HybridWeight(ExtendedInjector):  # type: ignore[misc]
    """Weight quantizer of a hybrid bank; options: see `HybridTensorQuant`; export: `Quant`, signed, narrow."""

    proxy_class = HybridWeightProxy
    tensor_quant = HybridTensorQuant
    precise = 0
    precise_bits = 8
    rows = 0
    signed = True
    narrow_range = True
    float_to_int_impl_type = "ROUND"


def hybrid_weight(precise: int, precise_bits: int = 8, rows: int = 0) -> Any:
    """Make the quantizer of a bank of which `precise` filters have 4 to 8 bits, and the others are ternary.

    `rows`: 0 where the first filters are the precise ones, see `HybridTensorQuant`. Raises MuxflowError when a number is out
    of range; the quantizer does where its layer has not as many filters.
    """
    check_bank(precise, precise_bits)
    if not is_whole(rows) or not 0 <= rows <= MOST_SIZE:
        raise MuxflowError(f"hybrid bank: rows = {shown(rows)}; give a whole number from 0 to {MOST_SIZE:,}")
    return HybridWeight.let(precise=precise, precise_bits=precise_bits, rows=rows)


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
