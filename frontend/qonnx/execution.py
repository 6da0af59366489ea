"""An ONNX file as its own libraries execute it: the ONNX runtime node by node, QONNX for its operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from qonnx.core.execute_custom_node import execute_custom_node
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.registry import getCustomOp, is_custom_op
from qonnx.util.basic import get_preferred_qonnx_opset, sanitize_quant_values

from muxflow.dataflow.errors import ExecutionError, MismatchError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import reason
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.floats import end_of, float_inputs, observed
from muxflow.frontend.importer.windows import SAME, same_pads
from muxflow.frontend.model import CHANNELS_LAST, MUXFLOW, QUANTIZED, ModelNode
from muxflow.frontend.qonnx.attributes import OWN_DOMAINS
from muxflow.frontend.qonnx.reader import described_node, read_model
from muxflow.proof.execution import Tensor

Array = npt.NDArray[Any]
TITLE = "QONNX execution"
RECURRENT = {(MUXFLOW, "LstmCell"), *((domain, "QuantLSTMCell") for domain in QUANTIZED)}
"""Operators with a state that can go on."""
SHAPES = {"Reshape": 1, "Resize": 3}
"""Inputs of operators that say the shape of their output."""


class QonnxModel:
    """An ONNX file, or one that QONNX holds, executed batch by batch, of whatever size.

    `inputs` and `outputs` are the names of its tensors. `threads`: of the ONNX runtime in a node, 0 for one a core; a few
    images are faster with one, since each node starts its own.
    """

    def __init__(self, model: str | Path | ModelWrapper, threads: int = 0) -> None:
        self.model = wrapped(Path(model)) if isinstance(model, (str, Path)) else model
        graph = self.model.graph
        self._constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
        self.inputs = [entry.name for entry in graph.input if entry.name not in self._constants]
        self.outputs = [entry.name for entry in graph.output]
        self._opsets = {entry.domain: entry.version for entry in self.model.model.opset_import}
        opset = self._opsets.get("", self._opsets.get("ai.onnx", 20))
        self._nodes = [_Node(node, opset, threads) for node in graph.node]
        self._annotated = bool(graph.quantization_annotation)

    @property
    def tensors(self) -> frozenset[str]:
        """Name all tensors that a run gives."""
        return frozenset(
            (*self._constants, *self.inputs, *(name for node in self._nodes for name in node.proto.output))
        )

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Give the shape of an input of the model, without the batch."""
        return tuple(self.model.get_tensor_shape(tensor)[1:])

    def run(self, *inputs: npt.NDArray[np.float32]) -> Mapping[str, Array]:
        """Return every tensor of the model for a batch of its float inputs, in their order.

        Raises ExecutionError naming the first node that neither library can run.
        """
        context: dict[str, Array] = dict(self._constants)
        for name, values in zip(self.inputs, inputs, strict=True):
            context[name] = values.reshape(len(values), *self.shape(name))
        data = set(self.inputs)
        for node in self._nodes:
            try:
                self._execute(node, context, len(inputs[0]) if node.proto.input and node.proto.input[0] in data else 0)
            except Exception as error:  # the libraries raise whatever they meet
                raise_machine_fault(error, node.described.label)
                raise ExecutionError(f"{node.described.label}: {TITLE} cannot run it ({reason(error)})") from error
            if data.intersection(node.proto.input):
                data.update(node.proto.output)
        return context

    def carry_state(self) -> None:
        """Let recurrent layers go on from image to image, which are a sequence then."""
        for node in self.model.graph.node:
            if (node.domain, node.op_type) in RECURRENT:
                getCustomOp(node).set_nodeattr("stateful", 1)

    def _execute(self, node: _Node, context: dict[str, Array], batch: int) -> None:
        """Write a node's outputs into the context; `batch`: images in its first input, 0 where that is constant."""
        proto = node.proto
        if self._annotated:
            sanitize_quant_values(self.model, [name for name in proto.input if name], context)
        own = _Node.moved if proto.domain == CHANNELS_LAST else OWN.get(proto.op_type) if proto.domain else None
        if own is not None:
            context[proto.output[0]] = own(node, context)
        elif proto.domain in OWN_DOMAINS and is_custom_op(proto.domain, proto.op_type):
            version = self._opsets.get(proto.domain, get_preferred_qonnx_opset())
            execute_custom_node(proto, context, self.model.graph, onnx_opset_version=version)
        else:
            given = {name: context[name] for name in proto.input if name}
            shape = SHAPES.get(proto.op_type, len(proto.input))
            if batch and shape < len(proto.input) and given[proto.input[shape]][:1] == 1:
                # A file that was exported for one image says 1 where it means the batch.
                given[proto.input[shape]] = np.concatenate([[batch], given[proto.input[shape]][1:]])
            context.update(zip(filter(None, proto.output), node.run(given), strict=True))
        if self._annotated:
            sanitize_quant_values(self.model, [name for name in proto.output if name], context)


