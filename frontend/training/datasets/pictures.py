"""Pictures of any size for compression: photographs that packages ship, folders as of Kodak and CLIC, files of a user."""

from __future__ import annotations

import hashlib
import importlib.util
import shlex
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError, UnsupportedError, UsageError
from muxflow.dataflow.files import check_file
from muxflow.dataflow.packages import install_extra
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import reason, unknown
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.kinds import IMAGES, kind_of
from muxflow.frontend.training.datasets.dataset import Bytes, Split, check_split

SUFFIXES = (".jpeg", ".jpg", ".png")
FORMATS = ("JPEG", "PNG")
"""What may be in the files of a data set, whatever their names: other decoders are never run on them."""

SKIMAGE, SKLEARN = ("skimage", "data"), ("sklearn", "datasets", "images")
"""Packages that ship photographs, with the folder in each."""

PHOTOGRAPHS: dict[str, dict[tuple[str, ...], tuple[str, ...]]] = {
    "test": {SKIMAGE: ("camera.png", "chelsea.png", "coffee.png", "rocket.jpg")},
    "validation": {SKIMAGE: ("astronaut.png",)},
    "train": {
        SKIMAGE: (
            *("brick.png", "cell.png", "clock_motion.png", "coins.png", "grass.png", "gravel.png"),
            *(
                "hubble_deep_field.jpg",
                "ihc.png",
                "moon.png",
                "motorcycle_left.png",
                "motorcycle_right.png",
                "page.png",
            ),
            *("retina.jpg", "text.png"),
        ),
        SKLEARN: ("china.jpg", "flower.jpg"),
    },
}
"""Whole pictures by split: of the test, never trained on nor looked at to choose anything; those that choices are compared
on, not trained on either; those to train on."""
ALIKE, THUMBNAIL = 0.95, 16
"""Correlation from which two pictures are taken for the same, of their grey values in so many pixels a side (decision)."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the grey value (ITU-R BT.601)."""


