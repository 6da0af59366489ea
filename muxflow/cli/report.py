"""The command `muxflow report`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

import muxflow
from muxflow.cli.console import Json, ProjectArgument, Verbose, answer, out, stage, tasks, warn
from muxflow.cli.opening import opened_project
from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.folders import check_writable
from muxflow.dataflow.outputs import OutputFolder, own_folder
from muxflow.dataflow.text import encoded
from muxflow.reports.render import RENDERINGS, check_formats, rendered, terminal
from muxflow.reports.schema.file import to_entry

if TYPE_CHECKING:
    from muxflow.reports.latex.prior import PriorWork
    from muxflow.reports.schema.report import Report

ForceFilesOption = Annotated[
    bool, typer.Option("--force", help="Replace files in the folder that are not Muxflow's, or were changed since.")
]
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
    force: ForceFilesOption = False,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Write the report of a project: resources, cycles, memory, proof ladder; tables and figures for a paper."""
    from muxflow.dataflow.fit.curves import design_frontier
    from muxflow.proving import project_report
    from muxflow.reports.gather.energy import read_energies
    from muxflow.reports.latex.kit import BIBLIOGRAPHY, PAPERS, PREAMBLE, kit

    chosen = check_formats(formats.split(","))
    energies = None if energy is None else read_energies(energy)
    if prior and not latex:
        raise UsageError(f"--prior {prior[0]} is for the tables of a paper; add --latex")
    if others and not (latex or figures):
        raise UsageError(f"--with {others[0]} is for the tables and figures of a paper; add --latex, --figures or both")
    published = _prior(prior) if latex else None
    if figures:
        from muxflow.reports.figures.style import check_matplotlib

        check_matplotlib()
    opened = opened_project(project)
    read = (project, energy, *(others or ()), *(published.files if published else ()))
    usual = opened.path / "report"
    own = output is None or (not usual.is_symlink() and os.path.realpath(output) == os.path.realpath(usual))
    place = OutputFolder(output or own_folder(opened.path, "report"), tuple(filter(None, read)), own, force)
    known = [f"report.{name}" for name in chosen]
    known += [f"latex/{name}" for name in (PREAMBLE, BIBLIOGRAPHY, *PAPERS) if latex]
    place.check(*known)
    if figures:
        check_writable(place.path / "figures" / "figure.svg", listed_in=place.path)
    several = [open_report(path) for path in others or ()]
    with tasks(as_json) as begin:
        points = stage(begin, "frontier", lambda: design_frontier(opened.design)) if figures else ()
        made = project_report(opened, muxflow.__version__, energies=energies, watched=True, frontier=points)
        contents = rendered(made, RENDERINGS, "report", chosen)
        if published is not None:
            texts = stage(begin, "tables", lambda: kit([made, *several], published))
            contents |= {f"latex/{name}": encoded(text) for name, text in texts.items()}
        if figures:
            drawn = stage(begin, "figures", lambda: _figures([made, *several]))
            contents |= {f"figures/{name}": data for name, data in drawn.items()}
        paths = place.write(contents)

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
    return project_report(opened_project(path), muxflow.__version__, watched=True)


def _prior(files: list[Path] | None) -> PriorWork:
    """Read the published designs, before any work."""
    from muxflow.reports.latex.prior import read_prior

    prior = read_prior(files or ())
    for key in prior.missing:
        warn(f"no entry {key!r} in the bibliography; the table of prior work says so in its place")
    return prior


def _figures(reports: list[Report]) -> Mapping[str, bytes]:
    from muxflow.reports.figures.files import draw_figures

    made = draw_figures(reports)
    for what in made.left_out:
        warn(f"no figure of {what}")
    return made.files
