"""VGG10 for radio modulations: one-dimensional convolutions over complex samples (RadioML 2018).

Source: the VGG10 of O'Shea et al. (arXiv 1712.04578) as quantized networks for FPGAs use it; widths are the paper's,
quantizers are decisions.
"""

from __future__ import annotations

from dataclasses import dataclass

import brevitas.nn as qnn
from brevitas.quant.solver import ActQuantSolver
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.configuration import configured, seeded
from muxflow.frontend.training.fields import check_fields, check_range
from muxflow.frontend.training.layers import BatchNorm1d
from muxflow.frontend.training.quantizers import unsigned_activation, weight_quantizer
from muxflow.frontend.training.zoo_bnn import INPUT_SCALE, randomise, signed_quantizer

__all__ = ["PRESETS", "RadioConfig", "RadioVgg", "build", "randomise"]

WEIGHT_LEVELS = 15
"""Levels of a weight: 4 bits without the most negative code."""
ACTIVATION_BITS = 4
MOST_LAYERS = 16
"""Convolutions, of which each halves the samples, at most (decision)."""


@dataclass(frozen=True)
class RadioConfig:
    """All choices of a radio VGG.

    `samples`: complex samples in a frame, divisible by 2^`layers`; `layers`: convolutions of kernel 3, a max pool of 2
    after each; `channels`: of each; `dense`: width of the two dense layers; `classes`: modulations.
    Raises MuxflowError when a field is out of range.
    """

    samples: int = 1024
    layers: int = 7
    channels: int = 64
    dense: int = 128
    classes: int = 24

    def __post_init__(self) -> None:
        check_fields("radio VGG", self)
        check_range("radio VGG", self, 1, "samples", "channels", "dense", "classes")
        check_range("radio VGG", self, 1, "layers", most=MOST_LAYERS)
        if self.samples % 2**self.layers:
            raise MuxflowError(
                f"radio VGG: {self.samples} samples do not divide by two {self.layers} times; use a multiple of "
                f"{2**self.layers}"
            )

    @property
    def input_shape(self) -> tuple[int, int]:
        """(2, samples): in-phase and quadrature."""
        return 2, self.samples


class RadioVgg(nn.Module):  # type: ignore[misc]
    """Convolutions, batch norm, 4-bit activations and pools, then dense layers; all weights of 4 bits.

    Input (N, 2, samples): multiples of 1/128 in [-1, 127/128]. Output (N, classes): logits.
    """

    def __init__(self, config: RadioConfig) -> None:
        super().__init__()
        self.config = config
        weights = weight_quantizer(WEIGHT_LEVELS)
        layers: list[nn.Module] = [
            qnn.QuantIdentity(act_quant=signed_quantizer(ActQuantSolver, 8, INPUT_SCALE, narrow=False))
        ]
        channels = 2
        for _ in range(config.layers):
            convolution = qnn.QuantConv1d(channels, config.channels, 3, padding=1, bias=False, weight_quant=weights)
            layers += [convolution, *_normalised(config.channels), nn.MaxPool1d(2)]
            channels = config.channels
        layers.append(nn.Flatten())
        features = channels * (config.samples >> config.layers)
        for _ in range(2):
            dense = qnn.QuantLinear(features, config.dense, bias=False, weight_quant=weights)
            layers += [dense, *_normalised(config.dense)]
            features = config.dense
        layers.append(qnn.QuantLinear(features, config.classes, bias=False, weight_quant=weights))
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, classes) of frames `x`."""
        logits: Tensor = self.layers(x)
        return logits


def _normalised(width: int) -> list[nn.Module]:
    return [BatchNorm1d(width), qnn.QuantIdentity(act_quant=unsigned_activation(ACTIVATION_BITS))]


PRESETS: dict[str, RadioConfig] = {"vgg10_radio": RadioConfig()}
"""Configurations by name."""


def build(name: str, seed: int = 0) -> RadioVgg:
    """Build an untrained network of preset `name`, weights drawn from `seed`; torch's own generator is left as it was.

    Raises MuxflowError naming the presets when it is unknown.
    """
    return seeded(RadioVgg, configured(PRESETS, name, {}), seed)
