"""The fork in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.fork import Fork
from muxflow.hls.kernels.base import Kernel, Unit


class ForkKernel(Kernel[Fork], op=Fork):
    """One beat a cycle to all outputs."""

    def cost(self, op: Fork, ports: Ports, fold: Fold) -> Cost:
        """Count a process and the handshakes (derived)."""
        lut, ff = estimate(process=PROCESS)
        return Cost(lut + 2 * op.ways, ff + ports.inputs[0].bits * fold.operations, depth=1)

    def unit(self, op: Fork, ports: Ports, fold: Fold) -> Unit:
        return self.call("fork", (("BEATS", ports.inputs[0].size // fold.operations),))
