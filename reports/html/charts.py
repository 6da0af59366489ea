"""The charts of a page: bars a layer, from the data of the figures of a paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import floor, log10

from muxflow.dataflow.quantities import count
from muxflow.reports.figures.data import NOT_LOOKED_AT, load, memory, occupancy, timeline
from muxflow.reports.figures.style import Data, short
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.rows import KIND_TITLES, KINDS

PLOT = 240.0
"""Length of the longest bar, in units of the drawing."""
STEPS = 4
"""Most spaces between the lines of an axis."""


@dataclass(frozen=True)
class Part:
    """A piece of a bar: where it begins, how long it is, how it looks, and what stands beside the pointer."""

    x: float
    length: float
    look: str
    title: str


@dataclass(frozen=True)
class Bar:
    """A bar: its label, the whole name, its parts, the number at its end, and how its label looks: "marked", "best"."""

    label: str
    name: str
    parts: tuple[Part, ...]
    value: str
    look: str = ""


@dataclass(frozen=True)
class Chart:
    """Bars one below the other, with an axis (place, label) and a key (look, title); no bars: "not run"."""

    anchor: str
    title: str
    note: str
    bars: tuple[Bar, ...] = ()
    axis: tuple[tuple[float, str], ...] = ()
    key: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Series:
    """A column of a chart: its look, "" for one that only moves those after it; its title."""

    look: str
    title: str


def charts(report: Report) -> Iterator[Chart]:
    """Draw cycles, LUTs, memory, functions, occupancy and one frame's way."""
    slow = next((layer.name for layer in report.layers if report.bottleneck in layer.nodes), "")
    loads = load(report)
    yield chart("cycles", "Cycles a layer", loads, (Series("rom", "cycles"),), slow, columns=(1,))
    yield chart("luts", "LUT a layer", loads, (Series("rom", "LUT"),), slow, columns=(2,))
    kinds = (*(Series(kind, KIND_TITLES[kind]) for kind in KINDS), Series("generated", "generated, not stored"))
    stored = memory(report)
    note = f"{stored.note}; the number: what is stored"
    yield chart("budget", "Memory budget, bits", replace(stored, note=note), kinds, slow, counts=slice(-1))
    rows = tuple((row.function, row.lut) for row in report.functions)
    yield chart("by-function", "LUT by function", Data(("", ""), rows, "estimate"), (Series("rom", "LUT"),))
    shares = occupancy(report)
    parts = tuple((row[0], *(round(100 * float(part or 0), 1) for part in row[1:])) for row in shares.rows)
    looks = (Series("rom", "busy"), Series("starved", "starved"), Series("blocked", "blocked"))
    yield chart("occupancy", "Occupancy, % of the cycles", Data((), parts, shares.note), looks, slow, counts=slice(1))
    frame = timeline(report)
    spans = tuple((name, start, int(end or 0) - int(start or 0)) for name, start, end in frame.rows)
    note = frame.note if spans else NOT_LOOKED_AT
    yield chart("timeline", "One frame, cycles", Data((), spans, note), (Series("", ""), Series("rom", "cycles")), slow)


def chart(
    anchor: str,
    title: str,
    data: Data,
    series: Sequence[Series],
    slow: str = "",
    columns: Sequence[int] = (),
    counts: slice = slice(None),
) -> Chart:
    """Draw the columns of data as stacked bars, those chosen or all after the first; `counts`: those summed at the end."""
    rows = [(str(row[0]), [float(row[n] or 0) for n in columns or range(1, len(series) + 1)]) for row in data.rows]
    most = max((sum(values) for _, values in rows), default=0) or 1.0
    bars = []
    for name, values in rows:
        parts = []
        begun = 0.0
        for one, value in zip(series, values, strict=True):
            if one.look and value:
                said = f"{name}: {one.title} {_number(value)}"
                parts.append(Part(round(PLOT * begun / most, 2), round(PLOT * value / most, 2), one.look, said))
            begun += value
        look = "marked" if slow and name == slow else ""
        bars.append(Bar(short(name), name, tuple(parts), _number(sum(values[counts])), look))
    drawn = {part.look for bar in bars for part in bar.parts}
    key = tuple((one.look, one.title) for one in series if one.look in drawn) if len(series) > 2 else ()
    axis = tuple((round(PLOT * at / most, 2), _number(at)) for at in _axis(most)) if bars else ()
    return Chart(anchor, title, data.note, tuple(bars), axis, key)


def _axis(most: float) -> list[float]:
    """Give the places of an axis from 0: steps of 1, 2 or 5 times a power of ten."""
    power = 10.0 ** floor(log10(most / STEPS))
    step = next(times * power for times in (1, 2, 5, 10) if times * power * STEPS >= most)
    return [step * number for number in range(STEPS + 1) if step * number <= most]


def _number(value: float) -> str:
    return count(int(value)) if value == int(value) else f"{value:,.1f}"
