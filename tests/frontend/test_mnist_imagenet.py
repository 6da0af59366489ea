"""MNIST from its files and from a package, ImageNet from folders of JPEG files: small files in the real formats."""

import gzip
import io
import os
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.datasets.imagenet import load_imagenet
from muxflow.frontend.training.datasets.mnist import load_mnist, load_mnist_5k
from muxflow.frontend.training.datasets.registry import load

RNG = np.random.default_rng(0)


def idx(array):
    return (
        bytes((0, 0, 8, array.ndim)) + struct.pack(f">{array.ndim}I", *array.shape) + array.astype(np.uint8).tobytes()
    )


def write_mnist(folder, stem, images, labels, zipped=False):
    for name, array in ((f"{stem}-images-idx3-ubyte", images), (f"{stem}-labels-idx1-ubyte", labels)):
        data = idx(array)
        (folder / (name + (".gz" if zipped else ""))).write_bytes(gzip.compress(data) if zipped else data)


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist_files(tmp_path, zipped):
    images = RNG.integers(0, 256, (5, 28, 28))
    write_mnist(tmp_path, "train", images, np.arange(5), zipped)
    write_mnist(tmp_path, "t10k", images[:2], np.array([9, 0]), zipped)
    train, test = load("mnist", "train", tmp_path), load_mnist(tmp_path, "test")
    assert np.array_equal(train.images[..., 0], images)
    assert train.labels.tolist() == [0, 1, 2, 3, 4]
    assert (test.labels.tolist(), test.images.shape) == ([9, 0], (2, 28, 28, 1))


def test_mnist_files_that_do_not_fit(tmp_path):
    with pytest.raises(MuxflowError, match=r"train-images-idx3-ubyte, .*train-labels-idx1-ubyte.gz"):
        load_mnist(tmp_path, "train")
    images = RNG.integers(0, 256, (3, 28, 28))
    write_mnist(tmp_path, "train", images, np.arange(2))
    with pytest.raises(MuxflowError, match="2 labels"):
        load_mnist(tmp_path, "train")
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(idx(images)[:-1])
    with pytest.raises(MuxflowError, match="truncated"):
        load_mnist(tmp_path, "train")
    path.write_bytes(b"\x00\x00\x0d\x03" + bytes(12))
    with pytest.raises(MuxflowError, match="not an IDX file"):
        load_mnist(tmp_path, "train")
    path.unlink()
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(b"no gzip")
    with pytest.raises(MuxflowError, match="not a readable gzip file"):
        load_mnist(tmp_path, "train")


def test_mnist_files_of_no_images_of_an_impossible_size_are_refused(tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(bytes((0, 0, 8, 3)) + struct.pack(">3I", 0, 2**32 - 1, 2**32 - 1))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(0)))
    with pytest.raises(MuxflowError, match=r"train-images-idx3-ubyte: .* \(MOST_BYTES\)"):
        load_mnist(tmp_path, "train")


def test_the_packaged_mnist_is_split_by_class():
    train, test = load_mnist_5k("train"), load("mnist_5k", "test")
    padded = load("mnist_5k_padded", "test")
    assert (padded.images.shape, padded.name) == ((1000, 32, 32, 1), "mnist_5k_padded")
    assert np.array_equal(padded.images[:, 2:-2, 2:-2], test.images) and np.array_equal(padded.labels, test.labels)
    assert padded.images[:].sum(dtype=np.int64) == test.images[:].sum(dtype=np.int64)  # zeros around
    assert np.bincount(train.labels).tolist() == [400] * 10
    assert np.bincount(test.labels).tolist() == [100] * 10
    assert test.images.shape == (1000, 28, 28, 1)
    seen = {image.tobytes() for image in train.images}
    assert sum(image.tobytes() in seen for image in test.images) == 0
    fit, validation = train.without(0.2)
    assert (len(fit), len(validation)) == (3200, 800)
    assert np.bincount(validation.labels).tolist() == [80] * 10
    assert not {image.tobytes() for image in fit.images} & {image.tobytes() for image in validation.images}


