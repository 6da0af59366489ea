"""Torch layers of MOGNET and its kin: batch norm, generated weights, factorised convolutions (joins: `joins`).

Every activation between layers is an unsigned k-bit code times one common scale (see `quantizers`), as plain float
tensors, channels first. The layers export through `muxflow.frontend.brevitas.export` (operators in `qonnx.ops`).
"""

from __future__ import annotations

from typing import Any, Literal

import brevitas.nn as qnn
import numpy as np
import torch
from torch import Tensor, nn

from muxflow.dataflow.automaton import Alphabet, Automaton, layer_automaton, weight_scale
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.limits import check_elements
from muxflow.frontend.training.quantizers import unsigned_activation, weight_quantizer
from muxflow.frontend.training.scales import ScaleMode, check_sizes

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


class BatchNorm3d(_ExactNorm, nn.BatchNorm3d):  # type: ignore[misc]
    """`_ExactNorm` of clips (N, C, T, H, W)."""


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

    The batch norm is that of maps of two axes, or of three where the convolution's have.

    Batch norm starts at standard deviation 0.3 and mean 0.4 (one bit: 0), so that most pre-activations lie inside the
    quantizer's range and gradients pass through the whole depth (decision; with 1 and 0 the 8x8 digits do not train).
    """
    return nn.Sequential(conv, *bn_act(channels, bits, scale, 3 if isinstance(conv, qnn.QuantConv3d) else 2))


def bn_act(
    channels: int, bits: int, scale: ScaleMode = "power_of_two", axes: Literal[2, 3] = 2
) -> tuple[nn.Module, nn.Module]:
    """Make the batch norm and the activation of `conv_bn_act`, of maps of so many axes."""
    check_sizes("batch norm", channels=channels)
    norm = BatchNorm2d(channels) if axes == 2 else BatchNorm3d(channels)
    nn.init.constant_(norm.weight, 0.3)
    nn.init.constant_(norm.bias, 0.0 if bits == 1 else 0.4)
    return norm, qnn.QuantIdentity(act_quant=unsigned_activation(bits, scale))


def quant_conv(
    in_channels: int,
    out_channels: int,
    kernel: int | tuple[int, int, int],
    weight_levels: WeightLevels = 3,
    groups: int = 1,
    stride: int | tuple[int, int, int] = 1,
) -> nn.Module:
    """Make a convolution without bias, padded by half the kernel, with HEQ (odd number of levels) or binary weights.

    Of images; a kernel of three sizes (T, H, W) makes it one of clips.

    Raises MuxflowError when a number is out of range, the channels do not divide into `groups` or the levels are unknown.
    """
    kernels, strides = (size if isinstance(size, tuple) else (size, size) for size in (kernel, stride))
    check_sizes("convolution", in_channels=in_channels, out_channels=out_channels, groups=groups)
    for size, step in zip(kernels, strides, strict=False):
        check_sizes("convolution", kernel=size, stride=step)
    check_elements("convolution: weights", out_channels, in_channels // groups, *kernels)
    if in_channels % groups or out_channels % groups:
        raise MuxflowError(
            f"convolution {in_channels} -> {out_channels}: {groups} groups do not divide both channel counts"
        )
    layer = qnn.QuantConv3d if isinstance(kernel, tuple) else qnn.QuantConv2d
    return layer(
        in_channels,
        out_channels,
        kernel,
        stride=stride,
        padding=tuple(size // 2 for size in kernel) if isinstance(kernel, tuple) else kernel // 2,
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
