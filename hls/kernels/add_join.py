"""The add join in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.hls.kernels.base import Kernel, Unit


class AddJoinKernel(Kernel[AddJoin], op=AddJoin):
    """One adder a lane."""

    def cost(self, op: AddJoin, ports: Ports, fold: Fold) -> Cost:
        """Count a LUT for each bit of each lane."""
        bits = fold.pe * ports.outputs[0].bits
        return Cost(bits + self.control_lut(op, ports, fold), 2 * bits + 20, depth=2, unrolled=fold.pe)

    def unit(self, op: AddJoin, ports: Ports, fold: Fold) -> Unit:
        return self.call("add_join", (("BEATS", ports.inputs[0].size // fold.pe),))
