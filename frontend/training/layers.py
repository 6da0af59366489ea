"""Torch layers of MOGNET and its kin: generated weights, factorised convolutions and gated residual joins.

Every activation between layers is an unsigned k-bit code times one common scale (see `quantizers`), as plain NCHW
float tensors. The layers export through `muxflow.frontend.brevitas.export` (operators in `qonnx.ops`).
"""

from __future__ import annotations

from typing import Any, Literal

import brevitas.nn as qnn
import numpy as np
import torch
from brevitas.function.ops_ste import ceil_ste, floor_ste, round_ste
from torch import Tensor, nn

from muxflow.dataflow.automaton import Alphabet, Automaton, layer_automaton, weight_scale
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.limits import check_elements
from muxflow.frontend.qonnx.ops import SELECTS, Select, check_join_shapes, check_select
from muxflow.frontend.training.quantizers import unsigned_activation, weight_quantizer
from muxflow.frontend.training.scales import ScaleMode, activation_scale, check_sizes

Join = Literal["channel", "channel-mean", "element", "always", "or"]
JOINS: tuple[str, ...] = (*SELECTS, "or")
WeightLevels = int | Literal["binary"]


class _ExactNorm(nn.modules.batchnorm._BatchNorm):  # type: ignore[misc]
    """Batch normalisation that evaluates as one multiplication and one addition per channel.

    In training it is torch's own; in evaluation `y = x * a + b` with `a = weight / sqrt(var + eps)` and
    `b = bias - mean * a`, in double precision and then rounded once to float32, so that the exported Mul and Add hold
    the same floats on every machine. `frozen`: evaluation in training mode too. Source: decision.
    """

    frozen = False

    def factors(self) -> tuple[Tensor, Tensor]:
        """Reduce the statistics to the factor a and the offset b of evaluation, shape (C,) each."""
        # NumPy's double arithmetic rounds each operation correctly; torch's square root may come from a vector library
        # whose last bit depends on the processor.
        weight, bias, mean, variance = (
            tensor.detach().cpu().numpy().astype(np.float64)
            for tensor in (self.weight, self.bias, self.running_mean, self.running_var)
        )
        a = weight / np.sqrt(variance + self.eps)
        b = bias - mean * a
        folded = tuple(torch.from_numpy(part.astype(np.float32)).to(self.weight) for part in (a, b))
        if not torch.is_grad_enabled():
            return folded
        # The same values with torch's gradient: what is added is exactly zero.
        a_torch = self.weight / torch.sqrt(self.running_var + self.eps)
        b_torch = self.bias - self.running_mean * a_torch
        return folded[0] + (a_torch - a_torch.detach()), folded[1] + (b_torch - b_torch.detach())

    def forward(self, x: Tensor) -> Tensor:
        """Normalise `x` (N, C, ...)."""
        if self.training and not self.frozen:
            return super().forward(x)
        shape = (1, -1, *(1,) * (x.dim() - 2))
        a, b = self.factors()
        return x * a.view(shape) + b.view(shape)


class BatchNorm1d(_ExactNorm, nn.BatchNorm1d):  # type: ignore[misc]
    """`_ExactNorm` of signals (N, C, L) and vectors (N, C)."""


class BatchNorm2d(_ExactNorm, nn.BatchNorm2d):  # type: ignore[misc]
    """`_ExactNorm` of images (N, C, H, W)."""


