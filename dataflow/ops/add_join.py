"""Add join: integer residual."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Op, Port, Ports
from muxflow.dataflow.ops.spatial import meet


@dataclass(frozen=True, eq=False)
class AddJoin(Op):
    """Add two streams of one shape, element by element; both stand on the same integer grid.

    - Inputs `a`, `b` of one shape `S`; output `S`. They may have other spatial axes of size 1 than each other; the output
      has the shape of `a`.
    - `y = a + b`.
    - Interval `[a.lo + b.lo, a.hi + b.hi]` (tight).
    - `T = size / (PE * pixels)`; both inputs are read and the output written in every iteration.
    """

    inputs = (Port("a"), Port("b"))
    pixelwise = True

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        a, b = inputs
        if a.channels != b.channels or not meet(a, b):
            raise GraphError(f"add join: inputs {a} and {b}; their shapes must agree")
        return (Stream(a.shape, a.lo + b.lo, a.hi + b.hi),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        a, b = inputs
        return (a + b.reshape(a.shape),)

    def access(self, ports: Ports, fold: Fold) -> Access:
        every = Pattern.always(ports.inputs[0].size // fold.operations)
        return Access((every, every), (every,))
