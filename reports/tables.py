"""The tables of a report, for terminals and plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group
from rich.table import Table
from rich.text import Text

from muxflow.dataflow.fit.curves import FrontierPoint, SlowdownPoint
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.quantities import count, rounded, share
from muxflow.reports.layers import LayerRow
from muxflow.reports.report import KIND_TITLES, KINDS, NodeRow, Report, Rung

SLOWEST = 5
"""Layers that a short report lists."""


def grid(rows: Iterable[tuple[str, str]]) -> Table:
    """Lay out titles and what stands beside each."""
    head = Table.grid(padding=(0, 2))
    for title, text in rows:
        head.add_row(Text(title, style="bold"), text)
    return head


def table(left: Sequence[str], right: Sequence[str] = ()) -> Table:
    """Make a table of columns of text and of numbers."""
    begun = Table(box=None, pad_edge=False, padding=(0, 1))
    for column in left:
        begun.add_column(column, overflow="fold")
    for column in right:
        begun.add_column(column, justify="right")
    return begun


def titled(title: str, made: Table) -> Group:
    """Put a blank line and a title, however long, above a table."""
    return Group("", Text(title, style="italic"), made)


def ladder(rungs: Sequence[Rung]) -> Group:
    """Tabulate what was compared with the integer graph, and the outcome."""
    made = table(("rung", "outcome"))
    made.add_column("images", justify="right")
    made.add_column("compared")
    for rung in rungs:
        style = {"equal": "green", "differs": "red"}.get(rung.status, "yellow")
        images = count(rung.images) if rung.images else "-"
        made.add_row(rung.title, Text(rung.status, style=style), images, rung.detail)
    return titled("proof ladder: integer codes compared with the integer graph", made)


def stages(rows: Sequence[Sequence[str]]) -> Group:
    """Tabulate the estimates and what the tools said, titles first."""
    made = table(rows[0][:1], rows[0][1:])
    for row in rows[1:]:
        made.add_row(*row)
    return titled("estimates and what the tools said", made)


def memory(report: Report) -> Group:
    """Tabulate what is stored, by kind."""
    ultra = ("URAM",) if "URAM" in report.used else ()
    made = table(("kind",), ("bits", "in primitives of", "BRAM18", *ultra, "LUT", "FF"))
    made.add_column("share")
    total = max(1, sum(report.memory_bits.values()))
    for one in report.memory_plan.totals(KINDS):
        if one.bits:
            numbers = (one.bits, one.occupied, one.bram18, *((one.uram,) if ultra else ()), one.lut, one.ff)
            made.add_row(KIND_TITLES[one.kind], *map(count, numbers), "█" * round(30 * one.bits / total))
    if report.saved_bits:
        saved = "░" * round(30 * report.saved_bits / total)
        made.add_row("generated, not stored", count(report.saved_bits), *[""] * (4 + len(ultra)), saved)
    return titled("memory", made)


def weights(report: Report) -> Group:
    """Tabulate what each layer stores of weights, by kind."""
    made = table(("layer", "filters x weights x bits"), ("bits", "saved"))
    for row in report.weights:
        kinds = " + ".join(f"{count(one.filters)} x {count(one.columns)} x {one.bits}" for one in row.kinds)
        made.add_row(row.layer, kinds, count(row.stored), share(row.uniform - row.stored, row.uniform))
    return titled("weights; saved against all filters of a layer on its finest grid", made)


def energy(report: Report) -> Group:
    """Tabulate the estimated energy of a frame."""
    made = table(("work",), ("a frame", "µJ", "share"))
    total = max(1e-9, report.microjoules)
    for part in report.energy:
        here = part.picojoules / 1e6
        made.add_row(part.kind, count(part.count), rounded(here), f"{100 * here / total:.0f} %")
    return titled(f"energy of a frame: estimate, no measurement; {report.energy_source}", made)


def joins(report: Report) -> Group:
    """Tabulate what joins of several streams cost in buffers."""
    made = table(("join", "op", "select"), ("frame buffers", "other FIFOs"))
    for join in report.memory_plan.joins:
        made.add_row(join.node, join.kind, join.select, count(join.frame_bits), count(join.fifo_bits))
    return titled("buffers of the joins, bits", made)


def slowest_layers(report: Report) -> Group:
    """Tabulate the slowest layers, slowest first, and say how many more there are."""
    rows = sorted(report.layers, key=lambda row: -row.cycles)[:SLOWEST]
    which = f"the {len(rows)} slowest of {count(len(report.layers))} layers"
    title = which if len(rows) < len(report.layers) else "layers, the slowest first"
    made = table(("layer", "type", "output", "fold"), ("cycles", *report.used))
    for row in rows:
        made.add_row(row.name, row.title, row.output, row.fold, *_amounts(report, row))
    return titled(f"{title} (estimate)", made)


def nodes(report: Report) -> Group:
    """Tabulate every layer and, where it has several, its nodes."""
    made = table(("node", "type", "output", "fold"), ("cycles", *report.used))
    rows = {row.name: row for row in report.nodes}
    for layer in report.layers:
        alone = layer.nodes == (report.bottleneck,)
        style = "bold" if alone else None
        made.add_row(
            f"{layer.name} <" if alone else layer.name,
            layer.title,
            layer.output,
            layer.fold,
            *_amounts(report, layer),
            style=style,
        )
        for row in (rows[name] for name in layer.nodes if len(layer.nodes) > 1):
            slowest = row.name == report.bottleneck
            name = f"  {row.name} <" if slowest else f"  {row.name}"
            texts = (name, row.kind, row.output, row.parallel, *_amounts(report, row))
            made.add_row(*texts, style="bold" if slowest else None)
    return titled("layers and their nodes (estimate; < marks the slowest)", made)


def _amounts(report: Report, row: LayerRow | NodeRow) -> tuple[str, ...]:
    return tuple(map(count, (row.cycles, *(getattr(row, name.lower()) for name in report.used))))


def placements(report: Report) -> Group:
    """Tabulate the memories that lie in block RAMs and LUTs."""
    rows = [row for row in report.memory_plan.rows if row.placement != "register"]
    small = len(report.memory_plan.rows) - len(rows)
    title = f"memories in primitives ({count(small)} more, of depth 2 or at most 32 bits, are registers)"
    made = table(("node", "memory", "kind"), ("words x bits", "bits"))
    made.add_column("primitives")
    made.add_column("used", justify="right")
    for row in rows:
        shape = f"{count(row.depth)} x {count(row.width)}"
        used = share(row.bits, row.occupied)
        made.add_row(row.node, row.name, KIND_TITLES[row.kind], shape, count(row.bits), row.primitives, used)
    return titled(title, made)


def frontier(points: Sequence[FrontierPoint], clock_mhz: float) -> Group:
    """Set frame rate against resources."""
    ultra = any(point.resources.uram for point in points)
    names = [name for name, _ in Resources().items() if ultra or name != "URAM"]
    made = table((), ("frames/s", "cycles a frame", *names))
    for point in points:
        amounts = dict(point.resources.items())
        numbers = (point.interval, *(amounts[name] for name in names))
        made.add_row(rounded(clock_mhz * 1e6 / point.interval), *map(count, numbers))
    return titled("frontier: the cheapest folds of each rate (estimate)", made)


def slowdown(points: Sequence[SlowdownPoint]) -> Group:
    """Set FIFO bits against the interval."""
    amounts = ("allowed cycles a frame", "cycles a frame", "FIFO bits", "saved", "LUT", "BRAM18")
    made = table((), amounts)
    most = max((point.fifo_bits for point in points[:1]), default=1)
    for point in points:
        used = point.resources
        numbers = (round(point.allowed), round(point.interval), point.fifo_bits)
        saved = share(most - point.fifo_bits, most)
        made.add_row(*map(count, numbers), saved, count(used.lut), count(used.bram18))
    return titled("FIFOs that may slow the pipeline down (cycle simulation)", made)
