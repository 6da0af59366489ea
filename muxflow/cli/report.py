"""The command `muxflow report`."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

import typer

import muxflow
from muxflow.cli.console import Json, ProjectArgument, Verbose, answer, out


def report(
    project: ProjectArgument,
    formats: Annotated[str, typer.Option("--format", "-f", help="Comma-separated: txt, html, json, csv, tex.")] = (
        "txt,html,json,csv,tex"
    ),
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder; PROJECT/report when absent.")] = None,
    energy: Annotated[
        Path | None, typer.Option(help="File of the energies of single operations; those of 45 nm when absent.")
    ] = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Write the report of a project: resources, cycles, memory, proof ladder."""
    from muxflow.proving import project_report
    from muxflow.reports.gather.energy import read_energies
    from muxflow.reports.render import terminal, to_json, write_report

    opened = muxflow.open_project(project)
    made = project_report(opened, muxflow.__version__, energies=None if energy is None else read_energies(energy))
    chosen = tuple(name.strip() for name in formats.split(",") if name.strip())
    paths = write_report(made, output or opened.path / "report", chosen)

    def show() -> None:
        out.print(terminal(made, verbose=verbose))
        out.print()
        for path in paths:
            out.print(f"written: {os.path.relpath(path)}")

    answer({**json.loads(to_json(made)), "files": [str(path) for path in paths]}, as_json, show)
