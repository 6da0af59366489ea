"""The shipped networks for 28x28 digits: trained network = graph = C simulation on all 1,000 test images, and accuracy."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import muxflow
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.floats import image_codes
from muxflow.frontend.training.datasets.mnist import load_mnist_5k
from muxflow.frontend.training.trainer import PRETRAINED, load_trained, shipped
from muxflow.proof.compare import compare

NETWORKS = [name for name in shipped() if "mnist" in name]


@pytest.mark.parametrize("name", NETWORKS)
def test_the_network_classifies_as_it_claims(name: str) -> None:
    torch.set_num_threads(1)
    base = PRETRAINED / name
    facts = json.loads(base.with_suffix(".json").read_text())
    graph = muxflow.load(base.with_suffix(".onnx"))
    test = load_mnist_5k("test")
    codes = image_codes(graph, test.images)
    comparison = compare(graph, [TorchExecution(load_trained(base), graph)], codes)
    (agreed,) = comparison.outcomes
    assert (agreed.images, agreed.failed, agreed.ties) == (1000, "", None)
    correct = int((graph.read_out(graph(codes)).argmax(axis=1) == test.labels).sum())
    assert (facts["dataset"], facts["images"], facts["correct"]) == ("mnist_5k", 1000, correct)
    assert correct >= 965


def test_ern_in_simulation(tmp_path: Path) -> None:
    graph = muxflow.load(PRETRAINED / "ern_mnist.onnx")
    codes = image_codes(graph, load_mnist_5k("test").images)
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project")
    simulated = project.csim(codes, verify=True).outputs
    assert np.array_equal(simulated, graph(codes))
