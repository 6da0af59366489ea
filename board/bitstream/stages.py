"""From an HLS project to bitstream and driver: the stages, in order."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, get_args

from muxflow.board import deploy
from muxflow.board.bitstream.figures import (
    FIGURES_FILE,
    Figures,
    check_timing,
    facts,
    figures_json,
    read_figures,
)
from muxflow.board.bitstream.notices import cosimulation_refusal, notices_of
from muxflow.board.bitstream.plan import planned
from muxflow.board.bitstream.runner import Outcome, Runner, Tell
from muxflow.board.bitstream.toolchain import VendorTool, environment, find_hls, find_vivado
from muxflow.board.bitstream.vendor_tcl import write_scripts
from muxflow.board.board import Board
from muxflow.dataflow.errors import MuxflowError, ToolError, UsageError
from muxflow.dataflow.files import read_json
from muxflow.dataflow.folders import whole_folder
from muxflow.dataflow.limits import is_number, set_plain
from muxflow.dataflow.locking import locked
from muxflow.dataflow.manifest import MANIFEST, check_sources, read_manifest, replaced_files
from muxflow.dataflow.outputs import own_folder, write_below
from muxflow.dataflow.text import command_line
from muxflow.hls.vitis.project import MARKER, SOURCES, Project, unchanged

StageName = Literal["check", "csim", "csynth", "cosim", "export", "block_design", "implement", "deploy"]
STAGES: tuple[StageName, ...] = get_args(StageName)
"""All stages in order; cosim unless it is left out, or the tools refuse the project."""
ORDER: dict[str, int] = {name: number for number, name in enumerate(STAGES)}

READ = ("tb", MARKER)
"""What the stages read of a project beside what its digest is of."""
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
        set_plain(self, "timeout_minutes", "jobs")
        if not is_number(self.timeout_minutes) or self.timeout_minutes <= 0 or self.jobs < 1:
            raise UsageError(
                f"a time-out of {self.timeout_minutes} minutes and {self.jobs} jobs; both must be positive, and finite"
            )


@dataclass(frozen=True)
class Bitstream:
    """The outcome of all stages: the project as they saw it, their folder, that for the board (None before the last), figures."""

    project: Project
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
    Raises MuxflowError when project and board do not fit, the project is changed meanwhile, or a file that a user changed in
    `deploy/` would be replaced, ToolError when a tool is absent, fails, is stopped or leaves something out, or when timing is
    not met. Scripts of all stages are written even where a tool is absent.
    """
    options = options or BitstreamOptions()
    project = replace(project)  # with the digest of what is there now
    if (project.design.board, project.design.device.part) != (board.name, board.device.part):
        raise MuxflowError(
            f"{project.path}: designed for {project.design.board} ({project.design.device.part}), not for {board.name} "
            f"({board.device.part}); build it again: `{command_line('build', 'MODEL', '--board', board.name)}`"
        )
    last, refusal = ORDER[options.until], cosimulation_refusal(project)
    if refusal and options.until == "cosim":
        raise MuxflowError(f"{project.path}: {refusal}")
    check_sources(project.path, *SOURCES, *READ)
    folder = own_folder(project.path, "bitstream")
    if options.until == "deploy":
        _check_deploy(own_folder(project.path, DEPLOY))
    with locked(folder) as lock, unchanged(project, "the tools ran", READ) as check:
        hls, vivado = _tools(project, board, folder, options)
        runner = Runner(folder, environment(hls, vivado), options.timeout_minutes * 60, (lock,))
        tell = tell or (lambda _stage, _activity: None)
        former = vivado or _former(folder)
        every = planned(project, folder, hls, vivado, former, options.jobs)
        stages = [one for one in every if ORDER[one.name] <= last and (options.cosim or one.name != "cosim")]
        if board.board_parts and facts(folder / "results" / "check.txt").get("board_part") == "":
            # The user may have installed board files since.
            runner.forget("check")
        outcomes = runner.run(stages, tell, check)
        good = runner.good(every) | {one.name for one in stages}
        figures = read_figures(project, folder, hls, former if "implement" in good else vivado, good)
        write_below(folder, {FIGURES_FILE: figures_json(project, figures)})
        filled = None
        if options.until == "deploy":
            check_timing(project, folder, figures, options.allow_timing_failure)
            tell("deploy", "")
            filled = _deploy(project, folder, figures, write_driver, check)
    notices = tuple(f"stage {one.name} ran again: {one.why}" for one in outcomes if one.why)
    if refusal and options.cosim and last >= ORDER["cosim"]:
        notices += (f"co-simulation left out: {refusal}",)
    return Bitstream(project, folder, filled, figures, outcomes, notices + notices_of(project, board, figures, folder))


def _tools(
    project: Project, board: Board, folder: Path, options: BitstreamOptions
) -> tuple[VendorTool, VendorTool | None]:
    """Find the HLS tool, and Vivado where a stage needs it, and write the scripts, which come to be without a tool too."""
    try:
        vivado = find_vivado(options.tools) if ORDER[options.until] >= ORDER["block_design"] else None
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
    return hls, vivado


def _former(folder: Path) -> VendorTool | None:
    """Give the Vivado whose figures were kept by an earlier run, as they name it; None where there is none."""
    try:
        met = re.fullmatch(r"Vivado (\d{4})\.(\d)", read_json(folder / FIGURES_FILE)["vivado"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return None if met is None else VendorTool("Vivado", Path("vivado"), (int(met[1]), int(met[2])))


def _deploy(project: Project, folder: Path, figures: Figures, write_driver: Driver, check: Callable[[], None]) -> Path:
    """Fill `deploy/` beside itself and put it in place at the end, so that it is whole or as it was."""
    target = own_folder(project.path, DEPLOY)
    with whole_folder(target) as made:
        write_driver(project, made)
        for suffix in ("bit", "hwh", "xsa"):
            shutil.copyfile(folder / "results" / f"system.{suffix}", made / f"{deploy.BITSTREAM}.{suffix}")
        (made / FIGURES_FILE).write_bytes(figures_json(project, figures))
        check()
        _check_deploy(target)
    return target


def _check_deploy(folder: Path) -> None:
    """Raise MuxflowError where a new deploy folder would replace what a user changed in this one, or what may be a user's."""
    manifest = read_manifest(folder)
    if manifest is None:
        try:
            if not folder.is_dir() or not any(folder.iterdir()):
                return
        except OSError as error:
            raise MuxflowError(f"{error.filename or folder}: cannot be read ({error.strerror})") from error
        raise MuxflowError(
            f"{folder}: {MANIFEST} is missing or damaged, which tells the files that Muxflow wrote there from yours; move the "
            "folder away"
        )
    if edited := replaced_files(folder, manifest):
        raise MuxflowError(
            f"{folder}: {', '.join(edited)} changed since Muxflow wrote it, and would be replaced; give it a name of your own "
            "(all other files stay), or remove it, and run this again"
        )
