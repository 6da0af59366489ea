"""The command `muxflow bitstream`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, get_args

import typer
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

import muxflow
from muxflow.board.bitstream.figures import figures_json
from muxflow.board.bitstream.stages import (
    STAGES,
    TIMEOUT_MINUTES,
    Bitstream,
    BitstreamOptions,
    StageName,
    make_bitstream,
)
from muxflow.board.board import Board, boards, find_board
from muxflow.cli.console import LIVE, MOST_JOBS, Json, answer, err, out
from muxflow.cli.opening import opened_project
from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.folders import check_former, check_room
from muxflow.hls.design_file import DESIGN_FILES
from muxflow.hls.vitis.project import Project
from muxflow.hls.vitis.writing import check_folder

LAST_STAGES = ", ".join(STAGES)


def bitstream(
    project: Annotated[
        Path,
        typer.Argument(
            metavar="PROJECT|MODEL",
            help="A folder that `muxflow build` wrote, or a model, which is built with the defaults first.",
        ),
    ],
    board: Annotated[
        str | None,
        typer.Option(
            "--board", "-b", help="Board: the project's own (pynq-z2 for a model) when absent, or your own file."
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Project folder for a model; build/MODEL when absent.")
    ] = None,
    tools: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of the vendor's installation (may be given twice); PATH and the usual ones when absent."
        ),
    ] = None,
    no_cosim: Annotated[
        bool, typer.Option("--no-cosim", help="Leave out the simulation of the RTL (once for the same sources).")
    ] = False,
    until: Annotated[str, typer.Option(help=f"Last stage: {LAST_STAGES}.")] = "deploy",
    timeout: Annotated[float, typer.Option(help="Minutes that one stage may take.")] = TIMEOUT_MINUTES,
    jobs: Annotated[int, typer.Option(min=1, max=MOST_JOBS, help="Processes of Vivado.")] = os.cpu_count() or 1,
    allow_timing_failure: Annotated[
        bool, typer.Option("--allow-timing-failure", help="Give the bitstream though its timing is not met.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Run the vendor's tools (yours, not included) up to bitstream and driver; go on where the last run ended."""
    if until not in get_args(StageName):
        raise UsageError(f"stage {until!r}; supported are {LAST_STAGES}")
    options = BitstreamOptions(tuple(tools or ()), not no_cosim, until, timeout, jobs, allow_timing_failure)  # type: ignore[arg-type]
    with _progress(as_json) as tell:
        opened, chosen = _opened(project, board, output, tell)
        made = make_bitstream(opened, chosen, options, tell=tell)
    entry = {
        "project": str(made.project.path),
        "deploy": None if made.deploy is None else str(made.deploy),
        "stages": [
            {"name": o.name, "seconds": round(o.seconds, 1), "kept": o.kept, "log": str(o.log)} for o in made.outcomes
        ],
        "figures": json.loads(figures_json(made.project, made.figures)),
        "notices": list(made.notices),
    }
    answer(entry, as_json, lambda: _show(made))


def _opened(
    path: Path, board: str | None, output: Path | None, tell: Callable[[str, str], None]
) -> tuple[Project, Board]:
    """Open the project, written first where a model is given, and find its board."""
    if path.is_dir():
        project = opened_project(path).hls
        if board is not None:
            return project, find_board(board)
        name = project.design.board
        if name not in boards():  # a file that a project names is not run
            raise MuxflowError(
                f"{path} is for a board of your own: give its file, --board path/to/board.py (the project says {name!r})"
            )
        return project, find_board(name)
    from muxflow.proving import model_copy, unchanged_model

    chosen = find_board(board or "pynq-z2")
    tell("build", str(path))
    folder = output or Path("build") / path.stem
    check_folder(folder)
    with unchanged_model(path):
        graph, kept = muxflow.load(path), model_copy(path)
    check_former(folder, graph.name, DESIGN_FILES, "or replace it with `muxflow build --force`")
    check_room(folder, kept)
    return muxflow.write(muxflow.fit(graph, chosen), folder, extra=kept).hls, chosen


def _show(made: Bitstream) -> None:
    from muxflow.proving import project_report
    from muxflow.reports.tables import stages

    table = Table(box=None)
    for column in ("stage", "", "log"):
        table.add_column(column, overflow="fold")
    for one in made.outcomes:
        table.add_row(one.name, "kept" if one.kept else f"{one.seconds:.0f} s", os.path.relpath(one.log))
    out.print(table)
    out.print(stages(project_report(muxflow.Project(made.project), muxflow.__version__)))
    for name, interval in made.figures.synthesised.slow_loops if made.figures.synthesised else ():
        out.print(f"loop {name}: initiation interval {interval}, 1 was expected")
    for notice in made.notices:
        out.print(f"notice: {notice}")
    if made.deploy is not None:
        out.print(f"for the board: {os.path.relpath(made.deploy)}")


@contextmanager
def _progress(quiet: bool) -> Iterator[Callable[[str, str], None]]:
    """Keep one line on standard error: the stage, what its tool does, the stage's time."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=err, disable=quiet or not LIVE, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, activity: str) -> None:
            if stage not in tasks:
                for task in tasks.values():
                    progress.update(task, visible=False)
                tasks[stage] = progress.add_task(stage)
                if not quiet and not LIVE:
                    err.print(f"{stage} ...")
            progress.update(tasks[stage], description=f"{stage}: {activity}" if activity else stage)

        yield tell
