"""MobileNets: hybrid weights, the choice of precise filters, torch = QONNX = graph, and the network of FINN's examples."""

import json

import numpy as np
import pytest
import torch

import muxflow
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.training import zoo_mobilenet
from muxflow.frontend.training.configuration import randomise, seeded
from muxflow.frontend.training.datasets.dataset import Dataset
from muxflow.frontend.training.hybrid import (
    HybridTensorQuant,
    hybrid_weight,
    precise_counts,
    ternarisation_errors,
)
from muxflow.frontend.training.mobilenet_config import PRESETS, MobilenetConfig
from muxflow.frontend.training.result import PRETRAINED
from muxflow.frontend.training.zoo_mobilenet import Mobilenet
from muxflow.proof.compare import compare

SMALL = {"widths": (4, 16, 24), "strides": (2, 1, 2), "classes": 3, "input_shape": (2, 8, 8)}


def slow_ternary(row):
    """Codes and the best scale of a filter, and its relative error, one weight after the other."""
    mean = sum(abs(w) for w in row) / len(row)
    codes = [0 if abs(w) <= 0.7 * mean else 1 if w > 0 else -1 for w in row]
    kept = [abs(w) for w, c in zip(row, codes, strict=True) if c]
    scale = sum(kept) / len(kept)
    missed = sum((w - scale * c) ** 2 for w, c in zip(row, codes, strict=True))
    return codes, scale, missed / sum(w * w for w in row)


def test_rows_have_their_own_grids():
    weights = torch.from_numpy(np.random.default_rng(0).normal(0, 0.2, (6, 5, 3, 1)).astype(np.float32))
    value, scale, _, bits = HybridTensorQuant(2, 5)(weights)
    assert bits.flatten().tolist() == [5, 5, 2, 2, 2, 2]
    codes = (value / scale).flatten(1).double().numpy()
    assert np.array_equal(codes, np.rint(codes))
    for row in range(6):
        exponent = np.log2(float(scale[row]))
        assert exponent == round(exponent)
        given = weights[row].flatten().double().tolist()
        if row < 2:
            step = 2.0 ** np.ceil(np.log2(max(map(abs, given)) / 15))
            assert float(scale[row]) == step
            assert codes[row].tolist() == [round(w / step) for w in given]
        else:
            expected, best, _ = slow_ternary(given)
            assert codes[row].tolist() == expected
            assert float(scale[row]) == 2.0 ** round(np.log2(best))


def test_errors_are_relative():
    weights = torch.from_numpy(np.random.default_rng(1).normal(0, 1, (4, 9)).astype(np.float32))
    found = ternarisation_errors(weights * torch.tensor([[1.0], [8.0], [0.01], [1.0]]))
    assert found.tolist() == pytest.approx([slow_ternary(row.tolist())[2] for row in weights], rel=1e-4)
    assert ternarisation_errors(torch.tensor([[0.5, 0.0, -0.5], [0.0, 0.0, 0.0]])).tolist() == [0, 0]


def test_the_gradient_passes_as_it_is():
    weights = torch.randn(4, 3, 1, 1, requires_grad=True)
    value = HybridTensorQuant(2, 8)(weights)[0]
    (value * torch.arange(12.0).view_as(value)).sum().backward()
    assert torch.equal(weights.grad, torch.arange(12.0).view_as(weights))


def test_filters_of_all_layers_compete_for_a_size():
    scores = [torch.tensor([0.1, 0.4]), torch.tensor([0.3, 0.2, 0.4])]
    assert precise_counts(scores, [10, 100], 0) == (0, 0)
    assert precise_counts(scores, [10, 100], 110) == (1, 1)
    assert precise_counts(scores, [10, 100], 125) == (2, 1)  # what is left pays for a small one
    assert precise_counts(scores, [10, 100], 10**6) == (2, 3)


@pytest.mark.parametrize("measure", ["error", "loss"])
def test_the_second_stage_keeps_the_network_and_the_best_filters(measure):
    config = MobilenetConfig(**SMALL, size=0, share=0.25, measure=measure)
    model = seeded(Mobilenet, config, 0)
    trained = randomise(model.precise_twin(), 0)
    rng = np.random.default_rng(0)
    data = Dataset("made", "train", rng.integers(0, 256, (70, 8, 8, 2), np.uint8), np.arange(70) % 3, tuple("abc"))
    scores = [score.sort(descending=True).values for score in zoo_mobilenet._scores(trained, data, config)]
    second = model.chosen(trained, data)
    assert second.config.precise == (4, 6)
    # With all filters precise again it computes what the first stage did.
    twin = second.precise_twin().eval()
    x = torch.from_numpy(data.tensor_images(slice(0, 8)))
    with torch.no_grad():
        assert torch.equal(twin(x), trained.eval()(x))
    if measure == "error":
        for bank, score in zip(second.banks(), scores, strict=True):
            torch.testing.assert_close(ternarisation_errors(bank.weight), score)


