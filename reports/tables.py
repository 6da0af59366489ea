"""The tables of a report, for terminals and plain text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Group
from rich.table import Table
from rich.text import Text

from muxflow.dataflow.fit.curves import SlowdownPoint
from muxflow.dataflow.fit.folded import FIFO_DEPTH
from muxflow.dataflow.quantities import count, percent, rounded, share
from muxflow.reports.schema.derived import derived
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.rows import KIND_TITLES, KINDS, FrontierRow, LayerRow, NodeRow
from muxflow.reports.schema.stages import Stage

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


@dataclass(frozen=True)
class Contents:
    """What a table holds: columns (title, whether of numbers), and the texts of its rows."""

    columns: tuple[tuple[str, bool], ...]
    rows: tuple[tuple[str, ...], ...]


def contents(made: Table) -> Contents:
    """Take what a table holds out of it, for what is no terminal."""
    columns = tuple((_plain(column.header), column.justify == "right") for column in made.columns)
    cells = zip(*(list(column.cells) for column in made.columns), strict=True)
    return Contents(columns, tuple(tuple(map(_plain, row)) for row in cells))


def _plain(text: object) -> str:
    return text.plain if isinstance(text, Text) else str(text)


def ladder(report: Report) -> Group:
    """Tabulate what was compared with the integer graph, the outcome, and the accuracy where it is known."""
    made = table(("rung", "outcome"))
    for column in ("images", "accuracy"):
        made.add_column(column, justify="right")
    made.add_column("compared")
    for rung in report.ladder:
        style = {"equal": "green", "differs": "red"}.get(rung.status, "yellow")
        images = count(rung.images) if rung.images else "-"
        accuracy = report.accuracy_at(rung)
        right = "-" if accuracy is None else percent(accuracy.share)
        made.add_row(rung.title, Text(rung.status, style=style), images, right, rung.detail)
    return titled("proof ladder: integer codes compared with the integer graph", made)


def stages(report: Report) -> Group:
    """Tabulate the estimates and what the tools said."""
    rows = stage_rows(report)
    made = table(rows[0][:1], rows[0][1:])
    for row in rows[1:]:
        made.add_row(*row)
    return titled("estimates and what the tools said; in brackets: per cent of the device, error of the estimate", made)


def stage_rows(report: Report) -> list[tuple[str, ...]]:
    """Lay out the stages, titles first: a row a resource, then cycles and clock; a stage that has not run says so."""
    rows = [("", *(stage.title for stage in report.stages))]
    rows += [(name, *(_amount(report, stage, name) for stage in report.stages)) for name in report.used]
    rows += [
        ("interval, cycles", *(_range(stage.interval) for stage in report.stages)),
        ("latency, cycles", *(_range(stage.latency) for stage in report.stages)),
        ("clock period, ns", *("" if one.period_ns is None else f"{one.period_ns:.3f}" for one in report.stages)),
        ("slack, ns", *("" if stage.slack_ns is None else f"{stage.slack_ns:.3f}" for stage in report.stages)),
        ("pipelines", *(stage.pipelines for stage in report.stages)),
        ("state", *(f"{one.state}: {one.detail}" if one.detail else one.state for one in report.stages)),
    ]
    return rows


def _amount(report: Report, stage: Stage, name: str) -> str:
    """Write what a stage counts of a resource, with its share of the device and the error of the estimate."""
    if name not in stage.used:
        return ""
    amount = stage.used[name]
    told = [share(amount, report.available[name])] if report.available.get(name) else []
    error = None if stage.name == report.stages[0].name else report.error(name, stage)
    told += [] if error is None else [f"{100 * error:+.0f} %"]
    return f"{count(amount)} ({'; '.join(told)})" if told else count(amount)


def _range(cycles: tuple[int, int] | None) -> str:
    if cycles is None:
        return ""
    return count(cycles[0]) if cycles[0] == cycles[1] else f"{count(cycles[0])}..{count(cycles[1])}"


def derived_figures(report: Report) -> Group:
    """Tabulate the figures that the field derives, and what the board and Vivado's power add to them."""
    made = table(("figure",))
    made.add_column("", justify="right")
    made.add_column("what it is")
    for one in derived(report):
        made.add_row(one.name, one.text, one.what)
    power, seen = report.power, report.measured
    watts = "not run" if power is None else f"{rounded(power.total)} W"
    made.add_row("power", watts, "" if power is None else f"{power.tool}, confidence {power.confidence}, {power.state}")
    if seen is None:
        made.add_row("measured rate", "not run", "the driver: measure(record=FOLDER)")
    else:
        made.add_row(
            "measured rate", f"{rounded(seen.frames_per_second)} frames/s", f"on the {seen.measured_on}, {seen.state}"
        )
        latency = f"{rounded(1e6 * seen.latency_seconds)} µs"
        made.add_row(
            "measured latency", latency, f"of one image as the host sees it, on the {seen.measured_on}, {seen.state}"
        )
        if seen.clock_mhz is not None:
            wrong = seen.other_clock(report.clock_mhz)
            text = f"of {report.clock_mhz:g} MHz asked for, {seen.state}"
            text += "; WARNING: another clock, the measured figures are of it" if wrong else ""
            made.add_row("measured clock", f"{seen.clock_mhz:.2f} MHz", text)
    return titled("derived figures", made)


