"""ImageNet from its folders of JPEG files, decoded as they are asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.packages import install_extra
from muxflow.frontend.training.datasets.dataset import Bytes, Dataset, Split, check_split
from muxflow.frontend.training.datasets.pictures import SUFFIXES, open_picture

SIZE = 256


class ImageFiles:
    """Images that lie in files, as a read-only array (N, size, size, 3) of uint8 that decodes what is taken from it.

    Each is scaled so that its shorter side is `size` (bilinear), and cut to its middle (decision).
    """

    dtype = np.dtype(np.uint8)
    ndim = 4

    def __init__(self, files: list[Path], size: int) -> None:
        self.files = files
        self.size = size
        self.shape = (len(files), size, size, 3)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, chosen: slice | npt.NDArray[np.int64]) -> Bytes:
        """Decode the chosen images; raises MuxflowError naming a file that is no image."""
        numbers = np.arange(len(self.files))[chosen]
        images = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        for place, number in enumerate(numbers):
            images[place] = self._decode(self.files[number])
        return images

    def _decode(self, path: Path) -> Bytes:
        from PIL import Image

        image = open_picture(path).convert("RGB")
        (left, right), (top, bottom) = (_middle(length, min(image.size), self.size) for length in image.size)
        return np.asarray(image.resize((self.size, self.size), Image.Resampling.BILINEAR, (left, top, right, bottom)))


def _middle(length: int, shorter: int, size: int) -> tuple[float, float]:
    """Find the part of a side that `size` pixels in the middle show once the shorter side has that length.

    The image itself is never scaled as a whole: one a pixel high and very wide would fill the memory.
    """
    scaled = max(size, round(length * size / shorter))
    start = (scaled - size) // 2
    return start * length / scaled, (start + size) * length / scaled


def load_imagenet(folder: str | Path, split: Split, size: int = SIZE) -> Dataset:
    """Load ImageNet from `folder`: (N, size, size, 3), a class for each folder in train/.

    Expects train/<class>/*.JPEG and val/<class>/*.JPEG (the split "test"); class numbers follow the sorted names of the
    folders in train/. Files are decoded when they are used, so that the set need not fit the memory.
    Raises MuxflowError when a folder is absent or empty, or val/ has a class that train/ has not.
    """
    check_split("ImageNet", split)
    try:
        import PIL  # noqa: F401
    except ModuleNotFoundError as error:
        raise MuxflowError(f"data set ImageNet: Pillow is not installed: {install_extra('train')}") from error
    home, train = Path(folder) / ("train" if split == "train" else "val"), Path(folder) / "train"
    for needed in (train, home):
        if not needed.is_dir():
            raise MuxflowError(f"data set ImageNet: no folder {needed}; expected train/<class>/ and val/<class>/")
    classes = tuple(sorted(entry.name for entry in train.iterdir() if entry.is_dir()))
    odd = sorted({entry.name for entry in home.iterdir() if entry.is_dir()} - set(classes))
    if odd:
        raise MuxflowError(
            f"data set ImageNet: {home / odd[0]} is a class that {train} has not; put images into classes"
        )
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(path for path in (home / name).glob("*") if path.suffix.lower() in SUFFIXES)
        files += found
        labels += [label] * len(found)
    if not files:
        raise MuxflowError(f"data set ImageNet: no images in {home}; expected files such as n01440764/x.JPEG")
    return Dataset("ImageNet", split, ImageFiles(files, size), np.array(labels, np.int64), classes)
