"""Training of compression: linear codes, measures, stages, the frame decoder, and all of it on a small encoder."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.frontend.training import compression, zoo_encoder
from muxflow.frontend.training.code_layers import comparisons, gray_bits, whole_row, write_decoder, write_encoder
from muxflow.frontend.training.compression import (
    LEAST_CROPS,
    Compression,
    CompressionConfig,
    rebuilt,
    train_compression,
    training_pictures,
)
from muxflow.frontend.training.datasets.pictures import Picture, load_photographs
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
    patches_of,
    plane_of,
    train_measurement_code,
    train_transform_code,
)
from muxflow.frontend.training.measures import blockiness, psnr, ssim
from muxflow.frontend.training.stages import Stage, run_stages
from muxflow.frontend.training.state_file import write_state

pytestmark = pytest.mark.usefixtures("one_thread")

RNG = np.random.default_rng(0)
SMALL = EncoderConfig(
    widths=(4, 4, 4, 4), groups=1, classes=3, measured=(160,), levels=(*(3,) * 9, 5, 3), bits=(*(3,) * 8, 1)
)
RECIPE = CompressionConfig(crops=40, size=32, most=5, steps=10, frames=1, wide=32)
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


def natural(count=400):
    """Patches whose neighbouring pixels are alike, and no two components of one size."""
    steps = RNG.normal(0, 1, (count, 16, 16))
    walks = steps.cumsum(1).cumsum(2).reshape(count, -1) + 3 * RNG.normal(0, 1, (count, 1))
    return (128 + 4 * walks).round().clip(0, 255)


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
    assert np.array_equal(plane_of(patches_of(plane, 16), shape), plane)


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
    with pytest.raises(MuxflowError, match="use 1 to 65,536"):
        DecoderConfig(widths=(0, 4))


def test_whole_rows_measure_as_components_do():
    """The error of rounding lies where patches hold little: the nearest whole numbers measure several times worse."""
    patches = natural()
    covariance = np.cov(patches.T)
    vector = np.linalg.eigh(covariance)[1][:, -2]
    row, scale = whole_row(vector, covariance)
    assert set(row) <= {-2, -1, 0, 1, 2} and scale > 0

    def missed(measured):
        return float((measured - vector) @ covariance @ (measured - vector) / (vector @ covariance @ vector))

    nearest = np.rint(2 * vector / (2 * vector.std())).clip(-2, 2)
    best = vector @ covariance @ nearest / (nearest @ covariance @ nearest)
    assert missed(scale * row) < min(1e-3, missed(best * nearest) / 4)


@pytest.mark.parametrize("bits", [3, 24, 64])
def test_comparisons_are_the_bits_of_the_code(bits):
    patches = natural()
    transform = train_transform_code(patches, bits, 5)
    found = comparisons(transform, patches)
    met = found.signs @ (found.rows @ patches.T > found.thresholds[:, None])
    assert met.shape == (bits, len(patches)) and set(np.unique(met)) == {0, 1}
    assert float((transform.bits(patches) == met.T).mean()) > 0.95  # rows are rounded
    assert len(found.thresholds) == sum(len(levels) - 1 for levels in transform.quantiser.levels)


def test_an_encoder_gives_the_bits_of_its_comparisons_and_its_decoder_inverts_the_code():
    patches = natural()
    transform = train_transform_code(patches, 64, 5, 160)
    found = comparisons(transform, patches)
    encoder = zoo_encoder.build("encoder_digits")
    write_encoder(encoder.code, found)
    decoder = FrameDecoder(DecoderConfig())
    write_decoder(decoder, transform)
    pixels = torch.from_numpy(patches.reshape(-1, 1, 16, 16) / 256).float()
    for mode in (True, False):  # frozen: as many steps of training as one likes leave the code alone
        encoder.train(mode)
        with torch.no_grad():
            codes = encoder.code(pixels)
        wanted = found.signs @ (found.rows @ patches.T > found.thresholds[:, None])
        assert np.array_equal(codes[..., 0, 0].numpy().T, wanted)
    with torch.no_grad():
        alone = decoder.alone(torch.from_numpy(transform.bits(patches)).float()[..., None, None])
    assert alone.reshape(-1, 256).numpy() * 256 == pytest.approx(transform(patches), abs=0.01)


def test_codes_that_do_not_fit():
    patches = natural()
    transform = train_transform_code(patches, 64, 5)
    found = comparisons(transform, patches)
    for other, message in (
        (replace(SMALL, measured=(64,)), r"64 measured channels; the code has \d+ comparisons"),
        (replace(SMALL, measured=(160, 64), levels=(3,), bits=(1,)), "need one measured layer"),
        (replace(SMALL, bits=(3,)), "activations of one bit"),
        (replace(SMALL, norm="batch"), "need bit-shift norm with a bias for each channel"),
        (replace(SMALL, bias_per="layer"), "need bit-shift norm with a bias for each channel"),
        (replace(SMALL, levels=(3,)), "quinary weights that measure"),
    ):
        with pytest.raises(MuxflowError, match=message):
            write_encoder(zoo_encoder.Encoder(other).code, found)
    with pytest.raises(MuxflowError, match="hidden = 8; the code needs"):
        write_decoder(FrameDecoder(TINY), transform)
    with pytest.raises(MuxflowError, match="features = 8; the code needs"):
        write_decoder(FrameDecoder(replace(TINY, hidden=512)), transform)
    with pytest.raises(MuxflowError, match="63 comparisons for 64 bits"):
        train_transform_code(patches, 64, 5, 63)


def test_bits_are_given_as_far_as_comparisons_last():
    patches = natural()
    for limit in (64, 80, 160):
        code = train_transform_code(patches, 64, 5, limit)
        assert sum(len(levels) - 1 for levels in code.quantiser.levels) <= limit
        assert code.bits(patches).shape[1] == 64
    assert gray_bits(4).tolist() == [[0, 0], [0, 1], [1, 1], [1, 0]]


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
    return encoder, *train_compression(encoder, training_pictures(None), folder, RECIPE, progress=False)


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

    real = Compression._frame
    monkeypatch.setattr(Compression, "_frame", loss)
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


def test_another_recipe_is_refused_before_the_codes_are_fitted(tmp_path, pictures, monkeypatch):
    write_state(tmp_path / "compression.pt", {"recipe": "another"})
    monkeypatch.setattr(compression, "train_transform_code", None)
    with pytest.raises(MuxflowError, match=r"compression\.pt belongs to another run: it has another; this run Comp"):
        trained(tmp_path, zoo_encoder.seeded(zoo_encoder.Encoder, SMALL, 0))


def test_every_part_of_the_training_says_what_it_is(tmp_path, pictures, monkeypatch, capsys):
    """In a log there are titles; a terminal gets bars, which are told each step."""
    encoder = zoo_encoder.seeded(zoo_encoder.Encoder, SMALL, 0)
    train_compression(encoder, pictures, tmp_path, RECIPE)
    assert capsys.readouterr().err.splitlines() == [
        "fit the code to photographs, quantisers: 0 of 128 ...",
        "train the decoder on whole frames, steps: 0 of 10 ...",
    ]
    told = []
    train_transform_code(smooth(), 64, 5, progress=told.append)
    assert told == list(range(1, 129))


def test_the_classifier_is_left_alone(tmp_path, pictures):
    encoder = zoo_encoder.seeded(zoo_encoder.Encoder, SMALL, 0)
    before = {name: fingerprint(part) for name, part in encoder.named_children() if name != "code"}
    trained(tmp_path, encoder)
    assert before == {name: fingerprint(part) for name, part in encoder.named_children() if name != "code"}


def test_recipes_and_encoders_that_do_not_fit(pictures):
    for name, value in (("crops", 0), ("size", 40), ("wide", 24)):
        with pytest.raises(UsageError, match=name):
            replace(RECIPE, **{name: value})
    assert replace(RECIPE, steps=40).scaled(0.1).steps == 4 and RECIPE.scaled(1e-9).steps == 1
    crops = [CompressionConfig().scaled(share).crops for share in (1e-9, 0.1, 0.5, 1, 2)]
    assert crops == [LEAST_CROPS, LEAST_CROPS, 2_000, 4_000, 4_000] and RECIPE.scaled(0.1).crops == RECIPE.crops
    plain = replace(SMALL, measured=(), levels=(3,), bits=(3,))
    for other in (plain, replace(plain, code=0)):
        with pytest.raises(MuxflowError, match="layers of its own"):
            Compression(zoo_encoder.Encoder(other), pictures, RECIPE)


def test_decoders_learn(tmp_path, pictures):
    """A second of training brings frames nearer than the inverse of the code that a decoder begins as."""
    encoder = zoo_encoder.seeded(zoo_encoder.Encoder, SMALL, 0)
    task = Compression(encoder, pictures, replace(RECIPE, steps=60, frames=4))
    before = [psnr(one.luma(), rebuilt(encoder.eval(), task.decoder, one.luma())) for one in pictures]
    run_stages(task, task.stages(), tmp_path / "c.pt", "x", 0)
    after = [psnr(one.luma(), rebuilt(encoder.eval(), task.finished(), one.luma())) for one in pictures]
    assert min(before) > 20 and sum(after) > sum(before) + 0.1


def test_parts_of_a_network_learn_at_rates_of_their_own(tmp_path):
    parts = [torch.nn.Linear(1, 1, bias=False) for _ in range(2)]
    both = torch.nn.ModuleList(parts)
    before = [float(part.weight.detach()) for part in parts]

    def loss(generator, progress):
        return sum(part.weight.sum() for part in parts)

    run_stages(both, (Stage("s", 1, 1e-3, tuple(parts), loss, factors=(1.0, 0.25)),), tmp_path / "c.pt", "x", 0)
    moved = [was - float(part.weight.detach()) for was, part in zip(before, parts, strict=True)]
    assert moved[0] > 0 and moved[1] == pytest.approx(moved[0] / 4, rel=1e-3)


def test_pictures_of_a_folder_are_trained_on_too_unless_they_are_held_out(tmp_path):
    values = smooth(30).reshape(5, 6, 16, 16).swapaxes(1, 2).reshape(80, 96).clip(0, 255).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "mine.png")
    names = [one.name for one in training_pictures(tmp_path)]
    assert names == [*(one.name for one in training_pictures(None)), "mine"]
    held_out = load_photographs("test")[1]
    with Image.open(held_out.path) as image:
        image.convert("L").resize((200, 150)).point(lambda value: 255 - value // 2).save(tmp_path / "z.jpg")
    with pytest.raises(MuxflowError, match=r"z\.jpg: shows what chelsea shows, which is held out"):
        training_pictures(tmp_path)
