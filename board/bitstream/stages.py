"""From an HLS project to bitstream and driver: the stages, in order."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, get_args

from muxflow.board import deploy
from muxflow.board.bitstream.figures import (
    FIGURES_FILE,
    POWER_REPORT,
    Figures,
    check_cosimulation,
    check_timing,
    facts,
    figures_json,
    read_figures,
    read_implementation,
    synthesis_report,
)
from muxflow.board.bitstream.notices import cosimulation_refusal, notices_of
from muxflow.board.bitstream.runner import Outcome, Runner, Stage, Tell, locked
from muxflow.board.bitstream.toolchain import VendorTool, environment, find_hls, find_vivado
from muxflow.board.bitstream.vendor_reports import read_synthesis
from muxflow.board.bitstream.vendor_tcl import hls_results, write_scripts
from muxflow.board.board import Board
from muxflow.dataflow.errors import MuxflowError, ToolError, UsageError
from muxflow.dataflow.folders import whole_folder
from muxflow.dataflow.limits import is_number
from muxflow.dataflow.manifest import check_sources
from muxflow.dataflow.outputs import own_folder, write_below
from muxflow.hls.vitis.project import MARKER, SOURCES, Project

StageName = Literal["check", "csim", "csynth", "cosim", "export", "block_design", "implement", "deploy"]
STAGES: tuple[StageName, ...] = get_args(StageName)
"""All stages in order; cosim unless it is left out, or the tools refuse the project."""
ORDER: dict[str, int] = {name: number for number, name in enumerate(STAGES)}

DEPLOY: Final = "deploy"
"""The folder of what goes to the board."""
TIMEOUT_MINUTES = 720.0
"""Longest time of one stage (decision): implementation of a full device takes hours."""

Driver = Callable[[Project, Path], list[Path]]
"""`write_driver(project, folder)`: writes what runs on the board into a folder and returns the files."""


@dataclass(frozen=True)
class BitstreamOptions:
    """How the stages run.

    `tools`: folders with the vendor's installation, PATH and the usual ones when empty; `cosim`: simulate the RTL of
    a few frames too, once for the same sources; `until`: the last stage; `timeout_minutes` of one stage; `jobs`: processes
    of Vivado; `allow_timing_failure`: give a bitstream whose paths are too slow for the clock all the same.
    """

    tools: tuple[Path, ...] = ()
    cosim: bool = True
    until: StageName = "deploy"
    timeout_minutes: float = TIMEOUT_MINUTES
    jobs: int = 2
    allow_timing_failure: bool = False

    def __post_init__(self) -> None:
        if self.until not in STAGES:
            raise UsageError(f"stage {self.until!r}; supported are {', '.join(STAGES)}")
        if self.until == "cosim" and not self.cosim:
            raise UsageError("--until cosim and --no-cosim exclude each other")
        if not is_number(self.timeout_minutes) or self.timeout_minutes <= 0 or self.jobs < 1:
            raise UsageError(
                f"a time-out of {self.timeout_minutes} minutes and {self.jobs} jobs; both must be positive, and finite"
            )


@dataclass(frozen=True)
class Bitstream:
    """The outcome of all stages: their folder, the folder for the board (None before the last stage), figures, stages."""

    folder: Path
    deploy: Path | None
    figures: Figures
    outcomes: tuple[Outcome, ...]
    notices: tuple[str, ...]


def make_bitstream(
    project: Project,
    board: Board,
    options: BitstreamOptions | None = None,
    *,
    tell: Tell | None = None,
    write_driver: Driver = deploy.write_driver,
) -> Bitstream:
    """Run the stages in `bitstream/` of the project and fill `deploy/`; stages that are done and unchanged are kept.

    `tell(stage, activity)` follows them; `write_driver` fills the deploy folder.
    Raises MuxflowError when project and board do not fit, ToolError when a tool is absent, fails, is stopped or leaves
    something out, or when timing is not met. Scripts of all stages are written even where a tool is absent.
    """
    options = options or BitstreamOptions()
    if project.design.device.part != board.device.part:
        raise MuxflowError(
            f"{project.path}: designed for {project.design.board} ({project.design.device.part}), not for {board.name} "
            f"({board.device.part}); build it again: `muxflow build MODEL --board {board.name}`"
        )
    refusal = cosimulation_refusal(project) if options.cosim else ""
    if refusal and options.until == "cosim":
        raise MuxflowError(f"{project.path}: {refusal}")
    check_sources(project.path, *SOURCES, "tb", MARKER)
    folder = own_folder(project.path, "bitstream")
    own_folder(project.path, DEPLOY)
    last = ORDER[options.until]
    try:
        vivado = find_vivado(options.tools) if last >= ORDER["block_design"] else None
        hls = find_hls(project.options.tool, options.tools, vivado)
    except ToolError as error:
        write_scripts(project, board, folder)
        raise ToolError(
            f"{error}\nReady on disk: the HLS project {project.path} (run_hls.tcl), and scripts for every stage in "
            f"{folder}. The stages up to export need no Vivado: --until export"
        ) from error
    write_scripts(project, board, folder, hls.form)
    if hls.form != "config" and str(project.path).split() != [str(project.path)]:
        raise MuxflowError(
            f"{project.path}: a path with spaces, at which {hls.path.name} splits the compiler's flags that name it; move the "
            "project to a path without spaces"
        )
    runner = Runner(folder, environment(hls, vivado), options.timeout_minutes * 60)
    tell = tell or (lambda _stage, _activity: None)
    stages = [stage for stage in _stages(project, folder, hls, vivado, options) if ORDER[stage.name] <= last]
    notices = (f"co-simulation left out: {refusal}",) if refusal and last >= ORDER["cosim"] else ()
    with locked(folder):
        if board.board_parts and facts(folder / "results" / "check.txt").get("board_part") == "":
            # The user may have installed board files since.
            runner.forget("check")
        outcomes = runner.run(stages, tell)
        figures = read_figures(project, folder, hls, vivado, {stage.name for stage in stages})
        write_below(folder, {FIGURES_FILE: figures_json(project, figures)})
        filled = None
        if options.until == "deploy":
            check_timing(project, folder, figures, options.allow_timing_failure)
            tell("deploy", "")
            filled = _deploy(project, folder, figures, write_driver)
    return Bitstream(folder, filled, figures, outcomes, notices + notices_of(project, board, figures, folder))


def _stages(
    project: Project, folder: Path, hls: VendorTool, vivado: VendorTool | None, options: BitstreamOptions
) -> list[Stage]:
    """List the stages that run tools, in order; those of Vivado where it is there."""
    cosim = options.cosim and not cosimulation_refusal(project)
    stages = [_check_stage(folder, hls, vivado), *_hls_stages(project, folder, hls, cosim)]
    return stages if vivado is None else [*stages, *_vivado_stages(folder, vivado, options.jobs)]


def _check_stage(folder: Path, hls: VendorTool, vivado: VendorTool | None) -> Stage:
    commands: tuple[tuple[str, ...], ...] = (hls.script("check_hls.tcl"),)
    settings = {"hls": hls.label}
    found = folder / "results" / "check.txt"
    if vivado is not None:
        settings["vivado"] = vivado.label
        commands += (_vivado(vivado, "check.tcl"),)
    return Stage(
        "check",
        commands,
        (folder / "check_hls.tcl", folder / "check.tcl", folder / "common.tcl"),
        settings,
        products=() if vivado is None else (found,),
        clean=(folder / "check_hls", found),
        expects="MUXFLOW part .* is known",
    )


def _hls_stages(project: Project, folder: Path, hls: VendorTool, cosim: bool) -> Iterator[Stage]:
    top = project.names.top
    results = folder / hls_results(hls.form)
    sources = (project.path / "include", project.path / "src")
    bench = project.path / "tb"
    settings = {"hls": hls.label}

    def scripts(step: str) -> tuple[Path, ...]:
        if hls.form == "config":
            return (folder / "hls_config.cfg",)
        return (folder / f"{step}.tcl", project.path / "run_hls.tcl")

    yield Stage(
        "csim",
        (hls.step("csim"),),
        (*sources, bench, *scripts("csim")),
        settings,
        clean=(folder / "csim_hls", folder / "csim"),
        expects=r"PASS: \d+ frames, 0 differing words",
    )
    yield Stage(
        "csynth",
        (hls.step("csynth"),),
        (*sources, *scripts("csynth")),
        settings,
        products=(results / "syn" / "verilog" / f"{top}.v",),
        clean=(folder / "hls",),
        check=lambda: read_synthesis(synthesis_report(results, top)),
    )
    if cosim:
        report = results / "sim" / "report" / f"{top}_cosim.rpt"
        yield Stage(
            "cosim",
            (hls.step("cosim"),),
            (bench, *scripts("cosim")),
            settings,
            ("csynth",),
            (report,),
            clean=(results / "sim",),
            check=lambda: check_cosimulation(report),
        )
    yield Stage(
        "export",
        (hls.step("export"),),
        scripts("export"),
        settings,
        ("csynth",),
        (results / "impl" / "ip" / "component.xml",),
        clean=(results / "impl",),
    )


def _vivado_stages(folder: Path, vivado: VendorTool, jobs: int) -> Iterator[Stage]:
    settings = {"vivado": vivado.label}
    made = folder / "results"
    yield Stage(
        "block_design",
        (_vivado(vivado, "block_design.tcl"),),
        (folder / "block_design.tcl", folder / "common.tcl", folder / "stream_monitor.v", made / "check.txt"),
        settings,
        ("export",),
        (folder / "vivado" / "system.xpr", made / "system.hwh", made / "block_design.txt"),
        clean=(folder / "vivado", made / "system.hwh", made / "block_design.txt"),
    )
    reports = ("utilization.rpt", "accelerator_utilization.rpt", "timing_summary.rpt")
    products = tuple(made / name for name in (*reports, "system.bit", "system.xsa"))
    power = made / POWER_REPORT
    yield Stage(
        "implement",
        (_vivado(vivado, "implement.tcl", str(jobs)),),
        (folder / "implement.tcl",),
        settings,
        ("block_design",),
        products,
        clean=(*products, power),
        check=lambda: read_implementation(made),
    )


def _vivado(vivado: VendorTool, script: str, *arguments: str) -> tuple[str, ...]:
    command = (str(vivado.path), "-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", script)
    return (*command, "-tclargs", *arguments) if arguments else command


def _deploy(project: Project, folder: Path, figures: Figures, write_driver: Driver) -> Path:
    """Fill `deploy/` beside itself and put it in place at the end, so that it is whole or as it was."""
    target = own_folder(project.path, DEPLOY)
    with whole_folder(target) as made:
        write_driver(project, made)
        for suffix in ("bit", "hwh", "xsa"):
            shutil.copyfile(folder / "results" / f"system.{suffix}", made / f"{deploy.BITSTREAM}.{suffix}")
        (made / FIGURES_FILE).write_bytes(figures_json(project, figures))
    return target
