"""Pools without overlap in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.spatial import cube
from muxflow.hls.kernels.base import Kernel, Unit


class PoolKernel(Kernel[Pool], op=Pool):
    """A row of outputs in a memory, a plane of them where windows span several planes."""

    def cost(self, op: Pool, ports: Ports, fold: Fold) -> Cost:
        """Count a comparison and a choice, or an adder, for each lane."""
        y = ports.outputs[0]
        bits = fold.pe * y.bits
        (_, rows, columns), kernel = cube(y.shape[:-1]), cube(op.kernel)
        held = columns * (rows if kernel[0] > 1 else 1)
        return Cost(
            (bits * 3 // 2 if op.mode == "max" else bits) + self.control_lut(op, ports, fold) + 30,
            2 * bits + 50,
            memories=(Memory("row", "line", held * y.channels // fold.pe, bits, True),),
            unrolled=fold.pe,
        )

    def unit(self, op: Pool, ports: Ports, fold: Fold) -> Unit:
        x = ports.inputs[0]
        sizes, kernel = cube(x.shape[:-1]), cube(op.kernel)
        return self.call(
            "pool",
            (
                ("DEPTH", sizes[0]),
                ("HEIGHT", sizes[1]),
                ("WIDTH", sizes[2]),
                ("FOLD", x.channels // fold.pe),
                ("KERNEL_D", kernel[0]),
                ("KERNEL_H", kernel[1]),
                ("KERNEL_W", kernel[2]),
                ("SUM", op.mode == "sum"),
            ),
        )
