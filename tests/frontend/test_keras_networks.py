"""The shipped QKeras networks: Keras predict = integer graph = C simulation, code for code, on all held-out digits."""

import json
import subprocess
import sys
from dataclasses import replace

import h5py
import pytest

import muxflow
from muxflow.dataflow.errors import MismatchError, MuxflowError, ToolError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.ops.window_pool import WindowPool
from muxflow.dataflow.outputs import WRITTEN
from muxflow.frontend.importer.walk import import_model
from muxflow.frontend.keras.execution import keras_execution
from muxflow.frontend.keras.reader import describe_models
from muxflow.frontend.training.keras.trainer import NAMES, train_keras
from muxflow.frontend.training.result import PRETRAINED
from muxflow.proof.compare import compare
from muxflow.proving import dataset_images, model_copy, project_report, prove

FILES = {name: PRETRAINED / f"{name}.h5" for name in NAMES}


@pytest.fixture(scope="module")
def described():
    """Both networks, from one start of TensorFlow."""
    return dict(zip(FILES, describe_models(list(FILES.values())), strict=True))


@pytest.fixture(scope="module")
def graphs(described):
    return {name: import_model(model) for name, model in described.items()}


@pytest.fixture(scope="module")
def images(graphs):
    return dataset_images(graphs[NAMES[0]], "digits", "test", None, None)


def changed(graph, name, change):
    """The graph with the op of one node changed."""
    nodes = [replace(node, op=change(node.op)) if node.name == name else node for node in graph.nodes]
    return with_nodes(graph, nodes)