def functions(report: Report) -> Group:
    """Tabulate what each function of the design takes."""
    made = table(("function",), ("number", *report.used))
    for row in report.functions:
        made.add_row(row.function, count(row.count), *(count(getattr(row, name.lower())) for name in report.used))
    return titled("resources by function (estimate)", made)


def fifos(report: Report) -> Group:
    """Tabulate the FIFOs that hold more than two beats."""
    deep = [row for row in report.fifos if row.depth > FIFO_DEPTH]
    made = table(("writer", "reader", "kind"), ("bits", "depth", "beats a frame"))
    made.add_column("placed in")
    for row in deep:
        made.add_row(
            row.writer, row.reader, row.kind, count(row.width), count(row.depth), count(row.beats), row.placement
        )
    return titled(f"FIFOs deeper than {FIFO_DEPTH} ({count(len(report.fifos) - len(deep))} more)", made)


def provenance(report: Report) -> Group:
    """Tabulate where the report comes from, and the commands that give it again."""
    found = report.provenance
    tools = ", ".join(f"{name} {version}" for name, version in found.tools.items())
    rows = [("host", found.host), ("tools", tools), ("revision of Muxflow", found.revision), ("digest", found.digest)]
    made = table(("", ""))
    for title, text in (*rows, *((f"command {number}", text) for number, text in enumerate(found.commands, 1))):
        made.add_row(title, text or "not known")
    return titled("where this comes from", made)


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


def layers(report: Report) -> Group:
    """Tabulate the layers with weights: shape, bits, products, folds, efficiency.

    MAC a cycle: PE times SIMD times the groups and the pixels side by side.
    """
    columns = ("groups", "bits w, a", "MAC", "PE", "SIMD", "MAC a cycle", "II", "efficiency", "busy")
    made = table(("layer", "shape", "matrix"), columns)
    for layer in report.layers:
        one, activity = layer.matrix, layer.activity
        if one is None:
            continue
        busy = "-" if activity is None or activity.busy is None else f"{100 * activity.busy:.0f} %"
        share_busy = layer.efficiency(report.interval)
        made.add_row(
            layer.name,
            layer.shape,
            f"{one.filters} x {one.columns}",
            count(one.groups),
            f"{one.weight_bits}, {one.input_bits}",
            count(layer.macs),
            count(one.pe),
            count(one.simd),
            count(one.parallel),
            count(one.initiation_interval),
            "-" if share_busy is None else f"{100 * share_busy:.0f} %",
            busy,
        )
    source = f"; {report.activity_is}" if report.activity_is else ""
    return titled(f"layers with weights (estimate{source})", made)


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
    title = f"memories in primitives ({count(small)} more are in registers)"
    made = table(("node", "memory", "kind"), ("words x bits", "bits"))
    made.add_column("primitives")
    made.add_column("used", justify="right")
    for row in rows:
        shape = f"{count(row.depth)} x {count(row.width)}"
        used = share(row.bits, row.occupied)
        made.add_row(row.node, row.name, KIND_TITLES[row.kind], shape, count(row.bits), row.primitives, used)
    return titled(title, made)


def frontier(points: Sequence[FrontierRow], clock_mhz: float) -> Group:
    """Set frame rate against resources."""
    names = tuple(points[0].used) if points else ()
    made = table((), ("frames/s", "cycles a frame", *names))
    for point in points:
        numbers = (point.interval, *(point.used[name] for name in names))
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
