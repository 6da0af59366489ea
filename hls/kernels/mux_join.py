"""The MUX join in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.hls.kernels.base import Kernel, Table, Unit
from muxflow.hls.kernels.residual import fold_arguments


class MuxJoinKernel(Kernel[MuxJoin], op=MuxJoin):
    """An adder, or an OR, and a choice a lane; select bits of a frame are held."""

    def cost(self, op: MuxJoin, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and for each lane an adder, a choice of half a LUT a bit, in `element` a comparison (derived).

        An OR and the choice are a LUT a bit together.
        """
        lanes = fold.operations
        bits = max(stream.bits for stream in ports.inputs[:2])
        lane = bits if op.mix == "or" else bits + 1 + bits // 2 + 1
        lane += bits if op.select == "element" else 0
        lut, ff = estimate(process=PROCESS)
        return Cost(
            lut + lanes * lane,
            ff + lanes * 2 * bits,
            memories=self._memories(op, ports, fold),
            depth=2,
            unrolled=lanes,
        )

    def _memories(self, op: MuxJoin, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        meeting = min(op.channel_folds(ports, fold))
        if op.select == "stream":
            return (Memory("select", "state", meeting, fold.pe, True),)
        if op.select == "element":
            bits = width(*self._table_range(op, ports))[0]
            return (Memory("thresholds", "threshold", meeting, fold.pe * bits),)
        return ()

    def _table_range(self, op: MuxJoin, ports: Ports) -> tuple[int, int]:
        return min(0, int(op.thresholds.min())), max(ports.inputs[0].hi, int(op.thresholds.max()))

    def unit(self, op: MuxJoin, ports: Ports, fold: Fold) -> Unit:
        arguments = (*fold_arguments(op, ports, fold), ("OR", op.mix == "or"))
        if op.select != "element":
            memories = ("select",) if op.select == "stream" else ()
            return self.call(f"mux_join_{op.select}", arguments, memories=memories)
        table = Table("thresholds", op.thresholds.reshape(-1, fold.pe), *self._table_range(op, ports))
        return self.call("mux_join_element", arguments, table)