class _AutomatonWeights(torch.autograd.Function):  # type: ignore[misc]
    """Export form of generated weights: one node in the file, no stored tensor."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, automaton: Automaton, rows: int, columns: int, scale: float) -> Tensor:
        return scale * torch.from_numpy(automaton.weights(rows, columns)).to(x).view(rows, columns, 1, 1)

    @staticmethod
    def symbolic(g: Any, x: Any, automaton: Automaton, rows: int, columns: int, scale: float) -> Any:
        weights = g.op(
            "muxflow::AutomatonWeights",
            x,
            rule_i=automaton.rule,
            ring_i=automaton.ring,
            seed_i=automaton.seed,
            burn_in_i=automaton.burn_in,
            rows_i=rows,
            columns_i=columns,
            alphabet_s=automaton.alphabet,
            scale_f=scale,
        )
        weights.setType(x.type().with_sizes([rows, columns, 1, 1]))
        return weights


class CellularAutomatonConv2d(nn.Module):  # type: ignore[misc]
    """1x1 convolution, no bias, whose weights a cellular automaton generates: never trained, never stored.

    Input (N, in_channels, H, W), output (N, out_channels, H, W). Row o of the weight matrix is automaton step o, times
    a power of two near 1/sqrt(in_channels). `ring=None` takes the cells that one row reads; rings under 24 cells warn.
    The weights are no parameter and not in the state_dict.
    Raises MuxflowError when the automaton's fields are out of range or the ring is too short.
    Source: MOGNET (arXiv 2501.09531), CFLOG; automaton, ring, seed and scale are decisions.
    """

    weight: Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        rule: int = 30,
        ring: int | None = None,
        seed: int = 0,
        burn_in: int | None = None,
        alphabet: Alphabet = "binary",
    ) -> None:
        super().__init__()
        check_sizes("generated weights", in_channels=in_channels, out_channels=out_channels)
        self.automaton = layer_automaton(
            in_channels, rule=rule, ring=ring, seed=seed, burn_in=burn_in, alphabet=alphabet
        )
        self.in_channels, self.out_channels = in_channels, out_channels
        self.scale = weight_scale(in_channels)
        matrix = torch.from_numpy(self.automaton.weights(out_channels, in_channels)).float()
        self.register_buffer("weight", self.scale * matrix.view(out_channels, in_channels, 1, 1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve `x` with the generated weights."""
        weight = self.weight
        if torch.onnx.is_in_onnx_export():
            weight = _AutomatonWeights.apply(x, self.automaton, self.out_channels, self.in_channels, self.scale)
        return nn.functional.conv2d(x, weight)


def conv_bn_act(conv: nn.Module, channels: int, bits: int, scale: ScaleMode = "power_of_two") -> nn.Sequential:
    """Chain `conv`, batch norm over its `channels` outputs, unsigned `bits`-bit activation; raises as the quantizer does.

    Batch norm starts at standard deviation 0.3 and mean 0.4 (one bit: 0), so that most pre-activations lie inside the
    quantizer's range and gradients pass through the whole depth (decision; with 1 and 0 the 8x8 digits do not train).
    """
    check_sizes("batch norm", channels=channels)
    norm = BatchNorm2d(channels)
    nn.init.constant_(norm.weight, 0.3)
    nn.init.constant_(norm.bias, 0.0 if bits == 1 else 0.4)
    return nn.Sequential(conv, norm, qnn.QuantIdentity(act_quant=unsigned_activation(bits, scale)))


def quant_conv(
    in_channels: int, out_channels: int, kernel: int, weight_levels: WeightLevels = 3, groups: int = 1, stride: int = 1
) -> nn.Module:
    """Make a convolution without bias, padded by half the kernel, with HEQ (odd number of levels) or binary weights.

    Raises MuxflowError when a number is out of range, the channels do not divide into `groups` or the levels are unknown.
    """
    check_sizes("convolution", in_channels=in_channels, out_channels=out_channels, kernel=kernel)
    check_sizes("convolution", groups=groups, stride=stride)
    check_elements("convolution: weights", out_channels, in_channels // groups, kernel, kernel)
    if in_channels % groups or out_channels % groups:
        raise MuxflowError(
            f"convolution {in_channels} -> {out_channels}: {groups} groups do not divide both channel counts"
        )
    return qnn.QuantConv2d(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=kernel // 2,
        groups=groups,
        bias=False,
        weight_quant=weight_quantizer(weight_levels),
    )


class CFLOG(nn.Module):  # type: ignore[misc]
    """Factorised convolution with generated weights: 1x1 -> 3x3 in groups -> 1x1 by cellular automaton.

    Input (N, in_channels, H, W) codes, output (N, out_channels, H, W) codes; `latent` channels (m) inside. Batch norm
    and a `bits`-bit activation follow each of the three. `weight_levels`, `scale` as in `quantizers`; `automaton`
    holds further options of `CellularAutomatonConv2d`. Stored: in_channels*m + 9*m^2/groups weights.
    Raises MuxflowError when `groups` does not divide `latent`, or an option is out of range.
    Source: MOGNET (arXiv 2501.09531); 3x3, padding and activations after each are decisions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        latent: int,
        groups: int,
        *,
        bits: int = 3,
        weight_levels: WeightLevels = 3,
        scale: ScaleMode = "power_of_two",
        automaton: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.expand = conv_bn_act(quant_conv(in_channels, latent, 1, weight_levels), latent, bits, scale)
        self.mix = conv_bn_act(quant_conv(latent, latent, 3, weight_levels, groups), latent, bits, scale)
        generated = CellularAutomatonConv2d(latent, out_channels, **(automaton or {}))
        self.project = conv_bn_act(generated, out_channels, bits, scale)

    def forward(self, x: Tensor) -> Tensor:
        """Apply the three convolutions to the codes `x`."""
        y: Tensor = self.project(self.mix(self.expand(x)))
        return y


class _Step(torch.autograd.Function):  # type: ignore[misc]
    """1{u >= 0} with the gradient of a ramp of width `width` centred on 0 (straight-through estimator)."""

    @staticmethod
    def forward(ctx: Any, u: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(u)
        ctx.width = width
        return (u >= 0).to(u)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        (u,) = ctx.saved_tensors
        return gradient * (u.abs() <= ctx.width / 2) / ctx.width, None


class _MuxJoin(torch.autograd.Function):  # type: ignore[misc]
    """Export form of the MUX-bitshift join: one node; `forward` gives the shape only, it runs in the tracer alone."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, f: Tensor, thresholds: list[float], select: str, scale: float, bits: int
    ) -> Tensor:
        return f.clone()

    @staticmethod
    def symbolic(g: Any, x: Any, f: Any, thresholds: list[float], select: str, scale: float, bits: int) -> Any:
        inputs = [x, f]
        if select != "always":
            inputs.append(g.op("Constant", value_t=torch.tensor(thresholds, dtype=torch.float32)))
        y = g.op("muxflow::MuxJoin", *inputs, select_s=select, scale_f=scale, bits_i=bits)
        y.setType(f.type())
        return y


