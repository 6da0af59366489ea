"""Matrix-vector product."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.dsp_block import products_a_block
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights


def slow(groups):
    def run(x, w):
        rows, columns = w.shape
        vectors = x.reshape(-1, groups * columns).tolist()
        y = np.zeros((len(vectors), rows), np.int64)
        for v, vector in enumerate(vectors):
            for row in range(rows):
                group = row // (rows // groups)
                for k in range(columns):
                    y[v, row] += vector[group * columns + k] * int(w[row, k])
        whole = x.shape[-1] == groups * columns
        return (y.reshape(*(x.shape[:-1] if whole else (1, 1)), rows),)

    return run


def order(groups, pixels, rows, columns):
    """What the loop asks for of one vector after the other, step by step: x as a sliding window sends it, w tile by tile."""

    def run(fold, inputs):
        x, w = (values.reshape(-1).tolist() for values in inputs)
        channels = columns // pixels
        sent = []
        for start in range(0, len(x), groups * columns):
            at_once = fold.simd if fold.groups > 1 else channels
            for first in range(0, groups, fold.groups):
                for column in range(0, columns, at_once):
                    for lane in range(fold.groups):
                        sent += x[start + (first + lane) * columns + column :][:at_once]
        if fold.groups == 1:
            assert sent == x
        tiles = []
        group_rows = rows // groups
        for first in range(0, groups, fold.groups):
            for row in range(0, group_rows, fold.pe):
                for column in range(0, columns, fold.simd):
                    for c in range(fold.simd):
                        for lane in range(fold.groups):
                            for p in range(fold.pe):
                                tiles.append(w[((first + lane) * group_rows + row + p) * columns + column + c])
        return np.array(sent), np.array(tiles)

    return run


def product(ladder, shape, lo, hi, weights, groups=1, pixels=1, **options):
    weights = np.array(weights)
    rows, columns = weights.shape
    repeats = int(np.prod(shape)) // (groups * columns)
    (w,) = RomWeights(weights, groups, repeats).infer()
    ladder.add(
        MatrixVector(groups, pixels),
        [Stream(shape, lo, hi), w],
        slow(groups),
        order=order(groups, pixels, rows, columns),
        **options,
    )


def test_dense(ladder):
    rng = np.random.default_rng(1)
    product(ladder, (1, 1, 1), -1, 0, [[-3]])
    product(ladder, (2, 2, 6), 0, 3, rng.integers(-1, 2, (3, 6)))
    product(ladder, (2, 1, 18), -4, 3, rng.integers(-4, 4, (4, 18)), pixels=9)
    product(ladder, (1, 2, 5), -2, 3, rng.integers(-2, 3, (5, 10)))  # the whole map is one vector
    product(ladder, (1, 2, 3), 1, 3, [[0, 0, 0]])
    product(ladder, (1, 2, 3), -9, -3, [[-1, -2, -3], [-9, 0, 0]])  # products of two negatives: an unsigned sum
    every = np.array(list(itertools.product(range(-1, 2), repeat=4))).reshape(1, 81, 1, 4)
    product(ladder, (81, 1, 4), -1, 1, [[1, -1, 1, 0], [2, 1, -1, 1]], values=[every, None], tight=True)
    assert ladder.climb() == 1 + 8 * 2 + 12 * 2 + 8 + 2 * 2 + 4 * 2 + 6 * 3


def test_wide(ladder):
    """32-bit operands: C++ would wrap what it promotes."""
    product(ladder, (1, 1, 2), 0, 2**32 - 1, [[-1, 3], [2, -7]])
    product(ladder, (1, 1, 2), -(2**31), 2**31 - 1, [[2**20, 1], [-1, -(2**20)]])
    product(ladder, (1, 1, 2), 0, 2**16 - 1, [[2**16 - 1, 2**16 - 1]])
    product(ladder, (1, 1, 1), 0, 2**16 - 1, [[40000]])  # the sum needs all 32 bits of an unsigned int
    assert ladder.climb(refused=["finn"]) == 4 + 4 + 2 + 1


@pytest.mark.parametrize(
    ("channels", "groups", "rows", "pixels"),
    [(6, 2, 4, 1), (6, 3, 6, 4), (4, 4, 4, 9), (3, 3, 6, 2), (1, 1, 1, 3)],
)
def test_groups(ladder, channels, groups, rows, pixels):
    rng = np.random.default_rng([channels, groups, rows])
    columns = channels // groups * pixels
    product(ladder, (2, 1, groups * columns), -2, 3, rng.integers(-3, 4, (rows, columns)), groups, pixels)
    assert ladder.climb() == 2 * len(list(legal(channels, groups, rows, pixels)))


@pytest.mark.parametrize(("lo", "hi", "kind"), [(0, 3, "ternary"), (-1, 1, "bipolar"), (-40, 40, "wide")])
def test_neighbouring_pixels(ladder, lo, hi, kind):
    """Several vectors of a row meet the same weights: odd rows, two and three axes, groups, the whole row."""
    rng = np.random.default_rng([lo + 50, hi])

    def weights(*shape):
        if kind == "bipolar":
            return 2 * rng.integers(0, 2, shape) - 1
        return rng.integers(-1, 2, shape) if kind == "ternary" else rng.integers(-40, 41, shape)

    for shape, rows, groups, pixels in [
        ((2, 9, 6), 4, 1, 1),
        ((6, 8), 6, 1, 2),
        ((1, 2, 14, 3), 3, 1, 1),
        ((1, 4, 12), 4, 2, 3),
        ((3, 15, 1), 2, 1, 1),
    ]:
        product(ladder, shape, lo, hi, weights(rows, shape[-1] // groups), groups, pixels, frames=2)
    assert ladder.climb() > 100


PACKED = {"dsp": True, "packed": True}


def test_every_pair_in_a_dsp_block(ladder):
    """All pairs of weights meet all inputs: neighbours in a block, whole blocks, and one that is not full."""
    ladder.targets = ()  # other targets place products themselves
    for w, x, block in [
        ((-4, 3), (0, 7), 4),
        ((-4, 3), (-4, 3), 4),
        ((0, 7), (-4, 3), 4),
        ((0, 7), (0, 7), 4),
        ((-8, 7), (0, 15), 3),
    ]:
        pairs = itertools.product(range(w[0], w[1] + 1), repeat=2)
        rows = np.array([pair * block for pair in pairs])[:, : block + 1].reshape(-1, 1)
        every = np.arange(x[0], x[1] + 1).reshape(1, -1, 1, 1)
        assert products_a_block(Stream(rows.shape, *w), Stream((every.size, 1, 1), *x)) == block
        product(ladder, (every.size, 1, 1), *x, rows, values=[every, None], folds=[Fold(block + 1, 1, **PACKED)])
    assert ladder.climb() == 5


def test_packed(ladder):
    """Two and three products a block, of signed and unsigned factors; several columns, groups, neighbouring pixels.

    Of signs and choices, which a fold by hand may name too, nothing is packed.
    """
    ladder.targets = ()
    rng = np.random.default_rng(5)
    for bits, inputs in [(8, (0, 15)), (8, (-128, 127)), (4, (0, 15)), (8, (0, 255))]:
        weights = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (6, 12))
        weights[0, 0], weights[1, 0] = 2 ** (bits - 1) - 1, -(2 ** (bits - 1))
        folds = [Fold(3, 4, 1, 2, **PACKED), Fold(6, 12, 1, 4, **PACKED), Fold(1, 2, **PACKED)]
        product(ladder, (1, 4, 12), *inputs, weights, folds=folds)
        product(ladder, (1, 4, 24), *inputs, weights, 2, folds=[Fold(3, 12, 2, 2, **PACKED)])
    product(ladder, (1, 4, 3), -8, 7, rng.integers(0, 200, (5, 3)), folds=[Fold(5, 3, 1, 2, **PACKED)])
    for inputs in ((-1, 1), (0, 3)):
        for weights in (2 * rng.integers(0, 2, (4, 6)) - 1, rng.integers(-1, 2, (4, 6))):
            product(ladder, (1, 4, 6), *inputs, weights, folds=[Fold(4, 3, **PACKED)])
    assert ladder.climb() == 4 * 4 + 1 + 4


def legal(channels, groups, rows, pixels):
    """All folds of one pixel by trial."""
    group_rows, group_channels = rows // groups, channels // groups
    columns = group_channels * pixels
    for pe in range(1, group_rows + 1):
        for simd in range(1, columns + 1):
            whole = simd % group_channels == 0 and columns % simd == 0
            if group_rows % pe == 0 and (group_channels % simd == 0 or whole):
                yield Fold(pe, simd)
    for lanes in range(2, groups + 1):
        for positions in range(1, pixels + 1):
            if groups % lanes == 0 and pixels % positions == 0:
                yield Fold(group_rows, positions * group_channels, lanes)


@pytest.mark.parametrize("case", [(12, 1, 6, 9), (12, 3, 6, 4), (5, 5, 10, 9), (1, 1, 1, 1), (30, 2, 14, 3)])
def test_legal_folds(case):
    channels, groups, rows, pixels = case
    columns = channels // groups * pixels
    x, (w,) = Stream((1, 1, groups * columns), 0, 1), RomWeights(np.ones((rows, columns)), groups).infer()
    op = MatrixVector(groups, pixels)
    folds = list(op.folds(Ports((x, w), op.infer(x, w))))
    assert len(folds) == len(set(folds))
    assert set(folds) == set(legal(*case))


@given(
    st.lists(st.lists(st.integers(-5, 5), min_size=3, max_size=3), min_size=1, max_size=3),
    st.integers(-3, 3),
    st.integers(0, 3),
)
def test_interval_holds_every_partial_sum(weights, lo, size):
    (w,) = RomWeights(weights).infer()
    (y,) = MatrixVector().infer(Stream((1, 1, 3), lo, lo + size), w)
    met = {0}
    for x in itertools.product(range(lo, lo + size + 1), repeat=3):
        for row in weights:
            met |= {sum(a * b for a, b in zip(row[:k], x, strict=False)) for k in range(4)}
    assert y.lo <= min(met)
    assert max(met) <= y.hi
    if lo <= 0 <= lo + size:
        assert (y.lo, y.hi) == (min(met), max(met))


def test_interval_of_unknown_weights_holds_every_weight():
    w = Stream((2, 3), -2, 1)
    (y,) = MatrixVector().infer(Stream((1, 1, 3), 0, 5), w)
    assert (y.lo, y.hi) == (-30, 15)


def test_exact_beyond_doubles():
    """A sum over 2^53 must not go through floating point."""
    x = np.array([[[[2**54 + 1, 2**54 + 3]]]])
    assert MatrixVector().compute(x, np.array([[1, -1]]))[0].tolist() == [[[[-2]]]]


def test_bad_inputs():
    (w,) = RomWeights(np.ones((4, 6))).infer()
    with pytest.raises(GraphError, match="must be at least 1"):
        MatrixVector(0)
    with pytest.raises(GraphError, match="3 groups of rows"):
        MatrixVector(3).infer(Stream((1, 1, 18), 0, 1), w)
    with pytest.raises(GraphError, match="4 window positions"):
        MatrixVector(1, 4).infer(Stream((1, 1, 6), 0, 1), w)
    with pytest.raises(GraphError, match="vectors of 6 elements"):
        MatrixVector().infer(Stream((1, 1, 7), 0, 1), w)
    with pytest.raises(GraphError, match="weights come 1 times a frame, the input has 2 vectors"):
        MatrixVector().infer(Stream((1, 2, 6), 0, 1), w)
