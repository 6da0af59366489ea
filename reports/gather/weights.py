"""The stored weights of a design, layer by layer and kind by kind, and what hybrid filter banks save of them."""

from __future__ import annotations

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.op import Role
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.reports.schema.rows import WeightKind, WeightRow


def weight_rows(design: Design) -> tuple[WeightRow, ...]:
    """List the layers with stored weights, loaded ones too, in the graph's order.

    The two products of a hybrid bank are one layer.
    """
    graph = design.graph
    banks = {part.name: join.name for join in graph.nodes for part in _parts(graph, join)}
    found: dict[str, list[WeightKind]] = {}
    for node in graph.nodes:
        for name, port in zip(node.inputs, node.op.inputs, strict=False):
            weights = graph.streams[name]
            known = weights.constant is not None
            if port.weights and (known or _is_loaded(graph, name)) and not is_generated(graph, name):
                filters, columns = weights.shape
                kind = WeightKind(filters, columns, weights.bits)
                found.setdefault(banks.get(node.name, node.name), []).append(kind)
    return tuple(WeightRow(name, tuple(sorted(kinds, key=lambda kind: -kind.bits))) for name, kinds in found.items())


def is_generated(graph: Graph, weights: str) -> bool:
    """Say whether a stream of weights comes from a generator, which stores none of them."""
    source = graph.producers()[weights]
    return source.op.saved_bits(graph.ports(source)) > 0


def _is_loaded(graph: Graph, weights: str) -> bool:
    """Say whether a stream of weights comes from memories that are loaded at run time."""
    source = graph.producers()[weights]
    return isinstance(source.op, RomWeights) and source.op.loaded


def _parts(graph: Graph, join: Node) -> tuple[Node, ...]:
    """Return the two products of a hybrid bank that a node joins: of one input, with different grids; () for any other node."""
    if not isinstance(join.op, Concat):
        return ()
    found = [_source(graph, name)[0] for name in join.inputs]
    parts = tuple(node for node in found if node is not None and isinstance(node.op, MatrixVector))
    same = len(parts) == 2 and len({_source(graph, part.inputs[0]) for part in parts}) == 1
    return parts if same and len({graph.streams[part.inputs[1]].bits for part in parts}) == 2 else ()


def _source(graph: Graph, name: str) -> tuple[Node | None, str]:
    """Find the node and the stream that a stream comes from, forks, width converters and copies of a window aside."""
    producers = graph.producers()
    while (node := producers.get(name)) is not None and node.op.role in (Role.PLUMBING, Role.LAYOUT):
        name = node.inputs[0]
    return node, name
