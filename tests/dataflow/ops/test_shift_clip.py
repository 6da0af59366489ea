"""Shift and clip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.shift_clip import ShiftClip


def one(x, bias, shift, lowest, highest):
    """Floor division by a power of two, then the clip."""
    total = x + bias
    quotient = total // 2**shift
    return lowest if quotient < lowest else highest if quotient > highest else quotient


def slow(op):
    def run(x):
        y = np.zeros(x.shape, np.int64)
        for index in np.ndindex(*x.shape):
            bias = int(op.bias[index[-1] % len(op.bias)])
            y[index] = one(int(x[index]), bias, op.shift, op.lowest, op.highest)
        return (y,)

    return run


def test_ladder(ladder):
    for shape, op in [
        ((1, 1, 1), ShiftClip([0], 0, 0, 1)),
        ((2, 3, 6), ShiftClip([5, -9, 0, 1, -1, 30], 2, -3, 4)),
        ((2, 1, 5), ShiftClip([3], 1, 0, 7)),
        ((1, 2, 3), ShiftClip([1, 2, 3], 40, -5, 5)),  # a shift beyond the width leaves the sign
        ((1, 2, 3), ShiftClip([0], 1, 6, 9)),  # a clip range apart from the values
    ]:
        for lo, hi in [(0, 9), (-20, 20), (-7, -3)]:
            ladder.add(op, [Stream(shape, lo, hi)], slow(op))
    every = np.arange(-16, 16).reshape(1, 32, 1, 1)
    op = ShiftClip([1], 2, -2, 100)
    ladder.add(op, [Stream((32, 1, 1), -16, 15)], slow(op), values=[every], tight=True)
    op = ShiftClip([2**33], 30, -2, 9)
    ladder.add(op, [Stream((1, 2, 2), -(2**34), 2**34)], slow(op))
    assert ladder.climb() == 3 * (1 + (4 + 1) + (2 + 1) + (2 + 1) + (2 + 1)) + (1 + 4) + (2 + 1)


@given(
    st.lists(st.integers(-40, 40), min_size=1, max_size=3),
    st.integers(0, 6),
    st.integers(-9, 9),
    st.integers(0, 9),
    st.integers(-60, 60),
    st.integers(0, 30),
)
def test_interval_is_tight(bias, shift, lowest, span, lo, size):
    op = ShiftClip(bias, shift, lowest, lowest + span)
    (y,) = op.infer(Stream((1, 1, len(bias)), lo, lo + size))
    met = [one(x, b, shift, lowest, lowest + span) for b in bias for x in range(lo, lo + size + 1)]
    assert (y.lo, y.hi) == (min(met), max(met))


def test_bad_attributes():
    with pytest.raises(GraphError, match="shift -1"):
        ShiftClip([0], -1, 0, 1)
    with pytest.raises(GraphError, match=r"range \[2, 1\]"):
        ShiftClip([0], 1, 2, 1)
    with pytest.raises(GraphError, match="3 biases for 2 channels"):
        ShiftClip([1, 2, 3], 0, 0, 1).infer(Stream((1, 1, 2), 0, 1))
