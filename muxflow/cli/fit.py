"""The command `muxflow fit`, and the options that it shares with `muxflow build`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import muxflow
from muxflow.cli.console import (
    MODEL,
    BoardOption,
    Json,
    Verbose,
    answer,
    next_command,
    out,
    stage,
    tasks,
)
from muxflow.cli.input_options import InputKeywords, with_input_options
from muxflow.cli.refit import refit
from muxflow.cli.target_options import flag
from muxflow.cli.words import given_options, is_given
from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.fit.device import Utilisation, check_clock
from muxflow.dataflow.fit.goal import ROUNDING
from muxflow.dataflow.folders import check_writable
from muxflow.dataflow.quantities import rate, si
from muxflow.dataflow.text import json_text

if TYPE_CHECKING:
    from muxflow.dataflow.fit.design import Design

SURPASSED = 1.1
"""How many times better than asked for a design is before that is remarked (decision)."""
NOT_OF_BUILD = ("project", "nearest", "frontier", "plot", "output")
"""Options that `muxflow build` does not have, or means otherwise."""

ClockOption = Annotated[float | None, typer.Option(help="Clock in MHz; the board's own when absent.")]
LutOption = Annotated[float, typer.Option(help="Share of the LUTs and flip-flops that may be used, up to 1.")]
BramOption = Annotated[
    float, typer.Option(help="Share of the block RAM, UltraRAM and DSP blocks that may be used, up to 1.")
]
SureOption = Annotated[
    float,
    typer.Option(help="Probability with which the design must fit, given how far estimates are from vendor tools."),
]
FpsOption = Annotated[
    float | None, typer.Option(help="Frames a second to reach with fewest resources; as fast as fits when absent.")
]
LatencyOption = Annotated[float | None, typer.Option(help="Milliseconds for one image to reach with few resources.")]
FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="PROJECT",
        help="A project whose synthesis has run, in place of a model: size its FIFOs for the reported pipelines.",
    ),
]
WeightsOption = Annotated[
    str, typer.Option(help="Weights in the bitstream: stored; all at run time: loaded; or NODE,NODE,... at run time.")
]
StatefulOption = Annotated[
    bool, typer.Option("--stateful", help="Let recurrent layers go on from frame to frame, for a video without end.")
]
SlowdownOption = Annotated[
    float, typer.Option(help="Per cent of the interval that may be given up for smaller FIFOs; prints what they save.")
]


def wishes(
    *,
    board: str,
    clock: float | None,
    fps: float | None,
    latency_ms: float | None,
    lut: float,
    bram: float,
    sure: float,
    slowdown: float,
) -> dict[str, Any]:
    """Check what is asked of a design, before any work, and give it as `muxflow.fit` takes it.

    Raises UsageError naming what is out of its range, MuxflowError for a board that is not known.
    """
    from muxflow.board.board import find_board
    from muxflow.dataflow.fit.goal import Goal, check_slowdown

    goal = Goal(fps, None if latency_ms is None else latency_ms / 1000)
    check_slowdown(slowdown)
    if clock is not None:
        check_clock(clock)
    shares = Utilisation(lut, lut, bram, bram, bram, sure)
    return {
        "board": find_board(board),
        "clock_mhz": clock,
        "fps": goal.fps,
        "latency": goal.latency,
        "utilisation": shares,
        "slowdown": slowdown,
    }


def floor(asked: Mapping[str, Any], design: Design, frames_per_second: float) -> str:
    """Say that a goal is a floor, or a ceiling, where the cheapest design beyond it is far beyond; "" where it is not.

    Or that the project falls short of it, as pipelines of its tool or frames that do not overlap may make it.
    """
    slack = 1 + 2 * ROUNDING
    if asked["fps"] is not None and frames_per_second * slack < asked["fps"]:
        return f"short of --fps: {rate(asked['fps'])} were asked for, the project does {rate(frames_per_second)}; ask for more"
    if asked["latency"] is not None and design.latency_seconds > asked["latency"] * slack:
        return (
            f"short of --latency-ms: {si(asked['latency'], 's')} were asked for, the project takes "
            f"{si(design.latency_seconds, 's')}; ask for less"
        )
    if asked["fps"] is not None and frames_per_second > SURPASSED * asked["fps"]:
        return (
            f"--fps is a floor: of the designs that reach {rate(asked['fps'])} the cheapest one does "
            f"{rate(frames_per_second)}"
        )
    if asked["latency"] is not None and SURPASSED * design.latency_seconds < asked["latency"]:
        return (
            f"--latency-ms is a ceiling: of the designs within {si(asked['latency'], 's')} the cheapest one takes "
            f"{si(design.latency_seconds, 's')}"
        )
    return ""


def say_how(design: Design) -> None:
    """Say so where a design comes without a simulation, for want of a compiler."""
    from muxflow.dataflow.fit.timing import INSTALL_COMPILER, NO_COMPILER

    if design.timing is None:
        out.print(
            f"{NO_COMPILER}: not simulated, so FIFOs are deeper than needed and cycles estimates ({INSTALL_COMPILER})"
        )


def _others(context: typer.Context) -> list[str]:
    """List the options that were given beside a project."""
    own = ("model", "project", "verbose", "as_json")
    given = (name for name in context.params if name not in own and is_given(context, name))
    return [flag(name) for name in given]


@with_input_options
def fit(
    context: typer.Context,
    inputs: InputKeywords,
    model: Annotated[Path | None, MODEL] = None,
    project: FromOption = None,
    board: BoardOption = "pynq-z2",
    fps: FpsOption = None,
    latency_ms: LatencyOption = None,
    clock: ClockOption = None,
    lut: LutOption = 0.70,
    bram: BramOption = 0.90,
    sure: SureOption = 0.80,
    slowdown: SlowdownOption = 0.0,
    weights: WeightsOption = "stored",
    stateful: StatefulOption = False,
    nearest: Annotated[
        bool,
        typer.Option(
            "--nearest", help="Where nothing fits, find the nearest folding in place of a bound; takes minutes."
        ),
    ] = False,
    frontier: Annotated[bool, typer.Option("--frontier", help="Print frame rate against LUTs and block RAM.")] = False,
    plot: Annotated[Path | None, typer.Option(help="Draw the frontier into this file (needs matplotlib).")] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write everything as JSON too.")] = None,
    verbose: Verbose = False,
    as_json: Json = False,
) -> None:
    """Say how a model fits a board: folds, FIFO depths, memories, rate and latency, without writing a project."""
    if model is None or project is not None:
        refit(model, project, as_json, _others(context))
        return
    from muxflow.dataflow.fit import curves
    from muxflow.dataflow.fit.resizing import without_margins
    from muxflow.hls.vitis.project import ProjectOptions
    from muxflow.reports import tables
    from muxflow.reports.figures.files import plot_frontier
    from muxflow.reports.figures.style import check_ending, check_matplotlib
    from muxflow.reports.gather.report import make_report
    from muxflow.reports.render import terminal
    from muxflow.reports.schema.file import to_entry

    loaded = ProjectOptions(weights=weights).loaded
    for path in filter(None, (plot, output)):
        check_writable(path, model, Path(board) if board.endswith(".py") else None)
    if plot and output and os.path.realpath(plot) == os.path.realpath(output):
        raise UsageError(f"--plot {plot} and --output {output} are one file; give two")
    if plot:
        check_ending(plot)
        check_matplotlib()
    asked = wishes(
        board=board, clock=clock, fps=fps, latency_ms=latency_ms, lut=lut, bram=bram, sure=sure, slowdown=slowdown
    )
    with tasks(as_json) as begin:
        graph = stage(begin, f"import {model}", lambda: muxflow.load(model, loaded=loaded, stateful=stateful, **inputs))
        design = stage(begin, f"fit {board}", lambda: muxflow.fit(graph, **asked, nearest=nearest))
        bare = stage(begin, "FIFO margins", lambda: without_margins(design))
        points = stage(begin, "frontier", lambda: curves.design_frontier(design)) if frontier or plot else ()
        curve = stage(begin, "slowdown", lambda: curves.slowdown_curve(design, slowdown)) if slowdown else ()
    made = make_report(design, version=muxflow.__version__, bare=bare, frontier=points)
    if plot:
        plot_frontier(made, plot)
    entry = {
        **to_entry(made),
        "slowdown": [asdict(point) for point in curve],
    }
    if output:
        write_atomically(output, json_text(entry).encode())

    def show() -> None:
        out.print(terminal(made, verbose=verbose))
        say_how(design)
        if frontier:
            out.print(tables.frontier(made.frontier, design.clock_mhz))
        if curve:
            out.print(tables.slowdown(curve))
        out.print()
        if note := floor(asked, design, design.frames_per_second):
            out.print(note)
        for path in filter(None, (plot, output)):
            out.print(f"written: {os.path.relpath(path)}")
        next_command("build", model, *given_options(context, without=NOT_OF_BUILD, always=("board",)))

    answer(entry, as_json, show, output)
