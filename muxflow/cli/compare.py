"""The command `muxflow compare`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from muxflow.cli.console import Json, answer, out, tasks
from muxflow.cli.opening import opened_project
from muxflow.cli.report import ForceFilesOption, open_report
from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.outputs import OutputFolder
from muxflow.dataflow.text import in_one_line
from muxflow.reports.compare import COMPARISONS, terminal, to_entry
from muxflow.reports.render import check_formats, rendered
from muxflow.reports.side_by_side import LEAST, Contender, rows


def compare(
    builds: Annotated[
        list[Path],
        typer.Argument(
            metavar="PROJECT|JSON...", help="Folders of projects, files `report.json`, or what --json prints."
        ),
    ],
    against: Annotated[
        str, typer.Option(help="Other tools to set the first project's network against: finn, hls4ml, with commas.")
    ] = "",
    formats: Annotated[
        str, typer.Option("--format", "-f", help=f"Files to write, with commas: {', '.join(COMPARISONS)}.")
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the files; build/compare when absent.")
    ] = None,
    force: ForceFilesOption = False,
    as_json: Json = False,
) -> None:
    """Set builds side by side: accuracy, bits, rate, latency, resources, what the tools said, derived figures."""
    from muxflow.against.contenders import Entrant, check_against
    from muxflow.against.contenders import against as set_against

    others = check_against(against)
    chosen = check_formats(formats.split(","), COMPARISONS) if formats else ()
    if output is not None and not chosen:
        raise UsageError(
            f"--output {output} without a file to write; name the formats: --format {','.join(COMPARISONS)}"
        )
    place = OutputFolder(output or Path("build/compare"), tuple(builds), force=force)
    place.check(*(f"compare.{name}" for name in chosen))
    if len(builds) + len(others) < LEAST:
        raise UsageError("one build; give two to compare, or one and --against")
    contenders = [Contender(build_title(build), open_report(build)) for build in builds]
    if others:
        project = opened_project(builds[0])
        model = next(iter(sorted(project.path.glob("model.*"))), None)
        entrant = Entrant(project.design, model)
        with tasks(as_json) as begin:
            for name in others:
                done = begin(f"against {name}", 1)
                contenders.append(set_against(name, entrant))
                done(1, 1)
    rows(contenders)
    paths = place.write(rendered(contenders, COMPARISONS, "compare", chosen)) if chosen else []

    def show() -> None:
        out.print(terminal(contenders))
        for path in paths:
            out.print(f"written: {os.path.relpath(path)}")

    answer({**to_entry(contenders), "files": [str(path) for path in paths]}, as_json, show)


def build_title(build: Path) -> str:
    """Name a build after its project's folder, in which a report's file lies in `report/`; any other file after itself."""
    path = build.resolve()
    if not path.is_file():
        return in_one_line(path.name)
    return in_one_line(path.parent.parent.name if path.parent.name == "report" else path.stem)
