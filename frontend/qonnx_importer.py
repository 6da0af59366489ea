"""QONNX in, integer graph out."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import gcd
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph import Graph, Node, Readout, with_nodes
from muxflow.dataflow.op import IntArray, Op
from muxflow.dataflow.passes import CLEAN_UP, run_passes
from muxflow.dataflow.stream import Stream
from muxflow.frontend.values import Constant, Image, Tensor, Unknown, Value

METADATA_PREFIX = "muxflow."


@dataclass(frozen=True)
class NodeStatus:
    """What `check` says of one node: supported or not, and what to do."""

    node: str
    op_type: str
    supported: bool
    message: str


@dataclass(frozen=True)
class ImportOptions:
    """What a model file leaves open.

    `input_scale`: value of one step of the integer input, for models whose input does not go straight into a
    quantizer (for example 1/255 for pixels that were divided by 255); None takes it from that quantizer.
    `input_bits`, `input_signed`: the integer input, used with `input_scale`.
    """

    input_scale: float | None = None
    input_bits: int = 8
    input_signed: bool = False

    def __post_init__(self) -> None:
        if self.input_scale is not None and not self.input_scale > 0:
            raise MuxflowError(f"input scale {self.input_scale}; it must be positive")
        if not 1 <= self.input_bits <= 16:
            raise MuxflowError(f"input of {self.input_bits} bits; supported are 1 to 16")


class Importer:
    """Walks a model once, node by node, and builds the integer graph beside it.

    Handlers (one for each ONNX op type, in `import_*.py`) turn the values of a node's inputs into that of its output.
    """

    def __init__(self, model: onnx.ModelProto, name: str, options: ImportOptions) -> None:
        self.model = model
        self.name = name
        self.options = options
        self.values: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self.streams: dict[str, Stream] = {}
        self.tensors: dict[str, str] = {}
        self.remarks: list[str] = []
        self.near_ties = 0
        self.threshold_count = 0
        self.input = ""
        self._names: set[str] = set()

    # Building blocks for the handlers.

    def unique(self, name: str) -> str:
        """A node or stream name that no other one has, made of letters, digits and underscores."""
        base = candidate = re.sub(r"\W+", "_", name).strip("_") or "node"
        number = 2
        while candidate in self._names:
            candidate = f"{base}_{number}"
            number += 1
        self._names.add(candidate)
        return candidate

    def emit(self, name: str, op: Op, *inputs: str) -> str:
        """Adds a node; returns its output stream, which has the node's name."""
        name = self.unique(name)
        (stream,) = op.infer(*(self.streams[i] for i in inputs))
        self.nodes.append(Node(name, op, tuple(inputs), (name,)))
        self.streams[name] = stream
        return name

    def describe(self, name: str, scale: npt.NDArray[np.float64], offset: float = 0.0) -> None:
        """Notes the affine meaning of a stream."""
        self.streams[name] = replace(
            self.streams[name], scale=tuple(map(float, np.atleast_1d(scale))), offset=(offset,)
        )

    def open_input(self, image: Image, lo: int, hi: int, scale: npt.NDArray[np.float64]) -> Tensor:
        """The integer input stream, the first time something reads the image; the same interval ever after."""
        if len(image.shape) == 3:
            channels, height, width = image.shape
            shape = (height, width, channels)
            index = np.arange(channels * height * width).reshape(shape).transpose(2, 0, 1)
        elif len(image.shape) == 1:
            shape = (1, 1, image.shape[0])
            index = np.arange(image.shape[0])
        else:
            raise UnsupportedError(
                f"input {image.name} has shape (N, {', '.join(map(str, image.shape))}); supported are (N, C, H, W) "
                "and (N, features)"
            )
        if not self.input:
            self.input = self.unique(image.name)
            self.streams[self.input] = Stream(shape, lo, hi)
            self.describe(self.input, scale)
        known = self.streams[self.input]
        if (known.lo, known.hi) != (lo, hi) or known.scale != tuple(map(float, scale)):
            raise UnsupportedError(
                f"input {image.name} goes into two different quantizers; quantize it once and share the result"
            )
        return Tensor(self.input, index, scale, exact=True)

    def tensor(self, node: onnx.NodeProto, position: int) -> Tensor:
        """An input of a node that must be data; a raw image becomes integers by the caller's input scale."""
        value = self.values[node.input[position]]
        if isinstance(value, Image):
            if self.options.input_scale is None:
                raise UnsupportedError(
                    f"{label(node)} reads the input before any quantizer, so its integer grid is unknown; put an "
                    "input quantizer (8-bit unsigned) first, or say what one pixel step stands for: "
                    "input_scale=1/255 (command line: --input-scale 1/255)"
                )
            bits = self.options.input_bits
            lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if self.options.input_signed else (0, (1 << bits) - 1)
            value = self.open_input(value, lo, hi, np.array([self.options.input_scale]))
        if not isinstance(value, Tensor):
            raise UnsupportedError(f"{label(node)}: input {position} ({node.input[position]}) is a constant")
        return value

    def constant(self, node: onnx.NodeProto, position: int) -> npt.NDArray[Any]:
        """An input of a node that must be constant."""
        value = self.values[node.input[position]]
        if not isinstance(value, Constant):
            raise UnsupportedError(
                f"{label(node)}: input {position} ({node.input[position]}) is computed from data; it must be constant"
            )
        return value.value

    # The walk.

    def run(self, handlers: Mapping[str, Callable[[Importer, onnx.NodeProto], Value]], collect: bool) -> list[NodeStatus]:
        """Visits every node; with `collect` an unsupported node is noted and the walk goes on, else it raises."""
        graph = self.model.graph
        self.values[""] = Constant(np.zeros(0, np.float32))
        for tensor in graph.initializer:
            self.values[tensor.name] = Constant(_finite(numpy_helper.to_array(tensor), tensor.name))
        inputs = [entry for entry in graph.input if entry.name not in self.values]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise UnsupportedError(
                f"{self.name}: {len(inputs)} inputs and {len(graph.output)} outputs; supported is one of each"
            )
        self.values[inputs[0].name] = Image(inputs[0].name, _input_shape(inputs[0]))
        statuses = []
        for node in graph.node:
            try:
                blocked = [v.node for i in node.input if isinstance(v := self.values.get(i), Unknown)]
                if blocked:
                    raise UnsupportedError(f"not reached: its input comes from {blocked[0]}, which is not supported")
                missing = [name for name in node.input if name not in self.values]
                if missing:
                    raise UnsupportedError(
                        f"{label(node)} reads {missing[0]}, which nothing before it writes; the file is not a valid "
                        "model (nodes out of order or missing)"
                    )
                self.values[node.output[0]] = self._visit(node, handlers)
                statuses.append(NodeStatus(node.name, node.op_type, True, ""))
            except MuxflowError as error:
                if not collect:
                    raise
                statuses.append(NodeStatus(node.name, node.op_type, False, str(error)))
                for name in node.output:
                    self.values[name] = Unknown(label(node))
        return statuses

    def _visit(self, node: onnx.NodeProto, handlers: Mapping[str, Callable[[Importer, onnx.NodeProto], Value]]) -> Value:
        if node.op_type in handlers:
            return handlers[node.op_type](self, node)
        if all(isinstance(self.values[name], Constant) for name in node.input):
            return Constant(_fold(node, [self.constant(node, i) for i in range(len(node.input))]))
        raise UnsupportedError(
            f"{label(node)}: {node.op_type} is not supported; supported are {', '.join(sorted(handlers))}. "
            "Replace it, or move it behind the output onto the host"
        )

    def graph(self) -> Graph:
        """The finished graph, cleaned up and checked."""
        output = self.model.graph.output[0].name
        value = self.values.get(output)
        if not isinstance(value, Tensor):
            raise UnsupportedError(f"{self.name}: the output {output} does not depend on the input")
        meaning = value.meaning()
        if meaning is None:
            raise UnsupportedError(
                f"{self.name}: between the last integer stream ({value.stream}) and the output {output} stands "
                f"{', '.join(step.op_type for step in value.steps)}, which is not affine; end the model with a quantizer, "
                "or move the last activation onto the host"
            )
        stream = self.streams[value.stream]
        scale, offset = (np.broadcast_to(part, (max(part.size, stream.channels),)) for part in meaning)
        if max(scale.size, offset.size) != stream.channels:
            raise UnsupportedError(f"{self.name}: the output {output} is scaled pixel by pixel; scale it on the host")
        readout = Readout(
            tuple(map(float, scale)),
            tuple(map(float, offset)),
            tuple(map(int, value.index.reshape(-1))),
            tuple(value.index.shape),
        )
        notes = {
            prop.key.removeprefix(METADATA_PREFIX): prop.value
            for prop in self.model.metadata_props
            if prop.key.startswith(METADATA_PREFIX)
        }
        notes["thresholds"] = str(self.threshold_count)
        notes["near_ties"] = str(self.near_ties)
        if self.remarks:
            notes["remarks"] = "; ".join(self.remarks)
        # Only what the output needs: a model may hold branches that end nowhere.
        needed = {value.stream}
        nodes: list[Node] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                nodes.append(node)
                needed.update(node.inputs)
        if self.input not in needed:
            raise UnsupportedError(f"{self.name}: the output {output} does not depend on the input")
        streams = {name: stream for name, stream in self.streams.items() if name in needed}
        tensors = {name: tensor for name, tensor in self.tensors.items() if name in needed}
        empty = Graph(self.name, (), streams, self.input, value.stream)
        full = with_nodes(empty, nodes[::-1], readout=readout, notes=notes, tensors=tensors)
        return run_passes(full, CLEAN_UP)


