"""Fork: one stream goes to two or three readers."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Op, Ports, Role


@dataclass(frozen=True, eq=False)
class Fork(Op):
    """Copy every beat to several readers.

    - Attribute `ways`, 2 or 3; more readers take a tree of forks. Every output is the input.
    - `T = size / (PE * pixels)`; all ports move a beat in every iteration.
    """

    ways: int = 2

    role = Role.PLUMBING
    pixelwise = True

    def __post_init__(self) -> None:
        if self.ways not in (2, 3):
            raise GraphError(f"fork: {self.ways} ways; supported: 2 and 3, in a tree for more")

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        return (inputs[0].without_lanes(),) * self.ways

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (inputs[0],) * self.ways

    def access(self, ports: Ports, fold: Fold) -> Access:
        every = Pattern.always(ports.inputs[0].size // fold.operations)
        return Access((every,), (every,) * self.ways)
