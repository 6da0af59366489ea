"""Pools of laid-out windows in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.resource_model import estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.window_pool import WindowPool
from muxflow.hls.kernels.base import Kernel, Unit


class WindowPoolKernel(Kernel[WindowPool], op=WindowPool):
    """One pixel of a window a cycle, or several."""

    def cost(self, op: WindowPool, ports: Ports, fold: Fold) -> Cost:
        """Count FINN's StreamingMaxPool, which also keeps a row: by the bits of all lanes, those of each pixel counted."""
        lut, ff = estimate(pool={"constant": 1, "bit": fold.operations * ports.outputs[0].bits})
        return Cost(lut, ff, depth=1 + fold.simd.bit_length(), unrolled=fold.operations)

    def unit(self, op: WindowPool, ports: Ports, fold: Fold) -> Unit:
        sizes = (
            ("WINDOWS", ports.outputs[0].size // (fold.groups * fold.pixels)),
            ("PARTS", op.pixels // fold.simd),
            ("PIXELS", fold.simd),
        )
        return self.call("window_pool", (*sizes, ("SUM", op.mode == "sum")))
