"""The memory plan of a design: what is stored where, in which primitives, and what the residual joins cost."""

from __future__ import annotations

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.folded import converter_chains
from muxflow.dataflow.graph.node import Node
from muxflow.reports.schema.rows import JoinRow, MemoryPlan, MemoryRow


def make_memory_plan(design: Design) -> MemoryPlan:
    """Make the memory plan of a design; a FIFO belongs to the node that `fifos_of` counts it with."""
    owners = {fifo.memory.name: node.name for node in design.graph.nodes for fifo in design.fifos_of(node)}
    placed = [(node, memory.memory.name, memory) for node in design.memories for memory in design.memories[node]]
    placed += [(owners[name], name, fifo) for name, fifo in design.fifos.items()]
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
