"""The reader of QONNX files."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.packages import install_extra, package
from muxflow.frontend.finn import OPERATORS as FINN_OPERATORS
from muxflow.frontend.model import ImportOptions, Model


class Qonnx:
    """ONNX files with quantizers as QONNX and Brevitas write them; QONNX executes them."""

    title = "QONNX"
    suffixes = (".onnx",)
    packages = (package("qonnx", "import of QONNX models", install_extra("onnx")),)
    executes = True

    def recognises(self, path: Path) -> bool:
        """See `Frontend`: ONNX files without FINN's own operators."""
        from muxflow.frontend.qonnx.reader import operators

        found = operators(path)
        return bool(found) and not found & FINN_OPERATORS

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


FRONTEND = Qonnx()
