"""A QONNX file as QONNX itself executes it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

import muxflow.frontend.qonnx.ops  # noqa: F401  (registers the operators of Muxflow's domain)
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.frontend.floats import float_inputs, observed
from muxflow.frontend.qonnx.reader import read_model
from muxflow.proof.execution import Tensor


class QonnxModel:
    """A QONNX file that is executed batch by batch; `inputs` and `outputs` are the names of its tensors."""

    def __init__(self, path: Path) -> None:
        self.model = ModelWrapper(read_model(path))
        constants = {tensor.name for tensor in self.model.graph.initializer}
        self.inputs = [entry.name for entry in self.model.graph.input if entry.name not in constants]
        self.outputs = [self._before_softmax(entry.name) for entry in self.model.graph.output]
        for node in self.model.graph.node:
            # A file that was exported for one image reshapes to one; 0 keeps whatever batch comes in.
            target = self.model.get_initializer(node.input[1]) if node.op_type == "Reshape" else None
            if target is not None and target.size and target[0] == 1:
                self.model.set_initializer(node.input[1], np.concatenate([[0], target[1:]]).astype(np.int64))
        self._batch = 0

    def run(self, *inputs: npt.NDArray[np.float32]) -> Mapping[str, npt.NDArray[Any]]:
        """Return every tensor of the model for a batch of its float inputs, in their order."""
        if len(inputs[0]) != self._batch:
            self._resize(len(inputs[0]))
        given = {
            name: values.reshape(self.model.get_tensor_shape(name))
            for name, values in zip(self.inputs, inputs, strict=True)
        }
        context: Mapping[str, npt.NDArray[Any]] = execute_onnx(self.model, given, return_full_exec_context=True)
        return context

    def _before_softmax(self, output: str) -> str:
        """Return the tensor that the graph's output stands for: the importer leaves a softmax to the host."""
        producer = self.model.find_producer(output)
        if producer is not None and producer.op_type in ("Softmax", "LogSoftmax"):
            return str(producer.input[0])
        return output

    def _resize(self, batch: int) -> None:
        """Give the model another batch size; its shapes are inferred again."""
        shapes = {name: list(self.model.get_tensor_shape(name)) for name in self.inputs}
        del self.model.graph.value_info[:]
        for name, shape in shapes.items():
            self.model.set_tensor_shape(name, [batch, *shape[1:]])
        for output in self.model.graph.output:
            sizes = output.type.tensor_type.shape.dim
            if sizes:
                sizes[0].dim_value = batch
        self.model = self.model.transform(InferShapes())
        self._batch = batch


class QonnxExecution:
    """QONNX's own execution of the file that a graph was imported from: every tensor with a stream, and the outputs."""

    title = name = "QONNX execution"

    def __init__(self, path: Path, graph: Graph) -> None:
        self._model = QonnxModel(path)
        self._graph = graph

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
        """See `Execution`."""
        values = self._model.run(*float_inputs(self._graph, codes))
        inner = {stream: values[name] for stream, name in self._graph.tensors.items()}
        return observed(self._graph, [values[name] for name in self._model.outputs], inner)
