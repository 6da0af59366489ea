"""How figures of a paper look: sizes, colours, fonts, and the files that they are drawn into."""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from muxflow.dataflow.errors import ToolError, UsageError
from muxflow.dataflow.packages import install_extra
from muxflow.dataflow.text import cell, printable, reason

ENDINGS = {".pdf": ("CreationDate",), ".svg": ("Date",), ".png": ("Software",)}
"""Endings of the files that figures are drawn into, and what of the metadata would differ from run to run."""
VECTOR = (".pdf", ".svg")

WIDTHS = {"": 3.5, "-wide": 7.16}
"""Inches of a column and of the page in two-column papers, by the end of a file's name (IEEE)."""
COLOURS = ("#0072b2", "#e69f00", "#f0e442", "#009e73", "#d55e00", "#cc79a7", "#999999")
"""Okabe and Ito's, which colour-blind readers tell apart; each mark has a hatch or a shape too, for print in grey."""
HATCHES = ("", "//", "..", "xx", "--", "\\\\", "oo")
SETTINGS: Mapping[str, Any] = {
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "muxflow",
    "font.size": 7,
    "font.family": "DejaVu Sans",
    "axes.linewidth": 0.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.linewidth": 0.3,
    "lines.linewidth": 0.8,
    "lines.markersize": 3.5,
    "hatch.linewidth": 0.4,
    "legend.frameon": False,
    "legend.fontsize": 6,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "text.parse_math": False,
}
"""Type 42 fonts, which publishers take; text of names is never mathematics."""
LONGEST_NAME = 26
"""Characters of a layer's name beside an axis; a longer one loses its middle (decision)."""


@dataclass(frozen=True)
class Data:
    """What a figure shows: columns and rows; `note`: what the figures are."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str | int | float | None, ...], ...]
    note: str = ""

    def column(self, name: str) -> list[Any]:
        """Give the cells of a column."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def to_csv(self) -> str:
        """Write the data as CSV, an empty cell where nothing is known."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows([cell(value) for value in row] for row in self.rows)
        return printable(out.getvalue())


Draw = Callable[[Any, Data, float], None]
"""`draw(figure, data, width)`: draws data into an empty figure of matplotlib's; width in inches."""


def check_ending(path: Path) -> None:
    """Raise UsageError where a file's ending is of no format that figures are drawn in."""
    if path.suffix.lower() not in ENDINGS:
        raise UsageError(f"{path}: a plot ends in {', '.join(ENDINGS)}; choose one of them")


def check_matplotlib() -> None:
    """Raise ToolError where matplotlib is absent, or cannot read its settings, which a file of the current folder may be."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise ToolError(f"figures need matplotlib: {install_extra('report')}; or leave them out") from None
    except Exception as error:
        raise ToolError(
            f"matplotlib cannot be loaded ({reason(error)}); mend its file of settings, matplotlibrc, which it reads in the "
            "current folder first, or leave figures out"
        ) from error


def drawn(draw: Draw, data: Data, width: float, endings: tuple[str, ...]) -> dict[str, bytes]:
    """Draw a figure, and give the bytes of its file by ending: the same data give the same bytes."""
    check_matplotlib()
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    found = {}
    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()  # not those of a file matplotlibrc, which the current folder may hold
        matplotlib.rcParams.update(SETTINGS)
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a name of any script: a box stands for it
        figure = Figure(figsize=(width, 0.6 * width), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure, data, width)
        for ending in endings:
            made = BytesIO()
            metadata = dict.fromkeys(ENDINGS[ending])
            figure.savefig(made, format=ending[1:], metadata=metadata, dpi=300)
            found[ending] = made.getvalue()
    return found


def grouped(axis: Any) -> None:
    """Write the numbers of an axis with their digits grouped."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value == int(value) else f"{value:,g}"))
    axis.set_minor_formatter(NullFormatter())


def short(name: str) -> str:
    """Cut a name for an axis, in its middle."""
    name = printable(name).replace("\n", " ")
    half = (LONGEST_NAME - 1) // 2
    return name if len(name) <= LONGEST_NAME else f"{name[:half]}…{name[-half:]}"


def rows_height(figure: Any, rows: int, width: float, least: float = 1.0) -> None:
    """Make a figure with a row a layer as high as they need."""
    figure.set_size_inches(width, max(least, 0.55 + 0.115 * rows))
