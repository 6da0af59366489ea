"""Thermometer encoding of pixels, as a torch layer."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from muxflow.dataflow.graph.stream import whole
from muxflow.dataflow.ops.thermometer_encode import ThermometerEncode
from muxflow.frontend.training.scales import MOST_VALUE, PIXEL_SCALE, check_numbers


class _Encode(torch.autograd.Function):  # type: ignore[misc]
    """Export form: one node; `forward` runs in the tracer alone."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, codes: int, bits: int, scale: float) -> Tensor:
        return x.repeat_interleave(codes, dim=1)

    @staticmethod
    def symbolic(g: Any, x: Any, codes: int, bits: int, scale: float) -> Any:
        y = g.op("muxflow::ThermometerEncode", x, codes_i=codes, bits_i=bits, input_scale_f=PIXEL_SCALE, scale_f=scale)
        batch, channels, *spatial = x.type().sizes()
        y.setType(x.type().with_sizes([batch, codes * channels, *spatial]))
        return y


class ThermometerEncoder(nn.Module):  # type: ignore[misc]
    """Encode 8-bit pixels p/256 as `codes` codes of `bits` bits each, times `scale`; no gradient passes.

    Input (N, C, H, W), output (N, codes * C, H, W): channel `c * codes + i` holds code i of channel c, see
    `dataflow.ops.thermometer_encode`. Raises MuxflowError when a number is out of range.
    Source: ERN (arXiv 2410.11553), 10 codes of 2 bits; scale and order of channels are decisions.
    """

    def __init__(self, codes: int = 10, bits: int = 2, scale: float = 0.5) -> None:
        super().__init__()
        self.op = ThermometerEncode(whole(codes, "thermometer: codes"), whole(bits, "thermometer: bits"))
        check_numbers("thermometer", 1 / MOST_VALUE, scale=scale)
        self.scale = scale

    def forward(self, x: Tensor) -> Tensor:
        """Encode the pixels `x`."""
        op = self.op
        if torch.onnx.is_in_onnx_export():
            exported: Tensor = _Encode.apply(x, op.codes, op.bits, self.scale)
            return exported
        pixels = torch.round(x.detach() / PIXEL_SCALE).unsqueeze(2)
        offsets = op.step * torch.arange(op.codes - 1, -1, -1).view(-1, *(1,) * (x.dim() - 2))
        codes = torch.clamp(torch.floor((pixels + offsets) / (op.step * op.codes)), 0, op.top)
        return (codes * self.scale).flatten(1, 2)
