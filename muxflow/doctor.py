"""What this machine has, and what each missing tool would add."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from muxflow.board.bitstream.toolchain import VendorTool, find_hls, find_vivado
from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.packages import install_extra, package
from muxflow.dataflow.processes import completed, runs_nothing
from muxflow.frontend.registry import FRONTENDS
from muxflow.hls.registry import TARGETS


@dataclass(frozen=True)
class Finding:
    """One tool, package or folder: found fit or not, its version or path, and what it is for."""

    name: str
    found: bool
    version: str
    purpose: str
    remedy: str


TOOLS = (("g++", "cycle and C simulation", "apt-get install g++"),)
INSTALL = "install it, then source its settings64.sh or give --tools FOLDER"
VENDOR_TOOLS: tuple[tuple[str, str, Callable[[], VendorTool]], ...] = (
    ("Vitis HLS", "synthesis (2020.2 to 2025.x)", lambda: find_hls("vitis_hls")),
    ("Vivado HLS", "synthesis (2019.2)", lambda: find_hls("vivado_hls")),
    ("Vivado", "implementation and bitstream (2019.2, 2020.2 to 2025.x)", find_vivado),
)
"""Looked for as `muxflow bitstream` does: on PATH and in the usual installation folders."""
PACKAGES = (
    package("brevitas", "training and export", install_extra("train")),
    package("torch", "training and export", install_extra("train")),
    package("sklearn", "the bundled digits data set", install_extra("train"), "scikit-learn"),
    package("skimage", "photographs to train compression on", install_extra("train"), "scikit-image"),
    package("matplotlib", "plots", install_extra("report")),
    package("distributed", "sweeps on a Dask cluster", install_extra("sweep")),
)
"""Beside what the readers and the targets need, which they declare themselves."""


def findings() -> list[Finding]:
    """Look for every tool and package that Muxflow can use."""
    found = []
    for name, purpose, remedy in TOOLS:
        path = shutil.which(name)
        found.append(Finding(name, path is not None, _tool_version(path) if path else "", purpose, remedy))
    folder = tempfile.gettempdir()
    barred = runs_nothing(Path(folder)).removeprefix("; ")
    remedy = f"{barred}; name another in TMPDIR" if barred else ""
    found.append(Finding("temporary folder", not barred, folder, "programs compiled for simulations", remedy))
    for name, purpose, find in VENDOR_TOOLS:
        try:
            tool = find()
            found.append(Finding(name, True, f"{tool.label}, {tool.path}", purpose, ""))
        except ToolError as error:
            absent = "is not installed" in str(error)
            found.append(Finding(name, False, "", purpose, INSTALL if absent else str(error)))
    parts = [*FRONTENDS, *TARGETS]
    needed = {one.name: one for one in (*PACKAGES, *(one for part in parts for one in reversed(part.packages)))}
    for one in needed.values():
        release = one.find()
        found.append(Finding(one.name, release is not None, release or "", one.purpose, one.remedy))
    return found


def _tool_version(path: str) -> str:
    try:
        done = completed([path, "--version"], seconds=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not say its version ({type(error).__name__})"
    return done.stdout.splitlines()[0] if done.stdout else ""
