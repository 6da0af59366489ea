"""The driver as an execution that can be compared with the graph: on the board, or played by the emulator."""

from __future__ import annotations

from collections.abc import Mapping

from muxflow.board.driver import Accelerator
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.proof.execution import Tensor


class DriverExecution:
    """An opened accelerator: its output codes, and nothing between; `title` says what the driver runs."""

    def __init__(self, accelerator: Accelerator, graph: Graph, title: str = "board") -> None:
        self._accelerator = accelerator
        self._outputs = graph.outputs
        self.title = self.name = title

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
        """See `Execution`; raises AcceleratorError as the driver does."""
        given = self._accelerator.run(codes)
        return dict(zip(self._outputs, given if isinstance(given, tuple) else (given,), strict=True))
