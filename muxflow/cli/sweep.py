"""The command `muxflow sweep`."""

from __future__ import annotations

import os
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from muxflow.board.board import find_board
from muxflow.cli.console import LIVE, MOST_JOBS, Json, answer, err, out, tasks, warn
from muxflow.cli.failure import GENERAL
from muxflow.dataflow.fit.device import Utilisation, check_clock
from muxflow.dataflow.quantities import count, counted, rounded, si
from muxflow.dataflow.text import in_one_line
from muxflow.frontend.registry import find
from muxflow.sweep import names_file, plan, run_sweep
from muxflow.sweep_cluster import check_address
from muxflow.sweep_results import ROWS, TABLE, Outcome


def sweep(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Model files, as for `muxflow fit`, or presets by name (mognet_cifar10, cnv_w1a1, ...: random weights).",
        ),
    ],
    board: Annotated[
        list[str] | None, typer.Option("--board", "-b", help="A board or a board file; may be given many times.")
    ] = None,
    lut: Annotated[list[float] | None, typer.Option(help="Share of LUTs and flip-flops; many times.")] = None,
    bram: Annotated[list[float] | None, typer.Option(help="Share of block RAM and DSP blocks; many times.")] = None,
    clock: Annotated[
        list[float] | None, typer.Option(help="Clock in MHz, many times; each board's own when absent.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")] = Path("build/sweep"),
    jobs: Annotated[int, typer.Option(min=1, max=MOST_JOBS, help="Local processes.")] = os.cpu_count() or 1,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Address of a Dask scheduler, tcp://host:port or tls://host:port, instead of local processes."
        ),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Replace results of other points in the folder, or changed ones.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Fit every model to every board, budget and clock; an interrupted sweep goes on where it stopped."""
    for logic, memory in product(lut or [0.70], bram or [0.90]):
        Utilisation(logic, logic, memory, memory, memory)
    for one in clock or []:
        check_clock(one)
    for name in board or []:
        find_board(name)
    for name in filter(names_file, models):
        find(Path(name))
    points = plan(models, board or ["pynq-z2"], lut or [0.70], bram or [0.90], clock or [None])
    if scheduler is not None:
        check_address(scheduler)
    with tasks(as_json) as begin:
        done = begin(f"sweep of {counted(len(points), 'point')}", len(points))

        def progress(outcome: Outcome, count: int, total: int) -> None:
            if not as_json and not LIVE:
                err.print(f"{count}/{total} {_title(outcome)}: {outcome.status}")
            done(count, total)

        outcomes = run_sweep(
            points, output, jobs=jobs, scheduler=scheduler, force=force, progress=progress, remark=warn
        )

    def show() -> None:
        out.print(table(outcomes))
        out.print(
            "rates, cycles and latencies by cycle simulation, with * estimates; LUT, BRAM18 and URAM are estimates"
        )
        for outcome in outcomes:
            if outcome.status != "fitted":
                out.print(f"{_title(outcome)}: {outcome.reason}")
        out.print(f"{os.path.relpath(output / TABLE)}, {ROWS}")

    answer({"results": [asdict(outcome) for outcome in outcomes], "folder": str(output)}, as_json, show)
    if crashed := sum(outcome.status == "crashed" for outcome in outcomes):
        warn(f"{counted(crashed, 'point')} crashed, of which nothing is kept; run the sweep again")
        raise typer.Exit(GENERAL)


def _title(outcome: Outcome) -> str:
    return in_one_line(f"{Path(outcome.point.model).stem} on {outcome.point.board}")


def table(outcomes: tuple[Outcome, ...]) -> Table:
    """Lay out one row a point: rates and latency by cycle simulation, or estimates marked *; resources are estimates."""
    shown = Table(box=None)
    columns = ("model", "board", "MHz", "LUT share", "frames/s", "cycles", "latency", "LUT", "BRAM18", "URAM", "stored")
    for column in columns:
        shown.add_column(column, justify="left" if column in ("model", "board") else "right")
    for one in outcomes:
        clock = f"{one.clock_mhz:g}" if one.clock_mhz else "-"
        head = (Path(one.point.model).stem, one.point.board, clock, f"{one.point.lut:g}")
        if one.status != "fitted":
            shown.add_row(*head, one.status)
            continue
        mark = "" if one.simulated else "*"
        shown.add_row(
            *head,
            f"{rounded(one.frames_per_second)}{mark}",
            f"{count(one.interval)}{mark}",
            f"{si(one.latency_ms / 1000, 's')}{mark}",
            count(one.lut),
            count(one.bram18),
            count(one.uram),
            si(one.parameter_bits, "bit"),
        )
    return shown