@pytest.fixture(scope="module")
def projects(graphs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects")
    return {
        name: muxflow.write(muxflow.fit(graph, "pynq-z2"), folder / name, extra=model_copy(FILES[name]))
        for name, graph in graphs.items()
    }


@pytest.mark.parametrize("name", NAMES)
def test_predict_graph_and_simulation_agree_on_all_images(name, graphs, images, projects):
    project = projects[name]
    rungs, accuracy, _ = prove(project, images, variants=("native",), jobs=2)
    equal = {rung.title: rung for rung in rungs if rung.status == "equal"}
    assert list(equal) == ["Keras predict (TensorFlow)", "C simulation, native integers"]
    assert all(rung.images == 450 for rung in equal.values())
    assert equal["Keras predict (TensorFlow)"].detail.startswith(f"{len(graphs[name].tensors) + 1} tensors")
    report = json.loads(FILES[name].with_suffix(".json").read_text())
    assert (accuracy.images, accuracy.correct) == (report["images"], report["correct"])
    assert project_report(project, "test").ladder == rungs


@pytest.mark.parametrize("name", [pytest.param(NAMES[0], marks=pytest.mark.exhaustive), NAMES[1]])
def test_ap_int_types_agree(name, images, projects):
    projects[name].csim(images.codes[:3], "reference", verify=True)  # raises at the first difference


@pytest.mark.parametrize("name", NAMES)
def test_weights_carry_their_codes(name, described, graphs, searched, without_codes, tmp_path):
    write_graph(import_model(described[name]), tmp_path / "known.npz")
    assert not searched
    write_graph(import_model(without_codes(described[name])), tmp_path / "found.npz")
    assert searched
    assert (tmp_path / "known.npz").read_bytes() == (tmp_path / "found.npz").read_bytes()


def test_mognet_keeps_its_recipes(graphs):
    ops = [node.op for node in graphs["mognet_digits_qkeras"].nodes]
    assert sum(isinstance(op, AutomatonWeights) for op in ops) == sum(isinstance(op, MuxJoin) for op in ops) == 6
    stored = [op for op in ops if isinstance(op, RomWeights)]
    assert len(stored) == 14
    with h5py.File(FILES["mognet_digits_qkeras"]) as file:
        groups = [
            file["model_weights"][f"block{stage}_{block}_project_conv"] for stage in range(3) for block in range(2)
        ]
        assert [len(group) for group in groups] == [0] * 6


def test_residual_net_holds_what_others_compute_wrongly(graphs):
    graph = graphs["residual_digits_qkeras"]
    assert [n.op.groups for n in graph.nodes if isinstance(n.op, MatrixVector)] == [1, 4, 1, 4, 1, 1]
    ops = {node.outputs[0]: node.op for node in graph.nodes}
    (pool,) = (node for node in graph.nodes if isinstance(node.op, WindowPool))
    assert ops[pool.inputs[0]].kernel == (3, 3)
    quantizers = [node for node in graph.nodes if isinstance(node.op, Threshold)]
    behind = {node.name for node in quantizers if isinstance(ops[node.inputs[0]], MatrixVector)}
    assert {"block0_a", "block0_b"} <= behind


def test_a_changed_graph_is_found(graphs, images):
    graph = graphs["residual_digits_qkeras"]
    moved = changed(graph, "block1_b", lambda op: replace(op, thresholds=op.thresholds + 2))
    with (
        keras_execution(FILES["residual_digits_qkeras"], moved) as execution,
        pytest.raises(MismatchError, match=r"Keras predict differs from the graph first at block1_b: image 0, index"),
    ):
        compare(moved, [execution], images.codes[:2])


def test_training_again_gives_the_same_file(tmp_path):
    results = [train_keras(NAMES[1], epochs=1, seed=3, output=tmp_path / str(run), progress=False) for run in range(2)]
    assert results[0].model.read_bytes() == results[1].model.read_bytes()
    assert results[0].images == 450
    assert 0.1 < results[0].accuracy == results[1].accuracy
    assert sorted(path.name for path in (tmp_path / "0").iterdir()) == [WRITTEN, f"{NAMES[1]}.h5", f"{NAMES[1]}.json"]
    for other, text in (({"seed": 4}, "h5 is of another training, muxflow train .* --seed 3; choose .* with --force"),):
        with pytest.raises(MuxflowError, match=text):
            train_keras(NAMES[1], epochs=1, output=tmp_path / "0", progress=False, **other)
    results[0].model.write_bytes(b"mine")
    with pytest.raises(MuxflowError, match=r"h5 is not as Muxflow wrote it there, or somebody else's; .* with --force"):
        train_keras(NAMES[1], epochs=1, seed=3, output=tmp_path / "0", progress=False)


def test_bad_requests_for_training(tmp_path):
    with pytest.raises(MuxflowError, match="network 'none' is unknown; choose from mognet_digits_qkeras"):
        train_keras("none", output=tmp_path)
    with pytest.raises(MuxflowError, match="0 epochs"):
        train_keras(NAMES[0], epochs=0, output=tmp_path)
    for ending in (".h5", ".json"):
        (tmp_path / f"{NAMES[0]}{ending}").mkdir()
        with pytest.raises(MuxflowError, match="is a folder"):
            train_keras(NAMES[0], output=tmp_path)
        (tmp_path / f"{NAMES[0]}{ending}").rmdir()


def test_qkeras_that_hgq2_has_overwritten(tmp_path, monkeypatch):
    (tmp_path / "qkeras" / "quantizers").mkdir(parents=True)
    for folder in (tmp_path / "qkeras", tmp_path / "qkeras" / "quantizers"):
        (folder / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ToolError, match=r"overwritten: HGQ2 .* pip install --force-reinstall --no-deps QKeras"):
        muxflow.load(FILES[NAMES[0]])


def test_options_of_the_other_presets_are_refused():
    command = [
        sys.executable,
        "-c",
        "from muxflow.cli.main import main; main()",
        "train",
        NAMES[0],
        "--select",
        "element",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert (
        f"{NAMES[0]}: --select, --data, --pictures, --threads and --validate are options of the Brevitas presets only"
        in done.stderr
    )
