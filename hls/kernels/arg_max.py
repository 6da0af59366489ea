"""Arg-max in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.resource_model import estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.hls.kernels.base import Kernel, Unit


class ArgMaxKernel(Kernel[ArgMax], op=ArgMax):
    """One comparison a cycle."""

    def cost(self, op: ArgMax, ports: Ports, fold: Fold) -> Cost:
        """Count FINN's LabelSelect of one element a beat, by the bits of the input."""
        lut, ff = estimate(arg_max={"constant": 1, "bit": ports.inputs[0].bits})
        return Cost(lut, ff, depth=2)

    def unit(self, op: ArgMax, ports: Ports, fold: Fold) -> Unit:
        x = ports.inputs[0]
        return self.call("arg_max", (("VECTORS", x.pixels), ("CLASSES", x.channels)))
