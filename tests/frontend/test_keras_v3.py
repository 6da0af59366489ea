"""Keras 3 and HGQ2 models: the graph and its C simulation equal Keras' own predict, quantizer by quantizer."""

import importlib.util
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from given import Given

import muxflow
from muxflow.dataflow.errors import MismatchError, MuxflowError, ToolError, UnsupportedError
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.doctor import findings
from muxflow.frontend.importer.walk import check_model, import_model
from muxflow.frontend.keras.execution import keras_execution
from muxflow.frontend.keras.process import SUFFIXES
from muxflow.frontend.keras.reader import describe_models
from muxflow.frontend.keras.v3 import hgq_folder
from muxflow.frontend.keras.v3.hgq_folder import REQUIREMENTS, VERSION, keras_v3_environment
from muxflow.frontend.model import ImportOptions
from muxflow.proof.compare import compare
from muxflow.proving import Images, model_copy, prove, random_images

QUANTIZERS = {
    "channels": ["b/iq", "c", "c/iq", "d/iq"],
    "residual": ["b/iq", "c/iq", "d/iq", "d/iq_2", "e/iq", "f/iq", "f/iq_2", "g", "h", "i/iq"],
    "plain": ["b", "c", "d", "e", "f", "global_max_pooling2d"],
    "features": ["a/iq", "b/iq", "c/iq", "d/iq", "e/iq"],
    "wraps": ["b/iq", "c/iq", "d"],
    "resized": ["b", "c", "d/iq", "e", "larger", "pooled"],
    "digits": ["b", "b/iq"],
    "nested": [],
    "volume": ["b", "b/iq", "c/iq", "d/iq", "e/iq"],
}
"""Quantizers and pools whose codes are compared, the output aside; not those of models inside."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Model files with what Keras computes, made by one start of Keras 3."""
    folder = tmp_path_factory.mktemp("keras_v3")
    program = [sys.executable, Path(__file__).parent / "keras_v3_models.py", folder]
    environment = os.environ | keras_v3_environment()
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "junk.keras").write_bytes(b"")
    with zipfile.ZipFile(folder / "junk.keras", "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
    with h5py.File(folder / "later.h5", "w") as file:
        file.attrs["keras_version"] = "4.0.0"
    return folder


def model_file(folder, name):
    (path,) = (path for path in folder.glob(f"{name}.*") if path.suffix in SUFFIXES)
    return path


@pytest.fixture(scope="module")
def described(folder):
    """What is said of every file, from one start of Keras 3."""
    names = [*QUANTIZERS, "fusion", "lone", "junk", "later"]
    return dict(zip(names, describe_models([model_file(folder, name) for name in names]), strict=True))


def saved(folder, name, graph):
    """(input codes, output, the rest by name in the importer's (N, C, H, W) order)"""
    values = dict(np.load(folder / f"{name}.npz"))
    x, output = values.pop("x"), values.pop("output")
    stream = graph.streams[graph.inputs[0]]
    codes = np.rint(x.astype(np.float64) / stream.scale[0]).astype(np.int64)
    assert np.array_equal(codes * stream.scale[0], x)
    codes = codes.reshape(len(x), *stream.shape)
    return codes, output, {key: np.moveaxis(v, -1, 1) if v.ndim > 2 else v for key, v in values.items()}


@pytest.mark.parametrize("name", QUANTIZERS)
def test_graph_equals_predict(name, folder, described):
    graph = import_model(described[name])
    codes, output, found = saved(folder, name, graph)
    tensors = {stream: found[tensor] for stream, tensor in graph.tensors.items() if tensor in found}
    assert sorted(tensor for tensor in graph.tensors.values() if tensor in found) == QUANTIZERS[name]
    assert all(len(np.unique(values)) > 3 for values in tensors.values())
    assert graph.readouts
    logits = graph.read_out(graph(codes))
    # A softmax at the end is left to the host: equal logits give an equal softmax.
    ends = logits if name == "channels" else output
    compare(graph, [Given("Keras predict", graph, (ends,), tensors)], codes)
    if name == "channels":
        logits = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(logits, output, rtol=1e-5, atol=1e-6)
    assert graph.notes["near_ties"] == "0"


def test_a_wrong_value_is_found(folder, described):
    graph = import_model(described["residual"])
    codes, output, found = saved(folder, "residual", graph)
    found["d/iq_2"][3, 1, 2, 4] += 0.5
    tensors = {stream: found[tensor] for stream, tensor in graph.tensors.items()}
    with pytest.raises(MismatchError, match=r"first at d_iq_2: image 3, index \(2, 4, 1\)"):
        compare(graph, [Given("Keras predict", graph, (output,), tensors)], codes)


def test_quantizers_inside_of_models_have_their_path(described):
    graph = import_model(described["nested"])
    inside = ["block/a/iq", "block/a/iq_2", *(f"block/b/iq{end}" for end in ("", "_2", "_3", "_4")), "head/c/iq"]
    assert sorted(graph.tensors.values()) == sorted(inside)


def test_trained_network_from_file_to_simulation(folder, described, tmp_path):
    """Through the public door, a process of its own included: Keras = graph = C simulation; deterministic."""
    from sklearn.datasets import load_digits

    path = model_file(folder, "digits")
    graph = muxflow.load(path)
    write_graph(graph, tmp_path / "once.npz")
    write_graph(import_model(described["digits"]), tmp_path / "again.npz")
    assert (tmp_path / "once.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()
    codes, _, _ = saved(folder, "digits", graph)
    labels = load_digits().target[1500:1550]
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project", extra=model_copy(path))
    rungs, accuracy, _ = prove(project, Images(codes, labels, "digits", "test"), variants=("native",))
    equal = {rung.title: rung.detail for rung in rungs if rung.status == "equal"}
    assert list(equal) == ["Keras predict (torch)", "C simulation, native integers"]
    assert sorted(graph.tensors.values()) == ["b", "b/iq", "head/c/iq"]
    assert equal["Keras predict (torch)"].startswith("4 tensors")
    assert accuracy.correct > 0.7 * accuracy.images


def test_one_axis_two_inputs_and_two_outputs(folder, described):
    graph = import_model(described["fusion"])
    assert graph.inputs == ("features", "signal")
    codes = random_images(graph, 30).codes
    with keras_execution(model_file(folder, "fusion"), graph) as execution:
        agreed = compare(graph, [execution], codes)
    (outcome,) = agreed.outcomes
    assert sorted(graph.tensors.values()) == ["b", "b/iq", "c/iq", "d/iq", "f/iq", "i/iq", "k0", "k1", "k2", "m/iq"]
    assert len(outcome.streams) == len(graph.tensors) + 2
    assert all(len(np.unique(values)) > 5 for values in agreed.outputs.values())


KERAS_OWN = {"fusion": {"e"}, "resized": {"conv2d_1", "conv2d_transpose", "dense_2"}}
"""Keras' own layers, whose kernels no quantizer made, by model."""


def test_no_grid_is_searched_for(described, searched, without_codes, tmp_path):
    """Every quantized kernel carries codes, the same that a search would find."""
    for name in sorted({*QUANTIZERS, "fusion"} - {"plain"}):  # its layers have no quantizers
        write_graph(import_model(described[name]), tmp_path / "known.npz")
        assert set(searched) == KERAS_OWN.get(name, set())
        write_graph(import_model(without_codes(described[name])), tmp_path / "found.npz")
        assert len(searched) > 1
        searched.clear()
        assert (tmp_path / "known.npz").read_bytes() == (tmp_path / "found.npz").read_bytes()


def test_types_a_channel_and_groups(described):
    graph = import_model(described["channels"])
    assert [node.op.groups for node in graph.nodes if isinstance(node.op, MatrixVector)] == [1, 4, 1]
    rows = {node.name: node.op.thresholds for node in graph.nodes if isinstance(node.op, Threshold)}
    assert len(rows["b_iq"]) == 8
    assert len({len(np.unique(row)) for row in rows["b_iq"]}) > 1


def test_input_on_a_grid_of_the_users(described):
    graph = import_model(described["features"], ImportOptions(1 / 16, 8, True))
    stream = graph.streams[graph.inputs[0]]
    assert (stream.lo, stream.hi, stream.scale) == (-128, 127, (1 / 16,))


def test_what_is_not_supported_is_named(described):
    lone = {status.node: status.message for status in check_model(described["lone"])}
    assert (
        "pixelwise (QConv2D): its input quantizer has bit widths that differ from pixel to pixel" in lone["pixelwise"]
    )
    assert "heterogeneous_axis=(-1,)" in lone["pixelwise"]
    assert "beyond -0.53125 and 0.46875 (overflow_mode='WRAP'), where values from -1 to 0.99" in lone["wraps"]
    assert "use overflow_mode='SAT'" in lone["wraps"]
    assert "it has more than 65536 values" in lone["wide"]
    assert "difference (QSubtract): not supported; join with QAdd" in lone["difference"]
    assert "activation squareplus is not supported; supported are elu, exponential," in lone["other"]
    assert "averages repeated edges; put a ZeroPadding before it" in lone["edges"]
    assert "it falls from 0 at -5.08608055 to -0.0625 at" in lone["falls"]
    assert "no output quantizer, so its numbers lie on no grid; give it enable_oq=True" in lone["no_grid"]
    assert "trains (Dropout): called with training=True, so predict trains" in lone["trains"]
    assert "half (Conv2D): computes in float16; supported is float32" in lone["half"]
    assert "larger (UpSampling2D): interpolation='bilinear'; supported is 'nearest'" in lone["larger"]
    assert "(keras.ops.Add): not supported" in lone["add"]
    with pytest.raises(UnsupportedError, match=r"^pixelwise \(QConv2D\): its input quantizer"):
        import_model(described["lone"])


def test_files_that_are_no_models(described):
    assert type(described["junk"]) is MuxflowError
    assert "junk.keras: Keras cannot read it (" in str(described["junk"])
    assert type(described["later"]) is UnsupportedError
    assert "later.h5: written by Keras 4.0.0; supported are models of Keras 2 with QKeras and of" in str(
        described["later"]
    )


def test_hgq_stays_in_its_folder(folder, tmp_path, monkeypatch):
    """Nothing but the child sees it; without it, or with another version, the command that installs it is given."""
    assert importlib.util.find_spec("hgq") is None
    (found,) = (finding for finding in findings() if finding.name == "HGQ2")
    assert (found.found, found.version) == (True, VERSION)
    assert f"HGQ2=={VERSION}" in REQUIREMENTS.read_text().splitlines()
    monkeypatch.setattr(hgq_folder, "FOLDER", tmp_path)
    command = rf"pip install --no-deps --upgrade --target {tmp_path} -r .*v3/requirements\.txt"
    with pytest.raises(ToolError, match=rf"HGQ2 {VERSION} in .* which holds none; .*{command}"):
        muxflow.load(model_file(folder, "digits"))
    (tmp_path / "hgq2-0.1.0.dist-info").mkdir()
    (tmp_path / "hgq2-0.1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: HGQ2\nVersion: 0.1.0\n")
    with pytest.raises(ToolError, match=r"which holds version 0\.1\.0; "):
        muxflow.load(model_file(folder, "digits"))
    monkeypatch.setattr(hgq_folder, "MODULES", ("json", "no_such_module"))
    with pytest.raises(ToolError, match=rf"need no_such_module, .* pip install .*\[hgq\]'?, then .*{command}"):
        muxflow.load(model_file(folder, "digits"))
