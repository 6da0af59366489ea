"""What hls4ml is told by its Extension API: one layer for every node of ours, its template, and the headers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hls4ml.backends import get_backend
from hls4ml.backends.fpga.fpga_types import TypeDefinition
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.backends.vivado.vivado_types import VivadoStreamVariableDefinition
from hls4ml.model.layers import Layer, layer_map, register_layer
from hls4ml.model.optimizer import ModelOptimizerPass
from hls4ml.model.types import IntegerPrecisionType, NamedType, TensorVariable

from muxflow.hls.project import INCLUDE

BACKENDS = ("Vitis", "Vivado", "VivadoAccelerator")
NAMESPACE = "muxflow_layers"
"""C++ namespace of the functions of a model's layers."""


class HLSBeatType(NamedType, TypeDefinition):  # type: ignore[misc]
    """A beat of ours as a type of hls4ml; its name is the C++ type itself, so nothing is left to define.

    hls4ml takes types whose class begins with HLS as they are.
    """

    def definition_cpp(self) -> str:
        """Nothing: the header defines it."""
        return ""


class BeatStream(TensorVariable, VivadoStreamVariableDefinition):  # type: ignore[misc]
    """A stream of beats, `depth` of them deep."""

    def __init__(self, stream: dict[str, Any], index: int, number: int) -> None:
        precision = IntegerPrecisionType(stream["bits"], stream["signed"])
        super().__init__(stream["shape"], f"layer{index}_out{number}", stream["beat"], precision)
        self.type = HLSBeatType(stream["beat"], precision)
        self.pragma = ("stream", stream["depth"])


class MuxflowNode(Layer):  # type: ignore[misc]
    """One node of a design, or the door between hls4ml's arrays and its beats.

    Attributes, all from `convert`: `streams`, one table an output with `shape`, `bits`, `signed` and, where it carries
    beats, their C++ type `beat` and the FIFO's `depth`; `function`, the name of the C++ function; `definition`, its
    text; `headers`, what it includes.
    """

    def initialize(self) -> None:
        """Adds the output streams."""
        # hls4ml gives a layer without inputs, such as a source of weights, the layer before it as an input.
        if self.attributes["source"]:
            self.inputs: list[str] = []
        for number, (name, stream) in enumerate(zip(self.outputs, self.attributes["streams"], strict=True)):
            if "beat" in stream:
                self.set_attr(name, BeatStream(stream, self.index, number))
            else:
                precision = IntegerPrecisionType(stream["bits"], stream["signed"])
                self.add_output_variable(stream["shape"], out_name=name, precision=precision)

    def get_input_variable(self, input_name: str | None = None) -> Any:
        """The first input's variable, None for a source of weights."""
        return super().get_input_variable(input_name) if self.inputs or input_name else None


class MuxflowConfig(LayerConfigTemplate):  # type: ignore[misc]
    """Writes a layer's tables and function into parameters.h."""

    def __init__(self) -> None:
        super().__init__(MuxflowNode)

    def format(self, node: Any) -> str:
        """The layer's C++ text."""
        return str(node.get_attr("definition"))


class MuxflowFunctionCall(FunctionCallTemplate):  # type: ignore[misc]
    """Writes the call of a layer's function into the top function."""

    def __init__(self) -> None:
        super().__init__(MuxflowNode)

    def transform(self, model: Any, node: Any) -> Any:
        """Sets the headers, which differ from layer to layer, and the call."""
        changed = super().transform(model, node)
        node.set_attr("include_header", list(node.get_attr("headers")))
        return changed

    def format(self, node: Any) -> str:
        """The call: input streams, then output streams."""
        ports = [node.get_input_variable(name).name for name in node.inputs]
        ports += [node.get_output_variable(name).name for name in node.outputs]
        return f"{NAMESPACE}::{node.get_attr('function')}({', '.join(ports)});"


class CopyHeaders(ModelOptimizerPass):  # type: ignore[misc]
    """Puts our kernels beside the sources that hls4ml has written, in projects that hold a layer of ours."""

    def __init__(self) -> None:
        self.name = "muxflow_headers"

    def transform(self, model: Any) -> bool:
        """Copies into firmware/muxflow; nothing about the model changes."""
        if any(isinstance(layer, MuxflowNode) for layer in model.get_layers()):
            copy_headers(Path(model.config.get_output_dir()) / "firmware" / "muxflow")
        return False


def copy_headers(folder: Path) -> None:
    """Copies our headers; their includes become relative, because hls4ml's scripts give the compiler no folder of ours."""
    source = INCLUDE / "muxflow"
    for header in sorted(file for file in source.rglob("*") if file.suffix in (".h", ".hpp")):
        place = header.relative_to(source)
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * (len(place.parts) - 1)
        target.write_text(header.read_text().replace('#include "muxflow/', f'#include "{up}'))


def register_layers() -> None:
    """Tells hls4ml of our layer, once a process."""
    if "MuxflowNode" in layer_map:
        return
    register_layer("MuxflowNode", MuxflowNode)
    for name in BACKENDS:
        backend = get_backend(name)
        backend.register_template(MuxflowConfig)
        backend.register_template(MuxflowFunctionCall)
        backend.register_pass("muxflow_headers", CopyHeaders, flow=backend.get_writer_flow())
