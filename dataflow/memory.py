"""Memories: what a node must store, and which primitives of the device hold it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from typing import Literal

Kind = Literal["rom", "threshold", "line", "frame", "fifo", "state"]
Placement = Literal["bram", "lutram", "register"]

# Depth x width of a RAMB18E1 / RAMB18E2 in simple dual port use (UG473 table 1-7, UG573 table 1-8).
BRAM18_SHAPES = ((16384, 1), (8192, 2), (4096, 4), (2048, 9), (1024, 18), (512, 36))


@dataclass(frozen=True)
class Memory:
    """One memory of a node: `depth` words of `width` bits.

    `kind`: rom (weights), threshold, line (line buffer), frame (frame buffer), fifo, state (everything else).
    `writable`: False for a table that never changes.
    """

    name: str
    kind: Kind
    depth: int
    width: int
    writable: bool = False

    @property
    def bits(self) -> int:
        """Payload bits."""
        return self.depth * self.width


@dataclass(frozen=True)
class PlacedMemory:
    """A memory and the primitives that hold it: `bram18` blocks, `lut` LUTs or `ff` flip-flops (estimates)."""

    memory: Memory
    placement: Placement
    lut: int = 0
    bram18: int = 0
    ff: int = 0


@lru_cache(maxsize=1 << 16)
def bram18_count(depth: int, width: int) -> int:
    """Blocks of 18 Kb for `depth` words of `width` bits: the best of the primitive's shapes, alone or side by side.

    A word may be cut into columns of different shapes, so the count is a small knapsack over the width.
    """
    best = [0] + [10**9] * width
    costs = [(shape_width, ceil(depth / shape_depth)) for shape_depth, shape_width in BRAM18_SHAPES]
    for bits in range(1, width + 1):
        best[bits] = min(best[max(0, bits - shape_width)] + cost for shape_width, cost in costs)
    return best[width]


def lutram_count(depth: int, width: int, writable: bool) -> int:
    """LUTs for a memory in logic.

    ROM: a LUT6 holds 64 x 1, and deeper ones add a 4:1 multiplexer LUT for each four (half of them in F7/F8).
    RAM, simple dual port: RAM32M holds 32 x 6 in 4 LUTs, RAM64M holds 64 x 3 in 4 LUTs (UG474 table 2-3).
    """
    if not writable:
        blocks = ceil(depth / 64)
        return width * (blocks + max(0, ceil((blocks - 4) / 4)))
    if depth <= 32:
        return 4 * ceil(width / 6)
    blocks = ceil(depth / 64)
    return 4 * ceil(width / 3) * blocks + width * ceil((blocks - 1) / 4)


def fifo_srl_count(depth: int, width: int) -> int:
    """LUTs of a shift-register FIFO: one SRL32 (LUT6) for each bit and 32 words, plus its read counter."""
    return width * ceil(depth / 32) + 8


def place(memory: Memory, lut_per_bram18: float) -> PlacedMemory:
    """Chooses primitives for a memory, a block RAM being worth `lut_per_bram18` LUTs.

    FIFOs of depth 2 or less are registers; ones of 32 or less are shift registers. Everything else goes where it is
    cheaper at that price.
    """
    if memory.depth <= 2 or memory.bits <= 32:
        if memory.writable:
            return PlacedMemory(memory, "register", ff=memory.bits)
        return PlacedMemory(memory, "register", lut=memory.width)
    if memory.kind in ("fifo", "frame"):
        lut = min(fifo_srl_count(memory.depth, memory.width), 12 + lutram_count(memory.depth, memory.width, True))
    else:
        lut = lutram_count(memory.depth, memory.width, memory.writable)
    blocks = bram18_count(memory.depth, memory.width)
    if lut <= blocks * lut_per_bram18:
        return PlacedMemory(memory, "lutram", lut=lut)
    return PlacedMemory(memory, "bram", bram18=blocks)
