"""What the vendor's tools said of a design, read from their reports and set beside Muxflow's estimates."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from muxflow.board.bitstream.toolchain import VendorTool
from muxflow.board.bitstream.vendor_reports import (
    Cosimulated,
    PowerEstimate,
    Synthesised,
    Timing,
    read_cosimulation,
    read_power,
    read_synthesis,
    read_timing,
    read_utilisation,
)
from muxflow.board.bitstream.vendor_tcl import hls_results
from muxflow.dataflow.errors import ToolError, UsageError
from muxflow.dataflow.files import read_bounded
from muxflow.dataflow.fit.device import Resources, check_clock
from muxflow.dataflow.text import command_line, json_text, shown
from muxflow.hls.vitis.project import Project

FIGURES_FILE = "reports.json"
POWER_REPORT = "power.rpt"


@dataclass(frozen=True)
class Figures:
    """What the vendor's tools said of the design; None for what has not run.

    `hls`, `vivado`: tool and version. `accelerator`, `system`: implemented resources of the accelerator alone, and with
    DMA, monitor and interconnect; `power`: None also where Vivado left none. `board_part`: the board files that were
    applied, "" for none; `clock_hz`: the clock that the processing system gives.
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
    power: PowerEstimate | None = None


def synthesis_report(results: Path, top: str) -> Path:
    """Find the synthesis report that is there: Vitis HLS writes `csynth.xml`, every tool writes `<top>_csynth.xml` and `.rpt`."""
    folder = results / "syn" / "report"
    names = ("csynth.xml", f"{top}_csynth.xml", f"{top}_csynth.rpt")
    return next((folder / name for name in names if (folder / name).is_file()), folder / names[1])


def facts(file: Path) -> dict[str, str]:
    """Read the "name value" lines that a script left; empty where it has not run."""
    try:
        lines = read_bounded(file, "replace").splitlines()
    except (OSError, ValueError):
        return {}
    return {name: value.strip() for name, _, value in (line.partition(" ") for line in lines)}


def read_figures(
    project: Project, folder: Path, hls: VendorTool, vivado: VendorTool | None, stages: Collection[str]
) -> Figures:
    """Read the reports of the stages that ran; raises ToolError naming a report and what it lacks."""
    results = folder / hls_results(hls.form)
    made = folder / "results"
    top = project.names.top
    synthesised = read_synthesis(synthesis_report(results, top)) if "csynth" in stages else None
    cosimulated = read_cosimulation(results / "sim" / "report" / f"{top}_cosim.rpt") if "cosim" in stages else None
    label = None if vivado is None else vivado.label
    checked = facts(made / "check.txt") if vivado is not None else {}
    if "implement" not in stages:
        return Figures(hls.label, label, synthesised, cosimulated, board_part=checked.get("board_part"))
    accelerator, system, timing = read_implementation(made)
    clock = _clock_hz(made / "block_design.txt")
    part = checked.get("board_part")
    power = power_of(made)
    return Figures(hls.label, label, synthesised, cosimulated, accelerator, system, timing, part, clock, power)


def _clock_hz(file: Path) -> int:
    """Read the clock that the processing system gives; raises ToolError for a number that no clock has."""
    text = facts(file).get("clock_hz", "")
    try:
        check_clock(float(text) / 1e6)
        return round(float(text))
    except (ValueError, UsageError):
        raise ToolError(f"{file}: clock_hz is {shown(text)}; remove the file and run this again") from None


def power_of(results: Path) -> PowerEstimate | None:
    """Read the estimate of the power; None where Vivado left no whole one, which no bitstream waits for."""
    try:
        return read_power(results / POWER_REPORT)
    except ToolError:
        return None


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
        advice = "these paths reach no clock that a board gives"
        if reachable >= 1:
            advice = f"these paths reach about {reachable:.0f} MHz: `{command_line('build', 'MODEL', '--clock', int(reachable))}`"
    raise ToolError(
        f"timing is not met at {clock:g} MHz: worst slack {timing.setup_slack:g} ns (set-up), {timing.hold_slack:g} ns "
        f"(hold), {timing.failing_endpoints} failing endpoints; {advice}. The results may be wrong on the board; "
        f"to get the bitstream all the same: --allow-timing-failure. Report: {report}"
    )


def figures_json(project: Project, figures: Figures) -> bytes:
    """Compose the content of `reports.json`: estimates and the vendor's figures, each with what it is."""
    design = project.design
    entry: dict[str, Any] = {
        "digest": project.digest,
        "estimate": {
            "resources": asdict(design.resources),
            "interval": design.interval,
            "latency": design.latency,
            "clock_mhz": design.clock_mhz,
        },
        **asdict(figures),
    }
    return json_text(entry).encode()
