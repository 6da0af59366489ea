"""A Keras model itself, as its own predict computes it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import ExecutionError, MachineFault, MismatchError
from muxflow.dataflow.folders import scratch_folder
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.frontend.floats import float_inputs, observed
from muxflow.frontend.keras.model_file import read_arrays
from muxflow.frontend.keras.process import Child, Generation, generation_of, keras_child, well_named
from muxflow.frontend.keras.writer import TENSORFLOW, TORCH
from muxflow.proof.execution import Tensor

BACKENDS: dict[Generation, str] = {2: TENSORFLOW, 3: TORCH}


class KerasExecution:
    """Keras' predict in a process of its own.

    It gives the outputs of every quantizer, max pool and join, and the model's outputs (before a function at the end that
    the host computes).
    """

    name = "Keras predict"

    def __init__(self, path: Path, graph: Graph, child: Child, folder: Path) -> None:
        self.title = f"{self.name} ({BACKENDS[generation_of(path)]})"
        self._what = f"model {path}"
        self._graph = graph
        self._child = child
        self._folder = folder

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
        """See `Execution`; raises MismatchError when the graph was not imported from this model, ExecutionError when it fails.

        Raises MachineFault where the machine does, as one without memory.
        """
        graph = self._graph
        # Of a softmax, sigmoid or tanh at the end Keras gives what it reads; of what else the host computes what is before.
        cut = {stream: end.tensor for stream, end in graph.ends.items() if not end.ordered}
        names = list(dict.fromkeys((*graph.tensors.values(), *cut.values())))
        inputs = (np.moveaxis(values, 1, -1) if values.ndim > 2 else values for values in float_inputs(graph, codes))
        np.savez(self._folder / "inputs.npz", *inputs)
        answer = self._child.ask(json.dumps(names))
        if answer.get("machine"):
            raise MachineFault(answer["error"])
        if answer["error"] is not None and not answer["ran"]:
            raise ExecutionError(f"{self._what}: {self.name} cannot run it ({answer['error']})")
        if answer["error"] is not None:
            raise MismatchError(f"{self._what}: {answer['error']}")
        found = read_arrays(self._folder / "outputs.npz")
        ends, inner = found[: len(found) - len(names)], dict(zip(names, found[len(found) - len(names) :], strict=True))
        if len(ends) != len(graph.outputs):
            raise MismatchError(
                f"{self._what}: the model has {len(ends)} outputs, the graph {len(graph.outputs)}: it was not imported from it"
            )
        # The graph's names mean channels first, as everywhere in the importer; the outputs stay as they are.
        tensors = {stream: _channels_first(inner[tensor]) for stream, tensor in graph.tensors.items()}
        outputs = dict(zip(graph.outputs, ends, strict=True))
        outputs |= {stream: _channels_first(inner[tensor]) for stream, tensor in cut.items()}
        return observed(graph, outputs, tensors)


@contextmanager
def keras_execution(path: Path, graph: Graph) -> Iterator[KerasExecution]:
    """Start Keras on a model file, on TensorFlow for Keras 2 and on torch for Keras 3; it ends with the block.

    Raises UnsupportedError for a file of another Keras; ToolError when the extra `qkeras`, or for Keras 3 HGQ2 in its
    folder, is not installed.
    """
    what, generation = f"model {path}", generation_of(path)
    with scratch_folder() as folder:
        arguments = [str(well_named(path, folder).resolve()), str(folder)]
        with keras_child(f"keras.v{generation}.predict", arguments, what, generation) as child:
            yield KerasExecution(path, graph, child, folder)


def _channels_first(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.moveaxis(values, -1, 1) if values.ndim > 2 else values
