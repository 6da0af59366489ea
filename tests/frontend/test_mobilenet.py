"""MobileNets: hybrid weights, the choice of precise filters, torch = QONNX = graph, and the network of FINN's examples."""

import json
from dataclasses import asdict

import brevitas.nn as qnn
import numpy as np
import pytest
import torch

import muxflow
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.training import trainer, zoo_mobilenet
from muxflow.frontend.training.configuration import randomise, seeded
from muxflow.frontend.training.datasets.dataset import Dataset
from muxflow.frontend.training.hybrid import (
    HybridTensorQuant,
    hybrid_weight,
    precise_counts,
    ternarisation_errors,
)
from muxflow.frontend.training.mobilenet_config import PRESETS, MobilenetConfig
from muxflow.frontend.training.recipes import TrainConfig
from muxflow.frontend.training.result import PRETRAINED
from muxflow.frontend.training.trainer import train, train_preset
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


@pytest.mark.parametrize("banks", ["pointwise", "all"])
@pytest.mark.parametrize("measure", ["error", "loss"])
def test_the_second_stage_keeps_the_network_and_the_best_filters(measure, banks):
    config = MobilenetConfig(**SMALL, size=0, share=0.25, measure=measure, banks=banks)
    model = seeded(Mobilenet, config, 0)
    trained = randomise(model.precise_twin(), 0)
    rng = np.random.default_rng(0)
    data = Dataset("made", "train", rng.integers(0, 256, (70, 8, 8, 2), np.uint8), np.arange(70) % 3, tuple("abc"))
    scores = [score.sort(descending=True).values for score in zoo_mobilenet._scores(trained, data, config)]
    second = model.chosen(trained, data)
    assert second.config.precise == ((4, 6) if banks == "pointwise" else (1, 4, 6, 1))
    # With all filters precise again it computes what the first stage did.
    twin = second.precise_twin().eval()
    x = torch.from_numpy(data.tensor_images(slice(0, 8)))
    with torch.no_grad():
        assert torch.equal(twin(x), trained.eval()(x))
    if measure == "error":
        orders = [torch.arange(len(score)) for score in scores]
        if banks == "all":
            orders[-1] = second.classifier.weight_quant.tensor_quant.order
        for bank, order, score in zip(second.banks(), orders, scores, strict=True):
            errors = sum(ternarisation_errors(layer.weight) for layer in bank)
            torch.testing.assert_close(errors[order], score)


@pytest.mark.parametrize("banks", ["pointwise", "all"])
def test_a_target_size_is_reached(banks):
    config = MobilenetConfig(**SMALL, banks=banks)
    least, most = config.stored_bits((0,) * len(config.filters)), config.stored_bits(config.filters)
    for size in (least, (least + most) // 2, most):
        model = seeded(Mobilenet, MobilenetConfig(**SMALL, size=size, banks=banks), 0)
        counts = model.chosen(model.precise_twin(), None).config
        assert size - 6 * max(config.columns) < counts.stored_bits() <= size


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
        ({"precise": (1, 25)}, "precise filters for banks of"),
        ({"precise": (1,)}, "give one number a bank"),
        ({"size": 100}, "size = 100; use"),
        ({"strides": (2, 1)}, "3 widths and 2 strides"),
        ({"input_shape": (1, 6, 8)}, "divisible by 4"),
        ({"classes": 2**40}, r"classes = 1099511627776; use 1 to 65,536"),
        ({"widths": (4, 2**17, 24)}, r"widths = \(4, 131072, 24\); use 1 to 65,536"),
        ({"measure": "luck"}, "measure 'luck'; supported: 'error', 'loss'"),
        ({"banks": "none"}, "banks 'none'; supported: 'pointwise', 'all'"),
        ({"banks": "all", "precise": (1, 2)}, r"precise filters for banks of \(4, 16, 24, 3\)"),
        ({"multiplier": 0.0}, "a multiplier of 0; use one above 0, to 16"),
        ({"multiplier": float("nan")}, "multiplier is nan; give a number"),
        ({"bits": 5}, "5 bits; supported are 1, 2, 3, 4"),
    ],
)
def test_what_is_out_of_range_is_named(options, message):
    with pytest.raises(MuxflowError, match=message):
        Mobilenet(MobilenetConfig(**SMALL | options))


