"""Shift and clip in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.hls.kernels.base import Kernel, Table, Unit
from muxflow.hls.kernels.channel_table import channel_table


class ShiftClipKernel(Kernel[ShiftClip], op=ShiftClip):
    """An addition, a constant shift and two comparisons a lane."""

    def _sum_bits(self, op: ShiftClip, x: Stream) -> int:
        bounds = [x.lo, x.hi, x.lo + int(op.bias.min()) - op.even, x.hi + int(op.bias.max()), -1, op.lowest, op.highest]
        return width(min(bounds), max(bounds))[0]

    def cost(self, op: ShiftClip, ports: Ports, fold: Fold) -> Cost:
        """Count a process, one adder, two comparisons and a borrow at half a LUT a bit each, one choice (derived)."""
        x, lanes = ports.inputs[0], fold.operations
        bits = self._sum_bits(op, x)
        lane = 2 * bits + (bits // 2 if op.even else 0) + ports.outputs[0].bits
        bias_bits = width(int(op.bias.min()), int(op.bias.max()))[0]
        lut, ff = estimate(process=PROCESS)
        return Cost(
            lut + lanes * lane,
            ff + lanes * 2 * bits,
            memories=(Memory("bias", "threshold", len(channel_table(op.bias, x, fold)), fold.pe * bias_bits),),
            depth=3,
            unrolled=lanes,
        )

    def unit(self, op: ShiftClip, ports: Ports, fold: Fold) -> Unit:
        x = ports.inputs[0]
        table = channel_table(op.bias, x, fold)
        bits = self._sum_bits(op, x)
        return self.call(
            "shift_clip",
            (
                ("PIXELS", x.size // (table.size * fold.pixels)),
                ("CHANNEL_FOLD", len(table)),
                ("SHIFT", min(op.shift, bits - 1)),  # beyond the width only the sign is left
                ("LOWEST", op.lowest),
                ("HIGHEST", op.highest),
                ("SUM_BITS", bits),
                ("EVEN", op.even),
            ),
            Table("bias", table, int(table.min()), int(table.max())),
        )
