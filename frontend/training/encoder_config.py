"""The choices of an encoder for classes and patch codes, and those of the ready-made ones; no training library is needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.quantities import counted
from muxflow.frontend.training.fields import check_fields, check_range
from muxflow.frontend.training.scales import ACTIVATION_BITS, BiasPer, ScaleMode, activation_scale, check_scale_mode

Norm = Literal["bsn", "batch"]
PATCH = 16
"""Pixels that a patch of the map is high and wide: one place of the last map codes it."""


@dataclass(frozen=True)
class EncoderLayer:
    """One convolution: channels, kernel, stride, groups, levels of its weights, bits of the activation after it (0: none)."""

    inputs: int
    outputs: int
    kernel: int
    stride: int
    groups: int
    levels: int
    bits: int

    @property
    def padding(self) -> int:
        """Pixels of zeros on each side: none where a whole patch is measured."""
        return self.kernel // 2 if self.kernel % 2 else 0

    def aims(self, scale: ScaleMode) -> tuple[float, float, float]:
        """Return the step of the activation, and the standard deviation and the mean that the norm before it begins with.

        Most values lie inside the activation's range, as many of a code of one bit on either side of its threshold. Without
        an activation these are logits: of a spread that a softmax can train on, as a shift that all classes share
        cannot grow with them (decisions).
        """
        if not self.bits:
            return 1.0, 4.0, 0.0
        step = activation_scale(self.bits, scale)
        top = step * 2**self.bits
        return step, top / 4, top / 2


@dataclass(frozen=True)
class EncoderConfig:
    """All choices of an encoder.

    `widths`: channels of the stages, of which each halves the map, four in all; `depths`: pairs of a 3x3 convolution in
    `groups` and a dense 1x1 in each stage; the first 3x3 is dense. `levels`: HEQ levels of the weights, 3, 5 or 7, and
    `bits`: of the activations, 1, 2 or 3: one number for all, or one for each layer, the trunk's in order, then the
    classifier's and the code's (whose activation has one bit: it is not in `bits`). `classes`; `code`: bits for a
    patch of 16x16 pixels, 0 for no code; `measured`: channels of the code's own layers, of which the first measures the
    pixels of whole patches and the others are 1x1; none where the code is read from the trunk;
    `input_shape`: (C, H, W), H and W divisible by 16; `scale`: activation scale;
    `norm`: "bsn" or "batch"; `bias_per`: of bit-shift norm, "channel" or "layer".
    Raises MuxflowError when a field is out of range.
    Source: 1 Mb encoder (arXiv 2501.05097): quinary and ternary weights, activations of 3, 2 and 1 bits, grouped
    convolutions, 64 bits a patch; the topology is a decision.
    """

    widths: tuple[int, ...] = (32, 64, 128, 128)
    depths: tuple[int, ...] = (1, 1, 1, 1)
    groups: int = 4
    levels: tuple[int, ...] = (3,)
    bits: tuple[int, ...] = (2,)
    classes: int = 10
    code: int = 64
    measured: tuple[int, ...] = ()
    input_shape: tuple[int, int, int] = (1, 32, 32)
    scale: ScaleMode = "power_of_two"
    norm: Norm = "bsn"
    bias_per: BiasPer = "channel"

    def __post_init__(self) -> None:
        check_fields("encoder", self)
        if len(self.widths) != 4 or len(self.depths) != 4:
            raise MuxflowError(
                f"encoder: {counted(len(self.widths), 'width')} and {counted(len(self.depths), 'depth')}; give one a "
                f"stage, for the four that bring a patch of {PATCH}x{PATCH} pixels to one place"
            )
        check_range("encoder", self, 1, "widths", "depths", "measured", "groups", "classes", "input_shape")
        check_range("encoder", self, 0, "code")
        if any(width % self.groups for width in self.widths):
            raise MuxflowError(f"encoder: {self.groups} groups do not divide the widths {self.widths}")
        if any(size % PATCH for size in self.input_shape[1:]):
            raise MuxflowError(
                f"encoder: input shape {self.input_shape}; give (C, H, W) with H and W divisible by {PATCH}"
            )
        for name, known, count in (
            ("levels", (3, 5, 7), self.trunk_layers + 1 + self.code_layers),
            ("bits", ACTIVATION_BITS[:3], self.trunk_layers + max(self.code_layers - 1, 0)),
        ):
            given = getattr(self, name)
            if len(given) not in (1, count) or not set(given) <= set(known):
                raise MuxflowError(
                    f"encoder: {name} {given}; give one number, or one for each of {count} layers, of "
                    f"{', '.join(map(str, known))}"
                )
        check_scale_mode(self.scale)
        for name, options in (("norm", Norm), ("bias_per", BiasPer)):
            if getattr(self, name) not in get_args(options):
                raise MuxflowError(
                    f"encoder: {name} {getattr(self, name)!r}; supported: {', '.join(get_args(options))}"
                )

    @property
    def trunk_layers(self) -> int:
        """Count the convolutions before the heads."""
        return 2 * sum(self.depths)

    @property
    def code_layers(self) -> int:
        """Count the convolutions of the code."""
        return len(self.measured) + 1 if self.code else 0

    def layers(self) -> tuple[EncoderLayer, ...]:
        """List the convolutions: the trunk's in order, the classifier, and the code's where there is one."""
        shapes: list[tuple[int, int, int, int, int]] = []
        channels = self.input_shape[0]
        for width, depth in zip(self.widths, self.depths, strict=True):
            for block in range(depth):
                shapes.append((channels, width, 3, 1 if block else 2, self.groups if shapes else 1))
                shapes.append((width, width, 1, 1, 1))
                channels = width
        shapes.append((channels, self.classes, 1, 1, 1))
        if self.measured:
            channels = self.input_shape[0]
        for place, outputs in enumerate((*self.measured, self.code) if self.code else ()):
            side = PATCH if self.measured and not place else 1
            shapes.append((channels, outputs, side, side, 1))
            channels = outputs
        levels = self.levels if len(self.levels) > 1 else self.levels * len(shapes)
        bits = list(self.bits if len(self.bits) > 1 else self.bits * (len(shapes) - 1 - bool(self.code)))
        bits.insert(self.trunk_layers, 0)
        return tuple(
            EncoderLayer(*shape, number, width)
            for shape, number, width in zip(shapes, levels, (*bits, 1), strict=False)
        )


PRESETS: dict[str, EncoderConfig] = {
    "encoder_digits": EncoderConfig(
        measured=(224,), levels=(5, 5, *(3,) * 6, 5, 5, 3), bits=(3, 3, 3, 3, 2, 2, 2, 2, 1)
    ),
    "encoder_1mb": EncoderConfig(
        widths=(64, 128, 256, 256),
        depths=(2, 2, 2, 1),
        groups=8,
        levels=(5, 5, 5, 5, *(3,) * 10, 5, 3),
        bits=(3, 3, 3, 3, *(2,) * 10),
        input_shape=(3, 32, 32),
    ),
}
"""28x28 digits with two pixels of zeros on all sides, and CIFAR-10 in at most 2^20 stored bits."""
