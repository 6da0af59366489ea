"""Residual networks whose shortcut is gated by OR or MUX, and the same with a plain addition, for 28x28 digits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import brevitas.nn as qnn
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.configuration import configured, from_settings, randomise, seeded
from muxflow.frontend.training.fields import check_fields, check_range
from muxflow.frontend.training.joins import JOINS, MRB, Join
from muxflow.frontend.training.layers import BatchNorm2d, conv_bn_act, quant_conv
from muxflow.frontend.training.quantizers import PixelInput, unsigned_activation
from muxflow.frontend.training.scales import ScaleMode

__all__ = ["PRESETS", "GatedResNet", "ResidualConfig", "build", "randomise", "restore"]


@dataclass(frozen=True)
class ResidualConfig:
    """All choices of a gated residual network.

    `join`: "or", a select mode of MUX (`joins.JOINS`), or "add", a plain sum that is quantised anew; `widths`: channels of
    the stages, a 2x2 max pooling before each but the first; `blocks`: residual blocks of each stage; `bits`: of
    activations, 1..4; `levels`: HEQ levels of the weights; `classes`; `input_shape`: (C, H, W), divisible by two once for
    each stage; `scale`: activation scale.
    Raises MuxflowError when a field is out of range.
    Source: HEQ (arXiv 2501.04517), OR- and MUX-gated residual networks; the topology is a decision.
    """

    join: Join | Literal["add"] = "or"
    widths: tuple[int, ...] = (16, 32)
    blocks: int = 1
    bits: int = 2
    levels: int = 3
    classes: int = 10
    input_shape: tuple[int, int, int] = (1, 28, 28)
    scale: ScaleMode = "power_of_two"

    def __post_init__(self) -> None:
        check_fields("residual network", self)
        if self.join not in (*JOINS, "add"):
            raise MuxflowError(f"residual network: join {self.join!r}; supported: {', '.join((*JOINS, 'add'))}")
        check_range("residual network", self, 1, "widths", "blocks", "classes", "bits", "levels", "input_shape")
        if not self.widths:
            raise MuxflowError("residual network: no widths; give one a stage")
        down = 2 ** len(self.widths)
        if any(size % down for size in self.input_shape[1:]):
            raise MuxflowError(
                f"residual network: input shape {self.input_shape}; give (C, H, W) with H and W divisible by {down}"
            )


class AddBlock(nn.Module):  # type: ignore[misc]
    """Residual block with a plain sum: `quantise(x + body(x))` of unsigned codes, which takes one bit more in between."""

    def __init__(self, body: nn.Module, bits: int, scale: ScaleMode) -> None:
        super().__init__()
        self.body = body
        self.act = qnn.QuantIdentity(act_quant=unsigned_activation(bits, scale))

    def forward(self, x: Tensor) -> Tensor:
        """Add the body's output to `x`."""
        y: Tensor = self.act(x + self.body(x))
        return y


class GatedResNet(nn.Module):  # type: ignore[misc]
    """Residual network: 3x3 stem of stride 2, stages of blocks of two 3x3 convolutions, 1x1 classifier, average pooling.

    Input (N, C, H, W): pixels p/256. Output (N, classes): logits. `config` holds every choice.
    Source: HEQ (arXiv 2501.04517); see `ResidualConfig`.
    """

    def __init__(self, config: ResidualConfig) -> None:
        super().__init__()
        self.config = c = config
        self.pixels = qnn.QuantIdentity(act_quant=PixelInput)
        channels = c.input_shape[0]
        layers: list[nn.Module] = []
        for stage, width in enumerate(c.widths):
            if stage:
                layers.append(nn.MaxPool2d(2))
            layers.append(self._conv(channels, width, 1 if stage else 2))
            layers += [self._block(width) for _ in range(c.blocks)]
            channels = width
        self.stages = nn.Sequential(*layers)
        self.classifier = quant_conv(channels, c.classes, 1, c.levels)
        self.norm = BatchNorm2d(c.classes)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def _conv(self, inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
        c = self.config
        return conv_bn_act(quant_conv(inputs, outputs, 3, c.levels, stride=stride), outputs, c.bits, c.scale)

    def _block(self, width: int) -> nn.Module:
        c = self.config
        body = nn.Sequential(self._conv(width, width), self._conv(width, width))
        if c.join == "add":
            return AddBlock(body, c.bits, c.scale)
        return MRB(body, width, width, c.join, bits=c.bits, scale=c.scale)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, classes) of images `x`."""
        y = self.norm(self.classifier(self.stages(self.pixels(x))))
        logits: Tensor = self.pool(y).flatten(1)
        return logits


PRESETS: dict[str, ResidualConfig] = {
    "or_resnet": ResidualConfig("or"),
    "mux_resnet": ResidualConfig("channel"),
    "add_resnet": ResidualConfig("add"),
}
"""The same network with three joins, for 28x28 digits."""


def build(name: str, seed: int = 0, **overrides: Any) -> GatedResNet:
    """Build an untrained network of preset `name`, weights drawn from `seed`; torch's own generator is left as it was.

    Raises MuxflowError when the preset or an override is unknown or out of range.
    """
    return seeded(GatedResNet, configured(PRESETS, name, overrides), seed)


def restore(settings: Mapping[str, Any]) -> GatedResNet:
    """Build the network that a training's report describes."""
    return GatedResNet(from_settings(ResidualConfig, settings))
