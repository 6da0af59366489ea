"""Data sets: small files in the real formats, the digits split, and files that are absent, cut or hostile."""

import os
import pickle
import resource

import numpy as np
import pytest

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.frontend.training.datasets.cifar import load_cifar10, load_cifar100
from muxflow.frontend.training.datasets.dataset import Dataset
from muxflow.frontend.training.datasets.digits import load_digits
from muxflow.frontend.training.datasets.registry import load
from muxflow.frontend.training.datasets.stl10 import load_stl10

RNG = np.random.default_rng(0)
TEN = [f"class{i}" for i in range(10)]
HUNDRED = [f"fine{i}" for i in range(100)]


def cifar_images(count):
    return RNG.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)


def planes(images):
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def write_binary(folder, stem, images, *labels):
    np.concatenate([*(np.array(y, np.uint8)[:, None] for y in labels), planes(images)], axis=1).tofile(folder / stem)


def write_pickle(path, content, protocol=2):
    path.write_bytes(pickle.dumps(content, protocol))


@pytest.mark.parametrize("subfolder", ["", "cifar-10-batches-bin"])
def test_cifar10_binary(tmp_path, subfolder):
    folder = tmp_path / subfolder
    folder.mkdir(exist_ok=True)
    images, labels = cifar_images(10), list(range(10))
    for i in range(5):
        write_binary(folder, f"data_batch_{i + 1}.bin", images[2 * i : 2 * i + 2], labels[2 * i : 2 * i + 2])
    write_binary(folder, "test_batch.bin", images[:3], [9, 0, 4])
    (folder / "batches.meta.txt").write_text("\n".join(TEN) + "\n\n")
    train, test = load_cifar10(tmp_path, "train"), load("cifar10", "test", tmp_path)
    assert np.array_equal(train.images, images)
    assert train.labels.tolist() == labels
    assert (test.labels.tolist(), len(test), test.classes) == ([9, 0, 4], 3, tuple(TEN))


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_cifar10_python(tmp_path, protocol):
    images = cifar_images(10)
    for i in range(5):
        batch = {b"data": planes(images[2 * i : 2 * i + 2]), b"labels": [i, i + 1], b"batch_label": b"x"}
        write_pickle(tmp_path / f"data_batch_{i + 1}", batch, protocol)
    write_pickle(tmp_path / "batches.meta", {"label_names": TEN})
    train = load_cifar10(tmp_path, "train")
    assert np.array_equal(train.images, images)
    assert train.labels.tolist() == [0, 1, 1, 2, 2, 3, 3, 4, 4, 5]


def test_cifar100_binary_and_python_take_the_fine_label(tmp_path):
    images = cifar_images(3)
    binary, python = tmp_path / "b", tmp_path / "p"
    binary.mkdir(), python.mkdir()
    write_binary(binary, "test.bin", images, [1, 2, 3], [99, 0, 50])
    (binary / "fine_label_names.txt").write_text("\n".join(HUNDRED))
    write_pickle(python / "test", {"data": planes(images), "fine_labels": [99, 0, 50], "coarse_labels": [1, 2, 3]})
    write_pickle(python / "meta", {"fine_label_names": HUNDRED})
    for folder in (binary, python):
        test = load_cifar100(folder, "test")
        assert np.array_equal(test.images, images)
        assert test.labels.tolist() == [99, 0, 50]
        assert test.classes == tuple(HUNDRED)


def test_stl10_planes_are_column_major(tmp_path):
    images = RNG.integers(0, 256, (2, 96, 96, 3), dtype=np.uint8)
    images.transpose(0, 3, 2, 1).tofile(tmp_path / "test_X.bin")
    np.array([1, 10], np.uint8).tofile(tmp_path / "test_y.bin")
    (tmp_path / "class_names.txt").write_text("\n".join(TEN))
    test = load_stl10(tmp_path, "test")
    assert np.array_equal(test.images, images)
    assert test.labels.tolist() == [0, 9]
    np.array([1], np.uint8).tofile(tmp_path / "test_y.bin")
    with pytest.raises(MuxflowError, match=r"1 label; test_X.bin has 2 images"):
        load_stl10(tmp_path, "test")


