"""Memories: counts against brute force, placement, budgets."""

import itertools
from dataclasses import replace
from math import ceil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.fit.device import Device, Resources, Utilisation
from muxflow.dataflow.fit.memory import (
    BRAM18_BITS,
    BRAM18_SHAPES,
    Memory,
    bank_count,
    bram18_count,
    bram18_tiling,
    choices,
    full_depth,
    lutram_count,
    packed_depth,
    place_memories,
    shift_register_count,
    without_ultra_fifos,
)
from muxflow.dataflow.fit.resource_model import estimate


def all_tilings(depth, bits):
    """Fewest blocks over every multiset of column shapes that Vivado uses: depth a power of two, columns of two at most."""
    depth = packed_depth(depth)
    allowed = [shape for shape in BRAM18_SHAPES if shape[0] == 16384 or 2 * shape[0] >= depth]
    best = 10**9
    limits = [ceil(bits / shape_width) for _, shape_width in allowed]
    for counts in itertools.product(*(range(limit + 1) for limit in limits)):
        if sum(n * w for n, (_, w) in zip(counts, allowed, strict=True)) >= bits:
            best = min(best, sum(n * ceil(depth / d) for n, (d, _) in zip(counts, allowed, strict=True)))
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


def test_banks_against_brute_force():
    """Fewest blocks of any equal cut, a multiplexer counted as a hundredth of a block a LUT."""
    assert (bank_count(147456, 8), bank_count(18432, 32), bank_count(1152, 256)) == (9, 9, 3)
    for depth in (1, 512, 1024, 1536, 2000, 4608, 9216, 65537):
        for width in (1, 4, 8, 36, 70, 300):
            cuts = {n: Memory("m", "rom", depth, width, banks=n) for n in range(1, 17) if depth % n == 0}
            costs = {n: choices(cut)[-1] for n, cut in cuts.items()}
            chosen = bank_count(depth, width)
            assert all(
                100 * costs[chosen].bram18 + costs[chosen].lut <= 100 * one.bram18 + one.lut for one in costs.values()
            ), (depth, width)
            (blocks, *_), held = costs[chosen].primitives, sum(one.count for one in costs[chosen].primitives)
            assert costs[chosen].placement == "register" or (blocks.name, held) == ("RAMB18", costs[chosen].bram18)


def test_lutram_by_hand():
    assert lutram_count(32, 11, False) == 6  # two bits a LUT
    assert lutram_count(64, 10, False) == 10
    assert lutram_count(65, 10, False) == 20
    assert lutram_count(256, 1, False) == 4
    assert lutram_count(512, 1, False) == 8 + 1
    assert lutram_count(32, 6, True) == 4  # one RAM32M
    assert lutram_count(32, 7, True) == 8
    assert lutram_count(64, 3, True) == 4  # one RAM64M
    assert lutram_count(128, 3, True) == 8 + 3
    assert shift_register_count(32, 5) == 5
    assert shift_register_count(33, 5) == 10


@given(st.integers(1, 5000), st.integers(1, 64), st.booleans())
def test_lutram_holds_the_bits_and_grows(depth, bits, writable):
    count = lutram_count(depth, bits, writable)
    assert count * 64 >= depth * bits
    assert count <= lutram_count(depth + 1, bits, writable)
    assert count <= lutram_count(depth, bits + 1, writable)


def test_small_memories_are_registers():
    (placed,) = choices(Memory("m", "fifo", 2, 500, True))
    # As measured: a LUT and two flip-flops a bit.
    assert (placed.placement, placed.bram18) == ("register", 0)
    assert 1000 <= placed.ff <= 1050 and 500 <= placed.lut <= 530
    (placed,) = choices(Memory("m", "fifo", 1, 500, True))
    assert (placed.placement, placed.ff, placed.bram18) == ("register", 500, 0) and placed.lut < 10
    (placed,) = choices(Memory("m", "rom", 4, 8))
    assert (placed.placement, placed.ff, placed.lut, placed.bram18) == ("register", 0, 4, 0)


