"""A report as one self-contained page."""

from __future__ import annotations

from muxflow.reports.html.cards import cards, gauges
from muxflow.reports.html.charts import charts
from muxflow.reports.html.dataflow import draw
from muxflow.reports.html.sheets import of_memory, of_parts, of_proof
from muxflow.reports.html.template import Part, rendered
from muxflow.reports.schema.report import Report
from muxflow.reports.summary import details, summary


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
        parts,
        report=report,
        cards=tuple(cards(report)),
        gauges=tuple(gauges(report)),
        summary=summary(report) + details(report),
        counted=any(stage.counts for stage in report.stages[1:]),
        flow=draw(report),
    )
