"""The child process in which FINN runs: `python -m muxflow.hls.finn.process TASK FOLDER SCRATCH`.

FINN wants settings, a build folder and the path of a Vivado in its environment, prints much, and sets loggers: none of it
shall happen in a user's own process. Every line on standard output is JSON: {"say": step}, and at last {"done": answer}
or {"error": text, "kind": class name}.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from muxflow.dataflow.errors import MuxflowError
from muxflow.hls.design_file import load_design


def _build(folder: Path, scratch: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Build FINN's side of the design that stands in `folder`."""
    from muxflow.hls.finn.flow import build

    design, _ = load_design(folder)
    build(design, folder, scratch, say)
    return {}


def _check(folder: Path, scratch: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Compare FINN's execution of `model.onnx` with the graph on the codes in SCRATCH/codes.npz, in the order of the inputs."""
    from muxflow.hls.finn import MODEL
    from muxflow.hls.finn.execution import FinnExecution
    from muxflow.hls.finn.flow import load_model
    from muxflow.proof.compare import compare

    graph = load_design(folder)[0].graph
    execution = FinnExecution(load_model(folder / MODEL), graph)
    with np.load(scratch / "codes.npz") as codes:
        batch = dict(zip(graph.inputs, codes.values(), strict=True))
    return asdict(compare(graph, [execution], batch).outcomes[0])


TASKS: Mapping[str, Callable[[Path, Path, Callable[[str], None]], dict[str, Any]]] = {"build": _build, "check": _check}


def main() -> None:
    """Run one task; FINN's own output goes to standard error."""
    task, folder, scratch = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def send(**line: Any) -> None:
        print(json.dumps(line), file=answers, flush=True)

    try:
        from muxflow.hls.finn import register

        prepare_finn()
        register()
        send(done=TASKS[task](folder, scratch, lambda step: send(say=step)))
    except MuxflowError as error:
        send(error=str(error), kind=type(error).__name__)


def prepare_finn() -> None:
    """Load FINN's settings without the vendor's simulator where there is no Vivado.

    FINN's builder asks for the simulator on import.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        import finn.util.settings

        finn.util.settings.initialize_dummy_settings()
        import finn.xsi

        if not Path(os.environ.get("XILINX_VIVADO", "/none")).is_dir():
            finn.xsi.SimEngine = None


if __name__ == "__main__":
    main()
