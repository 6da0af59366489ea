"""The walk over a model, node by node, that builds the integer graph beside it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import CLEAN_UP, run_passes
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Op
from muxflow.frontend.importer.values import Constant, Image, Tensor, Unknown, Value, channel_last

METADATA_PREFIX = "muxflow."
DOMAINS = ("", "ai.onnx", "muxflow", "qonnx.custom_op.general", "finn.custom_op.general", "onnx.brevitas")
"""Domains whose operators the handlers know by their names."""

REORDERINGS = ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze")

ADVICE = {
    "Pad": "give the padding to the convolution or pool behind it (padding=...)",
    "Split": "use one convolution a part instead",
    "Slice": "use one convolution a part instead",
    "Resize": "pool or use a stride instead of scaling maps up",
    "Upsample": "pool or use a stride instead of scaling maps up",
    "ConvTranspose": "use Conv",
    "LSTM": "use convolutions over a window of time steps",
    "GRU": "use convolutions over a window of time steps",
    "RNN": "use convolutions over a window of time steps",
    "ArgMax": "end the model at the logits and ask for the class index with --arg-max",
    "TopK": "end the model at the logits and ask for the class index with --arg-max",
    "LayerNormalization": "use batch normalisation",
    "InstanceNormalization": "use batch normalisation",
    "FloatQuant": "use an integer quantizer (Quant)",
    "QuantAvgPool2d": "import the file from before FINN's conversion of average pools",
    "MVAU": "import the file from before FINN's conversion to hardware layers (behind step_streamline)",
    "Thresholding": "import the file from before FINN's conversion to hardware layers (behind step_streamline)",
}
"""What to do about op types that people often meet here."""

Handler = Callable[["Importer", onnx.NodeProto], Value]


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
        if self.input_scale is not None and not 0 < self.input_scale < np.inf:
            raise MuxflowError(f"input scale {self.input_scale}; it must be positive, for example 1/255")
        if not 1 <= self.input_bits <= 16:
            raise MuxflowError(f"input of {self.input_bits} bits; supported are 1 to 16")


def model_name(path: Path) -> str:
    """The graph's name: the file's, in letters, digits and underscores."""
    return re.sub(r"\W+", "_", path.stem).strip("_") or "model"


class _NotReached(UnsupportedError):
    """A node behind one that is not supported."""


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
        self.opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 20)
        self._names: set[str] = set()

    # Building blocks for the handlers.

    def unique(self, name: str) -> str:
        """A node or stream name that no other one has, made of letters, digits and underscores."""
        base = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_") or "node"
        base = candidate = f"n{base}" if base[0].isdigit() else base
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

    def open_input(
        self, image: Image, lo: int, hi: int, scale: npt.NDArray[np.float64], *, bipolar: bool = False
    ) -> Tensor:
        """The integer input stream, the first time something reads the image; the same interval ever after."""
        if len(image.shape) == 3:
            channels, height, width = image.shape
            shape = (height, width, channels)
        elif len(image.shape) == 1:
            shape = (1, 1, image.shape[0])
        else:
            raise UnsupportedError(
                f"input {image.name} has shape (N, {', '.join(map(str, image.shape))}); supported are (N, C, H, W) "
                "and (N, features); give one-dimensional data a height of 1 and use two-dimensional layers"
            )
        if not self.input:
            self.input = self.unique(image.name)
            self.streams[self.input] = Stream(shape, lo, hi, bipolar=bipolar)
            self.describe(self.input, scale)
        known = self.streams[self.input]
        if (known.lo, known.hi, known.bipolar) != (lo, hi, bipolar) or known.scale != tuple(map(float, scale)):
            raise UnsupportedError(
                f"input {image.name} goes into two different quantizers; quantize it once and share the result"
            )
        return Tensor(self.input, channel_last(known).reshape(-1)[image.index], scale, exact=True)

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
            raise UnsupportedError(
                f"{label(node)}: input {position} ({node.input[position]}) is constant or generated; it must be data"
            )
        return value

    def constant(self, node: onnx.NodeProto, position: int) -> npt.NDArray[Any]:
        """An input of a node that must be constant."""
        value = self.values[node.input[position]]
        if not isinstance(value, Constant):
            raise UnsupportedError(
                f"{label(node)}: input {position} ({node.input[position]}) is computed from data; it must be constant"
            )
        return value.value

    def fold(self, node: onnx.NodeProto) -> Constant:
        """A node of constants only, computed now; a quantized constant that is re-ordered stays quantized."""
        values = [self.constant(node, position) for position in range(len(node.input))]
        (result,) = self._evaluate(node, values)
        first = self.values[node.input[0]] if node.input else None
        if node.op_type not in REORDERINGS or not isinstance(first, Constant) or first.codes is None:
            return Constant(result)
        scale = np.broadcast_to(first.scale, first.codes.shape)
        codes, scale = (self._evaluate(node, [part, *values[1:]])[0] for part in (first.codes, scale))
        return Constant(result, codes, scale)

    def _evaluate(self, node: onnx.NodeProto, inputs: list[npt.NDArray[Any]]) -> list[npt.NDArray[Any]]:
        infos = [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in node.input if name]
        outputs = [helper.make_tensor_value_info(node.output[0], onnx.TensorProto.UNDEFINED, None)]
        model = helper.make_model(
            helper.make_graph([node], "fold", infos, outputs), opset_imports=[helper.make_opsetid("", self.opset)]
        )
        feeds = {name: value for name, value in zip(node.input, inputs, strict=True) if name}
        try:
            results = [np.asarray(value) for value in ReferenceEvaluator(model).run(None, feeds)]
        except Exception as error:  # the evaluator raises whatever the op's implementation raises
            raise UnsupportedError(
                f"{label(node)}: cannot be computed from its constants ({error}); export the model again"
            ) from error
        return [_finite(value, node.output[0]) for value in results]

    # The walk.

    def import_graph(self, handlers: Mapping[str, Handler]) -> Graph:
        """The integer graph; raises UnsupportedError naming the first node that is not supported."""
        self.run(handlers, collect=False)
        return self.graph()

    def statuses(self, handlers: Mapping[str, Handler]) -> list[NodeStatus]:
        """What of the model is supported, node by node, and what to do about the rest."""
        statuses = self.run(handlers, collect=True)
        if all(status.supported for status in statuses):
            try:
                self.graph()
            except MuxflowError as error:
                statuses.append(NodeStatus("output", "", False, str(error)))
        return statuses

    def run(self, handlers: Mapping[str, Handler], collect: bool) -> list[NodeStatus]:
        """Visits every node; with `collect` an unsupported node is noted and the walk goes on, else it raises."""
        graph = self.model.graph
        self.values[""] = Constant(np.zeros(0, np.float32))
        for tensor in graph.initializer:
            self.values[tensor.name] = Constant(_finite(_array(tensor), tensor.name))
        inputs = [entry for entry in graph.input if entry.name not in self.values]
        if len(inputs) != 1 or len(graph.output) != 1:
            raise UnsupportedError(
                f"{self.name}: {len(inputs)} inputs ({', '.join(entry.name for entry in inputs)}) and "
                f"{len(graph.output)} outputs; supported is one of each, so export each part as a model of its own"
            )
        self.values[inputs[0].name] = _image(inputs[0])
        statuses = []
        for node in graph.node:
            try:
                self._check_inputs(node)
                value = self._visit(node, handlers)
                statuses.append(NodeStatus(node.name, node.op_type, True, ""))
            except (MuxflowError, IndexError, KeyError, TypeError, ValueError) as error:
                message = _complaint(node, error)
                if not collect:
                    raise UnsupportedError(message) from error
                value = Unknown(label(node))
                statuses.append(NodeStatus(node.name, node.op_type, False, message))
            for name in node.output:
                self.values[name] = Unknown(f"a further output of {label(node)}")
            self.values[node.output[0]] = value
        return statuses

    def _check_inputs(self, node: onnx.NodeProto) -> None:
        for name in node.input:
            value = self.values.get(name)
            if value is None:
                raise MuxflowError(
                    f"{label(node)} reads {name}, which nothing before it writes; the file is not a valid model "
                    "(nodes out of order or missing), so export it again"
                )
            if isinstance(value, Unknown):
                raise _NotReached(f"not reached: its input comes from {value.node}, which is not supported")

    def _visit(self, node: onnx.NodeProto, handlers: Mapping[str, Handler]) -> Value:
        if node.domain in ("", "ai.onnx") and all(isinstance(self.values[name], Constant) for name in node.input):
            return self.fold(node)
        if node.op_type in handlers and node.domain in DOMAINS:
            return handlers[node.op_type](self, node)
        where = f" of domain {node.domain}" if node.domain not in DOMAINS else ""
        advice = ADVICE.get(node.op_type, "replace it, or move it behind the output onto the host")
        raise UnsupportedError(
            f"{label(node)}: {node.op_type}{where} is not supported; {advice}. Supported are "
            f"{', '.join(sorted(handlers))}"
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
        empty = Graph(self.name, (), streams, (self.input,), (value.stream,))
        full = with_nodes(empty, nodes[::-1], readouts={value.stream: readout}, notes=notes, tensors=tensors)
        return run_passes(full, CLEAN_UP)


def label(node: onnx.NodeProto) -> str:
    """How messages name a node."""
    return f"{node.name or node.output[0]} ({node.op_type})"


def _complaint(node: onnx.NodeProto, error: Exception) -> str:
    if not isinstance(error, MuxflowError):
        return (
            f"{label(node)}: its inputs or attributes do not make sense ({type(error).__name__}: {error}); export the "
            "model again, and report it as a bug of Muxflow where another tool runs the file"
        )
    named = label(node) in str(error) or isinstance(error, _NotReached)
    return str(error) if named else f"{label(node)}: {error}"


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """An attribute's value, or the default."""
    for entry in node.attribute:
        if entry.name == name:
            value = helper.get_attribute_value(entry)
            return value.decode() if isinstance(value, bytes) else value
    return default


def _finite(values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise MuxflowError(
            f"constant {name} holds NaN or infinity; the training diverged or the file is damaged: export it again"
        )
    return values


def _array(tensor: onnx.TensorProto) -> npt.NDArray[Any]:
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # damaged contents raise whatever the conversion meets first
        raise MuxflowError(f"constant {tensor.name} cannot be read ({error}); export the model again") from error


def _image(entry: onnx.ValueInfoProto) -> Image:
    shape = tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim)[1:]
    if not shape or min(shape) < 1:
        raise UnsupportedError(
            f"input {entry.name} has no fixed shape (N, {', '.join(str(size or '?') for size in shape)}); export the "
            "model with an example input of fixed size"
        )
    return Image(entry.name, shape, np.arange(int(np.prod(shape))).reshape(shape))
