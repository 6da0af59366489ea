"""What a user should know though all stages went through."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from muxflow.board.bitstream.figures import Figures
from muxflow.board.board import Board
from muxflow.dataflow.files import read_lines
from muxflow.hls.vitis.project import Project

WITHDRAWN = "[HLS 200-1553]"
"""The message by which Vitis HLS gives a pipeline another style than the one that was asked for (UG1448)."""


def cosimulation_refusal(project: Project) -> str:
    """Say why the vendor's co-simulation refuses the project; empty where it does not."""
    if project.registers and project.options.control == "ap_ctrl_none":
        what, instead = (
            ("writable seeds are registers", "`--seeds fixed`")
            if project.seeds
            else ("what begins a state anew is a register", "a build without --stateful")
        )
        return (
            "the tools co-simulate a free-running region (ap_ctrl_none) only where all its ports are streams (UG1399), and "
            f"{what}; {instead}, or `--control s_axilite`, can be co-simulated"
        )
    return ""


def notices_of(project: Project, board: Board, figures: Figures, folder: Path) -> tuple[str, ...]:
    """List them; `folder`: of the stages."""
    found = [*_board_files(board, figures, folder), *_synthesis(project, figures, folder)]
    return tuple(found)


def _board_files(board: Board, figures: Figures, folder: Path) -> Iterator[str]:
    if figures.board_part != "" or not board.board_parts:
        return
    name = board.board_parts[-1].split(":")[1]
    yield (
        f"Vivado has no board files for {board.title} ({' or '.join(board.board_parts)}): memory and pins of the "
        "processing system are not set up, so this bitstream is for a board that has already booted (PYNQ, Linux); do not "
        "boot from its xsa. To install them, in Vivado's Tcl console: xhub::refresh_catalog [xhub::get_xstores "
        f"xilinx_board_store]; xhub::install [xhub::get_xitems *{name}*], then run this again "
        f"(log: {folder / 'logs' / 'check.log'})"
    )


def _synthesis(project: Project, figures: Figures, folder: Path) -> Iterator[str]:
    made = figures.synthesised
    if made is None:
        return
    if made.slack_ns < 0:
        yield (
            f"the synthesis expects a slack of {made.slack_ns:.3f} ns: {made.estimated_ns:.3f} ns estimated and "
            f"{made.uncertainty_ns:.3f} ns kept for placement are more than the {made.target_ns:.3f} ns asked for; the "
            "implementation decides, and a slower clock is `muxflow build MODEL --clock MHZ`"
        )
    stalling = [one.name for one in made.pipelines if one.style == "stp"]
    if stalling:
        yield (
            f"{len(stalling)} of {len(made.pipelines)} pipelines stand still while a beat is missing (style stp), though "
            f"flushing ones are asked for: {', '.join(stalling)}. FIFOs have margins against deadlocks "
            "(docs/design/timing.md); the interval may be longer than estimated"
        )
    log = folder / "logs" / "csynth.log"
    if project.options.tool == "vitis_hls" and log.is_file():
        for message in dict.fromkeys(line.strip() for line in read_lines(log) if WITHDRAWN in line):
            yield f"the tool withdrew a pipeline's style: {message}"
