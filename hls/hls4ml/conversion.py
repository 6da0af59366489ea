"""A design, node by node, as the layer list from which hls4ml makes its model."""

from __future__ import annotations

import json
import re
import warnings
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from hls4ml.model.graph import ModelGraph
from hls4ml.utils.config import create_config

from muxflow.dataflow.errors import MuxflowError, MuxflowWarning
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.hls.emit import Emitter, Tool, function, stream_parameters
from muxflow.hls.hls4ml.cpp import WIDEST, in_namespace, tool_of, widest
from muxflow.hls.names import identifier, identifiers, names_of

FLOAT = 2**24
"""The doors of hls4ml's simulation are floating-point numbers; integers up to this are exact in float32."""


def model_graph(design: Design, output_dir: Path, backend: str, project_name: str) -> Any:
    """Convert a design to a ModelGraph; see `muxflow.hls.hls4ml.convert`."""
    for name in (*design.graph.inputs, *design.graph.outputs):
        _warn_of_rounding(design.graph, name)
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
    layers = _Layers(design, tool_of(backend), project_name)
    config["HLSConfig"] = {
        "Model": {"Precision": {"default": "int<32>"}, "ReuseFactor": 1},
        # The only layers of hls4ml's own: the inputs.
        "LayerName": {
            layer: {"Precision": {"result": _precision(design.graph.streams[name])}}
            for name, layer in layers.inputs.items()
        },
    }
    return ModelGraph.from_layer_list(config, layers.all(), list(layers.inputs.values()), list(layers.outputs.values()))


def _warn_of_rounding(graph: Graph, name: str) -> None:
    """Tell by a warning where a float32 may not hold what an input or output carries."""
    stream = graph.streams[name]
    if max(abs(stream.lo), abs(stream.hi)) > FLOAT:
        warnings.warn(
            f"{graph.name}: stream {name} holds [{stream.lo}, {stream.hi}]; float32 is exact up to {FLOAT}: "
            "call predict() with float64",
            MuxflowWarning,
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


def top_function(name: str) -> str:
    """Make a name for the top function, and for the files named after it, that hls4ml's own templates do not use.

    hls4ml writes `defines.h` beside them, and finds the lines of the function by its name: it takes "end(" for `d`.
    """
    plain = identifier(name)
    own = re.compile(rf"{plain}(\(|\.h)|namespace {plain}\b", re.IGNORECASE)
    return f"{plain}_top" if own.search(_templates()) else plain


@cache
def _templates() -> str:
    """Read hls4ml's templates of the sources around the layers, without the name that it replaces by the project's."""
    root = resources.files("hls4ml") / "templates"
    folders = (root / "vivado", root / "vivado" / "firmware", root / "vivado_accelerator")
    files = (file for folder in folders for file in folder.iterdir() if file.name.endswith((".cpp", ".h")))
    return "\n".join(file.read_text() for file in files).replace("myproject", "")


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
        ends = {name: port.removeprefix("input").removeprefix("output") for name, port in names.ports.items()}
        sources, sinks = design.graph.inputs, design.graph.outputs
        kinds = (("frame", sources), ("unpack", sources), ("pack", sinks))
        found = identifiers([f"{kind}{ends[name]}" for kind, names in kinds for name in names], taken)
        layers = iter(found.values())
        self.inputs = dict(zip(sources, layers, strict=False))
        self.doors = dict(zip(sources, layers, strict=False))
        self.outputs = dict(zip(sinks, layers, strict=False))
        reserved = frozenset({*taken, *found.values()})
        self.emitter = Emitter(design.folded, tool, self.functions, self._placement, reserved)

    def _placement(self, node: str, table: str) -> str:
        placed = (one for one in self.design.memories[node] if one.memory.name == table)
        return next((one.placement for one in placed), "register")

    def all(self) -> list[dict[str, Any]]:
        """List hls4ml's inputs, the doors to beats, the nodes in topological order, the doors back."""
        graph = self.design.graph
        return [
            *(
                {"class_name": "InputLayer", "name": layer, "input_shape": list(graph.streams[name].shape)}
                for name, layer in self.inputs.items()
            ),
            *(self._unpack(name) for name in graph.inputs),
            *(self._node(node) for node in self.design.folded.processes),
            *(self._pack(name) for name in graph.outputs),
        ]

    def _unpack(self, name: str) -> dict[str, Any]:
        door, size = self.doors[name], self.design.graph.streams[name].size
        call = f"muxflow::array_to_beats<{size}>(x0, y0)"
        return {
            **_layer(door, [self.inputs[name]], [self.variables[name]], [self._beats(name)]),
            **_door(door, "::$x0", self.emitter.type_of(name), call),
        }

    def _pack(self, name: str) -> dict[str, Any]:
        door, stream = self.outputs[name], self.design.graph.streams[name]
        bits, signed = width(stream.lo, stream.hi)
        outside = {"shape": list(stream.shape), "bits": bits, "signed": signed}
        call = f"muxflow::beats_to_array<{stream.size}>(x0, y0)"
        return {
            **_layer(door, [self.variables[name]], [door], [outside]),
            **_door(door, self.emitter.type_of(name), "::$y0", call),
        }

    def _node(self, node: Node) -> dict[str, Any]:
        function = self.functions[node.name]
        streamed = [name for name in node.inputs if name not in self.design.folded.in_place]
        inputs, outputs = ([self.variables[name] for name in names] for names in (streamed, node.outputs))
        tables = self.emitter.table_definitions(node)
        return {
            **_layer(function, inputs, outputs, [self._beats(name) for name in node.outputs]),
            "headers": [f"muxflow/{header}" for header in self.emitter.headers_of(node)],
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
    """Write the text of a door between hls4ml's arrays and beats; see `MuxflowNode` for the types."""
    parameters = stream_parameters([source, target], ["x0", "y0"])
    return {
        "headers": ["muxflow/hls4ml/array.h"],
        "definition": in_namespace(function(name, parameters, [], [call])),
    }
