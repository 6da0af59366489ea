"""The memory plan of a design: what is stored where, in which primitives, and what the residual joins cost."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.folded import converter_chains
from muxflow.dataflow.graph.node import Node

TINY_BUDGET = 2 * 2**20
"""Bits of parameters that a tiny accelerator may store: 2 Mb (decision: MOGNET's own budget, 1 Mb = 2^20 bits)."""

PARAMETER_KINDS = ("rom", "loaded", "threshold")


@dataclass(frozen=True)
class MemoryRow:
    """One memory: `depth` words of `width` bits, all lanes together, in `primitives`, which hold `occupied` bits."""

    node: str
    name: str
    kind: str
    depth: int
    width: int
    bits: int
    placement: str
    primitives: str
    occupied: int
    lut: int
    ff: int
    bram18: int
    uram: int


@dataclass(frozen=True)
class JoinRow:
    """What a join of several streams costs in buffers: bits of the FIFOs into it, those that hold a frame apart.

    `select`: how a MUX join chooses, empty for other joins.
    """

    node: str
    kind: str
    select: str
    frame_bits: int
    fifo_bits: int


@dataclass(frozen=True)
class KindTotal:
    """All memories of one kind: payload bits, bits that their primitives hold, and the resources."""

    kind: str
    bits: int
    occupied: int
    bram18: int
    lut: int
    ff: int
    uram: int


@dataclass(frozen=True)
class MemoryPlan:
    """Every memory and FIFO of a design, and the buffers of its joins.

    `parameter_bits`: weights and thresholds that are stored; `saved_bits`: weights that are generated instead;
    `saved_threshold_bits`: thresholds that a bias and a shift stand for, the bias taken off.
    """

    rows: tuple[MemoryRow, ...]
    joins: tuple[JoinRow, ...]
    parameter_bits: int
    saved_bits: int
    saved_threshold_bits: int

    def totals(self, kinds: tuple[str, ...]) -> tuple[KindTotal, ...]:
        """Return the sums of each kind, in the order of `kinds`."""
        return tuple(
            KindTotal(
                kind,
                *(
                    sum(getattr(row, name) for row in self.rows if row.kind == kind)
                    for name in ("bits", "occupied", "bram18", "lut", "ff", "uram")
                ),
            )
            for kind in kinds
        )

    @property
    def loaded_words(self) -> int:
        """Words of 64 bits that fill the weights that are loaded; a beat begins with a new one. 0 for none."""
        return sum(row.depth * -(-row.width // 64) for row in self.rows if row.kind == "loaded")

    @property
    def tiny_budget_share(self) -> float:
        """Stored parameters over the tiny budget; above 1 where they do not fit it."""
        return self.parameter_bits / TINY_BUDGET


def make_memory_plan(design: Design) -> MemoryPlan:
    """Make the memory plan of a design; a FIFO belongs to the node that writes it, the first one to the host."""
    writers = {name: node.name for node in design.graph.nodes for name in node.outputs}
    placed = [(node, memory.memory.name, memory) for node in design.memories for memory in design.memories[node]]
    placed += [(writers.get(name, "host"), name, fifo) for name, fifo in design.fifos.items()]
    rows = tuple(
        MemoryRow(
            node,
            name,
            one.memory.kind,
            one.memory.depth,
            one.memory.width * max(1, one.memory.lanes),
            one.memory.bits,
            one.placement,
            " + ".join(map(str, one.primitives)),
            one.occupied_bits,
            one.lut,
            one.ff,
            one.bram18,
            one.uram,
        )
        for node, name, one in placed
    )
    joins = tuple(_join(design, n) for n in design.graph.nodes if len(design.graph.data_inputs(n)) > 1)
    return MemoryPlan(rows, joins, design.stored_parameter_bits, design.saved_bits, design.saved_threshold_bits)


def _join(design: Design, node: Node) -> JoinRow:
    data = set(design.graph.data_inputs(node))
    frame = fifo = 0
    for chain in converter_chains(design.graph).values():
        if chain[-1] in data:
            for memory in (design.fifos[name].memory for name in chain):
                frame += memory.bits if memory.kind == "frame" else 0
                fifo += memory.bits if memory.kind == "fifo" else 0
    return JoinRow(node.name, node.op.kind, node.op.detail, frame, fifo)
