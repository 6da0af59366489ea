"""Encoders of one trunk and two heads: classes, and a binary code for each patch of 16x16 pixels, in about a megabit.

The networks of the 1 Mb mixed-precision encoder (arXiv 2501.05097): HEQ weights of 3 and 5 levels, half-wave
most-significant-bits activations, Bit-Shift Normalisation.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import brevitas.nn as qnn
from torch import Tensor, nn

from muxflow.frontend.training.bit_shift_norm import BitShiftNorm2d
from muxflow.frontend.training.configuration import configured, from_settings, randomise, seeded
from muxflow.frontend.training.encoder_config import PRESETS, EncoderConfig, EncoderLayer
from muxflow.frontend.training.layers import BatchNorm2d
from muxflow.frontend.training.quantizers import PixelInput, heq_weight, hwmsb_activation
from muxflow.frontend.training.scales import PIXEL_SCALE, activation_scale, heq_scale

__all__ = ["PRESETS", "Encoder", "EncoderConfig", "build", "randomise", "restore"]


def _layer(layer: EncoderLayer, config: EncoderConfig, unit: float, *, code: bool = False) -> nn.Sequential:
    """Chain convolution, norm and activation, which a classifier has not; `unit`: the value of one input code."""
    conv = qnn.QuantConv2d(
        layer.inputs,
        layer.outputs,
        layer.kernel,
        stride=layer.stride,
        padding=layer.padding,
        groups=layer.groups,
        bias=False,
        weight_quant=heq_weight(layer.levels),
    )
    # HEQ looks at the order of weights only, so their spread sets how fast codes change at a learning rate (decision).
    nn.init.uniform_(conv.weight, -1.0, 1.0)
    scale = "unit" if code else config.scale
    step, deviation, mean = layer.aims(scale)
    if config.norm == "bsn":
        norm: nn.Module = BitShiftNorm2d(
            layer.outputs,
            unit * heq_scale(layer.levels),
            step,
            deviation=deviation,
            mean=mean,
            bias_per=config.bias_per,
        )
    else:
        norm = BatchNorm2d(layer.outputs)
        nn.init.constant_(norm.weight, deviation)
        nn.init.constant_(norm.bias, mean)
    parts = OrderedDict(conv=conv, norm=norm)
    if layer.bits:
        parts["act"] = qnn.QuantIdentity(act_quant=hwmsb_activation(layer.bits, scale))
    return nn.Sequential(parts)


class Encoder(nn.Module):  # type: ignore[misc]
    """Encoder: a trunk that brings 16x16 pixels to one place, a classifier over all places, a binary code of each.

    The code reads the trunk, or the pixels in layers of its own (`EncoderConfig.measured`).

    Input (N, C, H, W): pixels p/256. Output: logits (N, classes), and with `config.code` a pair of them and the codes,
    (N, code, H / 16, W / 16) of 0 and 1: the code of a patch stands at the patch's place. `config` holds every choice.
    Source: 1 Mb encoder (arXiv 2501.05097); see `EncoderConfig` for what is a decision.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__()
        self.config = config
        self.pixels = qnn.QuantIdentity(act_quant=PixelInput)
        count = config.trunk_layers
        layers, unit, trunk, code = config.layers(), PIXEL_SCALE, [], []
        for layer in layers[:count]:
            trunk.append(_layer(layer, config, unit))
            unit = activation_scale(layer.bits, config.scale)
        self.trunk = nn.Sequential(*trunk)
        self.classifier = _layer(layers[count], config, unit)
        self.pool = nn.AdaptiveAvgPool2d(1)
        unit = PIXEL_SCALE if config.measured else unit
        for layer in layers[count + 1 :]:
            code.append(_layer(layer, config, unit, code=layer is layers[-1]))
            unit = activation_scale(layer.bits, config.scale)
        self.code = nn.Sequential(*code) if config.code else None

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Compute the logits, and the codes where there are some, of images `x`."""
        pixels = self.pixels(x)
        features = self.trunk(pixels)
        logits: Tensor = self.pool(self.classifier(features)).flatten(1)
        return logits if self.code is None else (logits, self.code(pixels if self.config.measured else features))


def build(name: str, seed: int = 0, **overrides: Any) -> Encoder:
    """Build an untrained network of preset `name`, weights drawn from `seed`; torch's own generator is left as it was.

    Raises MuxflowError when the preset or an override is unknown or out of range.
    """
    return seeded(Encoder, configured(PRESETS, name, overrides), seed)


def restore(settings: Mapping[str, Any]) -> Encoder:
    """Build the network that a training's report describes."""
    return Encoder(from_settings(EncoderConfig, settings))
