"""Shift and clip: bit-shift normalisation (1 Mb encoder) and half-wave most-significant-bits activation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import (
    Fold,
    IntArray,
    Kernel,
    Logic,
    Loop,
    Op,
    Pattern,
    Ports,
    Table,
    control_lut,
    frozen_array,
)


@dataclass(frozen=True, eq=False)
class ShiftClip(Op):
    """y = clip((x + bias_c) >> shift, lowest, highest); the shift is arithmetic (floor).

    `bias`: shape (channels,) or (1,), integers; `shift` >= 0; `lowest` <= `highest`.

    Source: 1 Mb encoder (arXiv 2501.05097), layer-shared bit-shift normalisation; bias and clip are decisions.
    """

    bias: IntArray
    shift: int
    lowest: int
    highest: int

    def __post_init__(self) -> None:
        bias = frozen_array(self.bias)
        if bias.ndim != 1 or bias.size == 0 or self.shift < 0 or self.lowest > self.highest:
            raise GraphError(
                f"shift and clip: bias of shape {bias.shape}, shift {self.shift}, range [{self.lowest}, {self.highest}]"
            )
        object.__setattr__(self, "bias", bias)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if len(self.bias) not in (1, x.channels):
            raise GraphError(f"shift and clip: {len(self.bias)} biases for {x.channels} channels")
        lo, hi = (x.lo + int(self.bias.min())) >> self.shift, (x.hi + int(self.bias.max())) >> self.shift
        lo, hi = (int(np.clip(end, self.lowest, self.highest)) for end in (lo, hi))
        return (Stream(x.shape, lo, hi),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (np.clip((inputs[0] + self.bias) >> self.shift, self.lowest, self.highest),)

    def _table(self, fold: Fold) -> IntArray:
        return self.bias.reshape(-1, fold.pe) if len(self.bias) > 1 else self.bias.repeat(fold.pe)[None]

    def _sum_bits(self, x: Stream) -> int:
        bounds = [x.lo, x.hi, x.lo + int(self.bias.min()), x.hi + int(self.bias.max()), -1, self.lowest, self.highest]
        return width(min(bounds), max(bounds))[0]

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        every = Pattern.always(ports.inputs[0].size // fold.pe)
        return Loop((every,), (every,), depth=3)

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """One adder, two comparisons at half a LUT a bit each, one choice."""
        bits = self._sum_bits(ports.inputs[0])
        lane = 2 * bits + ports.outputs[0].bits
        return Logic(fold.pe * lane + control_lut(self.loop(ports, fold).trips), fold.pe * 2 * bits + 20)

    def memories(self, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        bits = width(int(self.bias.min()), int(self.bias.max()))[0]
        return (Memory("bias", "threshold", len(self._table(fold)), fold.pe * bits),)

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        table = self._table(fold)
        x = ports.inputs[0]
        bits = self._sum_bits(x)
        return Kernel(
            "shift_clip.hpp",
            "shift_clip",
            (
                ("PIXELS", x.size // table.size),
                ("CHANNEL_FOLD", len(table)),
                ("SHIFT", min(self.shift, bits - 1)),  # beyond the width only the sign is left
                ("LOWEST", self.lowest),
                ("HIGHEST", self.highest),
                ("SUM_BITS", bits),
            ),
            (Table("bias", table, int(table.min()), int(table.max())),),
        )
