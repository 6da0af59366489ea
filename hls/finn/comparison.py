"""FINN's estimates beside Muxflow's, node by node."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Resources

FIFOS = "FIFOs"
"""The row of all FIFOs together."""


@dataclass(frozen=True)
class Row:
    """Estimates of one design node, or of the nodes that are one in FINN; `finn_nodes`: FINN's types of it."""

    node: str
    op: str
    finn_nodes: tuple[str, ...]
    cycles: int
    finn_cycles: int
    lut: int
    finn_lut: int
    bram18: int
    finn_bram18: int


def compare(design: Design, model: Any, owners: Mapping[str, tuple[str, ...]]) -> list[Row]:
    """Return the rows in the design's order, FIFOs last.

    `owners`: the design's nodes that became the FINN node of each tensor, the one that names the row last.
    """
    from qonnx.custom_op.registry import getCustomOp

    def owner(tensor: str) -> tuple[str, ...]:
        # A node at an end of the network writes a new tensor since a FIFO stands after it.
        return owners[tensor] if tensor in owners else owner(model.find_consumer(tensor).output[0])

    found: dict[tuple[str, ...], list[Any]] = defaultdict(list)
    for node in model.graph.node:
        fifo = node.op_type.startswith("StreamingFIFO")
        found[(FIFOS,) if fifo else owner(node.output[0])].append(node)
    nodes = {node.name: node for node in design.graph.nodes}
    rows = []
    for names, finn_nodes in found.items():
        instances = [getCustomOp(node) for node in finn_nodes]
        estimates = [instance.node_res_estimation(design.device.part) for instance in instances]
        if names == (FIFOS,):
            ours, cycles, kind = Resources(), 0, ""
            for placed in design.fifos.values():
                ours += placed.resources
        else:
            parts = [nodes[name] for name in names]
            ours, cycles, kind = Resources(), max(design.cycles(part) for part in parts), parts[-1].op.kind
            for part in parts:
                ours += design.cost(part).logic
                for placed in design.memories[part.name]:
                    ours += placed.resources
        rows.append(
            Row(
                names[-1],
                kind,
                tuple(dict.fromkeys(node.op_type for node in finn_nodes)),
                cycles,
                0 if names == (FIFOS,) else max(int(instance.get_exp_cycles()) for instance in instances),
                ours.lut,
                int(sum(estimate["LUT"] for estimate in estimates)),
                ours.bram18,
                int(sum(estimate["BRAM_18K"] for estimate in estimates)),
            )
        )
    order = {name: position for position, name in enumerate(nodes)}
    return sorted(rows, key=lambda row: order.get(row.node, len(order)))
