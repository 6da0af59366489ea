"""CIFAR-10 and CIFAR-100, binary and Python versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.limits import check_bytes
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import shown
from muxflow.frontend.training.datasets.dataset import (
    Bytes,
    Dataset,
    Split,
    absent,
    check_split,
    class_names,
    class_numbers,
    find_home,
    records,
)
from muxflow.frontend.training.datasets.pickled import read_pickle


def load_cifar10(folder: str | Path, split: Split) -> Dataset:
    """Load CIFAR-10 from `folder` (or the archive's own subfolder in it): (N, 32, 32, 3), 10 classes.

    Reads data_batch_1..5.bin / test_batch.bin (3073-byte records) or, without these, the pickled data_batch_1..5 /
    test_batch, through an unpickler that builds arrays and plain containers only.
    Raises MuxflowError when files are absent (naming all of them), truncated or not of this format.
    """
    check_split("CIFAR-10", split)
    stems = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    return _load_cifar(
        "CIFAR-10", folder, split, stems, "cifar-10-batches-bin", "cifar-10-batches-py", "batches.meta", 10
    )


def load_cifar100(folder: str | Path, split: Split) -> Dataset:
    """Load CIFAR-100 (fine labels) from `folder` (or the archive's own subfolder in it): (N, 32, 32, 3), 100 classes.

    Reads train.bin / test.bin (3074-byte records) or, without these, the pickled train / test.
    Raises MuxflowError as `load_cifar10`.
    """
    check_split("CIFAR-100", split)
    return _load_cifar("CIFAR-100", folder, split, [split], "cifar-100-binary", "cifar-100-python", "meta", 100)


def _load_cifar(
    name: str,
    folder: str | Path,
    split: Split,
    stems: list[str],
    binary_folder: str,
    python_folder: str,
    meta: str,
    classes: int,
) -> Dataset:
    folder = Path(folder)
    kind = "fine_label_names.txt" if classes == 100 else "batches.meta.txt"
    binary_names, python_names = [f"{s}.bin" for s in stems] + [kind], [*stems, meta]
    home = find_home(folder, binary_folder, binary_names)
    if home is not None:
        header = 2 if classes == 100 else 1  # CIFAR-100 stores the coarse label first
        files = [home / f"{s}.bin" for s in stems]
        check_bytes(str(home), sum(file.stat().st_size for file in files))
        parts = [records(file, header + 3072) for file in files]
        labels = np.concatenate(
            [class_numbers(file, rows[:, header - 1], classes) for file, rows in zip(files, parts, strict=True)]
        )
        pixels = np.concatenate(parts)[:, header:]
        names = class_names(home / kind, classes)
    else:
        home = find_home(folder, python_folder, python_names)
        if home is None:
            raise absent(name, folder, [binary_names, python_names], [binary_folder, python_folder])
        batches = [_cifar_batch(home / s, "fine_labels" if classes == 100 else "labels", classes) for s in stems]
        pixels = np.concatenate([p for p, _ in batches])
        labels = np.concatenate([y for _, y in batches])
        names = _pickled_names(home / meta, "fine_label_names" if classes == 100 else "label_names", classes)
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Dataset(name, split, np.ascontiguousarray(images), labels, names)


def _cifar_batch(path: Path, label_key: str, classes: int) -> tuple[Bytes, npt.NDArray[np.int64]]:
    content = read_pickle(path)
    pixels, labels = content.get("data"), content.get(label_key)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3072:
        met = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise MuxflowError(f"{path}: 'data' is {met}; expected uint8 (N, 3072)")
    if not isinstance(labels, list) or len(labels) != len(pixels):
        met = counted(len(labels), "entry", "entries") if isinstance(labels, list) else type(labels).__name__
        raise MuxflowError(f"{path}: '{label_key}' is {met}; expected a list of {len(pixels)}")
    odd = [label for label in labels if type(label) is not int or not 0 <= label < classes]
    if odd:
        raise MuxflowError(f"{path}: '{label_key}' holds {shown(odd[0])}; expected numbers of {classes} classes")
    return pixels, np.array(labels, np.int64)


def _pickled_names(path: Path, key: str, count: int) -> tuple[str, ...]:
    names = read_pickle(path).get(key)
    if not isinstance(names, list) or len(names) != count or not all(isinstance(n, str | bytes) for n in names):
        raise MuxflowError(f"{path}: '{key}' is not a list of {count} class names")
    return tuple(n.decode("latin1") if isinstance(n, bytes) else n for n in names)
