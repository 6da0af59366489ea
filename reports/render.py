"""Renderings of a report: terminal, HTML, JSON, CSV, LaTeX."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

import jinja2
from rich.console import Group, RenderableType

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.fit.deadlock import EXTRA_DEPTHS
from muxflow.dataflow.fit.fifo_sizing import MARGIN, MARGIN_SLACK
from muxflow.dataflow.quantities import count, counted, percent, rate, rounded, share, si
from muxflow.dataflow.text import cell, json_text, printable
from muxflow.reports import tables
from muxflow.reports.report import KIND_TITLES, KINDS, Accuracy, Report
from muxflow.reports.terminal import PlainConsole

TEMPLATES = Path(__file__).parent / "templates"
CSV_COLUMNS = ("name", "kind", "shape", "fold", "cycles", "lut", "ff", "bram18", "dsp", "uram")


def accuracy_text(found: Accuracy) -> str:
    """Write an accuracy with its data set and number of images."""
    images = f"{count(found.correct)} of {counted(found.images, 'image')}"
    return f"{percent(found.share)} on {found.source}, {images}"


def summary(report: Report) -> list[tuple[str, str]]:
    """Return the figures that everybody reads as (title, text), each saying what it is."""
    rows = [
        ("network", f"{report.network}, {si(report.operations, 'MAC')} an image"),
        ("board", f"{report.board} ({report.part}) at {report.clock_mhz:g} MHz"),
    ]
    if report.accuracy:
        rows.append(("accuracy", accuracy_text(report.accuracy)))
    rows += [
        ("slowest node", f"{report.bottleneck}, {counted(report.slowest_cycles, 'cycle')} a frame (estimate)"),
        ("what binds", report.ceiling),
        ("interval", f"{counted(report.interval, 'cycle')} between frames ({report.interval_is})"),
        ("pipelined rate", f"{rate(report.frames_per_second)} ({report.interval_is})"),
        (
            "one-image latency",
            f"{count(report.latency)} cycles, {si(report.latency_us * 1e-6, 's')}; one image at a time "
            f"{rate(report.one_image_rate, 'images')} ({report.cycles_are})",
        ),
    ]
    rows += [(name, _used(report, name)) for name in report.used]
    if report.near_ties:
        rows.append(_near_ties(report))
    if report.remarks:
        rows.append(("remarks", report.remarks))
    return rows


def details(report: Report) -> list[tuple[str, str]]:
    """Return the further figures of the report's head, as `summary` does."""
    reserved = ", ".join(f"{count(amount)} {name}" for name, amount in report.reserve.items() if amount)
    rows = [
        ("shell and DMA", f"{reserved or 'nothing'} set aside, off the budget; {100 * report.sure:g} % sure to fit")
    ]
    if report.margins:
        rows.append(("FIFO margins", _margins(report.margins)))
    plan = report.memory_plan
    rows += [
        (
            "limits of the tools",
            f"widest stream {count(report.widest_stream_bits)} of {count(report.stream_bits_limit)} bits, largest loop body "
            f"{count(report.largest_unroll)} of {count(report.unroll_limit)} unrolled operations",
        ),
        ("stored parameters", f"{si(plan.parameter_bits, 'bit')} of weights and thresholds"),
    ]
    if words := plan.loaded_words:
        bits = report.memory_bits["loaded"]
        time = si(words / (report.clock_mhz * 1e6), "s")
        rows.append(
            (
                "loading weights",
                f"{si(bits, 'bit')} in {count(words)} words, a cycle each: {time} at best, part of no frame",
            )
        )
    stored, uniform = report.weight_bits
    if stored < uniform:
        text = f"{si(stored, 'bit')}, {share(uniform - stored, uniform)} less than {si(uniform, 'bit')} of one grid a layer"
        rows.append(("hybrid banks", text))
    rows.append(
        ("energy", f"{rounded(report.microjoules)} µJ a frame (estimate, no measurement; {report.energy_source})")
    )
    if report.saved_bits:
        rows.append(("generated weights", f"{si(report.saved_bits, 'bit')} not stored"))
    if saved := plan.saved_threshold_bits:
        rows.append(("bit shifts", f"{si(saved, 'bit')} of thresholds not stored: a bias and a shift give the codes"))
    if not report.near_ties:
        rows.append(_near_ties(report))
    return rows


