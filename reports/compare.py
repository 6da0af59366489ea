"""Builds side by side: one comparison, and its renderings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from muxflow.dataflow.text import json_text
from muxflow.reports.html.comparison import to_html
from muxflow.reports.latex.tex import Cell, Column, Tex, TexTable, tex
from muxflow.reports.render import markdown, plain
from muxflow.reports.side_by_side import Contender, Row, rows
from muxflow.reports.tables import table, titled


def terminal(contenders: Sequence[Contender]) -> RenderableType:
    """Render a comparison for a terminal, the best of each figure in bold."""
    made = table(("figure",), tuple(one.title for one in contenders))
    for row in rows(contenders):
        cells = (Text(text, style="bold" if place in row.best else "") for place, text in enumerate(row.texts))
        made.add_row(row.name, *cells)
    parts: list[RenderableType] = [titled("builds side by side", made)]
    if any(one.remark for one in contenders):
        said = table(("build", "what it is"))
        for one in contenders:
            said.add_row(one.title, one.remark or "-")
        parts.append(titled("what they are", said))
    return Group(*parts)


def to_text(contenders: Sequence[Contender]) -> str:
    """Render a comparison as plain text."""
    return plain(terminal(contenders))


def to_markdown(contenders: Sequence[Contender]) -> str:
    """Render a comparison as Markdown."""
    return markdown("Builds side by side", terminal(contenders))


def to_entry(contenders: Sequence[Contender]) -> dict[str, Any]:
    """Write a comparison as a JSON object.

    `is`: what each value is, "" where that goes without saying; `best`: the numbers of the builds, from 0, whose value is
    the best.
    """
    figures = [
        {
            "name": row.name,
            "unit": row.unit,
            "values": list(row.values),
            "is": list(row.bases),
            "best": sorted(row.best),
        }
        for row in rows(contenders)
    ]
    return {"builds": [{"title": one.title, "remark": one.remark} for one in contenders], "figures": figures}


def to_json(contenders: Sequence[Contender]) -> str:
    """Write a comparison as JSON."""
    return json_text(to_entry(contenders))


def to_latex(contenders: Sequence[Contender]) -> str:
    """Render a comparison as a table for a paper, as wide as the page, the best of each figure in bold."""
    columns = (Column("figure"), *(Column(tex(one.title, breakable=True), fill=True) for one in contenders))
    cells = tuple(_tex_row(row) for row in rows(contenders))
    remarks = ((one.title, one.remark.rstrip(".")) for one in contenders if one.remark)
    said = " ".join(f"{tex(title)}: {tex(remark, breakable=True)}." for title, remark in remarks)
    caption = f"Builds side by side; bold: the best, of figures of one kind. {said}".strip()
    version = next((one.report.version for one in contenders if one.report is not None), "")
    return TexTable("compare", contenders[0].title, caption, columns, cells, wide=True).render(version)


def _tex_row(row: Row) -> tuple[Cell, ...]:
    texts = (tex(text, breakable=True) for text in row.texts)
    return (row.name, *(Tex(rf"\textbf{{{text}}}") if place in row.best else text for place, text in enumerate(texts)))


COMPARISONS: Mapping[str, Callable[[Sequence[Contender]], str]] = {
    "txt": to_text,
    "md": to_markdown,
    "html": to_html,
    "json": to_json,
    "tex": to_latex,
}
