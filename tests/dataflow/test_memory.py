"""Memories: counts against brute force, placement, budgets."""

import itertools
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.device import Device, Resources, Utilisation
from muxflow.dataflow.errors import BudgetError
from muxflow.dataflow.memory import BRAM18_SHAPES, Memory, bram18_count, fifo_srl_count, lutram_count, place


def all_tilings(depth, bits):
    """Fewest blocks over every multiset of column shapes."""
    best = 10**9
    limits = [ceil(bits / shape_width) for _, shape_width in BRAM18_SHAPES]
    for counts in itertools.product(*(range(limit + 1) for limit in limits)):
        if sum(n * w for n, (_, w) in zip(counts, BRAM18_SHAPES, strict=True)) >= bits:
            best = min(best, sum(n * ceil(depth / d) for n, (d, _) in zip(counts, BRAM18_SHAPES, strict=True)))
    return best


@pytest.mark.parametrize("depth", [1, 512, 513, 1024, 1025, 2048, 3000, 4097, 9000, 16384, 40000])
@pytest.mark.parametrize("bits", [1, 2, 3, 5, 9, 10])
def test_bram18_against_brute_force(depth, bits):
    assert bram18_count(depth, bits) == all_tilings(depth, bits)


@given(st.integers(1, 60000), st.integers(1, 300))
def test_bram18_holds_the_bits_and_grows(depth, bits):
    blocks = bram18_count(depth, bits)
    assert blocks * 18 * 1024 >= depth * bits
    assert blocks <= bram18_count(depth + 1, bits)
    assert blocks <= bram18_count(depth, bits + 1)


def test_lutram_by_hand():
    assert lutram_count(64, 10, False) == 10
    assert lutram_count(65, 10, False) == 20
    assert lutram_count(256, 1, False) == 4
    assert lutram_count(512, 1, False) == 8 + 1
    assert lutram_count(32, 6, True) == 4  # one RAM32M
    assert lutram_count(32, 7, True) == 8
    assert lutram_count(64, 3, True) == 4  # one RAM64M
    assert lutram_count(128, 3, True) == 8 + 3
    assert fifo_srl_count(32, 5) == 5 + 8
    assert fifo_srl_count(33, 5) == 10 + 8


@given(st.integers(1, 5000), st.integers(1, 64), st.booleans())
def test_lutram_holds_the_bits_and_grows(depth, bits, writable):
    count = lutram_count(depth, bits, writable)
    assert count * 64 >= depth * bits
    assert count <= lutram_count(depth + 1, bits, writable)
    assert count <= lutram_count(depth, bits + 1, writable)


def test_small_memories_are_registers():
    placed = place(Memory("m", "fifo", 2, 500, True), 0)
    assert (placed.placement, placed.ff, placed.lut, placed.bram18) == ("register", 1000, 0, 0)
    placed = place(Memory("m", "rom", 4, 8), 0)
    assert (placed.placement, placed.ff, placed.lut, placed.bram18) == ("register", 0, 8, 0)


@given(
    st.sampled_from(["rom", "threshold", "line", "frame", "fifo", "state"]),
    st.integers(3, 20000),
    st.integers(11, 200),
    st.booleans(),
    st.floats(0, 1000),
)
def test_placement_is_the_cheaper_one(kind, depth, bits, writable, price):
    placed = place(Memory("m", kind, depth, bits, writable), price)
    blocks = bram18_count(depth, bits)
    lut = lutram_count(depth, bits, writable)
    if kind in ("fifo", "frame"):
        lut = min(fifo_srl_count(depth, bits), 12 + lutram_count(depth, bits, True))
    if lut <= blocks * price:
        assert (placed.placement, placed.lut, placed.bram18) == ("lutram", lut, 0)
    else:
        assert (placed.placement, placed.lut, placed.bram18) == ("bram", 0, blocks)


@pytest.mark.parametrize("field", ["lut", "ff", "bram18", "dsp"])
@pytest.mark.parametrize("share", [0, -0.5, 1.01, float("nan")])
def test_bad_utilisation(field, share):
    with pytest.raises(BudgetError, match=f"for {field}"):
        Utilisation(**{field: share})


def test_budget_and_sums():
    device = Device("part", lut=1000, ff=2000, bram18=10, dsp=3)
    assert device.budget(Utilisation(0.5, 1, 0.19, 0.9)) == Resources(500, 2000, 1, 2)
    assert Resources(1, 2, 3, 4) + Resources(10, 20, 30, 40) == Resources(11, 22, 33, 44)
    assert Resources(5, 5, 5, 5).exceeds(Resources(5, 4, 5, 4)) == ["FF", "DSP"]
