"""Weight source: trained weights in a read-only memory."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Op, Ports, Role, frozen_array


@dataclass(frozen=True, eq=False)
class RomWeights(Op):
    """Send a constant weight matrix once for each vector of a frame.

    - Attributes `weights`: integers `(rows, columns)`, rows of all groups, columns of one; `groups`: as in the
      MatrixVector that reads them; `repeats`: vectors in a frame.
    - No input; output: the matrix, `repeats` times.
    - Interval: least and largest weight (tight); the stream is constant.
    - Follows. Beats in the order that MatrixVector reads: group block, row block, column block; lanes column, group,
      row. The matrix is sent once for each `pixels` of the fold.
    - `T = repeats * size / lanes / pixels`, written in every iteration.
    """

    weights: IntArray
    groups: int = 1
    repeats: int = 1

    inputs = ()
    role = Role.SOURCE

    def __post_init__(self) -> None:
        weights = frozen_array(self.weights)
        if weights.ndim != 2 or weights.size == 0:
            raise GraphError(f"weight memory: a matrix of shape {weights.shape}; expected (rows, columns)")
        if self.groups < 1 or len(weights) % self.groups:
            raise GraphError(f"weight memory: {self.groups} groups do not divide {len(weights)} rows")
        if self.repeats < 1:
            raise GraphError(f"weight memory: {self.repeats} repeats; at least 1")
        object.__setattr__(self, "weights", weights)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        lo, hi = int(self.weights.min()), int(self.weights.max())
        bipolar = (lo, hi) == (-1, 1) and bool(self.weights.all())
        return (Stream(self.weights.shape, lo, hi, self.repeats, bipolar=bipolar, constant=self.weights),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (self.weights,)

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (), (fold.parallel,)

    def tiles(self, fold: Fold) -> IntArray:
        """Give the matrix in the order of the beats, shape (beats, lanes).

        Beats in the order (group, row, column), lanes in the order (column, group, row).
        """
        rows, columns = self.weights.shape
        group_rows = rows // self.groups
        split = self.weights.reshape(
            self.groups // fold.groups, fold.groups, group_rows // fold.pe, fold.pe, columns // fold.simd, fold.simd
        )
        return split.transpose(0, 2, 4, 5, 1, 3).reshape(-1, fold.parallel)

    def access(self, ports: Ports, fold: Fold) -> Access:
        return Access((), (Pattern.always(ports.outputs[0].elements // fold.operations),))
