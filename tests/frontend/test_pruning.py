"""Structural pruning: what stays computes as before, shapes are multiples, nothing is left empty."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import muxflow
from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training.configuration import randomise, seeded
from muxflow.frontend.training.datasets.mnist import load_mnist_5k_padded
from muxflow.frontend.training.pruning import pruned
from muxflow.frontend.training.recipes import TrainConfig
from muxflow.frontend.training.trainer import train
from muxflow.frontend.training.zoo_encoder import Encoder, EncoderConfig
from muxflow.proof.compare import compare

CONFIG = EncoderConfig(
    widths=(8, 8, 16, 16),
    depths=(1, 2, 3, 1),
    groups=4,
    levels=(5, 3, 3, 3, 7, 3, 3, 3, 3, 3, 3, 5, 3, 3, 5, 3),
    bits=(3, 2, 2, 2, 1, 2, 2, 2, 2, 2, 3, 2, 2, 2),
    code=6,
)


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return randomise(seeded(Encoder, CONFIG, 3))


def test_keeping_all_changes_nothing(model):
    images = torch.randint(0, 256, (4, 1, 32, 32), generator=torch.Generator().manual_seed(0)) / 256
    same = pruned(model, (1, 1, 1, 1), multiple=4).eval()
    with torch.no_grad():
        assert all(torch.equal(a, b) for a, b in zip(model(images), same(images), strict=True))


def test_layers_that_measure_patches_stay_as_they_are():
    config = replace(CONFIG, measured=(8,), levels=(3,), bits=(*CONFIG.bits, 3))
    model = randomise(seeded(Encoder, config, 3))
    smaller = pruned(model, (1, 0.5, 0.5, 0.5), multiple=4, depths=(1, 1, 2, 1)).eval()
    assert smaller.config.bits == (3, 2, 2, 2, *smaller.config.bits[4:-1], 3)
    images = torch.randint(0, 256, (4, 1, 32, 32), generator=torch.Generator().manual_seed(0)) / 256
    with torch.no_grad():
        assert torch.equal(model(images)[1], smaller(images)[1])


def test_the_largest_channels_of_each_group_stay(model):
    with torch.no_grad():
        model = randomise(seeded(Encoder, CONFIG, 3))
        model.trunk[2].conv.weight[[1, 2, 4, 7]] *= 100  # one filter of each of the four groups
    smaller = pruned(model, (1, 0.5, 1, 1), multiple=4, depths=(1, 1, 2, 1))
    assert smaller.config.widths == (8, 4, 16, 16) and smaller.config.depths == (1, 1, 2, 1)
    assert torch.equal(smaller.trunk[2].conv.weight, model.trunk[2].conv.weight[[1, 2, 4, 7]])
    assert torch.equal(smaller.trunk[2].norm.bias, model.trunk[2].norm.bias[[1, 2, 4, 7]])
    assert torch.equal(smaller.trunk[2].norm.shift, model.trunk[2].norm.shift)
    kept = [1, 2, 4, 7]
    dense, before = smaller.trunk[3].conv.weight, model.trunk[3].conv.weight
    rows = [next(o for o in range(8) if torch.equal(before[o, kept], row)) for row in dense]
    assert [row // 2 for row in rows] == [0, 1, 2, 3]
    # The first layer of the next stage reads, in each group, the one channel that is left of two.
    for output in range(16):
        group = output // 4
        assert torch.equal(smaller.trunk[4].conv.weight[output, 0], model.trunk[6].conv.weight[output, rows[group] % 2])
    # Of the blocks after the first of stage 2, that with the larger weights.
    sizes = [sum(model.trunk[n + part].conv.weight.abs().mean().item() for part in (0, 1)) for n in (8, 10)]
    second = (3, 3) if sizes[0] > sizes[1] else (3, 5)
    assert smaller.config.levels == (5, 3, 3, 3, 3, 3, *second, 3, 3, 5, 3)


def test_a_pruned_encoder_is_trained_on_and_exported(model, tmp_path):
    smaller = pruned(model, (0.5, 1, 0.75, 0.5), multiple=4, depths=(1, 1, 1, 1))
    assert smaller.config.widths == (4, 8, 12, 8)
    digits = load_mnist_5k_padded("train")
    few = replace(digits, images=digits.images[:64], labels=digits.labels[:64])
    recipe = TrainConfig(epochs=2, batch=32, freeze=1)
    assert train(smaller, few, few, recipe, tmp_path / "run", progress=False).images == 64
    graph = muxflow.load(export(smaller.eval(), tmp_path / "smaller.onnx", (1, 1, 32, 32)))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1))
    (outcome,) = compare(graph, [TorchExecution(smaller, graph)], pixels).outcomes
    assert outcome.images == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": (1, 1, 1, 0.2)}, "0.2 of the 16 channels of stage 3, in multiples of 4, leaves its layers empty"),
        ({"keep": (1, 1, 1, 1), "depths": (1, 0, 1, 1)}, "0 blocks would leave stage 1 empty"),
        ({"keep": (1, 1, 1, 1), "depths": (1, 3, 1, 1)}, r"at most \(1, 2, 3, 1\)"),
        ({"keep": (1, 1, 1)}, "for each of the four stages"),
        ({"keep": ("a", 1, 1, 1)}, "for each of the four stages"),
        ({"keep": 1}, "keep 1; give a share"),
        ({"keep": (1, 1, 1, 1), "depths": (1, 1.0, 1, 1)}, r"depths \(1, 1.0, 1, 1\); give one for each stage"),
        ({"keep": (1, 1, 1, 1), "multiple": "4"}, "multiples of '4' channels"),
        ({"keep": (1, 0, 1, 1)}, "a share above 0"),
        ({"keep": (1, 1, 1, 1), "multiple": 6}, "a multiple of the 4 groups"),
    ],
)
def test_bad_choices_are_named(model, options, message):
    with pytest.raises(MuxflowError, match=message):
        pruned(model, **{"multiple": 4, **options})


def test_what_is_no_encoder_is_named():
    with pytest.raises(MuxflowError, match="pruning: Linear; give an Encoder"):
        pruned(torch.nn.Linear(1, 1), (1, 1, 1, 1))
