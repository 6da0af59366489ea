"""Renderings of a report: terminal, HTML, JSON, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import jinja2
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.fit.fifo_sizing import EXTRA_DEPTHS, MARGIN, MARGIN_SLACK
from muxflow.dataflow.fit.folding import FrontierPoint, SlowdownPoint
from muxflow.dataflow.text import json_text, printable
from muxflow.reports.report import KIND_TITLES, KINDS, Report
from muxflow.reports.terminal import PlainConsole

TEMPLATES = Path(__file__).parent / "templates"
CSV_COLUMNS = ("name", "kind", "shape", "fold", "cycles", "lut", "ff", "bram18", "dsp")


def summary(report: Report) -> list[tuple[str, str]]:
    """Return the figures of the report's head as (title, text), each saying what it is."""
    rows = [
        ("network", f"{report.network}, {report.operations / 1e6:.2f} M multiply-accumulates an image"),
        ("board", f"{report.board} ({report.part}) at {report.clock_mhz:g} MHz"),
    ]
    if report.accuracy:
        a = report.accuracy
        rows.append(
            ("accuracy", f"{100 * a.share:.2f} % on {a.dataset}, {a.split} split, {a.correct} of {a.images} images")
        )
    rows += [
        ("slowest node", f"{report.bottleneck}, {report.slowest_cycles:,} cycles a frame (estimate)"),
        ("interval", f"{report.interval:,} cycles between frames ({report.interval_is})"),
        ("pipelined rate", f"{report.frames_per_second:,.0f} frames/s ({report.interval_is})"),
        (
            "one-image latency",
            f"{report.latency:,} cycles, {report.latency_us:,.1f} us; one image at a time "
            f"{report.one_image_rate:,.0f} images/s ({report.cycles_are})",
        ),
    ]
    rows += [(name, _used(report, name)) for name in report.used]
    reserved = ", ".join(f"{amount:,} {name}" for name, amount in report.reserve.items() if amount)
    rows.append(
        ("shell and DMA", f"{reserved or 'nothing'} set aside, off the budget; {100 * report.sure:g} % sure to fit")
    )
    if report.margins:
        rows.append(("FIFO margins", _margins(report.margins)))
    rows += [
        (
            "limits of the tools",
            f"widest stream {report.widest_stream_bits:,} of {report.stream_bits_limit:,} bits, largest loop body "
            f"{report.largest_unroll:,} of {report.unroll_limit:,} unrolled operations",
        ),
        (
            "stored parameters",
            f"{report.parameter_bits:,} bits (weights and thresholds), "
            f"{100 * report.memory_plan.tiny_budget_share:.1f} % of 2 Mb (2 x 2^20)",
        ),
        ("generated weights", f"{report.saved_bits:,} bits not stored"),
        (
            "thresholds near a tie",
            f"{report.near_ties:,} of {report.thresholds:,} (float32 summation order could decide them)",
        ),
    ]
    if report.remarks:
        rows.append(("remarks", report.remarks))
    return rows


def _used(report: Report, name: str) -> str:
    """Say what is used of a resource, with its interval where the estimate has one."""
    ends = report.between.get(name)
    interval = f" (80 % interval {ends[0]:,}-{ends[1]:,})" if ends else ""
    return f"{report.used[name]:,}{interval} of {report.budget[name]:,} budgeted (estimate)"


def _margins(margins: Mapping[str, int]) -> str:
    """Say what the margins of the FIFOs cost, and what they are for."""
    cost = ", ".join(f"{margins[name]:+,} {name}" for name in ("LUT", "FF", "BRAM18"))
    return (
        f"{cost} against none (estimate), for no deadlock at +{max(EXTRA_DEPTHS)} stages and an interval within "
        f"{100 * (MARGIN_SLACK - 1):.0f} % at +{MARGIN}"
    )