@dataclass(frozen=True)
class Picture:
    """One picture of a data set, which is decoded as it is asked for."""

    path: Path

    @property
    def name(self) -> str:
        """The name of the file without its suffix."""
        return self.path.stem

    def pixels(self) -> Bytes:
        """Decode the colours, (H, W, 3); raises MuxflowError naming a file that is no image."""
        return np.asarray(open_picture(self.path).convert("RGB"))

    def luma(self) -> Bytes:
        """Decode the grey values, (H, W); raises MuxflowError naming a file that is no image."""
        return np.asarray(open_picture(self.path).convert("L"))

    def digest(self) -> str:
        """Return the first 16 digits of the SHA-256 of the file."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()[:16]

    def thumbnail(self) -> npt.NDArray[np.float64]:
        """Return the grey values in THUMBNAIL pixels a side, of mean 0 and norm 1 (0 where all are equal)."""
        small = open_picture(self.path).convert("L").resize((THUMBNAIL, THUMBNAIL))
        values = np.asarray(small, np.float64).ravel()
        values -= values.mean()
        return values / max(float(np.linalg.norm(values)), 1e-9)


def open_picture(path: Path, formats: tuple[str, ...] = FORMATS) -> Any:
    """Decode an image file that is of one of Pillow's `formats`, into an image of Pillow's.

    Raises MuxflowError naming the file when there is none, it is damaged, uses colours that its palette lacks, or has more
    pixels than Pillow takes for harmless, UnsupportedError where it is of another format, which is named, or has several
    frames.
    """
    try:
        from PIL import Image
    except ModuleNotFoundError as error:
        raise MuxflowError(f"{path}: Pillow is not installed: {install_extra('train')}") from error
    supported = f"supported: {', '.join(formats)}"
    check_file(path, f"give an image; {supported}")
    kind = kind_of(path)
    if kind not in [f"a {name} image" for name in formats]:
        remedy = "give an image"
        if kind in (*IMAGES, ""):
            remedy = f"convert it, for example by ImageMagick: magick {shlex.quote(str(path))} converted.png"
        raise UnsupportedError(f"{path}: {kind.partition(';')[0] or 'a file of unknown format'}; {supported}; {remedy}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=formats) as opened:
                frames = getattr(opened, "n_frames", 1)
                opened.load()
                image = opened.copy()
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise MuxflowError(f"{path}: too many pixels; cut or scale it ({reason(error)})") from error
    except Exception as error:  # a damaged image raises nearly anything
        raise_machine_fault(error, str(path))
        raise MuxflowError(f"{path}: not a readable image ({reason(error)}); remove it or fetch it again") from error
    if frames > 1:
        raise UnsupportedError(f"{path}: {frames} frames; one is supported, so save one of them")
    _check_palette(path, image)
    return image


def _check_palette(path: Path, image: Any) -> None:
    """Raise MuxflowError where an image has a pixel, or says what is transparent, of a number that its palette lacks."""
    if image.mode != "P":
        return
    colours, clear = len(image.getpalette() or ()) // 3, image.info.get("transparency", b"")
    last = max(image.getextrema()[1], len(clear) - 1 if isinstance(clear, bytes) else clear)
    if last >= colours:
        raise MuxflowError(
            f"{path}: a palette of {counted(colours, 'colour')}, and it uses number {last}, counted from 0: it is damaged; "
            "save it anew"
        )


def load_photographs(split: str) -> tuple[Picture, ...]:
    """List the photographs that scikit-image and scikit-learn ship, of a split of `PHOTOGRAPHS`.

    Raises UsageError when the split is unknown, MuxflowError when a package or a picture of it is absent.
    Source: split: decision; texts and microscopy are among the pictures to train on.
    """
    if split not in PHOTOGRAPHS:
        raise UsageError(f"data set photographs: split {split!r}; use {', '.join(map(repr, PHOTOGRAPHS))}")
    return tuple(Picture(_shipped(package, name)) for package, names in PHOTOGRAPHS[split].items() for name in names)


def _shipped(package: tuple[str, ...], name: str) -> Path:
    """Find a picture in a package, which is not imported."""
    found = importlib.util.find_spec(package[0])
    if found is None or not found.submodule_search_locations:
        released_as = {"skimage": "scikit-image", "sklearn": "scikit-learn"}[package[0]]
        raise MuxflowError(f"data set photographs: {released_as} is not installed: {install_extra('train')}")
    path = Path(found.submodule_search_locations[0]).joinpath(*package[1:], name)
    if not path.is_file():
        raise MuxflowError(f"data set photographs: no file {path}; install {package[0]} again")
    return path


def check_apart(pictures: tuple[Picture, ...], held_out: tuple[Picture, ...]) -> None:
    """Raise MuxflowError naming a picture that is one of those held out, in whatever file, size or contrast."""
    for picture in pictures:
        thumbnail = picture.thumbnail()
        for other in held_out:
            if abs(thumbnail @ other.thumbnail()) > ALIKE:
                raise MuxflowError(
                    f"{picture.path}: shows what {other.name} shows, which is held out; remove it from the pictures to train on"
                )


def load_picture_folder(name: str, folder: str | Path, split: Split) -> tuple[Picture, ...]:
    """List the pictures of Kodak or CLIC, or of a folder like theirs.

    `name`: "kodak", PNG files in `folder` itself, all of which are the split "test" (there is no other); "clic", files in
    `folder`/train (the split "train") and `folder`/valid or `folder`/test (the split "test", the first that is there),
    in them or one folder below; "photographs", files in `folder` or one folder below, all of the
    split "train". Files are decoded when they are used, so that the set need not fit the memory.
    Raises UsageError for another name or split, MuxflowError when there is no folder or no picture.
    """
    check_split(name, split)
    if name not in PICTURE_FOLDERS:
        raise UsageError(unknown("data set", name, PICTURE_FOLDERS))
    if split not in PICTURE_FOLDERS[name]:
        (only,) = PICTURE_FOLDERS[name]
        raise UsageError(f"data set {name}: its pictures are for {SPLIT_USE[only]} only; use the split {only!r}")
    homes = [Path(folder) / below for below in PICTURE_FOLDERS[name][split]]
    home = next((one for one in homes if one.is_dir()), None)
    if home is None:
        raise MuxflowError(f"data set {name}: no folder {' nor '.join(map(str, homes))}; unpack the archive")
    files = sorted(path for path in (*home.glob("*"), *home.glob("*/*")) if path.suffix.lower() in SUFFIXES)
    if not files:
        raise MuxflowError(f"data set {name}: no pictures in {home}; expected files such as {home / 'kodim01.png'}")
    return tuple(map(Picture, files))


SPLIT_USE = {"train": "training", "test": "tests"}
"""What the pictures of a split are for, in words."""

PICTURE_FOLDERS: dict[str, dict[str, tuple[str, ...]]] = {
    "kodak": {"test": (".",)},
    "clic": {"train": ("train",), "test": ("valid", "test")},
    "photographs": {"train": (".",)},
}
"""Folders, by the split, in which a data set of pictures keeps its files."""
