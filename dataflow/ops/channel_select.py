"""Channel select: one bit a channel from the whole frame, the attention of a MUX residual block."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream, check_interval
from muxflow.dataflow.op import Fold, IntArray, Op, Ports, frozen_array, pixel_counts


@dataclass(frozen=True, eq=False)
class ChannelSelect(Op):
    """Judge each channel by its maximum or sum over the whole frame: the attention of a MUX residual block.

    - Attributes `statistic`: `max` (select mode `channel`) or `sum` (`channel-mean`: the mean times the pixels);
      `thresholds` `(m,)`, `m <= channels`.
    - Input: unsigned codes, `lo >= 0`; output `(1, ..., 1, m)`.
    - `S_c = 1` where the maximum (the sum) of channel `c` over the frame is `>= thresholds_c`, else 0; channels from
      `m` on are read and ignored.
    - Interval `[0, 1]`.
    - With `X = channels / PE`: `T = pixels / fold.pixels * X`, read in all; written in the first `m / PE` iterations of the
      last pixels. `fold.pixels` pixels are read side by side.

    Source: MOGNET, one bit a channel derived from the block's input; the statistic is a decision.
    """

    statistic: Literal["max", "sum"]
    thresholds: IntArray

    def __post_init__(self) -> None:
        thresholds = frozen_array(self.thresholds)
        if self.statistic not in ("max", "sum"):
            raise GraphError(f"channel select: statistic {self.statistic!r}; supported: 'max', 'sum'")
        if thresholds.ndim != 1 or thresholds.size == 0:
            raise GraphError(f"channel select: thresholds of shape {thresholds.shape}; expected (channels,)")
        object.__setattr__(self, "thresholds", thresholds)

    def highest(self, x: Stream) -> int:
        """Give the largest value of the statistic."""
        return x.hi * (x.pixels if self.statistic == "sum" else 1)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if x.lo < 0:
            raise GraphError(f"channel select: input {x} can be negative; it judges unsigned codes")
        if len(self.thresholds) > x.channels:
            raise GraphError(f"channel select: {len(self.thresholds)} thresholds for {x.channels} channels")
        check_interval(f"channel select: the range of a channel's {self.statistic}", 0, self.highest(x))
        return (Stream((*(1,) * (len(x.shape) - 1), len(self.thresholds)), 0, 1),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        (x,) = inputs
        axes = tuple(range(1, x.ndim - 1))
        judged = x[..., : len(self.thresholds)]
        statistic = judged.max(axis=axes, keepdims=True) if self.statistic == "max" else judged.sum(axes, keepdims=True)
        return ((statistic >= self.thresholds).astype(x.dtype),)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        """Yield the lanes that divide all channels, of every number of neighbouring pixels of the map."""
        for fold, pixels in product(super().folds(ports), pixel_counts(ports.inputs[0])):
            yield replace(fold, pixels=pixels)

    def beat_pixels(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (fold.pixels,), (1,)

    def access(self, ports: Ports, fold: Fold) -> Access:
        x, s = ports.inputs[0], ports.outputs[0]
        fold_x, fold_s = x.channels // fold.pe, s.channels // fold.pe
        trips = x.pixels // fold.pixels * fold_x
        before = trips - fold_x
        return Access((Pattern.always(trips),), (Pattern(((before, False), (fold_s, True), (fold_x - fold_s, False))),))
