"""A quantised LSTM whose hidden state is binary: gates on few bits, an integer cell state, trained in stages."""

from __future__ import annotations

from typing import Any, Literal, get_args

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.function.ops_ste import ceil_ste, floor_ste, round_ste
from torch import Tensor, nn

from muxflow.dataflow.automaton import weight_scale
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.limits import check_elements
from muxflow.frontend.recurrent import CellArithmetic
from muxflow.frontend.training.joins import Step
from muxflow.frontend.training.quantizers import binary_weight, heq_weight
from muxflow.frontend.training.scales import activation_scale, check_sizes, heq_scale

Precision = Literal["float", "gates", "state"]
"""What is quantised: nothing; weights and gates; cell and hidden state too, as hardware has it."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)
LstmWeights = Literal["binary", "ternary"]
HALF_RAMP = 3.0
"""The hard sigmoid is 0 below -3, 1 above 3."""
FORGET_BIAS = 1.5
"""Of the forget gate at the start: 3/4 of the cell state is kept (decision)."""
START_THRESHOLD = 0.125
"""Of the hidden units at the start, in values of O * C (decision)."""


class _LstmCell(torch.autograd.Function):  # type: ignore[misc]
    """Export form of the layer: one node; `forward` gives the shape only, it runs in the tracer alone."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, w: Tensor, u: Tensor, bias: Tensor, limits: Tensor, numbers: dict[str, int], scales: Any
    ) -> Tensor:
        shape = (len(x), len(limits)) if numbers["last_i"] else (*x.shape[:2], len(limits))
        return x.new_zeros(shape) + 0 * (w.sum() + u.sum())

    @staticmethod
    def symbolic(
        g: Any, x: Any, w: Any, u: Any, bias: Any, limits: Any, numbers: dict[str, int], scales: dict[str, float]
    ) -> Any:
        h = g.op("muxflow::LstmCell", x, w, u, bias, limits, **numbers, **scales)
        images, steps, _ = x.type().sizes()
        (units,) = limits.type().sizes()
        h.setType(x.type().with_sizes([images, units] if numbers["last_i"] else [images, steps, units]))
        return h


