"""The integer graph: invariants, calls, files."""

import json
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.graph.codec import decode_op
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.file import _read_npz, _write_npz, read_graph, write_graph
from muxflow.dataflow.graph.graph import BATCH, Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.spec import check
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.scale import Scale

X = Stream((1, 2, 3), 0, 3)


def full(graph):
    """With everything that a file must carry."""
    streams = dict(graph.streams)
    streams["x"] = replace(streams["x"], scale=(0.25,), offset=(0.5,))
    streams["p"] = replace(streams["p"], scale=(1.0, 2.0, 3.0, 4.0), offset=(0.0, 0.0, 0.0, 0.1))
    return replace(
        graph,
        streams=streams,
        readouts={graph.outputs[0]: Readout((0.1,) * 4, (0.0,) * 4, (3, 2, 1, 0), (4,))},
        notes={"data set": "none – é"},
        tensors={"p": "pool_out"},
    )


def test_round_trip(residual, tmp_path):
    graph = full(residual)
    write_graph(graph, tmp_path / "deep" / "er" / "graph.npz")
    write_graph(graph, tmp_path / "again.npz")
    file = tmp_path / "deep" / "er" / "graph.npz"
    assert file.read_bytes() == (tmp_path / "again.npz").read_bytes()
    loaded = read_graph(file)
    assert loaded == graph
    assert str(loaded) == str(graph)
    assert loaded.streams["w"].constant.tolist() == graph.streams["w"].constant.tolist()
    write_graph(loaded, tmp_path / "third.npz")
    assert (tmp_path / "third.npz").read_bytes() == file.read_bytes()
    images = np.random.default_rng(0).integers(0, 8, (3, 6, 6, 4))
    np.testing.assert_array_equal(loaded(images), graph(images))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.npz", "deep", "third.npz"]


def test_broken_files(residual, tmp_path):
    file = tmp_path / "graph.npz"
    with pytest.raises(MuxflowError, match=r"graph\.npz: no such file"):
        read_graph(file)
    file.write_bytes(b"")
    with pytest.raises(MuxflowError, match=r"graph\.npz: not a Muxflow graph file"):
        read_graph(file)
    with pytest.raises(MuxflowError, match="a folder; expected a Muxflow graph file"):
        read_graph(tmp_path)
    write_graph(residual, file)
    whole = file.read_bytes()
    for size in range(0, len(whole), 97):
        file.write_bytes(whole[:size])
        with pytest.raises(MuxflowError, match=r"graph\.npz"):
            read_graph(file)


def test_flipped_bytes_never_escape_as_other_errors(residual, tmp_path):
    """A file with a changed byte is read as the same graph (a byte that nobody reads) or refused by name."""
    file = tmp_path / "graph.npz"
    write_graph(residual, file)
    whole = file.read_bytes()
    refused = 0
    for position in range(0, len(whole), 11):
        changed = bytearray(whole)
        changed[position] ^= 0x5A
        file.write_bytes(changed)
        try:
            assert read_graph(file) == residual
        except MuxflowError:
            refused += 1
    assert refused > len(whole) // 11 // 2


def rewrite(graph, path, change):
    write_graph(graph, path)
    header, arrays = _read_npz(path)
    header = change(header)
    _write_npz(path, json.dumps(header), arrays)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda h: {**h, "format": 99}, "format 99; this version reads format 2"),
        (lambda h: [], "not a Muxflow graph"),
        (lambda h: {k: v for k, v in h.items() if k != "nodes"}, r"not a whole Muxflow graph \(it lacks 'nodes'\)"),
        (lambda h: {**h, "nodes": [{**h["nodes"][0], "op": "Teleport"}]}, "'Teleport' is not known"),
        (lambda h: {**h, "nodes": [{**h["nodes"][0], "attributes": {"colour": 3}}]}, "no field 'colour'; .* has"),
        (lambda h: {**h, "nodes": 7}, "nodes: 7; expected a list"),
        (lambda h: {**h, "nodes": [7]}, r"nodes\.0: 7; expected a table"),
        (lambda h: {**h, "meanings": []}, r"meanings: \[\]; expected a table"),
        (lambda h: {**h, "meanings": {"x": 3}}, r"meanings\.x: 3; expected a list"),
        (lambda h: {**h, "outputs": ["nowhere"]}, "no node writes the output nowhere"),
        (lambda h: {**h, "outputs": "nowhere"}, "outputs: 'nowhere'; expected a list"),
    ],
)
def test_bad_contents(residual, tmp_path, change, message):
    rewrite(residual, tmp_path / "g.npz", change)
    with pytest.raises(MuxflowError, match=message):
        read_graph(tmp_path / "g.npz")


def test_missing_array(residual, tmp_path):
    write_graph(residual, tmp_path / "g.npz")
    with zipfile.ZipFile(tmp_path / "g.npz") as source, zipfile.ZipFile(tmp_path / "h.npz", "w") as target:
        for name in source.namelist():
            if name != "weights.weights.npy":
                target.writestr(name, source.read(name))
    with pytest.raises(MuxflowError, match=r"RomWeights\.weights: .*expected the name of an array in the file"):
        read_graph(tmp_path / "h.npz")


def test_unknown_op():
    with pytest.raises(MuxflowError, match="op 'Teleport' is not known; this version has AddJoin"):
        decode_op({"op": "Teleport", "attributes": {}})


