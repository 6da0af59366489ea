"""Memories: what a node must store, and which primitives of the device hold it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil
from typing import Literal

import numpy as np

from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.resource_model import estimate, model

Kind = Literal["rom", "loaded", "threshold", "line", "frame", "fifo", "state"]
PARAMETERS: frozenset[Kind] = frozenset({"rom", "loaded", "threshold"})
"""Kinds of memories that hold parameters: weights, thresholds, and what stands for them."""
Placement = Literal["bram", "uram", "lutram", "register"]

# Depth x width of a RAMB18E1 / RAMB18E2 in simple dual port use (UG473 table 1-7, UG573 table 1-8).
BRAM18_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))
DEEPEST_SHAPE = 16384
BRAM18_BITS = 18 * 1024
"""Bits of a block, parity included."""
URAM_DEPTH, URAM_WIDTH = 4096, 72
"""The one shape of a URAM288 (UG573): the bitstream cannot fill it."""
ULTRA_FIFO = 4
"""RAMB18 of a FIFO in block RAM for which an UltraRAM, as large as 16 of them, may stand in (decision)."""


@dataclass(frozen=True)
class Memory:
    """One memory of a node: `depth` words of `width` bits.

    `kind`: rom (weights), loaded (weights that the host writes), threshold, line (line buffer), frame (frame buffer), fifo,
    state (everything else). `writable`: False for a table that never changes. `banks`: so many memories of equal depth side
    by side hold the words, one after the other. `lanes`: where above 0, so many such memories, all placed alike, one a lane,
    which reads it at an address of its own; 0 for one memory that gives all lanes of a beat at once. `registers`: whether it
    is flip-flops whatever its size, as all its words are read at once.
    """

    name: str
    kind: Kind
    depth: int
    width: int
    writable: bool = False
    banks: int = 1
    lanes: int = 0
    registers: bool = False

    @property
    def bank_depth(self) -> int:
        """Words of a bank."""
        return self.depth // self.banks

    @property
    def bits(self) -> int:
        """Payload bits."""
        return max(1, self.lanes) * self.depth * self.width


@dataclass(frozen=True)
class Primitives:
    """So many primitives of one kind, each of `depth` words of `width` bits."""

    count: int
    name: str
    depth: int
    width: int

    @property
    def bits(self) -> int:
        """What they hold together; a block RAM counts whole in every shape."""
        return self.count * (BRAM18_BITS if self.name == "RAMB18" else self.depth * self.width)

    def __str__(self) -> str:
        return f"{self.count} {self.name} {self.depth}x{self.width}"


@dataclass(frozen=True)
class PlacedMemory:
    """A memory and the primitives that hold it: `bram18` or `uram` blocks, `lut` LUTs or `ff` flip-flops (estimates)."""

    memory: Memory
    placement: Placement
    lut: int = 0
    bram18: int = 0
    ff: int = 0
    uram: int = 0

    @property
    def resources(self) -> Resources:
        """The same as resources."""
        return Resources(self.lut, self.ff, self.bram18, 0, self.uram)

    @property
    def shift_register(self) -> bool:
        """Whether it is a FIFO in LUTs that is made of shift registers, not of LUT RAM: whichever is smaller."""
        fifo = self.placement == "lutram" and self.memory.kind in ("fifo", "frame")
        return fifo and _fifo_in_luts(self.memory.depth, self.memory.width)[2]

    @property
    def primitives(self) -> tuple[Primitives, ...]:
        """The primitives with their real shapes."""
        depth, width = self.memory.depth, self.memory.width
        if (lanes := self.memory.lanes) > 1:
            lane = replace(self, memory=replace(self.memory, lanes=1), ff=self.ff // lanes, uram=self.uram // lanes)
            return tuple(replace(one, count=lanes * one.count) for one in lane.primitives)
        if self.placement == "bram":
            tiling = bram18_tiling(self.memory.bank_depth, width)
            return tuple(Primitives(count * self.memory.banks, "RAMB18", *shape) for shape, count in tiling)
        if self.placement == "uram":
            return (Primitives(self.uram, "URAM288", URAM_DEPTH, URAM_WIDTH),)
        if self.placement == "register" and self.memory.writable:
            return (Primitives(self.ff, "FF", 1, 1),)
        if not self.memory.writable:
            shallow = depth <= SHALLOW
            return (Primitives(ceil(width / 2) if shallow else width * ceil(depth / 64), "LUT6", 64, 1),)
        if self.shift_register:
            return (Primitives(width * ceil(depth / 32), "SRL32", 32, 1),)
        if depth <= SHALLOW:
            return (Primitives(ceil(width / 6), "RAM32M", 32, 6),)
        return (Primitives(ceil(width / 3) * ceil(depth / 64), "RAM64M", 64, 3),)

    @property
    def occupied_bits(self) -> int:
        """Bits that the primitives hold; the memory's own bits are the payload, the rest is packing loss."""
        return sum(primitives.bits for primitives in self.primitives)


