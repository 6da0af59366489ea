"""The command `muxflow demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muxflow.cli.console import BoardOption, Json, answer, out, tasks


def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything that is made.")] = Path(
        "build/demo"
    ),
    board: BoardOption = "pynq-z2",
    select: Annotated[
        str, typer.Option(help="Which of the shipped models: channel, channel-mean, element, always.")
    ] = ("channel"),
    as_json: Json = False,
) -> None:
    """Do the whole job on the shipped digits network: export, import, fit, project, simulation, report."""
    from muxflow.demo import run_demo

    with tasks(as_json) as begin:
        result = run_demo(output, board=board, select=select, begin=begin)
    answer(result.entry, as_json, lambda: result.show(out))