class QuantLstm(nn.Module):  # type: ignore[misc]
    """LSTM on binary codes with binary or ternary weights, gates of few bits, an integer cell and a binary hidden state.

    Input x (N, T, inputs): codes 0, 1 times 1/2. Output (N, T, units), or with `last` (N, units) of the last step: the
    hidden state h, codes 0, 1 times 1/2. With k = `gate_bits`, kc = `cell_bits`, a = `fraction_bits`, gates i, f, g, o:

    - `z = x W^T + h U^T + b`; the weights have one scale, a power of two.
    - `I, F, O = clip(round((z + 3) 2^k / 6), 0, 2^k - 1)`, hard sigmoid; `G = clip(round(z 2^(k-1)), -m, m)`, hard tanh,
      m = 2^(k-1) - 1; half to even.
    - `C = clip((F C + I G 2^a) >> k, -M, M)`, M = 2^(kc-1) - 1; the value of a code is 2^-(k-1+a).
    - `h = 1{O C >= theta}`, an integer of 1 or more for each unit, trained.
    C and h are 0 before the first step.

    `precision` is set by the stages of training: "float", real weights, gates and states, the step of h a ramp; "gates",
    quantised weights and gates; "state", all of the above. In training mode all steps are given, so that each can be
    trained.
    Raises MuxflowError when a size or an option is unknown or out of range.
    Source: BILLNET (arXiv 2501.14495), a fully quantised LSTM trained in stages; all of the arithmetic is a decision.
    """

    def __init__(
        self,
        inputs: int,
        units: int,
        *,
        weights: LstmWeights = "binary",
        gate_bits: int = 3,
        cell_bits: int = 6,
        fraction_bits: int = 2,
        last: bool = True,
    ) -> None:
        super().__init__()
        check_sizes("LSTM", inputs=inputs, units=units)
        check_elements("LSTM: weights", 4 * units, inputs + units)
        if weights not in get_args(LstmWeights):
            raise MuxflowError(f"LSTM: weights {weights!r}; supported: 'binary', 'ternary'")
        scale = 2 * weight_scale(inputs + units) if weights == "binary" else heq_scale(3)
        quantizer = binary_weight(scale) if weights == "binary" else heq_weight(3)
        self.input, self.recurrent = (
            qnn.QuantLinear(columns, 4 * units, bias=False, weight_quant=quantizer) for columns in (inputs, units)
        )
        self.scale, self.weight_scale = activation_scale(1), scale
        CellArithmetic(gate_bits, cell_bits, fraction_bits, np.float32(self.scale * scale))
        for layer in (self.input, self.recurrent):
            nn.init.uniform_(layer.weight, -2 * scale, 2 * scale)
        self.bias = nn.Parameter(torch.zeros(4 * units))
        nn.init.constant_(self.bias[units : 2 * units], FORGET_BIAS)
        self.threshold = nn.Parameter(torch.full((units,), START_THRESHOLD))
        self.units, self.last = units, last
        self.gate_bits, self.cell_bits, self.fraction_bits = gate_bits, cell_bits, fraction_bits
        self.precision: Precision = "state"

    @property
    def product_unit(self) -> float:
        """How many codes of O C are a product of 1."""
        return 2.0 ** (2 * self.gate_bits - 1 + self.fraction_bits)

    def _limits(self) -> Tensor:
        return ceil_ste(self.threshold * self.product_unit).clamp(min=1)

    def integer_thresholds(self) -> list[int]:
        """Return theta, the integer of each unit that O C is compared with."""
        return [int(limit) for limit in self._limits().tolist()]

    def _weights(self) -> tuple[Tensor, Tensor]:
        if self.precision == "float":
            return self.input.weight, self.recurrent.weight
        return self.input.quant_weight().value, self.recurrent.quant_weight().value

    def _gates(self, z: Tensor) -> tuple[Tensor, ...]:
        """Compute the codes I, F, G, O of the sums (N, 4 units); in float precision they are not rounded."""
        narrow = 2 ** (self.gate_bits - 1) - 1
        rounded = (lambda codes: codes) if self.precision == "float" else round_ste
        ramp = torch.tensor(2**self.gate_bits / (2 * HALF_RAMP))  # float32, as the file's arithmetic has it
        i, f, g, o = z.chunk(4, 1)
        i, f, o = (rounded((gate + HALF_RAMP) * ramp).clamp(0, 2**self.gate_bits - 1) for gate in (i, f, o))
        return i, f, rounded(g * 2 ** (self.gate_bits - 1)).clamp(-narrow, narrow), o

    def forward(self, x: Tensor) -> Tensor:
        """Run the layer over the steps of `x`, from a state of 0; raises MuxflowError where `x` is no sequence of one or more."""
        if x.ndim != 3 or 0 in x.shape or x.shape[2] != self.input.in_features:
            raise MuxflowError(
                f"LSTM: an input of shape {tuple(x.shape)}; expected (N, steps, {self.input.in_features}) of one step or more"
            )
        w, u = self._weights()
        limits = self._limits()
        if torch.onnx.is_in_onnx_export():
            numbers = {f"{name}_i": getattr(self, name) for name in ("gate_bits", "cell_bits", "fraction_bits")}
            scales = {f"{name}_f": getattr(self, name) for name in ("scale", "weight_scale")}
            y: Tensor = _LstmCell.apply(
                x, w, u, self.bias, limits.detach(), {**numbers, "last_i": int(self.last)}, scales
            )
            return y
        whole = self.precision == "state"
        most = 2 ** (self.cell_bits - 1) - 1
        products = x @ w.t()
        hidden = cell = x.new_zeros(len(x), self.units)
        given = []
        for step in range(x.shape[1]):
            i, f, g, o = self._gates(products[:, step] + hidden @ u.t() + self.bias)
            cell = (f * cell + i * g * 2**self.fraction_bits) / 2**self.gate_bits
            cell = (floor_ste(cell) if whole else cell).clamp(-most, most)
            margin = o * cell - limits
            ramp = self.product_unit
            hidden = (Step.apply(margin, ramp) if whole else (margin / ramp + 0.5).clamp(0, 1)) * self.scale
            given.append(hidden)
        return hidden if self.last and not self.training else torch.stack(given, 1)
