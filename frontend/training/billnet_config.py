"""The choices of a BILLNET, and those of the ready-made ones; no training library is needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Literal, get_args

from muxflow.dataflow.errors import MuxflowError

Memory = Literal["lstm", "mean"]
"""What makes one answer of a clip's frames: an LSTM, or the mean over time of each frame's class scores."""
LstmWeights = Literal["binary", "ternary"]
SELECTS = ("channel", "channel-mean", "element", "always", "or")


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
    select: str = "channel"
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
        if not self.multiples or len(self.multiples) != len(self.pools):
            raise MuxflowError(
                f"billnet: {len(self.multiples)} multiples and {len(self.pools)} pools; give one of each for every block"
            )
        numbers = (
            self.n,
            *self.multiples,
            self.group,
            *self.stem,
            self.frames,
            self.features,
            self.units,
            self.classes,
        )
        if min(*numbers, *self.input_shape) < 1:
            raise MuxflowError(f"billnet: {self} holds a number below 1")
        if self.stem[0] % 2 == 0 or self.frames % 2 == 0:
            raise MuxflowError(f"billnet: kernels of {self.stem[0]} pixels and {self.frames} frames; use odd sizes")
        if any(width % self.group for width in self.widths):
            raise MuxflowError(
                f"billnet: widths {self.widths} in groups of {self.group} channels; use a divisor of all"
            )
        for name, met, known in (("select", self.select, SELECTS), ("memory", self.memory, get_args(Memory))):
            if met not in known:
                raise MuxflowError(f"billnet: {name} {met!r}; supported: {', '.join(known)}")
        if len(self.input_shape) != 4 or any(size % self.down for size in self.input_shape[2:]):
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


_DIGITS = BillnetConfig(
    n=24,
    multiples=(1, 2, 2),
    pools=(True, True, False),
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
