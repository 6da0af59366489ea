"""The walk over a model, node by node, that builds the integer graph beside it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.input_order import swaps_axes
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import CLEAN_UP, run_passes
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.limits import check_frame, check_nodes, check_output
from muxflow.dataflow.op import Op, Role
from muxflow.dataflow.text import reason
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.importer.advice import ADVICE, HARDWARE
from muxflow.frontend.importer.constants import finite, fold
from muxflow.frontend.importer.handling import Handler, handlers
from muxflow.frontend.importer.inference import check_inference
from muxflow.frontend.importer.inputs import Inputs, check_type, image_of
from muxflow.frontend.importer.layout import SUPPORTED_MAPS, natural
from muxflow.frontend.importer.leaving import CHOICES, HostComputes, Leaving
from muxflow.frontend.importer.padding import with_padding
from muxflow.frontend.importer.unquantized import remark_on
from muxflow.frontend.importer.values import Ending, Image, Padded, Tensor, Unknown, Value
from muxflow.frontend.model import (
    DESCRIBE,
    HOST,
    MUXFLOW,
    STANDARD,
    Constant,
    Grid,
    ImportOptions,
    Model,
    ModelNode,
    NodeStatus,
)

SWAPPED = (
    "the model swaps the axes of {}: codes for the driver and the API come in the order of the stream (in_stream_order)"
)
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
        self.elements = 0
        self.tensors: dict[str, str] = {}
        self.inputs: dict[str, str] = {}
        self.remarks = list(filter(None, [options.remark()]))
        self.described = Inputs(model, options)
        self.leaving = Leaving(model, self.values)
        self.near_ties = 0
        self.ties: dict[str, tuple[tuple[int, ...], ...]] = {}
        self.threshold_count = 0
        self._collects = False
        self._blockers: list[str] = []
        self._writers: dict[str, Node] = {}
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
        return self.place(self.unique(name), op, *inputs)

    def place(self, name: str, op: Op, *inputs: str) -> str:
        """Add a node whose name is `unique`; returns its output stream."""
        (stream,) = op.infer(*(self.streams[i] for i in inputs))
        node = self._writers[name] = Node(name, op, tuple(inputs), (name,))
        self.nodes.append(node)
        self.streams[name] = stream
        if op.role is Role.COMPUTE:
            self.elements += stream.size
            check_frame(name, self.elements)
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
        shape, axes = self.described.order(image, self.values)
        if not shape:
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
        return Tensor(name, natural(known).transpose(axes).reshape(-1)[image.index], scale, exact=True)

    def given_grid(self, image: Image) -> Grid | None:
        """Return the integers of an input where the caller or the file says them."""
        return self.described.grid(image)

    def tensor(self, node: ModelNode, position: int) -> Tensor:
        """Return an input of a node that must be data; a raw image becomes integers by its given grid."""
        value = self.values[node.inputs[position]]
        if isinstance(value, Padded):
            return with_padding(self, value, self._data(node, position, value.inner))
        return self._data(node, position, value)

    def _data(self, node: ModelNode, position: int, value: Value) -> Tensor:
        """Return the integers of a value that is an input of a node."""
        if isinstance(value, Image):
            grid = self.given_grid(value)
            if grid is None:
                message = (
                    f"{node.label} reads the input before any quantizer, so its integer grid is unknown; put an "
                    f"input quantizer first, or {DESCRIBE}"
                )
                if not self._collects:
                    raise UnsupportedError(message)
                if value.name not in self.inputs:
                    self._blockers.append(message)
                grid = Grid.of_bits(8)  # whatever it is, what else is in the way shows
            scale = np.array([grid.scale])
            opened = self.open_input(value, grid.lo, grid.hi, scale, bipolar=grid.bipolar)
            value = self.described.normalized(opened, self.streams[opened.stream].channels)
        if not isinstance(value, Tensor):
            raise UnsupportedError(
                f"{node.label}: input {position} ({node.inputs[position]}) is constant or generated; it must be data"
            )
        return value

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
        self._collects = collect
        check_nodes(f"model {self.name}", len(self.model.nodes))
        self.values[""] = Constant(np.zeros(0, np.float32))
        for name, constant in self.model.constants.items():
            finite(constant.value, name)
            self.values[name] = constant
        for entry in self.model.inputs:
            self.values[entry.name] = image_of(entry)
        statuses = []
        for node in self.model.nodes:
            values: Sequence[Value]
            begun = len(self.nodes)
            try:
                self._check_inputs(node)
                values = self._visited(node)
                message = self._blockers.pop() if self._blockers else ""
                made = (remark_on(one, self._writers, self.streams) for one in self.nodes[begun:])
                remarks = list(filter(None, made))
                self.remarks += remarks
                statuses.append(NodeStatus(node.name, node.shown, not message, message or "; ".join(remarks)))
            except Exception as error:  # a damaged node makes numpy or the ONNX runtime raise anything
                raise_machine_fault(error, node.label)
                message = _complaint(node, error)
                if not collect:
                    raise UnsupportedError(message) from error
                values = [Unknown(node.label)] * len(node.outputs[:1])
                reached = not isinstance(error, _NotReached)
                statuses.append(NodeStatus(node.name, node.shown, False, message, reached))
            for name in node.outputs:
                self.values[name] = Unknown(f"a further output of {node.label}")
            self.values.update(zip(node.outputs, values, strict=False))
        return statuses

    def _check_inputs(self, node: ModelNode) -> None:
        if not node.outputs:
            raise MuxflowError(f"{node.label} has no output; the file is not a valid model, so export it again")
        written = Counter(filter(None, node.outputs))
        again = next((name for name, times in written.items() if times > 1 or name in self.values), None)
        if again is not None:
            raise MuxflowError(
                f"{node.label} writes {again}, which is there before; the file is not a valid model, so export it again"
            )
        for name in node.inputs:
            value = self.values.get(name)
            if value is None:
                raise MuxflowError(
                    f"{node.label} reads {name}, which nothing before it writes; the file is not a valid model "
                    "(nodes out of order or missing), so export it again"
                )
            if isinstance(value, Unknown):
                if node.op_type in ADVICE:
                    self._handler(node)
                raise _NotReached(f"not reached: its input comes from {value.node}, which is not supported")

    def _visited(self, node: ModelNode) -> Sequence[Value]:
        """Return the values of a node's first outputs; the host computes nodes at the end that the chip does not."""
        try:
            found = self._visit(node)
        except HostComputes as error:
            self.leaving.check(node, error)
            if not any(one.op.role is Role.SOURCE for one in self.nodes):
                raise  # nothing of the model would be left
            try:
                found = [self.leaving.after(node)] * len(node.outputs)
            except UnsupportedError:
                raise error from None
        return found if isinstance(found, Sequence) else (found,)

    def _visit(self, node: ModelNode) -> Value | Sequence[Value]:
        check_inference(node, self.values, self.opset)
        operands = [self.values[name] for name in node.inputs]
        constants = [value for value in operands if isinstance(value, Constant)]
        if node.domain == STANDARD and len(constants) == len(operands):
            return fold(node, constants, self.opset)
        if any(isinstance(value, Ending) for value in operands) and node.op_type not in CHOICES:
            return [self.leaving.after(node)] * len(node.outputs)
        if node.domain != MUXFLOW:
            for name, value in zip(node.inputs, operands, strict=True):
                if isinstance(value, Constant) and name:
                    check_type(f"constant {name}", value.value.dtype.name)
        return self._handler(node)(self, node)

    def _handler(self, node: ModelNode) -> Handler:
        """Find what imports a node; raises UnsupportedError with what to do where nothing does."""
        known = handlers()
        if (node.domain, node.op_type) in known:
            return known[node.domain, node.op_type]
        where = f" of domain {node.domain}" if node.domain != STANDARD else ""
        advice = ADVICE.get(node.op_type, "replace it, or move it after the output onto the host")
        if HARDWARE in f"{node.domain} {node.attributes.get('backend', '')}":
            advice = (
                "import the file from before FINN's conversion to hardware layers (after step_streamline), of which this is "
                "one"
            )
        raise UnsupportedError(
            f"{node.label}: {node.op_type}{where} is not supported; {advice} (docs/reference/models.md lists what is)"
        )

    # The result.

    def graph(self) -> Graph:
        """Return the finished graph, cleaned up and checked."""
        for name in self.model.outputs:
            if isinstance(self.values.get(name), Padded):
                self.values[name] = self.tensor(ModelNode(name, "Identity", (name,), ()), 0)
        outputs = {name: self._output(name) for name in self.model.outputs}
        streams = [end.tensor.stream for end in outputs.values()]
        if len(set(streams)) < len(self.model.outputs):
            raise UnsupportedError(
                f"{self.name}: two of its outputs {', '.join(self.model.outputs)} are one stream; keep one of them, the "
                "host can copy it"
            )
        readouts = {
            end.tensor.stream: self.readout(name, end.tensor) for name, end in outputs.items() if not end.logits
        }
        ends = {
            end.tensor.stream: self.leaving.end(name, end)
            for name, end in outputs.items()
            if end.name != name or end.logits
        }
        self.remarks += [end.remark() for end in ends.values() if end.rest]
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
        entries = self.described.entries(self.inputs)
        self.remarks += [
            SWAPPED.format(name) for name, entry in entries.items() if swaps_axes(self.streams[name].shape, entry)
        ]
        notes = {**self.model.metadata, "thresholds": str(self.threshold_count), "near_ties": str(self.near_ties)}
        if self.remarks:
            notes["remarks"] = "; ".join(self.remarks)
        kept = {name: stream for name, stream in self.streams.items() if name in needed}
        shown = self.model.observable
        tensors = {
            name: tensor
            for name, tensor in self.tensors.items()
            if name in needed and (shown is None or tensor in shown)
        }
        ties = {node.name: self.ties[node.name] for node in nodes if node.name in self.ties}
        empty = Graph(self.name, (), kept, inputs, tuple(streams))
        full = with_nodes(empty, nodes[::-1], readouts=readouts, notes=notes, tensors=tensors, ties=ties, ends=ends)
        return run_passes(replace(full, entries=entries), CLEAN_UP)

    def _output(self, name: str) -> Ending:
        if not isinstance(self.values.get(name), Tensor | Ending):
            raise UnsupportedError(
                f"{self.name}: the output {name} does not depend on the input; export the model without that output (of a "
                "Brevitas layer at the end, and of its scale and bit width, by return_quant_tensor=False)"
            )
        return self.leaving.readable(name)

    def readout(self, name: str, tensor: Tensor) -> Readout:
        """Describe how the host reads an output; raises UnsupportedError where it is no affine map of each channel."""
        meaning = tensor.meaning()
        assert meaning is not None  # of what `readable` returns
        check_output(f"{self.name}: the output {name}", tensor.index.size)
        channels = self.streams[tensor.stream].channels
        scale, offset = (np.broadcast_to(part, (max(part.size, channels),)) for part in meaning)
        if max(scale.size, offset.size) != channels:
            raise UnsupportedError(f"{self.name}: the output {name} is scaled pixel by pixel; scale it on the host")
        return Readout(
            tuple(map(float, scale)),
            tuple(map(float, offset)),
            tuple(tensor.index.reshape(-1).tolist()),
            tuple(tensor.index.shape),
        )


def _complaint(node: ModelNode, error: Exception) -> str:
    if not isinstance(error, MuxflowError):
        return (
            f"{node.label}: its inputs or attributes do not make sense ({reason(error)}); export the "
            "model again, and report it as a bug of Muxflow where another tool runs the file"
        )
    named = node.label in str(error) or isinstance(error, _NotReached)
    return str(error) if named else f"{node.label}: {error}"


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
    host = importer.leaving.host
    return [replace(status, message=HOST) if status.node in host else status for status in statuses]
