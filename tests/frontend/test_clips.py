"""Clips: moving digits, of which no frame alone tells the class, and Jester's folders of frames."""

import os

import numpy as np
import pytest
from PIL import Image

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.files import MOST_TEXT
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.stream import Stream
from muxflow.frontend.training.datasets import moving_digits as moving
from muxflow.frontend.training.datasets.dataset import Dataset
from muxflow.frontend.training.datasets.jester import load_jester
from muxflow.frontend.training.datasets.mnist import load_mnist_5k
from muxflow.frontend.training.datasets.moving_digits import CLASSES, FIELD, FRAMES, Motion
from muxflow.frontend.training.datasets.registry import load
from muxflow.frontend.training.recipes import TrainConfig
from muxflow.frontend.training.trainer import augment
from muxflow.proving import dataset_images


def motion(row=16.0, column=16.0, zoom=0.0, angle=0.0, **change):
    start = {"row": row, "column": column, "zoom": zoom, "angle": angle}
    return Motion(*({name: np.array([float(parts.get(name, 0))]) for name in start} for parts in (start, change)))


def square(side=8):
    digit = np.zeros((1, 28, 28), np.uint8)
    digit[0, 14 - side // 2 : 14 + side // 2, 14 - side // 2 : 14 + side // 2] = 200
    return digit


def test_a_still_digit_is_itself_in_every_frame():
    digit = load_mnist_5k("train").images[:1, ..., 0]
    (clip,) = moving.render(digit, motion(row=15.5, column=15.5))
    assert np.array_equal(clip[..., 0], np.repeat(np.pad(digit, ((0, 0), (2, 2), (2, 2))), FRAMES, axis=0))


@pytest.mark.parametrize(("row", "column"), [(0, 1), (2, 0), (-1, 3), (1, -2)])
def test_a_digit_moves_around_a_field_whose_edges_meet(row, column):
    start = {"row": 15.5, "column": 15.5}
    (still,) = moving.render(square(), motion(**start))
    (clip,) = moving.render(
        square(), Motion(motion(**start).start, motion(row=row, column=column).start | {"zoom": np.zeros(1)})
    )
    for frame in range(FRAMES):
        assert np.array_equal(clip[frame], np.roll(still[0], (row * frame, column * frame), (0, 1)))


def test_half_an_octave_has_half_the_light_and_angles_turn_clockwise():
    whole, smaller = (moving.render(square(16), motion(zoom=zoom))[0, 0].sum() for zoom in (0, 0.5))
    assert smaller / whole == pytest.approx(0.5, abs=0.03)
    bar = np.zeros((1, 28, 28), np.uint8)
    bar[0, 2:14, 13:15] = 255  # from the middle up
    (clip,) = moving.render(bar, motion(row=15.5, column=15.5, angle=90))
    assert clip[0, 15:17, 17:27].min() > 250  # to the right
    assert not clip[0, :14].any()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("right", {"column": 1}),
        ("down left", {"row": 1, "column": -1}),
        ("up", {"row": -1}),
        ("zoom in", {"zoom": -1}),
        ("zoom out", {"zoom": 1}),
        ("rotate left", {"angle": -1}),
        ("rotate right", {"angle": 1}),
        ("still", {}),
    ],
)
def test_a_class_says_what_changes(name, expected):
    labels = np.full(50, CLASSES.index(name))
    drawn = moving.draw_motion(labels, np.random.Generator(np.random.PCG64(0)))
    for part, change in drawn.change.items():
        assert (np.sign(np.round(change, 9)) == expected.get(part, 0)).all(), part
    for part, limits in (("zoom", moving.ZOOM), ("angle", moving.TURN)):
        if part in expected:
            assert limits[0] <= np.abs(drawn.change[part]).min() <= np.abs(drawn.change[part]).max() <= limits[1]
    speed = np.hypot(drawn.change["row"], drawn.change["column"])
    assert not speed.any() or moving.SPEED[0] <= speed.min() <= speed.max() <= moving.SPEED[1]


