"""The driver as an execution that can be compared with the graph: on the board, or played by the emulator."""

from __future__ import annotations

from collections.abc import Mapping

from muxflow.board.driver import Accelerator
from muxflow.dataflow.op import IntArray
from muxflow.proof.execution import Observed


class DriverExecution:
    """An opened accelerator: its output codes, and nothing between; `title` says what is behind the driver."""

    def __init__(self, accelerator: Accelerator, title: str = "board") -> None:
        self._accelerator = accelerator
        self.title = self.name = title

    def run(self, codes: Mapping[str, IntArray]) -> Observed:
        """See `Execution`; raises AcceleratorError as the driver does."""
        (images,) = codes.values()
        return Observed((self._accelerator.run(images),))
