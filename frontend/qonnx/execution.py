"""Proof that the integer graph is the trained model: integer codes compared at every quantizer and at the logits."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.transformation.infer_shapes import InferShapes

import muxflow.frontend.qonnx.ops  # noqa: F401  (registers the operators of our domain)
from muxflow.dataflow.errors import MismatchError, MuxflowError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.frontend.importer.quantizers import FLOAT_SLACK
from muxflow.frontend.importer.values import Doubles
from muxflow.frontend.qonnx.reader import read_model

BATCH = 50
TOLERANCE = 0.05
"""How far from a whole code a model's float may lie and still stand for it: float32 rounding is far below, half a code
far above."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Agreement:
    """What was compared: tensors, images, single codes; all equal, or MismatchError would have been raised."""

    tensors: int
    images: int
    codes: int


def image_codes(graph: Graph, images: npt.NDArray[np.uint8]) -> IntArray:
    """Input codes of 8-bit images (N, H, W, C): the pixels themselves when the input holds 0..255.

    Raises MuxflowError when the model's input is not 8-bit unsigned.
    """
    stream = graph.streams[graph.inputs[0]]
    if stream.lo > 0 or stream.hi < 255:
        raise MuxflowError(f"{graph.name}: input {stream} does not hold 8-bit pixels; give codes in its interval")
    (codes,) = graph.check_codes(images.astype(np.int64)).values()
    return codes


def float_inputs(graph: Graph, codes: IntArray) -> npt.NDArray[np.float32]:
    """The model's float input (N, C, H, W), or (N, features), that stands for input codes."""
    stream = graph.streams[graph.inputs[0]]
    values = (codes * np.float64(stream.scale[0])).astype(np.float32)
    return np.ascontiguousarray(values.transpose(0, 3, 1, 2))


class QonnxModel:
    """A QONNX file that is executed batch by batch."""

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.model = ModelWrapper(read_model(path))
        constants = {tensor.name for tensor in self.model.graph.initializer}
        self.input = next(entry.name for entry in self.model.graph.input if entry.name not in constants)
        self.output = self.model.graph.output[0].name
        for node in self.model.graph.node:
            # A file that was exported for one image reshapes to one; 0 keeps whatever batch comes in.
            target = self.model.get_initializer(node.input[1]) if node.op_type == "Reshape" else None
            if target is not None and target.size and target[0] == 1:
                self.model.set_initializer(node.input[1], np.concatenate([[0], target[1:]]).astype(np.int64))
        producer = self.model.find_producer(self.output)
        if producer is not None and producer.op_type in ("Softmax", "LogSoftmax"):
            self.output = producer.input[0]  # the importer leaves it to the host
        self._batch = 0

    def run(self, images: npt.NDArray[np.float32]) -> Mapping[str, npt.NDArray[Any]]:
        """Every tensor of the model for a batch of float inputs."""
        if len(images) != self._batch:
            self._resize(len(images))
        shape = self.model.get_tensor_shape(self.input)
        context: Mapping[str, npt.NDArray[Any]] = execute_onnx(
            self.model, {self.input: images.reshape(shape)}, return_full_exec_context=True
        )
        return context

    def _resize(self, batch: int) -> None:
        """Gives the model another batch size; its shapes are inferred again."""
        shape = list(self.model.get_tensor_shape(self.input))
        del self.model.graph.value_info[:]
        self.model.set_tensor_shape(self.input, [batch, *shape[1:]])
        output = self.model.graph.output[0].type.tensor_type.shape.dim
        if output:
            output[0].dim_value = batch
        self.model = self.model.transform(InferShapes())
        self._batch = batch


def compare_with_qonnx(path: Path, graph: Graph, codes: IntArray, progress: Progress | None = None) -> Agreement:
    """Runs the QONNX file and the graph on the same images and compares all codes.

    Raises MismatchError naming the first tensor, image and index that differ, and both values.
    """
    model = QonnxModel(path)

    def tensors(batch: IntArray) -> Mapping[str, npt.NDArray[Any]]:
        values = model.run(float_inputs(graph, batch))
        named = {stream: values[name] for stream, name in graph.tensors.items()}
        return {**named, "": values[model.output]}

    return compare(graph, codes, tensors, "QONNX execution", progress)


