"""Thermometer encoding in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.thermometer_encode import ThermometerEncode
from muxflow.hls.kernels.base import Kernel, Unit


class ThermometerEncodeKernel(Kernel[ThermometerEncode], op=ThermometerEncode):
    """Comparisons of each pixel with the thresholds of its codes."""

    def cost(self, op: ThermometerEncode, ports: Ports, fold: Fold) -> Cost:
        """Count a process and, for each lane, a comparison a level at half a LUT a bit, and the choice (derived).

        Where a pixel's codes take several beats, thresholds change from beat to beat: an adder a lane more.
        """
        x, y = ports.inputs[0], ports.outputs[0]
        sum_bits = (x.hi + op.step * (op.codes - 1)).bit_length()
        moving = sum_bits if op.beats_sent(fold) > 1 else 0
        lanes, ((held,), _) = fold.operations, op.lanes(ports, fold)
        lut, ff = estimate(process=PROCESS)
        return Cost(
            lut + lanes * (-(-op.top * sum_bits // 2) + y.bits + moving),
            ff + lanes * (y.bits + moving) + held * x.bits,
            depth=3,
            unrolled=lanes,
        )

    def unit(self, op: ThermometerEncode, ports: Ports, fold: Fold) -> Unit:
        return self.call(
            "thermometer_encode",
            (
                ("BEATS", ports.outputs[0].size // fold.operations // op.beats_sent(fold)),
                ("CODES", op.codes),
                ("STEP", op.step),
                ("TOP", op.top),
                ("FOLD", op.beats_sent(fold)),
            ),
        )
