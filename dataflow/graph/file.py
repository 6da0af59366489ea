"""Graph files: one `.npz` with a JSON header and the arrays of the ops."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.arrays import npz_arrays
from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.files import ARCHIVE_FAULTS, check_file, parse_json, write_atomically
from muxflow.dataflow.graph.codec import Load, Store, decode_op, encode_op, from_json, to_json
from muxflow.dataflow.graph.graph import End, Entry, Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.spec import check
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.limits import check_bytes, check_nodes
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.text import plainly, reason, shown

T = TypeVar("T")
Meaning = tuple[tuple[float, ...], tuple[float, ...]]

FORMAT = 2
Ties = tuple[tuple[int, ...], ...]
HEADER = "header.json"
MOST_HEADER = 1 << 26
"""Bytes of the header of a graph file."""
WIDE = 8
"""Bytes of an integer once it is read."""


def write_graph(graph: Graph, path: Path) -> None:
    """Write a graph to one `.npz` file, the same bytes for the same graph; atomic."""
    arrays: dict[str, IntArray] = {}

    def store(name: str, array: IntArray) -> dict[str, str]:
        arrays[name] = array
        return {"array": name}

    _write_npz(path, json.dumps(encode_graph(graph, store), sort_keys=True), arrays)


def read_graph(path: Path) -> Graph:
    """Read what `write_graph` wrote; raises MuxflowError naming the file when it is absent, corrupt or newer."""
    header, arrays = _read_npz(path)
    try:
        return decode_graph(header, lambda value: arrays[value["array"]])
    except MuxflowError as error:
        raise type(error)(f"{path}: {error}") from error


def holds_graph(path: Path) -> bool:
    """Tell whether a file looks like what `write_graph` writes, whole or not."""
    try:
        with zipfile.ZipFile(path) as archive:
            return HEADER in archive.namelist()
    except ARCHIVE_FAULTS:
        return False


def encode_graph(graph: Graph, store: Store | None = None) -> dict[str, Any]:
    """Write a graph as JSON; arrays as `to_json` does."""

    def encoded(node: Node) -> dict[str, Any]:
        kept = None if store is None else lambda field, array: store(f"{node.name}.{field}", array)
        return {"name": node.name, **encode_op(node.op, kept), "inputs": node.inputs, "outputs": node.outputs}

    return {
        "format": FORMAT,
        "name": graph.name,
        "inputs": [[name, to_json(graph.streams[name])] for name in graph.inputs],
        "outputs": graph.outputs,
        "meanings": {
            name: to_json([stream.scale, stream.offset])
            for name, stream in graph.streams.items()
            if stream.scale or stream.offset
        },
        "readouts": to_json(graph.readouts),
        "notes": {name: str(note) for name, note in graph.notes.items()},
        "tensors": {name: str(tensor) for name, tensor in graph.tensors.items()},
        "nodes": [encoded(node) for node in graph.nodes],
        **({"ties": to_json(graph.ties)} if graph.ties else {}),
        **({"ends": to_json(graph.ends)} if graph.ends else {}),
        **({"entries": to_json(graph.entries)} if graph.entries else {}),
    }


def decode_graph(entry: Any, load: Load | None = None) -> Graph:
    """Read a graph that `encode_graph` wrote, and check it; raises MuxflowError saying what does not fit."""
    if not isinstance(entry, dict):
        raise MuxflowError("not a Muxflow graph (its header is no table)")
    if entry.get("format") != FORMAT:
        raise MuxflowError(f"graph format {entry.get('format')}; this version reads format {FORMAT}: write it again")
    try:
        return check(_graph(entry, load))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, IndexError) as error:
        raise MuxflowError(f"not a whole Muxflow graph ({reason(error)}); write it again") from error


def _expected(kind: type[T], value: Any, path: str) -> T:
    """Return an entry that is a list or a table; raises GraphError where it is something else."""
    if not isinstance(value, kind):
        raise GraphError(f"{path}: {shown(value)}; expected a {'list' if kind is list else 'table'}")
    return value


def _graph(entry: Mapping[str, Any], load: Load | None) -> Graph:
    inputs = from_json(tuple[tuple[str, Stream], ...], entry["inputs"], path="inputs")
    streams = dict(inputs)
    nodes = []
    check_nodes("graph", len(_expected(list, entry["nodes"], "nodes")))
    for number, one in enumerate(entry["nodes"]):
        _expected(dict, one, f"nodes.{number}")
        name = from_json(str, one["name"], path="name")
        ends = (from_json(tuple[str, ...], one[side], path=f"{name}.{side}") for side in ("inputs", "outputs"))
        node = Node(name, decode_op(one, load), *ends)
        streams.update(node.infer(streams))
        nodes.append(node)
    meanings = from_json(Mapping[str, Meaning], entry["meanings"], path="meanings")  # type: ignore[type-abstract]
    for name, (scale, offset) in meanings.items():
        streams[name] = replace(streams[name], scale=scale, offset=offset)
    return Graph(
        from_json(str, entry["name"], path="name"),
        tuple(nodes),
        streams,
        tuple(name for name, _ in inputs),
        from_json(tuple[str, ...], entry["outputs"], path="outputs"),
        from_json(Mapping[str, Readout], entry["readouts"], path="readouts"),  # type: ignore[type-abstract]
        from_json(Mapping[str, str], entry["notes"], path="notes"),  # type: ignore[type-abstract]
        from_json(Mapping[str, str], entry["tensors"], path="tensors"),  # type: ignore[type-abstract]
        from_json(Mapping[str, Ties], entry.get("ties", {}), path="ties"),  # type: ignore[type-abstract]
        from_json(Mapping[str, End], entry.get("ends", {}), path="ends"),  # type: ignore[type-abstract]
        from_json(Mapping[str, Entry], entry.get("entries", {}), path="entries"),  # type: ignore[type-abstract]
    )


def _write_npz(path: Path, header: str, arrays: Mapping[str, IntArray]) -> None:
    """Write a JSON header and arrays as one zip with fixed dates, through a temporary sibling."""
    buffer, head = io.BytesIO(), header.encode()
    _check_header(path, len(head))
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in [(HEADER, head), *((f"{key}.npy", _npy(a)) for key, a in arrays.items())]:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    write_atomically(path, buffer.getvalue())


def _read_npz(path: Path) -> tuple[Any, Mapping[str, npt.NDArray[Any]]]:
    """Read what `_write_npz` wrote; raises MuxflowError naming the file when it cannot, and where it is too large."""
    check_file(path, "expected a Muxflow graph file")
    try:
        with zipfile.ZipFile(path) as archive:
            _check_header(path, archive.getinfo(HEADER).file_size)
            header = parse_json(archive.read(HEADER))
            arrays = npz_arrays(archive, str(path))
            check_bytes(str(path), WIDE * sum(array.size for array in arrays.values()))
    except PermissionError as error:
        raise MuxflowError(f"{path}: cannot be read ({error.strerror})") from error
    except ARCHIVE_FAULTS as error:
        raise MuxflowError(f"{path}: not a Muxflow graph file ({plainly(error)})") from error
    return header, arrays


def _check_header(path: Path, size: int) -> None:
    if size > MOST_HEADER:
        raise MuxflowError(
            f"{path}: a {HEADER} of {size:,} bytes; at most {MOST_HEADER:,} (MOST_HEADER) are supported, so use smaller "
            "outputs or fewer nodes"
        )


def _npy(array: IntArray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
