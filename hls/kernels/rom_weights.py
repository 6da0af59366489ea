"""The weight memory in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.hls.kernels.base import Kernel, Table, Unit


class RomWeightsKernel(Kernel[RomWeights], op=RomWeights):
    """One row of the table a cycle."""

    def cost(self, op: RomWeights, ports: Ports, fold: Fold) -> Cost:
        """Count FINN's weight streamer, the choice of its output register aside, which our FIFO is; the table is a memory."""
        bits = fold.parallel * ports.outputs[0].bits
        lut, _ = estimate(weight_stream={"constant": 1})
        _, ff = estimate(weight_stream={"constant": 1, "bit": bits})
        return Cost(
            lut,
            ff,
            memories=(Memory("weights", "rom", op.weights.size // fold.parallel, bits),),
            depth=3,
        )

    def unit(self, op: RomWeights, ports: Ports, fold: Fold) -> Unit:
        stream = ports.outputs[0]
        tiles = op.tiles(fold)
        return self.call(
            "rom_weights",
            (("REPEATS", op.repeats), ("TILES", len(tiles))),
            Table("weights", tiles, stream.lo, stream.hi, bipolar=stream.bipolar),
        )
