"""The shipped networks for clips: trained network = graph on all 1,000 test clips, simulations on some, and that time is used."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import muxflow
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.floats import float_inputs, image_codes
from muxflow.frontend.training.datasets.moving_digits import load_moving_digits
from muxflow.frontend.training.result import PRETRAINED
from muxflow.frontend.training.trained import load_trained
from muxflow.proof.compare import compare

NAME = "billnet_moving_digits"
SIMULATED = 64
"""Clips in the C simulation of this test; `muxflow demo` simulates all."""


@pytest.mark.usefixtures("one_thread")
def test_the_network_classifies_as_it_claims() -> None:
    facts = json.loads((PRETRAINED / f"{NAME}.json").read_text())
    graph = muxflow.load(PRETRAINED / f"{NAME}.onnx")
    test = load_moving_digits("test")
    codes = image_codes(graph, test.images)
    (agreed,) = compare(graph, [TorchExecution(load_trained(PRETRAINED / NAME), graph)], codes).outcomes
    assert (agreed.images, agreed.failed, agreed.ties) == (1000, "", None)
    assert {"lstm", "classifier"} <= set(agreed.streams)
    correct = int((graph.read_out(graph(codes)).argmax(axis=1) == test.labels).sum())
    assert (facts["dataset"], facts["images"], facts["correct"]) == ("moving_digits", 1000, correct)
    assert correct >= 940


@pytest.mark.usefixtures("one_thread")
def test_the_order_of_pictures_decides() -> None:
    graph = muxflow.load(PRETRAINED / f"{NAME}.onnx")
    test = load_moving_digits("test")
    right = {}
    for name, images in (("forward", test.images[:260]), ("backward", test.images[:260, ::-1])):
        answers = graph.read_out(graph(image_codes(graph, images))).argmax(axis=1)
        right[name] = float((answers == test.labels[:260]).mean())
    assert right["forward"] > 0.9 > 0.3 > right["backward"]  # backward every motion but "still" is another class


@pytest.mark.parametrize("variant", ["native", "reference"])
def test_the_simulation_agrees(variant, tmp_path: Path) -> None:
    graph = muxflow.load(PRETRAINED / f"{NAME}.onnx")
    codes = image_codes(graph, load_moving_digits("test").images[:SIMULATED])
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project")
    simulated = project.csim(codes, variant=variant, verify=True).outputs
    assert np.array_equal(simulated, graph(codes))


@pytest.mark.usefixtures("one_thread")
def test_a_state_that_goes_on_is_the_trained_cell_on_one_long_sequence() -> None:
    """torch's LSTM over all pictures of 40 clips, without a break, answers as the graph that carries its state on."""
    graph = muxflow.load(PRETRAINED / f"{NAME}.onnx", stateful=True)
    codes = image_codes(graph, load_moving_digits("test").images[:40])
    network = load_trained(PRETRAINED / NAME).eval()
    given: list[torch.Tensor] = []
    handle = network.lstm.register_forward_pre_hook(lambda _module, inputs: given.append(inputs[0]))
    with torch.no_grad():
        begun = network(*map(torch.from_numpy, float_inputs(graph, codes)))
        handle.remove()
        (features,) = given
        network.lstm.last = False
        hidden = network.lstm(features.reshape(1, -1, features.shape[2]))[0]
        logits = network.classifier(hidden[features.shape[1] - 1 :: features.shape[1]]).numpy()
    np.testing.assert_allclose(graph.read_out(graph(codes)), logits, atol=1e-6)  # far less than a code
    assert (logits[1:] != begun.numpy()[1:]).any()
