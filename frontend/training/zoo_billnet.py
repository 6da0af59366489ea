"""BILLNET: binarised Conv3D and a quantised LSTM for video, with MUX-OR-gated residuals.

A network for Jester's gestures, and a small one for clips of moving digits with its twins. Training has
three stages, one for each precision of the LSTM.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any, Literal, get_args

import brevitas.nn as qnn
import numpy as np
from torch import Tensor, nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.quantities import counted
from muxflow.frontend.recurrent import CellArithmetic
from muxflow.frontend.training.configuration import configured, from_settings, randomise, seeded
from muxflow.frontend.training.datasets.dataset import Dataset
from muxflow.frontend.training.fields import check_fields, check_range
from muxflow.frontend.training.joins import JOINS, MRB, Join
from muxflow.frontend.training.layers import WeightLevels, bn_act, conv_bn_act, quant_conv
from muxflow.frontend.training.lstm import PRECISIONS, LstmWeights, QuantLstm
from muxflow.frontend.training.quantizers import PixelInput, binary_weight

__all__ = ["PRESETS", "Billnet", "BillnetConfig", "FactorisedConv3d", "build", "randomise", "restore"]

Memory = Literal["lstm", "mean"]
"""What makes one answer of a clip's frames: an LSTM, or the mean over time of each frame's class scores."""
BITS = 1
"""Of all activations: the Heaviside step, in {0, 1}."""
LOGIT_SCALE = 1 / 4
"""Of the classifier's binary weights: logits of some units on which a softmax can train (decision)."""


