"""BILLNET's network: its choices, its stages of training, its parts against slow references."""

import re

import numpy as np
import pytest
import torch

import muxflow
from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.training import trainer as training
from muxflow.frontend.training.configuration import seeded
from muxflow.frontend.training.datasets.dataset import Dataset
from muxflow.frontend.training.lstm import PRECISIONS
from muxflow.frontend.training.staged import Staged, stage_epochs
from muxflow.frontend.training.trained import load_trained
from muxflow.frontend.training.trainer import train_preset
from muxflow.frontend.training.zoo_billnet import (
    PRESETS,
    Billnet,
    BillnetConfig,
    build,
    randomise,
    restore,
)
from muxflow.images import file_images
from muxflow.proof.compare import compare

SMALL = dict(
    n=4,
    multiples=(1, 2),
    pools=(True, False),
    group=2,
    stem=(3, 2),
    features=8,
    units=6,
    classes=3,
    input_shape=(2, 5, 8, 12),
)


def small(seed=0, **options):
    return randomise(seeded(Billnet, BillnetConfig(**SMALL | options), seed), seed)


def clips(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, *SMALL["input_shape"]), generator=generator) / 256


def test_a_factorised_convolution_equals_its_loops():
    layer = small(1).stages[2].body
    x = torch.randint(0, 2, (1, 4, 3, 4, 5), generator=torch.Generator().manual_seed(2)) / 2
    value = x[0].numpy().astype(np.float64)
    for part, groups, side in zip(layer, (1, 2, 1), (1, 3, 1), strict=True):
        weights = part[0].quant_weight().value.detach().numpy().astype(np.float64)
        factor, offset = (numbers.detach().numpy().astype(np.float64) for numbers in part[1].factors())
        outputs, inside = weights.shape[:2]
        margin = side // 2
        padded = np.pad(value, ((0, 0), *((margin, margin) for _ in range(3))))
        sums = np.zeros((outputs, *value.shape[1:]))
        for o, t, h, w in np.ndindex(sums.shape):
            first = o // (outputs // groups) * inside
            window = padded[first : first + inside, t : t + side, h : h + side, w : w + side]
            sums[o, t, h, w] = (window * weights[o]).sum()
        value = (sums * factor[:, None, None, None] + offset[:, None, None, None] > 0) / 2
    with torch.no_grad():
        assert np.array_equal(layer(x)[0].numpy(), value)


@pytest.mark.parametrize("select", ["channel", "channel-mean", "element", "always"])
def test_every_select_mode_gives_logits_of_clips(select):
    model = small(select=select)
    x = clips(3)
    with torch.no_grad():
        logits = model(x)
        assert logits.shape == (3, 3)
        assert torch.equal(model(x[1:2]), logits[1:2])


def test_logits_after_every_frame_end_in_those_of_the_clip():
    model = small()
    every = Billnet(BillnetConfig(**SMALL, every_frame=True))
    every.load_state_dict(model.state_dict())
    with torch.no_grad():
        assert torch.equal(every.eval()(clips(4))[:, -1], model(clips(4)))


def test_without_an_lstm_the_logits_are_a_mean_over_time():
    model = small(memory="mean")
    every = Billnet(BillnetConfig(**SMALL, memory="mean", every_frame=True))
    every.load_state_dict(model.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(every.eval()(clips(4)).mean(1), model(clips(4)))


def test_without_kernels_over_time_a_frame_alone_decides_its_score():
    model = small(frames=1, memory="mean")
    order = torch.randperm(5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(clips(4)), model(clips(4)[:, :, order]))
        assert not torch.equal(small(memory="mean")(clips(4)), small(memory="mean")(clips(4)[:, :, order]))


def test_stages_set_the_precision_of_the_lstm():
    model = small()
    assert isinstance(model, Staged)
    assert model.lstm.precision == "state"
    assert [model.stage(number, model, None).lstm.precision for number in range(3)] == list(PRECISIONS)
    assert restore({"n": 8, "group": 4, "input_shape": [3, 16, 96, 128]}).lstm.precision == "state"


@pytest.mark.parametrize(
    ("shares", "epochs", "parts"),
    [((1, 1), 5, (2, 3)), ((1, 1), 1, (0, 1)), ((2, 1, 1), 8, (4, 2, 2)), ((2, 1, 1), 3, (1, 1, 1)), ((1,), 4, (4,))],
)
def test_epochs_are_parted_by_shares(shares, epochs, parts):
    assert stage_epochs(shares, epochs) == parts
    assert sum(parts) == epochs


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_presets_build(name):
    with torch.device("meta"):
        model = build(name)
    assert model.config == PRESETS[name]
    assert len(model.classifier.bias) == model.config.classes


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pools": (True,)}, "2 multiples and 1 pool"),
        ({"n": 0}, "billnet: n = 0; use 1 to 65,536"),
        ({"stem": (4, 2)}, "kernels of 4 pixels and 3 frames; use odd sizes"),
        ({"frames": 2}, "kernels of 3 pixels and 2 frames; use odd sizes"),
        ({"group": 3}, r"widths \(4, 4, 8\) in groups of 3 channels"),
        ({"select": "row"}, "select 'row'; supported: channel, channel-mean, element, always, or"),
        ({"memory": "gru"}, "memory 'gru'; supported: lstm, mean"),
        ({"weights": "real"}, "weights 'real'; supported: binary, ternary"),
        ({"memory": "mean", "gate_bits": 1}, "gate_bits 1; supported are 2 to 8"),
        ({"cell_bits": 17}, "cell_bits 17; supported are 2 to 16"),
        ({"units": 10**30}, r"units is 10{30}; give a whole number of 64 bits"),
        ({"input_shape": (2, 5, 8, 10)}, "divisible by 4"),
        ({"input_shape": (2, 8, 8)}, "give a tuple of 4, each a whole number of 64 bits"),
    ],
)
def test_bad_choices_are_named(options, message):
    with pytest.raises(MuxflowError, match=message):
        BillnetConfig(**SMALL | options)


