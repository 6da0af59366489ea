"""BILLNET: binarised Conv3D and a quantised LSTM for video, with MUX-OR-gated residuals.

A network for Jester's gestures, and a small one for clips of moving digits with its twins (`billnet_config`). Training has
three stages, one for each precision of the LSTM.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import brevitas.nn as qnn
from torch import Tensor, nn

from muxflow.frontend.training.billnet_config import PRESETS, BillnetConfig
from muxflow.frontend.training.configuration import configured, from_settings, randomise, seeded
from muxflow.frontend.training.datasets.dataset import Dataset
from muxflow.frontend.training.joins import MRB
from muxflow.frontend.training.layers import WeightLevels, bn_act, conv_bn_act, quant_conv
from muxflow.frontend.training.lstm import PRECISIONS, QuantLstm
from muxflow.frontend.training.quantizers import PixelInput, binary_weight

__all__ = ["PRESETS", "Billnet", "BillnetConfig", "FactorisedConv3d", "build", "randomise", "restore"]

BITS = 1
"""Of all activations: the Heaviside step, in {0, 1}."""
LOGIT_SCALE = 1 / 4
"""Of the classifier's binary weights: logits of some units on which a softmax can train (decision)."""


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
    after each frame. `config` holds every choice. Without an LSTM a clip's logits are the mean of its frames'.
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
        if c.memory == "lstm":
            options = {name: getattr(c, name) for name in ("weights", "gate_bits", "cell_bits", "fraction_bits")}
            self.lstm = QuantLstm(c.features, c.units, **options, last=not c.every_frame)
        quantizer = binary_weight(LOGIT_SCALE)
        self.classifier = qnn.QuantLinear(
            c.units if self.lstm else c.features, c.classes, bias=True, weight_quant=quantizer
        )
        nn.init.uniform_(self.classifier.weight, -1.0, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the logits of clips `x`."""
        y = self.pooled(self.pool(self.features(self.stages(self.pixels(x)))))
        y = y.flatten(2).transpose(1, 2)
        logits: Tensor = self.classifier(y if self.lstm is None else self.lstm(y))
        return logits if self.lstm is not None or self.config.every_frame else logits.mean(1)

    shares = (2, 1, 1)

    def stage(self, number: int, trained: Billnet, train_set: Dataset) -> Billnet:
        """Set the precision of the LSTM that a stage trains, and return the network."""
        if trained.lstm is not None:
            trained.lstm.precision = PRECISIONS[number]
        return trained


def build(name: str, seed: int = 0, **overrides: Any) -> Billnet:
    """Build an untrained network of preset `name`, weights drawn from `seed`; torch's own generator is left as it was.

    Raises MuxflowError when the preset or an override is unknown or out of range.
    """
    return seeded(Billnet, configured(PRESETS, name, overrides), seed)


def restore(settings: Mapping[str, Any]) -> Billnet:
    """Build the network that a training's report describes."""
    return Billnet(from_settings(BillnetConfig, settings))
