"""Streams of -1 and +1 through every op that takes or makes them: one bit an element, the same integers."""

import itertools

import numpy as np
import pytest

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.file import read_graph, write_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.ops.window_pool import WindowPool


def signs(*shape, seed=0):
    return random_codes(Stream(shape, -1, 1, bipolar=True), 1, np.random.default_rng([*shape, seed]))[0]


def bipolar(*shape):
    return Stream(shape, -1, 1, bipolar=True)


def slow_product(groups):
    def run(x, w):
        vectors = x.reshape(-1, groups, w.shape[1]).tolist()
        group_rows = len(w) // groups
        y = [
            sum(a * b for a, b in zip(vector[row // group_rows], w[row].tolist(), strict=True))
            for vector in vectors
            for row in range(len(w))
        ]
        return (np.array(y).reshape(*x.shape[:-1], len(w)),)

    return run


def order(groups, pixels, rows, columns):
    """The order of the loop: groups side by side, pixel by pixel; weights tile by tile."""

    def run(fold, inputs):
        x, w = inputs
        parallel, at_once = fold.groups, max(fold.simd, columns // pixels)
        x = x.reshape(-1, groups // parallel, parallel, columns // at_once, at_once).swapaxes(2, 3)
        w = w.reshape(groups // parallel, parallel, rows // groups // fold.pe, fold.pe, columns // fold.simd, fold.simd)
        return x.reshape(-1), w.transpose(0, 2, 4, 5, 1, 3).reshape(-1)

    return run


def slow_window(op):
    def run(x):
        top, left, bottom, right = op.pads
        padded = np.full((x.shape[0] + top + bottom, x.shape[1] + left + right, x.shape[2]), op.pad_code)
        padded[top : top + x.shape[0], left : left + x.shape[1]] = x
        height, width = (size - kernel + 1 for size, kernel in zip(padded.shape, op.kernel, strict=False))
        y = [
            padded[row : row + op.kernel[0], column : column + op.kernel[1]].reshape(-1)
            for row in range(height)
            for column in range(width)
        ]
        return (np.array(y).reshape(height, width, -1),)

    return run


def slow_threshold(op):
    def run(x):
        flat = x.reshape(-1, x.shape[-1])
        y = np.empty_like(flat)
        for row, column in np.ndindex(*flat.shape):
            index = column % len(op.thresholds)
            count = sum(int(flat[row, column]) >= t for t in op.thresholds[index].tolist())
            y[row, column] = op.base + (op.thresholds.shape[1] - count if op.falling[index] else count)
        return (y.reshape(x.shape),)

    return run


def test_a_bit_an_element():
    stream = bipolar(2, 3, 4)
    assert (stream.bits, stream.signed, stream.step, str(stream)) == (1, True, 2, "bipolar[2x3x4]")
    codes = random_codes(stream, 5, np.random.default_rng(0))
    assert codes.shape == (5, 2, 3, 4)
    assert set(codes.reshape(-1).tolist()) == {-1, 1}
    with pytest.raises(GraphError, match=r"bipolar stream interval \[-1, 0\]"):
        Stream((1,), -1, 0, bipolar=True)


@pytest.mark.parametrize(
    ("groups", "rows", "columns", "pixels"),
    [(1, 1, 1, 1), (1, 2, 7, 1), (1, 4, 18, 9), (2, 4, 6, 2), (3, 6, 4, 4), (1, 3, 26, 1)],
)
def test_matrix_vector(ladder, groups, rows, columns, pixels):
    """Equal signs counted, or the inputs that a sign selects added; against plain products."""
    shape = (2, 1, groups * columns)
    weights = signs(rows, columns)
    weights[0, 0], weights[-1, -1] = -1, 1
    (stored,) = RomWeights(weights, groups, 2).infer()
    assert stored.bipolar == (rows * columns > 1)
    # Weights with a zero among them against inputs of one bit.
    mixed = weights.copy()
    mixed[0, -1] = 0
    (ternary,) = RomWeights(mixed, groups, 2).infer()
    assert not ternary.bipolar
    for x in (bipolar(*shape), Stream(shape, 0, 3), Stream(shape, -4, 3), Stream(shape, 2, 9)):
        for w in (stored, ternary):
            ladder.add(
                MatrixVector(groups, pixels), [x, w], slow_product(groups), order=order(groups, pixels, rows, columns)
            )
    assert ladder.climb() > 0


def test_matrix_vector_exhaustive(ladder):
    """Every vector of five signs against every row of five signs."""
    every = np.array(list(itertools.product((-1, 1), repeat=5)))
    (w,) = RomWeights(every, 1, 32).infer()
    ladder.add(
        MatrixVector(),
        [bipolar(32, 1, 5), w],
        slow_product(1),
        values=[every.reshape(1, 32, 1, 5), None],
        folds=[Fold(1, 1), Fold(1, 5), Fold(4, 5), Fold(32, 5)],
        order=order(1, 1, 32, 5),
        tight=True,
    )
    assert ladder.climb() == 4


def test_moving(ladder):
    """Windows with and without padding, pools, concatenations, generated weights."""
    for window in (
        SlidingWindow((3, 2)),
        SlidingWindow((2, 2), pads=(1, 0, 0, 1)),
        SlidingWindow((2, 2), pads=(1, 1, 1, 1), pad_code=-1),
    ):
        (y,) = window.infer(bipolar(3, 4, 2))
        assert y.bipolar == (not any(window.pads) or window.pad_code == -1)
        ladder.add(window, [bipolar(3, 4, 2)], slow_window(window), folds=[Fold(1, 1), Fold(1, 2)])

    def pooled(x, combine):
        return (combine(x.reshape(2, 2, 2, 2, 3).swapaxes(1, 2).reshape(2, 2, 4, 3), axis=2),)

    for mode, combine in (("max", np.max), ("sum", np.sum)):
        (y,) = Pool((2, 2), mode).infer(bipolar(4, 4, 3))
        assert y.bipolar == (mode == "max")
        ladder.add(Pool((2, 2), mode), [bipolar(4, 4, 3)], lambda x, combine=combine: pooled(x, combine))
        (y,) = WindowPool(4, mode).infer(bipolar(2, 1, 8))
        assert y.bipolar == (mode == "max")
        ladder.add(
            WindowPool(4, mode),
            [bipolar(2, 1, 8)],
            lambda x, combine=combine: (combine(x.reshape(2, 1, 2, 4), axis=-1),),
            folds=[Fold()],
        )
    for other in (bipolar(2, 2, 4), Stream((2, 2, 4), -1, 1)):
        (y,) = Concat().infer(bipolar(2, 2, 2), other)
        assert y.bipolar == other.bipolar
        ladder.add(Concat(), [bipolar(2, 2, 2), other], lambda a, b: (np.concatenate([a, b], axis=-1),))
    for alphabet in ("binary", "ternary"):
        op = AutomatonWeights(4, 6, 24, burn_in=24, alphabet=alphabet)
        (w,) = op.infer()
        assert w.bipolar == (alphabet == "binary")
    assert ladder.climb() > 0


def test_threshold(ladder):
    """Pairs of equal thresholds are one comparison; one pair from -1 makes a bipolar stream."""
    pairs = np.sort(np.random.default_rng(0).integers(-9, 10, (6, 1))).repeat(2, axis=1)
    op = Threshold(pairs, [0, 1, 0, 0, 1, 1], -1)
    (y,) = op.infer(Stream((2, 2, 6), -12, 12))
    assert y.bipolar
    ladder.add(op, [Stream((2, 2, 6), -12, 12)], slow_threshold(op))
    ladder.add(op, [bipolar(2, 2, 6)], slow_threshold(op))
    double = Threshold([[-3, -3, 4, 4]], [1], -2)
    (y,) = double.infer(Stream((1, 1, 4), -9, 9))
    assert (y.lo, y.hi, y.bipolar) == (-2, 2, False)
    ladder.add(double, [Stream((1, 1, 4), -9, 9)], slow_threshold(double))
    uneven = Threshold([[-3, 2]], [0], -1)
    assert not uneven.infer(Stream((1, 1, 4), -9, 9))[0].bipolar
    assert ladder.climb() == 4 * 2 + 4 * 2 + 3


def test_in_a_graph(tmp_path):
    weights = signs(4, 18)
    nodes = [
        Node("window", SlidingWindow((3, 3)), ("x",), ("windows",)),
        Node("weights", RomWeights(weights, 1, 4), (), ("w",)),
        Node("conv", MatrixVector(1, 9), ("windows", "w"), ("sums",)),
    ]
    graph = with_nodes(Graph("signs", (), {"x": bipolar(4, 4, 2)}, ("x",), ("sums",)), nodes)
    write_graph(graph, tmp_path / "graph.npz")
    again = read_graph(tmp_path / "graph.npz")
    assert again.streams["windows"].bipolar
    codes = random_codes(graph.streams["x"], 2, np.random.default_rng(1))
    assert np.array_equal(graph(codes), again(codes))
    with pytest.raises(MuxflowError, match=r"other than -1 and \+1"):
        graph(codes * 0)