@pytest.mark.parametrize(
    "options",
    [
        {"select": "channel"},
        {"select": "channel-mean"},
        {"weights": "ternary"},
        {"every_frame": True},
        {"memory": "mean"},
    ],
)
def test_torch_qonnx_and_graph_agree(tmp_path, options):
    config = BillnetConfig(**SMALL | {"select": "element"} | options)
    model = randomise(seeded(Billnet, config, 1))
    path = export(model, tmp_path / "billnet.onnx", (1, *config.input_shape))
    graph = muxflow.load(path)
    codes = np.random.default_rng(0).integers(0, 256, (8, 5, 8, 12, 2))
    agreed = compare(graph, [TorchExecution(model, graph), QonnxExecution(path, graph)], {graph.inputs[0]: codes})
    names = {node.name for node in graph.nodes}
    for outcome in agreed.outcomes:
        assert outcome.images == 8
        assert ("lstm" in names and not config.every_frame) == ("lstm" in outcome.streams)
        assert {"stages_2_join", "stages_3_join", "pooled_1"} <= set(outcome.streams)


def small_clips(split):
    """A few clips each split, of which the mean brightness tells the class."""
    count = 24 if split == "train" else 9
    labels = np.arange(count) % 3
    images = np.random.default_rng(count).integers(0, 60, (count, 5, 8, 12, 2)) + 80 * labels.reshape(-1, 1, 1, 1, 1)
    return Dataset("small_clips", split, images.astype(np.uint8), labels, tuple("abc"))


@pytest.fixture
def small_preset(monkeypatch):
    """Make `billnet_moving_digits` a small network on small clips, and note each training's folder and epochs."""
    monkeypatch.setitem(PRESETS, "billnet_moving_digits", BillnetConfig(**SMALL, select="element"))
    monkeypatch.setattr(training, "load", lambda _name, split, _folder: small_clips(split))
    trained = []
    train = training.train

    def noted(model, *others, **options):
        precision = model.lstm.precision
        result = train(model, *others, **options)
        trained.append((others[3].name, others[2].epochs, precision))
        return result

    monkeypatch.setattr(training, "train", noted)
    return trained


def test_training_goes_through_three_stages_and_resumes(tmp_path, small_preset, one_thread):
    whole = train_preset("billnet_moving_digits", epochs=4, output=tmp_path / "whole", progress=False)
    stages = [("billnet_moving_digits_stage_1", 1, "float"), ("billnet_moving_digits_stage_2", 1, "gates")]
    assert small_preset == [*stages, ("billnet_moving_digits", 2, "state")]
    folder = tmp_path / "again"
    train_preset("billnet_moving_digits", epochs=4, output=folder, progress=False)
    (folder / "billnet_moving_digits" / "checkpoint.pt").unlink()  # as if interrupted after the second stage
    again = train_preset("billnet_moving_digits", epochs=4, output=folder, progress=False)
    assert again.model.read_bytes() == whole.model.read_bytes()
    model = load_trained(folder / "billnet_moving_digits")
    assert model.lstm.precision == "state"
    graph = muxflow.load(again.model)
    codes = {graph.inputs[0]: small_clips("test").images[:]}
    outcome = compare(graph, [TorchExecution(model, graph)], codes).outcomes[0]
    assert (outcome.images, "lstm" in outcome.streams) == (9, True)


@pytest.mark.parametrize("shape", [(2, 4, 8, 12, 2), (2, 0, 8, 12, 2), (2, 5, 8, 10, 2), (5, 8, 12, 2)])
def test_clips_of_another_shape_are_named(tmp_path, shape):
    config = BillnetConfig(**SMALL, select="element")
    graph = muxflow.load(export(small(select="element"), tmp_path / "net.onnx", (1, *config.input_shape)))
    file = tmp_path / "clips.npz"
    np.savez(file, images=np.zeros(shape, np.uint8))
    with pytest.raises(MuxflowError, match=re.escape(f"shape {shape}; expected (N, 5, 8, 12, 2), channels last")):
        file_images(graph, file, None)
    np.savez(file, images=np.zeros((0, 5, 8, 12, 2), np.uint8))
    with pytest.raises(MuxflowError, match="a batch of no images; give at least one"):
        file_images(graph, file, None)
