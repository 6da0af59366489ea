"""Graphs and graph files that would fill the memory or give orders: refused by name, whoever makes them."""

import json
import os
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from edited import BAD, places, put

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.file import HEADER, MOST_HEADER, read_graph, write_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.limits import MOST_BYTES, MOST_ELEMENTS, MOST_NODES
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.thermometer_encode import ThermometerEncode
from muxflow.dataflow.text import LONGEST_NAME, printable

ORDERS = ("a\nb", "a\x1b[31m", "a\u202eb", "a\u2028b", "a\rb", "", "n" * (LONGEST_NAME + 1), "\ud800")


@pytest.mark.parametrize("name", ORDERS)
def test_names_are_printable_wherever_they_come_in(name: str, residual: Graph, tmp_path: Path) -> None:
    op = Scale((2,))
    for ends in ((name, ("x",), ("y",)), ("n", (name,), ("y",)), ("n", ("x",), (name,))):
        with pytest.raises(GraphError, match="the name"):
            Node(ends[0], op, *ends[1:])
    x = Stream((1, 1, 2), 0, 1)
    for graph in ((name, {"x": x}), ("g", {name: x})):
        with pytest.raises(GraphError, match="the name"):
            Graph(graph[0], (), graph[1], ("x",), ("x",))
    write_graph(residual, tmp_path / "graph.npz")
    with zipfile.ZipFile(tmp_path / "graph.npz") as archive:
        parts = {member: archive.read(member) for member in archive.namelist()}
    header = json.loads(parts["header.json"])
    header["nodes"][0]["name"] = name
    parts["header.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(tmp_path / "odd.npz", "w") as archive:
        for member, data in parts.items():
            archive.writestr(member, data)
    with pytest.raises(MuxflowError, match=r"odd\.npz: "):
        read_graph(tmp_path / "odd.npz")


def test_every_entry_of_a_graph_file_may_be_anything(tmp_path: Path) -> None:
    """It is refused in a few words, or the graph can be called."""
    file = tmp_path / "edited.npz"
    node = Node("encode", ThermometerEncode(3, 2), ("x",), ("y",))
    write_graph(with_nodes(Graph("net", (), {"x": Stream((3, 5, 2), 0, 255)}, ("x",), ("y",)), [node]), file)
    with zipfile.ZipFile(file) as archive:
        header = json.loads(archive.read(HEADER))
    for place in places(header):
        for bad in (*BAD, 2, 256, 2**31, 2**63, [0, 256], [10**9] * 3, [0, 1, 1], "3", 3.5):
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr(HEADER, json.dumps(put(header, place, bad)))
            graph, refusal = None, ""
            try:
                graph = read_graph(file)
            except MuxflowError as error:
                refusal = str(error)
            assert printable(refusal) == refusal and len(refusal) < 1500, place
            if graph is not None and graph.streams[graph.inputs[0]].size < 1000:
                graph(random_codes(graph.streams[graph.inputs[0]], 2, np.random.default_rng(0)))


def test_messages_hold_nothing_that_a_terminal_obeys() -> None:
    assert str(MuxflowError("a\x1b[2Jb\rc\nd")) == "a?[2Jb?c\nd"


def written(path: Path, members: dict[str, bytes], sizes: dict[str, int] | None = None) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        for entry in archive.infolist():
            entry.file_size = (sizes or {}).get(entry.filename, entry.file_size)
    return path


def npy(shape: str, kind: str = "<i8", data: bytes = b"") -> bytes:
    header = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + data


@pytest.mark.parametrize(
    ("members", "sizes", "message"),
    [
        ({"header.json": b"{}", "a.npy": b"0"}, {"a.npy": MOST_BYTES}, "MOST_BYTES"),
        ({"header.json": b" " * (MOST_HEADER + 1)}, {}, "MOST_HEADER"),
        ({"header.json": b"{}", "a.npy": npy(f"({1 << 40},)")}, {}, "shape"),
        ({"header.json": b"{}", "a.npy": npy("(-1,)", data=bytes(8))}, {}, "shape"),
        ({"header.json": b"{}", "a.npy": npy("(1,)", "|O", bytes(8))}, {}, "an array of object"),
        ({"header.json": b"{}", "a.npy": b"\x93NUMPY\x09\x00"}, {}, "not a Muxflow graph file"),
        ({"header.json": b"[" * 100000}, {}, "not a Muxflow graph file"),
        ({"header.json": b"{}"}, {}, "graph format None"),
    ],
)
def test_files_that_are_small_and_ask_for_much(
    members: dict[str, bytes], sizes: dict[str, int], message: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "graph.npz", members, sizes)
    with pytest.raises(MuxflowError) as caught:
        read_graph(path)
    assert "graph.npz: " in str(caught.value) and message in str(caught.value)


def test_narrow_numbers_count_as_wide_as_they_become(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("muxflow.dataflow.limits.MOST_BYTES", 4096)
    path = written(tmp_path / "graph.npz", {"header.json": b"{}", "a.npy": npy("(1000,)", "|i1", bytes(1000))})
    with pytest.raises(MuxflowError, match="8,000 bytes once it is read"):
        read_graph(path)


def test_sizes_and_counts_have_a_limit_that_is_named() -> None:
    with pytest.raises(MuxflowError, match=r"80000 x 80000 x 1 elements; at most .* \(MOST_ELEMENTS\)"):
        Stream((80000, 80000, 1), 0, 1)
    x = Stream((8, 8, 4), 0, 1)
    with pytest.raises(MuxflowError, match=r"a map with pads .*MOST_ELEMENTS"):
        SlidingWindow((2, 2), (1 << 16, 1 << 16), (1, 1), (10**6,) * 4).infer(x)
    with pytest.raises(MuxflowError, match=r"1000000000 frames of .*MOST_ELEMENTS"):
        random_codes(x, 10**9, np.random.default_rng(0))
    assert MOST_ELEMENTS < 80000**2
    node = Node("n", Scale((2,)), ("x",), ("y",))
    with pytest.raises(MuxflowError, match=r"graph g: 65,537 nodes; at most 65,536 \(MOST_NODES\)"):
        Graph("g", (node,) * (MOST_NODES + 1), {"x": x}, ("x",), ("y",))


def test_names_that_print_stay_as_they_are(residual: Graph, tmp_path: Path) -> None:
    graph = replace(residual, name="net – é [/x] \\ */")
    write_graph(graph, tmp_path / "graph.npz")
    assert read_graph(tmp_path / "graph.npz").name == graph.name


def test_a_pipe_is_no_graph(tmp_path: Path) -> None:
    """It would be waited for without end."""
    os.mkfifo(tmp_path / "graph.npz")
    with pytest.raises(MuxflowError, match="a device or a pipe, which may never end; expected a Muxflow graph file"):
        read_graph(tmp_path / "graph.npz")
