"""Depthwise-separable MobileNets with hybrid filter banks: part of a layer's filters precise, the rest ternary.

ImageNet networks by width multiplier, and a small one for 28x28 digits with its twins (`mobilenet_config`). Training has two
stages: all filters precise first; then those with the largest ternarisation error stay so, and the network is trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import brevitas.nn as qnn
import numpy as np
import torch
from torch import Tensor, nn

from muxflow.frontend.training.configuration import configured, from_settings, randomise, seeded
from muxflow.frontend.training.datasets.dataset import Dataset
from muxflow.frontend.training.hybrid import (
    hybrid_weight,
    precise_counts,
    ternarisation_errors,
    ternary_form,
)
from muxflow.frontend.training.layers import conv_bn_act
from muxflow.frontend.training.mobilenet_config import PRESETS, TERNARY_BITS, MobilenetConfig
from muxflow.frontend.training.quantizers import PixelInput
from muxflow.frontend.training.scales import PIXEL_SCALE

POOLED_BITS = 8
"""Of the averages before the classifier, in steps of 1/256: exact for maps of 4x4 and 4-bit codes (decision)."""
LOSS_IMAGES, LOSS_BATCH = 512, 64
"""Training images on which the increase of the loss is estimated (decision)."""


class Mobilenet(nn.Module):  # type: ignore[misc]
    """MobileNet: 3x3 stem, blocks of a depthwise 3x3 and a pointwise layer, average pooling, 8-bit codes, classifier.

    Input (N, C, H, W): pixels p/256. Output (N, classes): logits. `config` holds every choice.
    Source: MobileNet (arXiv 1704.04861), hybrid banks (arXiv 1911.01028).
    """

    def __init__(self, config: MobilenetConfig) -> None:
        super().__init__()
        self.config = c = config
        self.pixels = qnn.QuantIdentity(act_quant=PixelInput)
        everywhere = c.banks == "all"
        # Precise filters of stem and pointwise layers, and of depthwise layers (those before the last) and classifier.
        made = c.counts[:-1] if everywhere else (c.channels[0], *c.counts)
        kept = c.counts if everywhere else (*c.channels, c.classes)
        self.stem = self._layer(c.input_shape[0], c.channels[0], 3, made[0], c.strides[0])
        self.blocks = nn.Sequential()
        for (inputs, filters), same, precise, stride in zip(c.pairs, kept[:-2], made[1:], c.strides[1:], strict=True):
            depthwise = self._layer(inputs, inputs, 3, same, stride, groups=inputs)
            self.blocks.append(nn.Sequential(depthwise, self._layer(inputs, filters, 1, precise)))
        self.pool = nn.AdaptiveAvgPool2d(1)
        pooled = PixelInput.let(activation_bits=POOLED_BITS, activation_step=PIXEL_SCALE)
        self.pooled = qnn.QuantIdentity(act_quant=pooled)
        quantizer = hybrid_weight(kept[-1], c.precise_bits, c.classes if everywhere else 0)
        self.classifier = qnn.QuantLinear(c.channels[-1], c.classes, bias=False, weight_quant=quantizer)

    def _layer(
        self, inputs: int, filters: int, kernel: int, precise: int, stride: int = 1, groups: int = 1
    ) -> nn.Sequential:
        """Chain convolution, batch norm and activation; `precise`: of its filters."""
        quantizer = hybrid_weight(precise, self.config.precise_bits)
        conv = qnn.QuantConv2d(
            inputs,
            filters,
            kernel,
            stride=stride,
            padding=kernel // 2,
            groups=groups,
            bias=False,
            weight_quant=quantizer,
        )
        return conv_bn_act(conv, filters, self.config.bits)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, classes) of images `x`."""
        y = self.pooled(self.pool(self.blocks(self.stem(self.pixels(x)))).flatten(1))
        logits: Tensor = self.classifier(y)
        return logits

    def layers(self) -> list[nn.Module]:
        """List stem, depthwise and pointwise layers: convolution, batch norm and activation each."""
        return [self.stem, *(layer for block in self.blocks for layer in block)]

    def banks(self) -> tuple[tuple[nn.Module, ...], ...]:
        """List the layers of each bank, see `MobilenetConfig.filters`: those whose filters are kept or not together."""
        convs = [layer[0] for layer in self.layers()]
        if self.config.banks == "pointwise":
            return tuple((conv,) for conv in convs[2::2])
        return (*(tuple(convs[first : first + 2]) for first in range(0, len(convs), 2)), (self.classifier,))

    shares = (1, 1)

    def stage(self, number: int, trained: Mobilenet, train_set: Dataset) -> Mobilenet:
        """Give the network with all filters precise to the first stage, that of chosen precise ones to the second."""
        return self.chosen(trained, train_set) if number else trained.precise_twin()

    def precise_twin(self) -> Mobilenet:
        """Give the same network with all filters precise, with these weights."""
        twin = Mobilenet(replace(self.config, share=1.0, size=0, precise=()))
        twin.load_state_dict(self.state_dict())
        return twin

    def chosen(self, trained: Mobilenet, train_set: Dataset) -> Mobilenet:
        """Give the network that goes on from the trained one: precise filters chosen, and moved to the front.

        Neither validation nor test images decide: `train_set` is what the loss is estimated on, where that measures.
        """
        scores = _scores(trained, train_set, self.config)
        config = replace(self.config, precise=self._counts(scores))
        chosen = Mobilenet(config)
        chosen.load_state_dict(trained.state_dict())
        _move_to_front(chosen, scores)
        return chosen

    def _counts(self, scores: list[Tensor]) -> tuple[int, ...]:
        c = self.config
        if c.precise or not c.size:
            return c.counts
        more = [columns * (c.precise_bits - TERNARY_BITS) for columns in c.columns]
        return precise_counts(scores, more, c.size - c.stored_bits((0,) * len(more)))


