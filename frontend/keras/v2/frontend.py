"""The reader of models of Keras 2 with QKeras."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.packages import package
from muxflow.frontend.keras.process import INSTALL, SUFFIXES, is_of_generation
from muxflow.frontend.model import ImportOptions, Model


class Keras2:
    """Model files of Keras 2 with QKeras; Keras' own predict executes them, in a process of its own."""

    title = "Keras 2 with QKeras"
    suffixes = SUFFIXES
    packages = (
        package("qkeras", "import of QKeras models", INSTALL),
        package("tensorflow", "import of QKeras models", INSTALL),
    )
    executes = True

    def recognises(self, path: Path) -> bool:
        """See `Frontend`."""
        return is_of_generation(path, 2)

    def read(self, path: Path, options: ImportOptions) -> Model:
        """See `Frontend`."""
        from muxflow.frontend.keras.reader import read_keras

        return read_keras(path)

    def execution(self, path: Path, graph: Graph) -> AbstractContextManager[Any]:
        """See `Frontend`."""
        from muxflow.frontend.keras.execution import keras_execution

        return keras_execution(path, graph)


FRONTEND = Keras2()