def label(node: onnx.NodeProto) -> str:
    """How messages name a node."""
    return f"{node.name or node.output[0]} ({node.op_type})"


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """An attribute's value, or the default."""
    for entry in node.attribute:
        if entry.name == name:
            value = helper.get_attribute_value(entry)
            return value.decode() if isinstance(value, bytes) else value
    return default


def common_unit(a: float, b: float) -> tuple[int, int] | None:
    """Integers (p, q) with a / p = b / q, when two scales are commensurate; None when they are not.

    Exact for scales whose ratio is a fraction of integers up to 2^12; a ratio that misses such a fraction (with terms
    up to 256) by float32 rounding alone counts as that fraction.
    """
    from fractions import Fraction

    ratio = Fraction(a) / Fraction(b)
    if ratio.numerator > 4096 or ratio.denominator > 4096:
        near = ratio.limit_denominator(256)
        if near == 0 or near.numerator > 256 or abs(ratio / near - 1) > Fraction(1, 1 << 22):
            return None
        ratio = near
    divisor = gcd(ratio.numerator, ratio.denominator)
    return ratio.numerator // divisor, ratio.denominator // divisor


def _finite(values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise MuxflowError(
            f"constant {name} holds NaN or infinity; the training diverged or the file is damaged: export it again"
        )
    return values


def _input_shape(entry: onnx.ValueInfoProto) -> tuple[int, ...]:
    sizes = [dim.dim_value for dim in entry.type.tensor_type.shape.dim][1:]
    if not sizes or any(size < 1 for size in sizes):
        raise UnsupportedError(
            f"input {entry.name} has no fixed shape ({sizes}); export the model with an example input of fixed size"
        )
    return tuple(sizes)


def _fold(node: onnx.NodeProto, inputs: list[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """The value of a node whose inputs are all constants."""
    infos = [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in node.input if name]
    outputs = [helper.make_tensor_value_info(node.output[0], onnx.TensorProto.UNDEFINED, None)]
    model = helper.make_model(
        helper.make_graph([node], "fold", infos, outputs), opset_imports=[helper.make_opsetid("", 20)]
    )
    try:
        feeds = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
        return np.asarray(ReferenceEvaluator(model).run(None, feeds)[0])
    except Exception as error:  # the evaluator raises whatever the op's implementation raises
        raise UnsupportedError(f"{label(node)}: cannot be computed from its constants ({error})") from error


def read_model(path: Path) -> onnx.ModelProto:
    """Reads a model file; raises MuxflowError naming it when it is absent, empty or not ONNX."""
    path = Path(path)
    if not path.is_file():
        raise MuxflowError(f"model {path}: no such file; give a QONNX file, or train one with `muxflow train`")
    data = path.read_bytes()
    if not data:
        raise MuxflowError(f"model {path}: the file is empty; export the model again")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except Exception as error:  # protobuf's DecodeError has no stable import path
        raise MuxflowError(f"model {path}: not an ONNX file or cut short ({error}); export the model again") from error
    if not model.graph.node:
        raise MuxflowError(f"model {path}: holds no nodes; export the model again")
    return model


def load_qonnx(path: Path, options: ImportOptions | None = None) -> Graph:
    """The integer graph of a QONNX file; raises UnsupportedError naming the first node that is not supported."""
    from muxflow.frontend.import_handlers import HANDLERS

    importer = Importer(read_model(path), _model_name(path), options or ImportOptions())
    importer.run(HANDLERS, collect=False)
    return importer.graph()


def check_qonnx(path: Path, options: ImportOptions | None = None) -> list[NodeStatus]:
    """What of a QONNX file is supported, node by node, and what to do about the rest."""
    from muxflow.frontend.import_handlers import HANDLERS

    importer = Importer(read_model(path), _model_name(path), options or ImportOptions())
    statuses = importer.run(HANDLERS, collect=True)
    if all(status.supported for status in statuses):
        try:
            importer.graph()
        except MuxflowError as error:
            statuses.append(NodeStatus("output", "", False, str(error)))
    return statuses


def _model_name(path: Path) -> str:
    return re.sub(r"\W+", "_", Path(path).stem).strip("_") or "model"


def integer_codes(values: npt.NDArray[Any], scale: npt.NDArray[np.float64]) -> IntArray:
    """Codes of `values = scale * code`, rounded to the nearest."""
    return np.rint(values.astype(np.float64) / scale).astype(np.int64)
