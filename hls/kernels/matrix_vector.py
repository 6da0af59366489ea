"""The matrix-vector product in HLS."""

from __future__ import annotations

from dataclasses import replace

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
        of -1 and +1 on other inputs: the sum of the inputs is one more row in each group. Products go into DSP blocks, one
        in each, where both factors have more than four bits, or the fold has it so.
        """
        x, w = ports.inputs
        rows, groups = fold.pe * fold.groups * fold.pixels, fold.groups * fold.pixels
        number = fold.operations
        amounts = {
            "constant": 1.0,
            "input_bit": groups * fold.simd * x.bits,
            "accumulator_bit": rows * ports.outputs[0].bits,
        }
        in_dsp = fold.dsp or min(w.bits, x.bits) > 4
        if in_dsp:
            amounts |= {"dsp": number, "dsp_bit": number * (w.bits + x.bits)}
        else:
            made = (rows + groups) * fold.simd if w.bipolar and not x.bipolar else number
            for amount, share in products(w.bits, x.bits, w.bipolar).items():
                amounts[amount] = share * made
        lut, ff = estimate(matrix_vector=amounts)
        return Cost(
            lut,
            ff,
            number if in_dsp else 0,
            self._memories(op, ports, fold),
            depth=4 + fold.simd.bit_length(),
            unrolled=fold.operations,
        )

    def forms(self, op: MatrixVector, ports: Ports, fold: Fold) -> tuple[Fold, ...]:
        """Give products of more than four bits by three or four the choice of DSP blocks: those of fewer are small in LUTs."""
        fewer, more = sorted(stream.bits for stream in ports.inputs)
        return (fold, replace(fold, dsp=True)) if 2 < fewer <= 4 < more else (fold,)

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
                ("DSP", self.cost(op, ports, fold).dsp > 0),
            ),
            memories=("x_buffer",),
        )
