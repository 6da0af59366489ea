"""Muxflow's own projects as a target."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import Pass, writable_seeds
from muxflow.dataflow.packages import Package
from muxflow.hls.kernels import KERNELS
from muxflow.hls.registry import Written
from muxflow.hls.vitis.project import KIND, MARKER, ProjectOptions
from muxflow.hls.vitis.writing import check_folder, write_project


class VitisTarget:
    """Vitis HLS and Vivado HLS."""

    name = "vitis"
    title = "Muxflow's own for Vitis HLS or Vivado HLS"
    options = ProjectOptions
    implementations: Implementations = KERNELS
    packages: tuple[Package, ...] = ()
    marker = MARKER
    project = KIND
    usage = "`muxflow csim`, `muxflow report` and `muxflow bitstream` take it"

    def passes(self, options: ProjectOptions) -> tuple[Pass, ...]:
        """Turn the starts of weight generators into registers where that is asked for."""
        return (writable_seeds,) if options.seeds == "writable" else ()

    def check(self, options: ProjectOptions, board: str, path: Path) -> None:
        """Raise MuxflowError where the folder holds something else."""
        check_folder(path)

    def check_graph(self, graph: Graph, options: ProjectOptions, board: str) -> None:
        """Take every graph."""

    def write(self, design: Design, path: Path, options: ProjectOptions, model: Mapping[str, bytes]) -> Written:
        """Write the project; see `write_project`."""
        project = write_project(design, path, options=options, extra=model)
        return Written(project.path, project.digest)


TARGET = VitisTarget()
