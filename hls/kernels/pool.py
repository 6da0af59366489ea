"""Pools without overlap in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.pool import Pool
from muxflow.hls.kernels.base import Kernel, Unit


class PoolKernel(Kernel[Pool], op=Pool):
    """A row of outputs in a memory, a plane of them where windows span several planes."""

    def cost(self, op: Pool, ports: Ports, fold: Fold) -> Cost:
        """Count FINN's StreamingMaxPool without its memory, by the bits of all lanes; the row is a memory of its own.

        An operation for each further pixel side by side.
        """
        y = ports.outputs[0]
        sizes, kernel = op.steps(ports, fold)
        bits = fold.pe * op.beat_pixels(ports, fold)[1][0] * y.bits
        # One place where windows are of one row of the map: what is held of them comes back at once.
        rows, columns = (size // step for size, step in zip(sizes[1:], kernel[1:], strict=True))
        held = (columns if max(kernel[:2]) > 1 else 1) * (rows if kernel[0] > 1 else 1)
        side = fold.pe * (fold.pixels - 1) * y.bits
        lut, ff = estimate(pool={"constant": 1, "bit": bits})
        return Cost(
            lut + side,
            ff + side,
            memories=(Memory("row", "line", held * y.channels // fold.pe, bits, True),),
            depth=4 + (fold.pixels - 1).bit_length(),
            unrolled=fold.operations,
        )

    def unit(self, op: Pool, ports: Ports, fold: Fold) -> Unit:
        x = ports.inputs[0]
        sizes, kernel = op.steps(ports, fold)
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
                ("PIXELS", fold.pixels),
                ("SUM", op.mode == "sum"),
            ),
            memories=("row",),
        )
