"""A report as one self-contained page."""

from __future__ import annotations

from pathlib import Path

import jinja2

from muxflow.dataflow.quantities import count, percent, rate, share, si
from muxflow.dataflow.text import printable
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.rows import KIND_TITLES, KINDS
from muxflow.reports.summary import details, summary
from muxflow.reports.tables import stage_rows

TEMPLATES = Path(__file__).parent / "templates"


def to_html(report: Report) -> str:
    """Render one self-contained page, the memory budget drawn as bars."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(count=count, percent=percent, rate=rate, si=si, share=share)
    figures = {
        "summary": summary(report) + details(report),
        "rows": {row.name: row for row in report.nodes},
        "largest": max(1, max(sum(row.bits.values()) for row in report.nodes)),
        "stages": stage_rows(report),
        "counted": any(stage.counts for stage in report.stages[1:]),
    }
    page = environment.get_template("report.html.j2")
    return printable(page.render(report=report, kinds=KINDS, titles=KIND_TITLES, **figures))
