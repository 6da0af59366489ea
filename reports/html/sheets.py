"""The tables of a page: those that a terminal shows, and the nodes, which the drawing points to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from muxflow.dataflow.quantities import count
from muxflow.reports import tables
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.rows import KIND_TITLES, KINDS

LOOKS = {
    "equal": "good",
    "done": "good",
    "equal but for ties": "warn",
    "stale": "warn",
    "unfinished": "warn",
    "differs": "bad",
    "not run": "none",
}
"""How the outcome of a rung and the state of a stage look, by class of the style sheet."""
LONG = 40
"""Most characters of a cell that stay on one line (decision)."""


@dataclass(frozen=True)
class Cell:
    """A cell: its text, and the classes of the style sheet that say how it looks."""

    text: str
    look: str = ""


@dataclass(frozen=True)
class Sheet:
    """A table with a title for the contents, a note below it, columns (title, whether of numbers) and rows.

    `marked`: the number of the row of the bottleneck; `sortable`: whether rows may be put in another order, and filtered. A
    sheet without rows says "not run".
    """

    anchor: str
    title: str
    note: str
    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[Cell, ...], ...]
    marked: int | None = None
    sortable: bool = True


def look(text: str) -> str:
    """Give the class of a state or outcome, with what is said of it after a colon; "" for any other text."""
    return LOOKS.get(text.partition(":")[0], "")


def sheet(anchor: str, made: Group) -> Sheet:
    """Take over a table of a terminal: its title ends where the first remark begins."""
    (heading,) = (part.plain for part in made.renderables if isinstance(part, Text))
    (table,) = (part for part in made.renderables if isinstance(part, Table))
    end = min((place for mark in ";:(" if (place := heading.find(mark)) > 0), default=len(heading))
    note = heading[end:].strip(" ;:")
    note = note[1:-1] if note.startswith("(") and note.find(")") == len(note) - 1 else note
    held = tables.contents(table)
    rows = tuple(
        tuple(cell(one, number) for one, (_, number) in zip(row, held.columns, strict=True)) for row in held.rows
    )
    title = heading[:end].strip()
    return Sheet(anchor, title[:1].upper() + title[1:], note, held.columns, rows)


def cell(text: str, number: bool) -> Cell:
    """Make a cell of text or of a number; it looks as long as it is, and as the state that it tells."""
    looks = (
        "number" if number else "",
        "long" if len(text) > LONG else "",
        "blocks" if text and not text.strip("█░") else look(text),
    )
    return Cell(text, " ".join(one for one in looks if one))


def nodes(report: Report) -> Sheet:
    """Tabulate every node with its layer, its resources and the bits that it stores, by kind."""
    titles = (("node", False), ("layer", False), ("type", False), ("output", False), ("fold", False), ("cycles", True))
    columns = (*titles, *((name, True) for name in report.used), ("bits", True), ("stored", False))
    layers = {name: layer.name for layer in report.layers for name in layer.nodes}
    rows = []
    for row in report.nodes:
        stored = "; ".join(f"{KIND_TITLES[kind]} {count(row.bits[kind])}" for kind in KINDS if row.bits.get(kind))
        texts = (row.name, layers.get(row.name, row.layer), row.kind, row.output, row.parallel)
        numbers = (row.cycles, *(getattr(row, name.lower()) for name in report.used), sum(row.bits.values()))
        rows.append(
            (
                *(cell(text, False) for text in texts),
                *(cell(count(number), True) for number in numbers),
                cell(stored, False),
            )
        )
    marked = next((number for number, row in enumerate(report.nodes) if row.name == report.bottleneck), None)
    return Sheet("nodes", "Nodes", "estimate; the slowest one is marked", columns, tuple(rows), marked)


def of_proof(report: Report) -> Iterator[Sheet]:
    """Give the tables of what was proved and counted."""
    yield sheet("ladder", tables.ladder(report))
    yield sheet("stages", tables.stages(report))
    yield sheet("derived", tables.derived_figures(report))


def of_memory(report: Report) -> Iterator[Sheet]:
    """Give the tables of functions, memory, energy and rate, those aside that this design has no row of."""
    yield sheet("functions", tables.functions(report))
    yield sheet("memory", tables.memory(report))
    if report.hybrid:
        yield sheet("weights", tables.weights(report))
    if report.memory_plan.joins:
        yield sheet("joins", tables.joins(report))
    yield sheet("energy", tables.energy(report))
    yield sheet("frontier", tables.frontier(report.frontier, report.clock_mhz))


def of_parts(report: Report) -> Iterator[Sheet]:
    """Give the tables of layers, nodes, memories and FIFOs, and where the report comes from."""
    yield sheet("layers", tables.layers(report))
    yield nodes(report)
    yield sheet("memories", tables.placements(report))
    yield sheet("fifos", tables.fifos(report))
    yield sheet("provenance", tables.provenance(report))
