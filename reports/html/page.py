"""A report as one self-contained page."""

from __future__ import annotations

from dataclasses import dataclass

from muxflow.reports.html.cards import cards, gauges
from muxflow.reports.html.charts import Chart, charts
from muxflow.reports.html.dataflow import draw
from muxflow.reports.html.sheets import Sheet, of_memory, of_parts, of_proof
from muxflow.reports.html.template import rendered
from muxflow.reports.schema.report import Report
from muxflow.reports.summary import details, summary

HATCHES = {
    "rom": "",
    "loaded": "M-1 1 l2 -2 M0 6 l6 -6 M5 7 l2 -2",
    "threshold": "M1.5 1.5 h.8 M4.5 4.5 h.8",
    "line": "M0 0 l6 6 M0 6 l6 -6",
    "frame": "M0 3 h6",
    "fifo": "M-1 5 l2 2 M0 0 l6 6 M5 -1 l2 2",
    "state": "M3 0 v6",
    "generated": "M-1 1 l2 -2 M0 6 l6 -6 M5 7 l2 -2",
    "starved": "M1.5 1.5 h.8 M4.5 4.5 h.8",
    "blocked": "M0 0 l6 6 M0 6 l6 -6",
    "reserve": "M-1 1 l2 -2 M0 6 l6 -6 M5 7 l2 -2",
}
"""What is drawn over each colour, in a square of 6 by 6: parts of a bar can be told apart in grey."""


@dataclass(frozen=True)
class Part:
    """A part of the page, as the contents list it."""

    anchor: str
    title: str
    charts: tuple[Chart, ...] = ()
    sheets: tuple[Sheet, ...] = ()


def to_html(report: Report) -> str:
    """Render one self-contained page: it asks for nothing, and everything but sorting works without its script."""
    parts = (
        Part("overview", "Overview"),
        Part("charts", "Charts", charts=tuple(charts(report))),
        Part("dataflow", "Dataflow"),
        Part("words", "Summary"),
        Part("proof", "Proof and stages", sheets=tuple(of_proof(report))),
        Part("resources", "Resources", sheets=tuple(of_memory(report))),
        Part("parts", "Layers and nodes", sheets=tuple(of_parts(report))),
    )
    return rendered(
        "page.html.j2",
        report=report,
        parts=parts,
        cards=tuple(cards(report)),
        gauges=tuple(gauges(report)),
        summary=summary(report) + details(report),
        counted=any(stage.counts for stage in report.stages[1:]),
        flow=draw(report),
        hatches=HATCHES,
    )
