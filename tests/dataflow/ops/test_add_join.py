"""Add join."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.add_join import AddJoin


def slow(a, b):
    y = np.zeros(a.shape, np.int64)
    for index in np.ndindex(*a.shape):
        y[index] = int(a[index]) + int(b[index])
    return (y,)


def test_ladder(ladder):
    for shape in [(1, 1, 1), (2, 3, 6), (3, 1, 5), (1, 4, 3)]:
        ladder.add(AddJoin(), [Stream(shape, 0, 3), Stream(shape, -4, 7)], slow)
    # All pairs of 2-bit codes, so that both ends of the interval are met.
    pairs = np.array([(a, b) for a in range(4) for b in range(-2, 2)])
    ladder.add(
        AddJoin(),
        [Stream((4, 4, 1), 0, 3), Stream((4, 4, 1), -2, 1)],
        slow,
        values=[pairs[:, 0].reshape(1, 4, 4, 1), pairs[:, 1].reshape(1, 4, 4, 1)],
        tight=True,
    )
    # Wide codes: C++ would promote 32-bit operands wrongly.
    wide = Stream((2, 2, 2), 0, 2**32 - 1)
    ladder.add(AddJoin(), [wide, Stream((2, 2, 2), -5, 0)], slow)
    ladder.add(AddJoin(), [Stream((2, 2, 2), -(2**31), 2**31 - 1)] * 2, slow)
    ladder.add(AddJoin(), [Stream((2, 2, 2), -5, 0), Stream((2, 2, 2), 5, 10)], slow)
    # Vectors, one of them behind a one-dimensional map.
    ladder.add(AddJoin(), [Stream((1, 4), 0, 3), Stream((1, 1, 4), -4, 7)], lambda a, b: slow(a, b[0]))
    ladder.add(AddJoin(), [Stream((1, 1, 4), 0, 3), Stream((1, 4), -4, 7)], lambda a, b: slow(a, b[None]))
    # Maps, one of them with an axis of size one more.
    ladder.add(AddJoin(), [Stream((3, 2), 0, 3), Stream((1, 3, 2), -4, 7)], lambda a, b: slow(a, b[0]))
    ladder.add(AddJoin(), [Stream((3, 1, 2), 0, 3), Stream((1, 3, 2), -4, 7)], lambda a, b: slow(a, b.swapaxes(0, 1)))
    assert ladder.climb() > 15


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**20), st.integers(-(2**40), 2**40), st.integers(0, 2**20))
def test_interval_is_the_sum_of_the_intervals(a_lo, a_size, b_lo, b_size):
    (y,) = AddJoin().infer(Stream((1, 1, 2), a_lo, a_lo + a_size), Stream((1, 1, 2), b_lo, b_lo + b_size))
    assert (y.lo, y.hi) == (a_lo + b_lo, a_lo + a_size + b_lo + b_size)


def test_shapes_must_agree():
    with pytest.raises(GraphError, match="their shapes must agree"):
        AddJoin().infer(Stream((2, 3, 3), 0, 1), Stream((3, 2, 3), 0, 1))
    with pytest.raises(GraphError, match="their shapes must agree"):
        AddJoin().infer(Stream((1, 3), 0, 1), Stream((1, 1, 4), 0, 1))
