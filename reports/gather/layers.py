"""The layers of a design: each group of nodes that a layer of the model became, in words that the field uses."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import Role
from muxflow.dataflow.ops.lstm_cell import LstmCell, sum_interval
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.reports.gather.weights import is_generated
from muxflow.reports.schema.rows import KINDS, Activity, LayerRow, Matrix


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


def make_layers(
    design: Design, layers: Mapping[str, str], activity: Mapping[str, Activity] = MappingProxyType({})
) -> tuple[LayerRow, ...]:
    """Sum the nodes of each layer, in the graph's order; `layers`: of `layers_of`, `activity`: by layer, where it is known."""
    members: dict[str, list[Node]] = {}
    for node in design.graph.nodes:
        members.setdefault(layers[node.name], []).append(node)
    macs = design.graph.operations_by_node()
    return tuple(_row(design, name, nodes, activity.get(name), macs) for name, nodes in members.items())


def _row(design: Design, name: str, nodes: list[Node], activity: Activity | None, macs: Mapping[str, int]) -> LayerRow:
    graph = design.graph
    leader = next(node for node in nodes if node.name == name)
    window = next((node.op.detail for node in nodes if node.op.role is Role.LAYOUT), "")
    used = sum((design.node_resources(node) for node in nodes), Resources())
    # Past the last fork are copies: what the layer computes is what its last other node writes.
    last = [node for node in nodes if node.op.role is Role.COMPUTE] or [leader]
    output = graph.streams[last[-1].outputs[0]]
    stored = design.memory_bits()
    return LayerRow(
        name,
        leader.op.title(graph.ports(leader), window),
        shape_words(output),
        fold_words(design, leader),
        max(design.cycles(node) for node in nodes),
        used.lut,
        used.ff,
        used.bram18,
        used.dsp,
        used.uram,
        tuple(node.name for node in nodes),
        shape="x".join(map(str, output.shape)),
        output_bits=output.bits,
        macs=sum(macs[node.name] for node in nodes),
        bits={kind: bits for kind in KINDS if (bits := sum(stored[node.name].get(kind, 0) for node in nodes))},
        saved_bits=sum(node.op.saved_bits(graph.ports(node)) for node in nodes),
        matrix=_matrix(design, leader, window),
        activity=activity,
    )


def _matrix(design: Design, node: Node, window: str) -> Matrix | None:
    """Describe the product of a layer's node that computes; None where it has no weights."""
    if not isinstance(node.op, MatrixVector | LstmCell):
        return None
    (x, w), (y,) = (ports := design.graph.ports(node)).inputs, ports.outputs
    input_bits, sum_bits, groups = x.bits, y.bits, 1
    if isinstance(node.op, MatrixVector):
        groups = node.op.groups
    else:  # the recurrent product, of the outputs of the step before
        input_bits, sum_bits = y.bits, width(*sum_interval(x, w, node.op.output_interval))[0]
    source, fold = design.graph.producers()[node.inputs[1]], design.folds[node.name]
    return Matrix(
        kernel=window,
        groups=groups,
        filters=w.shape[0],
        columns=w.shape[1],
        weight_bits=w.bits,
        input_bits=input_bits,
        sum_bits=sum_bits,
        generated=is_generated(design.graph, node.inputs[1]),
        loaded=source.op.loaded,
        pe=fold.pe,
        simd=fold.simd,
        parallel=fold.operations,
        initiation_interval=design.cost(node).interval,
        read_bits=w.elements * w.bits // fold.pixels,
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
