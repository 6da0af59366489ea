"""A Keras model itself, as its own predict computes it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MismatchError, UnsupportedError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.frontend.floats import observed
from muxflow.frontend.keras.process import Child, Generation, generation_of, keras_child
from muxflow.frontend.keras.writer import TENSORFLOW, TORCH
from muxflow.proof.execution import Tensor

OUTPUT = ""
BACKENDS: dict[Generation, str] = {2: TENSORFLOW, 3: TORCH}


class KerasExecution:
    """Keras' predict in a process of its own.

    It gives the outputs of every quantizer, max pool and join, and the model's output (before a softmax at its end).
    """

    name = "Keras predict"

    def __init__(self, path: Path, graph: Graph, child: Child, folder: Path) -> None:
        self.title = f"{self.name} ({BACKENDS[generation_of(path)]})"
        self._what = f"model {path}"
        self._graph = graph
        self._child = child
        self._folder = folder

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
        """See `Execution`; raises MismatchError when the graph was not imported from this model."""
        ((name, batch),) = codes.items()
        values = batch * np.float64(self._graph.streams[name].scale[0])
        np.save(self._folder / "inputs.npy", values.astype(np.float32))
        answer = self._child.ask(json.dumps(list(dict.fromkeys(self._graph.tensors.values()))))
        if answer["error"] is not None:
            raise MismatchError(f"{self._what}: {answer['error']}")
        with np.load(self._folder / "outputs.npz") as found:
            # The graph's names mean channels first, as everywhere in the importer; the output stays as it is.
            inner = {stream: _channels_first(found[tensor]) for stream, tensor in self._graph.tensors.items()}
            return observed(self._graph, [found[OUTPUT]], inner)


@contextmanager
def keras_execution(path: Path, graph: Graph) -> Iterator[KerasExecution]:
    """Start Keras on a model file, on TensorFlow for Keras 2 and on torch for Keras 3; it ends with the block.

    Raises UnsupportedError for a file of another Keras and for a model of several inputs or outputs; ToolError when the
    extra `qkeras`, or for Keras 3 HGQ2 in its folder, is not installed.
    """
    what, generation = f"model {path}", generation_of(path)
    if len(graph.inputs) > 1 or len(graph.outputs) > 1:
        raise UnsupportedError(
            f"{what}: {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; Keras' predict is compared for models of "
            "one each, so prove a graph of several without the model file"
        )
    with (
        tempfile.TemporaryDirectory(prefix="muxflow_keras_") as folder,
        keras_child(f"keras.v{generation}.predict", [str(path.resolve()), folder], what, generation) as child,
    ):
        yield KerasExecution(path, graph, child, Path(folder))


def _channels_first(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.moveaxis(values, -1, 1) if values.ndim > 2 else values
