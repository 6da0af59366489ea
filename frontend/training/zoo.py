"""Ready-made networks: the MOGNET family, its presets and its storage figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import brevitas.nn as qnn
from torch import Tensor, nn

from muxflow.dataflow.automaton import Alphabet
from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.configuration import configured, from_settings, randomise, seeded
from muxflow.frontend.training.fields import MOST_RATIO, check_fields, check_range
from muxflow.frontend.training.joins import MRB, Join
from muxflow.frontend.training.layers import CFLOG, BatchNorm2d, WeightLevels, conv_bn_act, quant_conv
from muxflow.frontend.training.quantizers import PixelInput
from muxflow.frontend.training.scales import ScaleMode, heq_bits

MEGABIT = 2**20


@dataclass(frozen=True)
class MognetConfig:
    """All choices of a MOGNET.

    `n`: width of the first stage (stages are n, 2n, 4n wide); `m_ratio`: latent width m of a block over its width;
    `g`: groups of the 3x3 convolution; `k`: activation bits, 1..4; `select`: residual join (`layers.JOINS`);
    `classes`; `input_shape`: (C, H, W), H and W divisible by 4; `blocks`: MRBs per stage; `weight_levels`: 3, 5, 7 or
    "binary", for every stored weight; `scale`: activation scale; `rule`, `ring` (None: as long as a row needs),
    `burn_in` (None: the ring's length), `alphabet`: cellular automaton;
    `automaton_seed`: None starts every ring from one central cell, s >= 1 gives block i the random seed s + i.
    Raises MuxflowError when a field is out of range.
    Source: MOGNET (arXiv 2501.09531); topology, rule and seed are decisions.
    """

    n: int = 64
    m_ratio: float = 1.0
    g: int = 4
    k: int = 3
    select: Join = "channel"
    classes: int = 10
    input_shape: tuple[int, int, int] = (3, 32, 32)
    blocks: int = 2
    weight_levels: WeightLevels = 3
    scale: ScaleMode = "power_of_two"
    rule: int = 30
    ring: int | None = None
    burn_in: int | None = None
    alphabet: Alphabet = "binary"
    automaton_seed: int | None = None

    def __post_init__(self) -> None:
        check_fields("mognet", self)
        check_range("mognet", self, 1, "n", "g", "k", "classes", "blocks", "input_shape")
        check_range("mognet", self, 0, "m_ratio", most=MOST_RATIO)
        if any(s % 4 for s in self.input_shape[1:]):
            raise MuxflowError(
                f"mognet: input shape {self.input_shape}; give (C, H, W) with H and W divisible by 4 (two 2x2 poolings)"
            )
        for width in self.widths:
            if self.latent(width) < 1 or self.latent(width) % self.g:
                raise MuxflowError(
                    f"mognet: width {width} times m_ratio {self.m_ratio:g} gives {self.latent(width)} latent channels; "
                    f"they must divide into g = {self.g} groups"
                )
        if self.automaton_seed is not None and self.automaton_seed < 1:
            raise MuxflowError(f"mognet: automaton_seed {self.automaton_seed}; use None (central cell) or 1 and more")

    @property
    def widths(self) -> tuple[int, int, int]:
        """Output channels of the three stages."""
        return self.n, 2 * self.n, 4 * self.n

    def latent(self, width: int) -> int:
        """Return the latent channels m of a block of the given width."""
        return round(width * self.m_ratio)

    def block_channels(self) -> tuple[tuple[int, int], ...]:
        """List (input, output) channels of every MRB in order; the first block of a stage changes the width."""
        pairs, channels = [], self.n
        for width in self.widths:
            for _ in range(self.blocks):
                pairs.append((channels, width))
                channels = width
        return tuple(pairs)


def storage_bits(config: MognetConfig, bits_per_weight: int | None = None) -> int:
    """Count the bits of all stored weights (stem, blocks, final 1x1); generated weights are free, batch norm is not counted.

    `bits_per_weight`: None takes 2 for ternary, 3 for 5 and 7 levels, 1 for binary.
    Source: MOGNET's count per block, c_in*m + 9*m^2/g.
    """
    if bits_per_weight is None:
        bits_per_weight = 1 if config.weight_levels == "binary" else heq_bits(config.weight_levels)
    weights = 9 * config.input_shape[0] * config.n + config.widths[-1] * config.classes
    for c_in, width in config.block_channels():
        m = config.latent(width)
        weights += c_in * m + 9 * m * m // config.g
    return weights * bits_per_weight


class Mognet(nn.Module):  # type: ignore[misc]
    """MOGNET: 3x3 stem, three stages of MRB(CFLOG) with 2x2 max pooling between, 1x1 classifier, BN, average pooling.

    Input (N, C, H, W): pixels p/256, p in 0..255. Output (N, classes): logits. `config` holds every choice.
    Source: MOGNET (arXiv 2501.09531); see `MognetConfig` for what is a decision.
    """

    def __init__(self, config: MognetConfig) -> None:
        super().__init__()
        self.config = config
        c = config
        self.pixels = qnn.QuantIdentity(act_quant=PixelInput)
        self.stem = conv_bn_act(quant_conv(c.input_shape[0], c.n, 3, c.weight_levels), c.n, c.k, c.scale)
        layers: list[nn.Module] = []
        for index, (c_in, width) in enumerate(c.block_channels()):
            if index and index % c.blocks == 0:
                layers.append(nn.MaxPool2d(2))
            body = CFLOG(
                c_in,
                width,
                c.latent(width),
                c.g,
                bits=c.k,
                weight_levels=c.weight_levels,
                scale=c.scale,
                automaton={
                    "rule": c.rule,
                    "ring": c.ring,
                    "burn_in": c.burn_in,
                    "alphabet": c.alphabet,
                    "seed": 0 if c.automaton_seed is None else c.automaton_seed + index,
                },
            )
            layers.append(MRB(body, c_in, width, c.select, bits=c.k, scale=c.scale))
        self.stages = nn.Sequential(*layers)
        self.classifier = quant_conv(c.widths[-1], c.classes, 1, c.weight_levels)
        self.norm = BatchNorm2d(c.classes)
        self.pool = nn.AdaptiveAvgPool2d(1)

    def forward(self, x: Tensor) -> Tensor:
        """Compute logits (N, classes) of images `x`."""
        y = self.norm(self.classifier(self.stages(self.stem(self.pixels(x)))))
        logits: Tensor = self.pool(y).flatten(1)
        return logits


PRESETS: dict[str, MognetConfig] = {
    "mognet_cifar10": MognetConfig(),
    "mognet_cifar10_small": MognetConfig(g=8),
    "mognet_cifar10_large": MognetConfig(n=96, g=8),
    "mognet_cifar100": MognetConfig(classes=100),
    "mognet_digits": MognetConfig(n=24, g=8, input_shape=(1, 8, 8)),
    "mognet_mnist": MognetConfig(n=32, g=4, input_shape=(1, 28, 28)),
}
"""Configurations by name: CIFAR-10 at 1.00 Mb (n=64, g=4), 0.63 Mb (g=8) and 1.41 Mb (n=96, g=8) of stored weights, 100
classes, 8x8 digits, and 28x28 digits at 0.25 Mb."""


__all__ = ["PRESETS", "Mognet", "MognetConfig", "build", "preset", "randomise", "restore", "storage_bits"]


def preset(name: str, **overrides: Any) -> MognetConfig:
    """Return the configuration called `name`, with fields replaced by `overrides`; raises as `configured`."""
    return configured(PRESETS, name, overrides)


def build(name: str, seed: int = 0, **overrides: Any) -> Mognet:
    """Build an untrained network of preset `name`, weights drawn from `seed`; torch's own generator is left as it was.

    Raises MuxflowError when the preset or an override is unknown or out of range.
    """
    return seeded(Mognet, preset(name, **overrides), seed)


def restore(settings: Mapping[str, Any]) -> Mognet:
    """Build the network that a training's report describes."""
    return Mognet(from_settings(MognetConfig, settings))
