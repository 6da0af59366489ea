"""The width converter in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import bank_choice, lutram_count
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.width_converter import WidthConverter
from muxflow.hls.kernels.base import Kernel, Unit

SHORT = 8
"""Beats of a pixel below which the buffer is registers (`FAR` in memory.hpp)."""


class WidthConverterKernel(Kernel[WidthConverter], op=WidthConverter):
    """A register as wide as the wide side; a buffer of two groups of pixels where their number changes."""

    def cost(self, op: WidthConverter, ports: Ports, fold: Fold) -> Cost:
        """Count a process, and the bits of the wide side: of a register that is filled, or shifted out.

        Where the number of pixels changes, a buffer of two groups in LUTs, in flip-flops where it is SHORT, and the choice
        of the pixels that are sent (derived).
        """
        if op.regroups:
            return self._regroup_cost(op, ports)
        wide = max(op.source, op.target)
        register = "widened_bit" if op.target > op.source else "narrowed_bit"
        lut, ff = estimate(process=PROCESS, width_converter={register: wide * ports.inputs[0].bits})
        return Cost(lut, ff, depth=2, unrolled=wide)

    def _regroup_cost(self, op: WidthConverter, ports: Ports) -> Cost:
        x, part = ports.inputs[0], op.source // op.source_pixels
        width, depth = part * x.bits, 2 * x.channels // part
        lut, ff = estimate(process=PROCESS)
        lut += bank_choice(op.group // op.target_pixels, op.target * x.bits)
        if depth < 2 * SHORT:
            lut, ff = lut + op.group * bank_choice(depth, width), ff + op.group * depth * width
        else:
            lut += op.group * lutram_count(depth, width, True)
        return Cost(lut, ff + op.target * x.bits, depth=3, unrolled=op.group * part)

    def unit(self, op: WidthConverter, ports: Ports, fold: Fold) -> Unit:
        wide, narrow = max(op.source, op.target), min(op.source, op.target)
        if op.regroups:
            beats = ports.inputs[0].channels * op.source_pixels // op.source
            pixels = (("IN", op.source_pixels), ("OUT", op.target_pixels))
            return self.call("regroup", (("GROUPS", op.loops(ports)[0]), ("GROUP", op.group), ("FOLD", beats), *pixels))
        function = "widen" if op.target > op.source else "narrow"
        sizes = (("BEATS", ports.inputs[0].elements // wide), ("FACTOR", wide // narrow), ("PIXELS", op.side_by_side))
        return self.call(function, sizes)
