"""Width converter: other beats, same elements; inserted when a graph is folded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import lcm

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Beat, Stream
from muxflow.dataflow.op import Fold, IntArray, Op, Ports, Role


@dataclass(frozen=True, eq=False)
class WidthConverter(Op):
    """Gather or spread beats: other lanes or pixels, the same elements; inserted when a graph is folded.

    - Attributes: `source`, `target` lanes, and `source_pixels`, `target_pixels` that lie side by side in a beat (1 where
      beats follow the order of the elements). Kernels `widen`, `narrow` and `regroup`.
    - As many pixels on both sides, or as many as make whole ones on the other: one of the lanes is a multiple of the other,
      and the parts of each pixel are gathered or spread by themselves. `T = elements / min(source, target)`. Widening
      reads in all and writes in the last of every `target / source`; narrowing reads in the first of every
      `source / target` and writes in all.
    - Other numbers of pixels: as many lanes of each. Groups of `G` pixels, the least common multiple, are written to one
      half of a buffer while the group before is sent from the other, `r` and `s` beats: `r` iterations, then `max(r, s)`
      for each further group, in which reads and writes begin at once, then `s`.
    - Beats between which neither fits meet on the way, so that there is a chain of converters: lanes at their least common
      multiple, or at their greatest common divisor where that beat would be wider than 4096 bits.
    """

    source: int
    target: int
    source_pixels: int = 1
    target_pixels: int = 1

    role = Role.PLUMBING
    only_lanes = True

    def __post_init__(self) -> None:
        if min(self.source, self.target) < 1:
            raise GraphError(f"width converter: {self.source} and {self.target} lanes; at least 1")
        if min(self.source_pixels, self.target_pixels) < 1:
            raise GraphError(f"width converter: {self.source_pixels} and {self.target_pixels} pixels; at least 1")
        if self.source % self.source_pixels or self.target % self.target_pixels:
            raise GraphError(
                f"width converter: {self.source} lanes of {self.source_pixels} pixels to {self.target} of "
                f"{self.target_pixels}; pixels must divide lanes"
            )
        if not self.regroups and max(self.source, self.target) % min(self.source, self.target):
            raise GraphError(f"width converter: {self.source} and {self.target} lanes; one must divide the other")

    @staticmethod
    def between(before: Beat, after: Beat) -> WidthConverter:
        """Make the converter from one kind of beat to another."""
        return WidthConverter(before.lanes, after.lanes, before.pixels, after.pixels)

    @property
    def regroups(self) -> bool:
        """Whether the same lanes of a pixel travel with those of another number of pixels."""
        same = self.source * self.target_pixels == self.target * self.source_pixels
        return same and self.source_pixels != self.target_pixels

    @property
    def side_by_side(self) -> int:
        """Pixels that are gathered or spread side by side, each by itself."""
        return max(self.source_pixels, self.target_pixels)

    @property
    def group(self) -> int:
        """Pixels of a group that is sent in another order."""
        return lcm(self.source_pixels, self.target_pixels)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        wide = max((self.source, self.source_pixels), (self.target, self.target_pixels))
        whole = self.source_pixels == self.target_pixels or (wide[1] == 1 and wide[0] == self.side_by_side * x.channels)
        if not (self.regroups or whole):
            raise GraphError(
                f"width converter: {self.source_pixels} pixels of {x} to {self.target_pixels}; they keep their lanes, or "
                "the wider beat holds whole ones"
            )
        return (x.without_lanes(),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (inputs[0],)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        yield Fold()

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (self.source,), (self.target,)

    def beat_pixels(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (self.source_pixels,), (self.target_pixels,)

    def loops(self, ports: Ports) -> tuple[int, int, int]:
        """Count the groups of pixels in a frame, the beats of a group that are read, and those that are sent."""
        x = ports.inputs[0]
        elements = self.group * x.channels
        return x.pixels // self.group, elements // self.source, elements // self.target

    def access(self, ports: Ports, fold: Fold) -> Access:
        if self.regroups:
            groups, read, sent = self.loops(ports)
            longest = max(read, sent)
            reads = Pattern(((read, True), (longest - read, False)), groups - 1)
            writes = Pattern(((sent, True), (longest - sent, False)), groups - 1)
            return Access(
                (Pattern(((read, True), reads, (sent, False))),), (Pattern(((read, False), writes, (sent, True))),)
            )
        factor = max(self.source, self.target) // min(self.source, self.target)
        trips = ports.inputs[0].elements // min(self.source, self.target)
        every = Pattern.always(trips)
        if self.target > self.source:
            return Access((every,), (Pattern.last_of(factor, trips // factor),))
        return Access((Pattern.first_of(factor, trips // factor),), (every,))
