"""Training of compression: linear codes, measures, stages, the frame decoder, and all of it on a small encoder."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.frontend.training import compression, zoo_encoder
from muxflow.frontend.training.compression import (
    Compression,
    CompressionConfig,
    flip_costs,
    patches_of,
    train_compression,
)
from muxflow.frontend.training.datasets.pictures import Picture
from muxflow.frontend.training.encoder_config import EncoderConfig
from muxflow.frontend.training.frame_decoder import (
    STRIP,
    DecoderConfig,
    FrameDecoder,
    decoder_bytes,
    fingerprint,
    load_decoder,
    stored_precision,
)
from muxflow.frontend.training.linear_codes import (
    Quantiser,
    lloyd_max,
    plane_of,
    train_measurement_code,
    train_transform_code,
)
from muxflow.frontend.training.linear_codes import patches_of as patches_of_plane
from muxflow.frontend.training.measures import blockiness, psnr, ssim
from muxflow.frontend.training.stages import Stage, run_stages

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
SMALL = EncoderConfig(
    widths=(4, 4, 4, 4), groups=1, classes=3, measured=(32, 32), levels=(3,), bits=(3,), input_shape=(1, 32, 32)
)
RECIPE = CompressionConfig(crops=40, size=32, batch=32, read=30, imitate=40, tune=10, frame=5, frames=1, wide=32)
TINY = DecoderConfig(code=64, hidden=8, features=8, widths=(4, 4), blocks=(1, 1))


def smooth(count=200, side=16):
    """Patches with the statistics of a picture: slow waves."""
    rows, columns = np.mgrid[:side, :side] / side
    waves = RNG.normal(0, 1, (count, 4))
    return 128 + 30 * (
        waves[:, :1, None]
        + waves[:, 1:2, None] * rows
        + waves[:, 2:3, None] * columns
        + waves[:, 3:, None] * rows * columns
    ).reshape(count, -1)


def test_gray_codes_change_one_bit_a_level():
    quantiser = Quantiser((np.arange(8.0), np.arange(2.0)))
    bits = quantiser.gray_bits(np.stack([np.arange(8), np.arange(8) % 2], 1))
    assert bits.shape == (8, 4)
    assert (np.abs(np.diff(bits[:, :3].astype(int), axis=0)).sum(1) == 1).all()
    assert len({tuple(row) for row in bits[:, :3]}) == 8
    assert bits[:, 3].tolist() == [0, 1] * 4


def test_lloyd_max_finds_the_levels_of_a_gaussian():
    levels, error = lloyd_max(RNG.normal(0, 1, 100_000), 4)
    assert levels == pytest.approx([-1.51, -0.4528, 0.4528, 1.51], abs=0.02)  # Max, 1960
    assert error == pytest.approx(0.1175, abs=0.003)


def test_transform_codes_use_their_bits():
    patches = smooth()
    errors = []
    for bits in (4, 16, 64):
        code = train_transform_code(patches, bits)
        assert code.bits(patches).shape == (len(patches), bits)
        errors.append(float(np.square(code(patches) - patches).mean()))
    assert errors[0] > errors[1] > errors[2]
    assert errors[2] < 1 < np.var(patches) / 100
    assert max(len(levels) for levels in train_transform_code(patches, 64, most=3).quantiser.levels) == 8


def test_measurements_are_worse_than_components_and_better_than_nothing():
    patches = smooth()
    components, one, two = (
        float(np.square(code(patches) - patches).mean())
        for code in (
            train_transform_code(patches, 16),
            train_measurement_code(patches, 16, 1),
            train_measurement_code(patches, 16, 2),
        )
    )
    assert components < min(one, two)
    assert max(one, two) < float(np.var(patches - patches.mean(0)))


@pytest.mark.parametrize("shape", [(1, 1), (16, 16), (17, 40)])
def test_planes_and_patches(shape):
    plane = RNG.integers(0, 256, shape, np.uint8)
    assert np.array_equal(plane_of(patches_of_plane(plane, 16), shape), plane)


def test_measures():
    plane = RNG.integers(0, 256, (40, 50), np.uint8)
    assert psnr(plane, plane) == np.inf and ssim(plane, plane) == pytest.approx(1) and blockiness(plane, plane) == 1
    off = (plane // 2 + 3).astype(np.uint8)
    assert psnr(np.zeros((4, 4), np.uint8), np.full((4, 4), 255, np.uint8)) == 0
    assert ssim(plane, off) < 1
    stepped = np.repeat(np.repeat(np.array([[10, 20], [30, 40]], np.uint8), 16, 0), 16, 1)
    assert blockiness(stepped + np.eye(32, dtype=np.uint8), np.zeros((32, 32), np.uint8)) > 20
    assert blockiness(RNG.integers(0, 256, (64, 64), np.uint8), np.zeros((64, 64), np.uint8)) == pytest.approx(
        1, abs=0.1
    )


def test_ssim_is_that_of_scikit_image():
    from skimage import metrics

    plane = RNG.integers(0, 256, (60, 50), np.uint8)
    other = np.clip(plane + RNG.normal(0, 20, plane.shape), 0, 255).astype(np.uint8)
    expected = metrics.structural_similarity(
        plane, other, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, full=True
    )[1][5:-5, 5:-5].mean()
    assert ssim(plane, other) == pytest.approx(float(expected), abs=1e-4)


def test_frames_have_no_seams_where_strips_meet():
    torch.manual_seed(0)
    decoder = FrameDecoder(TINY)
    torch.nn.init.normal_(decoder.frame[-2].weight, std=0.1)
    codes = torch.randint(2, (64, 2 * STRIP + 3, 3)).float()
    with torch.no_grad():
        whole = (decoder(codes[None])[0, 0] * 256).round().clamp(0, 255)
    told = []
    decoded = decoder.decode(codes, lambda done, total: told.append((done, total)))
    assert decoded.shape == (16 * codes.shape[1], 48)
    assert (decoded.float() - whole).abs().max() <= 1  # float sums of another order
    assert (decoded.float() == whole).float().mean() > 0.99
    assert told == [(32, 67), (64, 67), (67, 67)]


def test_a_bit_matters_as_far_as_the_decoder_says():
    torch.manual_seed(0)
    decoder = FrameDecoder(replace(TINY, blocks=(2, 1)))
    torch.nn.init.normal_(decoder.frame[-2].weight, std=0.1)
    codes = torch.zeros(64, 21, 21)
    changed = codes.clone()
    changed[:, 10, 10] = 1
    with torch.no_grad():
        differ = (decoder(codes[None]) != decoder(changed[None]))[0, 0].reshape(21, 16, 21, 16).any(3).any(1)
    rows = torch.nonzero(differ.any(1)).flatten()
    assert 1 <= 10 - int(rows.min()) <= decoder.config.reach


def test_decoder_files(tmp_path):
    torch.manual_seed(0)
    decoder = FrameDecoder(TINY).eval()
    assert fingerprint(decoder) != fingerprint(stored_precision(decoder))
    path = tmp_path / "x.decoder"
    path.write_bytes(decoder_bytes(decoder))
    loaded = load_decoder(path)
    assert fingerprint(loaded) == fingerprint(decoder) and loaded.config == TINY
    path.write_bytes(b"no decoder")
    with pytest.raises(MuxflowError, match=r"frame decoder .*x\.decoder: cannot be read"):
        load_decoder(path)
    path.unlink()
    with pytest.raises(MuxflowError, match="no such file"):
        load_decoder(path)
    with pytest.raises(MuxflowError, match="too small"):
        DecoderConfig(widths=(0, 4))


def test_the_cost_of_a_flip_is_the_error_that_it_makes():
    torch.manual_seed(0)
    decoder = FrameDecoder(TINY)
    patches, codes = torch.rand(3, 1, 16, 16), torch.randint(2, (3, 64)).float()
    costs = flip_costs(decoder, codes, patches)

    def error(bits):
        with torch.no_grad():
            return (decoder.alone(bits[..., None, None]) - patches).square().mean((1, 2, 3))

    for bit in (0, 17, 63):
        flipped = codes.clone()
        flipped[:, bit] = 1 - flipped[:, bit]
        assert torch.allclose(costs[:, bit], error(flipped) - error(codes), atol=1e-6)


@pytest.fixture
def pictures(tmp_path, monkeypatch):
    """Two small pictures in place of the photographs of packages."""
    files = []
    for name in ("a.png", "b.png"):
        values = smooth(30).reshape(5, 6, 16, 16).swapaxes(1, 2).reshape(80, 96).clip(0, 255).astype(np.uint8)
        Image.fromarray(values).save(tmp_path / name)
        files.append(Picture(tmp_path / name))
    monkeypatch.setattr(compression, "load_photographs", lambda split: tuple(files))
    return tuple(files)


def trained(folder, encoder):
    return encoder, *train_compression(encoder, folder, RECIPE, progress=False)


def test_training_is_deterministic_and_resumes(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr("muxflow.frontend.training.stages.EVERY", 7)
    encoders = [zoo_encoder.seeded(zoo_encoder.Encoder, SMALL, 0) for _ in range(3)]
    first, decoder, report = trained(tmp_path / "a", encoders[0])
    second, again, _ = trained(tmp_path / "b", encoders[1])
    assert fingerprint(first, decoder) == fingerprint(second, again)
    assert report["fingerprint"] == fingerprint(first, decoder).hex()
    assert set(report["psnr"]) == {"a", "b"} and report["split"] == "test"
    stopped = []

    class Stopped(Exception):
        pass

    def loss(self, generator, progress):
        stopped.append(progress)
        if len(stopped) == 9:
            raise Stopped
        return real(self, generator, progress)

    real = Compression._tune
    monkeypatch.setattr(Compression, "_tune", loss)
    with pytest.raises(Stopped):
        trained(tmp_path / "c", encoders[2])
    third, resumed, _ = trained(tmp_path / "c", encoders[2])
    assert stopped[9] == 0.7  # from the checkpoint after 7 of 10 steps
    assert fingerprint(third, resumed) == fingerprint(first, decoder)


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path, pictures):
    model = torch.nn.Linear(1, 1)
    stage = Stage("s", 500, 1e-3, (model,), lambda generator, progress: model(torch.ones(1, 1)).square().sum())
    run_stages(model, (stage,), tmp_path / "c.pt", "one", 0)
    with pytest.raises(MuxflowError, match="belongs to another run"):
        run_stages(model, (stage,), tmp_path / "c.pt", "two", 0)
    with pytest.raises(MuxflowError, match="the loss is nan at step 1 of s"):
        run_stages(
            model, (replace(stage, loss=lambda *_: model.weight.sum() * float("nan")),), tmp_path / "d.pt", "x", 0
        )


def test_the_classifier_is_left_alone(tmp_path, pictures):
    encoder = zoo_encoder.seeded(zoo_encoder.Encoder, SMALL, 0)
    before = {name: fingerprint(part) for name, part in encoder.named_children() if name != "code"}
    trained(tmp_path, encoder)
    assert before == {name: fingerprint(part) for name, part in encoder.named_children() if name != "code"}


def test_recipes_and_encoders_that_do_not_fit(pictures):
    for name, value in (("crops", 0), ("size", 40), ("wide", 24)):
        with pytest.raises(UsageError, match=name):
            replace(RECIPE, **{name: value})
    assert RECIPE.scaled(0.1).imitate == 4 and RECIPE.scaled(1e-9).tune == 1
    for other in (replace(SMALL, code=0, measured=()), replace(SMALL, measured=())):
        with pytest.raises(MuxflowError, match="layers of its own"):
            Compression(zoo_encoder.Encoder(other), pictures, RECIPE)


def test_codes_learn(tmp_path, pictures):
    """The codes of a trained encoder say more than those of an untrained one, though it saw them for a second only."""
    task = Compression(
        zoo_encoder.seeded(zoo_encoder.Encoder, SMALL, 0), pictures, replace(RECIPE, read=300, imitate=150)
    )
    run_stages(task, task.stages()[:2], tmp_path / "c.pt", "x", 0)
    task.code.eval()
    with torch.no_grad():
        errors = (task.code(task.patches)[..., 0, 0] != task.bits).float().mean(0)
    assert float((errors * task.importance).mean()) < 0.4 and float(errors[0]) < 0.1
    assert patches_of(torch.rand(2, 1, 32, 48)).shape == (12, 1, 16, 16)
