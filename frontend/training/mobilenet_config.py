"""The choices of a MobileNet with hybrid filter banks, and those of the ready-made ones; no training library is needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Literal, get_args

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import shown
from muxflow.frontend.training.fields import MOST_RATIO, check_fields, check_range
from muxflow.frontend.training.scales import ACTIVATION_BITS, is_whole

Measure = Literal["error", "loss"]
Banks = Literal["pointwise", "all"]
TERNARY_BITS = 2
"""Stored bits of a weight of -1, 0 or +1."""
PRECISE_BITS = (4, 5, 6, 7, 8)
"""What a precise filter's weights may have."""
TERNARY_THRESHOLD = 0.7
"""Weights of at most this share of their filter's mean magnitude become 0 (ternary weight networks, arXiv 1605.04711)."""
LEAST_SCALE = 2.0**-20
"""Of a filter whose weights are all zero (decision)."""
LEAST_CHANNELS, STEP = 8, 8
"""Of a layer whose width is multiplied: at least 8 channels, in steps of 8, as MobileNets have it."""


def check_bank(precise: int, precise_bits: int) -> None:
    """Raise MuxflowError when a bank cannot have so many precise filters of so many bits."""
    if not is_whole(precise) or precise < 0 or not is_whole(precise_bits) or precise_bits not in PRECISE_BITS:
        raise MuxflowError(
            f"hybrid bank: {shown(precise)} filters of {shown(precise_bits)} bits; give a whole number from 0, and 4 to 8 bits"
        )


def check_filters(precise: int, filters: int, ordered: int = 0) -> None:
    """Raise MuxflowError where a layer of `filters` has fewer than its bank; `ordered`: filters that it orders, 0 for all."""
    if precise > filters or ordered not in (0, filters):
        order = f" in an order of {ordered:,}" if ordered else ""
        raise MuxflowError(
            f"hybrid bank: {precise:,} precise filters{order}, its layer has {filters:,}; give that many filters or fewer, and "
            "an order of all"
        )


