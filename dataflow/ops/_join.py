"""What the joins of two equal streams have in common."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.op import Fold, Kernel, Logic, Loop, Op, Pattern, Ports, control_lut
from muxflow.dataflow.stream import Stream


@dataclass(frozen=True, eq=False)
class ElementwiseJoin(Op):
    """Two streams of one shape in, one of the same shape out, element by element."""

    function: ClassVar[str]

    @abstractmethod
    def interval(self, a: Stream, b: Stream) -> tuple[int, int]:
        """Interval of the result; raises GraphError when the inputs do not fit."""

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        a, b = inputs
        if a.shape != b.shape:
            raise GraphError(f"{self.function}: inputs {a} and {b}; their shapes must agree")
        return (Stream(a.shape, *self.interval(a, b)),)

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        every = Pattern.always(ports.inputs[0].size // fold.pe)
        return Loop((every, every), (every,), depth=2)

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """A LUT each bit of each lane."""
        bits = fold.pe * ports.outputs[0].bits
        return Logic(bits + control_lut(self.loop(ports, fold).trips), 2 * bits + 20)

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        return Kernel(f"{self.function}.hpp", self.function, (("BEATS", ports.inputs[0].size // fold.pe),))
