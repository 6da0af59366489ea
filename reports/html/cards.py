"""The head of a page: the figures that everybody looks for, and how full the device is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from muxflow.dataflow.quantities import count, counted, percent, rate, rounded, share, si
from muxflow.reports.html.sheets import look
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.stages import ESTIMATE, SYSTEM, WORST_FIRST
from muxflow.reports.summary import accuracy_source


@dataclass(frozen=True)
class Card:
    """One figure: its title, its value, what it is, how it looks, and its unit."""

    title: str
    value: str
    what: str
    look: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Mark:
    """What one stage counts of a resource: its name, the number, and the place on the device in per cent."""

    stage: str
    text: str
    at: float


@dataclass(frozen=True)
class Gauge:
    """How full the device is of one resource, as per cent of it.

    `used`: the estimate, `low` and `high` the ends of its interval; `budget`; `reserve`: of shell and DMA.
    """

    name: str
    text: str
    used: float
    low: float
    high: float
    budget: float
    reserve: float
    marks: tuple[Mark, ...]


def cards(report: Report) -> Iterator[Card]:
    """Give the cards of a page; a figure that was not found out says so."""
    found = report.accuracy
    if found is None:
        yield _not_run("accuracy", "muxflow csim PROJECT --data DATASET")
    else:
        yield quantity("accuracy", percent(found.share), accuracy_source(found))
    yield _proof(report)
    interval = f"{counted(report.interval, 'cycle')}; {report.interval_is}"
    yield quantity("pipelined rate", rate(report.frames_per_second), interval)
    latency = f"{counted(report.latency, 'cycle')}; {report.cycles_are}"
    yield quantity("one-image latency", si(report.latency_us * 1e-6, "s"), latency)
    yield from (_resource(report, name) for name in report.used if name in ("LUT", "BRAM18"))
    saved = f"; {si(report.saved_bits, 'bit')} generated" if report.saved_bits else ""
    yield quantity(
        "stored parameters", si(report.parameter_bits, "bit"), f"weights and thresholds, each counted once{saved}"
    )
    power, seen = report.power, report.measured
    if power is None:
        yield _not_run("power", "report_power, after implementation")
    else:
        yield quantity("power", f"{rounded(power.total)} W", f"{power.tool}, {power.state}", power.state)
    if seen is None:
        yield _not_run("measured rate", "the driver on the board")
    else:
        said = f"on the {seen.measured_on}, {seen.state}"
        if seen.clock_mhz is not None and seen.other_clock(report.clock_mhz):
            said += f"; WARNING: at {seen.clock_mhz:.2f} MHz, not the {report.clock_mhz:g} MHz asked for"
        yield quantity("measured rate", rate(seen.frames_per_second), said, seen.state)
    efficiency = report.efficiency
    if efficiency is not None:
        what = f"share of {count(report.products)} products a cycle that are MACs of the network; {report.interval_is}"
        yield quantity("efficiency", f"{100 * efficiency:.1f} %", what)


def quantity(title: str, text: str, what: str, state: str = "") -> Card:
    """Make the card of a number with its unit; a state other than done shows."""
    value, _, unit = text.partition(" ")
    return Card(title, value, what, "" if state == "done" else look(state), unit)


def _not_run(title: str, how: str) -> Card:
    return Card(title, "not run", how, "none")


def _proof(report: Report) -> Card:
    ran = [rung for rung in report.ladder if rung.status in WORST_FIRST]
    if not ran:
        return _not_run("bit for bit", "muxflow csim PROJECT")
    worst = min(ran, key=lambda rung: WORST_FIRST.index(rung.status)).status
    images = max(rung.images for rung in ran)
    said = f"{counted(len(ran), 'execution')} against the integer graph, {counted(images, 'image')}"
    return Card("bit for bit", worst, said, look(worst))


def _resource(report: Report, name: str) -> Card:
    stage = report.counted
    amount = stage.used.get(name, report.used[name])
    ends = report.between.get(name) if stage.name == ESTIMATE else None
    between = f", 80 % interval {count(ends[0])}–{count(ends[1])}" if ends else ""
    budget = f"{share(amount, report.budget[name])} of the budget of {count(report.budget[name])}"
    return Card(name, count(amount), f"{budget}; {stage.title}{between}")


def gauges(report: Report) -> Iterator[Gauge]:
    """Set each resource against the device: the estimate, its interval, the budget, and what stages counted."""
    for name, used in report.used.items():
        budget, reserve = report.budget.get(name, 0), report.reserve.get(name, 0)
        device = report.available.get(name) or budget + reserve
        if not device:
            continue
        low, high = report.between.get(name, (used, used))

        def at(amount: int, device: int = device) -> float:
            return min(100.0, round(100 * amount / device, 2))

        marks = tuple(
            Mark(stage.name, count(stage.used[name]), at(stage.used[name]))
            for stage in report.stages[1:]
            if stage.counts and stage.name != SYSTEM and name in stage.used
        )
        text = f"{count(used)} of {count(device)}, {share(used, device)}"
        yield Gauge(name, text, at(used), at(low), at(high), at(budget), at(reserve), marks)
