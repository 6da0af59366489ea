"""The reader of models of Keras 3 with HGQ2."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.packages import Package
from muxflow.frontend.keras.process import SUFFIXES, is_of_generation
from muxflow.frontend.keras.v3.hgq_folder import hgq_version, install_command
from muxflow.frontend.model import ImportOptions, Model


def _version() -> str | None:
    return hgq_version() or None


class Keras3:
    """Model files of Keras 3 with HGQ2; Keras' own predict executes them, in a process of its own."""

    title = "Keras 3 with HGQ2"
    suffixes = SUFFIXES
    packages = (Package("HGQ2", "import of Keras 3 and HGQ2 models", install_command(), _version),)
    executes = True

    def recognises(self, path: Path) -> bool:
        """See `Frontend`."""
        return is_of_generation(path, 3)

    def read(self, path: Path, options: ImportOptions) -> Model:
        """See `Frontend`."""
        from muxflow.frontend.keras.reader import read_keras

        return read_keras(path)

    def execution(self, path: Path, graph: Graph) -> AbstractContextManager[Any]:
        """See `Frontend`."""
        from muxflow.frontend.keras.execution import keras_execution

        return keras_execution(path, graph)


FRONTEND = Keras3()
