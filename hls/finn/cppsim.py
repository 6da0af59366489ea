"""FINN's C++ simulation of Muxflow's nodes without the vendor's tools.

The file that FINN generates, compiled with the reference `ap_int` types that come with hls4ml and FINN's own readers of
.npy files.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from finn.templates import get_templates_folder

from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.packages import install_extra
from muxflow.dataflow.processes import compiled, first_errors
from muxflow.hls.vitis.csim import COMPILER, ap_types

INCLUDE = Path(__file__).parent / "include"
"""Stand-ins for the headers of finn-hlslib that FINN's readers need."""


def compile_simulation(folder: Path, *, compiler: str = COMPILER) -> Path:
    """Compile what FINN generated into `folder` and return the executable.

    Raises ToolError when the compiler or the reference types are absent, or with the compiler's first errors.
    """
    path, types = shutil.which(compiler), ap_types()
    if path is None:
        raise ToolError(f"no {compiler} on PATH: a C++ simulation needs a C++17 compiler (`apt-get install g++`)")
    if types is None:
        raise ToolError(
            f"the reference types ap_int.h are not installed; they come with hls4ml: {install_extra('reference')}"
        )
    readers = Path(get_templates_folder()) / "npy2stream"
    sources = [*sorted(folder.glob("*.cpp")), readers / "cnpy.cpp"]
    executable = folder / "node_model"
    flags = ["-std=c++17", "-w", "-O1", *(f"-I{place}" for place in (folder, INCLUDE, readers, types))]
    command = [path, *flags, *map(str, sources), "-lz", "-o", str(executable)]
    done = compiled(command, folder, str(folder))
    if done.returncode:
        raise ToolError(f"{compiler} failed on {folder}:\n{first_errors(done.stderr)}")
    return executable
