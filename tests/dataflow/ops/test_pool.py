"""Pools without overlap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ladder import Ladder

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Ports
from muxflow.dataflow.ops.pool import Pool


def slow(kernel, mode):
    """The pools of a map of any rank, element by element."""

    def run(x):
        y = np.zeros((*(size // k for size, k in zip(x.shape[:-1], kernel, strict=True)), x.shape[-1]), np.int64)
        for *place, c in np.ndindex(*y.shape):
            corner = [i * k for i, k in zip(place, kernel, strict=True)]
            taps = ([i + t for i, t in zip(corner, tap, strict=True)] for tap in np.ndindex(*kernel))
            inside = [int(x[(*at, c)]) for at in taps]
            y[(*place, c)] = max(inside) if mode == "max" else sum(inside)
        return (y,)

    return run


MAPS = [
    ((1, 1, 1), (1, 1)),
    ((4, 6, 6), (2, 3)),
    ((5, 7, 3), (2, 2)),  # rows and columns left over
    ((3, 5, 5), (3, 5)),  # the whole map
    ((6, 1, 2), (4, 1)),
    ((4, 3, 1), (1, 2)),
]
SEQUENCES = [
    ((1, 1), (1,)),
    ((8, 6), (2,)),
    ((7, 3), (3,)),  # elements left over
    ((5, 5), (5,)),  # the whole map
    ((6, 1), (4,)),
]
VOLUMES = [
    ((1, 1, 1, 1), (1, 1, 1)),
    ((4, 4, 6, 6), (2, 2, 3)),
    ((5, 3, 7, 3), (2, 2, 2)),  # planes, rows and columns left over
    ((2, 3, 2, 5), (2, 3, 2)),  # the whole map
    ((5, 4, 3, 1), (1, 2, 3)),  # no plane is held
    ((7, 1, 1, 2), (3, 1, 1)),
    ((3, 5, 1, 1), (2, 1, 1)),
    ((3, 5, 7, 2), (1, 2, 2)),  # frame by frame, rows and columns left over
    ((4, 3, 5, 1), (1, 3, 5)),  # over space alone
]


def add_pools(ladder, mode, maps):
    for shape, kernel in maps:
        for lo, hi in [(0, 3), (-5, 2), (-7, -3)]:
            ladder.add(Pool(kernel, mode), [Stream(shape, lo, hi)], slow(kernel, mode), frames=2)
    square = (2,) * len(kernel)
    ends = np.stack([np.full((*square, 1), -3), np.full((*square, 1), 2)])
    ladder.add(Pool(square, mode), [Stream((*square, 1), -3, 2)], slow(square, mode), values=[ends], tight=True)


@pytest.mark.parametrize("mode", ["max", "sum"])
def test_ladder(ladder, mode):
    add_pools(ladder, mode, MAPS)
    assert ladder.climb() == 3 * (1 + 4 * 3 + 2 + 2 * 2 + 2 + 1) + 2


@pytest.mark.parametrize("mode", ["max", "sum"])
@pytest.mark.parametrize(
    ("maps", "folds", "refused"),
    [
        (SEQUENCES, 1 + 4 * 4 + 2 + 2 * 2 + 2, ["finn"]),
        (VOLUMES, 1 + 4 * 3 + 2 + 2 * 2 + 2 + 2 + 1 + 2 + 2, ["finn", "hls4ml"]),
    ],
)
def test_ladder_of_other_ranks(ladder, mode, maps, folds, refused):
    add_pools(ladder, mode, maps)
    assert ladder.climb(refused=refused) == 3 * folds + 2


@pytest.mark.parametrize("mode", ["max", "sum"])
def test_neighbouring_pixels(tmp_path, ladder, mode):
    """Windows in parts and side by side, odd rows, what is left over, a row of memory, bipolar codes."""
    alone = Ladder(tmp_path, ladder.variants)
    for shape, kernel, counts in [
        ((4, 28, 6), (2, 2), [1, 2, 4, 14]),
        ((5, 9, 2), (2, 3), [1, 3, 9]),
        ((4, 12, 1), (3, 6), [1, 2, 3, 6, 12]),
        ((6, 14, 3), (1, 4), [1, 2]),  # two columns left over
        ((24, 5), (2,), [1, 2, 4, 6, 8, 12]),
        ((4, 2, 6, 1), (2, 2, 3), [1, 3, 6]),
        ((7, 8, 2), (7, 8), [1, 2, 4, 8]),  # the whole map
    ]:
        op, x = Pool(kernel, mode), Stream(shape, -1, 1, bipolar=kernel == (2, 2))
        found = list(op.folds(Ports((x,), op.infer(x))))
        assert sorted({fold.pixels for fold in found}) == counts
        alone.add(op, [x], slow(kernel, mode), frames=2)
    assert alone.climb() == 54


@given(st.data())
def test_numpy_is_the_loops(data):
    kernel = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3).map(tuple))
    shape = (*(data.draw(st.integers(size, 6)) for size in kernel), data.draw(st.integers(1, 3)))
    mode = data.draw(st.sampled_from(["max", "sum"]))
    x = np.random.default_rng(data.draw(st.integers(0, 9))).integers(-9, 10, (2, *shape))
    expected = np.stack([slow(kernel, mode)(frame)[0] for frame in x])
    np.testing.assert_array_equal(Pool(kernel, mode).compute(x)[0], expected)


def test_bad_attributes():
    with pytest.raises(GraphError, match=r"supported: 1 to 3 axes, sizes >= 1, 'max', 'sum'"):
        Pool((0, 2), "max")
    with pytest.raises(GraphError, match=r"supported: 1 to 3 axes, sizes >= 1, 'max', 'sum'"):
        Pool((2, 2), "mean")
    with pytest.raises(GraphError, match="supported: 1 to 3 axes"):
        Pool((2, 2, 2, 2), "max")
    with pytest.raises(GraphError, match="does not fit"):
        Pool((3, 1), "max").infer(Stream((2, 4, 1), 0, 1))
