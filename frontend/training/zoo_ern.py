"""Efficiera Residual Networks (ERN): binary weights and 2-bit activations in every layer, integer residual sums.

The networks of arXiv 2410.11553 (`ern18_075` to `ern101`, ImageNet) and a small one for 28x28 digits.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import brevitas.nn as qnn
import torch
from torch import Tensor, nn

from muxflow.frontend.training.configuration import configured, from_settings, randomise, seeded
from muxflow.frontend.training.ern_config import BOTTLENECK_EXPANSION, PRESETS, ErnConfig
from muxflow.frontend.training.layers import BatchNorm2d
from muxflow.frontend.training.quantizers import PixelInput, binary_weight, half_wave_activation
from muxflow.frontend.training.scales import FIXED_BINARY_SCALE, half_wave_step
from muxflow.frontend.training.thermometer import ThermometerEncoder


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
