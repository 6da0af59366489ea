"""Matrix-vector product: convolutions behind a sliding window, pointwise convolutions, dense layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import constant
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import (
    UNROLL_LIMIT,
    Fold,
    IntArray,
    Kernel,
    Logic,
    Loop,
    Op,
    Pattern,
    Ports,
    control_lut,
    divisors,
)


@dataclass(frozen=True, eq=False)
class MatrixVector(Op):
    """y[g, r] = sum_k w[g, r, k] * x[g, k] for each vector of the frame; inputs: x and the weight stream.

    `groups`: the vector is cut into that many parts, each with its own rows (1: dense, channels: depthwise).
    `pixels`: window positions in a vector (kernel height x width; 1 for pointwise and dense layers). The elements of a
    group are ordered (pixel, channel), as a sliding window sends them.

    x: any shape whose size is a multiple of groups * columns; w: (rows of all groups, columns).
    y: (H, W, rows) when the last axis of x is one vector, (1, 1, rows) when the whole of x is.
    The interval of y covers every partial sum, from the actual weights where they are constant.
    """

    groups: int = 1
    pixels: int = 1

    def __post_init__(self) -> None:
        if self.groups < 1 or self.pixels < 1:
            raise GraphError(f"matrix-vector: groups {self.groups} and pixels {self.pixels} must be at least 1")

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        x, w = inputs
        rows, columns = w.shape
        vector = self.groups * columns
        if rows % self.groups or columns % self.pixels:
            raise GraphError(
                f"matrix-vector: a {rows} x {columns} matrix does not divide into {self.groups} groups of rows "
                f"and {self.pixels} window positions"
            )
        if x.channels == vector:
            shape = (*x.shape[:-1], rows)
        elif x.size == vector:
            shape = (*(1,) * (len(x.shape) - 1), rows)
        else:
            raise GraphError(f"matrix-vector: input {x} does not hold vectors of {vector} elements")
        if w.repeats != x.size // vector:
            raise GraphError(
                f"matrix-vector: weights come {w.repeats} times a frame, the input has {x.size // vector} vectors"
            )
        x_lo, x_hi = min(x.lo, 0), max(x.hi, 0)
        if w.constant is None:
            corners = [w_end * x_end for w_end in (w.lo, w.hi) for x_end in (x_lo, x_hi)]
            lo, hi = columns * min(0, *corners), columns * max(0, *corners)
        else:
            positive = np.maximum(w.constant, 0).sum(axis=1)
            negative = np.minimum(w.constant, 0).sum(axis=1)
            lo = int((positive * x_lo + negative * x_hi).min())
            hi = int((positive * x_hi + negative * x_lo).max())
        return (Stream(shape, min(lo, 0), max(hi, 0)),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        x, w = inputs
        rows, columns = w.shape
        vectors = x.reshape(-1, self.groups, columns).transpose(1, 0, 2)
        matrices = w.reshape(self.groups, rows // self.groups, columns).transpose(0, 2, 1)
        # BLAS on doubles is exact while every sum stays below 2^53.
        if np.abs(x).max(initial=0) * np.abs(w).sum(axis=1).max(initial=0) < 2**53:
            product = np.matmul(vectors.astype(np.float64), matrices.astype(np.float64)).astype(np.int64)
        else:
            product = np.matmul(vectors, matrices)
        y = product.transpose(1, 0, 2).reshape(len(x), -1, rows)
        shape = x.shape[1:-1] if x.shape[-1] == self.groups * columns else (1,) * (x.ndim - 2)
        return (y.reshape(len(x), *shape, rows),)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        """PE divides the rows of a group; SIMD divides its channels, or is a multiple of them that divides its columns;
        several groups at once only with all rows and channels of each."""
        rows, columns = ports.inputs[1].shape
        group_rows, channels = rows // self.groups, columns // self.pixels
        simds = divisors(channels) + [channels * pixels for pixels in divisors(self.pixels)[1:]]
        for pe in divisors(group_rows):
            for simd in simds:
                if pe * simd <= UNROLL_LIMIT:
                    yield Fold(pe, simd)
        for groups in divisors(self.groups)[1:]:
            fold = Fold(group_rows, channels, groups)
            if fold.parallel <= UNROLL_LIMIT:
                yield fold

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (fold.groups * fold.simd, fold.parallel), (fold.groups * fold.pe,)

    def _steps(self, ports: Ports, fold: Fold) -> tuple[int, int, int, int]:
        rows, columns = ports.inputs[1].shape
        return (
            ports.inputs[1].repeats,
            self.groups // fold.groups,
            rows // self.groups // fold.pe,
            columns // fold.simd,
        )

    def interleaved(self, fold: Fold) -> bool:
        return fold.groups > 1 and self.pixels > 1

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        vectors, group_fold, neuron_fold, synapse_fold = self._steps(ports, fold)
        parts = vectors * group_fold
        x = Pattern(((synapse_fold, True), (synapse_fold * (neuron_fold - 1), False)), parts)
        w = Pattern.always(parts * neuron_fold * synapse_fold)
        y = Pattern.last_of(synapse_fold, parts * neuron_fold)
        return Loop((x, w), (y,), depth=4 + fold.simd.bit_length())

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """Rows * (SIMD * products and adder tree + accumulator), constants in resource_model.toml.

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
        lut = int(sums * columns * product + rows * accumulator) + control_lut(self.loop(ports, fold).trips)
        ff = rows * (2 * y.bits + fold.simd * (product_bits + 1) // 2) + x.bits * fold.simd * fold.groups + 40
        return Logic(lut, ff, dsp)

    def memories(self, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        _, _, neuron_fold, synapse_fold = self._steps(ports, fold)
        if neuron_fold == 1:
            return ()
        return (Memory("x_buffer", "state", synapse_fold, fold.groups * fold.simd * ports.inputs[0].bits, True),)

    def operations(self, ports: Ports) -> int:
        return ports.inputs[1].elements

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        vectors, group_fold, neuron_fold, synapse_fold = self._steps(ports, fold)
        return Kernel(
            "matrix_vector.hpp",
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
