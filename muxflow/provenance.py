"""Where a report comes from: this host, versions, Muxflow's revision, the commands that give it again."""

from __future__ import annotations

import filecmp
import platform
import re
import shlex
import shutil
import subprocess
from dataclasses import fields
from functools import lru_cache
from pathlib import Path

import muxflow
from muxflow.board.board import boards
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import read_bounded, read_json
from muxflow.dataflow.fit.binding import joined
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.goal import Asked, Goal
from muxflow.dataflow.fit.timing import COMPILER
from muxflow.dataflow.graph.codec import from_json
from muxflow.dataflow.manifest import edited_files
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.top_k import TopK
from muxflow.dataflow.processes import completed
from muxflow.dataflow.quantities import exact
from muxflow.dataflow.text import command_line, shown
from muxflow.hls.design_file import DESIGN
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.proof.ladder import Ladder, model_files
from muxflow.reports.schema.stages import Accuracy, Provenance, Stage

BUILD_FILE = "build.txt"
"""The command that built a project, kept in it."""
SECONDS = 10
"""How long a program may take to say its version."""


def provenance_of(
    design: Design, folder: Path, digest: str, kept: Ladder, stages: tuple[Stage, ...], built_by: str = ""
) -> Provenance:
    """Say where the report of a project in a folder comes from; `digest`: of its sources; `built_by`: see `commands`."""
    tools = {"Muxflow": muxflow.__version__, "Python": platform.python_version(), **compiler()}
    for stage in stages:
        name, _, version = stage.tool.rpartition(" ")
        tools |= {name: version} if name else {}
    host = f"{platform.system()} {platform.machine()}"
    return Provenance(host, tools, revision(), digest, commands(design, folder, kept, built_by))


def commands(design: Design, folder: Path, kept: Ladder, built_by: str = "") -> tuple[str, ...]:
    """List the commands that give a project and what is known of it again.

    `built_by`: the build's, else the one that the folder keeps; the simulation, where it has run, has the options that its
    ladder keeps. Where Python did it, the build is made of the design, of what its fit was asked for and of the project's
    options; where no options of a command say these, a comment stands in its place and says what they miss.
    """
    build = built_by or shlex.join(_kept_build(folder))
    if not build and (missing := _not_said(design)):
        found = [f"# Python wrote this project, and no command does it again: {'; '.join(missing)}"]
    else:
        build = build or command_line("build", _model(design, folder), *_build_options(design, folder))
        found = [f"{build} --output {shlex.quote(folder.name)}"]
    if kept.rungs:
        simulated = _simulation_options(kept.accuracy) if kept.options is None else kept.options
        found.append(command_line("csim", folder.name, *simulated))
    return (*found, command_line("report", folder.name))


def changed_model(folder: Path) -> Path | None:
    """Find the model that a project was built from, in the current folder or above the project, where it is another now."""
    words = _kept_build(folder)
    name = Path(words[2]).name if len(words) > 2 else ""
    copy = next((file for file in model_files(folder) if file.suffix == Path(name).suffix.lower()), None)
    if copy is None:
        return None
    found = next((file for above in (Path(), *folder.absolute().parents[:2]) if (file := above / name).is_file()), None)
    return None if found is None or filecmp.cmp(found, copy, shallow=False) else found


def _kept_build(folder: Path) -> list[str]:
    """Return the words of the command that built a project, none where the folder keeps none as Muxflow wrote it."""
    file = folder / BUILD_FILE
    try:
        words = shlex.split(read_bounded(file)) if file.is_file() and not edited_files(folder, BUILD_FILE) else []
    except (ValueError, OSError, MuxflowError):
        return []
    return words if words[:2] == ["muxflow", "build"] else []


def _model(design: Design, folder: Path) -> str:
    # The network is named after its file, and the sources after the network: the copy's own name would give others.
    return next((f"{design.graph.name}{file.suffix}" for file in model_files(folder)), "MODEL")


def _not_said(design: Design) -> list[str]:
    """List what of a design `muxflow build` has no options for, or would make otherwise."""
    found, asked, shares = [], design.asked, design.utilisation
    board = boards().get(design.board)
    if board is None or board.device != design.device:
        found.append(f"board {shown(design.board)} is none of Muxflow's, or has another device now")
    if asked is None:
        found.append("what its fit was asked for is not known, or no fit found its folds")
    elif not asked.goal.reached(design.clock_mhz, design.interval, design.latency):
        found.append(
            "it does not reach the rate or latency that its fit was asked for, and a build goes on until it does"
        )
    for option, names in (("--lut", ("lut", "ff")), ("--bram", ("bram18", "dsp", "uram"))):
        if len({getattr(shares, name) for name in names}) > 1:
            several = joined((f"{exact(getattr(shares, name))} of {name.upper()}" for name in names), "and")
            found.append(f"{option} is one share, and the fit had {several}")
    return found


def _build_options(design: Design, folder: Path) -> list[str]:
    shares, asked = design.utilisation, design.asked or Asked(Goal())
    fps, latency, slowdown = asked.goal.fps, asked.goal.latency, asked.slowdown
    # In the order in which the command declares them, and so keeps them.
    options = {"board": design.board}
    options |= {} if fps is None else {"fps": exact(fps)}
    options |= {} if latency is None else {"latency-ms": exact(latency * 1000)}
    options |= {"clock": exact(design.clock_mhz), "lut": exact(shares.lut)}
    options |= {"bram": exact(shares.bram18), "sure": exact(shares.sure)}
    options |= {"slowdown": exact(slowdown)} if slowdown else {}
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    words += ["--stateful"] if design.graph.carries else []
    return [*words, *_appended(design), *_project_options(folder)]


def _appended(design: Design) -> list[str]:
    """Give the options that append what a graph ends with; a node of the model's own has a name of its own."""
    for node in design.graph.nodes:
        if isinstance(node.op, ArgMax) and re.fullmatch(r"arg_max(_\d+)?", node.name):
            return ["--arg-max"]
        if isinstance(node.op, TopK) and re.fullmatch(r"top_k(_\d+)?", node.name):
            return ["--top-k", str(node.op.k)]
    return []


def _project_options(folder: Path) -> list[str]:
    """Give the options of a project that are not the defaults; none where the folder is another target's."""
    try:
        given = from_json(ProjectOptions, read_json(folder / DESIGN)["options"], path="options")
    except (OSError, ValueError, KeyError, TypeError, MuxflowError):
        return []
    chosen = ((one, getattr(given, one.name)) for one in fields(given))
    return [word for one, value in chosen if value != one.default for word in (f"--{one.name}", value)]


def _simulation_options(accuracy: Accuracy | None) -> tuple[str, ...]:
    return ("--data", accuracy.dataset, "--split", accuracy.split) if accuracy is not None and accuracy.split else ()


@lru_cache(maxsize=1)
def compiler() -> dict[str, str]:
    """Give the version of the C++ compiler by its name; empty without one."""
    told = _said([COMPILER, "-dumpfullversion"])
    return {COMPILER: told} if told else {}


@lru_cache(maxsize=1)
def revision() -> str:
    """Give the revision of Muxflow's checkout, "" for an installed one."""
    own = Path(__file__).parents[1] / ".git"
    # By name: in a hook the environment names the repository of another project.
    return _said(["git", f"--git-dir={own}", "rev-parse", "HEAD"]) if own.exists() else ""


def _said(command: list[str]) -> str:
    """Give the line that a program answers; "" where it is absent or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = completed(command, seconds=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
