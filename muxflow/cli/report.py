"""The command `muxflow report`."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import muxflow
from muxflow.cli.console import Json, ProjectArgument, Verbose, answer, out, stage, tasks, warn
from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.folders import check_writable
from muxflow.reports.render import RENDERINGS, check_formats, terminal, write_report
from muxflow.reports.schema.file import to_entry

if TYPE_CHECKING:
    from muxflow.reports.schema.report import Report

WithOption = Annotated[
    list[Path] | None,
    typer.Option("--with", metavar="PROJECT|JSON", help="Another design for the tables and figures of several."),
]


def report(
    project: ProjectArgument,
    formats: Annotated[str, typer.Option("--format", "-f", help=f"Comma-separated: {', '.join(RENDERINGS)}.")] = (
        ",".join(RENDERINGS)
    ),
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder; PROJECT/report when absent.")] = None,
    energy: Annotated[
        Path | None, typer.Option(help="File of the energies of single operations; those of 45 nm when absent.")
    ] = None,
    latex: Annotated[
        bool, typer.Option("--latex", help="Write the tables of a paper too, each in a file, into latex/.")
    ] = False,
    figures: Annotated[
        bool, typer.Option("--figures", help="Draw the figures of a paper too, into figures/ (needs matplotlib).")
    ] = False,
    others: WithOption = None,
    prior: Annotated[
        list[Path] | None, typer.Option(help="Your own file of published designs, for the table of prior work.")
    ] = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Write the report of a project: resources, cycles, memory, proof ladder; tables and figures for a paper."""
    from muxflow.dataflow.fit.curves import design_frontier
    from muxflow.proving import project_report
    from muxflow.reports.gather.energy import read_energies

    chosen = check_formats(formats.split(","))
    energies = None if energy is None else read_energies(energy)
    if prior and not latex:
        raise UsageError(f"--prior {prior[0]} is for the tables of a paper; add --latex")
    if others and not (latex or figures):
        raise UsageError(f"--with {others[0]} is for the tables and figures of a paper; add --latex, --figures or both")
    published = _prior(latex, prior)
    if figures:
        from muxflow.reports.figures.style import check_matplotlib

        check_matplotlib()
    opened = muxflow.open_project(project)
    folder = output or opened.path / "report"
    parts = [name for name, asked in (("latex", latex), ("figures", figures)) if asked]
    for name in (*(f"report.{name}" for name in chosen), *(f"{part}/file" for part in parts)):
        check_writable(folder / name)
    several = [open_report(path) for path in others or ()]
    with tasks(as_json) as begin:
        points = stage(begin, "frontier", lambda: design_frontier(opened.design)) if figures else ()
        made = project_report(opened, muxflow.__version__, energies=energies, watched=True, frontier=points)
        paths = write_report(made, folder, chosen)
        if published is not None:
            paths += stage(begin, "tables", lambda: published([made, *several], folder / "latex"))
        if figures:
            paths += stage(begin, "figures", lambda: _figures([made, *several], folder / "figures"))

    def show() -> None:
        out.print(terminal(made, verbose=verbose))
        out.print()
        for path in paths:
            out.print(f"written: {os.path.relpath(path)}")

    answer({**to_entry(made), "files": [str(path) for path in paths]}, as_json, show)


def open_report(path: Path) -> Report:
    """Give the report of a project, or of a `report.json` that any version wrote."""
    from muxflow.proving import project_report
    from muxflow.reports.schema.file import read_report

    if path.is_file() and path.suffix == ".json":
        return read_report(path)
    return project_report(muxflow.open_project(path), muxflow.__version__, watched=True)


def _prior(latex: bool, files: list[Path] | None) -> Callable[[list[Report], Path], list[Path]] | None:
    """Read the published designs, before any work, and give what writes the tables; None where none are wanted."""
    if not latex:
        return None
    from muxflow.reports.latex.kit import write_kit
    from muxflow.reports.latex.prior import read_prior

    prior = read_prior(files or ())
    for key in prior.missing:
        warn(f"no entry {key!r} in the bibliography; the table of prior work says so in its place")
    return lambda reports, folder: write_kit(reports, prior, folder)


def _figures(reports: list[Report], folder: Path) -> list[Path]:
    from muxflow.reports.figures.files import write_figures

    made = write_figures(reports, folder)
    for what in made.left_out:
        warn(f"no figure of {what}")
    return list(made.files)
