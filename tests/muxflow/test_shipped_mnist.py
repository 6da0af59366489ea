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
from muxflow.frontend.training.joins import JOINS
from muxflow.frontend.training.result import PRETRAINED, shipped
from muxflow.frontend.training.trained import load_trained
from muxflow.frontend.training.trainer import file_name
from muxflow.frontend.training.zoo import MEGABIT, storage_bits
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
    correct = int((graph.read_out(comparison.outputs[graph.outputs[0]]).argmax(axis=1) == test.labels).sum())
    assert (facts["dataset"], facts["images"], facts["correct"]) == ("mnist_5k", 1000, correct)
    assert correct >= 975


def test_mognets_store_less_than_half_a_megabit() -> None:
    for select in JOINS:
        if file_name("mognet_mnist", select) in NETWORKS:
            config = load_trained(PRETRAINED / file_name("mognet_mnist", select)).config
            assert config.select == select
            assert storage_bits(config) < MEGABIT / 2
    assert sum(name.startswith("mognet_mnist") for name in NETWORKS) == 4


@pytest.mark.parametrize("name", ["ern_mnist", "mobilenet_hybrid_mnist", "mognet_mnist"])
def test_the_simulation_agrees(name: str, tmp_path: Path) -> None:
    graph = muxflow.load(PRETRAINED / f"{name}.onnx")
    test = load_mnist_5k("test")
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project")
    simulated = project.csim(image_codes(graph, test.images), verify=True).outputs
    assert isinstance(simulated, np.ndarray)
    correct = int((graph.read_out(simulated).argmax(axis=1) == test.labels).sum())
    assert correct == json.loads((PRETRAINED / f"{name}.json").read_text())["correct"]
