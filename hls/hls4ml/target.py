"""hls4ml's projects as a target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.graph.passes import Pass
from muxflow.dataflow.packages import package
from muxflow.hls import hls4ml
from muxflow.hls.kernels import KERNELS
from muxflow.hls.registry import Written


@dataclass(frozen=True)
class Hls4mlOptions:
    """The options of hls4ml's projects."""

    backend: hls4ml.Backend | None = field(
        default=None,
        metadata={"help": "Back end of hls4ml; VivadoAccelerator where it knows the board, else Vitis."},
    )


class Hls4mlTarget:
    """The layers of hls4ml and Muxflow's."""

    name = "hls4ml"
    title = f"hls4ml's (needs hls4ml {hls4ml.SUPPORTED})"
    options = Hls4mlOptions
    implementations: Implementations = KERNELS
    packages = (
        package("hls4ml", "hls4ml output; ap_int types of the C simulation", "pip install 'muxflow[reference]'"),
    )

    def passes(self, options: Hls4mlOptions) -> tuple[Pass, ...]:
        """Leave the graph as it is."""
        return ()

    def check(self, options: Hls4mlOptions, board: str, path: Path) -> None:
        """Raise MuxflowError for an unknown board of the back end or a foreign folder, ToolError without hls4ml."""
        hls4ml.check_target(board, options.backend or hls4ml.default_backend(board))
        hls4ml.check_folder(path)

    def write(self, design: Design, path: Path, options: Hls4mlOptions, model: Mapping[str, bytes]) -> Written:
        """Write the project; see `muxflow.hls.hls4ml.write`."""
        backend = options.backend or hls4ml.default_backend(design.board)
        return Written(hls4ml.write(design, path, backend=backend), facts={"hls4ml back end": backend})


TARGET = Hls4mlTarget()