@dataclass(frozen=True)
class BillnetConfig:
    """All choices of a BILLNET.

    `n`: channels of the stem, of which all other widths are multiples; `multiples`: of the blocks' outputs; `pools`: of the
    blocks that a 1x2x2 max pooling comes before, one flag a block; `group`: channels of a group of the 3x3x3 convolutions;
    `stem`: kernel (odd) and stride of the first convolution in space; `frames`: kernel of all convolutions in time, odd, 1
    for none; `select`: of the MUX-OR residuals; `features`: of a frame, after the pooling over space; `memory`; `units`,
    `weights`, `gate_bits`, `cell_bits`, `fraction_bits`: of the LSTM (see `lstm.QuantLstm`); `every_frame`: logits after
    each frame in place of those after the last; `classes`; `input_shape`: (C, T, H, W), H and W divisible by the stem's
    stride and all pools.
    Raises MuxflowError when a field is out of range.
    Source: BILLNET (arXiv 2501.14495), Jester's 16 frames of 96x128; widths, kernels, groups and bits are decisions.
    """

    n: int = 16
    multiples: tuple[int, ...] = (1, 2, 4, 4)
    pools: tuple[bool, ...] = (True, True, True, True)
    group: int = 8
    stem: tuple[int, int] = (3, 2)
    frames: int = 3
    select: Join = "channel"
    features: int = 128
    memory: Memory = "lstm"
    units: int = 128
    weights: LstmWeights = "binary"
    gate_bits: int = 3
    cell_bits: int = 6
    fraction_bits: int = 2
    every_frame: bool = False
    classes: int = 27
    input_shape: tuple[int, int, int, int] = (3, 16, 96, 128)

    def __post_init__(self) -> None:
        check_fields("billnet", self)
        if not self.multiples or len(self.multiples) != len(self.pools):
            raise MuxflowError(
                f"billnet: {counted(len(self.multiples), 'multiple')} and {counted(len(self.pools), 'pool')}; give one of "
                "each for every block"
            )
        sizes = ("n", "multiples", "group", "stem", "frames", "features", "units", "classes", "input_shape")
        check_range("billnet", self, 1, *sizes)
        if self.stem[0] % 2 == 0 or self.frames % 2 == 0:
            raise MuxflowError(f"billnet: kernels of {self.stem[0]} pixels and {self.frames} frames; use odd sizes")
        if any(width % self.group for width in self.widths):
            raise MuxflowError(
                f"billnet: widths {self.widths} in groups of {self.group} channels; use a divisor of all"
            )
        for name, met, known in (
            ("select", self.select, JOINS),
            ("memory", self.memory, get_args(Memory)),
            ("weights", self.weights, get_args(LstmWeights)),
        ):
            if met not in known:
                raise MuxflowError(f"billnet: {name} {met!r}; supported: {', '.join(known)}")
        CellArithmetic(self.gate_bits, self.cell_bits, self.fraction_bits, np.float32(1))
        if any(size % self.down for size in self.input_shape[2:]):
            raise MuxflowError(
                f"billnet: input shape {self.input_shape}; give (C, T, H, W) with H and W divisible by {self.down}, the "
                "stem's stride and all pools"
            )

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of the stem and of each block."""
        return (self.n, *(self.n * multiple for multiple in self.multiples))

    @property
    def down(self) -> int:
        """By how much the map before the last pooling is smaller than a frame, a side."""
        return self.stem[1] * prod(2 for pool in self.pools if pool)


class FactorisedConv3d(nn.Sequential):  # type: ignore[misc]
    """Factorised convolution of clips: 1x1x1, then `frames` x 3x3 in groups, then 1x1x1.

    Input (N, inputs, T, H, W) codes, output (N, outputs, T, H, W) codes; `outputs` channels inside, `group` of them in a
    group. Batch norm and a step activation follow each of the three; weights are binary.
    Raises MuxflowError when groups do not divide the channels.
    Source: BILLNET (arXiv 2501.14495); widths, and an activation after each, are decisions.
    """

    def __init__(self, inputs: int, outputs: int, group: int, frames: int = 3) -> None:
        kernel = (frames, 3, 3)
        super().__init__(
            _layer(inputs, outputs, (1, 1, 1)),
            _layer(outputs, outputs, kernel, groups=max(1, outputs // group)),
            _layer(outputs, outputs, (1, 1, 1)),
        )


def _layer(
    inputs: int,
    outputs: int,
    kernel: tuple[int, int, int],
    *,
    groups: int = 1,
    stride: tuple[int, int, int] = (1, 1, 1),
) -> nn.Sequential:
    """Chain a binary convolution, batch norm and the step."""
    levels: WeightLevels = "binary"
    return conv_bn_act(quant_conv(inputs, outputs, kernel, levels, groups, stride), outputs, BITS)


class Billnet(nn.Module):  # type: ignore[misc]
    """BILLNET: stem, MUX-OR-gated blocks of factorised convolutions, pooling over space, LSTM over time, classifier.

    Input (N, C, T, H, W): pixels p/256. Output: logits (N, classes) of a clip; with `every_frame` (N, T, classes), those
    after each frame, as in training. `config` holds every choice. Without an LSTM a clip's logits are the mean of its frames'.
    Source: BILLNET (arXiv 2501.14495); see `BillnetConfig`.
    """

    def __init__(self, config: BillnetConfig) -> None:
        super().__init__()
        self.config = c = config
        self.pixels = qnn.QuantIdentity(act_quant=PixelInput)
        side, stride = c.stem
        stages = [_layer(c.input_shape[0], c.n, (c.frames, side, side), stride=(1, stride, stride))]
        for inputs, outputs, pool in zip(c.widths, c.widths[1:], c.pools, strict=False):
            if pool:
                stages.append(nn.MaxPool3d((1, 2, 2)))
            body = FactorisedConv3d(inputs, outputs, c.group, c.frames)
            stages.append(MRB(body, inputs, outputs, c.select, mix="or", bits=BITS))
        self.stages = nn.Sequential(*stages)
        self.features = _layer(c.widths[-1], c.features, (1, 1, 1))
        height, width = (size // c.down for size in c.input_shape[2:])
        self.pool = nn.AvgPool3d((1, height, width))
        self.pooled = nn.Sequential(*bn_act(c.features, BITS, axes=3))
        self.lstm: Any = None
        weights = {"bias": True, "weight_quant": binary_weight(LOGIT_SCALE)}
        if c.memory == "lstm":
            options = {name: getattr(c, name) for name in ("weights", "gate_bits", "cell_bits", "fraction_bits")}
            self.lstm = QuantLstm(c.features, c.units, **options, last=not c.every_frame)
            self.classifier = qnn.QuantLinear(c.units, c.classes, **weights)
        else:
            self.classifier = qnn.QuantConv3d(c.features, c.classes, 1, **weights)
            self.mean = nn.AvgPool3d((c.input_shape[1], 1, 1))
        nn.init.uniform_(self.classifier.weight, -1.0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of clips `x`."""
        y = self.pooled(self.pool(self.features(self.stages(self.pixels(x)))))
        logits: Tensor
        if self.lstm is not None:
            logits = self.classifier(self.lstm(y.flatten(2).transpose(1, 2)))
        elif self.config.every_frame:
            logits = self.classifier(y).flatten(2).transpose(1, 2)
        else:
            logits = self.mean(self.classifier(y)).flatten(1)
        return logits

    shares = (1, 1, 2)

    def stage(self, number: int, trained: Billnet, train_set: Dataset) -> Billnet:
        """Set the precision of the LSTM that a stage trains, and return the network."""
        if trained.lstm is not None:
            trained.lstm.precision = PRECISIONS[number]
        return trained


_DIGITS = BillnetConfig(
    multiples=(1, 2, 4),
    pools=(False, True, False),
    group=16,
    stem=(5, 4),
    select="element",
    features=64,
    units=64,
    classes=13,
    input_shape=(1, 16, 32, 32),
)

PRESETS: dict[str, BillnetConfig] = {
    "billnet": BillnetConfig(),
    "billnet_moving_digits": _DIGITS,
    "billnet_moving_digits_mean": replace(_DIGITS, memory="mean"),
    "billnet_moving_digits_frames": replace(_DIGITS, frames=1),
}
"""Jester, clips of moving digits, and the same network without an LSTM, or without convolutions over time."""


def build(name: str, seed: int = 0, **overrides: Any) -> Billnet:
    """Build an untrained network of preset `name`, weights drawn from `seed`; torch's own generator is left as it was.

    Raises MuxflowError when the preset or an override is unknown or out of range.
    """
    return seeded(Billnet, configured(PRESETS, name, overrides), seed)


def restore(settings: Mapping[str, Any]) -> Billnet:
    """Build the network that a training's report describes."""
    return Billnet(from_settings(BillnetConfig, settings))
