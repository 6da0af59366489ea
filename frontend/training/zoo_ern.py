"""Efficiera Residual Networks (ERN): binary weights and 2-bit activations in every layer, integer residual sums.

The networks of arXiv 2410.11553 (`ern18_075` to `ern101`, ImageNet) and a small one for 28x28 digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.configuration import configured, from_settings, randomise, seeded
from muxflow.frontend.training.layers import BatchNorm2d
from muxflow.frontend.training.quantizers import (
    FIXED_BINARY_SCALE,
    PixelInput,
    ScaleMode,
    binary_weight,
    half_wave_activation,
    half_wave_step,
)
from muxflow.frontend.training.thermometer import ThermometerEncoder

BOTTLENECK_EXPANSION = 4


@dataclass(frozen=True)
class ErnConfig:
    """All choices of an ERN.

    `widths`: channels of the stages (of a bottleneck's inside); each but the first halves the map; `blocks`: residual
    blocks of each stage; `bottleneck`: 1x1, 3x3, 1x1 with four times as many channels, else two 3x3; `stem`: strides of the
    3x3 convolutions before the blocks, a 1x1 follows; `stem_width`: their channels; `codes`, `code_bits`: of the
    thermometer; `bits`: of activations; `classes`; `input_shape`: (C, H, W), divisible by all strides; `scale`: activation
    scale.
    Raises MuxflowError when a field is out of range.
    Source: ERN (arXiv 2410.11553), whose ImageNet networks the presets are; `ern_mnist` is a decision.
    """

    widths: tuple[int, ...] = (64, 128, 256, 512)
    blocks: tuple[int, ...] = (2, 2, 2, 2)
    bottleneck: bool = False
    stem: tuple[int, ...] = (2, 1, 2)
    stem_width: int = 64
    codes: int = 10
    code_bits: int = 2
    bits: int = 2
    classes: int = 1000
    input_shape: tuple[int, int, int] = (3, 256, 256)
    scale: ScaleMode = "power_of_two"

    def __post_init__(self) -> None:
        if not self.widths or len(self.widths) != len(self.blocks) or not self.stem:
            raise MuxflowError(
                f"ern: {len(self.widths)} widths, {len(self.blocks)} numbers of blocks and {len(self.stem)} strides of the "
                "stem; give one width and one number of blocks a stage, and one stride or more"
            )
        numbers = (*self.widths, *self.blocks, *self.stem, self.stem_width, self.classes, *self.input_shape)
        if min(numbers) < 1:
            raise MuxflowError(f"ern: {self} holds a number below 1")
        down = prod(self.stem) * 2 ** (len(self.widths) - 1)
        if len(self.input_shape) != 3 or any(size % down for size in self.input_shape[1:]):
            raise MuxflowError(f"ern: input shape {self.input_shape}; give (C, H, W) with H and W divisible by {down}")


def _conv(inputs: int, outputs: int, kernel: int, stride: int = 1, *, residual: bool = False) -> nn.Module:
    """Make a binary convolution without bias; `residual`: it feeds a residual sum, so its scale is the shared 1/32."""
    quantizer = binary_weight(FIXED_BINARY_SCALE if residual else "channel_mean")
    return qnn.QuantConv2d(
        inputs, outputs, kernel, stride=stride, padding=kernel // 2, bias=False, weight_quant=quantizer
    )


def _norm_act(channels: int, config: ErnConfig) -> nn.Sequential:
    """Chain batch norm and half-wave activation; both start with most values inside the activation's range (decision)."""
    norm = BatchNorm2d(channels)
    step = half_wave_step(config.bits, config.scale)
    nn.init.constant_(norm.weight, 1.2 * step)
    nn.init.constant_(norm.bias, step)
    return nn.Sequential(norm, qnn.QuantIdentity(act_quant=half_wave_activation(config.bits, config.scale)))


class ErnBlock(nn.Module):  # type: ignore[misc]
    """Pre-activation residual block: batch norm, activation, then convolutions with both between; y = shortcut + body.

    Input (N, inputs, H, W): integer sums times the shared scale; output the same with `outputs` channels at H / stride.
    `first`: the shortcut is a 1x1 convolution of the block's first activation, with its stride; else the input itself.
    Source: ERN (arXiv 2410.11553); a 1x1 shortcut in every stage follows from the published weight counts.
    """

    def __init__(self, inputs: int, width: int, stride: int, first: bool, config: ErnConfig) -> None:
        super().__init__()
        outputs = width * (BOTTLENECK_EXPANSION if config.bottleneck else 1)
        self.act = _norm_act(inputs, config)
        if config.bottleneck:
            layers = [
                _conv(inputs, width, 1),
                _norm_act(width, config),
                _conv(width, width, 3, stride),
                _norm_act(width, config),
                _conv(width, outputs, 1, residual=True),
            ]
        else:
            layers = [
                _conv(inputs, width, 3, stride),
                _norm_act(width, config),
                _conv(width, width, 3, residual=True),
            ]
        self.body = nn.Sequential(*layers)
        self.shortcut = _conv(inputs, outputs, 1, stride, residual=True) if first else None

    def forward(self, x: Tensor) -> Tensor:
        """Add the body's output to the shortcut's."""
        codes = self.act(x)
        y: Tensor = (x if self.shortcut is None else self.shortcut(codes)) + self.body(codes)
        return y


class Ern(nn.Module):  # type: ignore[misc]
    """ERN: thermometer, stem, stages of pre-activation blocks, binary 1x1 classifier, average pooling.

    Input (N, C, H, W): pixels p/256. Output (N, classes): logits. `config` holds every choice.
    Source: ERN (arXiv 2410.11553).
    """

    def __init__(self, config: ErnConfig) -> None:
        super().__init__()
        self.config = c = config
        step = half_wave_step(c.bits, c.scale)
        self.pixels = qnn.QuantIdentity(act_quant=PixelInput)
        self.thermometer = ThermometerEncoder(c.codes, c.code_bits, step)
        stem: list[nn.Module] = []
        channels = c.codes * c.input_shape[0]
        for stride in c.stem:
            stem += [_conv(channels, c.stem_width, 3, stride), _norm_act(c.stem_width, c)]
            channels = c.stem_width
        self.stem = nn.Sequential(*stem, _conv(channels, channels, 1, residual=True))
        stages: list[nn.Module] = []
        for stage, (width, count) in enumerate(zip(c.widths, c.blocks, strict=True)):
            for index in range(count):
                stride = 2 if stage and not index else 1
                stages.append(ErnBlock(channels, width, stride, index == 0, c))
                channels = width * (BOTTLENECK_EXPANSION if c.bottleneck else 1)
        self.stages = nn.Sequential(*stages)
        self.act = _norm_act(channels, c)
        self.classifier = _conv(channels, c.classes, 1)
        # No batch norm follows: weights of this size give logits that a softmax can train on (decision).
        nn.init.uniform_(self.classifier.weight, -1.0, 1.0)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, classes) of images `x`."""
        y = self.classifier(self.act(self.stages(self.stem(self.thermometer(self.pixels(x))))))
        logits: Tensor = self.pool(y).flatten(1)
        return logits


PRESETS: dict[str, ErnConfig] = {
    "ern18_075": ErnConfig(widths=(64, 128, 256, 384)),
    "ern18": ErnConfig(),
    "ern34": ErnConfig(blocks=(3, 4, 6, 3)),
    "ern50": ErnConfig(blocks=(3, 4, 6, 3), bottleneck=True),
    "ern101": ErnConfig(blocks=(3, 4, 23, 3), bottleneck=True),
    "ern_mnist": ErnConfig(
        widths=(32, 64), blocks=(1, 1), stem=(2,), stem_width=32, classes=10, input_shape=(1, 28, 28)
    ),
}
"""The ImageNet networks of arXiv 2410.11553, and two stages for 28x28 digits."""

__all__ = ["PRESETS", "Ern", "ErnBlock", "ErnConfig", "build", "randomise", "restore", "weight_bits"]


def weight_bits(config: ErnConfig) -> int:
    """Count the bits of all stored weights, one a weight."""
    with torch.device("meta"):
        model = Ern(config)
    return sum(m.weight.numel() for m in model.modules() if isinstance(m, qnn.QuantConv2d))


def build(name: str, seed: int = 0, **overrides: Any) -> Ern:
    """Build an untrained network of preset `name`, weights drawn from `seed`; torch's own generator is left as it was.

    Raises MuxflowError when the preset or an override is unknown or out of range.
    """
    return seeded(Ern, configured(PRESETS, name, overrides), seed)


def restore(settings: Mapping[str, Any]) -> Ern:
    """Build the network that a training's report describes."""
    return Ern(from_settings(ErnConfig, settings))
