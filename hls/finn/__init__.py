"""FINN out: Muxflow's nodes as FINN custom ops, and a design as a FINN dataflow model of FINN's nodes and Muxflow's.

Needs finn-plus. In a FINN build of your own call `register()` and, where you have a design, `convert()`. `write()` and
`check()` start FINN in a process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from muxflow.dataflow import errors
from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.files import read_json
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.folders import check_replaceable, scratch_folder, whole_folder
from muxflow.dataflow.graph.batch import Batch
from muxflow.dataflow.manifest import check_sources
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.packages import pip_install, require
from muxflow.dataflow.processes import GRACE_SECONDS, how, python, running
from muxflow.dataflow.space import if_full
from muxflow.dataflow.templates import templates
from muxflow.dataflow.text import plainly
from muxflow.dataflow.version import __version__
from muxflow.hls.design_file import load_design, save_design
from muxflow.hls.finn.comparison import Row
from muxflow.hls.finn.support import IMPLEMENTATIONS as IMPLEMENTATIONS
from muxflow.hls.finn.support import check_graph as check_graph
from muxflow.proof.compare import Outcome

SUPPORTED = "1.6.1"
"""The finn-plus release that this is written for and tested with."""
REQUIREMENTS = "requirements.txt"
FLOW_FILE = "finn.json"
"""Marks a folder that `write` made."""
KIND = "a FINN project of Muxflow"
COMPARISON, MODEL = "comparison.json", "model.onnx"
CHECKED_FRAMES = 4
"""Random frames on which FINN's execution of a new model is compared with the graph, tensor by tensor."""
BOARDS = {
    "pynq-z1": "Pynq-Z1",
    "pynq-z2": "Pynq-Z2",
    "ultra96-v2": "Ultra96-V2",
    "zcu104": "ZCU104",
    "kv260": "KV260_SOM",
}
"""FINN's names of Muxflow's boards; a design for another one ends in a stitched IP."""


def install_command() -> str:
    """Return the command that installs finn-plus beside Muxflow.

    Without its requirements, whose pins exclude those of today's torch, and with those of them that it needs.
    """
    return pip_install("--no-deps", "-r", str(files("muxflow.hls.finn") / REQUIREMENTS))


def check_version() -> None:
    """Raise ToolError when finn-plus is absent or of another release."""
    require("finn-plus", SUPPORTED, install_command())


def register() -> None:
    """Add Muxflow's nodes to FINN's custom ops, in a process that FINN runs in; a second call does nothing.

    FINN must have its settings, as in a process that `finn` started. Raises ToolError when finn-plus is absent or of
    another release.
    """
    check_version()
    import muxflow.hls.finn.ops  # noqa: F401


def convert(design: Design) -> Any:
    """Convert a design to a FINN ModelWrapper: FINN's own nodes where it has one, Muxflow's elsewhere.

    Folds and FIFO depths are the design's. Input and output tensors hold codes, (1, *shape).
    Raises ToolError like `register`, UnsupportedError naming what FINN cannot express.
    """
    register()
    from muxflow.hls.finn.dataflow import dataflow_model

    model, _ = dataflow_model(design)
    return model


def check_folder(path: Path) -> None:
    """Raise MuxflowError when `path` holds something that `write` did not make."""
    check_replaceable(path, FLOW_FILE, KIND)


