"""Plots; they need matplotlib, the optional extra `report`."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import ToolError, UsageError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.fit.curves import FrontierPoint
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.packages import install_extra

ENDINGS = {".png": ("Software",), ".svg": ("Date",), ".pdf": ("CreationDate",)}
"""Endings of the files that plots are drawn into, and what of the metadata would differ from run to run."""


def plot_frontier(
    points: Sequence[FrontierPoint],
    *,
    clock_mhz: float,
    budget: Resources,
    chosen: FrontierPoint,
    title: str,
    path: Path,
) -> Path:
    """Draw frame rate against LUTs and against block RAMs into a file (PNG, PDF or SVG by its ending), budgets as lines.

    `chosen`: the fitted design, marked. Raises ToolError when matplotlib is absent, MuxflowError for another ending or
    where the disk refuses.
    """
    check_ending(path)
    pyplot = _pyplot()
    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4), sharey=True, layout="constrained")
    rates = [clock_mhz * 1e6 / point.interval for point in points]
    for axis, name in zip(axes, ("LUT", "BRAM18"), strict=True):
        axis.plot([dict(point.resources.items())[name] for point in points], rates, marker="o", label="cheapest folds")
        used = dict(chosen.resources.items())[name]
        axis.plot([used], [clock_mhz * 1e6 / chosen.interval], "*", markersize=14, label="this design, FIFOs sized")
        axis.axvline(dict(budget.items())[name], linestyle="--", color="grey", label="budget")
        axis.set_xlabel(f"{name} (estimate)")
        axis.grid(alpha=0.3)
    axes[0].set_ylabel("frames/s")
    axes[0].set_yscale("log")
    axes[0].legend()
    figure.suptitle(title)
    return _written(figure, path)


PICTURES_A_ROW = 16


def plot_video(pictures: npt.NDArray[np.uint8], captions: Sequence[str], *, title: str, path: Path) -> Path:
    """Draw the pictures of a video (N, H, W, C) in rows, a caption below each, into a file as `plot_frontier` does."""
    check_ending(path)
    pyplot = _pyplot()
    rows = -(-len(pictures) // PICTURES_A_ROW)
    columns = min(len(pictures), PICTURES_A_ROW)
    figure, axes = pyplot.subplots(rows, columns, figsize=(columns, 1.3 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, picture, caption in zip(axes.flat, pictures, captions, strict=False):
        axis.imshow(picture if picture.shape[-1] == 3 else picture[..., 0], cmap="gray", vmin=0, vmax=255)
        axis.set_title(caption, fontsize=6, y=-0.25)
    figure.suptitle(title, fontsize=8)
    return _written(figure, path)


def _pyplot() -> Any:
    """Load matplotlib; raises ToolError when it is absent."""
    try:
        import matplotlib
    except ImportError:
        raise ToolError(f"plots need matplotlib: {install_extra('report')}; or leave out --plot") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _written(figure: Any, path: Path) -> Path:
    """Write a figure and close it; no date and no random names are in the file: the same figure gives the same bytes."""
    pyplot = _pyplot()
    drawn = BytesIO()
    ending = path.suffix.lower()
    with pyplot.rc_context({"svg.hashsalt": "muxflow"}):
        figure.savefig(drawn, format=ending[1:], metadata={key: None for key in ENDINGS[ending]})
    pyplot.close(figure)
    write_atomically(path, drawn.getvalue())
    return path


def check_ending(path: Path) -> None:
    """Raise MuxflowError where a file's ending is of no format that plots are drawn in."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path}: a plot ends in {', '.join(ENDINGS)}; choose one of them")
