"""Channel select in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.hls.kernels.base import Kernel, Table, Unit


class ChannelSelectKernel(Kernel[ChannelSelect], op=ChannelSelect):
    """The statistic of every channel in a memory, judged with the last pixel."""

    def cost(self, op: ChannelSelect, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and for each lane a comparison or addition for the statistic, one for the bit (derived).

        A comparison and a choice, or an addition, for each further pixel side by side.
        """
        x = ports.inputs[0]
        highest = op.highest(x)
        bits, _ = width(0, highest)
        lowest, most = min(0, int(op.thresholds.min())), max(highest, int(op.thresholds.max()))
        lut, ff = estimate(process=PROCESS)
        return Cost(
            lut + fold.pe * (2 * bits + 2) + fold.pe * (fold.pixels - 1) * 2 * bits,
            ff + fold.pe * 2 * bits,
            memories=(
                Memory("statistic", "state", x.channels // fold.pe, fold.pe * bits, True),
                Memory("thresholds", "threshold", len(op.thresholds) // fold.pe, fold.pe * width(lowest, most)[0]),
            ),
            depth=4 + (fold.pixels - 1).bit_length(),
            unrolled=fold.operations,
        )

    def unit(self, op: ChannelSelect, ports: Ports, fold: Fold) -> Unit:
        x, s = ports.inputs[0], ports.outputs[0]
        highest = op.highest(x)
        table = op.thresholds.reshape(-1, fold.pe)
        return self.call(
            "channel_select",
            (
                ("PIXELS", x.pixels // fold.pixels),
                ("X_FOLD", x.channels // fold.pe),
                ("FOLD", s.channels // fold.pe),
                ("SUM", op.statistic == "sum"),
                ("STATISTIC_BITS", width(0, highest)[0]),
            ),
            Table("thresholds", table, min(0, int(table.min())), max(highest, int(table.max()))),
            memories=("statistic",),
        )
