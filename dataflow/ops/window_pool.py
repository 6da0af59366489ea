"""Pools after a sliding window: overlapping or padded ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import PARALLEL_LIMIT, Fold, IntArray, Op, Ports, divisors, pixel_counts


@dataclass(frozen=True, eq=False)
class WindowPool(Op):
    """Pool windows that overlap or are padded, after a sliding window with one channel a group.

    - Attributes `pixels`, `mode`: `max` or `sum`. `(*S, C * pixels)`, in the order (channel, pixel), -> `(*S, C)`: the
      maximum or sum over the pixels.
    - Interval as Pool with `n = pixels`.
    - Fold: `groups` channels, dividing `C`, and `SIMD` pixels of each, dividing `pixels`; more than one channel only
      right after a sliding window, which then sends channel block, pixel block, channel, pixel. `fold.pixels` neighbouring
      windows at once.
    - Lanes of each window: `groups * SIMD` in, in the order channel, pixel; `groups` out.
    - `T = size / (groups * SIMD * fold.pixels)`, read in all, written in the last of every `pixels / SIMD`.
    """

    pixels: int
    mode: Literal["max", "sum"]

    def __post_init__(self) -> None:
        if self.pixels < 1 or self.mode not in ("max", "sum"):
            raise GraphError(f"window pool: {self.pixels} pixels, mode {self.mode!r}; supported: >= 1, 'max', 'sum'")

    def title(self, ports: Ports, window: str = "") -> str:
        return f"{self.mode} pool {window}".rstrip()

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if x.channels % self.pixels:
            raise GraphError(f"window pool: {self.pixels} pixels do not divide {x}")
        size = self.pixels if self.mode == "sum" else 1
        lo, hi = min(x.lo, x.lo * size), max(x.hi, x.hi * size)
        return (Stream((*x.shape[:-1], x.channels // self.pixels), lo, hi, bipolar=x.bipolar and size == 1),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        (x,) = inputs
        split = x.reshape(*x.shape[:-1], -1, self.pixels)
        return (split.max(axis=-1) if self.mode == "max" else split.sum(axis=-1),)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        """Yield channels side by side, each a group of its own for the sliding window before, and pixels of each."""
        y = ports.outputs[0]
        for simd, groups, pixels in itertools.product(divisors(self.pixels), divisors(y.channels), pixel_counts(y)):
            fold = Fold(simd=simd, groups=groups, pixels=pixels)
            if fold.operations <= PARALLEL_LIMIT:
                yield fold

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (fold.operations,), (fold.groups * fold.pixels,)

    def interleaved(self, fold: Fold) -> bool:
        return fold.groups > 1 and self.pixels > 1

    def access(self, ports: Ports, fold: Fold) -> Access:
        trips, parts = ports.inputs[0].size // fold.operations, self.pixels // fold.simd
        return Access((Pattern.always(trips),), (Pattern.last_of(parts, trips // parts),))