def test_write_leaves_the_old_file_when_it_cannot(tmp_path, monkeypatch):
    file = tmp_path / "f"
    write_atomically(file, b"old")

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", refuse)
    with pytest.raises(MuxflowError, match=r"f: cannot be written \(No space left on device\)"):
        write_atomically(file, b"new")

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(file, b"new")
    assert file.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [file]


def graph_of(*nodes, output="y", streams=None):
    known = {"x": X, "a": X, "b": X, "y": X, **(streams or {})}
    return Graph("g", nodes, known, ("x",), (output,))


ONE = Scale([1])


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (graph_of(Node("n", ONE, ("x",), ("a",)), Node("n", ONE, ("a",), ("y",))), "two nodes are called n"),
        (graph_of(Node("n", ONE, ("a",), ("b",)), Node("m", ONE, ("b",), ("a",))), "n .* reads a, which no earlier"),
        (graph_of(Node("n", AddJoin(), ("x", "b"), ("y",))), "reads b, which no earlier node writes"),
        (graph_of(Node("n", Fork(2), ("x",), ("y",))), "has 1 outputs; the op has 2"),
        (graph_of(Node("n", ONE, ("x",), ("x",)), output="x"), "writes x, which another node writes as well"),
        (graph_of(Node("n", ONE, ("x",), ("a",))), "no node writes the output y"),
        (graph_of(Node("n", ONE, ("x",), ("y",)), Node("m", ONE, ("x",), ("a",))), "nobody reads the stream a"),
        (graph_of(Node("n", Scale([2]), ("x",), ("y",))), r"y is uint2\[1x2x3\], its op infers uint3\[1x2x3\]"),
        (graph_of(Node("n", ONE, ("x",), ("q",)), output="q"), "n .*stream q is not recorded"),
        (graph_of(Node("n", ONE, ("x", "x"), ("y",))), "n .*takes"),
    ],
)
def test_invariants(graph, message):
    with pytest.raises(GraphError, match=message):
        check(graph)


def test_with_nodes():
    nodes = [Node("n", Scale([2]), ("x",), ("y",)), Node("m", Scale([-3]), ("y",), ("z",))]
    start = Graph("g", (), {"x": X, "y": replace(X, scale=(0.5,), offset=(1.0,))}, ("x",), ("z",))
    graph = with_nodes(start, nodes)
    assert (graph.streams["z"].lo, graph.streams["z"].hi) == (-18, 0)
    assert (graph.streams["y"].scale, graph.streams["y"].hi) == ((0.5,), 6)
    assert with_nodes(graph, nodes[:1], outputs=("y",)).outputs == ("y",)
    with pytest.raises(GraphError, match=r"m .* reads y, which no earlier node writes"):
        with_nodes(start, nodes[::-1])


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, 2, 3), int), r"images of shape \(1, 2, 3\); expected \(N, 1, 2, 3\)"),
        (np.zeros((2, 1, 3, 2), int), "expected"),
        (np.zeros((1, 1, 2, 3)), "type float64; expected integers in"),
        (np.zeros((1, 1, 2, 3), bool), "type bool"),
        (np.zeros((0, 1, 2, 3), int), "no images"),
        (np.full((1, 1, 2, 3), 4), r"codes in \[4, 4\]; the input holds \[0, 3\]"),
        (np.full((1, 1, 2, 3), -1), "the input holds"),
        (np.full((1, 1, 2, 3), 2**64 - 1, np.uint64), "the input holds"),
    ],
)
def test_bad_images(make_graph, images, message):
    with pytest.raises(MuxflowError, match=message):
        make_graph(X, ONE)(images)


@pytest.mark.parametrize("kind", [np.uint8, np.int8, np.uint16, np.int64, np.uint64])
def test_images_of_any_integer_type(make_graph, kind):
    assert make_graph(X, Scale([-100]))(np.full((1, 1, 2, 3), 3, kind)).tolist() == [[[[-300] * 3] * 2]]


def test_batches_do_not_show(residual):
    images = np.random.default_rng(0).integers(0, 8, (2 * BATCH + 3, 6, 6, 4))
    told = []
    together = residual.run(images, progress=told.append)
    assert told == [BATCH, 2 * BATCH, 2 * BATCH + 3]
    for i in (0, BATCH - 1, BATCH, 2 * BATCH + 2):
        alone = residual.run(images[i : i + 1])
        for name, values in alone.items():
            if residual.streams[name].constant is None:
                np.testing.assert_array_equal(values[0], together[name][i])
    for name, stream in residual.streams.items():
        assert together[name].min() >= stream.lo
        assert together[name].max() <= stream.hi


def test_a_stream_named_twice_is_kept_once(residual):
    images = np.zeros((3, 6, 6, 4), int)
    assert residual.run(images, keep=("g", "y", "g"))["g"].shape == (3, 1, 1, 4)


def test_readout():
    readout = Readout((2.0, 0.5), (1.0, 0.0), (1, 0, 3, 2), (2, 2))
    codes = np.array([[[[1, 2], [3, 4]]]])
    assert readout(codes).tolist() == [[[1.0, 3.0], [2.0, 7.0]]]
    assert readout(np.zeros((0, 1, 2, 2), np.int64)).shape == (0, 2, 2)


def test_table(residual):
    lines = str(residual).splitlines()
    assert lines[0] == "residual: input x uint3[6x6x4]"
    assert lines[2] == "  RomWeights         - -> w int2[6x18] x36"
    assert lines[-1] == "  output g"
    assert residual.operations() == 36 * (6 * 18 + 4 * 6)