def wrapped(path: Path) -> ModelWrapper:
    """Read a file as QONNX holds it, which takes a tensor of the model's end for an inner one where it is listed as both."""
    model = read_model(path)
    ends = {entry.name for entry in (*model.graph.input, *model.graph.output)}
    inner = [entry for entry in model.graph.value_info if entry.name not in ends]
    del model.graph.value_info[:]
    model.graph.value_info.extend(inner)
    try:
        return ModelWrapper(model)
    except Exception as error:  # it raises whatever it meets
        raise_machine_fault(error, f"model {path}")
        raise ExecutionError(f"model {path}: {TITLE} cannot run it ({reason(error)})") from error


class _Node:
    """One node with the session that runs it, of the standard operators."""

    def __init__(self, proto: onnx.NodeProto, opset: int, threads: int) -> None:
        self.proto = proto
        self.described: ModelNode = described_node(proto)
        self._opset, self._threads = opset, threads
        self._session: ort.InferenceSession | ReferenceEvaluator | None = None

    def run(self, given: Mapping[str, Array]) -> list[Array]:
        """Run it by the ONNX runtime, or by ONNX' own reference where the runtime does not know it."""
        if self._session is None:
            model = self._model(given)
            options = ort.SessionOptions()
            options.log_severity_level = 4
            options.intra_op_num_threads = self._threads
            try:
                session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
                found: list[Array] = session.run(None, dict(given))
                self._session = session
                return found
            except Exception as error:
                raise_machine_fault(error, self.described.label)
                self._session = ReferenceEvaluator(model)
        return list(self._session.run(None, dict(given)))

    @cached_property
    def _channel_first(self) -> _Node:
        """The standard operator that a node of channel-last maps stands for."""
        standard = onnx.NodeProto()
        standard.CopyFrom(self.proto)
        standard.domain, standard.op_type = "", self.proto.op_type.removesuffix("NHWC")
        return _Node(standard, self._opset, self._threads)

    def moved(self, context: Mapping[str, Array]) -> Array:
        """Run a node of channel-last maps, and of weights in that order, as the standard operator of channel-first ones."""
        count = 2 if self._channel_first.proto.op_type == "Conv" else 1
        given = {name: context[name] for name in self.proto.input if name}
        given |= {name: np.ascontiguousarray(np.moveaxis(given[name], -1, 1)) for name in self.proto.input[:count]}
        (found,) = self._channel_first.run(given)
        return np.moveaxis(found, 1, -1)

    def _model(self, given: Mapping[str, Array]) -> onnx.ModelProto:
        proto = self._explicit(given)
        infos = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), None)
            for name, value in given.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
        graph = helper.make_graph([proto], "node", infos, outputs)
        opsets = {"": self._opset} | ({proto.domain: 1} if proto.domain else {})
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid(*one) for one in opsets.items()], ir_version=8
        )

    def _explicit(self, given: Mapping[str, Array]) -> onnx.NodeProto:
        """Spell padding out that is called SAME beside dilation, which no library pads."""
        attributes = self.described.attributes
        auto, dilation = attributes.get("auto_pad", ""), attributes.get("dilations", ())
        if auto not in SAME or max(dilation, default=1) == 1:
            return self.proto
        sizes = given[self.proto.input[0]].shape[2:]
        kernel = attributes.get("kernel_shape")
        if kernel is None:
            kernel = given[self.proto.input[1]].shape[2:]
        pads = same_pads(auto, sizes, kernel, attributes.get("strides", (1,) * len(sizes)), dilation)
        written = {**attributes, "pads": pads, "auto_pad": "NOTSET"}
        return helper.make_node(self.proto.op_type, self.proto.input, self.proto.output, self.proto.name, **written)