def test_fifos_by_hand():
    """Shift registers, LUT RAM and block RAM, each with its counters; no block where it spares no LUT."""
    block = estimate(block_fifo={"constant": 1})
    (placed,) = choices(Memory("m", "fifo", 20, 2, True))
    shifted = estimate(shift_fifo={"constant": 1, "bit": 2, "shift_lut": 2})
    assert (placed.placement, placed.lut, placed.ff, str(placed.primitives[0])) == ("lutram", *shifted, "2 SRL32 32x1")
    in_lut, in_bram = choices(Memory("m", "fifo", 256, 64, True))
    assert (in_lut.lut, str(in_lut.primitives[0])) == (88 * 4 + 64 + block[0], "88 RAM64M 64x3")
    assert (in_bram.placement, in_bram.lut, in_bram.ff, in_bram.bram18) == ("bram", *block, 2)


def test_bram18_as_vivado_packs():
    """Weight streamers and FIFOs of vendor results: depths that are no powers of two."""
    assert packed_depth(1) == 1 and packed_depth(513) == 1024 and packed_depth(1024) == 1024
    assert bram18_count(26208, 16) == 32
    assert bram18_count(16848, 8) == 16
    assert bram18_count(2304, 16) == 4
    assert bram18_count(1456, 288) == 32
    assert bram18_count(2992, 21) == 5
    assert bram18_count(1378, 21) == 3


memories = st.builds(
    Memory,
    st.just("m"),
    st.sampled_from(["rom", "loaded", "threshold", "line", "frame", "fifo", "state"]),
    st.integers(1, 3000),
    st.integers(1, 80),
    st.booleans(),
)


