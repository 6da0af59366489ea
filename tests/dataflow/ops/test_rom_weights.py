"""Weight source: read-only memory."""

from dataclasses import replace

import numpy as np
import pytest
from ladder import Ladder

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.hls.kernels import KERNELS


def test_ladder(ladder):
    rng = np.random.default_rng(5)
    for rows, columns, groups, repeats in [(1, 1, 1, 1), (6, 15, 1, 3), (6, 4, 3, 2), (4, 9, 4, 2)]:
        weights = rng.integers(-3, 4, (rows, columns))
        op = RomWeights(weights, groups, repeats)
        group_rows = rows // groups
        folds = [
            Fold(pe, simd, lanes)
            for pe in range(1, group_rows + 1)
            for simd in range(1, columns + 1)
            for lanes in range(1, groups + 1)
            if group_rows % pe == 0 and columns % simd == 0 and groups % lanes == 0
        ]
        folds.append(replace(folds[-1], pixels=repeats))  # shared by all vectors
        ladder.add(op, [], lambda weights=weights: (weights,), folds=folds, tight=True)
    assert ladder.climb() == 1 + 4 * 4 + 2 * 2 * 3 + 9 + 4


def test_banks(ladder):
    """Depths that are no power of two lie in banks, whichever loses less block RAM; too long for the targets' networks."""
    kernels = Ladder(ladder.folder, ladder.variants)
    for rows, columns, fold, banks in [(48, 128, Fold(2, 2), 3), (18, 512, Fold(1, 1), 3)]:
        weights = np.random.default_rng(rows).integers(-127, 128, (rows, columns))
        op = RomWeights(weights, 1, 2)
        ports = Ports((), tuple(stream.with_lanes(fold.parallel) for stream in op.infer()))
        (memory,) = KERNELS.of(op).cost(op, ports, fold).memories
        assert (memory.depth, memory.banks) == (rows * columns // fold.parallel, banks)
        kernels.add(op, [], lambda weights=weights: (weights,), folds=[fold])
    assert kernels.climb() == 2


def test_interval_follows_the_weights():
    (w,) = RomWeights([[1, 3], [2, 2]]).infer()
    assert (w.lo, w.hi, w.bits, w.signed) == (1, 3, 2, False)
    assert w.constant is not None
    assert w.constant.tolist() == [[1, 3], [2, 2]]


def test_weights_are_frozen():
    source = np.ones((2, 2), np.int64)
    op = RomWeights(source)
    source[0, 0] = 9
    assert op.weights.tolist() == [[1, 1], [1, 1]]
    with pytest.raises(ValueError, match="read-only"):
        op.weights[0, 0] = 1
    assert op == RomWeights([[1, 1], [1, 1]])
    assert hash(op) == hash(RomWeights([[1, 1], [1, 1]]))
    assert op != RomWeights([[1, 1], [1, 2]])


@pytest.mark.parametrize("weights", [[1, 2], np.zeros((0, 3))])
def test_bad_shape(weights):
    with pytest.raises(GraphError, match=r"expected \(rows, columns\)"):
        RomWeights(weights)


def test_bad_groups_and_repeats():
    for groups in (0, 2, -3):
        with pytest.raises(GraphError, match=f"{groups} groups do not divide 3 rows"):
            RomWeights(np.ones((3, 4)), groups)
    with pytest.raises(GraphError, match="0 repeats; at least 1"):
        RomWeights(np.ones((3, 4)), 1, 0)
