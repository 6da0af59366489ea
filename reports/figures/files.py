"""The files of figures: each as PDF and SVG in two widths, and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.text import encoded
from muxflow.reports.figures.data import OF_ONE, accuracy, frontier
from muxflow.reports.figures.draw import DRAWINGS
from muxflow.reports.figures.style import VECTOR, WIDTHS, Data, check_matplotlib, drawn
from muxflow.reports.schema.report import Report


@dataclass(frozen=True)
class Drawn:
    """What the files of the figures hold by their names, and what could not be drawn, each with why."""

    files: Mapping[str, bytes]
    left_out: tuple[str, ...]


def draw_figures(reports: Sequence[Report]) -> Drawn:
    """Draw every figure of the first report, and the accuracy of all; raises ToolError without matplotlib, before any.

    A figure without data, as an occupancy that was not simulated, is left out.
    """
    check_matplotlib()
    tables = {name: make(reports[0]) for name, make in OF_ONE.items()} | {"accuracy": accuracy(reports)}
    if not reports[0].frontier:
        tables["frontier"] = Data(tables["frontier"].columns, ())
    files: dict[str, bytes] = {}
    left_out = []
    for name, data in tables.items():
        if not data.rows:
            left_out.append(f"{name}: not run")
            continue
        files[f"{name}.csv"] = encoded(data.to_csv())
        for suffix, width in WIDTHS.items():
            made = drawn(DRAWINGS[name], data, width, VECTOR)
            files |= {f"{name}{suffix}{ending}": content for ending, content in made.items()}
    return Drawn(files, tuple(left_out))


def plot_frontier(report: Report, path: Path) -> Path:
    """Draw the frontier of a report into one file, as wide as a page; its ending says the format."""
    ending = path.suffix.lower()
    made = drawn(DRAWINGS["frontier"], frontier(report), WIDTHS["-wide"], (ending,))
    write_atomically(path, made[ending])
    return path