@given(memories)
def test_primitives_hold_the_memory(memory):
    for placed in choices(memory):
        assert placed.occupied_bits >= memory.bits
        assert all(primitives.count > 0 for primitives in placed.primitives)
        if placed.placement == "bram":
            assert placed.occupied_bits == placed.bram18 * BRAM18_BITS
            tiling = bram18_tiling(memory.depth, memory.width)
            assert sum(count for _, count in tiling) == bram18_count(memory.depth, memory.width)
            packed = packed_depth(memory.depth)
            columns = sum(count // ceil(packed / depth) * width for (depth, width), count in tiling)
            assert columns >= memory.width


@given(memories, st.integers(2, 9))
def test_a_memory_a_lane(memory, lanes):
    """As many as lanes, each as one alone."""
    many, one = choices(replace(memory, lanes=lanes)), choices(replace(memory, lanes=1))
    for placed, alone in zip(many, one, strict=True):
        assert placed.placement == alone.placement
        assert placed.resources == Resources(*(lanes * used for _, used in alone.resources.items()))
        assert placed.occupied_bits == lanes * alone.occupied_bits >= placed.memory.bits
    memory = replace(memory, kind="threshold", writable=False)
    one = choices(replace(memory, lanes=1))
    assert one[0].lut == lutram_count(memory.depth, memory.width, False) >= choices(memory)[0].lut


@given(
    st.lists(memories, max_size=7),
    st.builds(Resources, st.integers(0, 3000), st.just(10**6), st.integers(0, 20), st.just(0), st.integers(0, 4)),
    st.builds(Resources, st.integers(0, 500), st.just(0), st.integers(0, 4)),
)
def test_placement_against_all_placements(held, budget, logic):
    """The smallest load of those within the budget; where none is, the smallest largest share within the UltraRAMs."""
    placed = place_memories(held, logic, budget)
    assert [one.memory for one in placed] == held

    def total(rows):
        return sum((row.resources for row in rows), logic)

    every = [total(rows) for rows in itertools.product(*map(choices, held))]
    every = [one for one in every if one.uram <= budget.uram]
    fitting = [one.load(budget) for one in every if not one.exceeds(budget)]
    met = total(placed)
    assert (not met.exceeds(budget)) == bool(fitting)
    if fitting:
        assert met.load(budget) == pytest.approx(min(fitting))
    else:
        assert met.share(budget) == pytest.approx(min(one.share(budget) for one in every))


def test_loaded_weights_go_into_ultra_ram():
    """Only memories that are written at run time, and only where the part has UltraRAM; no depth is rounded, no bank made."""
    loaded, stored = Memory("weights", "loaded", 9216, 100, True, 9), Memory("weights", "rom", 9216, 100, banks=9)
    (placed,) = place_memories([loaded], Resources(), Resources(10**4, 0, 100, 0, 60))
    assert (placed.placement, placed.uram, placed.lut, str(placed.primitives[0])) == ("uram", 6, 0, "6 URAM288 4096x72")
    for memory, blocks in ((stored, 60), (loaded, 5)):
        (placed,) = place_memories([memory], Resources(), Resources(10**4, 0, 100, 0, blocks))
        assert (placed.placement, placed.uram) == ("bram", 0)
    # A block RAM and a LUT cost more when they are written than the same bits as constants, or as much.
    for one, other in zip(choices(loaded), choices(stored), strict=False):
        assert one.placement == other.placement
        assert one.lut >= other.lut and one.bram18 >= other.bram18


def test_large_fifos_go_into_ultra_ram():
    """A FIFO of four block RAMs or more for each UltraRAM; the search for folds leaves that out, and knows of weights."""
    large, small = Memory("fifo", "fifo", 4096, 72, True), Memory("fifo", "fifo", 512, 72, True)
    budget = Resources(100, 10**4, 10, 0, 2)
    (placed,) = place_memories([large], Resources(), budget)
    assert (placed.placement, placed.bram18, placed.uram) == ("uram", 0, 1)
    assert placed.lut == estimate(block_fifo={"constant": 1})[0]
    assert full_depth(placed) == 4096 == full_depth(replace(placed, memory=replace(large, depth=1030)))
    assert [one.placement for one in choices(small)] == ["lutram", "bram"]
    assert [one.placement for one in without_ultra_fifos(large)] == ["lutram", "bram"]
    loaded = Memory("weights", "loaded", 9216, 100, True, 9)
    assert without_ultra_fifos(loaded) == choices(loaded)


def test_placement_spares_blocks_and_is_the_same_twice():
    rom = Memory("weights", "rom", 2048, 36)
    logic = Resources()
    assert place_memories([rom], logic, Resources(10**6, 0, 10, 0))[0].placement == "lutram"
    assert place_memories([rom], logic, Resources(10**3, 0, 10, 0))[0].placement == "bram"
    pair = [rom, rom]
    assert place_memories(pair, logic, Resources(1500, 0, 4, 0)) == place_memories(
        pair, logic, Resources(1500, 0, 4, 0)
    )
    assert place_memories([], logic, Resources()) == ()


@pytest.mark.parametrize("field", ["lut", "ff", "bram18", "dsp", "uram"])
@pytest.mark.parametrize("share", [0, -0.5, 1.01, float("nan")])
def test_bad_utilisation(field, share):
    with pytest.raises(UsageError, match=f"for {field}"):
        Utilisation(**{field: share})


def test_budget_and_sums():
    device = Device("part", lut=1000, ff=2000, bram18=10, dsp=3, uram=8)
    assert device.budget(Utilisation(0.5, 1, 0.19, 0.9, 0.5)) == Resources(500, 2000, 1, 2, 4)
    assert Resources(1, 2, 3, 4, 5) + Resources(10, 20, 30, 40, 50) == Resources(11, 22, 33, 44, 55)
    assert Resources(5, 5, 5, 5, 5).exceeds(Resources(5, 4, 5, 4, 4)) == ["FF", "DSP", "URAM"]
    assert Resources(0, 0, 0, 0, 3).share(Resources(1, 1, 1, 1, 2)) == 1.5
    assert str(Resources(1)) == "1 LUT, 0 FF, 0 BRAM18, 0 DSP"
    assert str(Resources(1, uram=2)) == "1 LUT, 0 FF, 0 BRAM18, 0 DSP, 2 URAM"


def test_budget_reserve_and_sureness():
    """The reserve comes off the shares; an estimate inside the allowance is inside the budget as often as asked for."""
    device = Device("part", 1000, 2000, 10, 3, Resources(100, 200, 1, 1))
    half = Utilisation(0.5, 0.5, 0.5, 1)
    assert device.budget(half) == Resources(400, 800, 4, 2)
    assert device.budget(Utilisation(0.05, 0.05, 0.05, 0.2)) == Resources()
    for sure in (0.05, 0.5, 0.8, 0.95):
        allowed = device.allowance(replace(half, sure=sure))
        assert not allowed.quantile(sure).exceeds(device.budget(half))
        assert (allowed.bram18, allowed.dsp) == (4, 2)
    allowances = [device.allowance(replace(half, sure=sure)).lut for sure in (0.5, 0.8, 0.95)]
    assert allowances == sorted(allowances, reverse=True)
    with pytest.raises(MuxflowError, match="reserve is 7"):
        Device("part", 1, 1, 1, 1, 7)


@pytest.mark.parametrize("sure", [0, 0.96, 1, -1, float("nan")])
def test_bad_sureness(sure):
    with pytest.raises(UsageError, match="sure to fit"):
        Utilisation(sure=sure)
