"""Concatenation of channels, one input after the other or interleaved, or of whole frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import product
from math import gcd

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Op, Port, Ports, divisors, frozen_array, pixel_counts
from muxflow.dataflow.ops.spatial import meet


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Concatenate channels: of each pixel those of `a`, then those of `b`; with `whole` all of `a`, then all of `b`.

    - Attributes `whole`; `sides`, `(A + B,)`: from which input each channel of the output comes, 0 for `a`, 1 for `b`,
      each giving its own in their order; empty: `a` first. Inputs `(*S, A)` and `(*S, B)`; output `(*S, A + B)`.
      They may have other spatial axes of size 1 than each other; the output has those of `a`. With `whole`
      the inputs are of any shape, flattened maps, and the output is the vector `(1, ..., 1, size of a + size of b)` with
      the axes of `a`; it takes no `sides`.
    - Interval: the hull of both (tight).
    - Folds: `PE` divides `A` and `B`, and each `PE` channels of the output come from one input.
    - `T = pixels / fold.pixels * (A + B) / PE`; in each pixel, of so many side by side (with `whole`: once, with the sizes
      for `A` and `B`), an iteration reads `a` or `b`, as `sides` has it; the output is written in all.
    """

    whole: bool = False
    sides: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))

    inputs = (Port("a"), Port("b"))

    def __post_init__(self) -> None:
        sides = frozen_array(self.sides)
        if (self.whole and sides.size) or sides.ndim != 1 or not np.isin(sides, (0, 1)).all():
            raise GraphError(
                f"concat: sides of shape {sides.shape}; expected 0 or 1 for each channel of the output, and not with whole"
            )
        object.__setattr__(self, "sides", sides)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        a, b = inputs
        if not self.whole and not meet(a, b):
            raise GraphError(f"concat: inputs {a} and {b}; height and width must agree")
        taken = np.bincount(self.sides, minlength=2).tolist()
        if self.sides.size and taken != [a.channels, b.channels]:
            raise GraphError(f"concat: inputs {a} and {b}, and sides for {taken[0]} and {taken[1]} channels")
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
        joined = np.concatenate((a, b.reshape(*a.shape[:-1], b.shape[-1])), axis=-1)
        # A stable order of the sides is where each channel of a, then each of b, belongs.
        return (joined[..., np.argsort(np.argsort(self.sides, kind="stable"))] if self.sides.size else joined,)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        """Yield the lanes that come from one input each, of every number of neighbouring pixels."""
        a, b = (stream.channels for stream in ports.inputs)
        counts = [1] if self.whole else pixel_counts(ports.outputs[0])
        for lanes, pixels in product(divisors(gcd(a, b)), counts):
            if not np.ptp(self.sides.reshape(-1, lanes), axis=1).any():
                yield Fold(pe=lanes, pixels=pixels)

    def loops(self, ports: Ports, fold: Fold) -> tuple[int, int, int]:
        """Count the parts that are joined in a frame, and the beats of `a` and of `b` in one."""
        a, b = ports.inputs
        parts = 1 if self.whole else a.pixels // fold.pixels
        return parts, a.size // fold.operations // parts, b.size // fold.operations // parts

    def order(self, ports: Ports, fold: Fold) -> IntArray:
        """List from which input each beat of a part comes, 0 for `a`, 1 for `b`."""
        _, a, b = self.loops(ports, fold)
        return self.sides[:: fold.pe] if self.sides.size else np.repeat((0, 1), (a, b))

    def access(self, ports: Ports, fold: Fold) -> Access:
        parts, a, b = self.loops(ports, fold)
        order = self.order(ports, fold)
        reads = (Pattern((Pattern.of(order == side),), parts) for side in (0, 1))
        return Access(tuple(reads), (Pattern.always(parts * (a + b)),))