def terminal(report: Report, *, nodes: bool = True) -> RenderableType:
    """Render the report for a terminal."""
    head = Table.grid(padding=(0, 2))
    for title, text in summary(report):
        head.add_row(Text(title, style="bold"), text)
    parts: list[RenderableType] = [head]
    if report.ladder:
        ladder = Table(title="proof ladder: integer codes compared with the integer graph", title_justify="left")
        for column in ("rung", "outcome", "images", "compared"):
            ladder.add_column(column, justify="right" if column == "images" else "left")
        for rung in report.ladder:
            style = {"equal": "green", "differs": "red"}.get(rung.status, "yellow")
            images = str(rung.images) if rung.images else "-"
            ladder.add_row(rung.title, Text(rung.status, style=style), images, rung.detail)
        parts.append(ladder)
    if report.stages:
        parts.append(_stage_table(report))
    memory = Table(title="memory", title_justify="left")
    memory.add_column("kind")
    for column in ("bits", "in primitives of", "BRAM18", "LUT", "FF"):
        memory.add_column(column, justify="right")
    memory.add_column("share")
    total = max(1, sum(report.memory_bits.values()))
    for one in report.memory_plan.totals(KINDS):
        numbers = (one.bits, one.occupied, one.bram18, one.lut, one.ff)
        bar = "█" * round(30 * one.bits / total)
        memory.add_row(KIND_TITLES[one.kind], *(f"{number:,}" for number in numbers), bar)
    saved = "░" * round(30 * report.saved_bits / total)
    memory.add_row("generated, not stored", f"{report.saved_bits:,}", "", "", "", "", saved)
    parts.append(memory)
    if report.memory_plan.joins:
        parts.append(_join_table(report))
    if nodes:
        parts += [_node_table(report), _memory_map(report), _placement_table(report)]
    return Group(*parts)


def _stage_table(report: Report) -> Table:
    table = Table(title="estimates and what the tools said", title_justify="left")
    for number, title in enumerate(report.stages[0]):
        table.add_column(title, justify="right" if number else "left")
    for row in report.stages[1:]:
        table.add_row(*row)
    return table


def _node_table(report: Report) -> Table:
    table = Table(title="nodes (cycles and resources are estimates; the slowest is marked)", title_justify="left")
    for column in ("node", "op", "output", "fold"):
        table.add_column(column)
    for column in ("cycles", "LUT", "FF", "BRAM18", "DSP"):
        table.add_column(column, justify="right")
    for row in report.nodes:
        slowest = row.name == report.bottleneck
        table.add_row(
            f"{row.name} <" if slowest else row.name,
            row.kind,
            row.shape,
            row.fold,
            *(f"{number:,}" for number in (row.cycles, row.lut, row.ff, row.bram18, row.dsp)),
            style="bold" if slowest else None,
        )
    return table


def _memory_map(report: Report) -> Table:
    table = Table(title="memory map, bits", title_justify="left")
    table.add_column("node, and the FIFOs after it")
    for kind in KINDS:
        table.add_column(KIND_TITLES[kind], justify="right")
    for row in report.nodes:
        if row.bits:
            table.add_row(row.name, *(f"{row.bits[kind]:,}" if kind in row.bits else "" for kind in KINDS))
    return table


def _join_table(report: Report) -> Table:
    table = Table(title="buffers of the joins, bits", title_justify="left")
    for column in ("join", "op", "select"):
        table.add_column(column)
    for column in ("frame buffers", "other FIFOs"):
        table.add_column(column, justify="right")
    for join in report.memory_plan.joins:
        table.add_row(join.node, join.kind, join.select, f"{join.frame_bits:,}", f"{join.fifo_bits:,}")
    return table


def _placement_table(report: Report) -> Table:
    rows = [row for row in report.memory_plan.rows if row.placement != "register"]
    small = len(report.memory_plan.rows) - len(rows)
    title = f"memories in primitives ({small} more, of depth 2 or at most 32 bits, are registers)"
    table = Table(title=title, title_justify="left")
    for column in ("node", "memory", "kind"):
        table.add_column(column)
    for column in ("words x bits", "bits"):
        table.add_column(column, justify="right")
    table.add_column("primitives")
    table.add_column("used", justify="right")
    for row in rows:
        used = f"{100 * row.bits / row.occupied:.0f} %"
        shape = f"{row.depth:,} x {row.width:,}"
        table.add_row(row.node, row.name, KIND_TITLES[row.kind], shape, f"{row.bits:,}", row.primitives, used)
    return table


