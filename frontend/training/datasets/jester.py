"""Jester's hand gestures, from its numbered folders of JPEG frames, decoded as they are asked for."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import numpy as np

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.text import shown
from muxflow.frontend.training.datasets.dataset import Bytes, Chosen, Dataset, Split, absent, check_split, text_lines
from muxflow.frontend.training.datasets.pictures import open_picture

FRAMES, HEIGHT, WIDTH = 16, 96, 128
CLIPS = "20bn-jester-v1"
"""Folder of the clips, as the archives unpack it."""
LISTS: dict[str, str] = {"train": "jester-v1-train.csv", "test": "jester-v1-validation.csv"}
"""Of clips and their labels; those of Jester's own test are not published, so its validation clips are the split "test"."""
LABELS = "jester-v1-labels.csv"
MOST_DIGITS = 18
"""Of a clip's number; Jester's have up to six (decision)."""


class ClipFiles:
    """Clips whose frames lie in files, a read-only array (N, FRAMES, HEIGHT, WIDTH, 3) of uint8 that decodes what is taken.

    Of a clip with more or fewer frames as many as are wanted, evenly spread; each is cut to its largest middle of the
    wanted shape and scaled to it, bilinear (decisions).
    """

    dtype = np.dtype(np.uint8)
    ndim = 5

    def __init__(self, folders: list[Path], lengths: list[int]) -> None:
        self.folders, self.lengths = folders, lengths
        self.shape = (len(folders), FRAMES, HEIGHT, WIDTH, 3)

    def __getitem__(self, chosen: Chosen) -> Bytes:
        """Decode the chosen clips; raises MuxflowError naming a file that is no image, or one of another size."""
        numbers = np.arange(len(self.folders))[chosen]
        clips = np.empty((len(numbers), *self.shape[1:]), np.uint8)
        for clip, number in zip(clips, numbers, strict=True):
            size: tuple[int, int] | None = None
            for place in range(FRAMES):
                path = frame_file(self.folders[number], (2 * place + 1) * self.lengths[number] // (2 * FRAMES) + 1)
                image = open_picture(path, ("JPEG",)).convert("RGB")
                size = size or image.size
                if image.size != size:
                    raise MuxflowError(
                        f"{path}: a frame of {image.size[0]}x{image.size[1]} pixels in a clip of {size[0]}x{size[1]}; "
                        "frames of a clip have one size, so fetch the clip again"
                    )
                clip[place] = _scaled(image)
        return clips


def frame_file(folder: Path, number: int) -> Path:
    """Name the file of a clip's frame; numbers begin at 1."""
    return folder / f"{number:05d}.jpg"


def _scaled(image: object) -> Bytes:
    from PIL import Image

    assert isinstance(image, Image.Image)
    width, height = image.size
    ratio = min(width / WIDTH, height / HEIGHT)
    left, top = (width - WIDTH * ratio) / 2, (height - HEIGHT * ratio) / 2
    box = (left, top, left + WIDTH * ratio, top + HEIGHT * ratio)
    return np.asarray(image.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box))


def load_jester(folder: str | Path, split: Split) -> Dataset:
    """Load Jester (version 1) from `folder`: (N, 16, 96, 128, 3), a class for each line of jester-v1-labels.csv.

    Expects the lists jester-v1-train.csv and jester-v1-validation.csv (the split "test"), lines `id;label`, and folders
    20bn-jester-v1/<id>/ with frames 00001.jpg, 00002.jpg and so on. Files are decoded when they are used.
    Raises MuxflowError when a file is absent, a line is of another form, a clip has no frames or one of them is missing.
    """
    check_split("Jester", split)
    home, names = Path(folder), [LISTS[split], LABELS]
    if not (home / CLIPS).is_dir() or not all((home / name).is_file() for name in names):
        raise absent("Jester", home, [[*names, f"{CLIPS}/"]])
    classes = tuple(line for _, line in text_lines(home / LABELS))
    numbers = {name: number for number, name in enumerate(classes)}
    if len(numbers) < len(classes):
        raise MuxflowError(f"{home / LABELS}: a line is there twice; expected a class a line, so fetch it again")
    clips: list[tuple[Path, int]] = []
    labels: list[int] = []

    @cache  # a list may name a clip again and again
    def found(clip: str) -> tuple[Path, int]:
        return home / CLIPS / clip, _frames(home / CLIPS / clip)

    for place, line in text_lines(home / LISTS[split]):
        clip, _, label = line.partition(";")
        if not re.fullmatch(rf"[0-9]{{1,{MOST_DIGITS}}}", clip) or label not in numbers:
            raise MuxflowError(
                f"{home / LISTS[split]}, line {place}: {shown(line)}; expected `id;label`, a number and a line of {LABELS}"
            )
        clips.append(found(clip))
        labels.append(numbers[label])
    if not clips:
        raise MuxflowError(f"{home / LISTS[split]}: no clips; expected lines `id;label`")
    files = ClipFiles([clip for clip, _ in clips], [length for _, length in clips])
    return Dataset("Jester", split, files, np.array(labels, np.int64), classes)


def _frames(folder: Path) -> int:
    """Count the frames of a clip, files named by five digits; raises MuxflowError for none, or one missing between others."""
    found = sorted(int(path.stem) for path in folder.glob("*.jpg") if re.fullmatch("[0-9]{5}", path.stem))
    if not found:
        raise MuxflowError(
            f"data set Jester: clip {folder} has no frames; expected files such as {frame_file(folder, 1)}"
        )
    missing = next((place for place, number in enumerate(found, 1) if place != number), None)
    if missing is not None:
        raise MuxflowError(
            f"data set Jester: no file {frame_file(folder, missing)}, though later frames are there; fetch the clip again"
        )
    return len(found)
