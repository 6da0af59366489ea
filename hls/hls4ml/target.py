"""hls4ml's projects as a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.graph.batch import Batch
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import Pass
from muxflow.dataflow.packages import install_extra, package
from muxflow.dataflow.quantities import rate
from muxflow.hls import hls4ml
from muxflow.hls.design_file import load_design
from muxflow.hls.hls4ml.execution import simulation
from muxflow.hls.kernels import KERNELS
from muxflow.hls.registry import Written
from muxflow.proof.compare import Outcome, compare


@dataclass(frozen=True)
class Hls4mlOptions:
    """The options of hls4ml's projects."""

    backend: hls4ml.Backend | None = field(
        default=None,
        metadata={
            "help": "Back end of hls4ml; VivadoAccelerator where it knows the board and there is one input and one output, "
            "else Vitis."
        },
    )


class Hls4mlTarget:
    """The layers of hls4ml and Muxflow's."""

    name = "hls4ml"
    title = f"hls4ml's (needs hls4ml {hls4ml.SUPPORTED})"
    options = Hls4mlOptions
    implementations: Implementations = KERNELS
    packages = (package("hls4ml", "hls4ml output; ap_int types of the C simulation", install_extra("reference")),)
    marker = hls4ml.CONFIG_FILE
    project = hls4ml.KIND
    usage = (
        "`muxflow csim` simulates it, and `hls4ml.converters.link_existing_project` gives its model, whose compile(), "
        "predict() and build() run it"
    )

    def passes(self, options: Hls4mlOptions) -> tuple[Pass, ...]:
        """Leave the graph as it is."""
        return ()

    def check(self, options: Hls4mlOptions, board: str, path: Path) -> None:
        """Raise MuxflowError for an unknown board of the back end or a foreign folder, ToolError without hls4ml."""
        hls4ml.check_target(board, options.backend or "Vitis")  # the default one always knows the board
        hls4ml.check_folder(path)

    def check_graph(self, graph: Graph, options: Hls4mlOptions, board: str) -> None:
        """Raise UnsupportedError naming what the back end's inputs and outputs cannot carry."""
        hls4ml.check_graph(graph, options.backend or hls4ml.default_backend(board, graph))

    def simulate(self, path: Path, codes: Batch) -> Outcome:
        """Compare the outputs of hls4ml's C simulation, which its own script compiles."""
        graph = load_design(path)[0].graph
        with simulation(path, graph) as execution:
            return compare(graph, [execution], codes).outcomes[0]

    def write(self, design: Design, path: Path, options: Hls4mlOptions, model: Mapping[str, bytes]) -> Written:
        """Write the project; see `muxflow.hls.hls4ml.write`."""
        backend = options.backend or hls4ml.default_backend(design.board, design.graph)
        facts: dict[str, str] = {"hls4ml back end": backend}
        if backend == "VivadoAccelerator" and (bound := _wrapper_bound(design)):
            facts["wrapper"] = bound
        return Written(hls4ml.write(design, path, backend=backend), facts=facts)


def _wrapper_bound(design: Design) -> str:
    """Say by how much the wrapper of VivadoAccelerator is slower than the design, as it takes one number a beat; "" for not."""
    graph = design.graph
    name = max((*graph.inputs, *graph.outputs), key=lambda end: graph.streams[end].size)
    cycles = graph.streams[name].size
    if cycles <= design.interval:
        return ""
    return (
        f"VivadoAccelerator's wrapper moves one number a cycle, so that {name} takes {cycles:,} cycles a frame: at most "
        f"{rate(design.clock_mhz * 1e6 / cycles)} there"
    )


TARGET = Hls4mlTarget()
