"""MUX-bitshift join: the residual of MOGNET."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import Fold, IntArray, Kernel, Logic, Loop, Pattern, Ports, Table, control_lut, frozen_array
from muxflow.dataflow.ops._residual import ResidualJoin

NO_THRESHOLDS = frozen_array(np.zeros(0))


@dataclass(frozen=True, eq=False)
class MuxJoin(ResidualJoin):
    """y = S ? (x + f) >> 1 : f on unsigned codes; inputs x, f and, for `stream`, S.

    `select`: "always" (S = 1), "element" (S = 1 where x >= the threshold of its channel), "stream" (S comes from a
    channel select, one bit a channel and frame). `thresholds`: shape (min channels,) for "element", else empty.
    Where the channel counts differ, the first min(channels) carry the residual, the other channels of f pass and those
    of x are dropped.

    Source: MOGNET, MUX(I0, I1; S) = I1*S + I0*(1-S); I0 = f, I1 = (x + f) >> 1 (floor) and the modes are decisions.
    """

    select: Literal["always", "element", "stream"]
    thresholds: IntArray = field(default_factory=lambda: NO_THRESHOLDS)

    def __post_init__(self) -> None:
        if self.select not in ("always", "element", "stream"):
            raise GraphError(f"MUX join: select {self.select!r}; supported: 'always', 'element', 'stream'")
        thresholds = frozen_array(self.thresholds)
        if (self.select == "element") != bool(thresholds.size) or thresholds.ndim != 1:
            raise GraphError(f"MUX join: {thresholds.shape} thresholds with select {self.select!r}")
        object.__setattr__(self, "thresholds", thresholds)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        if len(inputs) != (3 if self.select == "stream" else 2):
            raise GraphError(f"MUX join: {len(inputs)} inputs with select {self.select!r}")
        x, f = inputs[:2]
        meeting = self.check_codes(x, f)
        if max(x.bits, f.bits) > 30:
            raise GraphError(f"MUX join: inputs {x} and {f}; it joins codes of at most 30 bits")
        if self.select == "stream" and inputs[2].channels != meeting:
            raise GraphError(f"MUX join: {inputs[2].channels} select bits for {meeting} channels")
        if self.select == "element" and len(self.thresholds) != meeting:
            raise GraphError(f"MUX join: {len(self.thresholds)} thresholds for {meeting} channels")
        lo, hi = (x.lo + f.lo) >> 1, (x.hi + f.hi) >> 1
        if self.select != "always" or f.channels > meeting:
            lo, hi = min(lo, f.lo), max(hi, f.hi)
        return (Stream(f.shape, lo, hi),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        x, f = inputs[:2]
        meeting = min(x.shape[-1], f.shape[-1])
        x_met, f_met = x[..., :meeting], f[..., :meeting]
        mixed = (x_met + f_met) >> 1
        if self.select == "element":
            mixed = np.where(x_met >= self.thresholds, mixed, f_met)
        elif self.select == "stream":
            mixed = np.where(inputs[2] != 0, mixed, f_met)
        y = f.copy()
        y[..., :meeting] = mixed
        return (y,)

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        x, f = self.patterns(ports, fold)
        if self.select != "stream":
            return Loop((x, f), (f,), depth=2)
        meeting = min(self.channel_folds(ports, fold))
        s = Pattern(((meeting, True), (x.trips - meeting, False)))
        return Loop((x, f, s), (f,), depth=2)

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """Each lane adds (a LUT a bit), chooses (half a LUT a bit), and compares in `element`."""
        bits = max(stream.bits for stream in ports.inputs[:2])
        lane = bits + 1 + bits // 2 + 1 + (bits if self.select == "element" else 0)
        return Logic(fold.pe * lane + control_lut(self.loop(ports, fold).trips), fold.pe * 2 * bits + 30)

    def memories(self, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        meeting = min(self.channel_folds(ports, fold))
        if self.select == "stream":
            return (Memory("select", "state", meeting, fold.pe, True),)
        if self.select == "element":
            return (Memory("thresholds", "threshold", meeting, fold.pe * self._table_bits(ports)),)
        return ()

    def _table_bits(self, ports: Ports) -> int:
        x = ports.inputs[0]
        return width(min(0, int(self.thresholds.min())), max(x.hi, int(self.thresholds.max())))[0]

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        arguments = self.fold_arguments(ports, fold)
        if self.select != "element":
            return Kernel("mux_join.hpp", f"mux_join_{self.select}", arguments)
        table = self.thresholds.reshape(-1, fold.pe)
        lo, hi = min(0, int(table.min())), max(ports.inputs[0].hi, int(table.max()))
        return Kernel("mux_join.hpp", "mux_join_element", arguments, (Table("thresholds", table, lo, hi),))