def test_digits_split_is_stratified_fixed_and_disjoint():
    train, test = load_digits("train"), load_digits("test")
    assert (len(train), len(test)) == (1347, 450)
    assert train.images.shape[1:] == (8, 8, 1)
    assert (train.images.min(), train.images.max()) == (0, 255)
    counts = np.bincount(train.labels) + np.bincount(test.labels)
    assert np.abs(np.bincount(test.labels) - counts / 4).max() <= 0.5
    assert np.array_equal(load_digits("test").images, test.images)
    assert test.labels[:12].tolist() == [1, 5, 9, 2, 4, 5, 6, 7, 9, 3, 4, 6]


def test_network_images_are_pixels_over_256():
    data = Dataset("d", "test", np.arange(12, dtype=np.uint8).reshape(1, 2, 3, 2), np.zeros(1, np.int64), ("a",))
    tensor = data.tensor_images()
    assert (tensor.dtype, tensor.shape) == (np.float32, (1, 2, 2, 3))
    assert np.array_equal(tensor[0, 1], np.array([[1, 3, 5], [7, 9, 11]]) / 256)


@pytest.mark.parametrize(
    ("loader", "names"),
    [
        (load_cifar10, ["data_batch_1.bin", "data_batch_5.bin", "batches.meta.txt", "data_batch_3", "batches.meta"]),
        (load_cifar100, ["train.bin", "fine_label_names.txt", "cifar-100-python"]),
        (load_stl10, ["train_X.bin", "train_y.bin", "class_names.txt", "stl10_binary"]),
    ],
)
def test_absent_files_are_all_named(tmp_path, loader, names):
    with pytest.raises(MuxflowError) as error:
        loader(tmp_path, "train")
    assert all(name in str(error.value) for name in [*names, str(tmp_path)])


def test_cut_binary_file_is_named(tmp_path):
    write_binary(tmp_path, "test_batch.bin", cifar_images(2), [0, 1])
    (tmp_path / "batches.meta.txt").write_text("\n".join(TEN))
    path = tmp_path / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(MuxflowError, match=r"test_batch.bin: 6,141 bytes; expected a positive multiple of 3073"):
        load_cifar10(tmp_path, "test")
    path.write_bytes(b"")
    with pytest.raises(MuxflowError, match="0 bytes"):
        load_cifar10(tmp_path, "test")
    write_binary(tmp_path, "test_batch.bin", cifar_images(1), [200])
    with pytest.raises(MuxflowError, match=r"test_batch.bin: a label 200; 10 classes have 0 to 9"):
        load_cifar10(tmp_path, "test")
    write_binary(tmp_path, "test_batch.bin", cifar_images(1), [0])
    (tmp_path / "batches.meta.txt").write_text("one\n")
    with pytest.raises(MuxflowError, match="1 class name; expected 10"):
        load_cifar10(tmp_path, "test")


class Hostile:
    def __reduce__(self):
        return os.system, ("exit 1",)


def test_hostile_and_broken_pickles_are_refused(tmp_path):
    write_pickle(tmp_path / "batches.meta", {"label_names": TEN})
    path = tmp_path / "test_batch"
    good = {"data": planes(cifar_images(2)), "labels": [0, 1]}
    deep: list[object] = []
    for _ in range(60):  # its text has no end
        deep = [deep, deep]
    for content, message in [
        (
            {**good, "labels": [deep, 1]},
            r"'labels' holds \[\[\[\.\.\.\], \[\.\.\.\]\], .*; expected numbers of 10 classes",
        ),
        (Hostile(), "refers to posix.system"),
        ([1], "holds a list"),
        ({**good, "data": np.zeros((2, 9), np.uint8)}, r"uint8 \(2, 9\); expected uint8 \(N, 3072\)"),
        ({**good, "data": "text"}, "'data' is str"),
        ({**good, "labels": [0]}, "1 entry; expected a list of 2"),
        ({"data": good["data"]}, "'labels' is NoneType"),
    ]:
        write_pickle(path, content)
        with pytest.raises(MuxflowError, match=message):
            load_cifar10(tmp_path, "test")
    path.write_bytes(pickle.dumps(good)[:100])
    with pytest.raises(MuxflowError, match="100 bytes, not a readable pickle"):
        load_cifar10(tmp_path, "test")
    write_pickle(path, good)
    write_pickle(tmp_path / "batches.meta", {"label_names": ["a"]})
    with pytest.raises(MuxflowError, match="10 class names"):
        load_cifar10(tmp_path, "test")


