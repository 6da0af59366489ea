"""Arg-max in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.hls.kernels.base import Kernel, Unit


class ArgMaxKernel(Kernel[ArgMax], op=ArgMax):
    """One comparison a cycle."""

    def cost(self, op: ArgMax, ports: Ports, fold: Fold) -> Cost:
        """Count one comparison, and a choice of value and index."""
        bits = ports.inputs[0].bits + ports.outputs[0].bits
        return Cost(2 * bits + self.control_lut(op, ports, fold), 2 * bits + 20, depth=2)

    def unit(self, op: ArgMax, ports: Ports, fold: Fold) -> Unit:
        x = ports.inputs[0]
        return self.call("arg_max", (("VECTORS", x.pixels), ("CLASSES", x.channels)))