def _im2col(node: _Node, context: Mapping[str, Array]) -> Array:
    """Compute Im2Col, (N, H, W, C) to (N, H', W', kernel x C), for any number of images."""
    attributes, x = node.described.attributes, context[node.proto.input[0]]
    kernel, stride = attributes["kernel_size"], attributes["stride"]
    dilation = attributes.get("dilations", (1, 1))
    top, left, bottom, right = attributes.get("pad_amount", (0, 0, 0, 0))
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=attributes.get("pad_value", 0))
    extent = tuple((k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True))
    windows = np.lib.stride_tricks.sliding_window_view(padded, extent, axis=(1, 2))
    windows = windows[:, :: stride[0], :: stride[1], :, :: dilation[0], :: dilation[1]]
    return np.ascontiguousarray(np.moveaxis(windows, 3, -1)).reshape(*windows.shape[:3], -1)


OWN: Mapping[str, Callable[[_Node, Mapping[str, Array]], Array]] = {"Im2Col": _im2col, "MaxPoolNHWC": _Node.moved}
"""QONNX' operators that its own code runs for one image only."""


class QonnxExecution:
    """The execution of the file that a graph was imported from: every tensor with a stream, and the outputs."""

    title = name = TITLE

    def __init__(self, path: str | Path, graph: Graph) -> None:
        self._path = Path(path)
        self._graph = graph

    @cached_property
    def _model(self) -> QonnxModel:
        model = QonnxModel(self._path)
        if self._graph.carries:
            model.carry_state()
        return model

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
        """See `Execution`.

        Raises ExecutionError naming a node, or the file, that cannot be run, MismatchError where the graph is not of this file.
        """
        inputs = float_inputs(self._graph, codes)
        for fault in self._faults(inputs):
            raise MismatchError(
                f"model {self._path}: {self._graph.name} was not imported from it: {fault}; build the project from it, or "
                "put the file back that the project was built from",
                self.name,
            )
        values = self._model.run(*inputs)
        inner = {stream: values[name] for stream, name in self._graph.tensors.items()}
        ends = zip(self._graph.outputs, self._model.outputs, strict=True)
        outputs = {stream: values[end_of(self._graph, stream) or name] for stream, name in ends}
        return observed(self._graph, outputs, inner)

    def _faults(self, inputs: Sequence[Array]) -> Iterator[str]:
        """Say in what the file's ends and tensors are not those of the graph."""
        graph, model = self._graph, self._model
        for kind, met, wanted in (("input", model.inputs, graph.inputs), ("output", model.outputs, graph.outputs)):
            if len(met) != len(wanted):
                yield f"it has {counted(len(met), kind)}, the graph {len(wanted)}"
        for name, values in zip(model.inputs, inputs, strict=False):
            if math.prod(model.shape(name)) != values[0].size:
                yield f"its input {name} has {math.prod(model.shape(name))} values, the graph's {values[0].size}"
        named = (*graph.tensors.values(), *(end_of(graph, name) for name in graph.outputs))
        yield from (f"it has no tensor {name}" for name in named if name and name not in model.tensors)
