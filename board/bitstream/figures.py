"""What the vendor's tools said of a design, read from their reports and set beside Muxflow's estimates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from muxflow.board.bitstream.toolchain import VendorTool
from muxflow.board.bitstream.vendor_reports import (
    Cosimulated,
    Synthesised,
    Timing,
    read_cosimulation,
    read_synthesis,
    read_timing,
    read_utilisation,
)
from muxflow.board.bitstream.vendor_tcl import hls_results, top_name
from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.text import json_text
from muxflow.hls.vitis.project import Project

FIGURES_FILE = "reports.json"


@dataclass(frozen=True)
class Figures:
    """What the vendor's tools said of the design; None for what has not run.

    `hls`, `vivado`: tool and version. `accelerator`, `system`: implemented resources of the accelerator alone, and with
    DMA, monitor and interconnect. `board_part`: the board files that were applied, "" for none; `clock_hz`: the clock
    that the processing system gives.
    """

    hls: str
    vivado: str | None = None
    synthesised: Synthesised | None = None
    cosimulated: Cosimulated | None = None
    accelerator: Resources | None = None
    system: Resources | None = None
    timing: Timing | None = None
    board_part: str | None = None
    clock_hz: int | None = None


def synthesis_report(results: Path, top: str) -> Path:
    """Find the synthesis report that is there: Vitis HLS writes `csynth.xml`, every tool writes `<top>_csynth.xml` and `.rpt`."""
    folder = results / "syn" / "report"
    names = ("csynth.xml", f"{top}_csynth.xml", f"{top}_csynth.rpt")
    return next((folder / name for name in names if (folder / name).is_file()), folder / names[1])


def facts(file: Path) -> dict[str, str]:
    """Read the "name value" lines that a script left; empty where it has not run."""
    try:
        lines = file.read_text(errors="replace").splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(" ") for line in lines)}


def read_figures(
    project: Project, folder: Path, hls: VendorTool, vivado: VendorTool | None, stages: Collection[str]
) -> Figures:
    """Read the reports of the stages that ran; raises ToolError naming a report and what it lacks."""
    results = folder / hls_results(hls.form)
    made = folder / "results"
    top = top_name(project)
    synthesised = read_synthesis(synthesis_report(results, top)) if "csynth" in stages else None
    cosimulated = read_cosimulation(results / "sim" / "report" / f"{top}_cosim.rpt") if "cosim" in stages else None
    label = None if vivado is None else vivado.label
    checked = facts(made / "check.txt") if vivado is not None else {}
    if "implement" not in stages:
        return Figures(hls.label, label, synthesised, cosimulated, board_part=checked.get("board_part"))
    accelerator, system, timing = read_implementation(made)
    text = facts(made / "block_design.txt").get("clock_hz", "")
    try:
        clock = round(float(text))
    except (ValueError, OverflowError):
        raise ToolError(
            f"{made / 'block_design.txt'}: clock_hz is {text!r}; remove the file and run this again"
        ) from None
    return Figures(
        hls.label, label, synthesised, cosimulated, accelerator, system, timing, checked.get("board_part"), clock
    )


def read_implementation(results: Path) -> tuple[Resources, Resources, Timing]:
    """Read the implemented resources of the accelerator and of the whole system, and the timing."""
    return (
        read_utilisation(results / "accelerator_utilization.rpt"),
        read_utilisation(results / "utilization.rpt"),
        read_timing(results / "timing_summary.rpt"),
    )


def check_cosimulation(report: Path) -> None:
    """Raise ToolError when the RTL did not do what the test bench expects."""
    if not read_cosimulation(report).passed:
        raise ToolError(
            f"{report}: the co-simulation did not pass: the RTL differs from the test bench's expected words"
        )


def check_timing(project: Project, folder: Path, figures: Figures, allowed: bool) -> None:
    """Raise ToolError when a path is too slow or too fast for the clock, unless that is allowed."""
    timing = figures.timing
    if timing is None or timing.met or allowed:
        return
    report = folder / "results" / "timing_summary.rpt"
    clock = (figures.clock_hz or 0) / 1e6 or project.design.clock_mhz
    advice = "hold is not met: that is no matter of the clock's frequency"
    if timing.setup_slack < 0:
        reachable = 1000 / (1000 / clock - timing.setup_slack)
        advice = f"these paths reach about {reachable:.0f} MHz: `muxflow build MODEL --clock {int(reachable)}`"
    raise ToolError(
        f"timing is not met at {clock:g} MHz: worst slack {timing.setup_slack:g} ns (set-up), {timing.hold_slack:g} ns "
        f"(hold), {timing.failing_endpoints} failing endpoints; {advice}. The results may be wrong on the board; "
        f"to get the bitstream all the same: --allow-timing-failure. Report: {report}"
    )


def figures_json(project: Project, figures: Figures) -> bytes:
    """Compose the content of `reports.json`: estimates and the vendor's figures, each with what it is."""
    design = project.design
    columns, rows = comparison(project, figures)
    entry: dict[str, Any] = {
        "digest": project.digest,
        "comparison": [columns, *rows],
        "estimate": {
            "resources": asdict(design.resources),
            "interval": project.interval,
            "latency": design.latency,
            "clock_mhz": design.clock_mhz,
        },
        **asdict(figures),
    }
    return json_text(entry).encode()


def comparison(project: Project, figures: Figures) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Lay out column titles and rows of the table that sets the estimates beside what was synthesised and implemented."""
    design = project.design
    asked = "flushing" if project.options.tool == "vitis_hls" else "drained"
    columns: list[tuple[str, Resources | None, tuple[str, ...]]] = [
        (
            "estimate",
            design.resources,
            (f"{project.interval:,}", f"{design.latency:,}", f"{1000 / design.clock_mhz:.3f} asked", asked),
        )
    ]
    if figures.synthesised is not None:
        made = figures.synthesised
        period = f"{made.estimated_ns:.3f} + {made.uncertainty_ns:.3f} estimated"
        cycles = (_range(made.interval), _range(made.latency), period, _styles(made))
        columns.append((f"synthesised with {figures.hls}", made.resources, cycles))
    if figures.cosimulated is not None:
        seen = figures.cosimulated
        columns.append(
            (f"co-simulated with {figures.hls}", None, (_range(seen.interval), _range(seen.latency), "", ""))
        )
    if figures.timing is not None and figures.clock_hz:
        reached = f"{1e9 / figures.clock_hz - figures.timing.setup_slack:.3f} reached"
        columns.append((f"implemented with {figures.vivado}: accelerator", figures.accelerator, ("", "", reached, "")))
        columns.append((f"implemented with {figures.vivado}: all", figures.system, ("", "", reached, "")))
    rows: list[tuple[str, ...]] = []
    for name, _ in Resources().items():
        if name != "URAM" or design.device.uram:
            rows.append((name, *("" if used is None else f"{dict(used.items())[name]:,}" for _, used, _ in columns)))
    for number, name in enumerate(("interval, cycles", "latency, cycles", "clock period, ns", "pipelines")):
        rows.append((name, *(texts[number] for _, _, texts in columns)))
    return ("", *(title for title, _, _ in columns)), rows


def _styles(made: Synthesised) -> str:
    """Count the pipelines by style, as the tool names them."""
    counts = Counter(one.style or "style not given" for one in made.pipelines)
    return ", ".join(f"{number} {style}" for style, number in sorted(counts.items())) or "not given"


def _range(cycles: tuple[int, ...] | None) -> str:
    if cycles is None:
        return "not given"
    return f"{cycles[0]:,}" if cycles[0] == cycles[-1] else f"{cycles[0]:,}..{cycles[-1]:,}"
