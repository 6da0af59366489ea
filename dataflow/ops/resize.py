"""Resize: repeats pixels or puts codes between them, then pads or crops."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.limits import check_elements
from muxflow.dataflow.op import Fold, IntArray, Op, Ports


@dataclass(frozen=True)
class Axis:
    """One spatial axis: `size` pixels read, `stretched` ones made of them, of which the padded or cropped `kept` are sent.

    `before`, `after`: positions added (removed where negative) on either side of the stretched ones. `factor`: positions
    from one pixel to the next.
    """

    size: int
    factor: int
    stretched: int
    before: int
    after: int

    @property
    def lead(self) -> int:
        """Positions of the loop before the first stretched one."""
        return max(self.before, 0)

    @property
    def kept(self) -> int:
        """Positions sent."""
        return self.stretched + self.before + self.after

    @property
    def span(self) -> int:
        """Positions of the loop: all that are read or sent."""
        return self.lead + self.stretched + max(self.after, 0)

    @property
    def first(self) -> int:
        """The first position of the loop that is sent."""
        return self.lead - self.before


@dataclass(frozen=True, eq=False)
class Resize(Op):
    """Stretch a map by whole factors, then pad or crop it: upsampling, transposed convolutions, explicit padding.

    - Attributes, one number a spatial axis, 1 to 3 of them: `factors` (at least 1); `pads`: positions added before all
      axes, then after all, removed where negative (none where left out). `mode`: `repeat` sends each pixel `factors`
      times on each axis (nearest-neighbour upsampling), `insert` puts pixels of `code` between two (the map that a
      transposed convolution reads). `code` stands in the padding, too.
    - `(*S, C)` -> `(*OS, C)`, on each axis `OS = U + before + after` with `U = S * factor` (`repeat`) or
      `(S - 1) * factor + 1` (`insert`); GraphError where it is below 1.
    - Position `o` holds the input's pixel `(o - before) // factor` where `o - before` lies in `[0, U)` and, with
      `insert`, is a multiple of the factor; else `code`.
    - Interval: that of the input, with `code` added where there is padding or, with `insert`, a factor above 1.
    - With `F = C / PE`: `T` is `F` times the product of `max(before, 0) + U + max(after, 0)` over the axes; written in
      the iterations of the positions that are sent, read in those of a pixel's first position.
    """

    factors: tuple[int, ...]
    pads: tuple[int, ...] = ()
    mode: Literal["repeat", "insert"] = "repeat"
    code: int = 0

    def __post_init__(self) -> None:
        if not self.pads:
            object.__setattr__(self, "pads", (0,) * (2 * len(self.factors)))
        if not 1 <= len(self.factors) <= 3 or min(self.factors) < 1 or len(self.pads) != 2 * len(self.factors):
            raise GraphError(
                f"resize: factors {self.factors}, pads {self.pads}; supported: 1 to 3 axes, factors of at least 1, pads "
                "before and after each axis"
            )
        if self.mode not in ("repeat", "insert"):
            raise GraphError(f"resize: mode {self.mode!r}; supported: 'repeat', 'insert'")

    @property
    def detail(self) -> str:
        """The factors, and whether it pads or crops."""
        factors = "x".join(map(str, self.factors)) if max(self.factors) > 1 else ""
        sides = [word for word, some in (("pads", max(self.pads) > 0), ("crops", min(self.pads) < 0)) if some]
        return " ".join(filter(None, (factors, *sides)))

    @property
    def fills(self) -> bool:
        """Whether `code` stands anywhere in the output."""
        return max(self.pads) > 0 or (self.mode == "insert" and max(self.factors) > 1)

    def axes(self, x: Stream) -> tuple[Axis, ...]:
        """List the spatial axes for a map."""
        rank = len(self.factors)
        return tuple(
            Axis(size, factor, size * factor if self.mode == "repeat" else (size - 1) * factor + 1, before, after)
            for size, factor, before, after in zip(
                x.shape, self.factors, self.pads[:rank], self.pads[rank:], strict=False
            )
        )

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if len(x.shape) != len(self.factors) + 1:
            raise GraphError(f"resize: input {x}; expected {len(self.factors)} spatial axes and the channels")
        axes = self.axes(x)
        if min(axis.kept for axis in axes) < 1:
            raise GraphError(f"resize: pads {self.pads} leave nothing of a map of {x.shape[:-1]}")
        check_elements(f"resize: the loop over a map with pads {self.pads}", *(axis.span for axis in axes), x.channels)
        lo, hi = (min(x.lo, self.code), max(x.hi, self.code)) if self.fills else (x.lo, x.hi)
        bipolar = x.bipolar and (not self.fills or self.code in (-1, 1))
        return (Stream((*(axis.kept for axis in axes), x.channels), lo, hi, bipolar=bipolar),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        (x,) = inputs
        for number, axis in enumerate(self.axes(Stream(x.shape[1:], 0, 0)), 1):
            at = np.arange(axis.kept) - axis.before
            source = at // axis.factor
            held = (source >= 0) & (source < axis.size) & ((at % axis.factor == 0) | (self.mode == "repeat"))
            taken = np.take(x, np.clip(source, 0, axis.size - 1), axis=number)
            shape = (-1, *(1,) * (x.ndim - number - 1))
            x = np.where(held.reshape(shape), taken, self.code)
        return (x,)

    def access(self, ports: Ports, fold: Fold) -> Access:
        """Read each pixel at its first position, send every position that is kept."""
        x = ports.inputs[0]
        beats = x.channels // fold.pe
        axes = self.axes(x)
        reads = _nested(axes, beats, lambda axis: range(axis.lead, axis.lead + axis.stretched, axis.factor))
        writes = _nested(axes, beats, lambda axis: range(axis.first, axis.first + axis.kept))
        return Access((reads,), (writes,))


def _nested(axes: tuple[Axis, ...], beats: int, used: Callable[[Axis], range]) -> Pattern:
    """Use a port at those positions of the loop that are used on every axis."""
    pattern = Pattern.always(beats)
    length = beats
    for axis in reversed(axes):
        places = used(axis)
        between = Pattern((pattern, (length * (places.step - 1), False)), len(places) - 1)
        last = (length * (axis.span - places[-1] - 1), False)
        pattern = Pattern(((length * places.start, False), between, pattern, last))
        length *= axis.span
    return pattern