@dataclass(frozen=True)
class MobilenetConfig:
    """All choices of a depthwise-separable MobileNet (version 1) with hybrid banks in its pointwise layers, or in all.

    `widths`: channels of the stem and of each block; `strides`: of the same; `multiplier`: of all widths; `bits`: of
    activations, 1 to 4; `banks`: which layers are hybrid, "pointwise" or "all", where the depthwise filter of a channel is
    precise if the filter that makes the channel is; `precise_bits`: of precise filters, and of the layers that are not
    hybrid; `share`: of each bank's filters that stay precise, 0..1; `size`: where it is not 0 the stored weight bits to
    aim at, in place of `share`; `measure`: of the filters to keep, "error" (the ternarisation error) or "loss" (the
    increase of the loss, to first order); `precise`: number of precise filters of each bank (see `filters`), which
    training finds; () before; `classes`; `input_shape`: (C, H, W), divisible by all strides.
    Raises MuxflowError when a field is out of range.
    Source: MobileNet (arXiv 1704.04861) with the banks of arXiv 1911.01028, which start at a share of 1/4; 8 bits, 4-bit
    activations and `mobilenet_hybrid_mnist` are decisions.
    """

    widths: tuple[int, ...] = (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
    strides: tuple[int, ...] = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
    multiplier: float = 1.0
    bits: int = 4
    banks: Banks = "pointwise"
    precise_bits: int = 8
    share: float = 0.25
    size: int = 0
    measure: Measure = "error"
    precise: tuple[int, ...] = ()
    classes: int = 1000
    input_shape: tuple[int, int, int] = (3, 224, 224)

    def __post_init__(self) -> None:
        check_fields("mobilenet", self)
        if len(self.widths) < 2 or len(self.widths) != len(self.strides):
            raise MuxflowError(
                f"mobilenet: {counted(len(self.widths), 'width')} and {counted(len(self.strides), 'stride')}; give one of each "
                "for the stem and for every block"
            )
        check_range("mobilenet", self, 1, "widths", "strides", "classes", "input_shape")
        if not 0 < self.multiplier <= MOST_RATIO:
            raise MuxflowError(f"mobilenet: a multiplier of {self.multiplier:g}; use one above 0, to {MOST_RATIO}")
        down = prod(self.strides)
        if any(size % down for size in self.input_shape[1:]):
            raise MuxflowError(
                f"mobilenet: input shape {self.input_shape}; give (C, H, W) with H and W divisible by {down}"
            )
        if self.bits not in ACTIVATION_BITS:
            raise MuxflowError(
                f"mobilenet: activations of {self.bits} bits; supported are {', '.join(map(str, ACTIVATION_BITS))}"
            )
        if self.precise_bits not in PRECISE_BITS:
            raise MuxflowError(f"mobilenet: precise filters of {self.precise_bits!r} bits; supported are 4 to 8")
        if not 0 <= self.share <= 1:
            raise MuxflowError(f"mobilenet: a share of {self.share:g}; it must be 0 (all ternary) to 1 (none)")
        if self.measure not in get_args(Measure):
            raise MuxflowError(f"mobilenet: measure {self.measure!r}; supported: 'error', 'loss'")
        if self.banks not in get_args(Banks):
            raise MuxflowError(f"mobilenet: banks {self.banks!r}; supported: 'pointwise', 'all'")
        self._check_counts()

    def _check_counts(self) -> None:
        filters = self.filters
        if self.precise and (
            len(self.precise) != len(filters)
            or any(not 0 <= some <= every for some, every in zip(self.precise, filters, strict=True))
        ):
            raise MuxflowError(
                f"mobilenet: {self.precise} precise filters for banks of {filters}; give one number a bank"
            )
        least, most = self.stored_bits((0,) * len(filters)), self.stored_bits(filters)
        if self.size and not least <= self.size <= most:
            raise UsageError(
                f"mobilenet: size = {shown(self.size)}; use {least:,} (bits with all filters of its banks ternary) to {most:,} "
                "(with none), or 0 for `share`"
            )

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the stem and of each block, the multiplier taken in."""
        if self.multiplier == 1:
            return self.widths
        return tuple(max(LEAST_CHANNELS, round(w * self.multiplier / STEP) * STEP) for w in self.widths)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """List (inputs, filters) of each pointwise layer."""
        return tuple(zip(self.channels, self.channels[1:], strict=False))

    @property
    def filters(self) -> tuple[int, ...]:
        """Filters of each bank: the pointwise layers; with `banks` "all" the stem, the pointwise layers, the classifier."""
        return self.channels[1:] if self.banks == "pointwise" else (*self.channels, self.classes)

    @property
    def columns(self) -> tuple[int, ...]:
        """Weights of a filter of each bank, with "all" those of the depthwise filter that follows among them."""
        inputs = self.channels[:-1]
        if self.banks == "pointwise":
            return inputs
        stem = 9 * self.input_shape[0]
        return (*(count + 9 for count in (stem, *inputs[:-1])), inputs[-1], self.channels[-1])

    @property
    def counts(self) -> tuple[int, ...]:
        """Precise filters of each bank: `precise` where it is known, else by `share`."""
        return self.precise or tuple(round(self.share * filters) for filters in self.filters)

    def stored_bits(self, precise: tuple[int, ...] | None = None) -> int:
        """Count the bits of all weights, with so many precise filters in the banks (those of `counts` when None)."""
        channels = self.channels
        rest = 9 * self.input_shape[0] * channels[0] + 9 * sum(channels[:-1]) + channels[-1] * self.classes
        counts = self.counts if precise is None else precise
        banks = sum(
            columns * (some * self.precise_bits + (filters - some) * TERNARY_BITS)
            for columns, filters, some in zip(self.columns, self.filters, counts, strict=True)
        )
        return banks + (rest * self.precise_bits if self.banks == "pointwise" else 0)


_DIGITS = MobilenetConfig(
    widths=(16, 32, 64, 64, 128, 128), strides=(2, 1, 2, 1, 1, 1), classes=10, input_shape=(1, 28, 28)
)


def _digits(share: float, banks: Banks = "pointwise") -> MobilenetConfig:
    return replace(_DIGITS, share=share, banks=banks)


PRESETS: dict[str, MobilenetConfig] = {
    "mobilenet_hybrid": MobilenetConfig(),
    "mobilenet_hybrid_075": MobilenetConfig(multiplier=0.75),
    "mobilenet_hybrid_050": MobilenetConfig(multiplier=0.5),
    "mobilenet_hybrid_025": MobilenetConfig(multiplier=0.25),
    "mobilenet_hybrid_mnist": _digits(0.25),
    "mobilenet_hybrid_mnist_precise": _digits(1.0),
    "mobilenet_hybrid_mnist_ternary": _digits(0.0),
    "mobilenet_hybrid_mnist_all": _digits(0.25, "all"),
}
"""ImageNet by width multiplier, and 28x28 digits: hybrid, its twin without ternary filters, without precise ones in pointwise
layers, and hybrid in all layers."""
