"""What every Muxflow node is to FINN: shapes, types, cycles, resources, Python execution, generated code.

A subclass says which folded graph the node's attributes describe; everything else follows from it.
Tensors are channel-last with a batch axis of one, as FINN has them; folded, their last axis is a beat.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from finn.custom_op.fpgadataflow.hwcustomop import HWCustomOp
from onnx import NodeProto
from qonnx.core.datatype import DataType

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.fit.folded import Folded
from muxflow.dataflow.fit.memory import Memory, PlacedMemory, choices
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.hls.emit import Region
from muxflow.hls.finn.streams import data_type, stream

Attributes = dict[str, tuple[Any, ...]]

RAM_STYLES = {"auto": "register", "block": "bram", "distributed": "lutram"}
"""FINN's words for where tables stand, and Muxflow's; "register" leaves the choice to the tool."""

LUTS_PER_BLOCK = 190
"""LUTs for each 18 Kb block RAM on a Zynq-7020 (53,200 and 280)."""


class MuxflowNode(HWCustomOp):  # type: ignore[misc]
    """A Muxflow node in FINN's dataflow graph.

    Attributes that all share: `PE` and, where the node has a matrix, `SIMD`, as in FINN; `numInputVectors`, the axes of
    a tensor before its channels, for a map [1, height, width]; `NumChannels`, one an input; `inputDataTypes`, one an
    input; `ram_style`, where tables stand.
    """

    def get_nodeattr_types(self) -> Attributes:
        """Return FINN's own attributes and Muxflow's."""
        shared: Attributes = {
            "PE": ("i", True, 1),
            "numInputVectors": ("ints", True, [1, 1, 1]),
            "NumChannels": ("ints", True, []),
            "inputDataTypes": ("strings", True, []),
            "ram_style": ("s", False, "auto", set(RAM_STYLES)),
        }
        return {**super().get_nodeattr_types(), **shared, **self.own_attributes()}

    @abstractmethod
    def own_attributes(self) -> Attributes:
        """Return the attributes of this op alone, QONNX form."""

    @abstractmethod
    def build(self) -> Folded:
        """Build the folded graph that the attributes describe; raises GraphError where they do not fit together."""

    def folded(self) -> Folded:
        """Give the folded graph, built once for equal attributes; raises GraphError naming the node."""
        found: Folded = _folded_graph(type(self), self.onnx_node.SerializeToString())  # type: ignore[arg-type]
        return found

    def fold(self) -> Fold:
        """Return the fold that the attributes give; raises GraphError for one that is no number above 0."""
        return Fold(pe=max(1, self.get_nodeattr("PE")))

    def input_streams(self) -> list[Stream]:
        """Return the input maps; raises GraphError when the lists of channels and types differ in length."""
        channels, types = self.get_nodeattr("NumChannels"), self.get_nodeattr("inputDataTypes")
        if len(channels) != len(types):
            raise GraphError(f"{len(channels)} channel counts and {len(types)} data types; one of each an input")
        vectors = self.get_nodeattr("numInputVectors")
        return [stream((*vectors[1:], count), name) for count, name in zip(channels, types, strict=True)]

    # -- shapes and types ------------------------------------------------------------------------------------------

    def _input(self, ind: int) -> Stream:
        graph = self.folded().graph
        return graph.streams[graph.inputs[ind]]

    def _output(self, ind: int) -> Stream:
        graph = self.folded().graph
        return graph.streams[graph.outputs[ind]]

    def get_input_datatype(self, ind: int = 0) -> Any:
        """Return the data type of an input."""
        return DataType[data_type(self._input(ind))]

    def get_output_datatype(self, ind: int = 0) -> Any:
        """Return the data type of an output."""
        return DataType[data_type(self._output(ind))]

    def get_normal_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return the shape of an input tensor."""
        return (1, *self._input(ind).shape)

    def get_normal_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return the shape of an output tensor."""
        return (1, *self._output(ind).shape)

    def get_folded_input_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return an input's shape with its last axis cut into beats."""
        return _folded(self._input(ind))

    def get_folded_output_shape(self, ind: int = 0) -> tuple[int, ...]:
        """Return an output's shape with its last axis cut into beats."""
        return _folded(self._output(ind))

    def get_instream_width(self, ind: int = 0) -> int:
        """Return the bits of a beat of an input."""
        return self._input(ind).beat_bits

    def get_outstream_width(self, ind: int = 0) -> int:
        """Return the bits of a beat of an output."""
        return self._output(ind).beat_bits

    def infer_node_datatype(self, model: Any) -> None:
        """Take the types of the input tensors over and set those of the outputs."""
        types = [model.get_tensor_datatype(name).name for name in self.onnx_node.input]
        if types != self.get_nodeattr("inputDataTypes"):
            self.set_nodeattr("inputDataTypes", types)
        for index, name in enumerate(self.onnx_node.output):
            model.set_tensor_datatype(name, self.get_output_datatype(index))

    def verify_node(self) -> list[str]:
        """Build the folded graph, which checks every attribute."""
        self.folded()
        return ["The attributes describe a legal node"]

    # -- cycles and resources --------------------------------------------------------------------------------------

    def get_exp_cycles(self) -> int:
        """Count the cycles for one frame when no stream makes it wait."""
        return self.folded().slowest_cycles

    def _placed(self) -> list[PlacedMemory]:
        """Place every memory where `ram_style` wants it; "auto" takes what is the smaller share of the device."""
        style = self.get_nodeattr("ram_style")
        return [_place(memory, style) for memory in self.folded().memories]

    def lut_estimation(self, fpgapart: str) -> int:
        """Estimate the LUTs: logic, and memories in LUTs."""
        return self.folded().logic.lut + sum(placed.lut for placed in self._placed())

    def bram_estimation(self, fpgapart: str) -> int:
        """Estimate the 18 Kb block RAMs."""
        return sum(placed.bram18 for placed in self._placed())

    def bram_efficiency_estimation(self, fpgapart: str) -> float:
        """Divide the stored bits by the bits of the blocks that hold them; 1 without any."""
        held = [placed for placed in self._placed() if placed.bram18]
        return sum(p.memory.bits for p in held) / sum(p.occupied_bits for p in held) if held else 1.0

    def dsp_estimation(self, fpgapart: str) -> int:
        """Estimate the DSP blocks."""
        return self.folded().logic.dsp

    def get_op_and_param_counts(self) -> dict[str, int]:
        """Count multiply-accumulates of a frame and stored weights by data type, as FINN names them."""
        counts: dict[str, int] = {}
        folded = self.folded()
        for node in folded.graph.nodes:
            ports = folded.graph.ports(node)
            operations = node.op.operations(ports)
            if operations:
                x, w = ports.inputs
                counts[f"op_mac_{data_type(x)}_{data_type(w)}"] = operations
            for memory in folded.cost(node).memories:
                if memory.kind == "rom":
                    counts[f"param_weight_{data_type(ports.outputs[0])}"] = ports.outputs[0].size
        return counts

    # -- execution -------------------------------------------------------------------------------------------------

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """Compute the integer semantics on the tensors in `context`; what FINN compiled where `exec_mode` says so.

        Raises MuxflowError when a tensor is not of its data type.
        """
        if self.get_nodeattr("exec_mode"):
            super().execute_node(context, graph)
            return
        inputs = []
        for index, name in enumerate(self.onnx_node.input):
            values = np.asarray(context[name]).reshape(self.get_normal_input_shape(index))
            codes = np.rint(values).astype(np.int64)
            kind = self._input(index)
            if (codes != values).any() or codes.min() < kind.lo or codes.max() > kind.hi:
                raise MuxflowError(
                    f"{self.onnx_node.name} ({self.onnx_node.op_type}): input {name} is not of type {data_type(kind)}; "
                    "infer the model's data types again"
                )
            inputs.append(codes)
        for index, (name, codes) in enumerate(zip(self.onnx_node.output, self.compute(*inputs), strict=True)):
            context[name] = codes.astype(np.float32).reshape(self.get_normal_output_shape(index))

    def compute(self, *inputs: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], ...]:
        """Compute the outputs in the order of the tensors."""
        return self.folded().graph.compute(*inputs)

    # -- generated code --------------------------------------------------------------------------------------------

    def ports(self) -> list[str]:
        """Return FINN's names of the streams: inputs, then outputs."""
        graph = self.folded().graph
        return [f"in{i}_V" for i in range(len(graph.inputs))] + [f"out{i}_V" for i in range(len(graph.outputs))]

    def inner_ports(self) -> list[str]:
        """Name the graph's ends inside the top function."""
        return self.ports()

    def word_bits(self) -> int:
        """Return the bits of the widest word inside the node."""
        return self.folded().widest_beat

    def wrap(self, text: Region) -> Region:
        """Give the region's text with whatever stands between its ends and the ports."""
        return text


def _folded(stream: Stream) -> tuple[int, ...]:
    """Return (1, ..., beats of the last axis, lanes), or (1, beats, lanes) where a beat holds more than the last axis."""
    if stream.channels % stream.lanes == 0:
        return (1, *stream.shape[:-1], stream.channels // stream.lanes, stream.lanes)
    return (1, stream.beats, stream.lanes)


def _place(memory: Memory, style: str) -> PlacedMemory:
    options = choices(memory)
    if style == "auto":
        return min(options, key=lambda placed: placed.lut + LUTS_PER_BLOCK * placed.bram18)
    return options[-1] if style == "block" else options[0]


@lru_cache(maxsize=1024)
def _folded_graph(kind: Callable[[NodeProto], Any], serialized: bytes) -> Folded:
    """Build the folded graph of a node, from its class and its text in the file."""
    node = NodeProto.FromString(serialized)
    try:
        folded: Folded = kind(node).build()
        return folded
    except GraphError as error:
        raise GraphError(f"{node.name} ({node.op_type}): {error}") from None
