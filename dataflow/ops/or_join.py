"""OR join: residual of one-bit (or k-bit) codes."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.access import Access
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Ports
from muxflow.dataflow.ops.residual import ResidualJoin


@dataclass(frozen=True, eq=False)
class OrJoin(ResidualJoin):
    """Join two streams of unsigned codes by bitwise OR.

    - Inputs `x`, `f` of one spatial size, `lo >= 0`; output: the shape of `f`.
    - For channels `c < m = min(x.channels, f.channels)`: `y_c = x_c | f_c`, bitwise; for `c >= m`: `y_c = f_c`.
      Channels of `x` from `m` on are dropped.
    - Interval `[max(x.lo, f.lo), 2^n - 1]`, `n` the larger width of `x.hi` and `f.hi` (the width is tight, the ends
      need not be); the lower end is that of `f` where channels of `f` pass.
    - Loop as MuxJoin without the select stream, of which this is `always` with the mix `or`.

    Source: HEQ (arXiv 2501.04517); bitwise for more than one bit, and the channel rule, are decisions.
    """

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        x, f = inputs
        meeting = self.check_codes(x, f)
        lo, hi = self.or_interval(x, f)
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
