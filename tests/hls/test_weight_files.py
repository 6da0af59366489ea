"""Weight files: damaged, of other designs, of other networks; and graphs that cannot be loaded."""

from dataclasses import replace

import numpy as np
import pytest
from loaded_networks import FOLDS, LOADED, ULTRA, built, built_stored, forked, network

import muxflow
from muxflow.board.driver.errors import AcceleratorError
from muxflow.board.driver.weights import MAGIC
from muxflow.dataflow.errors import GraphError, MuxflowError, UnsupportedError
from muxflow.dataflow.fit.design import build_design, with_depths
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Entry, Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import append_arg_max, append_top_k, insert_forks, load_weights
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS
from muxflow.hls.registry import find
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.hls.vitis.writing import write_project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    return built(forked(), tmp_path_factory.mktemp("p") / "p")


def test_damaged_files(project, tmp_path):
    data = (project.path / "weights.bin").read_bytes()
    head, body = data[: data.index(b"\n", len(MAGIC)) + 1], data[data.index(b"\n", len(MAGIC)) + 1 :]
    file = tmp_path / "f.weights"
    for given, message in [
        (b"", "no weight file of this version"),
        (b"PK\x03\x04" + data, "no weight file of this version"),
        (data[:30], "its second line is not whole"),
        (MAGIC + b"[1]\n" + body, "its second line is not whole"),
        (MAGIC + b"[" * 100000 + b"\n" + body, "its second line is not whole"),
        (data.replace(b'"network": "', b'"network": "' + b"n" * 1001), "a text of at most 1000 characters"),
        (MAGIC + b"\xff" * 100000 + b"\n" + body, r"its second line is not whole \('utf-8' codec.{,240}\); write"),
        (MAGIC + b"{" + b" " * (1 << 21) + b"}\n", "its second line is not whole"),
        (head.replace(b'"words": 27', b'"words": 0') + body, "its second line is not whole"),
        (head.replace(b'"words": 27', b'"words": 1e999') + body, "its second line is not whole"),
        (
            head.replace(b'"words": 27', b'"words": ' + b"9" * 5000) + body,
            "second line is not whole .it has a number of too",
        ),
        (data[:-8], r"of \d+ bytes of weights; the file is cut short"),
        (data + b"\0", r"more than \d+ bytes of weights"),
        (head + bytes([body[0] ^ 1]) + body[1:], "its CRC does not match"),
    ]:
        file.write_bytes(given)
        with pytest.raises(MuxflowError, match=message):
            project.words(file)
    with pytest.raises(MuxflowError, match=r"none\.weights: cannot be read"):
        project.words(tmp_path / "none.weights")
    with pytest.raises(MuxflowError, match="cannot be read"):
        project.words(tmp_path)


def test_files_of_other_designs(project, tmp_path):
    """The message names what differs: a fold, the number of memories, or what else the design consists of."""
    file = tmp_path / "f.weights"
    others = [
        (
            built(forked(), tmp_path / "a", {**FOLDS, "conv": Fold(3, 4)}),
            "'rom1' with 'PE 3 SIMD 4' and 18 words.*PE 2 SIMD 4 and 27",
        ),
        (built(forked(limit=8), tmp_path / "b"), "2 memories.*topology, thresholds or scales"),
        (built(insert_forks(load_weights(network())), tmp_path / "c"), "3 memories"),
    ]
    for other, message in others:
        file.write_bytes((other.path / "weights.bin").read_bytes())
        with pytest.raises(MuxflowError, match=message):
            project.words(file)
    # A design whose FIFOs differ is the same one.
    deeper = with_depths(project.design, {name: depth + 1 for name, depth in project.design.depths.items()}, None)
    assert write_project(deeper, tmp_path / "d", options=LOADED).memories == project.memories


def test_networks_of_other_topologies(project, tmp_path):
    opened, file = muxflow.Project(project), tmp_path / "f.weights"

    def changed(name, **attributes):
        nodes = [
            replace(node, op=replace(node.op, **attributes)) if node.name == name else node for node in network().nodes
        ]
        return replace(network(), nodes=tuple(nodes))

    rng = np.random.default_rng(0)
    for other, message in [
        (
            network(limit=8),
            r"act \(Threshold\) of net is not act \(Threshold\) of the design; only loaded weights may differ",
        ),
        (
            changed("rom3", weights=rng.integers(-1, 2, (8, 6))),
            "other weights in side, which the design of net stores; build it with --weights conv,wide,side$",
        ),
        (
            changed("act", thresholds=[[-9, 0, 9, 10]] * 6),
            r"act \(Threshold\) of net, which gives uint3.* in place of uint2.*, is not act",
        ),
        (
            changed("rom2", weights=np.full((8, 6), 256)),
            r"rom2: loaded weights: values in \[256, 256\]; .* \[-255, 255\]",
        ),
        (changed("rom1", weights=np.zeros((6, 36), np.int64)), "rom1: loaded weights: a value other than -1 and"),
        (
            load_weights(changed("rom2", weights=np.full((8, 6), 256)), ("rom2",)),
            r"wide: net has weights of \[0, 511\], the memory of the design holds those of \[-255, 255\]; only loaded",
        ),
        (append_arg_max(network()), "nodes, the design of net"),
    ]:
        with pytest.raises(MuxflowError, match=message):
            opened.write_weights(other, file)
    assert not file.exists()
    stored = muxflow.Project(built_stored(tmp_path))
    for other in (network(), network(limit=8)):
        with pytest.raises(MuxflowError, match="its weights are part of the bitstream; build it with --weights loaded"):
            stored.write_weights(other, file)
    with stored.emulate() as accelerator, pytest.raises(AcceleratorError, match="weights are part of the bitstream"):
        accelerator.load_weights()
    with pytest.raises(AcceleratorError, match="weights are part of the bitstream"):
        stored.emulate(weights=project.path / "weights.bin")


