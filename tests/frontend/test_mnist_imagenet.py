"""MNIST from its files and from a package, ImageNet from folders of JPEG files: small files in the real formats."""

import gzip
import struct

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


def test_the_packaged_mnist_is_split_by_class():
    train, test = load_mnist_5k("train"), load("mnist_5k", "test")
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
    with pytest.raises(MuxflowError, match=r"n01_0.JPEG: not a readable image"):
        load_imagenet(imagenet, "train").images[:1]
