"""Renderings of a report: each format is named once, in RENDERINGS."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.outputs import write_below
from muxflow.dataflow.text import cell, encoded, printable
from muxflow.reports import tables
from muxflow.reports.html.page import to_html
from muxflow.reports.latex.kit import to_latex
from muxflow.reports.schema.file import to_text as to_json
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.rows import KINDS
from muxflow.reports.summary import details, summary
from muxflow.reports.terminal import PlainConsole

T = TypeVar("T")
CSV_COLUMNS = ("name", "kind", "shape", "fold", "cycles", "lut", "ff", "bram18", "dsp", "uram")
WIDTH = 150
"""Characters of a line of `report.txt`."""


def terminal(report: Report, *, verbose: bool = True) -> RenderableType:
    """Render the report for a terminal: all of it, or without `verbose` the figures of `summary` and the slowest layers."""
    parts: list[RenderableType] = [tables.grid(summary(report) + (details(report) if verbose else []))]
    if report.ladder:
        parts.append(tables.ladder(report))
    if verbose or any(stage.state != "not run" for stage in report.stages[1:]):
        parts.append(tables.stages(report))
    if not verbose:
        return Group(*parts, tables.slowest_layers(report))
    parts += [tables.derived_figures(report), tables.functions(report), tables.memory(report)]
    if report.hybrid:
        parts.append(tables.weights(report))
    parts.append(tables.energy(report))
    if report.memory_plan.joins:
        parts.append(tables.joins(report))
    parts += [tables.layers(report), tables.nodes(report), tables.placements(report), tables.fifos(report)]
    if report.frontier:
        parts.append(tables.frontier(report.frontier, report.clock_mhz))
    return Group(*parts, tables.provenance(report))


def proof(report: Report) -> RenderableType:
    """Render what was proved of a project: the accuracy, and the proof ladder."""
    known = ("network", "accuracy")
    return Group(tables.grid(row for row in summary(report) if row[0] in known), tables.ladder(report))


def to_csv(report: Report) -> str:
    """Render the table of nodes as CSV, bits by kind of memory in columns of their own."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *(f"{kind}_bits" for kind in KINDS)])
    for row in report.nodes:
        writer.writerow(
            [*(cell(getattr(row, name)) for name in CSV_COLUMNS), *(row.bits.get(kind, 0) for kind in KINDS)]
        )
    return printable(out.getvalue())


def plain(shown: RenderableType, width: int = WIDTH) -> str:
    """Write what a terminal would show as plain text."""
    console = PlainConsole(file=io.StringIO(), width=width, force_terminal=False, color_system=None)
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def to_text(report: Report) -> str:
    """Render the report as plain text, as on a terminal."""
    return plain(terminal(report))


def to_markdown(report: Report) -> str:
    """Render what the terminal shows as Markdown."""
    return markdown(f"{report.network} on {report.board}", terminal(report))


def markdown(title: str, shown: RenderableType) -> str:
    """Write a title and what a terminal would show as Markdown: headings and tables."""
    return printable("\n".join([f"# {_mark(title)}", "", *_blocks([shown])]))


def _blocks(parts: Iterable[RenderableType]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, Group):
            yield from _blocks(part.renderables)
        elif isinstance(part, Table):
            yield from (*_table(part), "")
        elif isinstance(part, Text):
            yield from (f"## {_mark(part.plain)}", "")


def _table(table: Table) -> Iterator[str]:
    def row(cells: Iterable[str]) -> str:
        return f"| {' | '.join(map(_mark, cells))} |"

    held = tables.contents(table)
    yield row(title for title, _ in held.columns)
    yield f"|{'|'.join('---:' if number else '---' for _, number in held.columns)}|"
    yield from map(row, held.rows)


MARKS = str.maketrans({character: f"\\{character}" for character in "\\`*_{}[]<>#+|~$&!"} | {"\n": " "})
"""How Markdown writes the characters that give it orders."""


def _mark(text: str) -> str:
    return text.translate(MARKS)


RENDERINGS: Mapping[str, Callable[[Report], str]] = {
    "txt": to_text,
    "md": to_markdown,
    "html": to_html,
    "json": to_json,
    "csv": to_csv,
    "tex": to_latex,
}


def check_formats(names: Iterable[str], known: Iterable[str] = RENDERINGS) -> tuple[str, ...]:
    """Give the formats of those names; raises UsageError for one that is not known, and for none."""
    chosen = tuple(name.strip() for name in names if name.strip())
    wrong = next((name for name in chosen if name not in known), None if chosen else "")
    if wrong is not None:
        raise UsageError(f"report format {wrong!r}; supported: {', '.join(known)}")
    return chosen


def write_report(report: Report, folder: Path, formats: Iterable[str] = tuple(RENDERINGS)) -> list[Path]:
    """Write `report.<format>` for each format into a folder, all or none; raises UsageError for an unknown format."""
    return write_below(folder, rendered(report, RENDERINGS, "report", formats))


def rendered(
    shown: T, renderings: Mapping[str, Callable[[T], str]], name: str, formats: Iterable[str]
) -> dict[str, bytes]:
    """Give what `<name>.<format>` holds for each format, by that name; raises UsageError for an unknown one."""
    return {f"{name}.{ending}": encoded(renderings[ending](shown)) for ending in check_formats(formats, renderings)}
