"""Two trainings of one network, exported and loaded in turn into one design: the same C simulation is both networks."""

from contextlib import nullcontext

import numpy as np
import pytest
import torch
from command_line import run
from torch import nn

import muxflow
from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training.bit_shift_norm import BitShiftNorm2d
from muxflow.frontend.training.configuration import randomise, seeded
from muxflow.frontend.training.datasets.registry import load
from muxflow.frontend.training.layers import BatchNorm2d, quant_conv
from muxflow.frontend.training.loaded import freeze_bitstream
from muxflow.frontend.training.quantizers import BinaryTensorQuant, HEQTensorQuant
from muxflow.frontend.training.zoo_encoder import Encoder, EncoderConfig
from muxflow.frontend.training.zoo_ern import Ern, ErnConfig

CONFIG = ErnConfig(widths=(4, 8), blocks=(1, 1), stem=(1,), stem_width=4, codes=4, classes=10, input_shape=(1, 8, 8))

ENCODER = EncoderConfig(widths=(4, 4, 8, 8), groups=2, levels=(5, *(3,) * 7, 5), code=0)


def train(model, images, labels, steps):
    """Train what is trainable, in training mode."""
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 2e-2)
    model.train()
    for step in range(steps):
        chosen = slice(step * 64 % 1024, step * 64 % 1024 + 64)
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(images[chosen]), labels[chosen])
        loss.backward()
        optimiser.step()
    return model.eval()


@pytest.mark.parametrize(
    ("kind", "config", "dataset", "stored"),
    [
        # Thresholds of stored weights end where their own sums end, so that these networks do not fit each other.
        (Ern, CONFIG, "digits", pytest.raises(MuxflowError, match="only loaded weights may differ")),
        (Encoder, ENCODER, "mnist_5k_padded", nullcontext()),  # no thresholds: shifts and biases
    ],
)
def test_a_second_training_is_loaded_into_the_design_of_the_first(tmp_path, kind, config, dataset, stored):
    digits = load(dataset, "train")
    images, labels = torch.from_numpy(digits.tensor_images(slice(0, 1024))), torch.from_numpy(digits.labels[:1024])
    model = train(seeded(kind, config, 0), images, labels, 30)
    shape = (1, *config.input_shape)
    names = freeze_bitstream(model)
    first = export(model.eval(), tmp_path / "first.onnx", shape)
    # The other task: odd against even.
    second = export(train(model, images, labels % 2, 30), tmp_path / "second.onnx", shape)

    for words in (
        ("build", "first.onnx", "-b", "zcu104", "--fps", "1000", "--weights", ",".join(names), "-o", "net"),
        ("weights", "second.onnx", "--project", "net"),
    ):
        done = run(*words, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
    project = muxflow.open_project(tmp_path / "net")
    codes = digits.images[1024:1074]
    built = project.csim(codes)
    swapped = project.csim(codes, weights=tmp_path / "second.weights")
    graphs = [muxflow.load(path) for path in (first, second)]
    for result, graph in zip((built, swapped), graphs, strict=True):
        assert np.array_equal(result.outputs, graph(codes))
    assert not np.array_equal(built.outputs, swapped.outputs)
    with stored:
        project.write_weights(graphs[1], tmp_path / "stored.weights")


def test_only_weights_of_fixed_scale_train_on():
    model = randomise(seeded(Ern, CONFIG, 0))
    names = freeze_bitstream(model)
    assert names == ("stem_2", "stages_0_body_2", "stages_0_shortcut", "stages_1_body_2", "stages_1_shortcut")
    assert sum(p.requires_grad for p in model.parameters()) == len(names)
    norms = [m for m in model.modules() if isinstance(m, BatchNorm2d)]
    before = [m.running_mean.clone() for m in norms]
    with torch.no_grad():
        model.train()(torch.rand(4, 1, 8, 8))
    assert all(torch.equal(m.running_mean, mean) for m, mean in zip(norms, before, strict=True))
    assert not any(m.channel_mean for n in names for m in model.get_submodule(dotted(model, n)).modules() if binary(m))


def binary(module):
    return isinstance(module, BinaryTensorQuant)


def dotted(model, name):
    return next(n for n, _ in model.named_modules() if n.replace(".", "_") == name)


def test_shifts_and_their_means_stay():
    model = randomise(seeded(Encoder, ENCODER, 0))
    names = freeze_bitstream(model)
    assert names == (*(f"trunk_{place}_conv" for place in range(8)), "classifier_conv")
    norms = [m for m in model.modules() if isinstance(m, BitShiftNorm2d)]
    before = [(m.running_mean.clone(), m.shift.clone()) for m in norms]
    with torch.no_grad():
        model.train()(torch.rand(4, 1, 32, 32))
    for norm, (mean, shift) in zip(norms, before, strict=True):
        assert torch.equal(norm.running_mean, mean) and torch.equal(norm.shift, shift)


def test_heq_steps_stay():
    model = nn.Sequential(quant_conv(1, 4, 3), BatchNorm2d(4))
    assert freeze_bitstream(model) == ("0",)
    (quantizer,) = (m for m in model.modules() if isinstance(m, HEQTensorQuant))
    before = quantizer.step.clone()
    model[0].weight.data *= 3
    model.train()(torch.rand(2, 1, 4, 4))
    assert torch.equal(quantizer.step, before)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([nn.Conv2d(1, 4, 3)], "no layer has weights of fixed scale"),
        ([quant_conv(1, 4, 3), nn.BatchNorm2d(4)], "1: BatchNorm2d of torch follows its batches"),
    ],
)
def test_refused(layers, message):
    with pytest.raises(MuxflowError, match=message):
        freeze_bitstream(nn.Sequential(*layers))
