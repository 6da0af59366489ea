"""Concatenation in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.concat import Concat
from muxflow.hls.kernels.base import Kernel, Table, Unit


class ConcatKernel(Kernel[Concat], op=Concat):
    """One beat of either input a cycle."""

    def cost(self, op: Concat, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and a two-input multiplexer a bit, two of them in a LUT; of `sides` a LUT for 64 beats (derived)."""
        lanes = fold.operations
        bits = lanes * ports.outputs[0].bits
        lut, ff = estimate(process=PROCESS)
        table = -(-len(op.order(ports, fold)) // 64) if op.sides.size else 0
        return Cost(lut + bits // 2 + 1 + table, ff + bits, depth=2, unrolled=lanes)

    def unit(self, op: Concat, ports: Ports, fold: Fold) -> Unit:
        parts, a, b = op.loops(ports, fold)
        loops = (("PARTS", parts), ("A_FOLD", a), ("B_FOLD", b))
        if not op.sides.size:
            return self.call("concat", loops)
        return self.call("interleave", loops, Table("sides", op.order(ports, fold)[:, None], 0, 1, memory=False))
