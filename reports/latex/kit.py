"""The paper kit: every table in a file of its own, what they need, and two documents that hold them all."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from muxflow.reports.latex.prior import PriorWork, prior_tables
from muxflow.reports.latex.tables import design_tables, precisions
from muxflow.reports.latex.tex import Cell, Column, TexTable, tex
from muxflow.reports.schema.report import Report

MOST_LINES = 48
"""Lines of one float: more would be longer than a page (decision)."""
PREAMBLE, BIBLIOGRAPHY = "preamble.tex", "references.bib"
HERE = Path(__file__).parent
PAPERS = {
    "paper-ieee.tex": r"\documentclass[10pt]{IEEEtran}",
    "paper-article.tex": r"\documentclass[a4paper,11pt]{article}",
}
"""Documents that hold every table, by the class that they are set in."""


def kit(reports: Sequence[Report], prior: PriorWork) -> dict[str, str]:
    """Compose the files of the kit by name; the first report is the one that the tables of a single design are of."""
    first, version = reports[0], reports[0].version
    tables = [*design_tables(first), *accuracy_tables(reports), *prior_tables(reports, prior)]
    parts = [part for table in tables for part in table.parts(MOST_LINES)]
    files = {part.file: part.render(version) for part in parts}
    documents = {name: _document(begin, parts) for name, begin in PAPERS.items()}
    own = {PREAMBLE: (HERE / PREAMBLE).read_text(encoding="utf-8"), BIBLIOGRAPHY: prior.bibliography}
    return {**files, **documents, **own}


def to_latex(report: Report) -> str:
    """Render the tables of one design as one file, those of a column's width."""
    tables = (part for table in design_tables(report) if not table.wide for part in table.parts(MOST_LINES))
    return "\n".join(part.render(report.version) for part in tables)


def _document(begin: str, parts: Iterable[TexTable]) -> str:
    """Compose a document of all tables; few at a time, because LaTeX holds few floats."""
    lines = [
        "% Compile with: pdflatex, bibtex, pdflatex, pdflatex.",
        begin,
        rf"\input{{{PREAMBLE}}}",
        r"\begin{document}",
        r"\sloppy",
    ]
    for part in parts:
        lines += [
            rf"Table~\ref{{{part.label}}} is \texttt{{{tex(part.file)}}}.",
            "",
            rf"\input{{{part.file}}}",
            r"\clearpage",
        ]
    lines += [r"\bibliographystyle{plain}", rf"\bibliography{{{BIBLIOGRAPHY.partition('.')[0]}}}", r"\end{document}"]
    return "\n".join(lines) + "\n"


def accuracy_tables(reports: Sequence[Report]) -> tuple[TexTable, TexTable]:
    """Set accuracy against LUTs and bits of parameters, a row a design, fewest bits first."""
    few = (
        Column("network", fill=True),
        Column("acc.\n(\\%)", number=True, places=2),
        Column("bits\nW/A"),
        Column("stored\n(bit)", number=True),
        Column("LUT", number=True),
    )
    many = (
        *few[:1],
        Column("data set", fill=True),
        Column("images", number=True),
        *few[1:4],
        Column("generated\n(bit)", number=True),
        few[4],
        Column("BRAM18", number=True),
        Column("frames/s", number=True, digits=3),
    )

    def row(report: Report, wide: bool) -> tuple[Cell, ...]:
        accuracy, used = report.accuracy, report.counted.used
        right = report.accuracy_percent
        bits = precisions(report)
        if not wide:
            return (report.network, right, bits, report.parameter_bits, used.get("LUT"))
        source: tuple[Cell, ...] = (None, None) if accuracy is None else (accuracy.source, accuracy.images)
        rest = (report.parameter_bits, report.saved_bits, used.get("LUT"), used.get("BRAM18"), report.frames_per_second)
        return (report.network, *source, right, bits, *rest)

    ordered = sorted(reports, key=lambda report: (report.parameter_bits, report.network))
    said = "; ".join(dict.fromkeys(report.counted.title for report in reports))
    sources = ", ".join(dict.fromkeys(report.accuracy.basis for report in reports if report.accuracy)) or "not run"
    caption = f"Accuracy ({tex(sources)}) against bits of stored parameters and LUTs ({tex(said)})."
    name = reports[0].network
    return (
        TexTable("accuracy", name, caption, few, tuple(row(report, False) for report in ordered)),
        TexTable("accuracy", name, caption, many, tuple(row(report, True) for report in ordered), wide=True),
    )