def test_a_network_whose_codes_mean_other_numbers(tmp_path):
    """The driver reads logits by the design's scales and biases, and makes codes by its input scale: another's are refused."""

    def read(graph, scale=0.5, offset=0.0, step=1.0, mean=0.25):
        (x,), (y,) = graph.inputs, graph.outputs
        size, pixels = graph.streams[y].channels, graph.streams[y].size
        readout = Readout((scale,) * size, (offset,) * size, tuple(range(pixels)), (pixels,))
        entry = Entry((0, 1, 2), graph.streams[x].shape, (mean,), (2.0,))
        streams = {**graph.streams, x: replace(graph.streams[x], scale=(step,))}
        return replace(graph, streams=streams, readouts={y: readout}, entries={x: entry})

    project = built(read(forked()), tmp_path / "p")
    opened, file = muxflow.Project(project), tmp_path / "f.weights"
    opened.write_weights(read(network(5)), file)
    for number, other in enumerate(({"scale": 0.25}, {"offset": 1.0}, {"step": 2.0}, {"mean": 0.5})):
        what = "y" if number < 2 else "x"
        message = rf"^{what} of net: its codes stand for other numbers than those of {what} of the design"
        with pytest.raises(MuxflowError, match=message):
            opened.write_weights(read(network(5), **other), file)
        theirs = built(read(forked(), **other), tmp_path / f"{number}")
        with pytest.raises(MuxflowError, match="topology, thresholds or scales"):
            project.words(theirs.path / "weights.bin")


def test_what_the_build_appended_is_appended(tmp_path):
    def logits(seed):
        rng = np.random.default_rng(seed)
        nodes = [
            Node("rom", RomWeights(np.append(rng.integers(-3, 4, (5, 8)), [[-3] * 8], axis=0)), (), ("w",)),
            Node("fc", MatrixVector(), ("x", "w"), ("y",)),
        ]
        graph = with_nodes(Graph("logits", (), {"x": Stream((1, 1, 8), 0, 3)}, ("x",), ("y",)), nodes)
        return replace(graph, readouts={"y": Readout((1.0,) * 6, (0.0,) * 6, tuple(range(6)), (6,))})

    x = np.random.default_rng(1).integers(0, 4, (9, 1, 1, 8))
    for append in (append_arg_max, lambda graph: append_top_k(graph, 2)):
        project = muxflow.Project(built(insert_forks(load_weights(append(logits(0)))), tmp_path / "p", {}))
        project.write_weights(logits(1), tmp_path / "f.weights")
        met = project.csim(x, weights=tmp_path / "f.weights").outputs
        np.testing.assert_array_equal(met, append(logits(1))(x))


def test_errors(tmp_path):
    ends = {"x": Stream((1, 1, 8), 0, 3), "y": Stream((1, 1, 8), 0, 1)}, ("x",), ("y",)
    for names, message in [
        (["none"], "net: no weights 'none'; those of these nodes may be loaded: conv, wide, side"),
        (["act"], "no weights 'act'"),
        (["convs"], r"no weights 'convs' \(is it conv\?\)"),
    ]:
        with pytest.raises(GraphError, match=message):
            load_weights(network(), names)
    with pytest.raises(GraphError, match="there are no weights to load"):
        load_weights(Graph("bare", (Node("act", Threshold([[1]], [0]), ("x",), ("y",)),), *ends))
    once = load_weights(network(), ["conv"])
    assert load_weights(once, ["rom1", "rom2"]) == load_weights(network(), ["conv", "rom2"])
    graph = insert_forks(network())
    folds = {node.name: FOLDS.get(node.name, Fold()) for node in graph.nodes if not node.op.folds_with_reader}
    stored = build_design(graph, folds, KERNELS, device=ULTRA, board="b", clock_mhz=100)
    with pytest.raises(MuxflowError, match="weights='loaded', but all are stored; pass the graph through"):
        write_project(stored, tmp_path / "p", options=LOADED)
    with pytest.raises(MuxflowError, match="weights ''; expected stored, loaded, or names"):
        ProjectOptions(weights="")
    assert not list(tmp_path.iterdir())
    loaded = load_weights(network())
    with pytest.raises(
        UnsupportedError, match="rom1: weights that are loaded at run time have no port in FINN's projects"
    ):
        find("finn").check_graph(loaded, find("finn").options(), "b")
    with pytest.raises(UnsupportedError, match="rom1: weights that are loaded at run time have no port in hls4ml's"):
        find("hls4ml").check_graph(loaded, find("hls4ml").options("Vitis"), "b")
