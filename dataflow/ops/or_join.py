"""OR join: residual of one-bit (or k-bit) codes."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Access, Fold, IntArray, Ports
from muxflow.dataflow.ops.residual import ResidualJoin


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

    def access(self, ports: Ports, fold: Fold) -> Access:
        x, f = self.patterns(ports, fold)
        return Access((x, f), (f,))
