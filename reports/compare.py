"""Builds side by side: one comparison, and its renderings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Group, RenderableType

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.quantities import rounded
from muxflow.dataflow.text import json_text
from muxflow.reports.html.template import rendered
from muxflow.reports.latex.tables import precisions
from muxflow.reports.latex.tex import Cell, Column, TexTable, tex
from muxflow.reports.render import markdown, plain, write_renderings
from muxflow.reports.schema.derived import derived
from muxflow.reports.schema.report import Report
from muxflow.reports.tables import table, titled

LEAST = 2
"""Builds that a comparison has at least."""


@dataclass(frozen=True)
class Contender:
    """One build: its title, its report (None where there is none), and what is to be said of it."""

    title: str
    report: Report | None
    remark: str = ""


@dataclass(frozen=True)
class Row:
    """A figure of every build: its name, its unit ("" for text), and the values, None where one has none."""

    name: str
    unit: str
    values: tuple[str | float | int | None, ...]

    def text(self, value: str | float | int | None) -> str:
        """Write a value."""
        if value is None:
            return "not run"
        if isinstance(value, str):
            return value
        number = f"{value:,}" if isinstance(value, int) else rounded(value)
        return f"{number} {self.unit}" if self.unit else number


FIGURES: Sequence[tuple[str, str, Callable[[Report], str | float | int | None]]] = (
    ("network", "", lambda report: report.network),
    ("board", "", lambda report: report.board),
    ("clock", "MHz", lambda report: report.clock_mhz),
    ("accuracy", "%", lambda report: report.accuracy_percent),
    ("accuracy of", "", lambda report: None if report.accuracy is None else report.accuracy.source),
    ("operations", "MAC", lambda report: report.operations),
    ("weights, activations", "bits", lambda report: precisions(report, ", ")),
    ("stored parameters", "bit", lambda report: report.parameter_bits),
    ("generated weights", "bit", lambda report: report.saved_bits),
    ("interval", "cycles", lambda report: report.interval),
    ("rate", "frames/s", lambda report: report.frames_per_second),
    ("latency", "µs", lambda report: report.latency_us),
    ("rate and latency are", "", lambda report: report.interval_is),
    ("LUT", "", lambda report: report.counted.used.get("LUT")),
    ("FF", "", lambda report: report.counted.used.get("FF")),
    ("BRAM18", "", lambda report: report.counted.used.get("BRAM18")),
    ("DSP", "", lambda report: report.counted.used.get("DSP")),
    ("resources are", "", lambda report: report.counted.title),
    ("slack", "ns", lambda report: report.stage("implemented").slack_ns),
    ("power", "W", lambda report: report.watts),
)  # fmt: skip
"""The figures of a comparison, those that are derived aside."""


def rows(contenders: Sequence[Contender]) -> tuple[Row, ...]:
    """Lay out the figures of every build; raises UsageError for fewer than two."""
    if len(contenders) < LEAST:
        raise UsageError("one build; give two to compare, or one and --against")

    def values(read: Callable[[Report], Any]) -> tuple[Any, ...]:
        return tuple(None if one.report is None else read(one.report) for one in contenders)

    found = [Row(name, unit, values(read)) for name, unit, read in FIGURES]
    first = next(one.report for one in contenders if one.report is not None)
    for number, figure in enumerate(derived(first)):
        share = figure.unit == ""
        told = values(partial(_derived, number))
        scaled = tuple(None if value is None else 100 * value if share else value for value in told)
        found.append(Row(figure.name, "%" if share else figure.unit, scaled))
    return tuple(found)


def _derived(number: int, report: Report) -> float | None:
    return derived(report)[number].value


def terminal(contenders: Sequence[Contender]) -> RenderableType:
    """Render a comparison for a terminal."""
    made = table(("figure",), tuple(one.title for one in contenders))
    for row in rows(contenders):
        made.add_row(row.name, *map(row.text, row.values))
    parts: list[RenderableType] = [titled("builds side by side", made)]
    if any(one.remark for one in contenders):
        said = table(("build", "what it is"))
        for one in contenders:
            said.add_row(one.title, one.remark or "-")
        parts.append(titled("what they are", said))
    return Group(*parts)


def to_text(contenders: Sequence[Contender]) -> str:
    """Render a comparison as plain text."""
    return plain(terminal(contenders))


def to_markdown(contenders: Sequence[Contender]) -> str:
    """Render a comparison as Markdown."""
    return markdown("Builds side by side", terminal(contenders))


def to_entry(contenders: Sequence[Contender]) -> dict[str, Any]:
    """Write a comparison as a JSON object."""
    figures = [{"name": row.name, "unit": row.unit, "values": list(row.values)} for row in rows(contenders)]
    return {"builds": [{"title": one.title, "remark": one.remark} for one in contenders], "figures": figures}


def to_json(contenders: Sequence[Contender]) -> str:
    """Write a comparison as JSON."""
    return json_text(to_entry(contenders))


def to_html(contenders: Sequence[Contender]) -> str:
    """Render a comparison as one self-contained page."""
    lines = [(row.name, *map(row.text, row.values)) for row in rows(contenders)]
    return rendered("compare.html.j2", contenders=contenders, lines=lines)


def to_latex(contenders: Sequence[Contender]) -> str:
    """Render a comparison as a table for a paper, as wide as the page."""
    columns = (Column("figure"), *(Column(tex(one.title, breakable=True), fill=True) for one in contenders))
    made = rows(contenders)
    cells: tuple[tuple[Cell, ...], ...] = tuple((row.name, *map(row.text, row.values)) for row in made)
    said = " ".join(f"{tex(one.title)}: {tex(one.remark, breakable=True)}." for one in contenders if one.remark)
    caption = f"Builds side by side. {said}".strip()
    version = next((one.report.version for one in contenders if one.report is not None), "")
    return TexTable("compare", contenders[0].title, caption, columns, cells, wide=True).render(version)


COMPARISONS: Mapping[str, Callable[[Sequence[Contender]], str]] = {
    "txt": to_text,
    "md": to_markdown,
    "html": to_html,
    "json": to_json,
    "tex": to_latex,
}


def write_comparison(contenders: Sequence[Contender], folder: Path, formats: Sequence[str]) -> list[Path]:
    """Write `compare.<format>` for each format into a folder; raises UsageError for an unknown format."""
    return write_renderings(contenders, COMPARISONS, folder / "compare", formats)