ENCODE = b"\x80\x02}c_codecs\nencode\nq\x00X\x00\x00\x01\x00" + b"a" * 65536 + b"q\x01X\x06\x00\x00\x00latin1q\x02]("


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x80\x02}r\x00\x00\x00\x10.", r"9 bytes, .*the number 268435456; at most 1,048,576 \(MOST_STEPS\)"),
        (b"(dp268435456\n.", "the number 268435456"),
        (ENCODE + b"h\x00h\x01h\x02\x86R" * 1000 + b"e.", "it makes more bytes than it holds"),
        (b"\x80\x02}N" + b"\x85" * (1 << 20) + b"Ns.", r"more than 16,384 tuples \(MOST_TUPLES\)"),
        (b"\x80\x02}q\x00" + b"h\x00" * (1 << 20) + b".", r"more than 1,048,576 steps \(MOST_STEPS\)"),
        (b"\x80\x02}\x8a\x08" + b"\xff" * 7 + b"\x1fNs.", "a whole number of more than 32 bits"),
        (b"\x80\x04}(\x91.", "the step FROZENSET, which no dictionary of arrays has"),
        (b"\x80\x04}\x8e" + b"\xff" * 7 + b"\x00.", "not a readable pickle"),
        (b"\x80\x04}\x96" + b"\xff" * 4 + b"\x00" * 4 + b".", "not a readable pickle"),
        (b"\x80\x02})q\x00" + b"h\x00\x86q\x00" * 40 + b"Ns.", "it uses a tuple twice"),
        (
            b"\x80\x04})\x94" + b"".join(b"h%c\x86\x94" % number for number in range(40)) + b"Ns.",
            "it uses a tuple twice",
        ),
        (b"\x80\x02})Nbq\x00h\x00\x86Ns.", "it uses a tuple twice"),
        (b"\x80\x02})Nbq\x000.", "the step POP, which no dictionary of arrays has"),
        (b"\x80\x02}N" + b"\x85" * 9000 + b"Ns.", r"a key of its dictionary is \(\(\(\.\.\.\),\),\); expected texts"),
    ],
)
def test_a_pickle_that_asks_for_much_is_refused_before_anything_is_made(tmp_path, data, message):
    """Numbers of objects grow a table, tuples in each other a stack; a text can be turned into bytes many times."""
    write_pickle(tmp_path / "batches.meta", {"label_names": TEN})
    (tmp_path / "test_batch").write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(MuxflowError, match=f"test_batch: .*{message}"):
        load_cifar10(tmp_path, "test")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10, "KiB"


@pytest.mark.parametrize("protocol", range(6))
def test_a_batch_of_the_size_of_the_largest_one_is_read(tmp_path, protocol):
    """CIFAR-100's own has 50,000 images with a file name each."""
    count = 50000
    names = [f"name_{number:06}.png".encode() if protocol > 2 else f"name_{number:06}.png" for number in range(count)]
    labels = [number % 100 for number in range(count)]
    content = {b"filenames": names, b"fine_labels": labels, b"coarse_labels": labels[::-1], b"batch_label": b"training"}
    write_pickle(tmp_path / "train", content | {b"data": planes(cifar_images(2)), b"fine_labels": [99, 0]}, protocol)
    write_pickle(tmp_path / "meta", {b"fine_label_names": [one.encode() for one in HUNDRED]}, protocol)
    found = load_cifar100(tmp_path, "train")
    assert found.labels.tolist() == [99, 0] and found.classes == tuple(HUNDRED)


def test_a_pickle_gives_numpy_neither_addresses_nor_types(tmp_path):
    """Bytes as an array of objects, whose elements are looked at as a shape, end the process by SIGSEGV in NumPy."""
    write_pickle(tmp_path / "batches.meta", {"label_names": TEN})
    path = tmp_path / "test_batch"
    kind = b"cnumpy\ndtype\n(VO8\nI0\nI1\ntR(I3\nV|\nNNNI-1\nI-1\nI0\ntb"
    fake = b"C\x08AAAAAAAA"
    objects = b"cnumpy.core.numeric\n_frombuffer\n(" + fake + kind + b"(I1\ntVC\ntR"
    encoded = b"c_codecs\nencode\n(Vaaaa\nVpunycode\ntR"
    huge = b"cnumpy\nndarray\n((I2147483647\nI64\ntVu1\ntR"
    for body, message in [
        (b"cnumpy\nndarray\n(" + objects + b"tR", "an array of type 'O8'; expected u1"),
        (encoded, "text in 'punycode'; expected latin1"),
        (huge, "not a readable pickle of arrays"),
    ]:
        path.write_bytes(b"\x80\x03" + body + b".")
        with pytest.raises(MuxflowError, match=message):
            load_cifar10(tmp_path, "test")


