"""The matrix-vector product in HLS."""

from __future__ import annotations

from dataclasses import replace
from math import ceil

from muxflow.dataflow.dsp_block import products_a_block
from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import estimate, products
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.hls.kernels.base import Kernel, Unit


class MatrixVectorKernel(Kernel[MatrixVector], op=MatrixVector):
    """PE rows and SIMD columns a cycle of each pixel side by side; the vectors stay in a buffer for their further rows."""

    def cost(self, op: MatrixVector, ports: Ports, fold: Fold) -> Cost:
        """Count FINN's matrix-vector unit in HLS without weight streamer, input buffer and thresholds.

        By the bits that come in a beat, the products, and the bits of the accumulators, of all pixels side by side. Weights
        of -1 and +1 on other inputs: the sum of the inputs is one more row in each group. Products go into DSP blocks where
        both factors have more than four bits, or the fold has it so: one in each, or as many as it holds of rows of a pixel.
        Between two of those (derived): an adder for the upper weight, which the sign of the lower one reaches, and a bit that
        is counted, so that the lower product takes nothing off the upper one.
        """
        x, w = ports.inputs
        rows, groups = fold.pe * fold.groups * fold.pixels, fold.groups * fold.pixels
        number, block = fold.operations, self._block(ports, fold)
        blocks = ceil(fold.pe / block) * fold.simd * groups if block else 0
        amounts = {
            "constant": 1.0,
            "input_bit": groups * fold.simd * x.bits,
            "accumulator_bit": rows * ports.outputs[0].bits,
        }
        if block:
            amounts |= {"dsp": number, "dsp_bit": number * (w.bits + x.bits)}
        else:
            made = (rows + groups) * fold.simd if w.bipolar and not x.bipolar else number
            for amount, share in products(w.bits, x.bits, w.bipolar).items():
                amounts[amount] = share * made
        lut, ff = estimate(matrix_vector=amounts)
        between = w.signed * (w.bits + 1) + (w.signed or x.signed)
        return Cost(
            lut + between * (number - blocks if block else 0),
            ff,
            blocks,
            self._memories(op, ports, fold),
            depth=4 + fold.simd.bit_length() + (block > 1),
            unrolled=fold.operations,
        )

    def _block(self, ports: Ports, fold: Fold) -> int:
        """Count the products that a DSP block makes; 0 where LUTs make them."""
        x, w = ports.inputs
        if fold.packed:
            return min(fold.pe, products_a_block(w, x))
        return int(fold.dsp or min(w.bits, x.bits) > 4)

    def forms(self, op: MatrixVector, ports: Ports, fold: Fold) -> tuple[Fold, ...]:
        """Give products of three bits and more the choice of DSP blocks: those of fewer are small in LUTs.

        One in a block where one factor has more than four bits (with both, it is the rule), several where it holds them.
        """
        x, w = ports.inputs
        fewer, more = sorted((w.bits, x.bits))
        if fewer <= 2:
            return (fold,)
        in_dsp = replace(fold, dsp=True)
        alone = (in_dsp,) if fewer <= 4 < more else ()
        packs = min(fold.pe, products_a_block(w, x)) > 1
        return (fold, *alone, *((replace(in_dsp, packed=True),) if packs else ()))

    def _memories(self, op: MatrixVector, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        _, _, neuron_fold, synapse_fold = op.loops(ports, fold)
        if neuron_fold == 1:
            return ()
        lanes, _ = op.lanes(ports, fold)
        return (Memory("x_buffer", "state", synapse_fold, lanes[0] * ports.inputs[0].bits, True),)

    def holds_sources(self, op: MatrixVector) -> bool:
        return True

    def unit(self, op: MatrixVector, ports: Ports, fold: Fold) -> Unit:
        vectors, group_fold, neuron_fold, synapse_fold = op.loops(ports, fold)
        w = ports.inputs[1]
        return self.call(
            "matrix_vector",
            (
                ("VECTORS", vectors),
                ("GROUP_FOLD", group_fold),
                ("GROUP_LANES", fold.groups),
                ("PIXELS", fold.pixels),
                ("NEURON_FOLD", neuron_fold),
                ("SYNAPSE_FOLD", synapse_fold),
                ("PE", fold.pe),
                ("SIMD", fold.simd),
                ("TERNARY", w.lo >= -1 and w.hi <= 1 and not w.bipolar),
                ("DSP", self._block(ports, fold)),
            ),
            memories=("x_buffer",),
        )
