"""Scale: an integer factor for each channel; brings two grids onto a common one before a join."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Access, Fold, IntArray, Op, Pattern, Ports, frozen_array


@dataclass(frozen=True, eq=False)
class Scale(Op):
    """Multiply each channel by an integer: brings two grids onto a common one before a join.

    - Attribute `factors`, `(channels,)` or `(1,)`. Shape kept.
    - `y_c = factors_c * x_c`.
    - Interval: the least and the largest of the four products of `min`/`max` factor and `x.lo`/`x.hi` (tight).
    - `T = size / PE`; read and written in every iteration.
    """

    factors: IntArray

    elementwise = True

    def __post_init__(self) -> None:
        factors = frozen_array(self.factors)
        if factors.ndim != 1 or factors.size == 0:
            raise GraphError(f"scale: factors of shape {factors.shape}; expected (channels,)")
        object.__setattr__(self, "factors", factors)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if len(self.factors) not in (1, x.channels):
            raise GraphError(f"scale: {len(self.factors)} factors for {x.channels} channels")
        ends = [int(f) * end for f in (self.factors.min(), self.factors.max()) for end in (x.lo, x.hi)]
        return (Stream(x.shape, min(ends), max(ends)),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (inputs[0] * self.factors,)

    def access(self, ports: Ports, fold: Fold) -> Access:
        every = Pattern.always(ports.inputs[0].size // fold.pe)
        return Access((every,), (every,))
