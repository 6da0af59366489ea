"""OR join: residual of one-bit (or k-bit) codes."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops._join import ElementwiseJoin
from muxflow.dataflow.stream import Stream


@dataclass(frozen=True, eq=False)
class OrJoin(ElementwiseJoin):
    """y = a | b on unsigned codes (HEQ, arXiv 2501.04517; bitwise for more than one bit: decision)."""

    function = "or_join"

    def interval(self, a: Stream, b: Stream) -> tuple[int, int]:
        if a.lo < 0 or b.lo < 0:
            raise GraphError(f"or_join: inputs {a} and {b}; it joins unsigned codes")
        return max(a.lo, b.lo), (1 << max(a.hi.bit_length(), b.hi.bit_length())) - 1

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (inputs[0] | inputs[1],)
