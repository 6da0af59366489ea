"""Where a report comes from: this host, versions, Muxflow's revision, the commands that give it again."""

from __future__ import annotations

import platform
import shlex
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path

import muxflow
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.timing import COMPILER
from muxflow.dataflow.processes import completed
from muxflow.reports.schema.stages import Accuracy, Provenance, Stage

SECONDS = 10
"""How long a program may take to say its version."""


def provenance_of(
    design: Design, folder: Path, digest: str, accuracy: Accuracy | None, stages: tuple[Stage, ...]
) -> Provenance:
    """Say where the report of a project in a folder comes from; `digest`: of its sources."""
    tools = {"Muxflow": muxflow.__version__, "Python": platform.python_version(), **compiler()}
    for stage in stages:
        name, _, version = stage.tool.rpartition(" ")
        tools |= {name: version} if name else {}
    host = f"{platform.system()} {platform.machine()}"
    return Provenance(host, tools, revision(), digest, commands(design, folder, accuracy))


def commands(design: Design, folder: Path, accuracy: Accuracy | None) -> tuple[str, ...]:
    """List the commands that give a project and what is known of it again; a rate that was asked for is not kept."""
    shares = design.utilisation
    options = {"board": design.board, "clock": f"{design.clock_mhz:g}", "lut": f"{shares.lut:g}"}
    options |= {"bram": f"{shares.bram18:g}", "sure": f"{shares.sure:g}"}
    model = shlex.quote(next((file.name for file in sorted(folder.glob("model.*"))), "MODEL"))
    build = f"muxflow build {model} {' '.join(f'--{name} {shlex.quote(value)}' for name, value in options.items())}"
    name = shlex.quote(folder.name)
    data = ""
    if accuracy is not None and accuracy.split:
        data = f" --data {shlex.quote(accuracy.dataset)} --split {shlex.quote(accuracy.split)}"
    return f"{build} --output {name}", f"muxflow csim {name}{data}", f"muxflow report {name}"


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