def test_a_quantizer_out_of_range_is_named():
    with pytest.raises(MuxflowError, match="hybrid bank: -1 filters of 8 bits"):
        hybrid_weight(-1)
    with pytest.raises(MuxflowError, match="hybrid bank: rows = -1; give a whole number from 0"):
        hybrid_weight(2, rows=-1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((9,), "hybrid bank: 9 precise filters, its layer has 8; give that many filters or fewer"),
        ((4, 8, 7), "hybrid bank: 4 precise filters in an order of 7, its layer has 8; .*an order of all"),
        ((4, 8, 9), "hybrid bank: 4 precise filters in an order of 9, its layer has 8"),
    ],
    ids=["too many", "short order", "long order"],
)
def test_a_bank_of_another_layer_is_named(options, message):
    """No weight is left without a value."""
    layer = qnn.QuantConv2d(2, 8, 1, bias=False, weight_quant=hybrid_weight(*options))
    with pytest.raises(MuxflowError, match=message):
        layer(torch.zeros(1, 2, 3, 3))


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


@pytest.mark.usefixtures("one_thread")
def test_banks_in_all_layers_from_training_to_simulation(tmp_path):
    """Stem, depthwise layers and classifier in two kinds too: trained network = QONNX = graph = C simulation."""
    config = MobilenetConfig((32, 48, 64), (2, 1, 2), banks="all", classes=12, input_shape=(2, 8, 8))
    rng = np.random.default_rng(2)
    data = Dataset(
        "made", "train", rng.integers(0, 256, (32, 8, 8, 2), np.uint8), np.arange(32) % 12, tuple("abcdefghijkl")
    )
    first = seeded(Mobilenet, config, 1).precise_twin()
    stage = TrainConfig(epochs=1, batch=8, warmup=0, freeze=0)
    train(first, data, data, stage, tmp_path / "first", progress=False)
    model = seeded(Mobilenet, config, 1).chosen(first, data)
    train(model, data, data, stage, tmp_path / "second", progress=False)
    again = zoo_mobilenet.restore(json.loads(json.dumps(asdict(model.config))))
    again.load_state_dict(model.state_dict())
    path = export(again.eval(), tmp_path / "mobilenet.onnx", (1, *config.input_shape))
    graph = muxflow.load(path)
    codes = rng.integers(0, 256, (8, 8, 8, 2))
    model.eval()
    outcomes = compare(graph, [TorchExecution(model, graph), QonnxExecution(path, graph)], codes).outcomes
    assert [(outcome.images, outcome.ties) for outcome in outcomes] == [(8, None)] * 2
    products = [graph.streams[node.inputs[1]] for node in graph.nodes if isinstance(node.op, MatrixVector)]
    assert len(products) == 2 * 4 + 2
    # Depthwise layers stay one product, of the largest bits.
    whole = sum(9 * (channels - kept) for channels, kept in zip((32, 48), model.config.precise, strict=False))
    assert sum(w.size * w.bits for w in products) == model.config.stored_bits() + 6 * whole
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project")
    assert np.array_equal(project.csim(codes, verify=True).outputs, graph(codes))


@pytest.mark.usefixtures("one_thread")
def test_a_staged_training_gives_the_same_bytes_again(tmp_path, monkeypatch):
    """Both stages of the shipped network's training, an epoch each on a twentieth of the images."""
    loads = trainer.load
    monkeypatch.setattr(trainer, "load", lambda *which: loads(*which).without(0.05)[1])
    for folder in ("once", "again"):
        train_preset("mobilenet_hybrid_mnist", epochs=2, output=tmp_path / folder, progress=False)
    for suffix in ("pt", "json", "onnx"):
        once, again = (
            (tmp_path / folder / f"mobilenet_hybrid_mnist.{suffix}").read_bytes() for folder in ("once", "again")
        )
        assert once == again
