"""The add join in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.hls.kernels.base import Kernel, Unit


class AddJoinKernel(Kernel[AddJoin], op=AddJoin):
    """One adder a lane."""

    def cost(self, op: AddJoin, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and a LUT for each bit of each lane (derived)."""
        lanes = fold.operations
        bits = lanes * ports.outputs[0].bits
        lut, ff = estimate(process=PROCESS)
        return Cost(lut + bits, ff + 2 * bits, depth=2, unrolled=lanes)

    def unit(self, op: AddJoin, ports: Ports, fold: Fold) -> Unit:
        return self.call("add_join", (("BEATS", ports.inputs[0].size // fold.operations),))
