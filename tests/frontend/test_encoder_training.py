"""The recipes of the encoders, whole: CIFAR-10 in its own format, and both tasks of encoder_digits in one run."""

import json
from dataclasses import asdict, replace
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

import muxflow
import muxflow.frontend.training.trainer as training
from muxflow.compression.codec import code_output, tiles_of
from muxflow.dataflow.errors import UsageError
from muxflow.frontend.training.bit_shift_norm import BitShiftNorm2d
from muxflow.frontend.training.compression import CompressionConfig, rebuilt
from muxflow.frontend.training.datasets.pictures import load_photographs
from muxflow.frontend.training.datasets.registry import load
from muxflow.frontend.training.frame_decoder import fingerprint, load_decoder
from muxflow.frontend.training.measures import psnr
from muxflow.frontend.training.recipes import RECIPES
from muxflow.frontend.training.trained import load_trained
from muxflow.frontend.training.trainer import train_preset

pytestmark = pytest.mark.usefixtures("one_thread")


def few(name, split, folder):
    dataset = load(name, split, folder)
    return replace(dataset, images=dataset.images[:96], labels=dataset.labels[:96])


def test_the_recipe_of_the_megabit_encoder_reads_cifar(tmp_path):
    """Five batches and a test batch of few random images, in the format of the data set's binary files."""
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"):
        rng.integers(0, 256, (4, 3073), np.uint8).clip(None, [9] + [255] * 3072).astype(np.uint8).tofile(
            tmp_path / name
        )
    (tmp_path / "batches.meta.txt").write_text("\n".join(f"class{number}" for number in range(10)))
    result = train_preset("encoder_1mb", data=tmp_path, epochs=2, output=tmp_path / "out", progress=False)
    assert (result.dataset, result.split, result.images) == ("cifar10", "test", 4)
    report = json.loads(result.report.read_text())
    assert report["recipe"] == {**asdict(RECIPES["encoder_1mb"][1]), "epochs": 2} and "data='.'" in report["command"]
    norms = [m for m in load_trained(tmp_path / "out" / "encoder_1mb").modules() if isinstance(m, BitShiftNorm2d)]
    assert all(norm.running_mean.abs().sum() > 0 for norm in norms)  # measured, though every epoch is frozen
    logits, code = muxflow.load(result.model)(rng.integers(0, 256, (1, 32, 32, 3)))
    assert (logits.shape, code.shape) == ((1, 1, 1, 10), (1, 2, 2, 64))


def test_encoder_digits_is_trained_for_both_tasks_in_one_run(tmp_path, monkeypatch):
    """All of the path that made the shipped files, with few digits, crops and steps."""
    small = partial(CompressionConfig, crops=40, size=32, steps=64 * 5, frames=1, wide=32)
    monkeypatch.setattr(training, "CompressionConfig", small)
    monkeypatch.setattr(training, "load", few)
    (tmp_path / "mine").mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50), np.uint8)).save(tmp_path / "mine" / "own.png")
    result = train_preset("encoder_digits", pictures=tmp_path / "mine", epochs=1, output=tmp_path, progress=False)
    report = json.loads(result.report.read_text())
    assert (result.images, report["images"]) == (96, 96) and "pictures='.'" in report["command"]
    facts = report["compression"]
    assert list(facts["pictures"])[-1] == "own" and facts["recipe"] == asdict(small(steps=5))
    assert list(facts["psnr"]) == [one.name for one in load_photographs("test")] and min(facts["psnr"].values()) > 20
    assert (result.decoder, result.psnr) == (tmp_path / "encoder_digits.decoder", facts["psnr"])
    encoder, decoder = load_trained(tmp_path / "encoder_digits"), load_decoder(tmp_path / "encoder_digits.decoder")
    assert fingerprint(encoder, decoder).hex() == facts["fingerprint"]
    plane = load_photographs("test")[3].luma()
    assert psnr(plane, rebuilt(encoder, decoder, plane)) == pytest.approx(facts["psnr"]["rocket"], abs=0.01)
    graph = muxflow.load(result.model)
    tiles = tiles_of(plane)[0][100:104]
    with torch.no_grad():
        codes = encoder(torch.from_numpy(tiles.transpose(0, 3, 1, 2) / np.float32(256)))[1]
    assert np.array_equal(graph.run(tiles, keep=(code_output(graph),))[code_output(graph)], codes.permute(0, 2, 3, 1))
    with pytest.raises(UsageError, match="'mognet_digits' does not compress pictures"):
        train_preset(pictures=tmp_path / "mine", output=tmp_path)
