"""Matrix-vector product: convolutions after a sliding window, pointwise convolutions, dense layers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import MOST, Stream, corners
from muxflow.dataflow.op import PARALLEL_LIMIT, Fold, IntArray, Op, Port, Ports, divisors, pixel_counts

BLOCK = 1 << 16
"""Weights whose sums are taken in Python's integers at once: bounds the memory."""


def accumulator_interval(w: Stream, lo: int, hi: int) -> tuple[int, int]:
    """Give the least and the largest of the sums of rows of weights times inputs in [lo, hi], partial sums included."""
    lo, hi = min(lo, 0), max(hi, 0)
    if w.constant is None:
        least, most = corners((w.lo, w.hi), (lo, hi))
        return w.channels * min(0, least), w.channels * max(0, most)
    if max(-w.lo, w.hi) * w.channels * max(-lo, hi, 1) <= MOST:
        return _row_interval(w.constant, lo, hi)
    # Sums of 64 bits could wrap around: Python's integers, some rows at a time.
    rows = max(1, BLOCK // w.channels)
    parts = (w.constant[start : start + rows].astype(object) for start in range(0, len(w.constant), rows))
    ends = [_row_interval(part, lo, hi) for part in parts]
    return min(least for least, _ in ends), max(most for _, most in ends)


def _row_interval(weights: npt.NDArray[Any], lo: int, hi: int) -> tuple[int, int]:
    positive, negative = np.maximum(weights, 0).sum(axis=1), np.minimum(weights, 0).sum(axis=1)
    least, most = int((positive * lo + negative * hi).min()), int((positive * hi + negative * lo).max())
    return min(least, 0), max(most, 0)


def _largest(values: IntArray) -> int:
    """Give the largest absolute value, which 64 bits with a sign need not hold."""
    return max(-int(values.min(initial=0)), int(values.max(initial=0)))


@dataclass(frozen=True, eq=False)
class MatrixVector(Op):
    """Multiply each vector of a frame by a matrix that comes as a stream: convolutions and dense layers.

    - Attributes `groups`: parts that a vector is cut into, each with its own rows (1: dense, channels: depthwise);
      `pixels`: window positions in a vector (the kernel's size; 1 for pointwise and dense layers). A group's elements
      are ordered (pixel, channel), as a sliding window sends them.
    - Inputs `x` and the weights `w` `(rows, columns)`; `groups` divides `rows`, `pixels` divides `columns`. A vector
      has `groups * columns` elements; `w` comes once for each.
    - Output `(*S, rows)` where the last axis of `x` is one vector, `(1, ..., 1, rows)` where the whole frame is.
    - `y[g * R + p] = Σ_k w[g * R + p, k] * x[g * columns + k]`, `R = rows / groups`, `k < columns`.
    - Interval: with `x` in `[min(x.lo, 0), max(x.hi, 0)]`, the least and the largest over the rows of the sum of the
      negative and of the positive products, 0 included: it covers every partial sum. Weights that are not constant take
      the four corners of their own interval instead.
    - Folds: `PE` divides `R`; `SIMD` divides `columns / pixels`, or is a multiple of it that divides `columns`;
      `fold.groups > 1` divides `groups` and takes `PE = R`, `SIMD` of `columns / pixels` or a multiple of it that divides
      `columns` (and, where `pixels > 1`, a sliding window right before). `fold.pixels` neighbouring vectors meet the same
      weights. `PE * SIMD * groups * fold.pixels <= 4096`.
    - Lanes: `x` `groups * SIMD` of each pixel in the order group, column; `w` `SIMD * groups * PE` in the order column,
      group, row; `y` `groups * PE` of each pixel in the order group, row.
    - Arithmetic in synthesis: bipolar `w` and `x` count equal signs, `y = 2 count - columns`; bipolar `w` alone adds
      the inputs whose weight bit is set, `y = 2 Σ_{w = +1} x - Σ x`, the last sum once a group. Where the fold says
      `packed`, a DSP block makes the products of neighbouring rows of a pixel at once, `(2^S w1 + w0) x`. The same integers
      as above.
    - Loop, outermost first: `fold.pixels` vectors, group block, row block (`R / PE`), column block (`columns / SIMD`). `w`
      is read in every iteration, `x` while the row block is the first (and kept for the others), `y` written in the last column
      block.
    """

    groups: int = 1
    pixels: int = 1

    inputs = (Port("x"), Port("w", weights=True))

    def __post_init__(self) -> None:
        if self.groups < 1 or self.pixels < 1:
            raise GraphError(f"matrix-vector: groups {self.groups} and pixels {self.pixels} must be at least 1")

    def title(self, ports: Ports, window: str = "") -> str:
        x, w = ports.inputs
        if w.repeats == 1 and self.groups == 1:
            return "dense"
        text = f"conv {window or 'x'.join('1' * max(1, len(x.shape) - 1))}"
        if self.groups == 1:
            return text
        return f"depthwise {text}" if w.shape[1] == self.pixels else f"{text}, {self.groups} groups"

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
        return (Stream(shape, *accumulator_interval(w, x.lo, x.hi)),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        x, w = inputs
        rows, columns = w.shape
        vectors = x.reshape(-1, self.groups, columns).transpose(1, 0, 2)
        matrices = w.reshape(self.groups, rows // self.groups, columns).transpose(0, 2, 1)
        # BLAS works on floats. They are exact while every sum stays below 2^24 in single and 2^53 in double precision.
        largest = _largest(x) * (int(np.abs(w).sum(axis=1).max()) if _largest(w) * columns <= MOST else MOST)
        kind = np.float32 if largest < 2**24 else np.float64 if largest < 2**53 else np.int64
        product = np.matmul(vectors.astype(kind), matrices.astype(kind)).astype(np.int64)
        y = product.transpose(1, 0, 2).reshape(len(x), -1, rows)
        shape = x.shape[1:-1] if x.shape[-1] == self.groups * columns else (1,) * (x.ndim - 2)
        return (y.reshape(len(x), *shape, rows),)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        """List the folds.

        PE divides the rows of a group; SIMD divides its channels, or is a multiple of them that divides its columns: so many
        window positions at once; several groups at once only with all rows and channels of each. Each of them with every
        number of neighbouring pixels.
        """
        rows, columns = ports.inputs[1].shape
        group_rows, channels = rows // self.groups, columns // self.pixels
        whole = [channels * pixels for pixels in divisors(self.pixels)]
        alone = itertools.product(divisors(group_rows), divisors(channels)[:-1] + whole, (1,))
        side_by_side = itertools.product((group_rows,), whole, divisors(self.groups)[1:])
        counts = pixel_counts(ports.outputs[0])
        for sizes, pixels in itertools.product(itertools.chain(alone, side_by_side), counts):
            fold = Fold(*sizes, pixels)
            if fold.operations <= PARALLEL_LIMIT:
                yield fold

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        x, y = (fold.groups * fold.pixels * lanes for lanes in (fold.simd, fold.pe))
        return (x, fold.parallel), (y,)

    def loops(self, ports: Ports, fold: Fold) -> tuple[int, int, int, int]:
        """Count the iterations of the nested loops: vectors side by side, groups, rows of a group, its columns."""
        rows, columns = ports.inputs[1].shape
        return (
            ports.inputs[1].repeats // fold.pixels,
            self.groups // fold.groups,
            rows // self.groups // fold.pe,
            columns // fold.simd,
        )

    def interleaved(self, fold: Fold) -> bool:
        return fold.groups > 1 and self.pixels > 1

    def access(self, ports: Ports, fold: Fold) -> Access:
        vectors, group_fold, neuron_fold, synapse_fold = self.loops(ports, fold)
        parts = vectors * group_fold
        x = Pattern(((synapse_fold, True), (synapse_fold * (neuron_fold - 1), False)), parts)
        w = Pattern.always(parts * neuron_fold * synapse_fold)
        y = Pattern.last_of(synapse_fold, parts * neuron_fold)
        return Access((x, w), (y,))

    def operations(self, ports: Ports) -> int:
        return ports.inputs[1].elements
