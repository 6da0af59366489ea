"""Concatenation in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.concat import Concat
from muxflow.hls.kernels.base import Kernel, Unit


class ConcatKernel(Kernel[Concat], op=Concat):
    """One beat of either input a cycle."""

    def cost(self, op: Concat, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and a two-input multiplexer a bit, two of them in a LUT (derived)."""
        lanes = fold.operations
        bits = lanes * ports.outputs[0].bits
        lut, ff = estimate(process=PROCESS)
        return Cost(lut + bits // 2 + 1, ff + bits, depth=2, unrolled=lanes)

    def unit(self, op: Concat, ports: Ports, fold: Fold) -> Unit:
        parts, a, b = op.loops(ports, fold)
        return self.call("concat", (("PARTS", parts), ("A_FOLD", a), ("B_FOLD", b)))