def test_labels_that_are_no_class_are_named_with_their_file(tmp_path):
    write_binary(tmp_path, "test_batch.bin", cifar_images(2), [0, 10])
    (tmp_path / "batches.meta.txt").write_text("\n".join(TEN))
    with pytest.raises(MuxflowError, match=r"test_batch.bin: a label 10; 10 classes have 0 to 9"):
        load_cifar10(tmp_path, "test")
    np.zeros(27648, np.uint8).tofile(tmp_path / "test_X.bin")
    np.zeros(1, np.uint8).tofile(tmp_path / "test_y.bin")
    (tmp_path / "class_names.txt").write_text("\n".join(TEN))
    with pytest.raises(MuxflowError, match=r"test_y.bin: a label 0; 10 classes have 1 to 10"):
        load_stl10(tmp_path, "test")
    python = tmp_path / "cifar-10-batches-py"
    python.mkdir()
    (tmp_path / "test_batch.bin").unlink()
    write_pickle(python / "batches.meta", {"label_names": TEN})
    write_pickle(python / "test_batch", {"data": planes(cifar_images(1)), "labels": [10]})
    with pytest.raises(MuxflowError, match=r"test_batch: 'labels' holds 10; expected numbers of 10 classes"):
        load_cifar10(tmp_path, "test")
    for name, shape in (("images-idx3", (1, 28, 28)), ("labels-idx1", (1,))):
        header = bytes((0, 0, 8, len(shape))) + b"".join(size.to_bytes(4, "big") for size in shape)
        (tmp_path / f"t10k-{name}-ubyte").write_bytes(header + b"\x0a" * int(np.prod(shape)))
    with pytest.raises(MuxflowError, match=r"t10k-labels-idx1-ubyte: a label 10; 10 classes have 0 to 9"):
        load("mnist", "test", tmp_path)


def test_batches_that_fill_the_memory_together_are_refused(tmp_path):
    (tmp_path / "batches.meta.txt").write_text("\n".join(TEN))
    for number in range(1, 6):
        with (tmp_path / f"data_batch_{number}.bin").open("wb") as file:
            file.truncate(3073 * 150_000)  # without a block on the disk
    with pytest.raises(MuxflowError, match="2,304,750,000 bytes once it is read"):
        load_cifar10(tmp_path, "train")


def test_bad_requests_are_named():
    with pytest.raises(
        MuxflowError,
        match="digits, mnist_5k, mnist_5k_padded, moving_digits, cifar10, cifar100, imagenet, jester, mnist, stl10",
    ):
        load("omniglot", "train")
    with pytest.raises(MuxflowError, match="give the folder"):
        load("cifar10", "train")
    for packaged in ("digits", "mnist_5k", "mnist_5k_padded", "moving_digits"):
        with pytest.raises(UsageError, match=f"data set {packaged}: a package ships it, so it is not read from here"):
            load(packaged, "train", "here")
    with pytest.raises(MuxflowError, match="'train' or 'test'"):
        load_digits("validation")
    with pytest.raises(MuxflowError, match="need uint8"):
        Dataset("d", "test", np.zeros((1, 2, 2, 1)), np.zeros(1, np.int64), ("a",))
    with pytest.raises(MuxflowError, match=r"need int64 \(1,\)"):
        Dataset("d", "test", np.zeros((1, 2, 2, 1), np.uint8), np.zeros(2, np.int64), ("a",))


def test_a_batch_as_python_2_pickled_it(tmp_path):
    """CIFAR's own files: texts are byte strings of Python 2, the array's state is set after it was made."""

    def text(value):
        return b"T" + len(value).to_bytes(4, "little") + value

    images = cifar_images(2)
    made = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
    kind = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    state = b"(K\x01K\x02M\x00\x0c\x86" + kind + b"\x89" + text(planes(images).tobytes()) + b"tb"
    batch = b"\x80\x02}(" + text(b"data") + made + state + text(b"labels") + b"](K\x03K\x04eu."
    write_pickle(tmp_path / "batches.meta", {"label_names": TEN})
    (tmp_path / "test_batch").write_bytes(batch)
    for number in range(1, 6):
        (tmp_path / f"data_batch_{number}").write_bytes(batch)
    found = load_cifar10(tmp_path, "test")
    np.testing.assert_array_equal(found.images, images)
    assert found.labels.tolist() == [3, 4]
