"""OR join: residual of one-bit (or k-bit) codes."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Kernel, Logic, Loop, Ports, control_lut
from muxflow.dataflow.ops._residual import ResidualJoin


@dataclass(frozen=True, eq=False)
class OrJoin(ResidualJoin):
    """y = x | f on unsigned codes; inputs x, f.

    Where the channel counts differ, the first min(channels) are joined, the other channels of f pass and those of x are
    dropped.

    Source: HEQ (arXiv 2501.04517); bitwise for more than one bit, and the channel rule, are decisions.
    """

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        x, f = inputs
        meeting = self.check_codes(x, f)
        lo, hi = max(x.lo, f.lo), (1 << max(x.hi.bit_length(), f.hi.bit_length())) - 1
        if f.channels > meeting:
            lo = min(lo, f.lo)
        return (Stream(f.shape, lo, hi),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        x, f = inputs
        meeting = min(x.shape[-1], f.shape[-1])
        y = f.copy()
        y[..., :meeting] |= x[..., :meeting]
        return (y,)

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        x, f = self.patterns(ports, fold)
        return Loop((x, f), (f,), depth=2)

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """A LUT each bit of each lane."""
        bits = fold.pe * ports.outputs[0].bits
        return Logic(bits + control_lut(self.loop(ports, fold).trips), 2 * bits + 20)

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        return Kernel("or_join.hpp", "or_join", self.fold_arguments(ports, fold))