def _scores(model: Mobilenet, train_set: Dataset, config: MobilenetConfig) -> list[Tensor]:
    """Tell of the filters of each bank how much it harms to make each ternary, in all of the bank's layers (sum)."""
    weights = [[layer.weight for layer in bank] for bank in model.banks()]
    if config.measure == "error":
        return [torch.stack([ternarisation_errors(one) for one in bank]).sum(dim=0) for bank in weights]
    drawn = np.random.Generator(np.random.PCG64(0)).permutation(len(train_set))[:LOSS_IMAGES]
    model.eval()
    model.zero_grad()
    for start in range(0, len(drawn), LOSS_BATCH):
        chosen = drawn[start : start + LOSS_BATCH]
        labels = torch.from_numpy(train_set.labels[chosen])
        nn.functional.cross_entropy(model(torch.from_numpy(train_set.tensor_images(chosen))), labels).backward()
    changes = [
        [((ternary_form(one) - one.detach()) * one.grad).flatten(1).sum(dim=1) for one in bank] for bank in weights
    ]
    model.zero_grad()
    return [torch.stack(bank).sum(dim=0).abs() for bank in changes]


def _move_to_front(model: Mobilenet, scores: list[Tensor]) -> None:
    """Bring the filters of each bank into the order of falling scores, and all that follows with them; in place.

    The network computes the same. Only a bank's first filters are precise, so these are the ones of the highest scores. The
    classifier's stay where they are, as each is a class: its quantizer keeps their order.
    """
    layers = model.layers()
    everywhere = model.config.banks == "all"
    orders = [torch.argsort(score, descending=True, stable=True) for score in scores]
    with torch.no_grad():
        if everywhere:
            model.classifier.weight_quant.tensor_quant.order.copy_(orders.pop())
        for place, order in zip(range(0 if everywhere else 2, len(layers), 2), orders, strict=True):
            for layer in layers[place : place + 2]:
                layer[0].weight.copy_(layer[0].weight[order])
                for part in (layer[1].weight, layer[1].bias, layer[1].running_mean, layer[1].running_var):
                    part.copy_(part[order])
            reader = layers[place + 2][0] if place + 2 < len(layers) else model.classifier
            reader.weight.copy_(reader.weight[:, order])


__all__ = ["PRESETS", "Mobilenet", "MobilenetConfig", "build", "randomise", "restore"]


def build(name: str, seed: int = 0, **overrides: Any) -> Mobilenet:
    """Build an untrained network of preset `name`, weights drawn from `seed`; torch's own generator is left as it was.

    Raises MuxflowError when the preset or an override is unknown or out of range.
    """
    return seeded(Mobilenet, configured(PRESETS, name, overrides), seed)


def restore(settings: Mapping[str, Any]) -> Mobilenet:
    """Build the network that a training's report describes."""
    return Mobilenet(from_settings(MobilenetConfig, settings))
