"""Muxflow's streams as data types and shapes of FINN's, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qonnx.core.datatype import DataType

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import Stream


def data_type(stream: Stream) -> str:
    """Name of the smallest FINN data type that holds a stream: BIPOLAR, TERNARY, BINARY, UINTn or INTn."""
    if stream.bipolar:
        return "BIPOLAR"
    if (stream.lo, stream.hi) == (-1, 1):
        return "TERNARY"
    if not stream.signed:
        return "BINARY" if stream.bits == 1 else f"UINT{stream.bits}"
    return f"INT{stream.bits}"


def stream(shape: Sequence[int], name: str) -> Stream:
    """Return the stream of a FINN tensor without its batch axis; raises UnsupportedError for a type that is no integer."""
    kind: Any = DataType[name]
    if not kind.is_integer():
        raise UnsupportedError(f"data type {name}; supported: integers (BINARY, BIPOLAR, TERNARY, UINTn, INTn)")
    return Stream(tuple(int(size) for size in shape), int(kind.min()), int(kind.max()), bipolar=name == "BIPOLAR")


def bits(name: str) -> int:
    """Return the bits of a FINN data type."""
    return int(DataType[name].bitwidth())
