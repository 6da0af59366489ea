"""The width converter in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.width_converter import WidthConverter
from muxflow.hls.kernels.base import Kernel, Unit


class WidthConverterKernel(Kernel[WidthConverter], op=WidthConverter):
    """A register as wide as the wide side."""

    def cost(self, op: WidthConverter, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and the bits of the wide side: of a register that is filled, or shifted out."""
        wide = max(op.source, op.target)
        register = "widened_bit" if op.target > op.source else "narrowed_bit"
        lut, ff = estimate(process=PROCESS, width_converter={register: wide * ports.inputs[0].bits})
        return Cost(lut, ff, depth=2, unrolled=wide)

    def unit(self, op: WidthConverter, ports: Ports, fold: Fold) -> Unit:
        wide, narrow = max(op.source, op.target), min(op.source, op.target)
        function = "widen" if op.target > op.source else "narrow"
        return self.call(function, (("BEATS", ports.inputs[0].elements // wide), ("FACTOR", wide // narrow)))
