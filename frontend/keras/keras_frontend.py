"""The reader of Keras models, of either generation of Keras."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.packages import Package
from muxflow.frontend.keras.process import SUFFIXES, Generation, is_of_generation
from muxflow.frontend.model import ImportOptions, Model


@dataclass(frozen=True)
class KerasFrontend:
    """Model files of one generation of Keras; Keras' own predict executes them, in a process of its own."""

    title: str
    generation: Generation
    packages: tuple[Package, ...]
    suffixes: tuple[str, ...] = SUFFIXES
    executes: bool = True

    def recognises(self, path: Path) -> bool:
        """See `Frontend`."""
        return is_of_generation(path, self.generation)

    def read(self, path: Path, options: ImportOptions) -> Model:
        """See `Frontend`."""
        from muxflow.frontend.keras.reader import read_keras

        return read_keras(path)

    def execution(self, path: Path, graph: Graph) -> AbstractContextManager[Any]:
        """See `Frontend`."""
        from muxflow.frontend.keras.execution import keras_execution

        return keras_execution(path, graph)