def _columns(depth: int, width: int) -> tuple[list[int], list[int]]:
    """Give best tilings of each number of bits from 0 to at least `width`: the blocks, and the width of the last column."""
    packed = packed_depth(depth)
    best, last = _tilings(packed)
    costs = [(width, ceil(packed / deep)) for deep, width in BRAM18_SHAPES if 2 * deep >= min(packed, DEEPEST_SHAPE)]
    for bits in range(len(best), width + 1):
        cost, column = min((best[max(0, bits - column)] + cost, column) for column, cost in costs)
        best.append(cost)
        last.append(column)
    return best, last


@lru_cache
def _tilings(packed: int) -> tuple[list[int], list[int]]:
    """Keep the tilings of a depth that were found, for wider words to begin with."""
    return [0], [0]


def packed_depth(depth: int) -> int:
    """Round a depth up as Vivado does when it builds a memory of block RAM: to a power of two."""
    return 1 << (depth - 1).bit_length()


def bram18_count(depth: int, width: int) -> int:
    """Count the blocks of 18 Kb for `depth` words of `width` bits: the best of the primitive's shapes, alone or side by side.

    As Vivado packs them: the depth counts as the next power of two, and a column is at most two blocks deep where a deeper
    shape exists, so that parity bits are lost beyond 4,096 words. A word may be cut into columns of different shapes, so
    the count is a small knapsack over the width.
    """
    return _columns(depth, width)[0][width]


def bram18_tiling(depth: int, width: int) -> tuple[tuple[tuple[int, int], int], ...]:
    """List the blocks of `bram18_count` as ((depth, width), count), one entry a shape."""
    _, last = _columns(depth, width)
    depth = packed_depth(depth)
    found: dict[tuple[int, int], int] = {}
    left = width
    while left > 0:
        shape = next(shape for shape in BRAM18_SHAPES if shape[1] == last[left])
        found[shape] = found.get(shape, 0) + ceil(depth / shape[0])
        left -= last[left]
    return tuple(sorted(found.items()))


def uram_count(depth: int, width: int) -> int:
    """Count the UltraRAMs for `depth` words of `width` bits: their cascade takes any number of them, so no depth is rounded."""
    return ceil(depth / URAM_DEPTH) * ceil(width / URAM_WIDTH)


SHALLOW = 32
"""Words of a LUT that is a memory two bits wide."""

MOST_BANKS = 16
"""Banks that a table is cut into at most (decision)."""

BLOCK_LUTS = 100
"""LUTs that may be spent to save a block RAM by banks; a 7020 has 190 for each (decision)."""


