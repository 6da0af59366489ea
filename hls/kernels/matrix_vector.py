"""The matrix-vector product in HLS."""

from __future__ import annotations

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import constant
from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.hls.kernels.base import Kernel, Unit


class MatrixVectorKernel(Kernel[MatrixVector], op=MatrixVector):
    """PE rows and SIMD columns a cycle; the vector stays in a buffer while its further rows are computed."""

    def cost(self, op: MatrixVector, ports: Ports, fold: Fold) -> Cost:
        """Count rows * (SIMD * products and adder tree + accumulator), constants in resource_model.toml.

        Weights of -1 and +1 on inputs of -1 and +1: equal signs are counted, by full adders of three bits and a tree.
        Weights of -1 and +1 on b-bit inputs: b AND gates and a tree over b-bit terms, about 2 b; the sum of the inputs is
        a tree of its own for each group, and one subtraction a row ends the sum.
        Other weights of two bits: 0, x or -x of p bits is chosen and goes into a tree of signed terms, about 2 p.
        Wider weights: a LUT for each pair of bits and a tree over the products, or a DSP where both factors have more
        than four bits.
        """
        x, w = ports.inputs
        y = ports.outputs[0]
        rows, columns = fold.pe * fold.groups, float(fold.simd)
        corners = [w_end * x_end for w_end in (w.lo, w.hi) for x_end in (x.lo, x.hi)]
        product_bits, _ = width(min(corners), max(corners))
        sums, dsp = rows, 0
        if w.bipolar and x.bipolar:
            product = constant("matrix_vector.count_per_column")
        elif w.bipolar:
            product = constant("matrix_vector.signs_per_bit") * x.bits
            product += constant("matrix_vector.signs_per_signed_column") if x.signed else 0
            sums += fold.groups
        elif w.bits <= 2:
            product = constant("matrix_vector.ternary_per_column")
            product += constant("matrix_vector.ternary_per_bit") * product_bits
        else:
            product = constant("matrix_vector.product_per_bit") * product_bits
            if min(w.bits, x.bits) <= 4:
                product += constant("matrix_vector.product_per_bit_pair") * w.bits * x.bits
            else:
                dsp = rows * fold.simd
        accumulator = constant("matrix_vector.accumulator_per_bit") * y.bits * (2 if w.bipolar and not x.bipolar else 1)
        return Cost(
            int(sums * columns * product + rows * accumulator) + self.control_lut(op, ports, fold),
            rows * (2 * y.bits + fold.simd * (product_bits + 1) // 2) + x.bits * fold.simd * fold.groups + 40,
            dsp,
            self._memories(op, ports, fold),
            depth=4 + fold.simd.bit_length(),
            unrolled=fold.parallel,
        )

    def _memories(self, op: MatrixVector, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        _, _, neuron_fold, synapse_fold = op.loops(ports, fold)
        if neuron_fold == 1:
            return ()
        return (Memory("x_buffer", "state", synapse_fold, fold.groups * fold.simd * ports.inputs[0].bits, True),)

    def unit(self, op: MatrixVector, ports: Ports, fold: Fold) -> Unit:
        vectors, group_fold, neuron_fold, synapse_fold = op.loops(ports, fold)
        return self.call(
            "matrix_vector",
            (
                ("VECTORS", vectors),
                ("GROUP_FOLD", group_fold),
                ("GROUP_LANES", fold.groups),
                ("NEURON_FOLD", neuron_fold),
                ("SYNAPSE_FOLD", synapse_fold),
                ("PE", fold.pe),
                ("SIMD", fold.simd),
            ),
        )