class MuxJoin(nn.Module):  # type: ignore[misc]
    """MUX-bitshift residual join on codes: `y = S ? (x + f) >> 1 : f`, with one select bit S per channel or element.

    Inputs x (N, in_channels, H, W) and f (N, out_channels, H, W): unsigned `bits`-bit codes times the same scale.
    Output: same codes, shape of f; the first min(in, out) channels join, the others pass f.
    `select`: channel, S_c = 1{max over H x W of x_c >= ceil(t_c)}; channel-mean, S_c = 1{sum over H x W of x_c >=
    ceil(t_c H W)}; element, S = 1{x >= ceil(t_c)}; always, S = 1. `threshold` (t) is trained, in units of one code,
    through straight-through estimators; the effective integer thresholds are `integer_thresholds`.
    Raises UnsupportedError on another select, MuxflowError on numbers out of range and shapes that do not fit.
    Source: MOGNET (arXiv 2501.09531), MUX residual block; operands, select and thresholds are decisions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        select: Select = "channel",
        *,
        bits: int = 3,
        scale: ScaleMode = "power_of_two",
    ) -> None:
        super().__init__()
        check_select(select)
        check_sizes("MuxJoin", in_channels=in_channels, out_channels=out_channels)
        self.select, self.bits, self.scale = select, bits, activation_scale(bits, scale)
        self.channels = min(in_channels, out_channels)
        self.threshold: Any = None
        if select != "always":
            top = 2**bits - 1
            start = top / 4 if select == "channel-mean" else top / 2
            self.threshold = nn.Parameter(torch.full((self.channels,), start))

    def _limits(self, height: int, width: int) -> Tensor:
        pixels = height * width if self.select == "channel-mean" else 1
        return ceil_ste(self.threshold * pixels)

    def integer_thresholds(self, height: int, width: int) -> list[int]:
        """Return the integers that hardware compares with, one per residual channel, for maps of height x width.

        ceil(t), or ceil(t * height * width) for channel-mean; empty for always.
        """
        return [] if self.threshold is None else [int(t) for t in self._limits(height, width).tolist()]

    def _gate(self, x: Tensor) -> Tensor:
        """Compute S for the residual channels `x` in codes, exactly 0 or 1; the ramp of its gradient spans the codes."""
        height, width = x.shape[2:]
        limits = self._limits(height, width).view(1, -1, 1, 1)
        if self.select == "element":
            margin = x - limits
        elif self.select == "channel":
            margin = x.amax(dim=(2, 3), keepdim=True) - limits
        else:
            margin = (x.sum(dim=(2, 3), keepdim=True) - limits) / (height * width)
        gate: Tensor = _Step.apply(margin, 2.0**self.bits)
        return gate

    def forward(self, x: Tensor, f: Tensor) -> Tensor:
        """Join the residual input `x` and the body's output `f`."""
        check_join_shapes("MuxJoin", tuple(map(int, x.shape)), tuple(map(int, f.shape)))
        if torch.onnx.is_in_onnx_export():
            thresholds = self.integer_thresholds(int(x.shape[2]), int(x.shape[3]))
            exported: Tensor = _MuxJoin.apply(x, f, thresholds, self.select, self.scale, self.bits)
            return exported
        codes_x, codes_f = round_ste(x[:, : self.channels] / self.scale), round_ste(f / self.scale)
        head, tail = codes_f[:, : self.channels], codes_f[:, self.channels :]
        joined = floor_ste((codes_x + head) / 2)
        if self.threshold is not None:
            gate = self._gate(codes_x)
            joined = gate * joined + (1 - gate) * head
        return torch.cat([joined, tail], dim=1) * self.scale


