"""STL-10, binary version."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.quantities import counted
from muxflow.frontend.training.datasets.dataset import (
    Dataset,
    Split,
    absent,
    check_split,
    class_names,
    class_numbers,
    find_home,
    records,
)


def load_stl10(folder: str | Path, split: Split) -> Dataset:
    """Load STL-10, binary version, from `folder` (or stl10_binary in it): (N, 96, 96, 3), 10 classes.

    Reads <split>_X.bin (27648 bytes an image, column-major planes) and <split>_y.bin (labels 1..10).
    Raises MuxflowError when files are absent (naming all of them), truncated or inconsistent.
    """
    check_split("STL-10", split)
    folder, names = Path(folder), [f"{split}_X.bin", f"{split}_y.bin", "class_names.txt"]
    home = find_home(folder, "stl10_binary", names)
    if home is None:
        raise absent("STL-10", folder, [names], ["stl10_binary"])
    pixels = records(home / names[0], 3 * 96 * 96)
    labels = class_numbers(home / names[1], records(home / names[1], 1)[:, 0], 10, 1)
    if len(labels) != len(pixels):
        raise MuxflowError(
            f"STL-10: {home / names[1]} has {counted(len(labels), 'label')}; {names[0]} has {counted(len(pixels), 'image')}"
        )
    images = pixels.reshape(-1, 3, 96, 96).transpose(0, 3, 2, 1)
    return Dataset("STL-10", split, np.ascontiguousarray(images), labels, class_names(home / names[2], 10))