def frontier_table(points: Sequence[FrontierPoint], clock_mhz: float) -> Table:
    """Render frame rate against resources as a table."""
    table = Table(title="frontier: the cheapest folds of each rate (estimate)", title_justify="left")
    for column in ("frames/s", "cycles a frame", "LUT", "FF", "BRAM18", "DSP"):
        table.add_column(column, justify="right")
    for point in points:
        numbers = (point.interval, *(amount for _, amount in point.resources.items()))
        table.add_row(f"{clock_mhz * 1e6 / point.interval:,.0f}", *(f"{number:,}" for number in numbers))
    return table


def slowdown_table(points: Sequence[SlowdownPoint]) -> Table:
    """Render FIFO bits against the interval as a table."""
    table = Table(title="FIFOs that may slow the pipeline down (cycle simulation)", title_justify="left")
    for column in ("allowed cycles a frame", "cycles a frame", "FIFO bits", "saved", "LUT", "BRAM18"):
        table.add_column(column, justify="right")
    most = max((point.fifo_bits for point in points[:1]), default=1)
    for point in points:
        table.add_row(
            f"{point.allowed:,.0f}",
            f"{point.interval:,.0f}",
            f"{point.fifo_bits:,}",
            f"{100 * (1 - point.fifo_bits / most):.1f} %",
            f"{point.resources.lut:,}",
            f"{point.resources.bram18:,}",
        )
    return table


def to_json(report: Report) -> str:
    """Render the report as JSON, derived figures included."""
    entry = asdict(report)
    entry["parameter_bits"] = report.parameter_bits
    entry["saved_bits"] = report.saved_bits
    entry["frames_per_second"] = round(report.frames_per_second, 3)
    entry["latency_us"] = round(report.latency_us, 3)
    entry["figures"] = f"resources and node cycles: estimate; interval, rate and latency: {report.interval_is}"
    return json_text(entry)


def to_csv(report: Report) -> str:
    """Render the table of nodes as CSV, bits by kind of memory in columns of their own."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *(f"{kind}_bits" for kind in KINDS)])
    for row in report.nodes:
        writer.writerow([*(getattr(row, name) for name in CSV_COLUMNS), *(row.bits.get(kind, 0) for kind in KINDS)])
    return printable(out.getvalue())


LATEX = {
    **{character: f"\\{character}" for character in "_%&#${}"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "\n": " ",
}
"""How LaTeX writes the characters that give it orders."""


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in printable(text))


def to_latex(report: Report) -> str:
    """Render a booktabs table for a paper; every figure says that it is an estimate."""
    return _environment("latex").get_template("report.tex.j2").render(report=report, tex=_latex)


def to_html(report: Report) -> str:
    """Render one self-contained page, the memory budget drawn as bars."""
    largest = max(1, max(sum(row.bits.values()) for row in report.nodes))
    return printable(
        _environment("html")
        .get_template("report.html.j2")
        .render(report=report, summary=summary(report), kinds=KINDS, titles=KIND_TITLES, largest=largest)
    )


def to_text(report: Report) -> str:
    """Render the report as plain text, as on a terminal."""
    console = PlainConsole(file=io.StringIO(), width=150, force_terminal=False, color_system=None)
    console.print(terminal(report))
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def _environment(kind: str) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=kind == "html",
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    if kind == "latex":
        # Braces and percent signs belong to LaTeX.
        environment = environment.overlay(
            block_start_string="<%", block_end_string="%>", variable_start_string="<<", variable_end_string=">>"
        )
    return environment


FORMATS: dict[str, Callable[[Report], str]] = {
    "txt": to_text,
    "html": to_html,
    "json": to_json,
    "csv": to_csv,
    "tex": to_latex,
}


def write_report(report: Report, folder: Path, formats: tuple[str, ...] = tuple(FORMATS)) -> list[Path]:
    """Write `report.<format>` for each format into a folder; raises MuxflowError for an unknown format."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"report format {unknown[0]!r}; supported: {', '.join(FORMATS)}")
    paths = []
    for name in formats:
        path = folder / f"report.{name}"
        write_atomically(path, FORMATS[name](report).encode())
        paths.append(path)
    return paths
