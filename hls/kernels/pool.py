"""Pools without overlap in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.spatial import cube
from muxflow.hls.kernels.base import Kernel, Unit


class PoolKernel(Kernel[Pool], op=Pool):
    """A row of outputs in a memory, a plane of them where windows span several planes."""

    def cost(self, op: Pool, ports: Ports, fold: Fold) -> Cost:
        """Count FINN's StreamingMaxPool without its memory, by the bits of all lanes; the row is a memory of its own."""
        y = ports.outputs[0]
        bits = fold.pe * y.bits
        (_, rows, columns), kernel = cube(y.shape[:-1]), cube(op.kernel)
        held = columns * (rows if kernel[0] > 1 else 1)
        lut, ff = estimate(pool={"constant": 1, "bit": bits})
        return Cost(
            lut,
            ff,
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
            memories=("row",),
        )