def test_no_frame_alone_tells_the_class():
    count = 2000
    for label in range(len(CLASSES)):
        labels = np.full(count, label)
        drawn = moving.draw_motion(labels, np.random.Generator(np.random.PCG64(label)))
        for name, period in moving.PERIODS.items():
            for frame in (0, FRAMES // 2, FRAMES - 1):
                places = np.sort(drawn.at(name)[:, frame]) / period
                # Kolmogorov and Smirnov's distance from the uniform distribution: 2 / sqrt(n) has a chance below 0.1 %.
                distance = np.abs(places - (np.arange(count) + 0.5) / count).max()
                assert distance < 2 / np.sqrt(count), (CLASSES[label], name, frame)


def test_clips_are_the_same_each_time_and_classes_balanced():
    digits = load_mnist_5k("train").images[:30, ..., 0]
    first, labels = moving.moving_digits(digits, 3, 5)
    again, same = moving.moving_digits(digits, 3, 5)
    other, _ = moving.moving_digits(digits, 3, 6)
    assert np.array_equal(first, again)
    assert np.array_equal(labels, same)
    assert not np.array_equal(first, other)
    assert first.shape == (90, FRAMES, FIELD, FIELD, 1)
    assert sorted(np.bincount(labels, minlength=13)) == [6] + [7] * 12
    assert first.reshape(90, -1).max(1).min() > 100


def test_splits_share_no_digit():
    test = load("moving_digits", "test")
    assert (len(test), test.images.shape[1:], test.classes) == (1000, (16, 32, 32, 1), CLASSES)
    assert np.array_equal(np.sort(np.unique(test.sources)), np.arange(1000))
    train = Dataset("moving_digits", "train", test.images, test.labels, CLASSES, np.arange(1000) // 4)
    fit, validation = train.without(0.2)
    assert (len(fit), len(validation)) == (800, 200)
    assert not set(fit.sources) & set(validation.sources)
    with pytest.raises(UsageError, match="'train' or 'test'"):
        load("moving_digits", "validation")
    tensor = test.tensor_images(slice(2))
    assert tensor.shape == (2, 1, 16, 32, 32)
    assert np.array_equal(tensor[1, 0, 3] * 256, test.images[1, 3, ..., 0])


def test_augmentation_moves_all_frames_of_a_clip_alike():
    import torch

    clips = torch.rand((6, 2, 3, 8, 8), generator=torch.Generator().manual_seed(0))
    config = TrainConfig(shift=2, flip=True)
    moved = augment(clips, config, torch.Generator().manual_seed(1))
    assert moved.shape == clips.shape
    frames = augment(clips.flatten(1, 2), config, torch.Generator().manual_seed(1))
    assert torch.equal(moved.flatten(1, 2), frames)
    assert not torch.equal(moved, clips)


def jester(home, clips, labels=("Swiping Left", "Stop Sign"), name="jester-v1-train.csv"):
    """Write a small Jester: clips as (number, label, [(size, grey), ...]) in the layout of the archives."""
    (home / "20bn-jester-v1").mkdir(exist_ok=True)
    (home / "jester-v1-labels.csv").write_text("".join(f"{label}\n" for label in labels))
    (home / name).write_text("".join(f"{number};{label}\n" for number, label, _ in clips))
    for number, _, frames in clips:
        folder = home / "20bn-jester-v1" / str(number)
        folder.mkdir(exist_ok=True)
        for place, (size, grey) in enumerate(frames, 1):
            Image.new("RGB", size, (grey, grey, 255 - grey)).save(folder / f"{place:05d}.jpg")


def test_jester_is_read_from_its_layout(tmp_path):
    sixteen = [((176, 100), 10 * place) for place in range(16)]
    long = [((176, 100), 5 * place) for place in range(37)]
    jester(tmp_path, [(34870, "Stop Sign", sixteen), (7, "Swiping Left", long)])
    jester(tmp_path, [(7, "Swiping Left", long)], name="jester-v1-validation.csv")
    for other in ("3.jpg", "000003.jpg", "cover.jpg"):  # no names of frames
        (tmp_path / "20bn-jester-v1" / "7" / other).touch()
    train, test = load("jester", "train", tmp_path), load("jester", "test", tmp_path)
    assert (len(train), train.labels.tolist(), len(test)) == (2, [1, 0], 1)
    assert train.classes == ("Swiping Left", "Stop Sign")
    assert train.images.shape == (2, 16, 96, 128, 3)
    clip = train.images[np.array([0])][0].astype(int)
    assert np.abs(clip[..., 0].mean((1, 2)) - 10 * np.arange(16)).max() < 3
    assert np.abs(clip[..., 2].mean((1, 2)) - 255 + 10 * np.arange(16)).max() < 3
    (spread,) = test.images[:1].astype(int)
    wanted = [(2 * place + 1) * 37 // 32 for place in range(16)]
    assert np.abs(spread[..., 0].mean((1, 2)) - 5 * np.array(wanted)).max() < 3
    assert train.tensor_images(slice(1)).shape == (1, 3, 16, 96, 128)


def test_a_frame_is_cut_to_its_middle(tmp_path):
    jester(tmp_path, [(1, "Stop Sign", [((200, 96), 0)])])
    image = np.zeros((96, 200, 3), np.uint8)
    image[:, 36:164] = 255  # what 128 of 200 columns show
    Image.fromarray(image).save(tmp_path / "20bn-jester-v1" / "1" / "00001.jpg", quality=100)
    (clip,) = load_jester(tmp_path, "train").images[:]
    assert clip[:, :, 2:-2].min() > 230
    assert (clip[0] == clip[15]).all()  # a clip of one frame repeats it


ONE = [((32, 24), 9)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda home: (home / "20bn-jester-v1/5/00002.jpg").unlink(), r"no file .*5/00002.jpg, though later frames"),
        (lambda home: [p.unlink() for p in (home / "20bn-jester-v1/5").glob("*")], r"clip .*5 has no frames"),
        (
            lambda home: (home / "jester-v1-train.csv").write_text("5;Waving\n"),
            r"line 1: '5;Waving'; expected `id;label`",
        ),
        (lambda home: (home / "jester-v1-train.csv").write_text("../5;Stop Sign\n"), r"'\.\./5;Stop Sign'; expected"),
        (
            lambda home: (home / "jester-v1-train.csv").write_text("5" * 400 + ";Stop Sign\n"),
            r"line 1: '5{50,}.*; expected",
        ),
        (lambda home: (home / "jester-v1-train.csv").write_text("\n"), r"jester-v1-train.csv: no clips"),
        (
            lambda home: (home / "jester-v1-labels.csv").write_text("Stop Sign\n" * 2),
            r"jester-v1-labels.csv: a line is there twice",
        ),
        (
            lambda home: os.truncate(home / "jester-v1-labels.csv", MOST_TEXT + 1),
            r"jester-v1-labels.csv: cannot be read \(ValueError: it has more than .* bytes \(MOST_TEXT\)\); fetch",
        ),
        (
            lambda home: (home / "20bn-jester-v1/5" / "99999.jpg").touch(),
            r"no file .*5/00004.jpg, though later frames",
        ),
        (
            lambda home: (home / "jester-v1-labels.csv").unlink(),
            r"expected jester-v1-train.csv, jester-v1-labels.csv, 20bn",
        ),
    ],
)
def test_broken_folders_are_named(tmp_path, change, message):
    jester(tmp_path, [(5, "Stop Sign", ONE * 3)])
    change(tmp_path)
    with pytest.raises(MuxflowError, match=message):
        load_jester(tmp_path, "train")


def test_more_clips_than_fit_the_memory_are_read_part_by_part(tmp_path):
    jester(tmp_path, [(5, "Stop Sign", ONE)] * 456, name="jester-v1-validation.csv")
    graph = Graph("g", (), {"x": Stream((16, 96, 128, 3), 0, 255)}, ("x",), ("x",))
    codes = dataset_images(graph, "jester", "test", tmp_path, None).codes
    assert len(codes) == 456
    part = next(codes.parts(2))
    np.testing.assert_array_equal(part, load_jester(tmp_path, "test").images[:2])
    with pytest.raises(MuxflowError, match=r"--count 456: codes of data set jester: 456 x 16 x .* \(MOST_ELEMENTS\)"):
        np.asarray(codes)


def test_broken_frames_are_named(tmp_path):
    jester(tmp_path, [(5, "Stop Sign", [((32, 24), 9), ((30, 24), 9), ((32, 24), 9)])])
    with pytest.raises(MuxflowError, match=r"5/00002.jpg: a frame of 30x24 pixels in a clip of 32x24"):
        load_jester(tmp_path, "train").images[:]
    (tmp_path / "20bn-jester-v1" / "5" / "00001.jpg").write_bytes(b"no image")
    with pytest.raises(MuxflowError, match=r"5/00001.jpg: a text file; supported: JPEG; give an image"):
        load_jester(tmp_path, "train").images[:]