@lru_cache(maxsize=1 << 16)
def bank_count(depth: int, width: int) -> int:
    """Choose the banks of a table that is read word after word, so that no block RAM is lost to a rounded depth.

    147456 x 8: 128 blocks, because the depth counts as 262144   -->   9 banks of 16384 x 8: 72 blocks, and a choice of 9.
    """
    fitting = [banks for banks in range(1, min(MOST_BANKS, depth) + 1) if depth % banks == 0]
    return min(
        fitting,
        key=lambda banks: BLOCK_LUTS * banks * bram18_count(depth // banks, width) + bank_choice(banks, width),
    )


def bank_choice(banks: int, width: int) -> int:
    """Count the LUTs that choose one of the banks: a 4:1 multiplexer of a bit takes one."""
    return width * ceil((banks - 1) / 3)


def lutram_count(depth: int, width: int, writable: bool) -> int:
    """Count the LUTs for a memory in logic.

    ROM: a LUT6 holds 32 x 2 or 64 x 1, and deeper ones add a 4:1 multiplexer LUT for each four (half of them in F7/F8).
    RAM, simple dual port: RAM32M holds 32 x 6 in 4 LUTs, RAM64M holds 64 x 3 in 4 LUTs (UG474 table 2-3).
    """
    if not writable:
        if depth <= SHALLOW:
            return ceil(width / 2)
        blocks = ceil(depth / 64)
        return width * (blocks + max(0, ceil((blocks - 4) / 4)))
    if depth <= SHALLOW:
        return 4 * ceil(width / 6)
    blocks = ceil(depth / 64)
    return 4 * ceil(width / 3) * blocks + width * ceil((blocks - 1) / 4)


def shift_register_count(depth: int, width: int) -> int:
    """Count the LUTs of shift registers: one SRL32 (a LUT6) for each bit and 32 words."""
    return width * ceil(depth / 32)


def _fifo_in_luts(depth: int, width: int) -> tuple[int, int, bool]:
    """Count the LUTs and flip-flops of a FIFO in LUTs with its counters, and tell whether it is made of shift registers.

    Shift registers or a LUT RAM, whichever is smaller.
    """
    shift_lut = shift_register_count(depth, width)
    shifted = estimate(shift_fifo={"constant": 1, "bit": width, "shift_lut": shift_lut})
    lut, ff = estimate(block_fifo={"constant": 1})
    stored = lut + lutram_count(depth, width, True), ff + width
    return (*shifted, True) if shifted[0] <= stored[0] else (*stored, False)


def _fifo_choices(memory: Memory) -> tuple[PlacedMemory, ...]:
    """List the memories that can hold a FIFO, each with its counters and flags."""
    depth, width = memory.depth, memory.width
    if depth <= 2 or memory.bits <= 32:
        # Measured two deep: a LUT and two flip-flops a bit.
        lut, ff = estimate(register_fifo={"constant": 1, "bit": width * (depth - 1)})
        return (PlacedMemory(memory, "register", lut=lut, ff=max(ff, memory.bits)),)
    in_lut, in_lut_ff, _ = _fifo_in_luts(depth, width)
    in_luts = PlacedMemory(memory, "lutram", lut=in_lut, ff=in_lut_ff)
    lut, ff = estimate(block_fifo={"constant": 1})
    if in_lut <= lut:
        return (in_luts,)
    in_bram = PlacedMemory(memory, "bram", lut=lut, ff=ff, bram18=bram18_count(depth, width))
    ultra = uram_count(depth, width)
    if in_bram.bram18 < ULTRA_FIFO * ultra:
        return in_luts, in_bram
    return in_luts, in_bram, PlacedMemory(memory, "uram", lut=lut, ff=ff, uram=ultra)


@lru_cache(maxsize=1 << 16)
def choices(memory: Memory) -> tuple[PlacedMemory, ...]:
    """List where a memory can go: LUTs, block RAM or, weights that are loaded and large FIFOs, UltraRAM.

    One of depth 2 or less, or of 32 bits or less, goes only into registers, and so does one that says so. In UltraRAM a
    memory is not cut into banks.

    A FIFO in LUTs is a shift register or a LUT RAM with its counters, whichever is smaller. Thresholds that are read side
    by side have much in common: in LUTs they are logic that the tool makes smaller than a ROM, by a share that was measured
    up to 20 words; beyond SHALLOW words they count whole.
    """
    if memory.registers:
        return (PlacedMemory(memory, "register", ff=memory.bits),)
    if memory.lanes > 1:
        n = memory.lanes
        return tuple(
            PlacedMemory(memory, one.placement, n * one.lut, n * one.bram18, n * one.ff, n * one.uram)
            for one in choices(replace(memory, lanes=1))
        )
    if memory.kind in ("fifo", "frame"):
        return _fifo_choices(memory)
    if memory.depth <= 2 or memory.bits <= 32:
        if memory.writable:
            # A choice of two words: two bits a LUT.
            return (PlacedMemory(memory, "register", lut=ceil(memory.width * (memory.depth - 1) / 2), ff=memory.bits),)
        return (PlacedMemory(memory, "register", lut=_lutram(memory)),)
    in_lut = PlacedMemory(memory, "lutram", lut=_lutram(memory))
    blocks = memory.banks * bram18_count(memory.bank_depth, memory.width)
    in_bram = PlacedMemory(memory, "bram", bank_choice(memory.banks, memory.width), blocks)
    if memory.kind != "loaded":
        return in_lut, in_bram
    in_uram = PlacedMemory(memory, "uram", uram=uram_count(memory.depth, memory.width))
    return in_lut, in_bram, in_uram


def without_ultra_fifos(memory: Memory) -> tuple[PlacedMemory, ...]:
    """List where a memory can go, FIFOs in UltraRAM left out: only the placement of a sized design weighs those.

    A choice more for every deep FIFO would make the search for folds ten times as slow.
    """
    found = choices(memory)
    return tuple(one for one in found if not one.uram) if memory.kind in ("fifo", "frame") else found


def _lutram(memory: Memory) -> int:
    count = memory.banks * lutram_count(memory.bank_depth, memory.width, memory.writable)
    count += bank_choice(memory.banks, memory.width)
    side_by_side = memory.kind == "threshold" and memory.depth <= SHALLOW and not memory.writable and not memory.lanes
    return ceil(model().parts["threshold"]["table_lut"].lut * count) if side_by_side else count


def full_depth(placed: PlacedMemory) -> int:
    """Give the largest depth of a FIFO that takes the same primitives: what they hold anyway is free."""
    depth = placed.memory.depth
    same = replace(placed, memory=replace(placed.memory, depth=0))

    def fits(deeper: int) -> bool:
        options = choices(replace(placed.memory, depth=deeper))
        return any(replace(one, memory=same.memory) == same for one in options)

    low, high = depth, 2 * depth
    while fits(high):
        low, high = high, 2 * high
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def place_memories(memories: Sequence[Memory], logic: Resources, budget: Resources) -> tuple[PlacedMemory, ...]:
    """Find the placement of all memories, in order, that leaves the design smallest; a function of its arguments alone.

    `logic`: what the design takes without these memories. Among the placements whose LUTs, block RAMs and UltraRAMs are
    within the budget the one of the smallest `Resources.load` is taken; where none is, the one whose largest share is
    smallest, of those within the UltraRAMs; among equals the one with fewest blocks (decision). Exact: for every number of
    block RAMs and of UltraRAMs a knapsack gives the most LUTs that so many blocks can spare.
    """
    options = [choices(memory) for memory in memories]
    free = [index for index, row in enumerate(options) if len(row) > 1]
    most = sum(max(one.bram18 for one in options[index]) for index in free)
    most_ultra = min(budget.uram, sum(max(one.uram for one in options[index]) for index in free))
    spared = np.zeros((most + 1, most_ultra + 1), np.int64)
    taken = np.zeros((len(free), most + 1, most_ultra + 1), np.int8)
    for row, index in enumerate(free):
        in_lut, *others = options[index]
        before, spared = spared, spared.copy()
        for which, one in enumerate(others, 1):
            if one.uram <= most_ultra:
                moved = before[: most + 1 - one.bram18, : most_ultra + 1 - one.uram] + in_lut.lut - one.lut
                kept = spared[one.bram18 :, one.uram :]
                better = moved > kept
                kept[better] = moved[better]
                taken[row, one.bram18 :, one.uram :][better] = which
    lut = logic.lut + sum(row[0].lut for row in options) - spared
    blocks, ultra = logic.bram18 + np.arange(most + 1)[:, None], logic.uram + np.arange(most_ultra + 1)[None, :]
    pairs = ((lut, budget.lut), (blocks, budget.bram18), (ultra, budget.uram))
    shares = [used / max(1, limit) for used, limit in pairs]
    fits = (lut <= budget.lut) & (blocks <= budget.bram18) & (ultra <= budget.uram)
    largest = np.maximum(np.maximum(shares[0], shares[1]), shares[2])
    score = np.where(fits, sum(shares), len(shares) + largest) if fits.any() else largest
    left, left_ultra = np.unravel_index(int(score.argmin()), score.shape)
    where = [0] * len(options)
    for row in reversed(range(len(free))):
        which = where[free[row]] = int(taken[row, left, left_ultra])
        chosen = options[free[row]][which]
        left, left_ultra = left - chosen.bram18, left_ultra - chosen.uram
    return tuple(row[choice] for row, choice in zip(options, where, strict=True))
