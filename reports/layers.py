"""The layers of a design: each group of nodes that a layer of the model became, in words that the field uses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Role


@dataclass(frozen=True)
class LayerRow:
    """A layer: its node that computes, with window, weights, activation and what lies between; cycles of the slowest.

    `title`: as "conv 3x3, stride 2"; `output`: as "8x8x24 uint3"; `fold`: as "PE 6 SIMD 3" or "3 lanes"; `nodes`: names.
    """

    name: str
    title: str
    output: str
    fold: str
    cycles: int
    lut: int
    ff: int
    bram18: int
    dsp: int
    uram: int
    nodes: tuple[str, ...]


def layers_of(design: Design) -> dict[str, str]:
    """Map each node to the node after which its layer is named.

    Weights, windows and answers that come once a frame belong to the node that reads them; forks, width converters and
    operations that keep the shape of their only input belong to the node that they read, those at the design's inputs to
    the first node after them.
    """
    graph = design.graph
    producers, readers = graph.producers(), graph.consumers()
    found: dict[str, str] = {}
    for node in reversed(graph.nodes):
        after = [reader for name in node.outputs for reader in readers[name]]
        if after and (node.op.folds_with_reader or _answers_once(node, after)):
            found[node.name] = found.get(after[0].name, after[0].name)
    begins = {node.name for node in graph.nodes if node.op.role is Role.PLUMBING and node.inputs[0] in graph.inputs}
    for node in graph.nodes:
        before = producers.get(node.inputs[0]) if len(node.inputs) == 1 else None
        if node.name not in found and before is not None and _continues(graph, node):
            root = found.get(before.name, before.name)
            if root not in begins:
                found[node.name] = root
            elif node.op.role is Role.PLUMBING:
                begins.add(node.name)
    for node in reversed(graph.nodes):
        after = [reader for name in node.outputs for reader in readers[name]]
        if node.name not in found and node.op.role is Role.PLUMBING and after:
            found[node.name] = found.get(after[0].name, after[0].name)
    return {node.name: found.get(node.name, node.name) for node in graph.nodes}


def _answers_once(node: Node, after: list[Node]) -> bool:
    return any(
        port.per_frame and name in node.outputs
        for reader in after
        for name, port in zip(reader.inputs, reader.op.inputs, strict=False)
    )


def _continues(graph: Graph, node: Node) -> bool:
    """Say whether a node of one input only moves its elements, or changes each by itself."""
    if node.op.role is Role.PLUMBING:
        return True
    streams = graph.ports(node)
    return node.op.role is Role.COMPUTE and streams.inputs[0].shape == streams.outputs[0].shape


def make_layers(design: Design, layers: Mapping[str, str]) -> tuple[LayerRow, ...]:
    """Sum the nodes of each layer, in the graph's order; `layers`: of `layers_of`."""
    members: dict[str, list[Node]] = {}
    for node in design.graph.nodes:
        members.setdefault(layers[node.name], []).append(node)
    return tuple(_row(design, name, nodes) for name, nodes in members.items())


def _row(design: Design, name: str, nodes: list[Node]) -> LayerRow:
    graph = design.graph
    leader = next(node for node in nodes if node.name == name)
    window = next((node.op.detail for node in nodes if node.op.role is Role.LAYOUT), "")
    used = sum((design.node_resources(node) for node in nodes), Resources())
    # Past the last fork are copies: what the layer computes is what its last other node writes.
    last = [node for node in nodes if node.op.role is Role.COMPUTE] or [leader]
    return LayerRow(
        name,
        leader.op.title(graph.ports(leader), window),
        shape_words(graph.streams[last[-1].outputs[0]]),
        fold_words(design, leader),
        max(design.cycles(node) for node in nodes),
        used.lut,
        used.ff,
        used.bram18,
        used.dsp,
        used.uram,
        tuple(node.name for node in nodes),
    )


def shape_words(stream: Stream) -> str:
    """Write shape and type of a stream: 8x8x24 uint3."""
    return f"{'x'.join(map(str, stream.shape))} {stream.type_name}"


def fold_words(design: Design, node: Node) -> str:
    """Write what a node does in a cycle: its fold where it has weights, else the lanes that it writes, and its pixels."""
    if any(port.weights for port in node.op.inputs):
        return str(design.folds[node.name])
    lanes, pixels = design.graph.streams[node.outputs[0]].lanes, design.folds[node.name].pixels
    text = f"{lanes} lane{'' if lanes == 1 else 's'}"
    return text if pixels == 1 else f"{text}, pixels {pixels}"
