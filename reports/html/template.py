"""Pages made of templates: text in them is escaped, and what a template asks for must be given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muxflow.dataflow.templates import templates
from muxflow.dataflow.text import printable
from muxflow.reports.html.charts import Chart
from muxflow.reports.html.sheets import Sheet

TEMPLATES = Path(__file__).parent / "templates"
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
    """A part of a page, as the contents list it."""

    anchor: str
    title: str
    charts: tuple[Chart, ...] = ()
    sheets: tuple[Sheet, ...] = ()


def rendered(template: str, parts: Sequence[Part], **values: Any) -> str:
    """Render a template of the folder beside this file: a page that asks for nothing, with contents, style and script."""
    page = templates(TEMPLATES, escaped=True).get_template(template)
    return printable(page.render(parts=parts, hatches=HATCHES, **values))
