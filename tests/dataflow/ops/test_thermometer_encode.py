"""Thermometer encoding."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.thermometer_encode import ThermometerEncode


def one(x, i, k, bits):
    """The formula of the paper, in fractions: w = 1 / (s k), b = 1 - (i + 1) / k."""
    top = 2**bits - 1
    s = max(1, floor(Fraction(255, top * k)))
    return min(max(floor(Fraction(x, s * k) + 1 - Fraction(i + 1, k)), 0), top)


def slow(k, bits):
    def run(x):
        y = np.zeros((*x.shape[:-1], x.shape[-1] * k), np.int64)
        for index in np.ndindex(*x.shape):
            for i in range(k):
                y[(*index[:-1], index[-1] * k + i)] = one(int(x[index]), i, k, bits)
        return (y,)

    return run


def test_the_published_step():
    assert ThermometerEncode(10, 2).step == 8  # s of arXiv 2410.11553


def test_ladder(ladder):
    for shape, k, bits in [
        ((1, 1, 1), 1, 1),
        ((2, 3, 3), 10, 2),
        ((1, 2, 2), 6, 4),
        ((3,), 4, 3),
        ((2, 2), 3, 1),
        ((1, 1, 2, 1), 15, 2),
    ]:
        ladder.add(ThermometerEncode(k, bits), [Stream(shape, 0, 255)], slow(k, bits))
    every = np.arange(256).reshape(1, 256, 1, 1)
    for k, bits in [(10, 2), (255, 4), (7, 1), (128, 1)]:
        ladder.add(ThermometerEncode(k, bits), [Stream((256, 1, 1), 0, 255)], slow(k, bits), values=[every], tight=True)
    assert ladder.climb() == 1 + 5 * 2 + 5 * 2 + 4 + 3 * 2 + 4 * 2 + (4 + 8 + 2 + 8) * 5


@given(st.integers(1, 40), st.integers(1, 4), st.integers(0, 255), st.integers(0, 255))
def test_interval_is_tight(k, bits, low, high):
    low, high = sorted((low, high))
    (y,) = ThermometerEncode(k, bits).infer(Stream((1, 1, 1), low, high))
    met = [one(x, i, k, bits) for i in range(k) for x in range(low, high + 1)]
    assert (y.lo, y.hi) == (min(met), max(met))


def test_bad_attributes():
    for codes, bits in [(0, 2), (256, 2), (10, 0), (10, 5)]:
        with pytest.raises(GraphError, match=f"{codes} codes of {bits} bits"):
            ThermometerEncode(codes, bits)
    for lo, hi in [(-1, 255), (0, 256)]:
        with pytest.raises(GraphError, match="8-bit pixels, 0 to 255"):
            ThermometerEncode().infer(Stream((1, 1, 1), lo, hi))
