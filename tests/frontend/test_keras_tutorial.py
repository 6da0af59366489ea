"""hls4ml's tutorial CNN from its file to the C simulation: pruning wrappers, fused batch norms, a float layer at the end."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

import muxflow
from muxflow.dataflow.errors import GraphError, UnsupportedError
from muxflow.dataflow.graph.passes import append_arg_max
from muxflow.frontend.keras.architecture import check_architecture
from muxflow.frontend.keras.process import ENVIRONMENT
from muxflow.proving import model_copy, prove, random_images

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tutorial")
    program = Path(__file__).parent / "keras_tutorial_models.py"
    done = subprocess.run(
        [sys.executable, program, folder], env=os.environ | ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


def proven(path, count, tmp_path, **options):
    graph = muxflow.load(path, **options)
    project = muxflow.write(muxflow.fit(graph, "zcu104"), tmp_path, extra=model_copy(path))
    rungs, _, _ = prove(project, random_images(graph, count), variants=("native",))
    return graph, {rung.title: rung for rung in rungs}


def test_pruned_cnn_with_a_float_end(folder, tmp_path):
    graph, rungs = proven(folder / "pruned_cnn.h5", 6, tmp_path, input_scale=1 / 255)
    assert rungs["C simulation, native integers"].status == "equal"
    predict = rungs["Keras predict (TensorFlow)"]
    assert predict.status in ("equal", "equal but for ties")
    assert "up to output_dense (Dense), output_softmax (Activation), which the host computes" in predict.detail
    (end,) = graph.ends.values()
    assert (end.tensor, end.ordered) == ("dense_act_1", False)
    weights = [node.op.weights for node in graph.nodes if node.op.kind == "RomWeights"]
    assert len(weights) == 5 and all((matrix == 0).mean() > 0.3 for matrix in weights)
    features = graph.read_out(graph(random_images(graph, 4).codes))
    assert features.shape == (4, 64) and len(np.unique(features)) > 5
    with pytest.raises(GraphError, match="the host computes output_dense"):
        append_arg_max(graph)


@pytest.mark.parametrize(
    "entry",
    [
        {"class_name": "HGQ>HDense"},
        {"class_name": "HDense", "module": "HGQ.layers.dense", "registered_name": "HGQ>HDense"},
        {"class_name": "HQuantize"},
        {"class_name": "FixedPointQuantizer", "module": "HGQ.proxy", "registered_name": "HGQ>FixedPointQuantizer"},
    ],
)
def test_layers_of_hgq_1_are_refused_as_what_they_are(entry, tmp_path):
    config = {"class_name": "Sequential", "config": {"name": "net", "layers": [{**entry, "config": {"name": "first"}}]}}
    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.attrs["model_config"] = json.dumps(config)
    message = rf"first has a '{entry['class_name']}', a layer of HGQ 1, .*with HGQ2, its successor"
    with pytest.raises(UnsupportedError, match=message):
        check_architecture(tmp_path / "model.h5", lambda: frozenset(("Sequential",)))


def test_dense_layers_with_batch_norms_in_them(folder, tmp_path):
    graph, rungs = proven(folder / "dense_batchnorm.h5", 50, tmp_path)
    assert [rung.status for rung in rungs.values()][:2] == ["equal", "equal"]
    assert len(graph.tensors) == 3
    assert len(np.unique(graph.read_out(graph(random_images(graph, 50).codes)))) > 5
