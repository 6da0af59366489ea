"""Shift and clip: bit-shift normalisation (1 Mb encoder) and half-wave most-significant-bits activation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Access, Fold, IntArray, Op, Pattern, Ports, frozen_array


@dataclass(frozen=True, eq=False)
class ShiftClip(Op):
    """Add a bias, shift right and clip: bit-shift normalisation.

    - Attributes `bias` `(channels,)` or `(1,)`, `shift >= 0`, `lowest <= highest`. Shape kept.
    - `y_c = min(max((x_c + bias_c) >> shift, lowest), highest)`.
    - Interval: the formula at `x.lo` with the smallest bias and at `x.hi` with the largest (tight).
    - Loop as Scale.

    Source: 1 Mb encoder (arXiv 2501.05097), layer-shared bit-shift normalisation; bias and clip are decisions.
    """

    bias: IntArray
    shift: int
    lowest: int
    highest: int

    elementwise = True

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

    def access(self, ports: Ports, fold: Fold) -> Access:
        every = Pattern.always(ports.inputs[0].size // fold.pe)
        return Access((every,), (every,))
