"""A node: an op with the names of its streams."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Op, Ports
from muxflow.dataflow.text import name_fault, shown


def check_name(where: str, name: object) -> None:
    """Raise GraphError, naming `where`, for a name that no node, stream or graph may have."""
    fault = name_fault(name)
    if fault is not None:
        raise GraphError(f"{where}: {fault}")


@dataclass(frozen=True)
class Node:
    """An op with the names of the streams on either side; raises GraphError for a name that is no printable text."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in (self.name, *self.inputs, *self.outputs):
            check_name(f"node {shown(self.name)}", name)

    def ports(self, streams: Mapping[str, Stream]) -> Ports:
        """Look the node's streams up by name."""
        return Ports(tuple(streams[name] for name in self.inputs), tuple(streams[name] for name in self.outputs))

    def infer(self, streams: Mapping[str, Stream]) -> dict[str, Stream]:
        """Infer the output streams by name; raises GraphError naming the node when the inputs do not fit."""
        missing = [name for name in self.inputs if name not in streams]
        if missing:
            raise GraphError(
                f"{self} reads {missing[0]}, which no earlier node writes: the graph has a cycle or a missing node"
            )
        declared = self.op.inputs
        required = sum(not port.optional for port in declared)
        if not required <= len(self.inputs) <= len(declared):
            raise GraphError(f"{self} takes another number of inputs than {len(self.inputs)}")
        try:
            inferred = self.op.infer(*(streams[name] for name in self.inputs))
        except GraphError as error:
            raise GraphError(f"{self.name}: {error}") from None
        if len(inferred) != len(self.outputs):
            raise GraphError(f"{self} has {len(self.outputs)} outputs; the op has {len(inferred)}")
        return dict(zip(self.outputs, inferred, strict=True))

    def __str__(self) -> str:
        return f"{self.name} ({self.op.kind})"
