"""The OR join in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.or_join import OrJoin
from muxflow.hls.kernels.base import Kernel, Unit
from muxflow.hls.kernels.residual import fold_arguments


class OrJoinKernel(Kernel[OrJoin], op=OrJoin):
    """An OR a lane."""

    def cost(self, op: OrJoin, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and a LUT for each bit of each lane (derived)."""
        lanes = fold.operations
        bits = lanes * ports.outputs[0].bits
        lut, ff = estimate(process=PROCESS)
        return Cost(lut + bits, ff + 2 * bits, depth=2, unrolled=lanes)

    def unit(self, op: OrJoin, ports: Ports, fold: Fold) -> Unit:
        return self.call("or_join", fold_arguments(op, ports, fold))
