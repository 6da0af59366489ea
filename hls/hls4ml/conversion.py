"""A design, node by node, as the layer list from which hls4ml makes its model."""

from __future__ import annotations

import json
import warnings
from importlib import resources
from pathlib import Path
from typing import Any

from hls4ml.model.graph import ModelGraph
from hls4ml.utils.config import create_config

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.hls.emit import Emitter, Tool, function, stream_parameters
from muxflow.hls.hls4ml.cpp import WIDEST, in_namespace, widest
from muxflow.hls.hls4ml.plan import check_ends
from muxflow.hls.names import identifiers, names_of

FLOAT, DOUBLE = 2**24, 2**53
"""The doors of hls4ml's simulation are floating-point numbers; integers up to these are exact in either type."""


def model_graph(design: Design, output_dir: Path, backend: str, project_name: str) -> Any:
    """Convert a design to a ModelGraph; see `muxflow.hls.hls4ml.convert`."""
    check_ends(design.graph)
    (source,), (sink,) = design.graph.inputs, design.graph.outputs
    for name in (source, sink):
        _check_exact(design.graph, name)
    for node in design.graph.nodes:
        _check_width(design, node)
    options: dict[str, Any] = {
        "part": design.device.part,
        "clock_period": 1000 / design.clock_mhz,
        "io_type": "io_stream",
    }
    if backend == "VivadoAccelerator":
        options["board"] = accelerator_board(design.board)
    config = create_config(str(output_dir), project_name, backend, **options)
    layers = _Layers(design, "vitis_hls" if backend == "Vitis" else "vivado_hls", project_name)
    config["HLSConfig"] = {
        "Model": {"Precision": {"default": "int<32>"}, "ReuseFactor": 1},
        # The only layer of hls4ml's own: the input.
        "LayerName": {layers.input: {"Precision": {"result": _precision(design.graph.streams[source])}}},
    }
    return ModelGraph.from_layer_list(config, layers.all(), [layers.input], [layers.output])


def _check_exact(graph: Graph, name: str) -> None:
    """Raise MuxflowError, or warn, where a floating-point number may not hold what a port carries."""
    stream = graph.streams[name]
    largest = max(abs(stream.lo), abs(stream.hi))
    if largest > DOUBLE:
        raise MuxflowError(
            f"{graph.name}: stream {name} holds [{stream.lo}, {stream.hi}]; hls4ml passes inputs and outputs as "
            f"floating-point numbers, exact up to {DOUBLE}: use target vitis, `muxflow build`"
        )
    if largest > FLOAT:
        warnings.warn(
            f"{graph.name}: stream {name} holds [{stream.lo}, {stream.hi}]; float32 is exact up to {FLOAT}: "
            "call predict() with float64",
            stacklevel=4,
        )


def _check_width(design: Design, node: Node) -> None:
    """Raise MuxflowError where a node's words are wider than the integers of an hls4ml project."""
    bits = widest(design.folded, node)
    if bits > WIDEST:
        raise MuxflowError(
            f"{node.name} ({node.op.kind}): words of {bits} bits; integers of an hls4ml project have at most {WIDEST}: fit "
            "for fewer frames a second, `muxflow fit --fps`, or use target vitis, `muxflow build`"
        )


def accelerator_boards() -> list[str]:
    """List the boards that hls4ml's VivadoAccelerator back end knows."""
    file = resources.files("hls4ml.backends.vivado_accelerator") / "supported_boards.json"
    return sorted(json.loads(file.read_text()))


def accelerator_board(board: str) -> str:
    """Return the board's name, when hls4ml knows it; raises MuxflowError naming those that it knows."""
    known = accelerator_boards()
    if board not in known:
        raise MuxflowError(
            f"board {board!r}; the VivadoAccelerator back end of hls4ml knows {', '.join(known)}: "
            "fit the model to one of them, or convert for 'Vitis' or 'Vivado'"
        )
    return board


def _precision(stream: Stream) -> str:
    bits, signed = width(stream.lo, stream.hi)
    return f"int<{bits}>" if signed else f"uint<{bits}>"


class _Layers:
    """The tables, one a layer, that hls4ml's converters make of a model."""

    def __init__(self, design: Design, tool: Tool, project_name: str) -> None:
        self.design = design
        names = names_of(design.folded)
        self.variables, self.functions = names.variables, names.functions
        taken = {project_name, *self.variables.values(), *self.functions.values()}
        self.input, self.door, self.output = identifiers(("frame", "unpack", "pack"), taken).values()
        reserved = frozenset(taken | {self.input, self.door, self.output})
        self.emitter = Emitter(design.folded, tool, self.functions, self._placement, reserved)

    def _placement(self, node: str, table: str) -> str:
        placed = (one for one in self.design.memories[node] if one.memory.name == table)
        return next((one.placement for one in placed), "register")

    def all(self) -> list[dict[str, Any]]:
        """List hls4ml's input, the door to beats, the nodes in topological order, the door back."""
        graph = self.design.graph
        (source,), (sink,) = graph.inputs, graph.outputs
        first, last = graph.streams[source], graph.streams[sink]
        bits, signed = width(last.lo, last.hi)
        outside = {"shape": list(last.shape), "bits": bits, "signed": signed}
        types = self.emitter.type_of(source), self.emitter.type_of(sink)
        return [
            {"class_name": "InputLayer", "name": self.input, "input_shape": list(first.shape)},
            {
                **_layer(self.door, [self.input], [self.variables[source]], [self._beats(source)]),
                **_door(self.door, "::input_t", types[0], f"muxflow::array_to_beats<{first.size}>(x0, y0)"),
            },
            *(self._node(node) for node in graph.nodes),
            {
                **_layer(self.output, [self.variables[sink]], [self.output], [outside]),
                **_door(self.output, types[1], "::result_t", f"muxflow::beats_to_array<{last.size}>(x0, y0)"),
            },
        ]

    def _node(self, node: Node) -> dict[str, Any]:
        function = self.functions[node.name]
        inputs, outputs = ([self.variables[name] for name in names] for names in (node.inputs, node.outputs))
        tables = self.emitter.table_definitions(node)
        return {
            **_layer(function, inputs, outputs, [self._beats(name) for name in node.outputs]),
            "headers": [f"muxflow/{self.emitter.units[node.name].header}"],
            "definition": in_namespace("".join([*tables, self.emitter.node_function(node)])),
        }

    def _beats(self, name: str) -> dict[str, Any]:
        """Describe a stream of the design, as `MuxflowNode` reads it."""
        stream = self.design.graph.streams[name]
        bits, signed = width(stream.lo, stream.hi)
        return {
            "shape": [stream.beats, stream.lanes],
            "bits": bits,
            "signed": signed,
            "beat": self.emitter.type_of(name),
            "depth": self.design.depths[name],
        }


def _layer(function: str, inputs: list[str], outputs: list[str], streams: list[dict[str, Any]]) -> dict[str, Any]:
    """Make the table of a `MuxflowNode` but for its text."""
    return {
        "class_name": "MuxflowNode",
        "name": function,
        "inputs": inputs,
        "outputs": outputs,
        "source": not inputs,
        "streams": streams,
        "function": function,
    }


def _door(name: str, source: str, target: str, call: str) -> dict[str, Any]:
    """Write the text of a door between hls4ml's arrays and beats."""
    parameters = stream_parameters([source, target], ["x0", "y0"])
    return {
        "headers": ["muxflow/hls4ml/array.h"],
        "definition": in_namespace(function(name, parameters, [], [call])),
    }
