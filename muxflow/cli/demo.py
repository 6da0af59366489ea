"""The command `muxflow demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from muxflow.cli.console import BoardOption, Json, answer, out, tasks
from muxflow.frontend.training.result import shipped


def demo(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help=f"Which of the shipped networks: {', '.join(shipped())}.",
        ),
    ] = "mognet_digits",
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything that is made.")] = Path(
        "build/demo"
    ),
    board: BoardOption = "pynq-z2",
    select: Annotated[
        str | None, typer.Option(help="Select mode of a MOGNET: channel (when absent), channel-mean, element, always.")
    ] = None,
    video: Annotated[
        bool,
        typer.Option(
            "--video",
            help="Of a network on clips: play some in the emulator, and print the class as each picture arrives.",
        ),
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(help="With --video: draw its pictures with their classes; .png, .svg or .pdf.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Do the whole job on a shipped network: export, import, fit, project, simulation, report."""
    from muxflow.demo import run_demo

    with tasks(as_json) as begin:
        result = run_demo(output, network=network, board=board, select=select, begin=begin, video=video, plot=plot)
    answer(result.entry, as_json, lambda: result.show(out))
