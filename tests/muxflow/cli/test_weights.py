"""`muxflow build --weights`, `muxflow weights`, `muxflow csim --weights`: another network without a new bitstream."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import run

import muxflow
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.threshold import Threshold


def network(seed: int, threshold: int = 5) -> Graph:
    rng = np.random.default_rng(seed)
    signs = 2 * rng.integers(0, 2, (64, 64)) - 1
    last = 2 * rng.integers(0, 2, (10, 1024)) - 1
    last[0] = 1  # the first code is the class where there is no read-out: none below 0
    nodes = [
        Node("rom", RomWeights(signs, 1, 16), (), ("w",)),
        Node("conv", MatrixVector(), ("x", "w"), ("a",)),
        Node("act", Threshold([[-threshold, 0, threshold]] * 64, [0] * 64), ("a",), ("b",)),
        Node("rom2", RomWeights(last), (), ("w2",)),
        Node("fc", MatrixVector(), ("b", "w2"), ("y",)),
    ]
    return with_nodes(Graph("swap", (), {"x": Stream((4, 4, 64), 0, 3)}, ("x",), ("y",)), nodes)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two networks of one topology, a third with other thresholds, and the project of the first."""
    folder = tmp_path_factory.mktemp("weights")
    for name, graph in (("a", network(0)), ("b", network(1)), ("other", network(1, 7))):
        muxflow.save(graph, folder / f"{name}.npz")
    done = run("build", "a.npz", "--weights", "loaded", "--board", "kv260", "-o", "net", "-v", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "loaded weights" in done.stdout
    assert "loading weights" in done.stdout
    assert "URAM" in done.stdout
    return folder


def test_swap(folder: Path) -> None:
    done = run("weights", "b.npz", "--project", "net", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "b.weights: 2 memories, " in done.stdout
    assert "next: muxflow csim net --weights b.weights" in done.stdout
    done = run("csim", "net", "--weights", "b.weights", "--variant", "native", "--count", "3", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "with b.weights: every node equal to the graph on 3 images" in done.stdout
    done = run("csim", "net", "--variant", "native", "--count", "3", cwd=folder)
    assert done.returncode == 0, done.stderr
    report = json.loads(run("report", "net", "--json", cwd=folder).stdout)
    assert report["loaded_words"] == sum(node.words for node in muxflow.open_project(folder / "net").hls.memories.nodes)
    assert report["memory_bits"]["loaded"] == 64 * 64 + 10 * 1024
    assert report["memory_bits"]["rom"] == 0
    assert report["used"]["URAM"] <= report["budget"]["URAM"] == 57


def test_accuracy_of_other_weights(folder: Path) -> None:
    graph = muxflow.load(folder / "b.npz")
    codes = np.random.default_rng(2).integers(0, 4, (4, 4, 4, 64))
    labels = np.asarray(graph(codes)).reshape(4, -1)[:, 0].copy()
    labels[0] += 1
    np.savez(folder / "mine.npz", images=codes, labels=labels)
    assert run("weights", "b.npz", "--project", "net", "-o", "mine.weights", cwd=folder).returncode == 0
    words = ("csim", "net", "--weights", "mine.weights", "--variant", "native", "--images", "mine.npz")
    done = run(*words, cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "accuracy with mine.weights: 75.00 % on mine.npz, 3 of 4 images" in done.stdout
    assert json.loads(run(*words, "--json", cwd=folder).stdout)["accuracy"]["correct"] == 3


def test_fit_says_what_loaded_weights_take(folder: Path) -> None:
    done = run("fit", "a.npz", "--weights", " fc", "--board", "kv260", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    bits = json.loads(done.stdout)["memory_bits"]
    assert (bits["loaded"], bits["rom"]) == (10 * 1024, 64 * 64)
    told = run("fit", "a.npz", "--weights", "fc", "--board", "kv260", cwd=folder).stdout
    assert "--weights fc" in told[told.index("next: muxflow build a.npz") :]


def test_one_node_by_the_name_of_its_reader(folder: Path) -> None:
    done = run("build", "a.npz", "--weights", "fc", "-o", "part", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    bits = json.loads(done.stdout)["memory_bits"]
    assert (bits["loaded"], bits["rom"]) == (10 * 1024, 64 * 64)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (
            ["weights", "other.npz", "-p", "net"],
            1,
            "act (Threshold) of swap is not act (Threshold) of the design; only loaded",
        ),
        (["weights", "a.npz", "-p", "a.npz"], 1, "no project but a model"),
        (["weights", "a.npz", "-p", "net", "-o", "a.npz"], 1, "a.npz is what the command reads; choose another"),
        (["weights", "a.npz", "-p", "net", "-o", "net/weights.bin"], 1, "net/weights.bin is what the command reads"),
        (["fit", "a.npz", "-o", "net/../a.npz"], 1, "a.npz is what the command reads"),
        (["csim", "net", "--weights", "a.npz"], 1, "a.npz: no weight file of this version"),
        (
            ["build", "a.npz", "--weights", "none", "-o", "no"],
            4,
            "no weights 'none'; those of these nodes may be loaded: conv, fc",
        ),
        (["build", "a.npz", "--weights", "rom,,fc", "-o", "no"], 1, "expected stored, loaded, or names of nodes"),
        (["build", "a.npz", "--weights", "loaded", "--target", "finn", "-o", "no"], 2, "is no option of --target finn"),
        (
            ["build", "a.npz", "--weights", "loaded", "--target", "hls4ml", "-o", "no"],
            2,
            "is no option of --target hls4ml",
        ),
    ],
)
def test_refused(folder: Path, words: list[str], code: int, message: str) -> None:
    done = run(*words, cwd=folder)
    assert (done.returncode, message in " ".join(done.stderr.split())) == (code, True), done.stderr
    assert not (folder / "no").exists()
