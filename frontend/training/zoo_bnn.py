"""The binary-network classics CNV (CIFAR-10) and TFC (MNIST), with 1 or 2 bits per weight and activation.

They are what other accelerator generators report, so they are here to be compared with. Weights and activations are
{-1, +1} with one bit and {-1, 0, +1} with two; the input is an 8-bit signed code over 128, that is (pixel - 128)/128.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import brevitas.nn as qnn
import torch
from brevitas.core.bit_width import BitWidthImplType
from brevitas.core.quant import QuantType
from brevitas.core.restrict_val import FloatToIntImplType, RestrictValueType
from brevitas.core.scaling import ScalingImplType
from brevitas.core.zero_point import ZeroZeroPoint
from brevitas.quant.solver import ActQuantSolver, WeightQuantSolver
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.configuration import configured, seeded
from muxflow.frontend.training.fields import check_fields, check_range

Topology = Literal["cnv", "tfc"]
Network = TypeVar("Network", bound=nn.Module)

INPUT_SCALE = 1 / 128
CONVOLUTIONS: tuple[tuple[int, bool], ...] = (
    (64, False),
    (64, True),
    (128, False),
    (128, True),
    (256, False),
    (256, False),
)
"""CNV's 3x3 convolutions without padding: output channels, and whether a 2x2 max pooling follows."""


@dataclass(frozen=True)
class BnnConfig:
    """A binary-network classic.

    `topology`: "cnv" (3x32x32; six convolutions, 512-512-10) or "tfc" (1x28x28; 64-64-64-10); `weight_bits`,
    `activation_bits`: 1 or 2; `classes`.
    Raises MuxflowError when a field is out of range.
    Source: BNN-PYNQ's networks as Brevitas trains them; the input code and the last layer's scale are decisions.
    """

    topology: Topology
    weight_bits: int = 1
    activation_bits: int = 1
    classes: int = 10

    def __post_init__(self) -> None:
        check_fields("binary network", self)
        if self.topology not in ("cnv", "tfc"):
            raise MuxflowError(f"binary network {self.topology!r} is unknown; choose cnv or tfc")
        for name in ("weight_bits", "activation_bits"):
            if getattr(self, name) not in (1, 2):
                raise MuxflowError(f"{self.topology}: {name} = {getattr(self, name)}; use 1 or 2")
        check_range(self.topology, self, 2, "classes")

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image."""
        return (3, 32, 32) if self.topology == "cnv" else (1, 28, 28)


def signed_quantizer(solver: Any, bits: int, scale: float, narrow: bool = True) -> Any:
    """Make a signed quantizer with a constant scale: sign for one bit, half-to-even rounding for more.

    `scale`: the value of one code; `narrow`: without the most negative code.
    """
    span = scale * max(1, 2 ** (bits - 1) - narrow)
    return solver.let(
        quant_type=QuantType.BINARY if bits == 1 else QuantType.INT,
        bit_width_impl_type=BitWidthImplType.CONST,
        bit_width=bits,
        scaling_impl_type=ScalingImplType.CONST,
        restrict_scaling_type=RestrictValueType.FP,
        scaling_per_output_channel=False,
        zero_point_impl=ZeroZeroPoint,
        float_to_int_impl_type=FloatToIntImplType.ROUND,
        signed=True,
        narrow_range=narrow,
        scaling_const=span,  # read by the weights' solver
        min_val=-span,  # read by the activations' solver
        max_val=span,
    )


class Bnn(nn.Module):  # type: ignore[misc]
    """A binary-network classic: every convolution and dense layer but the last has batch norm and a quantizer after it.

    Input (N, C, H, W): multiples of 1/128 in [-1, 127/128]. Output (N, classes): logits.
    """

    def __init__(self, config: BnnConfig) -> None:
        super().__init__()
        self.config = config
        layers: list[nn.Module] = [
            qnn.QuantIdentity(act_quant=signed_quantizer(ActQuantSolver, 8, INPUT_SCALE, narrow=False))
        ]
        channels = config.input_shape[0]
        for width, pooled in CONVOLUTIONS if config.topology == "cnv" else ():
            convolution = qnn.QuantConv2d(channels, width, 3, bias=False, weight_quant=self._weights())
            layers += [convolution, nn.BatchNorm2d(width), self._activation()]
            if pooled:
                layers.append(nn.MaxPool2d(2))
            channels = width
        layers.append(nn.Flatten())
        features, widths = (channels, (512, 512)) if config.topology == "cnv" else (28 * 28, (64, 64, 64))
        for width in widths:
            dense = qnn.QuantLinear(features, width, bias=False, weight_quant=self._weights())
            layers += [dense, nn.BatchNorm1d(width), self._activation()]
            features = width
        # A power of two near 1/sqrt(features) keeps the logits within what a softmax can train on.
        scale = 2.0 ** -((features.bit_length() - 1) // 2)
        layers.append(qnn.QuantLinear(features, config.classes, bias=False, weight_quant=self._weights(scale)))
        self.layers = nn.Sequential(*layers)
        for module in self.modules():
            if isinstance(module, qnn.QuantConv2d | qnn.QuantLinear):
                nn.init.uniform_(module.weight, -1.0, 1.0)

    def _weights(self, scale: float = 1.0) -> Any:
        return signed_quantizer(WeightQuantSolver, self.config.weight_bits, scale)

    def _activation(self) -> nn.Module:
        return qnn.QuantIdentity(act_quant=signed_quantizer(ActQuantSolver, self.config.activation_bits, 1.0))

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, classes) of images `x`."""
        logits: Tensor = self.layers(x)
        return logits


PRESETS: dict[str, BnnConfig] = {
    f"{topology}_w{weight}a{activation}": BnnConfig(topology, weight, activation)
    for topology in ("cnv", "tfc")
    for weight, activation in ((1, 1), (1, 2), (2, 2))
}
"""Configurations by name: cnv_w1a1, cnv_w1a2, cnv_w2a2, tfc_w1a1, tfc_w1a2, tfc_w2a2."""


def build(name: str, seed: int = 0) -> Bnn:
    """Build an untrained network of preset `name`, weights drawn from `seed`; torch's own generator is left as it was.

    Raises MuxflowError naming the presets when it is unknown.
    """
    return seeded(Bnn, configured(PRESETS, name, {}), seed)


def randomise(model: Network, seed: int = 0, images: int = 64) -> Network:
    """Give an untrained network of 8-bit signed input plausible batch norm, in place; return it in evaluation mode.

    Statistics are those of `images` uniformly random images; factors are drawn from 0.5 .. 1.5 and offsets from
    -0.5 .. 0.5, so that every channel has a threshold of its own. Same seed, same values.
    Source: decision.
    """
    generator = torch.Generator().manual_seed(seed)
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    with torch.no_grad():
        for norm in norms:
            norm.weight.copy_(torch.rand(norm.num_features, generator=generator) + 0.5)
            norm.bias.copy_(torch.rand(norm.num_features, generator=generator) - 0.5)
            norm.momentum = 1.0  # the statistics of this one batch
        model.train()
        model(torch.randint(-128, 128, (images, *model.config.input_shape), generator=generator) * INPUT_SCALE)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
    return model
