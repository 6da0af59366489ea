"""Scale: an integer factor for each channel or pixel; brings several grids onto a common one."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Op, Ports, frozen_array


@dataclass(frozen=True, eq=False)
class Scale(Op):
    """Multiply each channel or each pixel by an integer: brings grids onto a common one before a join or after a pool.

    - Attribute `factors`: `(channels,)`, `(1,)`, or `(pixels, 1)` in row-major order. Shape kept.
    - `y[p, c] = factors_c * x[p, c]`, or `factors_p * x[p, c]`.
    - Interval: the least and the largest of the four products of `min`/`max` factor and `x.lo`/`x.hi` (tight).
    - `T = size / (PE * pixels)`; read and written in every iteration.
    """

    factors: IntArray

    pixelwise = True

    def __post_init__(self) -> None:
        factors = frozen_array(self.factors)
        if factors.size == 0 or (factors.ndim != 1 and factors.shape != (factors.size, 1)):
            raise GraphError(f"scale: factors of shape {factors.shape}; expected (channels,) or (pixels, 1)")
        object.__setattr__(self, "factors", factors)

    @property
    def by_pixel(self) -> bool:
        """Whether the factors are those of pixels."""
        return self.factors.ndim == 2

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        expected = (x.pixels,) if self.by_pixel else (1, x.channels)
        if len(self.factors) not in expected:
            what = f"{x.pixels} pixels" if self.by_pixel else f"{x.channels} channels"
            raise GraphError(f"scale: {len(self.factors)} factors for {what}")
        ends = [int(f) * end for f in (self.factors.min(), self.factors.max()) for end in (x.lo, x.hi)]
        return (Stream(x.shape, min(ends), max(ends)),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        (x,) = inputs
        return ((x.reshape(len(x), -1, x.shape[-1]) * self.factors).reshape(x.shape),)

    def access(self, ports: Ports, fold: Fold) -> Access:
        every = Pattern.always(ports.inputs[0].size // fold.operations)
        return Access((every,), (every,))
