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
from muxflow.dataflow.graph.graph import Graph, Node
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.hls.emit import function_text, kernel_call
from muxflow.hls.hls4ml.cpp import WIDEST, in_namespace, widest
from muxflow.hls.names import identifiers, names_of
from muxflow.hls.vitis.project import Tool, beat_type, table_pragmas, table_text

FLOAT, DOUBLE = 2**24, 2**53
"""The doors of hls4ml's simulation are floating-point numbers; integers up to these are exact in either type."""


def model_graph(design: Design, output_dir: Path, backend: str, project_name: str) -> Any:
    """The ModelGraph of a design; see `muxflow.hls.hls4ml.convert`."""
    for name in (design.graph.input, design.graph.output):
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
        "LayerName": {layers.input: {"Precision": {"result": _precision(design.graph.streams[design.graph.input])}}},
    }
    return ModelGraph.from_layer_list(config, layers.all(), [layers.input], [layers.output])


def _check_exact(graph: Graph, name: str) -> None:
    """Raises MuxflowError, or warns, where a floating-point number may not hold what a port carries."""
    stream = graph.streams[name]
    largest = max(abs(stream.lo), abs(stream.hi))
    if largest > DOUBLE:
        raise MuxflowError(
            f"{graph.name}: stream {name} holds [{stream.lo}, {stream.hi}]; hls4ml passes inputs and outputs as "
            f"floating-point numbers, exact up to {DOUBLE}: use the native flow, `muxflow build`"
        )
    if largest > FLOAT:
        warnings.warn(
            f"{graph.name}: stream {name} holds [{stream.lo}, {stream.hi}]; float32 is exact up to {FLOAT}: "
            "call predict() with float64",
            stacklevel=4,
        )


def _check_width(design: Design, node: Node) -> None:
    """Raises MuxflowError where a node's words are wider than the integers of an hls4ml project."""
    bits = widest(node.op, design.graph.ports(node), design.folds[node.name])
    if bits > WIDEST:
        raise MuxflowError(
            f"{node.name} ({node.op.kind}): words of {bits} bits; integers of an hls4ml project have at most {WIDEST}: fit "
            "for fewer frames a second, `muxflow fit --fps`, or use the native flow, `muxflow build`"
        )


def accelerator_boards() -> list[str]:
    """The boards that hls4ml's VivadoAccelerator back end knows."""
    file = resources.files("hls4ml.backends.vivado_accelerator") / "supported_boards.json"
    return sorted(json.loads(file.read_text()))


def accelerator_board(board: str) -> str:
    """The board's name, when hls4ml knows it; raises MuxflowError naming those that it knows."""
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
        self.tool = tool
        graph = design.graph
        self.kernels = {node.name: node.op.call(graph.ports(node), design.folds[node.name]) for node in graph.nodes}
        self.streams = {name: f"s_{text}" for name, text in identifiers(graph.streams).items()}
        self.functions = names_of(design).functions
        taken = {project_name, *self.streams.values(), *self.functions.values()}
        self.input, self.door, self.output = identifiers(("frame", "unpack", "pack"), taken).values()
        taken |= {self.input, self.door, self.output}
        keys = [(node, table.name) for node, kernel in self.kernels.items() for table in kernel.tables]
        texts = identifiers((f"{self.functions[node]} {table}" for node, table in keys), taken)
        self.tables = dict(zip(keys, texts.values(), strict=True))

    def all(self) -> list[dict[str, Any]]:
        """hls4ml's input, the door to our beats, the nodes in topological order, the door back."""
        graph = self.design.graph
        first, last = graph.streams[graph.input], graph.streams[graph.output]
        bits, signed = width(last.lo, last.hi)
        inside, outside = self._beats(graph.input), self._beats(graph.output)
        return [
            {"class_name": "InputLayer", "name": self.input, "input_shape": list(first.shape)},
            {
                "class_name": "MuxflowNode",
                "name": self.door,
                "inputs": [self.input],
                "outputs": [self.streams[graph.input]],
                "source": False,
                "streams": [inside],
                "function": self.door,
                "headers": ["muxflow/hls4ml/array.h"],
                "definition": in_namespace(
                    function_text(
                        self.door, ["::input_t"], [inside["beat"]], [], f"muxflow::array_to_beats<{first.size}>(x0, y0)"
                    )
                ),
            },
            *(self._node(node) for node in graph.nodes),
            {
                "class_name": "MuxflowNode",
                "name": self.output,
                "inputs": [self.streams[graph.output]],
                "outputs": [self.output],
                "source": False,
                "streams": [{"shape": list(last.shape), "bits": bits, "signed": signed}],
                "function": self.output,
                "headers": ["muxflow/hls4ml/array.h"],
                "definition": in_namespace(
                    function_text(
                        self.output,
                        [outside["beat"]],
                        ["::result_t"],
                        [],
                        f"muxflow::beats_to_array<{last.size}>(x0, y0)",
                    )
                ),
            },
        ]

    def _node(self, node: Node) -> dict[str, Any]:
        kernel = self.kernels[node.name]
        inputs, outputs = [self._beats(name) for name in node.inputs], [self._beats(name) for name in node.outputs]
        function = self.functions[node.name]
        tables = [self.tables[node.name, table.name] for table in kernel.tables]
        ports = [f"x{i}" for i in range(len(inputs))] + [f"y{i}" for i in range(len(outputs))]
        return {
            "class_name": "MuxflowNode",
            "name": function,
            "inputs": [self.streams[name] for name in node.inputs],
            "outputs": [self.streams[name] for name in node.outputs],
            "source": not inputs,
            "streams": outputs,
            "function": function,
            "headers": [f"muxflow/{kernel.header}"],
            "definition": in_namespace(
                function_text(
                    function,
                    [stream["beat"] for stream in inputs],
                    [stream["beat"] for stream in outputs],
                    table_pragmas(self.design, node, kernel, self.tables, self.tool),
                    kernel_call(kernel, tables, ports),
                    [table_text(variable, table) for variable, table in zip(tables, kernel.tables, strict=True)],
                )
            ),
        }

    def _beats(self, name: str) -> dict[str, Any]:
        """One stream of the design, as `MuxflowNode` reads it."""
        stream = self.design.graph.streams[name]
        bits, signed = width(stream.lo, stream.hi)
        return {
            "shape": [stream.beats, stream.lanes],
            "bits": bits,
            "signed": signed,
            "beat": f"muxflow::{beat_type(stream)}",
            "depth": self.design.depths[name],
        }
