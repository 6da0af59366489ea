"""Thresholds: an activation quantizer and all affine arithmetic before it, as integer comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream, check_interval
from muxflow.dataflow.op import Fold, IntArray, Op, Ports, frozen_array

FEW = 15
"""Most thresholds of a row that all rows compare with at once; a search in each row is faster for more (measured)."""


@dataclass(frozen=True, eq=False)
class Threshold(Op):
    """Count thresholds: an activation quantizer and all affine arithmetic before it, as integer comparisons.

    - Attributes `thresholds` `(rows, steps)`, not descending in a row; `falling` `(rows,)`, 1 where the code falls as
      `x` rises; `base`: the lowest code. `rows` is 1 (the same for every element), the channels, or all elements of a
      frame. Shape kept.
    - `count = |{k : thresholds[row, k] <= x}|`; `y = base + count`, or `base + steps - count` where `falling[row]`.
    - Interval: least and largest code over the rows at `x.lo` and `x.hi` (tight, since codes are monotone).
    - Thresholds that come in equal pairs are compared with once, and the code moves by 2; one pair from `base = -1`
      makes a bipolar stream.
    - Loop as Scale.
    """

    thresholds: IntArray
    falling: IntArray
    base: int = 0

    pixelwise = True

    def __post_init__(self) -> None:
        thresholds, falling = frozen_array(self.thresholds), frozen_array(self.falling)
        if thresholds.ndim != 2 or thresholds.size == 0 or falling.shape != thresholds.shape[:1]:
            raise GraphError(
                f"threshold: tables of shape {thresholds.shape} and {falling.shape}; expected (rows, steps) and (rows,)"
            )
        if (thresholds[:, 1:] < thresholds[:, :-1]).any():
            raise GraphError("threshold: the thresholds of a row must not descend")
        if ((falling != 0) & (falling != 1)).any():
            odd = int(falling[(falling != 0) & (falling != 1)][0])
            raise GraphError(f"threshold: falling {odd}; expected 0 or 1 for each row")
        object.__setattr__(self, "thresholds", thresholds)
        object.__setattr__(self, "falling", falling)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if len(self.thresholds) not in (1, x.channels, x.size):
            raise GraphError(f"threshold: {len(self.thresholds)} rows of thresholds for {x}; expected {x.channels}")
        check_interval("threshold: the range of codes", self.base, self.base + self.thresholds.shape[1])
        ends = np.stack([self.codes(np.full(len(self.thresholds), end)) for end in (x.lo, x.hi)])
        lo, hi = int(ends.min()), int(ends.max())
        return (Stream(x.shape, lo, hi, bipolar=self.jump == 2 and (lo, hi) == (-1, 1)),)

    @cached_property
    def jump(self) -> int:
        """Codes from one level to the next: 2 where the thresholds come in equal pairs, as in a quantizer to -1 and +1."""
        steps = self.thresholds.shape[1]
        return 2 if steps % 2 == 0 and np.array_equal(self.thresholds[:, ::2], self.thresholds[:, 1::2]) else 1

    @cached_property
    def levels(self) -> IntArray:
        """The thresholds that are compared with, shape (rows, steps): one of each pair."""
        return self.thresholds[:, :: self.jump]

    def codes(self, x: IntArray) -> IntArray:
        """Compute the codes of inputs whose last axis runs over the rows."""
        rows, steps = self.thresholds.shape
        flat = x.reshape(-1, rows)
        count = np.zeros(flat.shape, dtype=np.int64 if steps > FEW else np.uint8)
        if steps > FEW:
            for row, thresholds in enumerate(self.thresholds):
                count[:, row] = np.searchsorted(thresholds, flat[:, row], side="right")
        else:
            for thresholds in self.thresholds.T:
                count += flat >= thresholds
        reached = count.astype(np.int64, copy=False)
        return (self.base + np.where(self.falling, steps - reached, reached)).reshape(x.shape)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        (x,) = inputs
        return (self.codes(x.reshape(len(x), -1, len(self.thresholds))).reshape(x.shape),)

    def is_identity(self, x: Stream) -> bool:
        """Say whether every code that `x` can hold maps to itself."""
        if x.hi - x.lo > 4096:
            return False
        every = (x.lo + np.arange(x.hi - x.lo + 1))[:, None].repeat(len(self.thresholds), axis=1)
        return bool((self.codes(every) == every).all())

    def access(self, ports: Ports, fold: Fold) -> Access:
        every = Pattern.always(ports.inputs[0].size // fold.operations)
        return Access((every,), (every,))
