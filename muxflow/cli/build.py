"""The command `muxflow build`: the project of a design, for any target."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import muxflow
from muxflow.cli.console import (
    BoardOption,
    Json,
    ModelArgument,
    Verbose,
    answer,
    next_command,
    out,
    stage,
    tasks,
)
from muxflow.cli.fit import (
    BramOption,
    ClockOption,
    FpsOption,
    LatencyOption,
    LutOption,
    SlowdownOption,
    StatefulOption,
    SureOption,
    floor,
    say_how,
    wishes,
)
from muxflow.cli.input_options import InputKeywords, with_input_options
from muxflow.cli.target_options import TargetOption, chosen_options, with_target_options
from muxflow.cli.words import given_options
from muxflow.dataflow.errors import BudgetError, UsageError
from muxflow.dataflow.fit.goal import Asked, Goal
from muxflow.dataflow.folders import check_former, check_room
from muxflow.dataflow.graph.passes import append_arg_max, append_top_k, run_passes
from muxflow.dataflow.quantities import rate, si
from muxflow.dataflow.text import command_line, encoded
from muxflow.hls.design_file import DESIGN_FILES
from muxflow.hls.registry import as_built, find, loaded_weights

if TYPE_CHECKING:
    from muxflow.dataflow.fit.design import Design
    from muxflow.dataflow.graph.graph import Graph


ROUNDS = 4
"""How often a fit is asked for more, as its project falls short of the goal (decision)."""
DRAINED = "pipelines of this tool drain at the end of a frame"


@with_target_options
@with_input_options
def build(
    context: typer.Context,
    model: ModelArgument,
    inputs: InputKeywords,
    board: BoardOption = "pynq-z2",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Project folder; build/MODEL when absent.")
    ] = None,
    fps: FpsOption = None,
    latency_ms: LatencyOption = None,
    clock: ClockOption = None,
    lut: LutOption = 0.70,
    bram: BramOption = 0.90,
    sure: SureOption = 0.80,
    slowdown: SlowdownOption = 0.0,
    stateful: StatefulOption = False,
    target: TargetOption = "vitis",
    arg_max: Annotated[bool, typer.Option("--arg-max", help="Give the class index instead of the logits.")] = False,
    top_k: Annotated[int | None, typer.Option(min=1, help="Give the indices of the K largest logits instead.")] = None,
    force: Annotated[
        bool,
        typer.Option("--force", help="Replace what stands in the folder: another network's project, edited files."),
    ] = False,
    verbose: Verbose = False,
    as_json: Json = False,
    **given: Any,
) -> None:
    """Fit a model to a board, as `muxflow fit` does, and write its HLS project."""
    from muxflow.dataflow.fit.resizing import without_margins
    from muxflow.provenance import BUILD_FILE
    from muxflow.proving import folder_report, model_copy, unchanged_model
    from muxflow.reports.render import terminal
    from muxflow.reports.schema.file import to_entry

    if arg_max and top_k:
        raise UsageError("both --arg-max and --top-k are asked for; give one of them")
    writer = find(target)
    options = chosen_options(writer, given)
    asked = wishes(
        board=board, clock=clock, fps=fps, latency_ms=latency_ms, lut=lut, bram=bram, sure=sure, slowdown=slowdown
    )
    name = asked["board"].name
    folder = output or Path("build") / model.stem
    writer.check(options, name, folder)
    with tasks(as_json) as begin:
        done = begin(f"import {model}", 1)
        with unchanged_model(model):
            graph = muxflow.load(model, loaded=loaded_weights(options), stateful=stateful, **inputs)
            kept = model_copy(model)
        if arg_max:
            graph = append_arg_max(graph)
        if top_k:
            graph = append_top_k(graph, top_k)
        graph = run_passes(graph, writer.passes(options))
        writer.check_graph(graph, options, name)
        if not force:
            check_former(folder, graph.name, DESIGN_FILES)
        check_room(folder, kept)
        done(1, 1)
        fitted = {**asked, "implementations": writer.implementations}
        design = stage(begin, f"fit {board}", lambda: _fitted(graph, fitted, options))
        shares = ("board", "lut", "bram", "sure")
        command = command_line("build", model.name, *given_options(context, without=("output",), always=shares))
        kept[BUILD_FILE] = encoded(f"{command}\n")
        written = stage(begin, f"write {folder}", lambda: writer.write(design, folder, options, kept))
        bare = stage(begin, "FIFO margins", lambda: without_margins(design))
    report = folder_report(
        design,
        written.path,
        written.digest,
        muxflow.__version__,
        bare=bare,
        built_by=command,
    )
    facts = {"project": str(written.path), **written.facts}

    def show() -> None:
        out.print(terminal(report, verbose=verbose))
        say_how(design)
        out.print()
        if note := floor(asked, design, report.frames_per_second):
            out.print(note)
        for fact, text in facts.items():
            out.print(f"{fact}: {os.path.relpath(text) if fact == 'project' else text}")
        if target == "vitis":
            next_command("csim", os.path.relpath(written.path))

    entry: dict[str, Any] = to_entry(report)
    answer({**entry, **{fact.replace(" ", "_"): text for fact, text in facts.items()}}, as_json, show)


def _fitted(graph: Graph, asked: Mapping[str, Any], options: object) -> Design:
    """Fit a graph so that its project reaches what is asked for.

    A project whose frames do not overlap, or whose pipelines drain, is slower than the design that was fitted: then a faster
    one is fitted, ROUNDS times at most.
    """
    goal = Goal(asked["fps"], asked["latency"])
    wanted, why = dict(asked), ""
    tried: list[Design] = []
    for _ in range(ROUNDS):
        try:
            design = as_built(options, muxflow.fit(graph, **wanted))
        except BudgetError as error:
            if not tried:
                raise
            tried.append(as_built(options, muxflow.fit(graph, **{**asked, "fps": None, "latency": None})))
            raise BudgetError(_nearest(tried, asked, why)) from error
        tried.append(design)
        cycles, latency = goal.interval(design.clock_mhz), goal.latency_cycles(design.clock_mhz)
        if cycles is not None and design.interval > cycles and design.apart is not None:
            # So many pass one after the other if each is through by then, and the last process ends after the last output.
            wanted |= {"fps": None, "latency": design.latency / design.apart / asked["fps"]}
            why = "frames do not overlap, as they are started over AXI-Lite and weights are generated or loaded"
        elif cycles is not None and design.interval > cycles:
            wanted |= {"fps": wanted["fps"] * design.interval / cycles}
            why = DRAINED
        elif latency is not None and design.latency > latency:
            wanted |= {"latency": wanted["latency"] * latency / design.latency}
            why = DRAINED
        else:
            break
    return replace(design, asked=Asked(goal, asked["slowdown"]))


def _nearest(tried: list[Design], asked: Mapping[str, Any], why: str) -> str:
    """Say that no project reaches what is asked for, and what the nearest of those that were tried does."""
    least = min(tried, key=lambda one: one.latency if asked["fps"] is None else one.interval)
    how = "estimate" if least.timing is None else "cycle simulation"
    if asked["fps"] is None:
        wanted, found = f"a latency of {si(asked['latency'], 's')}", f"has {si(least.latency_seconds, 's')}"
    else:
        wanted, found = rate(asked["fps"]), f"does {rate(least.frames_per_second)}"
    return (
        f"{least.graph.name} does not reach {wanted} on {least.board}: {why}. The nearest project that was found {found} "
        f"({how}). Remedy: lower the goal, raise the clock (--clock), choose a larger board, or other --control or --tool"
    )
