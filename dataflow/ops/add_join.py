"""Add join: integer residual."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Kernel, Logic, Loop, Op, Pattern, Ports, control_lut


@dataclass(frozen=True, eq=False)
class AddJoin(Op):
    """y = a + b, element by element; both inputs have one shape and stand on the same integer grid."""

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        a, b = inputs
        if a.shape != b.shape:
            raise GraphError(f"add join: inputs {a} and {b}; their shapes must agree")
        return (Stream(a.shape, a.lo + b.lo, a.hi + b.hi),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (inputs[0] + inputs[1],)

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        every = Pattern.always(ports.inputs[0].size // fold.pe)
        return Loop((every, every), (every,), depth=2)

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """A LUT each bit of each lane."""
        bits = fold.pe * ports.outputs[0].bits
        return Logic(bits + control_lut(self.loop(ports, fold).trips), 2 * bits + 20)

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        return Kernel("add_join.hpp", "add_join", (("BEATS", ports.inputs[0].size // fold.pe),))
