"""Loaders of image data sets in their original file formats; nothing is downloaded.

CIFAR-10/100 (binary and Python versions), STL-10 (binary) and the digits that scikit-learn ships. Images are uint8
(N, H, W, C); networks take pixels p/256, see `Dataset.tensor_images`.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.packages import install_extra

Split = Literal["train", "test"]
Bytes = npt.NDArray[np.uint8]

DIGITS_TEST_SHARE = 0.25
DIGITS_SPLIT_SEED = 0


@dataclass(frozen=True)
class Dataset:
    """One split of a data set: images uint8 (N, H, W, C), labels int64 (N,) in 0..len(classes)-1, class names.

    Raises MuxflowError when shapes, types or labels do not fit together.
    """

    name: str
    split: str
    images: Bytes
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        where = f"data set {self.name} ({self.split})"
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise MuxflowError(f"{where}: images {self.images.dtype} {self.images.shape}; need uint8 (N, H, W, C)")
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise MuxflowError(
                f"{where}: labels {self.labels.dtype} {self.labels.shape}; need int64 ({self.images.shape[0]},)"
            )
        if self.labels.size and not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise MuxflowError(
                f"{where}: labels {self.labels.min()}..{self.labels.max()}; need 0..{len(self.classes) - 1}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def tensor_images(self) -> npt.NDArray[np.float32]:
        """Return the images as a network takes them: float32 (N, C, H, W), pixel p as p/256 (exact)."""
        return np.ascontiguousarray(self.images.transpose(0, 3, 1, 2)).astype(np.float32) / np.float32(256)


def load_digits(split: Split) -> Dataset:
    """Load the 8x8 handwritten digits bundled with scikit-learn: (N, 8, 8, 1), 10 classes.

    Grey levels 0..16 become pixels min(255, 16*v). The held-out test split is 25 % of each class (rounded), drawn by
    PCG64(0) class after class; both splits keep the original order.
    Raises MuxflowError when the split is unknown or scikit-learn is absent. Source: UCI digits; split: decision.
    """
    _check_split("digits", split)
    try:
        import sklearn.datasets
    except ModuleNotFoundError as error:
        raise MuxflowError(f"data set digits: scikit-learn is not installed: {install_extra('train')}") from error
    bunch: Any = sklearn.datasets.load_digits()
    images = np.minimum(255, 16 * bunch.images).astype(np.uint8)[..., None]
    labels = bunch.target.astype(np.int64)
    rng = np.random.Generator(np.random.PCG64(DIGITS_SPLIT_SEED))
    held_out = np.zeros(len(labels), bool)
    for label in range(10):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out[members[: round(DIGITS_TEST_SHARE * len(members))]] = True
    chosen = held_out if split == "test" else ~held_out
    return Dataset("digits", split, images[chosen], labels[chosen], tuple("0123456789"))


def load_cifar10(folder: str | Path, split: Split) -> Dataset:
    """Load CIFAR-10 from `folder` (or the archive's own subfolder in it): (N, 32, 32, 3), 10 classes.

    Reads data_batch_1..5.bin / test_batch.bin (3073-byte records) or, without these, the pickled data_batch_1..5 /
    test_batch, through an unpickler that builds arrays and plain containers only.
    Raises MuxflowError when files are absent (naming all of them), truncated or not of this format.
    """
    _check_split("CIFAR-10", split)
    stems = [f"data_batch_{i}" for i in range(1, 6)] if split == "train" else ["test_batch"]
    return _load_cifar(
        "CIFAR-10", folder, split, stems, "cifar-10-batches-bin", "cifar-10-batches-py", "batches.meta", 10
    )


def load_cifar100(folder: str | Path, split: Split) -> Dataset:
    """Load CIFAR-100 (fine labels) from `folder` (or the archive's own subfolder in it): (N, 32, 32, 3), 100 classes.

    Reads train.bin / test.bin (3074-byte records) or, without these, the pickled train / test.
    Raises MuxflowError as `load_cifar10`.
    """
    _check_split("CIFAR-100", split)
    return _load_cifar("CIFAR-100", folder, split, [split], "cifar-100-binary", "cifar-100-python", "meta", 100)


def load_stl10(folder: str | Path, split: Split) -> Dataset:
    """Load STL-10, binary version, from `folder` (or stl10_binary in it): (N, 96, 96, 3), 10 classes.

    Reads <split>_X.bin (27648 bytes an image, column-major planes) and <split>_y.bin (labels 1..10).
    Raises MuxflowError when files are absent (naming all of them), truncated or inconsistent.
    """
    _check_split("STL-10", split)
    folder, names = Path(folder), [f"{split}_X.bin", f"{split}_y.bin", "class_names.txt"]
    home = _find(folder, "stl10_binary", names)
    if home is None:
        raise _absent("STL-10", folder, [names], ["stl10_binary"])
    pixels = _records(home / names[0], 3 * 96 * 96)
    labels = _records(home / names[1], 1)[:, 0].astype(np.int64) - 1
    if len(labels) != len(pixels):
        raise MuxflowError(f"STL-10: {home / names[1]} has {len(labels)} labels; {names[0]} has {len(pixels)} images")
    images = pixels.reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
    return Dataset("STL-10", split, np.ascontiguousarray(images), labels, _class_names(home / names[2], 10))


LOADERS: dict[str, Callable[[Path, Split], Dataset]] = {
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
    "stl10": load_stl10,
}
"""Data sets that are read from a folder, by name."""


def load(name: str, split: Split, folder: str | Path | None = None) -> Dataset:
    """Load a split by data set name: digits (no folder), cifar10, cifar100, stl10.

    Raises MuxflowError when the name is unknown, a folder is needed and not given, or the loader fails.
    """
    if name == "digits":
        return load_digits(split)
    if name not in LOADERS:
        raise UsageError(f"data set {name!r} is unknown; choose from digits, {', '.join(LOADERS)}")
    if folder is None:
        raise UsageError(f"data set {name}: give the folder of its files (they are not downloaded)")
    return LOADERS[name](Path(folder), split)


def _check_split(name: str, split: str) -> None:
    if split not in ("train", "test"):
        raise UsageError(f"data set {name}: split {split!r}; use 'train' or 'test'")


def _find(folder: Path, subfolder: str, names: list[str]) -> Path | None:
    return next((home for home in (folder, folder / subfolder) if all((home / n).is_file() for n in names)), None)


def _absent(name: str, folder: Path, versions: list[list[str]], subfolders: list[str]) -> MuxflowError:
    pairs = zip(versions, subfolders, strict=True)
    wanted = "; or ".join(f"{', '.join(names)} (here or in {sub}/)" for names, sub in pairs)
    return MuxflowError(f"data set {name}: no complete set of files in {folder}; expected {wanted}; unpack the archive")


def _records(path: Path, size: int) -> Bytes:
    data = np.fromfile(path, np.uint8)
    if data.size == 0 or data.size % size:
        raise MuxflowError(f"{path}: {data.size} bytes; expected a positive multiple of {size}; the file is truncated")
    return data.reshape(-1, size)


def _class_names(path: Path, count: int) -> tuple[str, ...]:
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    names = tuple(line.strip() for line in lines if line.strip())
    if len(names) != count:
        raise MuxflowError(f"{path}: {len(names)} class names; expected {count}")
    return names


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
    home = _find(folder, binary_folder, binary_names)
    if home is not None:
        header = 2 if classes == 100 else 1  # CIFAR-100 stores the coarse label first
        rows = np.concatenate([_records(home / f"{s}.bin", header + 3072) for s in stems])
        labels, pixels = rows[:, header - 1].astype(np.int64), rows[:, header:]
        names = _class_names(home / kind, classes)
    else:
        home = _find(folder, python_folder, python_names)
        if home is None:
            raise _absent(name, folder, [binary_names, python_names], [binary_folder, python_folder])
        batches = [_cifar_batch(home / s, "fine_labels" if classes == 100 else "labels") for s in stems]
        pixels = np.concatenate([p for p, _ in batches])
        labels = np.concatenate([y for _, y in batches])
        names = _pickled_names(home / meta, "fine_label_names" if classes == 100 else "label_names", classes)
    images = pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Dataset(name, split, np.ascontiguousarray(images), labels, names)


class _ArrayUnpickler(pickle.Unpickler):
    """An unpickler of numpy arrays and plain containers, which refuses every other name: a pickle can run any code."""

    ALLOWED = frozenset(
        {
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy._core.numeric", "_frombuffer"),
            ("numpy.core.numeric", "_frombuffer"),
            ("_codecs", "encode"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """Find the named object, when it is one that arrays are made of."""
        if (module, name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it refers to {module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _unpickle(path: Path) -> dict[str, Any]:
    try:
        content = _ArrayUnpickler(io.BytesIO(path.read_bytes()), encoding="latin1").load()
    except Exception as error:  # a damaged pickle raises nearly anything
        raise MuxflowError(
            f"{path}: {path.stat().st_size} bytes, not a readable pickle of arrays ({error}); unpack the archive again"
        ) from error
    if not isinstance(content, dict):
        raise MuxflowError(f"{path}: holds a {type(content).__name__}; expected the dictionary of a CIFAR batch")
    return {k.decode("latin1") if isinstance(k, bytes) else str(k): v for k, v in content.items()}


def _cifar_batch(path: Path, label_key: str) -> tuple[Bytes, npt.NDArray[np.int64]]:
    content = _unpickle(path)
    pixels, labels = content.get("data"), content.get(label_key)
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or pixels.ndim != 2 or pixels.shape[1] != 3072:
        met = f"{pixels.dtype} {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise MuxflowError(f"{path}: 'data' is {met}; expected uint8 (N, 3072)")
    if not isinstance(labels, list) or len(labels) != len(pixels):
        met = f"{len(labels)} entries" if isinstance(labels, list) else type(labels).__name__
        raise MuxflowError(f"{path}: '{label_key}' is {met}; expected a list of {len(pixels)}")
    return pixels, np.array(labels, np.int64)


def _pickled_names(path: Path, key: str, count: int) -> tuple[str, ...]:
    names = _unpickle(path).get(key)
    if not isinstance(names, list) or len(names) != count:
        raise MuxflowError(f"{path}: '{key}' is not a list of {count} class names")
    return tuple(n.decode("latin1") if isinstance(n, bytes) else str(n) for n in names)