class _OrJoin(torch.autograd.Function):  # type: ignore[misc]
    """Bitwise OR of codes x, f in 0..2^bits-1 (same channels); backward as `x + f - x f` on codes over 2^bits-1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, f: Tensor, scale: float, bits: int) -> Tensor:
        codes_x, codes_f = torch.round(x / scale), torch.round(f / scale)
        ctx.save_for_backward(codes_x, codes_f)
        ctx.top = 2**bits - 1
        return (codes_x.long() | codes_f.long()).to(x) * scale

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        codes_x, codes_f = ctx.saved_tensors
        return gradient * (1 - codes_f / ctx.top), gradient * (1 - codes_x / ctx.top), None, None


class _OrJoinExport(torch.autograd.Function):  # type: ignore[misc]
    """Export form of the OR join: one node."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, f: Tensor, scale: float, bits: int) -> Tensor:
        return f.clone()

    @staticmethod
    def symbolic(g: Any, x: Any, f: Any, scale: float, bits: int) -> Any:
        y = g.op("muxflow::OrJoin", x, f, scale_f=scale, bits_i=bits)
        y.setType(f.type())
        return y


class OrJoin(nn.Module):  # type: ignore[misc]
    """OR residual join: bitwise OR of the codes of x and f; channels beyond the smaller count pass f.

    Inputs x, f: unsigned `bits`-bit codes times the same scale, (N, C, H, W). Output: same codes, shape of f.
    For one bit this is `x + f - x f`, which is also the gradient's form for k bits, on codes over 2^k - 1.
    Raises MuxflowError on shapes that do not fit. Source: HEQ (arXiv 2501.04517); k-bit form and gradient: decisions.
    """

    def __init__(self, *, bits: int = 3, scale: ScaleMode = "power_of_two") -> None:
        super().__init__()
        self.bits, self.scale = bits, activation_scale(bits, scale)

    def forward(self, x: Tensor, f: Tensor) -> Tensor:
        """Join the residual input `x` and the body's output `f`."""
        check_join_shapes("OrJoin", tuple(map(int, x.shape)), tuple(map(int, f.shape)))
        if torch.onnx.is_in_onnx_export():
            exported: Tensor = _OrJoinExport.apply(x, f, self.scale, self.bits)
            return exported
        common = min(x.shape[1], f.shape[1])
        joined = _OrJoin.apply(x[:, :common], f[:, :common], self.scale, self.bits)
        return torch.cat([joined, f[:, common:]], dim=1)


class MRB(nn.Module):  # type: ignore[misc]
    """MUX residual block: `join(x, body(x))`, the join being a MuxJoin select mode or "or".

    Input (N, in_channels, H, W) and the body's output (N, out_channels, H, W): unsigned `bits`-bit codes times the
    same scale. Raises UnsupportedError on another join.
    Source: MOGNET (arXiv 2501.09531) for MUX, HEQ (arXiv 2501.04517) for OR.
    """

    def __init__(
        self,
        body: nn.Module,
        in_channels: int,
        out_channels: int,
        select: Join = "channel",
        *,
        bits: int = 3,
        scale: ScaleMode = "power_of_two",
    ) -> None:
        super().__init__()
        if select not in JOINS:
            raise UnsupportedError(f"MRB: select {select!r}; supported: {', '.join(JOINS)}")
        self.body = body
        if select == "or":
            self.join: nn.Module = OrJoin(bits=bits, scale=scale)
        else:
            self.join = MuxJoin(in_channels, out_channels, select, bits=bits, scale=scale)

    def forward(self, x: Tensor) -> Tensor:
        """Join `x` with the body's output."""
        y: Tensor = self.join(x, self.body(x))
        return y
