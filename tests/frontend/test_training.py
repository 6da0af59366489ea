"""Training: deterministic, resumable, honest about its inputs; the shipped models."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import muxflow.frontend.training.trainer as training
from muxflow.dataflow.errors import MuxflowError, UnsupportedError, UsageError
from muxflow.frontend.brevitas.export import execute, read_metadata
from muxflow.frontend.training import zoo_encoder
from muxflow.frontend.training.bit_shift_norm import BitShiftNorm2d
from muxflow.frontend.training.datasets.digits import load_digits
from muxflow.frontend.training.datasets.mnist import load_mnist_5k_padded
from muxflow.frontend.training.layers import BatchNorm2d
from muxflow.frontend.training.recipes import TrainConfig
from muxflow.frontend.training.result import PRETRAINED
from muxflow.frontend.training.state_file import read_state, write_state
from muxflow.frontend.training.trained import load_trained
from muxflow.frontend.training.trainer import (
    CHECKPOINT,
    augment,
    evaluate,
    file_name,
    remeasured,
    train,
    train_preset,
)
from muxflow.frontend.training.zoo import build

pytestmark = pytest.mark.usefixtures("one_thread")

CONFIG = TrainConfig(epochs=3, batch=16, warmup=1, freeze=1)


def digits(split, count=64):
    data = load_digits(split)
    return replace(data, images=data.images[:count], labels=data.labels[:count])


def small():
    return build("mognet_digits", n=8, ring=64, blocks=1)


def run(model, folder, config=CONFIG, **options):
    return train(model, digits("train"), digits("test", 32), config, folder, progress=False, **options)


def equal(first, second):
    return all(torch.equal(v, second.state_dict()[k]) for k, v in first.state_dict().items())


def stop(epoch, loss):
    raise KeyboardInterrupt


def test_interrupted_and_resumed_equals_uninterrupted(tmp_path):
    whole, losses = small(), []
    expected = run(whole, tmp_path / "whole", on_epoch=lambda epoch, loss: losses.append((epoch, loss)))
    assert [epoch for epoch, _ in losses] == [0, 1, 2]
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run(small(), tmp_path / "cut", on_epoch=stop)
    resumed = small()
    assert run(resumed, tmp_path / "cut") == expected
    assert equal(whole, resumed)
    finished = small()
    assert run(finished, tmp_path / "cut", on_epoch=stop) == expected
    assert equal(whole, finished)
    assert [p.name for p in (tmp_path / "cut").iterdir()] == [CHECKPOINT]


def test_training_learns_and_resume_can_be_off(tmp_path):
    losses = []
    config = TrainConfig(epochs=8, batch=16, shift=0, lr=8e-3, freeze=2)
    run(small(), tmp_path, config, on_epoch=lambda _, loss: losses.append(loss))
    assert losses[-1] < losses[0] - 0.3
    again = []
    run(small(), tmp_path, config, resume=False, on_epoch=lambda _, loss: again.append(loss))
    assert again == losses


def test_checkpoint_of_another_recipe_or_broken_is_refused(tmp_path):
    run(small(), tmp_path, replace(CONFIG, epochs=1))
    with pytest.raises(
        MuxflowError,
        match=r"another run: it has TrainConfig\(epochs=1; this run TrainConfig\(epochs=3; .*--no-res",
    ):
        run(small(), tmp_path)
    (tmp_path / CHECKPOINT).write_bytes(b"cut")
    with pytest.raises(MuxflowError, match=r"is unreadable.*delete it"):
        run(small(), tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("epoch", 1000, "epoch 1000; expected a whole number from 1 to 2"),
        ("epoch", 0, "epoch 0; expected"),
        ("epoch", True, "epoch True; expected"),
        ("step", torch.tensor(-5.0), "-5 steps of the optimizer; expected a whole number from 1 to 4"),
    ],
)
def test_a_checkpoint_beyond_its_recipe_is_refused(tmp_path, name, value, message):
    config = replace(CONFIG, epochs=2)
    with pytest.raises(KeyboardInterrupt):
        run(small(), tmp_path, config, on_epoch=stop)
    state = read_state(tmp_path / CHECKPOINT)
    (state if name == "epoch" else state["optimizer"]["state"][0])[name] = value
    write_state(tmp_path / CHECKPOINT, state)
    with pytest.raises(MuxflowError, match=rf"is unreadable \(ValueError: {message}.*delete it"):
        run(small(), tmp_path, config)


def test_diverging_training_is_named(tmp_path):
    model = small()
    torch.nn.init.constant_(model.norm.weight, float("inf"))
    with pytest.raises(MuxflowError, match=r"loss is (nan|inf) in epoch 1; lower lr = 0.004"):
        run(model, tmp_path)


def test_evaluate_counts_and_keeps_the_mode():
    data = digits("test", 40)

    class Oracle(torch.nn.Module):
        def forward(self, x):
            assert not self.training
            labels = torch.from_numpy(data.labels[: len(x)]) if len(x) == 30 else torch.zeros(len(x), dtype=torch.long)
            return torch.nn.functional.one_hot(labels, 10)

    model = Oracle().train()
    result = evaluate(model, data, batch=30)
    assert (result.correct, result.images) == (30 + int((data.labels[30:] == 0).sum()), 40)
    assert result.accuracy == result.correct / 40
    assert model.training
    with pytest.raises(MuxflowError, match="no images"):
        evaluate(model, digits("test", 0))


def test_augmentation_shifts_and_flips():
    images = torch.arange(1, 65.0).view(1, 1, 8, 8).repeat(200, 1, 1, 1)
    generator = torch.Generator().manual_seed(0)
    same = augment(images, TrainConfig(shift=0), generator)
    assert torch.equal(same, images)
    shifted = augment(images, TrainConfig(shift=2), generator)
    padded = torch.nn.functional.pad(images[:1], [2] * 4)
    windows = {tuple(padded[0, 0, r : r + 8, c : c + 8].flatten().tolist()) for r in range(5) for c in range(5)}
    assert {tuple(image.flatten().tolist()) for image in shifted} == windows
    flipped = augment(images, TrainConfig(shift=0, flip=True), generator)
    assert {int(image[0, 0, 0]) for image in flipped} == {1, 8}


def test_thresholds_travel_in_codes(tmp_path):
    model, slow = small(), small()
    config = TrainConfig(epochs=4, batch=16, warmup=0, freeze=1)
    run(model, tmp_path / "a", config)
    run(slow, tmp_path / "b", replace(config, threshold_rate=0))
    moved, stayed = (next(p for n, p in m.named_parameters() if n.endswith("threshold")) for m in (model, slow))
    assert (stayed == 3.5).all()
    assert (moved - 3.5).abs().max() > 0.1


@pytest.mark.parametrize("select", ["always", "or"])
def test_joins_without_thresholds_train(tmp_path, select):
    model = build("mognet_digits", n=8, ring=64, blocks=1, select=select)
    assert run(model, tmp_path, replace(CONFIG, epochs=1)).images == 32


def test_rate_warms_up_and_falls_to_zero():
    config = TrainConfig(epochs=10, lr=1.0, warmup=2)
    assert config.rate(0) < 0.01
    assert config.rate(2) == 1
    assert config.rate(6) == pytest.approx(0.5)
    assert config.rate(10) == pytest.approx(0)


@pytest.mark.parametrize("field", ["epochs", "batch", "lr", "seed", "shift", "threshold_rate", "freeze"])
def test_recipe_fields_are_checked(field):
    with pytest.raises(MuxflowError, match=field):
        TrainConfig(**{field: -1})


def test_data_sets_must_fit(tmp_path):
    other = replace(digits("test"), classes=tuple("abcdefghij"))
    with pytest.raises(MuxflowError, match="two splits of one data set"):
        train(small(), digits("train"), other, CONFIG, tmp_path, progress=False)
    with pytest.raises(MuxflowError, match="0 training images"):
        train(small(), digits("train", 0), digits("test"), CONFIG, tmp_path, progress=False)


def test_train_preset_leaves_a_model_and_its_report(tmp_path, capsys):
    result = train_preset("mognet_digits", select="element", epochs=1, seed=4, output=tmp_path, progress=False)
    assert (result.model.name, result.report.name) == ("mognet_digits_element.onnx", "mognet_digits_element.json")
    assert (result.dataset, result.split, result.images, result.epochs, result.seed) == ("digits", "test", 450, 1, 4)
    report = json.loads(result.report.read_text())
    assert report["accuracy"] == pytest.approx(result.accuracy, abs=1e-6)
    assert report["correct"] == round(result.accuracy * 450)
    assert (report["select"], report["network"]["select"], report["recipe"]["seed"]) == ("element", "element", 4)
    assert "epochs=1, seed=4" in report["command"]
    assert str(tmp_path) not in result.report.read_text()
    metadata = read_metadata(result.model)
    assert set(metadata) == {"command", "dataset", "split", "images", "accuracy", "select"}
    assert metadata["accuracy"] == str(report["accuracy"])
    first = result.model.read_bytes()
    again = train_preset(select="element", epochs=1, seed=4, output=tmp_path)
    said = capsys.readouterr()
    assert said.out == ""  # the answer's place, which may be closed or full
    assert said.err.startswith("load digits, splits: 0 of 2 ...\n")
    assert again.model.read_bytes() == first
    assert replace(again, seconds=0) == replace(result, seconds=0)


def test_of_two_trainings_in_one_folder_none_loses_the_others_files(tmp_path, monkeypatch):
    """The second one finds when it ends what it did not when it began."""
    trained = {}

    def train_at_once(model, train_set, test_set, config, *_, **__):
        trained[config.seed] = model
        if config.seed == 1:
            train_preset(output=tmp_path, seed=2, progress=False)
        return training.Evaluation(config.seed, 100)

    monkeypatch.setattr(training, "train", train_at_once)
    with pytest.raises(
        MuxflowError, match=r"mognet_digits.onnx is of another training, .*seed=2.* begin anew with --no-res"
    ):
        train_preset(output=tmp_path, seed=1, progress=False)
    assert json.loads((tmp_path / "mognet_digits.json").read_text())["correct"] == 2
    assert equal(trained[2], load_trained(tmp_path / "mognet_digits"))
    assert read_metadata(tmp_path / "mognet_digits.onnx")["accuracy"] == "0.02"


def test_statistics_are_measured_layer_after_layer():
    """Each norm gets the statistics of its input under the evaluation form of those before it."""
    data = digits("train", 40)
    first, second = BatchNorm2d(1), BatchNorm2d(1)
    model = torch.nn.Sequential(first, torch.nn.Hardtanh(0.0, 0.5), second)
    with torch.no_grad():
        second.running_mean.fill_(9.0)
    assert not remeasured(model, data, images=40, batch=40).training
    x = torch.from_numpy(data.tensor_images())
    with torch.no_grad():
        inner = model[1](first(x))
    for norm, values in ((first, x), (second, inner)):
        assert norm.running_mean.item() == pytest.approx(values.mean().item(), rel=1e-5)
        assert norm.running_var.item() == pytest.approx(values.var().item(), rel=1e-4)
        assert norm.momentum == 0.1


def test_validation_leaves_the_test_split_alone(tmp_path):
    result = train_preset("mognet_digits", epochs=1, output=tmp_path, progress=False, validate=True)
    assert (result.split, result.images) == ("train: validation", 269)
    facts = json.loads(result.report.read_text())
    assert "validate=True" in facts["command"]
    assert facts["split"] == "train: validation (269 images held out of 1347)"


def test_train_preset_names_bad_options(tmp_path):
    with pytest.raises(MuxflowError, match="choose from"):
        train_preset("resnet", output=tmp_path)
    for threads in (0, 10**9):
        with pytest.raises(UsageError, match=f"threads = {threads}; use 1 to 1024"):
            train_preset(threads=threads, output=tmp_path)
    for seed in (-1, 2**32, 10**30):
        with pytest.raises(UsageError, match=f"seed (=|is) {seed}; "):
            train_preset(seed=seed, output=tmp_path)
    for epochs in (0, 10**6 + 1):
        with pytest.raises(UsageError, match=f"epochs = {epochs}"):
            train_preset(epochs=epochs, output=tmp_path)
    with pytest.raises(MuxflowError, match="give the folder"):
        train_preset("mognet_cifar10", output=tmp_path)
    with pytest.raises(UnsupportedError, match="always, or"):
        train_preset(select="rows", output=tmp_path)
    for preset, select in (("ern_mnist", "element"), ("mognet_digits", 5)):
        with pytest.raises(UsageError, match=rf"'{preset}' has no residual join '?{select}'?; leave out select"):
            train_preset(preset, select=select, output=tmp_path)


def test_a_checkpoint_of_another_network_and_a_full_disk(tmp_path, monkeypatch):
    run(small(), tmp_path)
    state = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    torch.save({**state, "model": {}}, tmp_path / CHECKPOINT)
    with pytest.raises(MuxflowError, match=r"checkpoint .* is unreadable"):
        run(small(), tmp_path)

    def full(folder, contents):
        raise MuxflowError(f"{folder / next(iter(contents))}: cannot be written (No space left on device)")

    monkeypatch.setattr("muxflow.frontend.training.state_file.write_below", full)
    with pytest.raises(MuxflowError, match=r"checkpoint\.pt: cannot be written"):
        run(small(), tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []


def test_a_data_set_without_test_images_is_named_before_the_training(tmp_path):
    with pytest.raises(MuxflowError, match="64 training images and 0 to test on"):
        train(small(), digits("train"), digits("test", 0), CONFIG, tmp_path, progress=False)


def test_a_network_of_another_join_than_its_preset_has_a_name_of_its_own():
    assert file_name("mognet_digits", None) == file_name("mognet_digits", "channel") == "mognet_digits"
    assert file_name("mognet_digits", "channel-mean") == "mognet_digits_channel_mean"
    assert file_name("billnet_moving_digits", "element") == "billnet_moving_digits"
    assert file_name("billnet_moving_digits", "channel") == "billnet_moving_digits_channel"
    with pytest.raises(UsageError, match="preset 'nope' is unknown"):
        file_name("nope", "channel")


@pytest.mark.parametrize("select", ["channel", "channel-mean", "element", "always"])
def test_shipped_models_classify_as_they_claim(select):
    name = "mognet_digits" if select == "channel" else f"mognet_digits_{select.replace('-', '_')}"
    path = PRETRAINED / f"{name}.onnx"
    report = json.loads(path.with_suffix(".json").read_text())
    assert path.stat().st_size < 300_000
    assert (report["split"], report["images"], report["select"]) == (
        "test (450 images held out of 1797)",
        450,
        select,
    )
    assert report["accuracy"] >= 0.97
    assert read_metadata(path)["accuracy"] == str(report["accuracy"])
    data = load_digits("test")
    logits = execute(path, data.tensor_images()[:6])["global_out"]
    assert np.mean(logits.argmax(1) == data.labels[:6]) >= 5 / 6


def encoder_run(folder, **options):
    model = zoo_encoder.build("encoder_digits", widths=(8, 8, 8, 8), code=4, levels=(3,), bits=(2,))
    padded = load_mnist_5k_padded("train")
    few = replace(padded, images=padded.images[:48], labels=padded.labels[:48])
    return model, train(model, few, few, CONFIG, folder, progress=False, **options)


def test_an_encoder_is_trained_and_resumed_with_shifts_frozen_at_the_end(tmp_path):
    model, result = encoder_run(tmp_path / "whole")
    assert result.images == 48
    with pytest.raises(KeyboardInterrupt):
        encoder_run(tmp_path / "parts", on_epoch=stop)
    again, _ = encoder_run(tmp_path / "parts")
    assert equal(model, again)
    # Frozen in the last epoch: what was trained is what is evaluated.
    assert all(norm.frozen for norm in model.modules() if isinstance(norm, BitShiftNorm2d))
    with pytest.raises(MuxflowError, match="belongs to another run"):
        run(zoo_encoder.build("encoder_digits", widths=(8, 8, 8, 8)), tmp_path / "parts")


@pytest.mark.parametrize("ending", [".pt", ".json", ".onnx"])
def test_what_is_in_the_way_of_the_files_is_said_before_the_data_are_loaded(tmp_path, monkeypatch, ending):
    monkeypatch.setattr(training, "load", lambda *_: pytest.fail("it loads the data"))
    (tmp_path / f"mognet_digits{ending}").mkdir()
    with pytest.raises(MuxflowError, match="is a folder; give the name of a file"):
        train_preset("mognet_digits", output=tmp_path, progress=False)
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MuxflowError, match="is no folder"):
        train_preset("mognet_digits", output=tmp_path / "file", progress=False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mognet_digits").write_text("mine")
    with pytest.raises(MuxflowError, match=r"mognet_digits is no folder"):
        train_preset("mognet_digits", output=tmp_path / "other", progress=False)


@pytest.fixture
def quick(monkeypatch):
    """A training of no time."""

    def trained(model, train_set, test_set, config, *_, **__):
        return training.Evaluation(config.seed, 100)

    monkeypatch.setattr(training, "train", trained)
    monkeypatch.setattr(training, "load", lambda name, split, _folder: digits(split, 8))


@pytest.mark.parametrize("ending", [".pt", ".json", ".onnx"])
def test_files_of_others_are_not_replaced(tmp_path, quick, ending):
    def run_preset(**options):
        return train_preset(output=tmp_path / "out", progress=False, **options)

    def refused(text, **options):
        before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
        with pytest.raises(MuxflowError, match=text):
            run_preset(**options)
        assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}

    file = tmp_path / "out" / f"mognet_digits{ending}"
    file.parent.mkdir()
    file.write_text("mine")
    refused(rf"mognet_digits\{ending} is not as Muxflow wrote it there, or somebody else's; .* with --force")
    first = run_preset(force=True).model.read_bytes()
    assert run_preset(select="channel").model.read_bytes() == first, "the same training"
    refused("of another training, python .*seed=0.*; choose another folder with --output, or begin anew", seed=1)
    run_preset(seed=1, resume=False)
    (tmp_path / "mine").write_text("mine")
    file.unlink()
    file.symlink_to("../mine")
    refused("is not as Muxflow wrote it there", seed=1, resume=False)
    run_preset(seed=1, force=True)
    assert not file.is_symlink() and (tmp_path / "mine").read_text() == "mine"


def test_a_checkpoint_is_written_through_no_link(tmp_path, monkeypatch):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CHECKPOINT).symlink_to("../mine")
    run(small(), tmp_path / "run", resume=False)
    assert (tmp_path / "mine").read_text() == "mine" and not (tmp_path / "run" / CHECKPOINT).is_symlink()
    monkeypatch.setattr(training, "load", lambda *_: pytest.fail("it loads the data"))
    (tmp_path / "mognet_digits").symlink_to("run")
    with pytest.raises(MuxflowError, match="mognet_digits is a link to run, and links"):
        train_preset(output=tmp_path, resume=False, progress=False)
