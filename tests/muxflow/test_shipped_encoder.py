"""The encoders: the shipped one as it claims, in every execution and for both tasks; the other within its megabit."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import muxflow
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.floats import image_codes
from muxflow.frontend.training.datasets.registry import load
from muxflow.frontend.training.presets import export_untrained
from muxflow.frontend.training.result import PRETRAINED
from muxflow.frontend.training.trained import load_trained
from muxflow.frontend.training.zoo import MEGABIT
from muxflow.proof.compare import compare

BASE = PRETRAINED / "encoder_digits"


def test_the_encoder_classifies_and_encodes_as_it_claims(tmp_path: Path) -> None:
    torch.set_num_threads(1)
    facts = json.loads(BASE.with_suffix(".json").read_text())
    graph = muxflow.load(BASE.with_suffix(".onnx"))
    test = load("mnist_5k_padded", "test")
    codes = image_codes(graph, test.images)
    (agreed,) = compare(graph, [TorchExecution(load_trained(BASE), graph)], codes).outcomes
    assert (agreed.images, agreed.failed, agreed.ties) == (1000, "", None)
    logits, code = graph(codes)
    correct = int((graph.read_out((logits, code))[0].argmax(axis=1) == test.labels).sum())
    assert (facts["dataset"], facts["images"], facts["correct"]) == ("mnist_5k_padded", 1000, correct)
    assert correct >= 965
    assert code.shape == (1000, 2, 2, 64)  # 64 bits for 16x16 pixels
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project")
    simulated = project.csim(codes, verify=True).outputs
    assert isinstance(simulated, tuple)
    assert all(np.array_equal(met, wanted) for met, wanted in zip(simulated, (logits, code), strict=True))
    with project.emulate() as accelerator:
        np.testing.assert_array_equal(accelerator.encode(codes[:20]), code[:20])
        classes = accelerator.classify(codes[:20])
        np.testing.assert_array_equal(classes, graph.read_out((logits, code))[0][:20].argmax(axis=1))


def test_weights_are_quinary_and_ternary_and_no_layer_but_the_codes_has_thresholds() -> None:
    graph = muxflow.load(BASE.with_suffix(".onnx"))
    highest = {int(np.abs(node.op.weights).max()) for node in graph.nodes if isinstance(node.op, RomWeights)}
    assert highest == {1, 2}
    kinds = [type(node.op) for node in graph.nodes]
    assert (kinds.count(ShiftClip), kinds.count(Threshold)) == (8, 2)


@pytest.mark.parametrize(("name", "most"), [("encoder_1mb", MEGABIT), ("encoder_digits", 0.4 * MEGABIT)])
def test_everything_that_is_stored_fits_its_budget(tmp_path: Path, name: str, most: float) -> None:
    """Weights, thresholds and biases."""
    graph = muxflow.load(export_untrained(name, tmp_path / "net.onnx"))
    design = muxflow.fit(graph, "pynq-z2", fps=100)
    weights = sum(
        node.op.weights.size * graph.streams[node.outputs[0]].bits
        for node in graph.nodes
        if isinstance(node.op, RomWeights)
    )
    assert weights < design.stored_parameter_bits <= most
    assert design.saved_threshold_bits > 10_000
