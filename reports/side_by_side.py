"""The figures of builds side by side, and which of them is the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.quantities import count, percent, rounded
from muxflow.reports.latex.tables import precisions
from muxflow.reports.schema.derived import derived
from muxflow.reports.schema.report import Report

LEAST = 2
"""Builds that a comparison has at least."""
SPREAD = ("LUT", "FF")
"""Resources whose estimates have an interval."""
SOME = frozenset(("URAM", *(f"{name}, 80 % interval" for name in SPREAD)))
"""Figures that are left out where no build has them."""
NONE = "-"
"""Stands where a figure has no meaning."""
MORE, LESS = 1, -1
"""Whether more or less of a figure is better."""

Value = str | float | int | None


@dataclass(frozen=True)
class Contender:
    """One build: its title, its report (None where there is none), and what is to be said of it."""

    title: str
    report: Report | None
    remark: str = ""


@dataclass(frozen=True)
class Measure:
    """A figure that builds are compared by: its name, its unit ("" for text and counts), and how it is read from a report.

    `better`: MORE, LESS, or 0 where neither is better; `basis`: what the figure is, in words.
    """

    name: str
    unit: str
    read: Callable[[Report], Value]
    better: int = 0
    basis: Callable[[Report], str] = lambda report: ""


@dataclass(frozen=True)
class Row:
    """A figure of every build: its name, its unit ("" for text), the values, None where one has none.

    `bases`: what each value is, in words; `better`: as of its measure; `best`: the numbers of the builds whose value is the
    best.
    """

    name: str
    unit: str
    values: tuple[Value, ...]
    bases: tuple[str, ...]
    better: int
    best: frozenset[int]

    def text(self, value: Value) -> str:
        """Write a value."""
        if value is None:
            return "not run"
        if isinstance(value, str):
            return value.replace("\n", " ")  # a file may hold any text
        if self.unit == "%":
            return percent(value / 100)
        if self.unit == "MHz":
            return f"{value:g} MHz"  # a clock is what it was set to
        number = count(value) if isinstance(value, int) else rounded(value)
        return f"{number} {self.unit}" if self.unit else number

    @property
    def texts(self) -> tuple[str, ...]:
        """The values, written."""
        return tuple(map(self.text, self.values))


def _rate_is(report: Report) -> str:
    return report.interval_is


def _used(name: str) -> Measure:
    def read(report: Report) -> Value:
        used = report.counted.used
        return used.get(name, NONE if used else None)  # a part without UltraRAM has no row of it

    return Measure(name, "", read, LESS, lambda report: report.counted.title)


def _interval(name: str) -> Measure:
    return Measure(f"{name}, 80 % interval", "", lambda report: report.intervals.get(name, NONE))


def _accuracy_is(report: Report) -> str:
    return "" if report.accuracy is None else report.accuracy.basis


MEASURES: Sequence[Measure] = (
    Measure("network", "", lambda report: report.network),
    Measure("board", "", lambda report: report.board),
    Measure("clock", "MHz", lambda report: report.clock_mhz),
    Measure("accuracy", "%", lambda report: report.accuracy_percent, MORE, _accuracy_is),
    Measure("accuracy of", "", lambda report: _accuracy_is(report) or None),
    Measure("operations", "MAC", lambda report: report.operations),
    Measure("weights, activations", "bits", lambda report: precisions(report, ", ")),
    Measure("stored parameters", "bit", lambda report: report.parameter_bits, LESS),
    Measure("generated weights", "bit", lambda report: report.saved_bits),
    Measure("interval", "cycles", lambda report: report.interval, LESS, _rate_is),
    Measure("rate", "frames/s", lambda report: report.frames_per_second, MORE, _rate_is),
    Measure("latency", "µs", lambda report: report.latency_us, LESS, lambda report: report.cycles_are),
    Measure("rate and latency are", "", _rate_is),
    *map(_used, ("LUT", "FF", "BRAM18", "URAM", "DSP")),
    Measure("resources are", "", lambda report: report.counted.title),
    *map(_interval, SPREAD),
    Measure("slack", "ns", lambda report: report.slack_ns),
    Measure("power", "W", lambda report: report.watts, LESS),
)
"""The figures of a comparison, those that are derived aside."""

COUNTED_IS = Measure("counted energy is", "", lambda report: report.energy_is)
"""What the last of the derived figures is."""


def rows(contenders: Sequence[Contender]) -> tuple[Row, ...]:
    """Lay out the figures of every build, those aside that none of them has; raises UsageError for fewer than two."""
    if len(contenders) < LEAST:
        raise UsageError("one build; give two to compare, or one and --against")
    reports = [one.report for one in contenders]
    first = next(one for one in reports if one is not None)
    measures = [*MEASURES, *(_derived(number, first) for number in range(len(derived(first)))), COUNTED_IS]
    found = (_row(measure, reports) for measure in measures)
    return tuple(row for row in found if row.name not in SOME or any(value not in (None, NONE) for value in row.values))


def _derived(number: int, first: Report) -> Measure:
    """Make the measure of a derived figure; a share becomes per cent."""
    figure = derived(first)[number]
    scale = 1 if figure.unit else 100

    def read(report: Report) -> float | None:
        value = derived(report)[number].value
        return None if value is None else scale * value

    def basis(report: Report) -> str:
        if figure.unit.endswith("kLUT"):
            return f"{report.interval_is}; {report.counted.title}"
        if figure.name in ("GOPS/W", "energy a frame"):
            return f"{report.interval_is}; {derived(report)[number].what}"
        return derived(report)[number].what if figure.unit else report.interval_is

    return Measure(figure.name, figure.unit or "%", read, MORE if figure.more_is_better else LESS, basis)


def _row(measure: Measure, reports: Sequence[Report | None]) -> Row:
    values = tuple(None if one is None else measure.read(one) for one in reports)
    bases = tuple("" if one is None else measure.basis(one) for one in reports)
    known = [(value, bases[place]) for place, value in enumerate(values) if isinstance(value, int | float)]
    numbers = {value for value, _ in known}
    best: frozenset[int] = frozenset()
    # A measured figure and an estimate have no best; nor have equal ones.
    if measure.better and len(numbers) > 1 and len({basis for _, basis in known}) == 1:
        wanted = max(numbers) if measure.better == MORE else min(numbers)
        best = frozenset(place for place, value in enumerate(values) if value == wanted)
    return Row(measure.name, measure.unit, values, bases, measure.better, best)
