"""The weight memory that is loaded at run time, in HLS."""

from __future__ import annotations

from dataclasses import replace

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory, bank_count
from muxflow.dataflow.fit.resource_model import estimate
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.loaded_weights import LoadedWeights
from muxflow.hls.kernels.base import Kernel, Table, Unit

BEGIN = 4
"""Cycles of a frame in which the process looks for words or a frame (estimate): into that loop, through it, out of it."""

WORD = 64
"""Bits of a word that is loaded."""


class LoadedWeightsKernel(Kernel[LoadedWeights], op=LoadedWeights):
    """One row of the memory a cycle, inside the process that reads it; between frames a word of a load a cycle."""

    def cost(self, op: LoadedWeights, ports: Ports, fold: Fold) -> Cost:
        """Count the weight streamer of stored weights, its memory with a second port, and the loader (derived).

        The loader: a beat that is made of words, in registers; the counters of words, parts, rows and banks, a LUT and a
        register a bit, and as much again for their ends; the FIFO of two words to the next loader. A word that is passed on
        passes no logic. The checksum, which the first loader alone keeps, belongs to the ports of the design, which no node
        counts.
        """
        bits = fold.parallel * ports.outputs[0].bits
        memory = self._memory(op, bits, fold)
        parts = -(-bits // WORD)
        counters = sum(count.bit_length() for count in (memory.depth * parts, parts, memory.bank_depth, memory.banks))
        lut, _ = estimate(weight_stream={"constant": 1}, register_fifo={"constant": 1, "bit": WORD})
        _, ff = estimate(weight_stream={"constant": 1, "bit": bits}, register_fifo={"constant": 1, "bit": WORD})
        lut += 2 * counters
        ff += parts * WORD + counters
        return Cost(lut, ff, memories=(memory,), depth=3)

    def _memory(self, op: LoadedWeights, bits: int, fold: Fold) -> Memory:
        depth = op.weights.size // fold.parallel
        return Memory("weights", "loaded", depth, bits, True, bank_count(depth, bits))

    def is_held(self, op: LoadedWeights) -> bool:
        return True

    def begin(self, op: LoadedWeights) -> int:
        return BEGIN

    def unit(self, op: LoadedWeights, ports: Ports, fold: Fold) -> Unit:
        stream = ports.outputs[0]
        banks = self._memory(op, fold.parallel * stream.bits, fold).banks
        tiles = op.tiles(fold)
        table = Table("weights", tiles, stream.lo, stream.hi, bipolar=stream.bipolar, banks=banks)
        return self.call(
            "", (("REPEATS", op.repeats // fold.pixels),), replace(table, loaded=True), reader="LoadedReader"
        )