def write(design: Design, path: Path, *, progress: Callable[[str], None] | None = None) -> Path:
    """Write the FINN project of a design and return its folder.

    `model.onnx`, FINN's dataflow model, whose execution has been compared with the graph; `build.py`, which takes it to
    a bitstream where the vendor's tools are; `dataflow.onnx`, `report/` and `code/`, what FINN makes of it without them:
    specialised nodes with FIFOs, estimates, generated code; `comparison.json`, FINN's estimates beside Muxflow's.
    Written whole or not at all. Raises ToolError when finn-plus is absent, of another release, or fails; MuxflowError
    when `path` holds something else; UnsupportedError naming what FINN cannot express.
    """
    check_version()
    path = Path(path).absolute()
    check_folder(path)
    with whole_folder(path, design.graph.name) as folder:
        save_design(design, folder)
        _run("build", folder, progress=progress)
        script = (
            templates(Path(__file__).parent, trimmed=False)
            .get_template("build.py.j2")
            .render(board=BOARDS.get(design.board), part=design.device.part, period=f"{1e3 / design.clock_mhz:.3f}")
        )
        (folder / "build.py").write_text(script)
        (folder / FLOW_FILE).write_text(json.dumps({"finn-plus": SUPPORTED, "version": __version__}) + "\n")
    return path


def estimates(path: Path) -> list[Row]:
    """Return FINN's estimates of a written project beside Muxflow's, node by node in the design's order, FIFOs last.

    Raises MuxflowError when the project does not hold them.
    """
    try:
        entries = read_json(Path(path) / COMPARISON)
        return [Row(**{**entry, "finn_nodes": tuple(entry["finn_nodes"])}) for entry in entries]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MuxflowError(
            f"{path}: no FINN project ({plainly(error)}); write it with `muxflow build --target finn`"
        ) from error


def check(path: Path, codes: Batch, *, progress: Callable[[str], None] | None = None) -> int:
    """Compare FINN's Python execution of a written project with its graph on input codes, shape (N, *input.shape) an input.

    Returns the number of frames; every tensor of every node is compared. Raises MismatchError naming the first
    difference.
    """
    return outcome(path, codes, progress=progress).images


def outcome(path: Path, codes: Batch, *, progress: Callable[[str], None] | None = None) -> Outcome:
    """Compare as `check` does, and say what was compared."""
    check_version()
    design, _ = load_design(Path(path))
    check_sources(Path(path), MODEL)
    checked = design.graph.check_codes(codes)
    found = _run("check", Path(path).absolute(), codes=checked, progress=progress)
    return Outcome(**{**found, "streams": tuple(found["streams"])})


def _answer(child: subprocess.Popen[str], progress: Callable[[str], None] | None) -> dict[str, Any] | None:
    """Read what a child says up to its answer, None where it ends without one; its errors are raised here."""
    assert child.stdout is not None
    for line in child.stdout:
        answer = json.loads(line)
        if "say" in answer and progress:
            progress(answer["say"])
        if "error" in answer:
            raise getattr(errors, answer["kind"])(answer["error"])
        if "done" in answer:
            found: dict[str, Any] = answer["done"]
            return found
    return None


def _run(
    task: str,
    folder: Path,
    *,
    codes: Mapping[str, IntArray] | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Run a task of `process.py`; its errors are raised here."""
    with scratch_folder() as scratch:
        if codes is not None:
            np.savez(scratch / "codes.npz", *codes.values())
        # Of the child only: a home for FINN's settings, its build folder, and a path of which it reads the version.
        environment = {**os.environ, **dict.fromkeys(("HOME", "FINN_BUILD_DIR", "TMPDIR"), str(scratch))}
        environment.setdefault("XILINX_VIVADO", "/none/2022.2")
        command = python("-W", "ignore", "-m", "muxflow.hls.finn.process", task, str(folder), str(scratch))
        log = scratch / "log"
        with (
            log.open("w") as chatter,
            running(command, env=environment, stdout=subprocess.PIPE, stderr=chatter, text=True) as child,
        ):
            answer = _answer(child, progress)
            with suppress(subprocess.TimeoutExpired):
                child.wait(GRACE_SECONDS)  # how it ended is not that it was stopped here
        if answer is not None:
            return answer
        said = log.read_text(errors="replace")
        last = "\n".join([line for line in said.splitlines() if line.strip()][-3:])
        raise ToolError(f"FINN ended without an answer, with {how(child.returncode)}:\n{last}{if_full(said)}")
