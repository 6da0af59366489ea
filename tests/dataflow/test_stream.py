"""Streams, intervals and loop patterns."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream, random_codes, width
from muxflow.dataflow.op import divisors


@given(st.integers(-(2**40), 2**40), st.integers(0, 2**41))
@example(-8, 0)
@example(-(2**63), 0)
def test_width_is_the_smallest(lo, size):
    hi = lo + size
    bits, signed = width(lo, hi)

    def holds(bits, signed):
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) if signed else (0, 2**bits - 1)
        return low <= lo and hi <= high

    assert signed == (lo < 0)
    assert holds(bits, signed)
    assert bits == 1 or not holds(bits - 1, signed)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (((), 0, 1), "at least 1"),
        (((2, 0), 0, 1), "at least 1"),
        (((2,), 1, 0), "is empty"),
        (((2,), 0, 1, 0), "at least 1"),
        (((2,), 0, 2**63), "beyond integers of 64 bits with a sign"),
        (((2,), -(2**63) - 1, 0), "beyond integers of 64 bits with a sign"),
        (((2,), 0.7, 2.9), r"stream interval: lo 0\.7; expected a whole number"),
        (((2.5,), 0, 1), r"stream of shape 2\.5; expected a whole number"),
        (((2,), 0, 1, 1, (1.0, 2.0, 3.0)), "stream scale of 3 numbers"),
        (((2,), 0, 1, 1, (float("nan"),)), "stream scale of 1 numbers"),
    ],
)
def test_bad_streams(fields, message):
    with pytest.raises(GraphError, match=message):
        Stream(*fields)


def test_numbers_of_a_stream():
    stream = Stream((2, 3, 4), -1, 6, repeats=5).with_lanes(6)
    assert (stream.bits, stream.signed, stream.size, stream.channels, stream.pixels) == (4, True, 24, 4, 6)
    assert (stream.elements, stream.beats, stream.beat_bits) == (120, 20, 24)
    assert str(stream) == "int4[2x3x4] x5 /6"
    with pytest.raises(GraphError, match="5 lanes do not divide"):
        stream.with_lanes(5)
    with pytest.raises(GraphError, match="0 lanes do not divide"):
        stream.with_lanes(0)


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=5), st.integers(1, 4))
def test_pattern_counts_are_those_of_its_mask(runs, repeat):
    pattern = Pattern(tuple(runs), repeat)
    mask = [used for _ in range(repeat) for count, used in runs for _ in range(count)]
    assert pattern.mask().tolist() == mask
    assert (pattern.trips, pattern.beats) == (len(mask), sum(mask))


def test_named_patterns():
    assert Pattern.always(3).mask().tolist() == [True] * 3
    assert Pattern.last_of(3, 2).mask().tolist() == [False, False, True] * 2
    assert Pattern.first_of(3, 2).mask().tolist() == [True, False, False] * 2
    assert Pattern.last_of(1, 2).mask().tolist() == [True, True]


def test_ports_of_a_loop_must_agree():
    with pytest.raises(GraphError, match=r"disagree on the number of iterations, \[2, 3\]"):
        Access((Pattern.always(2),), (Pattern.always(3),))


def test_divisors():
    for number in range(1, 200):
        assert divisors(number) == [d for d in range(1, number + 1) if number % d == 0]


@pytest.mark.parametrize(
    "ends", [(-(2**63), 2**63 - 1), (0, 2**63 - 1), (-(2**63), 0), (2**63 - 1, 2**63 - 1), (-1, 200)]
)
def test_random_codes_reach_every_end(ends):
    codes = random_codes(Stream((2, 3), *ends), 200, np.random.default_rng(0))
    assert codes.dtype == np.int64 and codes.shape == (200, 2, 3)
    width = ends[1] - ends[0]
    assert all(ends[0] <= int(code) <= ends[1] for code in codes.flat)
    assert int(codes.min()) <= ends[0] + width // 50 and int(codes.max()) >= ends[1] - width // 50


def test_random_codes_stay_those_of_a_seed():
    """Whatever was recorded with them stays valid."""
    for ends in ((0, 255), (-8, 7), (-(2**40), 2**41), (0, 2**32 - 1)):
        drawn = ends[0] + np.random.default_rng(3).integers(0, ends[1] - ends[0] + 1, (4, 5))
        np.testing.assert_array_equal(random_codes(Stream((5,), *ends), 4, np.random.default_rng(3)), drawn)
    bipolar = random_codes(Stream((50,), -1, 1, bipolar=True), 4, np.random.default_rng(3))
    assert set(bipolar.flat) == {-1, 1}


def test_constants_do_not_take_part_in_equality():
    assert Stream((2,), 0, 1, constant=np.ones(2, np.int64)) == Stream((2,), 0, 1)
