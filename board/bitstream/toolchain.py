"""Vendor tools: where they are, which version they are, and how each version wants to be called."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.processes import completed, ending
from muxflow.dataflow.text import plainly
from muxflow.hls.emit import Tool as HlsSyntax

Version = tuple[int, int]
Form = Literal["script", "run_script", "config"]
HlsStep = Literal["csim", "csynth", "cosim", "export"]

USUAL_FOLDERS = (Path("/tools/Xilinx"), Path("/opt/Xilinx"), Path("/opt/AMDDesignTools"), Path("/tools/AMDDesignTools"))
LAYOUTS = ("{name}", "bin/{name}", "*/bin/{name}", "*/*/bin/{name}")
"""Where an executable stands below a folder: in it, in one tool's installation (Vivado/2022.2), in one product's
(Xilinx/Vivado, or 2025.1 with the tools inside), in all of them (Xilinx)."""
OLDEST, NEWEST = (2020, 2), (2025, 9)
VIVADO_HLS_VERSION = (2019, 2)
RUN_SCRIPT_SINCE, CONFIG_SINCE, VITIS_HLS_UNTIL = (2023, 2), (2025, 1), (2024, 1)
VERSION_SECONDS = 120
"""A vendor tool on a network drive may take a minute to say its version (decision)."""


@dataclass(frozen=True)
class VendorTool:
    """An installed tool: product name, executable, version; `form`: how an HLS tool takes its steps.

    `script`: a Tcl file (`vitis_hls -f`, `vivado_hls -f`); `run_script`: a Tcl file through `vitis-run --tcl`;
    `config`: a configuration file through `v++ -c --mode hls` and `vitis-run` (UG1399, UG1702).
    """

    product: str
    path: Path
    version: Version
    form: Form = "script"

    @property
    def label(self) -> str:
        """Product and version, as reports name it: Vitis HLS 2022.2."""
        return f"{self.product} {self.version[0]}.{self.version[1]}"

    def script(self, file: str) -> tuple[str, ...]:
        """Compose the command that runs a Tcl file in an HLS tool; every form can."""
        if self.form == "script":
            return (str(self.path), "-f", file)
        return (str(self.path), "--mode", "hls", "--tcl", file)

    def step(self, step: HlsStep) -> tuple[str, ...]:
        """Compose the command for one HLS step: a Tcl file of that name, or the configuration file."""
        if self.form != "config":
            return self.script(f"{step}.tcl")
        if step == "csynth":
            start = (str(self.path.with_name("v++")), "-c", "--mode", "hls")
        else:
            start = (str(self.path), "--mode", "hls", f"--{'package' if step == 'export' else step}")
        return (*start, "--config", "hls_config.cfg", "--work_dir", "csim" if step == "csim" else "hls")


def find_vivado(folders: Sequence[Path] = ()) -> VendorTool:
    """Find Vivado: in `folders` when given, else from PATH, else from the usual installation folders, newest first.

    Raises ToolError saying what was looked for and where, or that the version is not supported.
    """
    found = _candidates(("vivado",), folders)
    if not found:
        raise _absent("Vivado", ("vivado",), folders)
    version = _version(found[0], "-version")
    if version != VIVADO_HLS_VERSION and not OLDEST <= version <= NEWEST:
        raise _unsupported("Vivado", found[0], version, "2019.2 and 2020.2 to 2025.x")
    return VendorTool("Vivado", found[0], version)


def find_hls(syntax: HlsSyntax, folders: Sequence[Path] = (), vivado: VendorTool | None = None) -> VendorTool:
    """Find the HLS tool for a project's syntax, of Vivado's version where there is a choice; see `find_vivado`.

    Raises ToolError when there is none, when its version is not supported, or when it is newer than Vivado, which
    could then not read its IP.
    """
    old = syntax == "vivado_hls"
    product = "Vivado HLS" if old else "Vitis HLS"
    names = ("vivado_hls",) if old else ("vitis_hls", "vitis-run")
    found = [path for path in _candidates(names, folders) if path.name != "vitis-run" or _sibling(path, "v++")]
    if not found:
        raise _absent(product, ("vivado_hls",) if old else ("vitis_hls", "vitis-run with v++ beside it"), folders)
    if vivado is not None:
        wanted = f"{vivado.version[0]}.{vivado.version[1]}"
        found.sort(key=lambda path: wanted not in path.parts)
    path = found[0]
    version = _version(path.with_name("v++"), "--version") if path.name == "vitis-run" else _version(path, "-version")
    if old:
        if version != VIVADO_HLS_VERSION:
            raise _unsupported(product, path, version, "2019.2 (later versions: `muxflow build --tool vitis_hls`)")
        tool = VendorTool(product, path, version)
    else:
        if not OLDEST <= version <= NEWEST:
            raise _unsupported(product, path, version, "2020.2 to 2025.x (2019.2: `muxflow build --tool vivado_hls`)")
        tool = VendorTool(product, path, version, _form(path, version))
    if vivado is not None and tool.version > vivado.version:
        raise ToolError(
            f"{tool.label} ({path}) is newer than {vivado.label} ({vivado.path}), which cannot read its IP; "
            "give the folder of one version: --tools FOLDER"
        )
    return tool


def environment(*tools: VendorTool | None) -> dict[str, str]:
    """Compose the variables for a tool's process: the tools' folders come first on PATH, where they look for each other."""
    folders = [str(tool.path.parent) for tool in tools if tool is not None]
    return {**os.environ, "PATH": os.pathsep.join([*folders, os.environ.get("PATH", "")])}


def _form(path: Path, version: Version) -> Form:
    if path.name == "vitis_hls":
        if version > VITIS_HLS_UNTIL:
            raise ToolError(f"{path}: vitis_hls of version {version[0]}.{version[1]}; it ended with 2024.1")
        return "script"
    if version < RUN_SCRIPT_SINCE:
        raise ToolError(
            f"{path}: vitis-run runs Tcl files from 2023.2 on; install Vitis HLS of the same version beside it"
        )
    return "config" if version >= CONFIG_SINCE else "run_script"


def _sibling(path: Path, name: str) -> bool:
    return path.with_name(name).is_file()


def _candidates(names: Sequence[str], folders: Sequence[Path]) -> list[Path]:
    """Find executables of these names in order of preference, earlier names first in each place.

    The paths are absolute: each stage runs in a folder of its own. Links stay, because tools look beside their own name.
    """
    if folders:
        return [path for folder in folders for path in _below(names, folder.absolute())]
    on_path = [Path(path).absolute() for name in names if (path := shutil.which(name))]
    return on_path + [path for folder in USUAL_FOLDERS for path in _below(names, folder)]


def _below(names: Sequence[str], folder: Path) -> list[Path]:
    found = [
        (path, order)
        for order, name in enumerate(names)
        for layout in LAYOUTS
        for path in folder.glob(layout.format(name=name))
        if path.is_file() and os.access(path, os.X_OK)
    ]
    # Version folders sort by name: the newest first.
    return [path for path, _ in sorted(found, key=lambda item: (_folder_version(item[0]), -item[1]), reverse=True)]


def _folder_version(path: Path) -> str:
    return max((part for part in path.parts if re.fullmatch(r"20\d\d\.\d", part)), default="")


def _version(path: Path, option: str) -> Version:
    """Read the version that the tool itself prints: every one says `v2022.2` in its banner."""
    try:
        done = completed([str(path), option], seconds=VERSION_SECONDS, group=True)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{path} {option}: cannot be run ({plainly(error)})") from error
    text = done.stdout + done.stderr
    match = re.search(r"\bv\.?(20\d\d)\.(\d)", text)
    if match is None:
        shown = "\n".join(text.splitlines()[-5:])
        raise ToolError(f"{path} {option}: says no version (it ended with {ending(done.returncode)})\n{shown}")
    return int(match[1]), int(match[2])


def _unsupported(product: str, path: Path, version: Version, supported: str) -> ToolError:
    return ToolError(
        f"{product} {version[0]}.{version[1]} ({path}) is not supported; supported are {supported}. "
        "Another installation: --tools FOLDER"
    )


def _absent(product: str, names: Sequence[str], folders: Sequence[Path]) -> ToolError:
    if folders:
        places = "in and below " + ", ".join(map(str, folders))
    else:
        path = os.environ.get("PATH", "").split(os.pathsep)
        places = f"on PATH ({', '.join(path)}) and below {', '.join(map(str, USUAL_FOLDERS))}"
    return ToolError(
        f"{product} is not installed: looked for {' or '.join(names)} {places}. Say where it is: --tools FOLDER. "
        "In Docker, mount the host's installation: docker run -v /tools/Xilinx:/tools/Xilinx:ro ... "
        "muxflow bitstream ... --tools /tools/Xilinx"
    )
