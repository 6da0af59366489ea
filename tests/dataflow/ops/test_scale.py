"""Scale."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.scale import Scale


def slow(factors):
    def run(x):
        y = np.zeros(x.shape, np.int64)
        for index in np.ndindex(*x.shape):
            y[index] = int(x[index]) * int(factors[index[-1] % len(factors)])
        return (y,)

    return run


def slow_by_pixel(factors):
    def run(x):
        y = np.zeros(x.shape, np.int64)
        for row, column, channel in np.ndindex(*x.shape):
            y[row, column, channel] = int(x[row, column, channel]) * factors[row * x.shape[1] + column]
        return (y,)

    return run


def test_ladder(ladder):
    for shape, factors in [
        ((1, 1, 1), [3]),
        ((2, 3, 6), [1, -2, 4, 0, 7, -8]),
        ((2, 1, 5), [4]),
        ((1, 2, 5), [-1, -2, -3, -4, -5]),
        ((2, 2, 3), [0, 0, 0]),
    ]:
        for lo, hi in [(0, 3), (-4, 3), (-9, -2)]:
            ladder.add(Scale(factors), [Stream(shape, lo, hi)], slow(factors))
    for shape, factors in [((2, 3, 4), [9, 6, 9, -4, 1, 0]), ((3, 1, 3), [36, 1, 4]), ((1, 1, 2), [5])]:
        column = np.reshape(factors, (-1, 1))
        for lo, hi in [(0, 3), (-9, -2)]:
            ladder.add(Scale(column), [Stream(shape, lo, hi)], slow_by_pixel(factors))
    every = np.arange(-4, 4).repeat(2).reshape(1, 8, 1, 2)
    ladder.add(Scale([-3, 5]), [Stream((8, 1, 2), -4, 3)], slow([-3, 5]), values=[every], tight=True)
    ladder.add(Scale([70000]), [Stream((1, 1, 2), 0, 70000)], slow([70000]))
    by_channel = 3 * (1 + 4 * 2 + 2 * 2 + 2 * 2 + 2 * 2)
    by_pixel = 2 * (3 * 2 + 2 * 2 + 2)
    assert ladder.climb() == by_channel + by_pixel + 2 * 4 + 2


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=4), st.integers(-9, 9), st.integers(0, 9))
def test_interval_is_tight(factors, lo, size):
    (y,) = Scale(factors).infer(Stream((1, 1, len(factors)), lo, lo + size))
    met = [f * x for f in factors for x in range(lo, lo + size + 1)]
    assert (y.lo, y.hi) == (min(met), max(met))


def test_bad_attributes():
    with pytest.raises(GraphError, match="factors of shape"):
        Scale([])
    with pytest.raises(GraphError, match="3 factors for 2 channels"):
        Scale([1, 2, 3]).infer(Stream((1, 1, 2), 0, 1))
    with pytest.raises(GraphError, match="2 factors for 3 pixels"):
        Scale([[1], [2]]).infer(Stream((3, 1, 2), 0, 1))
    with pytest.raises(GraphError, match=r"expected \(channels,\) or \(pixels, 1\)"):
        Scale([[1, 2]])
