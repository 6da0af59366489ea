"""A video as a figure: its pictures in rows, what was found at each below it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.files import write_atomically
from muxflow.reports.figures.style import WIDTHS, Data, check_ending, drawn

PICTURES_A_ROW = 16


def plot_video(pictures: npt.NDArray[np.uint8], captions: Sequence[str], path: Path) -> Path:
    """Draw pictures (N, H, W, C) in rows as wide as a page, a caption below each, into one file; its ending says the format.

    Raises UsageError for another ending, ToolError without matplotlib.
    """
    check_ending(path)
    data = Data(("picture", "caption"), tuple(enumerate(captions)))
    columns = min(len(pictures), PICTURES_A_ROW)
    rows = -(-len(pictures) // PICTURES_A_ROW)

    def draw(figure: Any, shown: Data, width: float) -> None:
        figure.set_size_inches(width, 1.3 * rows * width / columns)
        axes = figure.subplots(rows, columns, squeeze=False)
        for axis in axes.flat:
            axis.set_axis_off()
        for axis, picture, caption in zip(axes.flat, pictures, shown.column("caption"), strict=False):
            axis.imshow(picture if picture.shape[-1] == 3 else picture[..., 0], cmap="gray", vmin=0, vmax=255)
            axis.set_title(caption, fontsize=4, y=-0.05, pad=0, verticalalignment="top")

    ending = path.suffix.lower()
    write_atomically(path, drawn(draw, data, WIDTHS["-wide"], (ending,))[ending])
    return path
