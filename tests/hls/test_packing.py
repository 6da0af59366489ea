"""Packing into AXI words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.axi import container_bits
from muxflow.dataflow.graph.stream import Stream
from muxflow.hls.packing import pack, unpack, words_per_frame


def slow(codes, stream):
    """Word by word: each element's bits in its container, the first one lowest."""
    container = container_bits(stream)
    words = []
    for frame in codes.reshape(len(codes), stream.size).tolist():
        row, used = [], 64
        for code in frame:
            if used == 64:
                row.append(0)
                used = 0
            row[-1] |= (code % 2**container) << used
            used += container
        words.append(row)
    return words


@given(st.data())
def test_round_trip(data):
    bits = data.draw(st.integers(1, 62))
    lo = data.draw(st.sampled_from([0, -(2 ** (bits - 1)), -1]))
    hi = lo + data.draw(st.integers(0, 2**bits - 1))
    shape = tuple(data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3)))
    stream = Stream(shape, lo, hi)
    count = data.draw(st.integers(0, 3))
    codes = np.random.default_rng(data.draw(st.integers(0, 9))).integers(lo, hi, (count, *shape), endpoint=True)
    words = pack(codes, stream)
    assert words.dtype == np.uint64
    assert words.shape == (count, words_per_frame(stream))
    assert words.tolist() == slow(codes, stream)
    np.testing.assert_array_equal(unpack(words, stream), codes)
    np.testing.assert_array_equal(unpack(words.reshape(-1), stream), codes)


def test_bytes_by_hand():
    assert [f"{w:016x}" for w in pack(np.array([[1, -1, 2]]), Stream((3,), -1, 2)).reshape(-1)] == ["000000000002ff01"]
    assert [f"{w:016x}" for w in pack(np.array([[300, 1, 2, 3, 4]]), Stream((5,), 0, 300)).reshape(-1)] == [
        "000300020001012c",
        "0000000000000004",
    ]


@pytest.mark.parametrize("words", [1, 2, 4, 5])
def test_transfer_that_is_cut_short(words):
    stream = Stream((1, 1, 20), 0, 255)
    with pytest.raises(MuxflowError, match=f"{words} AXI words; a frame has 3, so the transfer was cut short"):
        unpack(np.zeros(words, np.uint64), stream)
