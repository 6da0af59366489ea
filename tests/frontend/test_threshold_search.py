"""Thresholds of any monotone function: bisection and exhaustion agree, anything else is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.importer import thresholds as threshold_search
from muxflow.frontend.importer.thresholds import find_thresholds


def table_function(edges, directions, base=0):
    """Codes of rows: base plus the number of edges reached, or that turned over; and a count of evaluations."""
    edges = [np.sort(row) for row in edges]

    def codes(sums):
        columns = [np.searchsorted(row, sums[:, i], side="right") for i, row in enumerate(edges)]
        top = max(map(len, edges))
        return base + np.stack([top - c if d else c for c, d in zip(columns, directions, strict=True)], axis=1)

    return codes


@st.composite
def functions(draw):
    lo = draw(st.integers(-30000, 20))
    hi = lo + draw(st.integers(0, 40000))
    rows = draw(st.integers(1, 4))
    edge = st.lists(st.integers(lo - 5, hi + 5), max_size=7)
    edges = [draw(edge) for _ in range(rows)]
    return lo, hi, edges, [draw(st.booleans()) for _ in range(rows)], draw(st.integers(-4, 4))


@given(functions())
@settings(max_examples=60)
def test_bisection_equals_exhaustion_equals_the_function(case):
    lo, hi, edges, directions, base = case
    codes = table_function(edges, directions, base)
    points = np.unique(np.clip([lo, hi, *(e + d for row in edges for e in row for d in (-1, 0, 1))], lo, hi))
    every = np.broadcast_to(points[:, None], (len(points), len(edges)))
    for search in (threshold_search._exhaustive, threshold_search._bisect):
        found = search(codes, len(edges), lo, hi, "here")
        np.testing.assert_array_equal(found.codes(every), codes(every))


@given(
    st.lists(st.integers(-9, 9), min_size=3, max_size=30).filter(
        lambda v: (np.diff(v) > 0).any() and (np.diff(v) < 0).any()
    ),
    st.integers(-1000, 1000),
)
@settings(max_examples=60)
def test_a_function_that_turns_is_always_refused(values, lo):
    table = np.array(values)
    with pytest.raises(UnsupportedError, match=r"quant_3: the activation is not monotone in channel 0: accumulator"):
        find_thresholds(lambda sums: table[sums - lo], 1, lo, lo + len(table) - 1, "quant_3")


def test_the_message_names_row_values_and_fix():
    def codes(sums):
        return np.stack([sums[:, 0], np.abs(sums[:, 1])], axis=1)

    message = (
        r"act: the activation is not monotone in channel 1: accumulator -5 gives code 5, -4 gives 4, the ends give 5 and "
        r"7; supported are activations that only rise or only fall, so use one"
    )
    with pytest.raises(UnsupportedError, match=message):
        find_thresholds(codes, 2, -5, 7, "act")


@pytest.mark.parametrize("centre", [0, 12345, -7_000_001])
def test_a_turn_in_a_wide_range_is_refused(centre):
    lo, hi = -(1 << 23), 1 << 23
    with pytest.raises(UnsupportedError, match="not monotone in channel 0"):
        find_thresholds(lambda sums: np.abs(sums - centre) // (1 << 16), 1, lo, hi, "act")


@pytest.mark.parametrize("width", [40, 3000])
def test_a_narrow_dip_beside_a_threshold_is_refused(width):
    """Codes fall back for a stretch just after the step: far narrower than the sample's spacing, or about as wide."""

    def codes(sums):
        return (sums >= 1000).astype(np.int64) * 3 - 2 * ((sums >= 1000 + width // 2) & (sums < 1000 + width))

    lo, hi = -(1 << 22), 1 << 22
    with pytest.raises(UnsupportedError, match="not monotone"):
        find_thresholds(codes, 1, lo, hi, "act")


def test_wavering_that_float32_cannot_resolve_is_taken():
    """Beyond 2^21 a float function may waver between neighbours; the threshold is then one of them."""
    lo, hi = -(1 << 26), 1 << 26

    def codes(sums):
        return (sums + 3 * (sums % 2) >= 777).astype(np.int64)

    (threshold,) = find_thresholds(codes, 1, lo, hi, "act").thresholds[0]
    assert abs(threshold - 777) <= 32


def test_constant_rows_and_one_value():
    found = find_thresholds(lambda sums: np.full_like(sums, 5), 3, 0, 0, "act")
    assert found.codes(np.zeros((1, 3), np.int64)).tolist() == [[5, 5, 5]]
    mixed = find_thresholds(lambda sums: np.stack([sums[:, 0], np.full(len(sums), 2)], axis=1), 2, 0, 3, "act")
    assert mixed.codes(np.repeat(np.arange(4)[:, None], 2, axis=1)).tolist() == [[0, 2], [1, 2], [2, 2], [3, 2]]


def test_many_rows_take_little_memory():
    """Evaluations come in blocks, whatever the rows and the range."""
    sizes = []

    def codes(sums):
        sizes.append(sums.size)
        return sums >> 14

    find_thresholds(codes, 512, 0, 1 << 15, "act")
    assert max(sizes) <= threshold_search.BLOCK
