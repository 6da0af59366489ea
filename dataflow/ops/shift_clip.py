"""Shift and clip: bit-shift normalisation (1 Mb encoder) and half-wave most-significant-bits activation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream, check_interval, width
from muxflow.dataflow.op import Fold, IntArray, Op, Ports, frozen_array


@dataclass(frozen=True, eq=False)
class ShiftClip(Op):
    """Add a bias, shift right and clip: bit-shift normalisation.

    - Attributes `bias` `(channels,)` or `(1,)`, `shift >= 0`, `lowest <= highest`, `even` (only with `shift > 0`). Shape kept.
    - `y_c = min(max((x_c + bias_c) >> shift, lowest), highest)`; with `even` 1 is taken off the sum before the shift where
      the quotient would be odd, so that with half a step in the bias ties go to the even code.
    - Interval: the formula at `x.lo` with the smallest bias and at `x.hi` with the largest (tight).
    - Loop as Scale.

    Source: 1 Mb encoder (arXiv 2501.05097), layer-shared bit-shift normalisation; bias, clip and ties are decisions.
    """

    bias: IntArray
    shift: int
    lowest: int
    highest: int
    even: bool = False

    pixelwise = True

    def __post_init__(self) -> None:
        bias = frozen_array(self.bias)
        if bias.ndim != 1 or bias.size == 0 or self.shift < 0 or self.lowest > self.highest:
            raise GraphError(
                f"shift and clip: bias of shape {bias.shape}, shift {self.shift}, range [{self.lowest}, {self.highest}]"
            )
        if self.even and not self.shift:
            raise GraphError("shift and clip: ties to even need a shift of at least 1")
        object.__setattr__(self, "bias", bias)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if len(self.bias) not in (1, x.channels):
            raise GraphError(f"shift and clip: {len(self.bias)} biases for {x.channels} channels")
        ends = x.lo + int(self.bias.min()), x.hi + int(self.bias.max())
        check_interval("shift and clip: the range of sums before the shift", ends[0] - self.even, ends[1])
        lo, hi = self._quotients(np.array(ends)).tolist()
        return (Stream(x.shape, lo, hi),)

    def _quotients(self, sums: IntArray) -> IntArray:
        if self.even:
            sums = sums - (sums >> self.shift & 1)
        return np.asarray(np.clip(sums >> self.shift, self.lowest, self.highest), np.int64)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (self._quotients(inputs[0] + self.bias),)

    def saved_threshold_bits(self, ports: Ports) -> int:
        """Compare a threshold for each step with the bias; 0 without a shift, which is no activation."""
        if not self.shift:
            return 0
        thresholds = (self.highest - self.lowest) * ports.inputs[0].bits
        return len(self.bias) * max(0, thresholds - width(int(self.bias.min()), int(self.bias.max()))[0])

    def access(self, ports: Ports, fold: Fold) -> Access:
        every = Pattern.always(ports.inputs[0].size // fold.operations)
        return Access((every,), (every,))