def test_a_target_size_is_reached():
    config = MobilenetConfig(**SMALL)
    least, most = config.stored_bits((0, 0)), config.stored_bits((16, 24))
    for size in (least, (least + most) // 2, most):
        model = seeded(Mobilenet, MobilenetConfig(**SMALL, size=size), 0)
        counts = model.chosen(model.precise_twin(), None).config
        assert size - 6 * 16 < counts.stored_bits() <= size


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_torch_qonnx_and_graph_agree(tmp_path, share):
    config = MobilenetConfig(**SMALL | {"widths": (16, 32, 48)}, share=share)
    model = randomise(seeded(Mobilenet, config, 1))
    path = export(model, tmp_path / "mobilenet.onnx", (1, *config.input_shape))
    graph = muxflow.load(path)
    codes = np.random.default_rng(0).integers(0, 256, (8, 8, 8, 2))
    torch_agreed, qonnx_agreed = compare(
        graph, [TorchExecution(model, graph), QonnxExecution(path, graph)], codes
    ).outcomes
    assert (torch_agreed.images, torch_agreed.ties, qonnx_agreed.images, qonnx_agreed.ties) == (8, None, 8, None)
    products = [node for node in graph.nodes if isinstance(node.op, MatrixVector)]
    assert len(products) == (8 if share == 0.25 else 6)
    stored = sum(graph.streams[node.inputs[1]].size * graph.streams[node.inputs[1]].bits for node in products)
    assert stored == config.stored_bits()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"share": 1.5}, "a share of 1.5; it must be 0"),
        ({"precise_bits": 3}, "precise filters of 3 bits; supported are 4 to 8"),
        ({"precise": (1, 25)}, "precise filters for pointwise layers of"),
        ({"precise": (1,)}, "give one number a layer"),
        ({"size": 100}, "a size of 100 bits; with all pointwise filters ternary it takes"),
        ({"strides": (2, 1)}, "3 widths and 2 strides"),
        ({"input_shape": (1, 6, 8)}, "divisible by 4"),
        ({"measure": "luck"}, "measure 'luck'; supported: 'error', 'loss'"),
        ({"multiplier": 0.0}, "a multiplier outside of 0 to 16"),
        ({"multiplier": float("nan")}, "a multiplier outside of 0 to 16"),
        ({"bits": 5}, "5 bits; supported: 1, 2, 3, 4"),
    ],
)
def test_what_is_out_of_range_is_named(options, message):
    with pytest.raises(MuxflowError, match=message):
        Mobilenet(MobilenetConfig(**SMALL | options))


def test_a_quantizer_out_of_range_is_named():
    with pytest.raises(MuxflowError, match="hybrid bank: -1 filters of 8 bits"):
        hybrid_weight(-1)


def test_width_multipliers():
    assert PRESETS["mobilenet_hybrid_025"].channels[:3] == (8, 16, 32)
    assert MobilenetConfig(multiplier=0.1).channels[0] == 8
    # 4.2 million weights, as published (arXiv 1704.04861), batch norm and biases aside.
    full = PRESETS["mobilenet_hybrid"]
    assert full.stored_bits(full.channels[1:]) / 8 == pytest.approx(4.2e6, rel=0.01)


def test_the_shipped_network_is_small_and_as_good_as_its_twin():
    facts = {
        name: json.loads((PRETRAINED / f"mobilenet_hybrid_mnist{name}.json").read_text())
        for name in ("", "_precise", "_ternary")
    }
    bits = {name: zoo_mobilenet.restore(one["network"]).config.stored_bits() for name, one in facts.items()}
    assert bits[""] <= 0.6 * bits["_precise"]
    assert facts[""]["accuracy"] >= facts["_precise"]["accuracy"] - 0.01
    assert all(one["split"].startswith("test") for one in facts.values())


def test_the_4_bit_mobilenet_of_the_brevitas_examples(brevitas, prove):
    """Every layer of MobileNet v1 as FINN's examples have it, narrow and on a small map, exported by Brevitas itself."""
    from brevitas_examples.imagenet_classification.models.mobilenetv1 import MobileNet

    stages = [[32], [64], [128, 128], [256, 256], [512] * 6, [1024, 1024]]
    torch.manual_seed(0)
    channels = [[count // 16 for count in stage] for stage in stages]
    net = MobileNet(channels, False, 4, 4, last_layer_bit_width=4, avg_pool_kernel_size=1, num_classes=10)
    with torch.no_grad():
        for _ in range(2):
            net(torch.rand(4, 3, 32, 32))  # statistics of activations and batch norms
    path = brevitas(net, (1, 3, 32, 32), stock=True)
    graph = prove(path, count=2, input_scale=1 / 255)
    assert sum(isinstance(node.op, MatrixVector) for node in graph.nodes) == 1 + 2 * 13 + 1
    design = muxflow.fit(graph, "zcu104")
    assert not design.resources.exceeds(design.allowance)
