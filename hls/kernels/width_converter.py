"""The width converter in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.width_converter import WidthConverter
from muxflow.hls.kernels.base import Kernel, Unit


class WidthConverterKernel(Kernel[WidthConverter], op=WidthConverter):
    """A register as wide as the wide side."""

    def cost(self, op: WidthConverter, ports: Ports, fold: Fold) -> Cost:
        """Count a register as wide as the wide side; picking a part of it is a LUT for every four choices and bit."""
        wide, narrow = max(op.source, op.target), min(op.source, op.target)
        bits = ports.inputs[0].bits
        pick = narrow * bits * -(-(wide // narrow - 1) // 3) if op.source > op.target else 0
        return Cost(self.control_lut(op, ports, fold) + pick, wide * bits + 20, depth=2, unrolled=wide)

    def unit(self, op: WidthConverter, ports: Ports, fold: Fold) -> Unit:
        wide, narrow = max(op.source, op.target), min(op.source, op.target)
        function = "widen" if op.target > op.source else "narrow"
        return self.call(function, (("BEATS", ports.inputs[0].elements // wide), ("FACTOR", wide // narrow)))