def compare(
    graph: Graph,
    codes: IntArray,
    tensors: Callable[[IntArray], Mapping[str, npt.NDArray[Any]]],
    title: str,
    progress: Progress | None = None,
) -> Agreement:
    """Compares a float model with the graph: `tensors(codes)` gives its tensors by stream, "" its output.

    Raises MismatchError at the first difference.
    """
    compared = 0
    names: set[str] = set()
    for start in range(0, len(codes), BATCH):
        batch = codes[start : start + BATCH]
        floats = tensors(batch)
        expected = graph.run(batch, keep=(*(name for name in floats if name), graph.outputs[0]))
        for name, values in floats.items():
            wanted = expected[name or graph.outputs[0]]
            met = _output_codes(graph, values, wanted) if name == "" else _codes(graph, name, values, wanted)
            met, wanted = met.reshape(len(batch), -1), wanted.reshape(len(batch), -1)
            if met.shape != wanted.shape or not np.array_equal(met, wanted):
                raise MismatchError(_first_difference(graph, name or graph.outputs[0], title, start, met, wanted))
            compared += met.size
            names.add(name)
        if progress:
            progress(start + len(batch), len(codes))
    return Agreement(len(names), len(codes), compared)


def _nearest(ratio: Doubles, wanted: IntArray, reach: float, what: str) -> IntArray:
    """Codes that a model's floats stand for: the wanted ones where float32 cannot tell the two apart, else the nearest.

    `ratio`: floats in steps of one code; `reach`: largest size of a sum behind them, in the same steps.
    """
    slack = max(TOLERANCE, reach * FLOAT_SLACK)
    codes = np.where(np.abs(ratio - wanted) <= slack, wanted, np.rint(ratio))
    worst = float(np.abs(ratio - codes).max(initial=0))
    if worst > slack:
        raise MismatchError(f"{what}: the model's values are not on the integer grid, off by {worst:.3f} of a step")
    return codes.astype(np.int64)


def _codes(graph: Graph, name: str, values: npt.NDArray[Any], wanted: IntArray) -> IntArray:
    stream = graph.streams[name]
    ordered = np.moveaxis(values, 1, -1) if values.ndim == 4 else values
    if ordered.size != wanted.size:
        return ordered.astype(np.int64)
    ratio = ordered.astype(np.float64).reshape(wanted.shape) / np.array(stream.scale)
    return _nearest(ratio, wanted, max(abs(stream.lo), abs(stream.hi)), name)


def _output_codes(graph: Graph, values: npt.NDArray[Any], wanted: IntArray) -> IntArray:
    """Codes of the output stream behind a model's output, by the inverse of the read-out."""
    readout = graph.readouts.get(graph.outputs[0])
    if readout is None:
        return _classes(values, wanted)
    stream = graph.streams[graph.outputs[0]]
    flat = np.empty((len(values), stream.size))
    flat[:, list(readout.order)] = values.reshape(len(values), -1)
    # A channel with factor 0 tells nothing of its codes, but its value must be the offset.
    dead = np.array(readout.scale) == 0
    scale, offset = np.where(dead, 1, np.array(readout.scale)), np.array(readout.offset)
    ratio = (flat.reshape(wanted.shape) - offset) / scale
    reach = max(abs(stream.lo), abs(stream.hi)) + float(np.abs(offset / scale).max())
    ratio += np.where(dead, wanted, 0)
    return _nearest(ratio, wanted, reach, graph.outputs[0])


def _classes(values: npt.NDArray[Any], wanted: IntArray) -> IntArray:
    """The classes of the largest logits, for a graph that ends in arg-max or top-k; among equals the lowest first.

    The wanted class where float32 cannot tell the two logits apart.
    """
    logits = values.reshape(len(values), -1).astype(np.float64)
    chosen = wanted.reshape(len(values), -1)
    largest = np.argsort(-logits, axis=1, kind="stable")[:, : chosen.shape[1]]
    apart = np.abs(np.take_along_axis(logits, largest, 1) - np.take_along_axis(logits, chosen, 1))
    return np.where(apart <= FLOAT_SLACK * np.abs(logits).max(axis=1, keepdims=True), chosen, largest)


def _first_difference(graph: Graph, name: str, title: str, start: int, met: IntArray, wanted: IntArray) -> str:
    if met.shape != wanted.shape:
        return f"{title} differs from the graph at {name}: shapes {met.shape} and {wanted.shape}"
    image, flat = (int(i) for i in np.argwhere(met != wanted)[0])
    index = tuple(int(i) for i in np.unravel_index(flat, graph.streams[name].shape))
    return (
        f"{title} differs from the graph first at {name}: image {start + image}, index {index}: "
        f"model {met[image, flat]}, graph {wanted[image, flat]}"
    )
