"""Pools without overlap."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.pool import Pool


def slow(kernel, mode):
    def run(x):
        height, width, channels = x.shape
        y = np.zeros((height // kernel[0], width // kernel[1], channels), np.int64)
        for i, j, c in np.ndindex(*y.shape):
            inside = [
                int(x[i * kernel[0] + di, j * kernel[1] + dj, c]) for di in range(kernel[0]) for dj in range(kernel[1])
            ]
            y[i, j, c] = max(inside) if mode == "max" else sum(inside)
        return (y,)

    return run


@pytest.mark.parametrize("mode", ["max", "sum"])
def test_ladder(ladder, mode):
    for shape, kernel in [
        ((1, 1, 1), (1, 1)),
        ((4, 6, 6), (2, 3)),
        ((5, 7, 3), (2, 2)),  # rows and columns left over
        ((3, 5, 5), (3, 5)),  # the whole map
        ((6, 1, 2), (4, 1)),
        ((4, 3, 1), (1, 2)),
    ]:
        for lo, hi in [(0, 3), (-5, 2), (-7, -3)]:
            ladder.add(Pool(kernel, mode), [Stream(shape, lo, hi)], slow(kernel, mode), frames=2)
    ends = np.stack([np.full((2, 2, 1), -3), np.full((2, 2, 1), 2)])
    ladder.add(Pool((2, 2), mode), [Stream((2, 2, 1), -3, 2)], slow((2, 2), mode), values=[ends], tight=True)
    assert ladder.climb() == 3 * (1 + 4 + 2 + 2 + 2 + 1) + 1


@given(st.data())
def test_numpy_is_the_loops(data):
    kernel = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    shape = (data.draw(st.integers(kernel[0], 6)), data.draw(st.integers(kernel[1], 6)), data.draw(st.integers(1, 3)))
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
