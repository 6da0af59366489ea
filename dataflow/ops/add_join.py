"""Add join: integer residual."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops._join import ElementwiseJoin
from muxflow.dataflow.stream import Stream


@dataclass(frozen=True, eq=False)
class AddJoin(ElementwiseJoin):
    """y = a + b; both inputs stand on the same integer grid."""

    function = "add_join"

    def interval(self, a: Stream, b: Stream) -> tuple[int, int]:
        return a.lo + b.lo, a.hi + b.hi

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (inputs[0] + inputs[1],)
