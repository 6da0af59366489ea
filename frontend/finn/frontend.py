"""The reader of streamlined FINN-ONNX files."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.packages import install_extra, package
from muxflow.frontend.finn import OPERATORS
from muxflow.frontend.model import ImportOptions, Model


class Finn:
    """ONNX files with FINN's operators, from before its conversion to hardware layers; QONNX executes them."""

    title = "FINN-ONNX"
    suffixes = (".onnx",)
    packages = (package("qonnx", "import of FINN-ONNX models", install_extra("onnx")),)
    executes = True

    def recognises(self, path: Path) -> bool:
        """See `Frontend`."""
        from muxflow.frontend.qonnx.reader import operators

        return bool(operators(path) & OPERATORS)

    def read(self, path: Path, options: ImportOptions) -> Model:
        """See `Frontend`."""
        from muxflow.frontend.qonnx.reader import read_onnx

        return read_onnx(path)

    def whole(self, path: Path) -> bytes:
        """See `Frontend`: constants that stand in files beside it are put into it."""
        from muxflow.frontend.qonnx.reader import one_file

        return one_file(path)

    def execution(self, path: Path, graph: Graph) -> AbstractContextManager[Any]:
        """See `Frontend`."""
        from muxflow.frontend.qonnx.execution import QonnxExecution

        return nullcontext(QonnxExecution(path, graph))


FRONTEND = Finn()
