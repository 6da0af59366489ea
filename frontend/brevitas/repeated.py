"""Tensors that one node reads more than once, which QONNX's cleanup renames at the first place only."""

from __future__ import annotations

import onnx

MARK = "muxflow: read again"
"""Note on the nodes that stand for such tensors meanwhile."""


def set_apart(proto: onnx.ModelProto) -> None:
    """Put an Identity before each further place where a node reads a tensor that it reads already."""
    stored = {tensor.name for tensor in proto.graph.initializer}
    nodes = []
    for node in proto.graph.node:
        for place, name in enumerate(node.input):
            if name and name not in stored and name in node.input[:place]:
                again = f"{node.output[0]}_input_{place}"
                nodes.append(onnx.helper.make_node("Identity", [name], [again], again, MARK))
                node.input[place] = again
        nodes.append(node)
    if len(nodes) > len(proto.graph.node):
        del proto.graph.node[:]
        proto.graph.node.extend(nodes)


def join_again(proto: onnx.ModelProto) -> None:
    """Take those nodes away: their readers read the tensor itself."""
    places = {node.output[0]: node.input[0] for node in proto.graph.node if node.doc_string == MARK}
    graph = proto.graph
    for node in graph.node:
        node.input[:] = [places.get(name, name) for name in node.input]
    for entries, gone in (
        (graph.node, [node for node in graph.node if node.doc_string == MARK]),
        (graph.value_info, [entry for entry in graph.value_info if entry.name in places]),
    ):
        for entry in gone:
            entries.remove(entry)
