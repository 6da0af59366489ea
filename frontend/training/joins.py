"""Gated residual joins of MOGNET, BILLNET and HEQ as torch layers, on codes of images or clips."""

from __future__ import annotations

from math import prod
from typing import Any, Literal

import torch
from brevitas.function.ops_ste import ceil_ste, floor_ste, round_ste
from torch import Tensor, nn

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.ops.mux_join import Mix
from muxflow.frontend.qonnx.ops import SELECTS, Select, check_join_shapes, check_mix, check_select
from muxflow.frontend.training.scales import ScaleMode, activation_scale, check_sizes

Join = Literal["channel", "channel-mean", "element", "always", "or"]
JOINS: tuple[str, ...] = (*SELECTS, "or")


class Step(torch.autograd.Function):  # type: ignore[misc]
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


class _Or(torch.autograd.Function):  # type: ignore[misc]
    """Bitwise OR of codes x, f in 0..2^bits-1; backward as `x + f - x f` on codes over 2^bits-1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, f: Tensor, bits: int) -> Tensor:
        ctx.save_for_backward(x, f)
        ctx.top = 2**bits - 1
        return (x.long() | f.long()).to(x)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, f = ctx.saved_tensors
        return gradient * (1 - f / ctx.top), gradient * (1 - x / ctx.top), None


class _MuxJoin(torch.autograd.Function):  # type: ignore[misc]
    """Export form of the join: one node; `forward` gives the shape only, it runs in the tracer alone."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, f: Tensor, thresholds: list[float], select: str, scale: float, bits: int, mix: str
    ) -> Tensor:
        return f.clone()

    @staticmethod
    def symbolic(
        g: Any, x: Any, f: Any, thresholds: list[float], select: str, scale: float, bits: int, mix: str
    ) -> Any:
        inputs = [x, f]
        if select != "always":
            inputs.append(g.op("Constant", value_t=torch.tensor(thresholds, dtype=torch.float32)))
        mixed = {} if mix == "mean" else {"mix_s": mix}  # files of the plain join are as they were
        y = g.op("muxflow::MuxJoin", *inputs, select_s=select, scale_f=scale, bits_i=bits, **mixed)
        y.setType(f.type())
        return y


class MuxJoin(nn.Module):  # type: ignore[misc]
    """Residual join on codes by a select bit S for each channel or element: `y = S ? mix(x, f) : f`.

    Inputs x (N, in_channels, ...) and f (N, out_channels, ...), maps of two or three axes: unsigned `bits`-bit codes times
    the same scale. Output: same codes, shape of f; the first min(in, out) channels join, the others pass f.
    `mix`: mean, `(x + f) >> 1`; or, bitwise. `select`: channel, S_c = 1{max over the map of x_c >= ceil(t_c)};
    channel-mean, S_c = 1{sum over the map of x_c >= ceil(t_c pixels)}; element, S = 1{x >= ceil(t_c)}; always, S = 1.
    The map of a clip has time among its axes. `threshold` (t) is trained, in units of one code, through straight-through
    estimators; the effective integer thresholds are `integer_thresholds`.
    Raises UnsupportedError on another select or mix, MuxflowError on numbers out of range and shapes that do not fit.
    Source: MOGNET (arXiv 2501.09531), MUX residual block; HEQ (arXiv 2501.04517), OR; BILLNET (arXiv 2501.14495), MUX of OR;
    operands, select, thresholds, OR of more than one bit and its gradient are decisions.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        select: Select = "channel",
        *,
        mix: Mix = "mean",
        bits: int = 3,
        scale: ScaleMode = "power_of_two",
    ) -> None:
        super().__init__()
        check_select(select)
        check_sizes("MuxJoin", in_channels=in_channels, out_channels=out_channels)
        check_mix(mix)
        self.select, self.mix, self.bits, self.scale = select, mix, bits, activation_scale(bits, scale)
        self.channels = min(in_channels, out_channels)
        self.threshold: Any = None
        if select != "always":
            top = 2**bits - 1
            start = top / 4 if select == "channel-mean" else top / 2
            self.threshold = nn.Parameter(torch.full((self.channels,), start))

    def _limits(self, pixels: int) -> Tensor:
        return ceil_ste(self.threshold * (pixels if self.select == "channel-mean" else 1))

    def integer_thresholds(self, *sizes: int) -> list[int]:
        """Return the integers that hardware compares with, one per residual channel, for maps of these sizes.

        ceil(t), or ceil(t * pixels) for channel-mean; empty for always.
        """
        return [] if self.threshold is None else [int(t) for t in self._limits(prod(sizes)).tolist()]

    def _gate(self, x: Tensor) -> Tensor:
        """Compute S for the residual channels `x` in codes, exactly 0 or 1; the ramp of its gradient spans the codes."""
        axes = tuple(range(2, x.dim()))
        pixels = prod(x.shape[2:])
        limits = self._limits(pixels).view(1, -1, *(1 for _ in axes))
        if self.select == "element":
            margin = x - limits
        elif self.select == "channel":
            margin = x.amax(dim=axes, keepdim=True) - limits
        else:
            margin = (x.sum(dim=axes, keepdim=True) - limits) / pixels
        gate: Tensor = Step.apply(margin, 2.0**self.bits)
        return gate

    def forward(self, x: Tensor, f: Tensor) -> Tensor:
        """Join the residual input `x` and the body's output `f`."""
        check_join_shapes("MuxJoin", tuple(map(int, x.shape)), tuple(map(int, f.shape)))
        if torch.onnx.is_in_onnx_export():
            thresholds = self.integer_thresholds(*map(int, x.shape[2:]))
            exported: Tensor = _MuxJoin.apply(x, f, thresholds, self.select, self.scale, self.bits, self.mix)
            return exported
        codes_x, codes_f = round_ste(x[:, : self.channels] / self.scale), round_ste(f / self.scale)
        head, tail = codes_f[:, : self.channels], codes_f[:, self.channels :]
        joined = floor_ste((codes_x + head) / 2) if self.mix == "mean" else _Or.apply(codes_x, head, self.bits)
        if self.threshold is not None:
            gate = self._gate(codes_x)
            joined = gate * joined + (1 - gate) * head
        return torch.cat([joined, tail], dim=1) * self.scale


class MRB(nn.Module):  # type: ignore[misc]
    """MUX residual block: `join(x, body(x))`, the join being a MuxJoin of that select and mix; select "or" is OR always.

    Input (N, in_channels, ...) and the body's output (N, out_channels, ...): unsigned `bits`-bit codes times the same
    scale. Raises UnsupportedError on another join.
    Source: MOGNET (arXiv 2501.09531) for MUX, HEQ (arXiv 2501.04517) for OR, BILLNET (arXiv 2501.14495) for MUX of OR.
    """

    def __init__(
        self,
        body: nn.Module,
        in_channels: int,
        out_channels: int,
        select: Join = "channel",
        *,
        mix: Mix = "mean",
        bits: int = 3,
        scale: ScaleMode = "power_of_two",
    ) -> None:
        super().__init__()
        if select not in JOINS:
            raise UnsupportedError(f"MRB: select {select!r}; supported: {', '.join(JOINS)}")
        self.body = body
        mode, mix = ("always", "or") if select == "or" else (select, mix)
        self.join = MuxJoin(in_channels, out_channels, mode, mix=mix, bits=bits, scale=scale)

    def forward(self, x: Tensor) -> Tensor:
        """Join `x` with the body's output."""
        y: Tensor = self.join(x, self.body(x))
        return y