def _near_ties(report: Report) -> tuple[str, str]:
    number = f"{count(report.near_ties)} of {count(report.thresholds)}"
    return "thresholds near a tie", f"{number} (float32 summation order could decide them)"


def _used(report: Report, name: str) -> str:
    """Say what is used of a resource, with its interval where the estimate has one."""
    ends = report.between.get(name)
    between = f", 80 % interval {count(ends[0])}-{count(ends[1])}" if ends else ""
    used, budget = report.used[name], report.budget[name]
    return f"{count(used)} of {count(budget)} budgeted, {share(used, budget)} (estimate{between})"


def _margins(margins: Mapping[str, int]) -> str:
    """Say what the margins of the FIFOs cost, and what they are for."""
    cost = ", ".join(f"{margins[name]:+,} {name}" for name in ("LUT", "FF", "BRAM18"))
    return (
        f"{cost} against none (estimate), for no deadlock at +{max(EXTRA_DEPTHS)} stages and an interval within "
        f"{100 * (MARGIN_SLACK - 1):.0f} % at +{MARGIN}"
    )


def terminal(report: Report, *, verbose: bool = True) -> RenderableType:
    """Render the report for a terminal: all of it, or without `verbose` the figures of `summary` and the slowest layers."""
    parts: list[RenderableType] = [tables.grid(summary(report) + (details(report) if verbose else []))]
    if report.ladder:
        parts.append(tables.ladder(report.ladder))
    if report.stages:
        parts.append(tables.stages(report.stages))
    if not verbose:
        return Group(*parts, tables.slowest_layers(report))
    parts.append(tables.memory(report))
    if report.hybrid:
        parts.append(tables.weights(report))
    parts.append(tables.energy(report))
    if report.memory_plan.joins:
        parts.append(tables.joins(report))
    return Group(*parts, tables.nodes(report), tables.placements(report))


def proof(report: Report) -> RenderableType:
    """Render what was proved of a project: the accuracy, and the proof ladder."""
    known = ("network", "accuracy")
    return Group(tables.grid(row for row in summary(report) if row[0] in known), tables.ladder(report.ladder))


def to_json(report: Report) -> str:
    """Render the report as JSON, derived figures included."""
    entry = asdict(report)
    entry["parameter_bits"] = report.parameter_bits
    entry["saved_bits"] = report.saved_bits
    entry["weight_bits"], entry["uniform_weight_bits"] = report.weight_bits
    entry["microjoules"] = round(report.microjoules, 6)
    entry["loaded_words"] = report.memory_plan.loaded_words
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
        writer.writerow(
            [*(cell(getattr(row, name)) for name in CSV_COLUMNS), *(row.bits.get(kind, 0) for kind in KINDS)]
        )
    return printable(out.getvalue())


LATEX = {
    **{character: f"\\{character}" for character in "_%&#${}"},
    "\\": r"\textbackslash{}",
    "^": r"\textasciicircum{}",
    "~": r"\textasciitilde{}",
    "\n": " ",
    **{
        character: f"{{{character}}}" for character in "[]*"
    },  # a row that begins with one would be an argument of the last
    "µ": r"\textmu ",
}
"""How LaTeX writes the characters that give it orders."""


def _latex(text: str) -> str:
    return "".join(LATEX.get(character, character) for character in printable(text))


def to_latex(report: Report) -> str:
    """Render a booktabs table for a paper; every figure says that it is an estimate."""
    return _environment("latex").get_template("report.tex.j2").render(report=report, tex=_latex)


def to_html(report: Report) -> str:
    """Render one self-contained page, the memory budget drawn as bars."""
    page = _environment("html").get_template("report.html.j2")
    figures = {
        "summary": summary(report) + details(report),
        "rows": {row.name: row for row in report.nodes},
        "largest": max(1, max(sum(row.bits.values()) for row in report.nodes)),
    }
    return printable(page.render(report=report, kinds=KINDS, titles=KIND_TITLES, **figures))


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
    environment.filters.update(count=count, percent=percent, rate=rate, si=si, share=share)
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
