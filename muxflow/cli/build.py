"""The command `muxflow build`: one project writer a flow."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

import muxflow
from muxflow.cli.console import BoardOption, InputScale, Json, ModelArgument, answer, fraction, out, stages
from muxflow.cli.fit import (
    BramOption,
    ClockOption,
    FpsOption,
    LatencyOption,
    LutOption,
    SlowdownOption,
    fitted,
)
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.graph.passes import (
    Pass,
    append_arg_max,
    append_top_k,
    rising_thresholds,
    run_passes,
    writable_seeds,
)

if TYPE_CHECKING:
    from muxflow.board.board import Board
    from muxflow.dataflow.fit.design import Design
    from muxflow.reports.report import Report

FlowName = Literal["native", "hls4ml", "finn"]
Hls4mlBackend = Literal["Vitis", "Vivado", "VivadoAccelerator"]


@dataclass(frozen=True)
class Request:
    """What a flow may ask of the command line beside the design."""

    model: Path
    target: Path
    tool: Literal["vitis_hls", "vivado_hls"]
    control: Literal["ap_ctrl_none", "s_axilite"]
    seeds: Literal["fixed", "writable"]
    backend: Hls4mlBackend | None

    def refuse(self, flow: FlowName, options: Mapping[str, bool]) -> None:
        """Raise MuxflowError naming the first given option that the flow does not have."""
        for option, given in options.items():
            if given:
                raise MuxflowError(f"{option} is no option of --flow {flow}; leave it out, or choose another flow")


@dataclass(frozen=True)
class Flow:
    """How a design becomes a project.

    `check`: raises MuxflowError, before any work, where the request or this machine does not fit; `write`: writes the
    project whole or not at all and returns its report and the facts to print; `passes`: what the graph goes
    through before the fit.
    """

    check: Callable[[Request, Board], None]
    write: Callable[[Design, Request], tuple[Report, dict[str, str]]]
    passes: tuple[Pass, ...] = ()


def _check_native(request: Request, board: Board) -> None:
    request.refuse("native", {"--hls4ml-backend": request.backend is not None})


def _write_native(design: Design, request: Request) -> tuple[Report, dict[str, str]]:
    from muxflow.hls.vitis.project import ProjectOptions
    from muxflow.proving import model_copy, project_report

    options = ProjectOptions(request.tool, request.control, request.seeds)
    project = muxflow.write(design, request.target, options=options, extra=model_copy(request.model))
    return project_report(project, muxflow.__version__), {"project": str(project.path)}


def _check_hls4ml(request: Request, board: Board) -> None:
    from muxflow.hls import hls4ml

    native = {
        "--tool vivado_hls": request.tool != "vitis_hls",
        "--control s_axilite": request.control != "ap_ctrl_none",
        "--seeds writable": request.seeds != "fixed",
    }
    request.refuse("hls4ml", native)
    hls4ml.check_target(board.name, request.backend or hls4ml.default_backend(board.name))
    hls4ml.check_folder(request.target)


def _write_hls4ml(design: Design, request: Request) -> tuple[Report, dict[str, str]]:
    from muxflow.hls import hls4ml
    from muxflow.reports.report import make_report

    backend = request.backend or hls4ml.default_backend(design.board)
    path = hls4ml.write(design, request.target, backend=backend)
    return make_report(design, version=muxflow.__version__), {"project": str(path), "hls4ml back end": backend}


def _check_finn(request: Request, board: Board) -> None:
    from muxflow.hls import finn

    refused = {
        "--tool vivado_hls": request.tool != "vitis_hls",
        "--control s_axilite": request.control != "ap_ctrl_none",
        "--seeds writable": request.seeds != "fixed",
        "--hls4ml-backend": request.backend is not None,
    }
    request.refuse("finn", refused)
    finn.check_version()
    finn.check_folder(request.target)


def _write_finn(design: Design, request: Request) -> tuple[Report, dict[str, str]]:
    from muxflow.hls import finn
    from muxflow.reports.report import make_report

    path = finn.write(design, request.target)
    rows = finn.estimates(path)
    slowest = max(rows, key=lambda row: row.finn_cycles)
    taken = Resources(sum(row.finn_lut for row in rows), 0, sum(row.finn_bram18 for row in rows))
    budget = design.device.budget(design.utilisation)
    over = taken.exceeds(budget)
    facts = {
        "project": str(path),
        "FINN execution": f"every tensor equals the integer graph on {finn.CHECKED_FRAMES} random frames",
        "FINN slowest node": f"{slowest.node} ({', '.join(slowest.finn_nodes)}), {slowest.finn_cycles:,} cycles (estimate)",
        "FINN resources": f"{taken.lut:,} LUT, {taken.bram18:,} BRAM18 (estimate)"
        + (f"; over the budget in {' and '.join(over)}: give a smaller --lut or --bram" if over else ""),
    }
    return make_report(design, version=muxflow.__version__), facts


FLOWS: Mapping[FlowName, Flow] = {
    "native": Flow(_check_native, _write_native),
    "hls4ml": Flow(_check_hls4ml, _write_hls4ml),
    "finn": Flow(_check_finn, _write_finn, (rising_thresholds,)),
}
assert set(FLOWS) == set(get_args(FlowName))


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
    flow: Annotated[
        FlowName,
        typer.Option(
            help="Whose project to write: Muxflow's own, hls4ml's (needs hls4ml 1.3) or FINN's (needs finn-plus 1.6.1)."
        ),
    ] = "native",
    hls4ml_backend: Annotated[
        Hls4mlBackend | None,
        typer.Option(help="Back end of hls4ml; VivadoAccelerator where it knows the board, else Vitis."),
    ] = None,
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
    from muxflow.board.board import find_board
    from muxflow.reports.render import terminal, to_json

    if arg_max and top_k:
        raise MuxflowError("both --arg-max and --top-k are asked for; give one of them")
    request = Request(model, output or Path("build") / model.stem, tool, control, seeds, hls4ml_backend)
    writer = FLOWS[flow]
    writer.check(request, find_board(board))
    with stages(as_json) as stage:
        done = stage(f"import {model}", 1)
        graph = muxflow.load(model, input_scale=fraction(input_scale))
        if arg_max:
            graph = append_arg_max(graph)
        if top_k:
            graph = append_top_k(graph, top_k)
        if seeds == "writable":
            graph = writable_seeds(graph)
        graph = run_passes(graph, writer.passes)
        done(1, 1)
        done = stage(f"fit {board}", 1)
        design = fitted(
            graph, board, clock=clock, fps=fps, latency_ms=latency_ms, lut=lut, bram=bram, slowdown=slowdown
        )
        done(1, 1)
        done = stage(f"write {request.target}", 1)
        report, facts = writer.write(design, request)
        done(1, 1)

    def show() -> None:
        out.print(terminal(report))
        for fact, text in facts.items():
            out.print(f"{fact}: {os.path.relpath(text) if fact == 'project' else text}")

    entry: dict[str, Any] = json.loads(to_json(report))
    answer({**entry, **{fact.replace(" ", "_"): text for fact, text in facts.items()}}, as_json, show)
