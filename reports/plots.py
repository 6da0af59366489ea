"""Plots; they need matplotlib, the optional extra `report`."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

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
    try:
        import matplotlib
    except ImportError:
        raise ToolError(f"plots need matplotlib: {install_extra('report')}; or leave out --plot") from None
    matplotlib.use("Agg")
    from matplotlib import pyplot

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
    drawn = BytesIO()
    # No date and no random names in the file: the same points give the same bytes.
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
