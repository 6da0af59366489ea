"""The C simulation of a project as an execution that can be compared with the graph."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from muxflow.dataflow.errors import MismatchError
from muxflow.dataflow.op import IntArray
from muxflow.hls.vitis.csim import Variant, compile_csim, recordable, run_csim
from muxflow.hls.vitis.project import Project
from muxflow.proof.execution import Tensor

TITLES: dict[Variant, str] = {
    "native": "C simulation, native integers",
    "reference": "C simulation, ap_int types",
}


class CsimExecution:
    """A project's C simulation: the streams of every node, and the output ports.

    It is compiled at once, `compile_seconds` tells for how long. `bounded`: every FIFO has exactly its depth; a deadlock
    raises ToolError. `jobs`: processes that share the images of a batch. `weights`: a weight file to load, the project's own
    weights without one. Raises ToolError as `compile_csim` does, MismatchError where the last output never comes.
    """

    def __init__(
        self,
        project: Project,
        variant: Variant = "native",
        *,
        bounded: bool = False,
        jobs: int = 1,
        weights: Path | None = None,
    ) -> None:
        _, self.compile_seconds = compile_csim(project, variant)
        self.title = TITLES[variant]
        self.name = f"csim ({variant})"
        self._project = project
        self._variant = variant
        self._bounded = bounded
        self._jobs = jobs
        self._weights = weights
        self._record = recordable(project)

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
        """See `Execution`."""
        try:
            result = run_csim(
                self._project,
                codes,
                self._variant,
                bounded=self._bounded,
                record=self._record,
                jobs=self._jobs,
                weights=self._weights,
            )
        except MismatchError as error:
            raise MismatchError(str(error), self.name) from error
        return result.streams
