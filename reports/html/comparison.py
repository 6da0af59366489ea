"""Builds side by side as one self-contained page, in the style of a report's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from muxflow.reports.figures.style import Data
from muxflow.reports.html.cards import Card, Gauge, gauges, quantity
from muxflow.reports.html.charts import Chart, Series, chart
from muxflow.reports.html.sheets import Cell, Sheet, cell
from muxflow.reports.html.template import Part, rendered
from muxflow.reports.side_by_side import MORE, Contender, Row, rows

HEADLINES = ("accuracy", "rate", "latency", "LUT", "BRAM18", "stored parameters")
"""The figures on the cards of a build."""
CHARTED = (*HEADLINES, "GOPS/kLUT", "efficiency", "energy a frame, counted")
"""The figures that are drawn."""


def to_html(contenders: Sequence[Contender]) -> str:
    """Render a comparison as one page: cards a build, bars against the device, charts, the table of all figures."""
    made = {row.name: row for row in rows(contenders)}
    parts = (
        Part("overview", "Overview"),
        Part("device", "The device"),
        Part("charts", "Charts", charts=tuple(_charts(contenders, made))),
        Part("figures", "Figures", sheets=(_sheet(contenders, made),)),
        Part("builds", "What they are"),
    )
    told = [(one, tuple(_cards(number, made))) for number, one in enumerate(contenders)]
    return rendered("compare.html.j2", parts, builds=told, resources=_resources(contenders))


def _cards(number: int, made: Mapping[str, Row]) -> Iterator[Card]:
    """Give the cards of a build; the best figure of its kind says so."""
    for row in (made[name] for name in HEADLINES):
        if row.values[number] is None:
            yield Card(row.name, "not run", "", "none")
        else:
            what = "; ".join(text for text in (row.bases[number], "the best" if number in row.best else "") if text)
            yield replace(quantity(row.name, row.texts[number], what), look=_look(row, number))


def _look(row: Row, number: int) -> str:
    return "best" if number in row.best else ""


def _resources(contenders: Sequence[Contender]) -> dict[str, list[Gauge]]:
    """Set the builds below each other, resource by resource, each against its own device."""
    found: dict[str, list[Gauge]] = {}
    for one in contenders:
        for gauge in () if one.report is None else gauges(one.report):
            found.setdefault(gauge.name, []).append(replace(gauge, name=one.title))
    return found


def _charts(contenders: Sequence[Contender], made: Mapping[str, Row]) -> Iterator[Chart]:
    """Draw the figures of which more or less is better, a bar a build; none where no build has the figure."""
    for number, row in enumerate(made[name] for name in CHARTED):
        known = any(value is not None for value in row.values)
        data = tuple((one.title, value) for one, value in zip(contenders, row.values, strict=True) if known)
        kinds = "; ".join(dict.fromkeys(text for text in row.bases if text))
        note = f"{'more' if row.better == MORE else 'less'} is better{f'; {kinds}' if kinds else ''}"
        unit = f", {row.unit}" if row.unit and row.unit != row.name else ""
        drawn = chart(f"chart-{number}", f"{row.name}{unit}", Data((), data, note), (Series("rom", row.name),))
        texts = [text.removesuffix(f" {row.unit}") for text in row.texts]
        bars = (replace(bar, value=texts[n], look=_look(row, n)) for n, bar in enumerate(drawn.bars))
        yield replace(drawn, bars=tuple(bars))


def _sheet(contenders: Sequence[Contender], made: Mapping[str, Row]) -> Sheet:
    """Tabulate every figure, a column a build."""
    columns = (("figure", False), *((one.title, True) for one in contenders))

    def line(row: Row) -> tuple[Cell, ...]:
        cells = (cell(text, True) for text in row.texts)
        best = (replace(one, look=f"{one.look} {_look(row, n)}".strip()) for n, one in enumerate(cells))
        return (cell(row.name, False), *best)

    note = "bold: the best, where the figures of all builds are of one kind"
    return Sheet(
        "table", "All figures, a column a build", note, columns, tuple(map(line, made.values())), sortable=False
    )
