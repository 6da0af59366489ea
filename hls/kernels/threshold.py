"""Thresholds in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels.base import Kernel, Table, Unit


class ThresholdKernel(Kernel[Threshold], op=Threshold):
    """All steps of a lane compared at once."""

    def _range(self, op: Threshold, x: Stream) -> tuple[int, int]:
        return min(x.lo, int(op.thresholds.min())), max(x.hi, int(op.thresholds.max()))

    def cost(self, op: Threshold, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and the bits of all comparisons as inside FINN's matrix-vector unit, the table as a memory."""
        steps = op.levels.shape[1]
        (x,), (y,) = ports.inputs, ports.outputs
        bits = width(*self._range(op, x))[0]
        lut, ff = estimate(process=PROCESS, threshold={"comparison_bit": fold.pe * steps * bits})
        return Cost(
            lut + fold.pe * y.bits,
            ff + fold.pe * (x.bits + steps + y.bits),
            memories=(Memory("thresholds", "threshold", op.channel_fold(fold), fold.pe * steps * bits),),
            unrolled=fold.pe * steps,
        )

    def unit(self, op: Threshold, ports: Ports, fold: Fold) -> Unit:
        rows, steps = op.levels.shape
        x = ports.inputs[0]
        channel_fold = op.channel_fold(fold)
        thresholds, falling = op.levels, op.falling
        if rows == 1:
            thresholds, falling = thresholds.repeat(fold.pe, axis=0), falling.repeat(fold.pe)
        table = thresholds.reshape(channel_fold, fold.pe, steps).transpose(0, 2, 1).reshape(channel_fold, -1)
        return self.call(
            "threshold",
            (
                ("PIXELS", x.size // (channel_fold * fold.pe)),
                ("CHANNEL_FOLD", channel_fold),
                ("STEPS", steps),
                ("BASE", op.base),
                ("JUMP", op.jump),
            ),
            Table("thresholds", table, *self._range(op, x)),
            Table("falling", falling.reshape(channel_fold, fold.pe), 0, 1, memory=False),
        )
