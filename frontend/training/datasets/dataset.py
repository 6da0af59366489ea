"""What a data set is: images, labels and names of classes; the parts that loaders share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.files import read_bounded
from muxflow.dataflow.limits import check_bytes
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import reason
from muxflow.frontend.faults import raise_machine_fault

Split = Literal["train", "test"]
Bytes = npt.NDArray[np.uint8]
Chosen = slice | npt.NDArray[Any]
"""Which images: a slice, their numbers, or a flag each."""


class Images(Protocol):
    """Images uint8 (N, H, W, C), or clips (N, T, H, W, C), from which some can be taken: an array, or files decoded then."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of a pixel."""

    @property
    def ndim(self) -> int:
        """Axes."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(N, H, W, C), or (N, T, H, W, C)."""

    def __getitem__(self, chosen: Chosen, /) -> Bytes:
        """Give the chosen images."""


@dataclass(frozen=True)
class Dataset:
    """One split of a data set: images uint8 (N, H, W, C), labels int64 (N,) in 0..len(classes)-1, class names.

    Clips have an axis of frames more, (N, T, H, W, C). `sources`: where several are made of one picture, its number, (N,).
    Raises MuxflowError when shapes, types or labels do not fit together.
    """

    name: str
    split: str
    images: Images
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    sources: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        where = f"data set {self.name} ({self.split})"
        if self.images.dtype != np.uint8 or self.images.ndim not in (4, 5):
            raise MuxflowError(
                f"{where}: images {self.images.dtype} {self.images.shape}; need uint8 (N, H, W, C), clips (N, T, H, W, C)"
            )
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

    def tensor_images(self, chosen: Chosen = slice(None)) -> npt.NDArray[np.float32]:
        """Return images as a network takes them: float32 (N, C, H, W) or (N, C, T, H, W), pixel p as p/256 (exact)."""
        return np.ascontiguousarray(np.moveaxis(self.images[chosen], -1, 1)).astype(np.float32) / np.float32(256)

    def without(self, share: float, seed: int = 0) -> tuple[Dataset, Dataset]:
        """Part the split in two: to train on, and a `share` of each class (see `held_out`) to compare choices on.

        Of images with `sources` the second part is a share of the sources, whole.
        """
        if self.sources is None:
            aside = held_out(self.labels, share, seed)
        else:
            pictures, place = np.unique(self.sources, return_inverse=True)
            aside = held_out(np.zeros(len(pictures), np.int64), share, seed)[place]
        parts = (("fit", ~aside), ("validation", aside))
        kept, validation = (
            replace(
                self,
                split=f"{self.split}: {name}",
                images=self.images[chosen],
                labels=self.labels[chosen],
                sources=None if self.sources is None else self.sources[chosen],
            )
            for name, chosen in parts
        )
        return kept, validation


def check_split(name: str, split: str) -> None:
    """Raise UsageError, naming the splits, when `split` is none of them."""
    if split not in ("train", "test"):
        raise UsageError(f"data set {name}: split {split!r}; use 'train' or 'test'")


def held_out(labels: npt.NDArray[np.int64], share: float, seed: int) -> npt.NDArray[np.bool_]:
    """Mark the held-out images: a `share` of each class (rounded), drawn by PCG64(seed) class after class."""
    rng = np.random.Generator(np.random.PCG64(seed))
    chosen = np.zeros(len(labels), bool)
    for label in range(int(labels.max(initial=-1)) + 1):
        members = rng.permutation(np.flatnonzero(labels == label))
        chosen[members[: round(share * len(members))]] = True
    return chosen


def find_home(folder: Path, subfolder: str, names: list[str]) -> Path | None:
    """Find the folder, this one or its subfolder, that holds all files."""
    return next((home for home in (folder, folder / subfolder) if all((home / n).is_file() for n in names)), None)


def absent(name: str, folder: Path, versions: list[list[str]], subfolders: list[str] | None = None) -> MuxflowError:
    """Make the error that names all files that are missed, of each version, and the subfolder that may hold them."""
    places = [f" (here or in {subfolder}/)" for subfolder in subfolders] if subfolders else [""] * len(versions)
    wanted = "; or ".join(f"{', '.join(names)}{place}" for names, place in zip(versions, places, strict=True))
    return MuxflowError(f"data set {name}: no complete set of files in {folder}; expected {wanted}; unpack the archive")


def records(path: Path, size: int) -> Bytes:
    """Read a file of records of `size` bytes, shape (N, size); raises MuxflowError when it is empty or truncated."""
    check_bytes(str(path), path.stat().st_size)
    data = np.fromfile(path, np.uint8)
    if data.size == 0 or data.size % size:
        raise MuxflowError(
            f"{path}: {counted(data.size, 'byte')}; expected a positive multiple of {size}; the file is truncated"
        )
    return data.reshape(-1, size)


def class_numbers(path: Path, labels: npt.NDArray[Any], count: int, first: int = 0) -> npt.NDArray[np.int64]:
    """Return a file's labels, which begin at `first`, as numbers from 0; raises MuxflowError where one is no class."""
    odd = labels[(labels < first) | (labels >= first + count)]
    if odd.size:
        raise MuxflowError(
            f"{path}: a label {odd[0]}; {count} classes have {first} to {first + count - 1}: it is damaged"
        )
    return labels.astype(np.int64) - first


def text_lines(path: Path) -> list[tuple[int, str]]:
    """Read the lines of a text that are not empty, with their numbers; raises MuxflowError where it cannot be read."""
    try:
        lines = read_bounded(path, "replace").splitlines()
    except (OSError, ValueError) as error:
        raise_machine_fault(error, str(path))
        raise MuxflowError(f"{path}: cannot be read ({reason(error)}); fetch it again") from error
    return [(number, line.strip()) for number, line in enumerate(lines, 1) if line.strip()]


def class_names(path: Path, count: int) -> tuple[str, ...]:
    """Read one class name a line; raises MuxflowError unless there are `count`."""
    names = tuple(name for _, name in text_lines(path))
    if len(names) != count:
        raise MuxflowError(f"{path}: {counted(len(names), 'class name')}; expected {count}")
    return names
