"""Scale: an integer factor for each channel; brings two grids onto a common one before a join."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import (
    Fold,
    IntArray,
    Kernel,
    Logic,
    Loop,
    Op,
    Pattern,
    Ports,
    Table,
    control_lut,
    frozen_array,
)


@dataclass(frozen=True, eq=False)
class Scale(Op):
    """y = factor_c * x; `factors`: shape (channels,) or (1,), integers."""

    factors: IntArray

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

    def _table(self, fold: Fold) -> IntArray:
        return self.factors.reshape(-1, fold.pe) if len(self.factors) > 1 else self.factors.repeat(fold.pe)[None]

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        every = Pattern.always(ports.inputs[0].size // fold.pe)
        return Loop((every,), (every,), depth=3)

    def _factor_bits(self) -> int:
        return width(int(self.factors.min()), int(self.factors.max()))[0]

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """Factors that are all one power of two are wires; others a product of LUTs, one for each pair of bits."""
        one = len(set(self.factors.tolist())) == 1 and abs(int(self.factors[0])).bit_count() == 1
        lane = 0 if one else ports.inputs[0].bits * self._factor_bits()
        return Logic(fold.pe * lane + control_lut(self.loop(ports, fold).trips), fold.pe * ports.outputs[0].bits + 20)

    def memories(self, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        return (Memory("factors", "threshold", len(self._table(fold)), fold.pe * self._factor_bits()),)

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        table = self._table(fold)
        return Kernel(
            "scale.hpp",
            "scale",
            (("PIXELS", ports.inputs[0].size // table.size), ("CHANNEL_FOLD", len(table))),
            (Table("factors", table, int(table.min()), int(table.max())),),
        )