@pytest.fixture
def imagenet(tmp_path):
    for split, count in (("train", 2), ("val", 1)):
        for name in ("n02", "n01"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                size = (300, 200) if number else (40, 90)  # width, height
                colour = (200, 10, 10) if name == "n01" else (10, 10, 200)
                Image.new("RGB", size, colour).save(tmp_path / split / name / f"{name}_{number}.JPEG")
    return tmp_path


def test_imagenet_folders(imagenet):
    train, test = load_imagenet(imagenet, "train"), load("imagenet", "test", imagenet)
    assert (train.classes, train.labels.tolist(), test.labels.tolist()) == (("n01", "n02"), [0, 0, 1, 1], [0, 1])
    assert train.images.shape == (4, 256, 256, 3)
    images = train.images[1:3]
    assert images.shape == (2, 256, 256, 3)
    assert np.abs(images.astype(int).mean((1, 2)) - [[200, 10, 10], [10, 10, 200]]).max() < 5
    assert np.array_equal(train.images[np.array([2, 1])], images[::-1])
    assert train.tensor_images(slice(0, 1)).shape == (1, 3, 256, 256)


def test_images_are_cut_to_their_middle(tmp_path):
    columns = np.zeros((256, 512, 3), np.uint8)
    columns[:, 128:384] = 255
    for split in ("train", "val"):
        (tmp_path / split / "a").mkdir(parents=True)
        Image.fromarray(columns).save(tmp_path / split / "a" / "x.png")
    assert (load_imagenet(tmp_path, "test").images[:1] == 255).all()


def test_imagenet_folders_that_do_not_fit(imagenet, tmp_path):
    with pytest.raises(MuxflowError, match="no folder"):
        load_imagenet(tmp_path / "absent", "train")
    (imagenet / "val" / "n03").mkdir()
    with pytest.raises(MuxflowError, match="n03 is a class that"):
        load_imagenet(imagenet, "test")
    (imagenet / "train" / "n01" / "n01_0.JPEG").write_bytes(b"no image")
    with pytest.raises(MuxflowError, match=r"n01_0.JPEG: a text file; supported: JPEG, PNG; give an image"):
        load_imagenet(imagenet, "train").images[:1]


def test_mnist_files_that_are_made_to_harm(tmp_path, monkeypatch):
    """Only as much is unpacked as the header says, and a header that says too much is refused."""
    write_mnist(tmp_path, "train", np.zeros((3, 28, 28)), np.arange(3), zipped=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    whole = gzip.decompress(path.read_bytes())
    read = []
    real = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda file, size=-1: read.append(size) or real(file, size))
    path.write_bytes(gzip.compress(whole + bytes(1 << 24)))
    with pytest.raises(MuxflowError, match="more elements; its header says"):
        load_mnist(tmp_path, "train")
    assert max(read) == 3 * 28 * 28 + 1 and min(read) > 0
    path.write_bytes(gzip.compress(whole[:4] + struct.pack(">3I", *[2**32 - 1] * 3)))
    with pytest.raises(MuxflowError, match="MOST_BYTES"):
        load_mnist(tmp_path, "train")
    for place in range(12, 40):
        damaged = bytearray(gzip.compress(whole + RNG.integers(0, 256, 100, np.uint8).tobytes()))
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        with pytest.raises(MuxflowError, match=r"train-images-idx3-ubyte\.gz"):
            load_mnist(tmp_path, "train")


def test_a_split_without_images(tmp_path):
    write_mnist(tmp_path, "train", np.zeros((0, 28, 28)), np.zeros(0))
    assert [len(part) for part in load_mnist(tmp_path, "train").without(0.2)] == [0, 0]


def packed_png(width, height, pixels):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def encoded(image, kind):
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def one_image(folder, data):
    for split in ("train", "val"):
        (folder / split / "a").mkdir(parents=True, exist_ok=True)
        (folder / split / "a" / "x.JPEG").write_bytes(data)
    return load_imagenet(folder, "train").images


@pytest.mark.parametrize("size", [(1, 60000), (60000, 1)])
def test_an_image_that_is_very_long_is_cut_before_it_is_scaled(tmp_path, size):
    images = one_image(tmp_path, encoded(Image.new("RGB", size, (9, 8, 7)), "PNG"))
    assert (images[:1] == [9, 8, 7]).all()


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "an empty file"),
        (b"\xff\xd8\xff", "not a readable image"),
        (packed_png(12000, 12000, b""), "too many pixels"),
        (packed_png(10**9, 10**9, b""), "too many pixels"),
    ],
)
def test_images_that_are_damaged_or_too_large(tmp_path, data, what):
    with pytest.raises(MuxflowError, match=rf"x\.JPEG: {what}"):
        one_image(tmp_path, data)[:1]


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "EPS", "BMP"])
def test_other_decoders_are_not_run(tmp_path, kind):
    with pytest.raises(MuxflowError, match=r"x\.JPEG: a.*; supported: JPEG, PNG; "):
        one_image(tmp_path, encoded(Image.new("RGB", (40, 40)), kind))[:1]


def test_files_that_are_none(tmp_path):
    images = one_image(tmp_path, b"")
    path = tmp_path / "train" / "a" / "x.JPEG"
    for make in (
        os.mkfifo,
        os.mkdir,
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("/dev/zero"),
    ):
        path.unlink()
        make(path)
        with pytest.raises(MuxflowError, match=r"x\.JPEG: (a folder|a device or a pipe|no such file).*; give an image"):
            images[:1]
        if path.is_dir():
            path.rmdir()
            path.touch()
