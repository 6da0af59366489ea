"""The op in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.hls.kernels.base import Kernel, Unit
from toy.operation import Magnitude


class MagnitudeKernel(Kernel[Magnitude], op=Magnitude):
    """A negation and a comparison a lane."""

    def cost(self, op: Magnitude, ports: Ports, fold: Fold) -> Cost:
        """Take a process, and two LUTs a bit a lane."""
        bits = fold.pe * ports.inputs[0].bits
        lut, ff = estimate(process=PROCESS)
        return Cost(lut + 2 * bits, ff + 2 * bits, depth=2, unrolled=fold.pe)

    def unit(self, op: Magnitude, ports: Ports, fold: Fold) -> Unit:
        return self.call("magnitude", (("BEATS", ports.inputs[0].size // fold.pe), ("LIMIT", op.limit)))
