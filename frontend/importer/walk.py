"""The walk over a model, node by node, that builds the integer graph beside it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import CLEAN_UP, run_passes
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.limits import check_elements, check_nodes
from muxflow.dataflow.op import Op
from muxflow.dataflow.ops.resize import Resize
from muxflow.frontend.importer.constants import finite, fold
from muxflow.frontend.importer.handling import handlers
from muxflow.frontend.importer.layout import SUPPORTED_MAPS, channel_first, check_feature_map, stream_shape
from muxflow.frontend.importer.padding import code_of
from muxflow.frontend.importer.values import Image, Padded, Tensor, Unknown, Value
from muxflow.frontend.model import MUXFLOW, STANDARD, Constant, ImportOptions, Model, ModelInput, ModelNode, NodeStatus

ADVICE = {
    "Split": "use one convolution a part instead",
    "Slice": "use one convolution a part instead",
    "LSTM": "use convolutions over a window of time steps",
    "GRU": "use convolutions over a window of time steps",
    "RNN": "use convolutions over a window of time steps",
    "ArgMax": "end the model at the logits and ask for the class index with --arg-max",
    "TopK": "end the model at the logits and ask for the class index with --arg-max",
    "LayerNormalization": "use batch normalisation",
    "InstanceNormalization": "use batch normalisation",
    "FloatQuant": "use an integer quantizer (Quant)",
    "QuantAvgPool2d": "import the file from before FINN's conversion of average pools",
    "MVAU": "import the file from before FINN's conversion to hardware layers (after step_streamline)",
    "Thresholding": "import the file from before FINN's conversion to hardware layers (after step_streamline)",
}
"""What to do about op types that people often meet here."""


LONGEST = 200
"""Most characters that a node keeps of its name in the model; parts and numbers are appended to it."""


class _NotReached(UnsupportedError):
    """A node after one that is not supported."""


class Importer:
    """One walk over a model, node by node, which builds the integer graph beside it.

    Handlers (see `handling`) turn the values of a node's inputs into that of its first output. `inputs`: the stream of each
    input of the model that something has read, by the input's name.
    """

    def __init__(self, model: Model, options: ImportOptions) -> None:
        self.model = model
        self.name = model.name
        self.options = options
        self.opset = model.opset
        self.values: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self.streams: dict[str, Stream] = {}
        self.tensors: dict[str, str] = {}
        self.inputs: dict[str, str] = {}
        self.remarks: list[str] = []
        self.near_ties = 0
        self.ties: dict[str, tuple[tuple[int, int], ...]] = {}
        self.threshold_count = 0
        self._names: set[str] = set()

    # Building blocks for the handlers.

    def unique(self, name: str) -> str:
        """Make a node or stream name that no other one has, made of letters, digits and underscores."""
        base = re.sub(r"\W+", "_", name, flags=re.ASCII).strip("_")[:LONGEST] or "node"
        base = candidate = f"n{base}" if base[0].isdigit() else base
        number = 2
        while candidate in self._names:
            candidate = f"{base}_{number}"
            number += 1
        self._names.add(candidate)
        return candidate

    def emit(self, name: str, op: Op, *inputs: str) -> str:
        """Add a node; returns its output stream, which has the node's name."""
        name = self.unique(name)
        (stream,) = op.infer(*(self.streams[i] for i in inputs))
        self.nodes.append(Node(name, op, tuple(inputs), (name,)))
        self.streams[name] = stream
        return name

    def describe(self, name: str, scale: npt.NDArray[np.float64], offset: float = 0.0) -> None:
        """Note the affine meaning of a stream."""
        self.streams[name] = replace(
            self.streams[name], scale=tuple(map(float, np.atleast_1d(scale))), offset=(offset,)
        )

    def open_input(
        self, image: Image, lo: int, hi: int, scale: npt.NDArray[np.float64], *, bipolar: bool = False
    ) -> Tensor:
        """Open the integer stream of an input, the first time something reads it; the same interval ever after."""
        shape = stream_shape(image.shape)
        if shape is None:
            raise UnsupportedError(
                f"input {image.name} has shape (N, {', '.join(map(str, image.shape))}); supported are maps "
                f"{SUPPORTED_MAPS} after the batch, and vectors (N, features)"
            )
        if image.name not in self.inputs:
            self.inputs[image.name] = name = self.unique(image.name)
            self.streams[name] = Stream(shape, lo, hi, bipolar=bipolar)
            self.describe(name, scale)
        name = self.inputs[image.name]
        known = self.streams[name]
        if (known.lo, known.hi, known.bipolar) != (lo, hi, bipolar) or known.scale != tuple(map(float, scale)):
            raise UnsupportedError(
                f"input {image.name} goes into two different quantizers; quantize it once and share the result"
            )
        return Tensor(name, channel_first(known).reshape(-1)[image.index], scale, exact=True)

    def given_grid(self, image: Image) -> tuple[float, int, bool] | None:
        """Return (step, bits, signed) of an input where the caller or the file says what its integers are."""
        options, entry = self.options, next(entry for entry in self.model.inputs if entry.name == image.name)
        if options.input_scale is not None:
            return options.input_scale, options.input_bits, options.input_signed
        return None if entry.bits is None else (1.0, entry.bits, entry.signed)

    def tensor(self, node: ModelNode, position: int) -> Tensor:
        """Return an input of a node that must be data; a raw image becomes integers by its given grid."""
        value = self.values[node.inputs[position]]
        if isinstance(value, Padded):
            return self._with_padding(value)
        if isinstance(value, Image):
            grid = self.given_grid(value)
            if grid is None:
                raise UnsupportedError(
                    f"{node.label} reads the input before any quantizer, so its integer grid is unknown; put an "
                    "input quantizer (8-bit unsigned) first, or say what one pixel step stands for: "
                    "input_scale=1/255 (command line: --input-scale 1/255)"
                )
            step, bits, signed = grid
            lo, hi = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
            value = self.open_input(value, lo, hi, np.array([step]))
        if not isinstance(value, Tensor):
            raise UnsupportedError(
                f"{node.label}: input {position} ({node.inputs[position]}) is constant or generated; it must be data"
            )
        return value

    def _with_padding(self, padded: Padded) -> Tensor:
        """Add padding by a node of its own, for readers without a window that does it."""
        inner, node = padded.inner, padded.node
        if isinstance(inner, Image):
            self.values[node.inputs[0]] = inner
            inner = self.tensor(node, 0)
        source = self.streams[inner.stream]
        check_feature_map(node.label, inner, source, f"{SUPPORTED_MAPS} maps")
        if inner.rows > source.channels:
            raise UnsupportedError(f"{node.label}: its input is scaled pixel by pixel; put a quantizer before it")
        code = code_of(node.label, inner, padded.fill, self.opset)
        name = self.emit(node.name, Resize((1,) * (len(padded.pads) // 2), padded.pads, "insert", code), inner.stream)
        self.describe(name, inner.scale)
        if not inner.steps:
            self.tensors[name] = node.outputs[0]
        return replace(inner, stream=name, index=channel_first(self.streams[name]))

    def constant(self, node: ModelNode, position: int) -> npt.NDArray[Any]:
        """Return an input of a node that must be constant."""
        value = self.values[node.inputs[position]]
        if not isinstance(value, Constant):
            raise UnsupportedError(
                f"{node.label}: input {position} ({node.inputs[position]}) is computed from data; it must be constant"
            )
        return value.value

    # The walk.

    def run(self, collect: bool) -> list[NodeStatus]:
        """Visit every node; with `collect` an unsupported node is noted and the walk goes on, else it raises."""
        check_nodes(f"model {self.name}", len(self.model.nodes))
        self.values[""] = Constant(np.zeros(0, np.float32))
        for name, constant in self.model.constants.items():
            finite(constant.value, name)
            self.values[name] = constant
        for entry in self.model.inputs:
            self.values[entry.name] = _image(entry)
        statuses = []
        for node in self.model.nodes:
            try:
                self._check_inputs(node)
                value = self._visit(node)
                statuses.append(NodeStatus(node.name, node.shown, True, ""))
            except Exception as error:  # a damaged node makes numpy or the ONNX runtime raise anything
                message = _complaint(node, error)
                if not collect:
                    raise UnsupportedError(message) from error
                value = Unknown(node.label)
                statuses.append(NodeStatus(node.name, node.shown, False, message))
            for name in node.outputs:
                self.values[name] = Unknown(f"a further output of {node.label}")
            if node.outputs:
                self.values[node.outputs[0]] = value
        return statuses

    def _check_inputs(self, node: ModelNode) -> None:
        if not node.outputs:
            raise MuxflowError(f"{node.label} has no output; the file is not a valid model, so export it again")
        for name in node.inputs:
            value = self.values.get(name)
            if value is None:
                raise MuxflowError(
                    f"{node.label} reads {name}, which nothing before it writes; the file is not a valid model "
                    "(nodes out of order or missing), so export it again"
                )
            if isinstance(value, Unknown):
                raise _NotReached(f"not reached: its input comes from {value.node}, which is not supported")

    def _visit(self, node: ModelNode) -> Value:
        operands = [self.values[name] for name in node.inputs]
        constants = [value for value in operands if isinstance(value, Constant)]
        if node.domain == STANDARD and len(constants) == len(operands):
            return fold(node, constants, self.opset)
        if node.domain != MUXFLOW:
            for name, value in zip(node.inputs, operands, strict=True):
                if isinstance(value, Constant) and name:
                    _check_type(f"constant {name}", value.value.dtype.name)
        known = handlers()
        if (node.domain, node.op_type) in known:
            return known[node.domain, node.op_type](self, node)
        where = f" of domain {node.domain}" if node.domain not in {domain for domain, _ in known} else ""
        advice = ADVICE.get(node.op_type, "replace it, or move it after the output onto the host")
        raise UnsupportedError(
            f"{node.label}: {node.op_type}{where} is not supported; {advice}. Supported are "
            f"{', '.join(sorted({op_type for _, op_type in known}))}"
        )

    # The result.

    def graph(self) -> Graph:
        """Return the finished graph, cleaned up and checked."""
        for name in self.model.outputs:
            value = self.values.get(name)
            if isinstance(value, Padded):
                self.values[name] = self._with_padding(value)
        outputs = {name: self._output(name) for name in self.model.outputs}
        streams = [tensor.stream for tensor in outputs.values()]
        if len(set(streams)) < len(self.model.outputs):
            raise UnsupportedError(
                f"{self.name}: two of its outputs {', '.join(self.model.outputs)} are one stream; keep one of them, the "
                "host can copy it"
            )
        readouts = {tensor.stream: self._readout(name, tensor) for name, tensor in outputs.items()}
        notes = {**self.model.metadata, "thresholds": str(self.threshold_count), "near_ties": str(self.near_ties)}
        if self.remarks:
            notes["remarks"] = "; ".join(self.remarks)
        # Only what the outputs need: a model may hold branches that end nowhere.
        needed = set(streams)
        nodes: list[Node] = []
        for node in reversed(self.nodes):
            if needed.intersection(node.outputs):
                nodes.append(node)
                needed.update(node.inputs)
        for entry in self.model.inputs:
            if self.inputs.get(entry.name) not in needed:
                raise UnsupportedError(
                    f"{self.name}: the output {', '.join(outputs)} does not depend on the input {entry.name}; export the "
                    "model without that input"
                )
        inputs = tuple(self.inputs[entry.name] for entry in self.model.inputs)
        kept = {name: stream for name, stream in self.streams.items() if name in needed}
        shown = self.model.observable
        tensors = {
            name: tensor
            for name, tensor in self.tensors.items()
            if name in needed and (shown is None or tensor in shown)
        }
        ties = {node.name: self.ties[node.name] for node in nodes if node.name in self.ties}
        empty = Graph(self.name, (), kept, inputs, tuple(streams))
        full = with_nodes(empty, nodes[::-1], readouts=readouts, notes=notes, tensors=tensors, ties=ties)
        return run_passes(full, CLEAN_UP)

    def _output(self, name: str) -> Tensor:
        value = self.values.get(name)
        if not isinstance(value, Tensor):
            raise UnsupportedError(f"{self.name}: the output {name} does not depend on the input")
        return value

    def _readout(self, name: str, tensor: Tensor) -> Readout:
        """Describe how the host reads an output; raises UnsupportedError where it is no affine map of each channel."""
        meaning = tensor.meaning()
        if meaning is None:
            raise UnsupportedError(
                f"{self.name}: between the last integer stream ({tensor.stream}) and the output {name} stands "
                f"{', '.join(step.op_type for step in tensor.steps)}, which is not affine; end the model with a quantizer, "
                "or move the last activation onto the host"
            )
        channels = self.streams[tensor.stream].channels
        scale, offset = (np.broadcast_to(part, (max(part.size, channels),)) for part in meaning)
        if max(scale.size, offset.size) != channels:
            raise UnsupportedError(f"{self.name}: the output {name} is scaled pixel by pixel; scale it on the host")
        return Readout(
            tuple(map(float, scale)),
            tuple(map(float, offset)),
            tuple(map(int, tensor.index.reshape(-1))),
            tuple(tensor.index.shape),
        )


def _complaint(node: ModelNode, error: Exception) -> str:
    if not isinstance(error, MuxflowError):
        return (
            f"{node.label}: its inputs or attributes do not make sense ({type(error).__name__}: {error}); export the "
            "model again, and report it as a bug of Muxflow where another tool runs the file"
        )
    named = node.label in str(error) or isinstance(error, _NotReached)
    return str(error) if named else f"{node.label}: {error}"


def _check_type(what: str, name: str) -> None:
    """Raise UnsupportedError for floats of another precision than float32, in which all is evaluated, and for no numbers."""
    if name != "float32" and not re.fullmatch(r"u?int\d+|bool", name):
        raise UnsupportedError(
            f"{what} holds {name} numbers; supported are float32 ones, in which thresholds and near ties are found: "
            "export the model in float32 (torch: model.float())"
        )


def _image(entry: ModelInput) -> Image:
    if entry.dtype:
        _check_type(f"input {entry.name}", entry.dtype)
    shape = tuple(size or 0 for size in entry.shape)
    if not shape or min(shape) < 1:
        raise UnsupportedError(
            f"input {entry.name} has no fixed shape (N, {', '.join(str(size or '?') for size in shape)}); export the "
            "model with an example input of fixed size"
        )
    count = check_elements(f"input {entry.name}", *shape)
    return Image(entry.name, shape, np.arange(count).reshape(shape))


def import_model(model: Model, options: ImportOptions | None = None) -> Graph:
    """Make the integer graph of a model; raises UnsupportedError naming the first node that is not supported."""
    importer = Importer(model, options or ImportOptions())
    importer.run(collect=False)
    return importer.graph()


def check_model(model: Model, options: ImportOptions | None = None) -> list[NodeStatus]:
    """List what of a model is supported, node by node, and what to do about the rest."""
    importer = Importer(model, options or ImportOptions())
    statuses = importer.run(collect=True)
    if all(status.supported for status in statuses):
        try:
            importer.graph()
        except MuxflowError as error:
            statuses.append(NodeStatus("output", "", False, str(error)))
    return statuses
