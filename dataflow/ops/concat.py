"""Concatenation of channels, or of whole frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import gcd

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Access, Fold, IntArray, Op, Pattern, Port, Ports, divisors, pixel_counts
from muxflow.dataflow.ops.spatial import meet


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Concatenate channels: of each pixel those of `a`, then those of `b`; with `whole` all of `a`, then all of `b`.

    - Attribute `whole`. Inputs `(*S, A)` and `(*S, B)`; output `(*S, A + B)`. Vectors, one pixel each, may have other
      axes of size 1 than each other; the output has those of `a`. With `whole` the inputs are of any shape, flattened
      maps, and the output is the vector `(1, ..., 1, size of a + size of b)` with the axes of `a`.
    - Interval: the hull of both (tight).
    - `T = pixels / fold.pixels * (A + B) / PE`; in each pixel, of so many side by side (with `whole`: once, with the sizes
      for `A` and `B`), `a` is read in the first `A / PE` iterations, `b` in the others; the output is written in all.
    """

    whole: bool = False

    inputs = (Port("a"), Port("b"))

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        a, b = inputs
        if not self.whole and not meet(a, b):
            raise GraphError(f"concat: inputs {a} and {b}; height and width must agree")
        flat = (*(1,) * (len(a.shape) - 1), a.size + b.size)
        return (
            Stream(
                flat if self.whole else (*a.shape[:-1], a.channels + b.channels),
                min(a.lo, b.lo),
                max(a.hi, b.hi),
                bipolar=a.bipolar and b.bipolar,
            ),
        )

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        a, b = inputs
        if self.whole:
            flat = np.concatenate((a.reshape(len(a), -1), b.reshape(len(b), -1)), axis=1)
            return (flat.reshape(len(a), *(1,) * (a.ndim - 2), -1),)
        return (np.concatenate((a, b.reshape(*a.shape[:-1], b.shape[-1])), axis=-1),)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        """Yield the lanes that divide the channels of both inputs, of every number of neighbouring pixels."""
        a, b = (stream.channels for stream in ports.inputs)
        counts = [1] if self.whole else pixel_counts(ports.outputs[0])
        for lanes, pixels in product(divisors(gcd(a, b)), counts):
            yield Fold(pe=lanes, pixels=pixels)

    def loops(self, ports: Ports, fold: Fold) -> tuple[int, int, int]:
        """Count the parts that are joined in a frame, and the beats of `a` and of `b` in one."""
        a, b = ports.inputs
        parts = 1 if self.whole else a.pixels // fold.pixels
        return parts, a.size // fold.operations // parts, b.size // fold.operations // parts

    def access(self, ports: Ports, fold: Fold) -> Access:
        pixels, a, b = self.loops(ports, fold)
        return Access(
            (Pattern(((a, True), (b, False)), pixels), Pattern(((a, False), (b, True)), pixels)),
            (Pattern.always(pixels * (a + b)),),
        )
