"""Weight matrices whose rows use different grids: hybrid filter banks, which become a product for each kind of rows.

Ternary rows are chosen in LUTs, rows of more bits multiplied, and each kind is stored in its own bits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.rom_weights import RomWeights

LEAST_SHARE = 1 / 4
"""Of a matrix's stored bits that a second product must save: more than rows of one quantizer differ by chance (decision)."""
LEAST_BITS = 1024
"""That it must save at least: a process, a fork and a join cost a few hundred LUTs (decision)."""


@dataclass(frozen=True, eq=False)
class Bank:
    """A matrix in two parts, or whole.

    `sides`: to which part each row belongs, 0 or 1, the first row to 0; `parts`: their rows, in order; `bits`: of their
    weights. `factors`: by what the sums of each row are to be multiplied, shape (rows,).
    """

    sides: IntArray
    parts: tuple[RomWeights, ...]
    bits: tuple[int, ...]
    factors: IntArray


def find_bank(supply: RomWeights) -> Bank:
    """Divide the rows of a matrix by their bits where that saves most; whole where one product is as good.

    What all weights of a row are multiples of counts for nothing: it belongs to the row's scale, where that saves bits. A
    matrix in groups is divided where each has as many rows of few bits as any other, so that both parts read all channels.
    Depthwise layers are not: parts that read some channels each take windows and slices of their own, which cost more than
    they save (decision).
    """
    factors = np.maximum(np.gcd.reduce(supply.weights, axis=1), 1)
    matrix = supply.weights // factors[:, None]
    ends = zip(matrix.min(axis=1).tolist(), matrix.max(axis=1).tolist(), strict=True)
    bits = np.array([width(min(lo, -1), hi)[0] for lo, hi in ends])
    most = int(bits.max())
    saved = {few: int((bits <= few).sum()) * matrix.shape[1] * (most - few) for few in np.unique(bits)[:-1].tolist()}
    few = max(saved, key=saved.__getitem__, default=most)
    narrow = bits <= few
    sides = (narrow != narrow[0]).astype(np.int64)
    saves = saved.get(few, 0) >= max(LEAST_BITS, LEAST_SHARE * matrix.size * most)
    if not saves or np.ptp(sides.reshape(supply.groups, -1).sum(axis=1)):
        return _whole(supply, replace(supply, weights=matrix), factors)
    first, second = (replace(supply, weights=matrix[sides == side]) for side in (0, 1))
    return Bank(sides, (first, second), (few, most) if narrow[0] else (most, few), factors)


def _whole(supply: RomWeights, reduced: RomWeights, factors: IntArray) -> Bank:
    """Give one product of a matrix: with its rows divided by `factors` where the weights then take fewer bits."""
    (given,), (less,) = supply.infer(), reduced.infer()
    if less.bits == given.bits:
        reduced, factors = supply, np.ones_like(factors)
    return Bank(np.zeros(len(factors), np.int64), (reduced,), (less.bits,), factors)
