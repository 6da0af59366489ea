"""Width converter: other lanes, same elements; inserted when a graph is folded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Access, Fold, IntArray, Op, Pattern, Ports, Role


@dataclass(frozen=True, eq=False)
class WidthConverter(Op):
    """Gather or spread beats: other lanes, the same elements in the same order; inserted when a graph is folded.

    - Attributes `source`, `target` lanes, one a multiple of the other. Kernels `widen` and `narrow`.
    - `T = elements / min(source, target)`. Widening reads in all and writes in the last of every `target / source`;
      narrowing reads in the first of every `source / target` and writes in all.
    - Lanes of which neither divides the other meet at their least common multiple, or at their greatest common divisor
      where that beat would be wider than 4096 bits.
    """

    source: int
    target: int

    role = Role.PLUMBING
    only_lanes = True

    def __post_init__(self) -> None:
        if min(self.source, self.target) < 1:
            raise GraphError(f"width converter: {self.source} and {self.target} lanes; at least 1")
        if self.source % self.target and self.target % self.source:
            raise GraphError(f"width converter: {self.source} and {self.target} lanes; one must divide the other")

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        return (replace(inputs[0], lanes=0),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (inputs[0],)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        yield Fold()

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (self.source,), (self.target,)

    def access(self, ports: Ports, fold: Fold) -> Access:
        factor = max(self.source, self.target) // min(self.source, self.target)
        trips = ports.inputs[0].elements // min(self.source, self.target)
        every = Pattern.always(trips)
        if self.target > self.source:
            return Access((every,), (Pattern.last_of(factor, trips // factor),))
        return Access((Pattern.first_of(factor, trips // factor),), (every,))
