"""What each stage reads, runs and leaves, in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from muxflow.board.bitstream.figures import (
    POWER_REPORT,
    check_cosimulation,
    read_implementation,
    synthesis_report,
)
from muxflow.board.bitstream.notices import cosimulation_refusal
from muxflow.board.bitstream.runner import Stage
from muxflow.board.bitstream.toolchain import VendorTool
from muxflow.board.bitstream.vendor_reports import read_synthesis
from muxflow.board.bitstream.vendor_tcl import hls_results
from muxflow.hls.vitis.project import Project


def planned(
    project: Project, folder: Path, hls: VendorTool, vivado: VendorTool | None, former: VendorTool | None, jobs: int
) -> list[Stage]:
    """List the stages that run tools, in order; the co-simulation where the tools do not refuse it.

    `former`: the Vivado whose results may be there, where none was looked for; without any its stages are left out. `jobs`:
    processes of Vivado.
    """
    stages = [_check_stage(folder, hls, vivado), *_hls_stages(project, folder, hls)]
    used = vivado or former
    return stages if used is None else [*stages, *_vivado_stages(folder, used, jobs)]


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
        clean=(folder / "check_hls",) if vivado is None else (folder / "check_hls", found),
        expects="MUXFLOW part .* is known",
    )


def _hls_stages(project: Project, folder: Path, hls: VendorTool) -> Iterator[Stage]:
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
    if not cosimulation_refusal(project):
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
        (made / "system.hwh", made / "block_design.txt"),
        workspace=(folder / "vivado" / "system.xpr",),
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
        (power,),
        clean=(*products, power),
        check=lambda: read_implementation(made),
    )


def _vivado(vivado: VendorTool, script: str, *arguments: str) -> tuple[str, ...]:
    command = (str(vivado.path), "-mode", "batch", "-nojournal", "-nolog", "-notrace", "-source", script)
    return (*command, "-tclargs", *arguments) if arguments else command
