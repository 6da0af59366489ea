"""A graph rebuilt around other nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.spec import Stage, check


def free_name(name: str, taken: set[str]) -> str:
    """Give `name`, or the first of name_2, name_3, ... that is not taken, and take it."""
    found, number = name, 2
    while found in taken:
        found = f"{name}_{number}"
        number += 1
    taken.add(found)
    return found


def with_nodes(graph: Graph, nodes: Sequence[Node], stage: Stage = "imported", **changes: Any) -> Graph:
    """Give the graph other nodes: streams inferred anew, known meanings and ties kept, invariants checked.

    `stage`: what must hold of the result; `changes`: other fields of the graph.
    """
    streams = {name: graph.streams[name] for name in graph.inputs}
    for node in nodes:
        for name, stream in node.infer(streams).items():
            known = graph.streams.get(name)
            if known is not None and known.scale:
                stream = replace(stream, scale=known.scale, offset=known.offset)
            streams[name] = stream
    names = {node.name for node in nodes}
    ties = {name: pairs for name, pairs in graph.ties.items() if name in names}
    return check(replace(graph, **{"nodes": tuple(nodes), "streams": streams, "ties": ties, **changes}), stage)
