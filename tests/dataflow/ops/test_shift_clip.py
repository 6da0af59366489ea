"""Shift and clip."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.shift_clip import ShiftClip


def one(x, bias, shift, lowest, highest, even=False):
    """Floor division by a power of two, then the clip; of an odd quotient that leaves nothing the even one below."""
    total = x + bias
    quotient = total // 2**shift
    if even and shift and quotient % 2 and total % 2**shift == 0:
        quotient -= 1
    return lowest if quotient < lowest else highest if quotient > highest else quotient


def slow(op):
    def run(x):
        y = np.zeros(x.shape, np.int64)
        for index in np.ndindex(*x.shape):
            bias = int(op.bias[index[-1] % len(op.bias)])
            y[index] = one(int(x[index]), bias, op.shift, op.lowest, op.highest, op.even)
        return (y,)

    return run


def test_ladder(ladder):
    for shape, op in [
        ((1, 1, 1), ShiftClip([0], 0, 0, 1)),
        ((2, 3, 6), ShiftClip([5, -9, 0, 1, -1, 30], 2, -3, 4)),
        ((2, 1, 5), ShiftClip([3], 1, 0, 7)),
        ((1, 2, 3), ShiftClip([1, 2, 3], 40, -5, 5)),  # a shift beyond the width leaves the sign
        ((1, 2, 3), ShiftClip([0], 1, 6, 9)),  # a clip range apart from the values
        ((2, 3, 6), ShiftClip([4, -9, 0, 2, -2, 30], 2, -3, 4, even=True)),
        ((1, 2, 3), ShiftClip([2, 10, -6], 2, -50, 50, even=True)),
    ]:
        for lo, hi in [(0, 9), (-20, 20), (-7, -3)]:
            ladder.add(op, [Stream(shape, lo, hi)], slow(op))
    every = np.arange(-16, 16).reshape(1, 32, 1, 1)
    op = ShiftClip([1], 2, -2, 100)
    ladder.add(op, [Stream((32, 1, 1), -16, 15)], slow(op), values=[every], tight=True)
    op = ShiftClip([4], 3, -100, 100, even=True)
    assert op.compute(every)[0].ravel().tolist() == [round(x / 8) for x in range(-16, 16)]
    ladder.add(op, [Stream((32, 1, 1), -16, 15)], slow(op), values=[every], tight=True)
    op = ShiftClip([2**33], 30, -2, 9)
    ladder.add(op, [Stream((1, 2, 2), -(2**34), 2**34)], slow(op))
    assert ladder.climb() == 3 * (1 + 2 * 4 * 2 + 4 * 2 * 2) + 2 * 5 + 2 * 2


@given(
    st.lists(st.integers(-40, 40), min_size=1, max_size=3),
    st.integers(0, 6),
    st.integers(-9, 9),
    st.integers(0, 9),
    st.integers(-60, 60),
    st.integers(0, 30),
    st.booleans(),
)
def test_interval_is_tight(bias, shift, lowest, span, lo, size, even):
    even = even and shift > 0
    op = ShiftClip(bias, shift, lowest, lowest + span, even)
    (y,) = op.infer(Stream((1, 1, len(bias)), lo, lo + size))
    met = [one(x, b, shift, lowest, lowest + span, even) for b in bias for x in range(lo, lo + size + 1)]
    assert (y.lo, y.hi) == (min(met), max(met))


def test_bad_attributes():
    with pytest.raises(GraphError, match="shift -1"):
        ShiftClip([0], -1, 0, 1)
    with pytest.raises(GraphError, match=r"range \[2, 1\]"):
        ShiftClip([0], 1, 2, 1)
    with pytest.raises(GraphError, match="ties to even need a shift"):
        ShiftClip([0], 0, 0, 1, even=True)
    with pytest.raises(GraphError, match="3 biases for 2 channels"):
        ShiftClip([1, 2, 3], 0, 0, 1).infer(Stream((1, 1, 2), 0, 1))
