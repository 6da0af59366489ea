"""Writes the scripts and settings that the vendor's tools are run with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jinja2

from muxflow.board.bitstream.toolchain import Form
from muxflow.board.board import Board
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import write_atomically
from muxflow.dataflow.version import __version__
from muxflow.hls.names import identifier
from muxflow.hls.vitis.project import Project

HERE = Path(__file__).parent
TEMPLATES = HERE / "templates"
MONITOR = HERE / "ip" / "stream_monitor.v"
"""Watches and counts the words between DMA and accelerator, in the programmable logic."""

HLS_STEPS = ("csim", "csynth", "cosim", "export")
SCRIPTS = ("check_hls.tcl", "common.tcl", "check.tcl", "block_design.tcl", "implement.tcl")
PROCESSING_SYSTEMS = {"zynq-7000": "processing_system7", "zynq-ultrascale+": "zynq_ultra_ps_e"}


def hls_results(form: Form) -> str:
    """The folder below the flow's folder in which an HLS tool leaves `syn`, `sim` and `impl`."""
    return "hls/hls" if form == "config" else "hls/solution"


def top_name(project: Project) -> str:
    """The name of the function that becomes the accelerator, and of its IP."""
    return identifier(project.design.graph.name)


def write_scripts(project: Project, board: Board, folder: Path, form: Form = "script") -> None:
    """Writes the scripts for every stage, the HLS configuration and the monitor's source into `folder`.

    `form`: of the HLS tool, which decides where the block design finds the IP. Files that are the same already stay as
    they are. Raises MuxflowError when the board has no processing system, or the folder cannot be written.
    """
    design = project.design
    values: dict[str, Any] = {
        "version": __version__,
        "board": board,
        "part": design.device.part,
        "board_parts": board.board_parts,
        "processing_system": PROCESSING_SYSTEMS[board.family],
        "ps_clock": f"{board.ps_clock_mhz:.9g}",
        "clock": f"{design.clock_mhz:.6g}",
        "period": f"{1000 / design.clock_mhz:.3f}",
        "tool": project.options.tool,
        "top": top_name(project),
        "flags": "-std=c++14 -I../include -I../src",
        "ip_folder": f"{hls_results(form)}/impl/ip",
    }
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )
    texts = {name: environment.get_template(f"{name}.j2").render(**values) for name in SCRIPTS}
    for step in HLS_STEPS:
        texts[f"{step}.tcl"] = environment.get_template("hls_step.tcl.j2").render(**values, step=step)
    if project.options.tool == "vitis_hls":
        texts["hls_config.cfg"] = environment.get_template("hls_config.cfg.j2").render(**values)
    try:
        texts[MONITOR.name] = MONITOR.read_text()
    except OSError as error:
        raise MuxflowError(f"{MONITOR}: cannot be read ({error.strerror}); install Muxflow again") from error
    for name, text in texts.items():
        file = folder / name
        if not file.is_file() or file.read_bytes() != text.encode():
            write_atomically(file, text.encode())
