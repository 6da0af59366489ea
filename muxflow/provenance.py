"""Where a report comes from: this host, versions, Muxflow's revision, the commands that give it again."""

from __future__ import annotations

import filecmp
import platform
import shlex
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import muxflow
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import read_bounded
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.timing import COMPILER
from muxflow.dataflow.manifest import edited_files
from muxflow.dataflow.processes import completed
from muxflow.dataflow.quantities import exact
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


def command_line(command: str, *words: str | Path) -> str:
    """Write a command of Muxflow as a shell takes it."""
    return shlex.join(["muxflow", command, *map(str, words)])


def commands(design: Design, folder: Path, kept: Ladder, built_by: str = "") -> tuple[str, ...]:
    """List the commands that give a project and what is known of it again.

    `built_by`: the build's, else the one that the folder keeps; the simulation, where it has run, has the options that its
    ladder keeps.
    Where Python did it, the commands are made of the design, and a rate that was asked for is not known.
    """
    build = (
        built_by
        or shlex.join(_kept_build(folder))
        or command_line("build", _model(design, folder), *_build_options(design))
    )
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


def _build_options(design: Design) -> list[str]:
    shares = design.utilisation
    options = {"board": design.board, "clock": exact(design.clock_mhz), "lut": exact(shares.lut)}
    options |= {"bram": exact(shares.bram18), "sure": exact(shares.sure)}
    state = ["--stateful"] if design.graph.carries else []
    return [word for name, value in options.items() for word in (f"--{name}", value)] + state


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
    root = Path(__file__).parents[1]
    return _said(["git", "-C", str(root), "rev-parse", "HEAD"]) if (root / ".git").exists() else ""


def _said(command: list[str]) -> str:
    """Give the line that a program answers; "" where it is absent or fails."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        done = completed(command, seconds=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
