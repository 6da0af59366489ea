"""Thermometer encoding: each pixel becomes several coarse codes with thresholds that lie a step apart."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Op, Ports, divisors, pixel_counts

PIXEL_TOP = 255
"""The largest pixel."""
MOST_CODES = PIXEL_TOP
"""Most codes of a pixel: more could not differ."""
MOST_BITS = 4
"""Most bits of a code (decision: as the activations)."""


@dataclass(frozen=True, eq=False)
class ThermometerEncode(Op):
    """Turn each 8-bit pixel into `codes` codes of `bits` bits, whose thresholds lie a step apart.

    - Attributes `codes` k, 1 to 255, and `bits` l, 1 to 4; GraphError when one is out of range.
    - `(*S, C)` -> `(*S, k * C)`: channel `c * k + i` holds code `i` of channel `c`.
    - With `s = max(1, 255 // (k * (2^l - 1)))`:
      `y = min((x + s * (k - 1 - i)) // (s * k), 2^l - 1)`, which is
      `clip(floor(x / (s * k) + 1 - (i + 1) / k), 0, 2^l - 1)`.
    - The input lies in [0, 255]; GraphError otherwise. Interval: code k - 1 at `x.lo`, code 0 at `x.hi` (tight).
    - Folds: PE divides k, or is k times a divisor of the channels. Lanes of each pixel: `max(1, PE / k)` in, PE out.
    - `T = pixels / fold.pixels * k * C / PE`; written in every iteration; a beat is read in the first of the iterations
      that send its codes.

    Source: ERN (arXiv 2410.11553), thermometer encoding; the order of the channels is a decision.
    """

    codes: int = 10
    bits: int = 2

    def __post_init__(self) -> None:
        if not (1 <= self.codes <= MOST_CODES and 1 <= self.bits <= MOST_BITS):
            raise GraphError(
                f"thermometer: {self.codes} codes of {self.bits} bits; supported are 1 to {MOST_CODES} codes of 1 to "
                f"{MOST_BITS} bits"
            )

    @property
    def step(self) -> int:
        """Distance s of two neighbouring codes' thresholds."""
        return max(1, PIXEL_TOP // (self.codes * self.top))

    @property
    def top(self) -> int:
        """The largest code."""
        return int(2**self.bits - 1)

    def encoded(self, x: IntArray) -> IntArray:
        """Encode pixels of any shape; the codes are a new last axis."""
        offsets = self.step * np.arange(self.codes - 1, -1, -1)
        reached: IntArray = (x[..., None] + offsets) // (self.step * self.codes)
        return np.minimum(reached, self.top)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if x.lo < 0 or x.hi > PIXEL_TOP:
            raise GraphError(f"thermometer: input {x}; expected 8-bit pixels, 0 to {PIXEL_TOP}")
        ends = self.encoded(np.array([x.lo, x.hi]))
        return (Stream((*x.shape[:-1], x.channels * self.codes), int(ends[0].min()), int(ends[1].max())),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        (x,) = inputs
        return (self.encoded(x).reshape(*x.shape[:-1], -1),)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        """List the folds: parts of a channel's codes, or those of whole channels, of every number of neighbouring pixels."""
        channels = divisors(self.codes)[:-1] + [self.codes * n for n in divisors(ports.inputs[0].channels)]
        for lanes, pixels in product(channels, pixel_counts(ports.outputs[0])):
            yield Fold(pe=lanes, pixels=pixels)

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (max(1, fold.pe // self.codes) * fold.pixels,), (fold.operations,)

    def beats_sent(self, fold: Fold) -> int:
        """Count the beats that a beat of the input becomes."""
        return max(1, self.codes // fold.pe)

    def access(self, ports: Ports, fold: Fold) -> Access:
        trips = ports.outputs[0].size // fold.operations
        sent = self.beats_sent(fold)
        return Access((Pattern.first_of(sent, trips // sent),), (Pattern.always(trips),))
