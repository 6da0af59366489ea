"""The C simulation of a written hls4ml project: its own sources, compiled by its own script, run in a process of its own."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.files import read_bounded
from muxflow.dataflow.folders import scratch_folder
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.manifest import check_sources, files_below
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.processes import compiled, completed, ending, first_errors, python
from muxflow.dataflow.text import plainly

SCRIPT = "build_lib.sh"

# What hls4ml's `predict` does, frame by frame; an assertion in compiled code ends this process alone.
PREDICT = """
import ctypes, sys
import numpy as np
library, function, folder = sys.argv[1:]
inputs, outputs = (list(np.load(f"{folder}/{name}.npz").values()) for name in ("inputs", "outputs"))
call = getattr(ctypes.CDLL(library), function)
for frame in range(len(inputs[0])):
    call(*(array[frame].ctypes.data_as(ctypes.c_void_p) for array in (*inputs, *outputs)))
np.savez(f"{folder}/outputs.npz", *outputs)
"""


class Hls4mlExecution:
    """A compiled hls4ml project of a design: its outputs, by input codes."""

    title = "hls4ml C simulation"
    name = "hls4ml"

    def __init__(self, library: Path, function: str, graph: Graph) -> None:
        self._library, self._function, self._graph = library, function, graph

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, IntArray]:
        """See `Execution`."""
        graph, frames = self._graph, len(next(iter(codes.values())))
        empty = {name: np.zeros((frames, *graph.streams[name].shape)) for name in graph.outputs}
        with scratch_folder() as folder:
            np.savez(folder / "inputs.npz", *(codes[name].astype(np.float64) for name in graph.inputs))
            np.savez(folder / "outputs.npz", *empty.values())
            command = python("-c", PREDICT, str(self._library), self._function, str(folder))
            done = completed(command)
            if done.returncode:
                raise ToolError(f"{self._library.name} ended with {ending(done.returncode, done.stderr[-400:])}")
            with np.load(folder / "outputs.npz") as outputs:
                return {name: found.astype(np.int64) for name, found in zip(empty, outputs.values(), strict=True)}


@contextmanager
def simulation(path: Path, graph: Graph) -> Iterator[Hls4mlExecution]:
    """Compile a project of a design by its own script, in a copy that goes with the block: others may use the project.

    Raises ToolError where the compiler fails, MuxflowError for a project whose script names no library, or that cannot be
    read.
    """
    files = [file.name for file in path.iterdir() if not file.is_dir()]
    check_sources(path, "firmware", *files, SCRIPT)
    try:
        script = read_bounded(path / SCRIPT)
    except (OSError, ValueError) as error:
        raise MuxflowError(f"{path / SCRIPT}: cannot be read ({plainly(error)}); build the project again") from error
    named = [re.search(rf"^{key}=(\w+)$", script, re.MULTILINE) for key in ("PROJECT", "LIB_STAMP")]
    if None in named:
        raise MuxflowError(f"{path / SCRIPT}: no PROJECT and LIB_STAMP in it; build the project again")
    project, stamp = (match[1] for match in named if match is not None)
    with scratch_folder() as folder:
        try:
            # Contents alone: a project may be there only to be read.
            for file in (file for part in ("firmware", *files) for file in files_below(path / part)):
                if file.is_file():
                    target = folder / file.relative_to(path)
                    target.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(file, target)
        except OSError as error:
            raise MuxflowError(f"{path}: cannot be copied ({plainly(error)})") from error
        library = folder / "firmware" / f"{project}-{stamp}.so"
        library.unlink(missing_ok=True)
        done = compiled(["bash", SCRIPT], folder, f"{path.name}/firmware")
        if done.returncode or not library.is_file():
            raise ToolError(f"{path / SCRIPT} failed:\n{first_errors(done.stderr)}")
        yield Hls4mlExecution(library, f"{project}_double", graph)
