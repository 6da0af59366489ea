"""The commands `muxflow fit` and `muxflow build`."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

import muxflow
from muxflow.console import BoardOption, InputScale, Json, ModelArgument, answer, fraction, out, stages
from muxflow.dataflow.files import write_atomically

if TYPE_CHECKING:
    from muxflow.api import Design
    from muxflow.dataflow.graph import Graph

ClockOption = Annotated[float | None, typer.Option(help="Clock in MHz; the board's own when absent.")]
LutOption = Annotated[float, typer.Option(help="Share of the LUTs and flip-flops that may be used.")]
BramOption = Annotated[float, typer.Option(help="Share of the block RAM and DSP blocks that may be used.")]
FpsOption = Annotated[
    float | None, typer.Option(help="Frames a second to reach with fewest resources; as fast as fits when absent.")
]
LatencyOption = Annotated[float | None, typer.Option(help="Milliseconds for one image to reach with few resources.")]
SlowdownOption = Annotated[
    float, typer.Option(help="Per cent of the interval that may be given up for smaller FIFOs; prints what they save.")
]


def _fitted(
    graph: Graph,
    board: str,
    *,
    clock: float | None,
    fps: float | None,
    latency_ms: float | None,
    lut: float,
    bram: float,
    slowdown: float,
) -> Design:
    from muxflow.dataflow.device import Utilisation

    return muxflow.fit(
        graph,
        board,
        clock_mhz=clock,
        fps=fps,
        latency=None if latency_ms is None else latency_ms / 1000,
        utilisation=Utilisation(lut, lut, bram, bram),
        slowdown=slowdown,
    )


def fit(
    model: ModelArgument,
    board: BoardOption = "pynq-z2",
    fps: FpsOption = None,
    latency_ms: LatencyOption = None,
    clock: ClockOption = None,
    lut: LutOption = 0.70,
    bram: BramOption = 0.90,
    slowdown: SlowdownOption = 0.0,
    frontier: Annotated[bool, typer.Option("--frontier", help="Print frame rate against LUTs and block RAM.")] = False,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the frontier into this file (needs matplotlib: muxflow[report]).")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write everything as JSON too.")] = None,
    input_scale: InputScale = None,
    as_json: Json = False,
) -> None:
    """Say how a model fits a board: folds, FIFO depths, memories, rate and latency, without writing a project."""
    from muxflow.dataflow.folding import FrontierPoint
    from muxflow.reports.plots import plot_frontier
    from muxflow.reports.render import frontier_table, slowdown_table, terminal, to_json
    from muxflow.reports.report import make_report

    with stages(as_json) as stage:
        done = stage(f"import {model}", 1)
        graph = muxflow.load(model, input_scale=fraction(input_scale))
        done(1, 1)
        done = stage(f"fit {board}", 1)
        design = _fitted(
            graph, board, clock=clock, fps=fps, latency_ms=latency_ms, lut=lut, bram=bram, slowdown=slowdown
        )
        done(1, 1)
        done = stage("frontier and slowdown", 1)
        points = design.frontier() if frontier or plot else ()
        curve = design.slowdown_curve(slowdown) if slowdown and design.timing else ()
        done(1, 1)
    made = make_report(design, version=version("muxflow"))
    if plot:
        chosen = FrontierPoint(design.interval, design.resources)
        title = f"{graph.name} on {design.board} at {design.clock_mhz:g} MHz"
        plot_frontier(points, clock_mhz=design.clock_mhz, budget=design.budget, chosen=chosen, title=title, path=plot)
    entry = {
        **json.loads(to_json(made)),
        "frontier": [asdict(point) for point in points],
        "slowdown": [asdict(point) for point in curve],
    }
    if output:
        write_atomically(output, (json.dumps(entry, indent=2, sort_keys=True) + "\n").encode())

    def show() -> None:
        out.print(terminal(made))
        if frontier:
            out.print(frontier_table(points, design.clock_mhz))
        if curve:
            out.print(slowdown_table(curve))
        for path in (plot, output):
            if path:
                out.print(os.path.relpath(path))

    answer(entry, as_json, show)


def build(
    model: ModelArgument,
    board: BoardOption = "pynq-z2",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Project folder; build/MODEL when absent.")
    ] = None,
    fps: FpsOption = None,
    latency_ms: LatencyOption = None,
    clock: ClockOption = None,
    lut: LutOption = 0.70,
    bram: BramOption = 0.90,
    slowdown: SlowdownOption = 0.0,
    tool: Annotated[Literal["vitis_hls", "vivado_hls"], typer.Option(help="Whose syntax to write.")] = "vitis_hls",
    control: Annotated[
        Literal["ap_ctrl_none", "s_axilite"], typer.Option(help="Free-running, or started over AXI-Lite.")
    ] = "ap_ctrl_none",
    arg_max: Annotated[bool, typer.Option("--arg-max", help="Give the class index instead of the logits.")] = False,
    top_k: Annotated[int | None, typer.Option(min=1, help="Give the indices of the K largest logits instead.")] = None,
    seeds: Annotated[
        Literal["fixed", "writable"], typer.Option(help="Seeds of generated weights: stored, or AXI-Lite registers.")
    ] = "fixed",
    input_scale: InputScale = None,
    as_json: Json = False,
) -> None:
    """Fit a model to a board, as `muxflow fit` does, and write its HLS project."""
    from muxflow.dataflow.errors import MuxflowError
    from muxflow.dataflow.passes import append_arg_max, append_top_k, writable_seeds
    from muxflow.hls.project import ProjectOptions
    from muxflow.proving import MODEL_FILE, project_report
    from muxflow.reports.render import terminal

    if arg_max and top_k:
        raise MuxflowError("both --arg-max and --top-k are asked for; give one of them")
    target = output or Path("build") / model.stem
    with stages(as_json) as stage:
        done = stage(f"import {model}", 1)
        graph = muxflow.load(model, input_scale=fraction(input_scale))
        if arg_max:
            graph = append_arg_max(graph)
        if top_k:
            graph = append_top_k(graph, top_k)
        if seeds == "writable":
            graph = writable_seeds(graph)
        done(1, 1)
        done = stage(f"fit {board}", 1)
        design = _fitted(
            graph, board, clock=clock, fps=fps, latency_ms=latency_ms, lut=lut, bram=bram, slowdown=slowdown
        )
        done(1, 1)
        done = stage(f"write {target}", 1)
        extra = {MODEL_FILE: model.read_bytes()} if model.suffix == ".onnx" else {}
        project = design.write(target, options=ProjectOptions(tool, control, seeds), extra=extra)
        done(1, 1)
    report = project_report(project, version("muxflow"))

    def show() -> None:
        out.print(terminal(report))
        out.print(f"project: {os.path.relpath(project.path)}")

    from muxflow.reports.render import to_json

    answer({**json.loads(to_json(report)), "project": str(project.path)}, as_json, show)
