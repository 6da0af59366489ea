"""Thresholds: an activation quantizer and all affine arithmetic before it, as integer comparisons."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import constant
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import (
    UNROLL_LIMIT,
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
    divisors,
    frozen_array,
)


@dataclass(frozen=True, eq=False)
class Threshold(Op):
    """code = base + count, or base + steps - count where the channel is falling; count = how many thresholds are <= x.

    `thresholds`: shape (rows, steps), ascending in each row; rows is 1 (the same for every element), the channels, or
    all elements of a frame. `falling`: shape (rows,), 1 where the code falls as x rises. `base`: lowest code.
    """

    thresholds: IntArray
    falling: IntArray
    base: int = 0

    def __post_init__(self) -> None:
        thresholds, falling = frozen_array(self.thresholds), frozen_array(self.falling)
        if thresholds.ndim != 2 or thresholds.size == 0 or falling.shape != thresholds.shape[:1]:
            raise GraphError(
                f"threshold: tables of shape {thresholds.shape} and {falling.shape}; expected (rows, steps) and (rows,)"
            )
        if (np.diff(thresholds, axis=1) < 0).any():
            raise GraphError("threshold: the thresholds of a row must not descend")
        object.__setattr__(self, "thresholds", thresholds)
        object.__setattr__(self, "falling", falling)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if len(self.thresholds) not in (1, x.channels, x.size):
            raise GraphError(f"threshold: {len(self.thresholds)} rows of thresholds for {x}; expected {x.channels}")
        ends = np.stack([self.codes(np.full(len(self.thresholds), end)) for end in (x.lo, x.hi)])
        lo, hi = int(ends.min()), int(ends.max())
        return (Stream(x.shape, lo, hi, bipolar=self._jump == 2 and (lo, hi) == (-1, 1)),)

    @cached_property
    def _jump(self) -> int:
        """Codes from one level to the next: 2 where the thresholds come in equal pairs, as in a quantizer to -1 and +1."""
        steps = self.thresholds.shape[1]
        return 2 if steps % 2 == 0 and np.array_equal(self.thresholds[:, ::2], self.thresholds[:, 1::2]) else 1

    @cached_property
    def _levels(self) -> IntArray:
        """The thresholds that are compared with, shape (rows, steps): one of each pair."""
        return self.thresholds[:, :: self._jump]

    def codes(self, x: IntArray) -> IntArray:
        """Codes of inputs whose last axis runs over the rows."""
        flat = x.reshape(-1, len(self.thresholds))
        count = np.empty_like(flat)
        for row, (steps, falls) in enumerate(zip(self.thresholds, self.falling, strict=True)):
            reached = np.searchsorted(steps, flat[:, row], side="right")
            count[:, row] = len(steps) - reached if falls else reached
        return (self.base + count).reshape(x.shape)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        (x,) = inputs
        return (self.codes(x.reshape(len(x), -1, len(self.thresholds))).reshape(x.shape),)

    def is_identity(self, x: Stream) -> bool:
        """Whether every code that `x` can hold maps to itself."""
        if x.hi - x.lo > 4096:
            return False
        every = np.arange(x.lo, x.hi + 1)[:, None].repeat(len(self.thresholds), axis=1)
        return bool((self.codes(every) == every).all())

    def folds(self, ports: Ports) -> Iterator[Fold]:
        for lanes in divisors(ports.inputs[0].channels):
            if lanes * self._levels.shape[1] <= UNROLL_LIMIT:
                yield Fold(pe=lanes)

    def _channel_fold(self, fold: Fold) -> int:
        return max(1, len(self.thresholds) // fold.pe)

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        every = Pattern.always(ports.inputs[0].size // fold.pe)
        return Loop((every,), (every,), depth=4)

    def _bits(self, x: Stream) -> int:
        bits, _ = width(min(x.lo, int(self.thresholds.min())), max(x.hi, int(self.thresholds.max())))
        return bits

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """A comparison packs two bits in a LUT of its carry chain; counting s flags takes about s LUTs."""
        steps = self._levels.shape[1]
        (x,), (y,) = ports.inputs, ports.outputs
        comparison = ceil(constant("threshold.lut_per_comparison_bit") * self._bits(x))
        lane = steps * (comparison + 1) + y.bits
        trips = self.loop(ports, fold).trips
        return Logic(fold.pe * lane + control_lut(trips), fold.pe * (x.bits + steps + y.bits) + 30)

    def memories(self, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        width = fold.pe * self._levels.shape[1] * self._bits(ports.inputs[0])
        return (Memory("thresholds", "threshold", self._channel_fold(fold), width),)

    def unrolled(self, ports: Ports, fold: Fold) -> int:
        return fold.pe * int(self._levels.shape[1])

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        rows, steps = self._levels.shape
        x = ports.inputs[0]
        channel_fold = self._channel_fold(fold)
        if rows == 1:
            thresholds, falling = self._levels.repeat(fold.pe, axis=0), self.falling.repeat(fold.pe)
        else:
            thresholds, falling = self._levels, self.falling
        table = thresholds.reshape(channel_fold, fold.pe, steps).transpose(0, 2, 1).reshape(channel_fold, -1)
        return Kernel(
            "threshold.hpp",
            "threshold",
            (
                ("PIXELS", x.size // (channel_fold * fold.pe)),
                ("CHANNEL_FOLD", channel_fold),
                ("STEPS", steps),
                ("BASE", self.base),
                ("JUMP", self._jump),
            ),
            (
                Table("thresholds", table, min(x.lo, int(table.min())), max(x.hi, int(table.max()))),
                Table("falling", falling.reshape(channel_fold, fold.pe), 0, 1, memory=False),
            ),
        )
