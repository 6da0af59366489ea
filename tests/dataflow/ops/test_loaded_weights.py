"""Weight source: a memory that is loaded at run time."""

import numpy as np
import pytest

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.loaded_weights import LoadedWeights
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.hls.kernels import KERNELS


def test_ladder(ladder):
    """Stored beats of less than a word and of several, one, two and no signs; every contents but the last are overwritten."""
    rng = np.random.default_rng(5)
    cases = [(1, 1, 1, 1, -3, 3), (6, 15, 1, 3, -3, 3), (6, 4, 3, 2, 0, 5), (4, 9, 4, 2, -100, 100)]
    for rows, columns, groups, repeats, lo, hi in cases:
        op = LoadedWeights(rng.integers(lo, hi + 1, (rows, columns)), groups, repeats, lo, hi)
        group_rows = rows // groups
        folds = [
            Fold(pe, simd, lanes)
            for pe in range(1, group_rows + 1)
            for simd in range(1, columns + 1)
            for lanes in range(1, groups + 1)
            if group_rows % pe == 0 and columns % simd == 0 and groups % lanes == 0
        ]
        ladder.add(op, [], lambda weights=op.weights: (weights,), folds=folds)
    signs = 2 * rng.integers(0, 2, (6, 24)) - 1
    op = LoadedWeights(signs, 1, 2, -1, 1, True)
    ladder.add(op, [], lambda: (signs,), folds=[Fold(1, 1), Fold(2, 8), Fold(6, 12)])
    # Depths that are no power of two lie in banks.
    wide = rng.integers(-128, 128, (18, 512))
    op = LoadedWeights(wide, 1, 1, -128, 127)
    ports = Ports((), (op.infer()[0].with_lanes(1),))
    assert KERNELS.of(op).cost(op, ports, Fold()).memories[0].banks == 3
    ladder.add(op, [], lambda: (wide,), folds=[Fold()])
    assert ladder.climb(refused=["finn", "hls4ml"]) == 1 + 4 * 4 + 2 * 2 * 3 + 9 + 3 + 1


def test_holds_any_weights_of_as_many_bits():
    for weights, interval, bits in [
        ([[-1, 1]], (-1, 1), 1),
        ([[-1, 0]], (-1, 0), 1),
        ([[-1, 0, 1]], (-1, 1), 2),
        ([[-2, 1]], (-2, 1), 2),
        ([[-3, 2]], (-3, 3), 3),
        ([[-4, 0]], (-4, 3), 3),
        ([[0, 5]], (0, 7), 3),
        ([[0, 0]], (0, 1), 1),
    ]:
        op = LoadedWeights.of(RomWeights(weights, 1, 3))
        (w,) = op.infer()
        assert ((w.lo, w.hi), w.bits, w.bipolar, w.repeats) == (interval, bits, interval == (-1, 1) and bits == 1, 3)
        assert w.constant is None
        assert op.loaded and not RomWeights(weights).loaded
        np.testing.assert_array_equal(op.compute()[0], weights)


def test_the_sums_hold_for_any_weights():
    """Every weight at either end of the interval leaves the product inside the interval of its stream."""
    op = LoadedWeights.of(RomWeights([[-3, 2, 0], [1, 1, 1]]))
    (w,) = op.infer()
    x = Stream((1, 1, 3), -2, 5)
    (y,) = MatrixVector().infer(x, w)
    ends = [a * b * 3 for a in (-3, 3) for b in (-2, 5)]
    assert (y.lo, y.hi) == (min(ends), max(ends))


def test_bad_contents():
    with pytest.raises(GraphError, match=r"values in \[-9, 1\]; the memory holds those in \[-3, 3\]"):
        LoadedWeights([[-9, 1]], 1, 1, -3, 3)
    with pytest.raises(GraphError, match=r"a value other than -1 and \+1"):
        LoadedWeights([[0, 1]], 1, 1, -1, 1, True)
    op = LoadedWeights([[1, -1]], 1, 1, -1, 1, True)
    with pytest.raises(GraphError, match=r"a matrix of shape \(2, 2\); expected \(1, 2\)"):
        op.with_weights(np.ones((2, 2), np.int64))
