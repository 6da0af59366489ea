"""What `muxflow fit --from` does: the FIFOs of a synthesised project, sized for the pipelines that the tool reported."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table

from muxflow.cli.console import answer, out, tasks
from muxflow.cli.opening import opened_project
from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.fit.timing import Simulator, told

if TYPE_CHECKING:
    from muxflow.dataflow.fit.design import Design


def refit(model: Path | None, path: Path | None, as_json: bool, others: Sequence[str] = ()) -> None:
    """Print estimated and reported pipelines, and interval, deadlocks and FIFOs before and after; the project stays as it is.

    Raises UsageError where a model or `others`, further options of the fit, are given too, or no project.
    """
    if path is None:
        raise UsageError("give a model, or a synthesised project: --from PROJECT")
    if model is not None:
        raise UsageError(f"both the model {model} and --from {path} are given; give one of them")
    if others:
        raise UsageError(f"--from {path} keeps the project's own fit; leave out {', '.join(others)}")
    from muxflow.board.bitstream.feedback import reported_pipelines
    from muxflow.dataflow.fit.resizing import deadlocks, resized, with_pipelines

    with tasks(as_json) as begin:
        done = begin(f"read {path}", 1)
        project = opened_project(path).hls
        design = project.design
        reported = reported_pipelines(project)
        done(1, 1)
        done = begin("FIFO depths", 1)
        seen = replace(design, folded=with_pipelines(design.folded, reported))
        frames = 4 if design.timing is None else len(design.timing.completions)
        ran, waits = Simulator.of(seen.folded).attempt(design.depths, frames)
        timing = ran if waits is None else None
        made = replace(seen, timing=timing)
        rings = deadlocks(seen)
        after = resized(seen)
        done(1, 1)
    pipelines = [
        {
            "node": node.name,
            "estimated": {"depth": design.cost(node).depth, "interval": design.cost(node).interval},
            "reported": {"depth": seen.cost(node).depth, "interval": seen.cost(node).interval},
        }
        for node in design.folded.processes
    ]
    steps = {
        "as fitted": _figures(design, design.interval),
        "pipelines as reported": _figures(made, None if timing is None else made.interval),
        "FIFOs sized anew": _figures(after, after.interval),
    }
    depths = {
        name: {"before": design.depths[name], "after": after.depths[name]}
        for name in design.depths
        if design.depths[name] != after.depths[name]
    }
    stopped = {style: told(ring, design.depths) for style, ring in rings.items()}
    entry = {
        "project": str(project.path),
        "pipelines": pipelines,
        "designs": steps,
        "deadlocks": stopped,
        "depths": depths,
    }
    answer(entry, as_json, lambda: _show(entry))


def _figures(design: Design, interval: int | None) -> dict[str, Any]:
    """Give the cycles between frames, None where frames stop for ever, the bits of all FIFOs, LUTs and block RAM."""
    bits = sum(placed.memory.bits for placed in design.fifos.values())
    used = design.resources
    return {"interval": interval, "fifo_bits": bits, "lut": used.lut, "bram18": used.bram18}


def _show(entry: dict[str, Any]) -> None:
    table = Table(title="pipelines: depth / initiation interval, in cycles", title_justify="left", box=None)
    for column in ("node", "estimated", "reported"):
        table.add_column(column, justify="left" if column == "node" else "right")
    for row in entry["pipelines"]:
        table.add_row(
            row["node"], *(f"{row[kind]['depth']} / {row[kind]['interval']}" for kind in ("estimated", "reported"))
        )
    out.print(table)
    table = Table(title="FIFOs (cycle simulation)", title_justify="left", box=None)
    for column in ("", "cycles a frame", "FIFO bits", "LUT", "BRAM18"):
        table.add_column(column, justify="right" if column else "left")
    for name, one in entry["designs"].items():
        interval = "deadlock" if one["interval"] is None else f"{one['interval']:,}"
        table.add_row(name, interval, *(f"{one[key]:,}" for key in ("fifo_bits", "lut", "bram18")))
    out.print(table)
    for style, waiting in entry["deadlocks"].items():
        out.print(f"as it is, it deadlocks where pipelines are {style}: {'; '.join(waiting)}")
    for name, depth in entry["depths"].items():
        out.print(f"FIFO {name}: {depth['before']} beats, {depth['after']} with the reported pipelines")
    if not entry["depths"]:
        out.print("every FIFO is as deep as the reported pipelines need")
