"""The weight memory in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory, bank_count
from muxflow.dataflow.fit.resource_model import estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.hls.kernels.base import Kernel, Table, Unit


class RomWeightsKernel(Kernel[RomWeights], op=RomWeights):
    """One row of the table a cycle; the reader's process holds it where it can."""

    def cost(self, op: RomWeights, ports: Ports, fold: Fold) -> Cost:
        """Count FINN's weight streamer without the choice of its output register; the table is a memory.

        Read in place it is no process: all of its control but the address falls away, which no synthesis has shown yet, so
        nothing is taken off.
        """
        bits = fold.parallel * ports.outputs[0].bits
        lut, _ = estimate(weight_stream={"constant": 1})
        _, ff = estimate(weight_stream={"constant": 1, "bit": bits})
        return Cost(lut, ff, memories=(self._memory(op, bits, fold),), depth=3)

    def _memory(self, op: RomWeights, bits: int, fold: Fold) -> Memory:
        depth = op.weights.size // fold.parallel
        return Memory("weights", "rom", depth, bits, banks=bank_count(depth, bits))

    def is_held(self, op: RomWeights) -> bool:
        return True

    def unit(self, op: RomWeights, ports: Ports, fold: Fold) -> Unit:
        stream = ports.outputs[0]
        tiles = op.tiles(fold)
        banks = self._memory(op, fold.parallel * stream.bits, fold).banks
        return self.call(
            "rom_weights",
            (("REPEATS", op.repeats // fold.pixels), ("BANKS", banks)),
            Table("weights", tiles, stream.lo, stream.hi, bipolar=stream.bipolar, banks=banks),
            reader="RomReader",
        )
