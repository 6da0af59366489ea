"""Renderings of a report: terminal, HTML, JSON, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import jinja2
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph import write_atomically
from muxflow.dataflow.op import STREAM_BITS_LIMIT, UNROLL_LIMIT
from muxflow.reports.report import KIND_TITLES, KINDS, Report

TEMPLATES = Path(__file__).parent / "templates"
CSV_COLUMNS = ("name", "kind", "shape", "fold", "cycles", "lut", "ff", "bram18", "dsp")


def summary(report: Report) -> list[tuple[str, str]]:
    """The figures of the report's head as (title, text), each saying what it is."""
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
        ("interval", f"{report.interval:,} cycles between frames ({report.cycles_are})"),
        ("pipelined rate", f"{report.frames_per_second:,.0f} frames/s ({report.cycles_are})"),
        (
            "one-image latency",
            f"{report.latency:,} cycles, {report.latency_us:,.1f} us; one image at a time "
            f"{report.one_image_rate:,.0f} images/s ({report.cycles_are})",
        ),
    ]
    rows += [(name, f"{used:,} of {report.budget[name]:,} budgeted (estimate)") for name, used in report.used.items()]
    rows += [
        (
            "limits of the tools",
            f"widest stream {report.widest_stream_bits:,} of {STREAM_BITS_LIMIT:,} bits, largest loop body "
            f"{report.largest_unroll:,} of {UNROLL_LIMIT:,} unrolled operations",
        ),
        ("stored parameters", f"{report.parameter_bits:,} bits (weights and thresholds)"),
        ("generated weights", f"{report.saved_bits:,} bits not stored"),
        (
            "thresholds near a tie",
            f"{report.near_ties:,} of {report.thresholds:,} (float32 summation order could decide them)",
        ),
    ]
    if report.remarks:
        rows.append(("remarks", report.remarks))
    return rows


def terminal(report: Report, *, nodes: bool = True) -> RenderableType:
    """The report for a terminal."""
    head = Table.grid(padding=(0, 2))
    for title, text in summary(report):
        head.add_row(Text(title, style="bold"), text)
    parts: list[RenderableType] = [head]
    if report.ladder:
        ladder = Table(title="proof ladder: integer codes compared with the integer graph", title_justify="left")
        for column in ("step", "outcome", "images", "compared"):
            ladder.add_column(column, justify="right" if column == "images" else "left")
        for rung in report.ladder:
            style = "green" if rung.status == "equal" else "yellow"
            images = str(rung.images) if rung.images else "-"
            ladder.add_row(rung.title, Text(rung.status, style=style), images, rung.detail)
        parts.append(ladder)
    memory = Table(title="memory", title_justify="left")
    memory.add_column("kind")
    memory.add_column("bits", justify="right")
    memory.add_column("share")
    total = max(1, sum(report.memory_bits.values()))
    for kind in KINDS:
        bits = report.memory_bits[kind]
        memory.add_row(KIND_TITLES[kind], f"{bits:,}", "█" * round(30 * bits / total))
    memory.add_row("generated, not stored", f"{report.saved_bits:,}", "░" * round(30 * report.saved_bits / total))
    parts.append(memory)
    if nodes:
        parts += [_node_table(report), _memory_map(report)]
    return Group(*parts)


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
    table.add_column("node, and the FIFOs behind it")
    for kind in KINDS:
        table.add_column(KIND_TITLES[kind], justify="right")
    for row in report.nodes:
        if row.bits:
            table.add_row(row.name, *(f"{row.bits[kind]:,}" if kind in row.bits else "" for kind in KINDS))
    return table


def to_json(report: Report) -> str:
    """The report as JSON, derived figures included."""
    entry = asdict(report)
    entry["frames_per_second"] = round(report.frames_per_second, 3)
    entry["latency_us"] = round(report.latency_us, 3)
    entry["figures"] = f"resources and node cycles: estimate; interval, rate and latency: {report.cycles_are}"
    return json.dumps(entry, indent=2, sort_keys=True) + "\n"


def to_csv(report: Report) -> str:
    """The table of nodes as CSV, bits by kind of memory in columns of their own."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([*CSV_COLUMNS, *(f"{kind}_bits" for kind in KINDS)])
    for row in report.nodes:
        writer.writerow([*(getattr(row, name) for name in CSV_COLUMNS), *(row.bits.get(kind, 0) for kind in KINDS)])
    return out.getvalue()


def _latex(text: str) -> str:
    for plain, escaped in (("\\", r"\textbackslash{}"), ("_", r"\_"), ("%", r"\%"), ("&", r"\&"), ("#", r"\#")):
        text = text.replace(plain, escaped)
    return text


def to_latex(report: Report) -> str:
    """A booktabs table for a paper; every figure says that it is an estimate."""
    return _environment("latex").get_template("report.tex.j2").render(report=report, tex=_latex)


def to_html(report: Report) -> str:
    """One self-contained page, the memory budget drawn as bars."""
    largest = max(1, max(sum(row.bits.values()) for row in report.nodes))
    return (
        _environment("html")
        .get_template("report.html.j2")
        .render(report=report, summary=summary(report), kinds=KINDS, titles=KIND_TITLES, largest=largest)
    )


def to_text(report: Report) -> str:
    """The terminal rendering as plain text."""
    console = Console(file=io.StringIO(), width=150, force_terminal=False, color_system=None)
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
    """Writes `report.<format>` for each format into a folder; raises MuxflowError for an unknown format."""
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise MuxflowError(f"report format {unknown[0]!r}; supported: {', '.join(FORMATS)}")
    paths = []
    for name in formats:
        path = folder / f"report.{name}"
        write_atomically(path, FORMATS[name](report).encode())
        paths.append(path)
    return paths
