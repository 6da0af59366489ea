"""What hls4ml is told by its Extension API: Muxflow's layers, their templates, and the headers."""

from __future__ import annotations

from pathlib import Path
from string import Template
from typing import Any

from hls4ml.backends import get_backend
from hls4ml.backends.fpga.fpga_types import TypeDefinition
from hls4ml.backends.template import FunctionCallTemplate, LayerConfigTemplate
from hls4ml.backends.vivado.vivado_types import VivadoStreamVariableDefinition
from hls4ml.model.attributes import Attribute, ConfigurableAttribute
from hls4ml.model.layers import Layer, layer_map, register_layer
from hls4ml.model.optimizer import ModelOptimizerPass
from hls4ml.model.types import FixedPrecisionType, IntegerPrecisionType, NamedType, TensorVariable

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import width
from muxflow.hls.headers import copy_headers
from muxflow.hls.hls4ml.cpp import NAMESPACE, LayerText, tool_of
from muxflow.hls.hls4ml.exactness import check_inputs
from muxflow.hls.hls4ml.handlers import register_handlers
from muxflow.hls.hls4ml.plan import IntegerLayer

BACKENDS = ("Vitis", "Vivado", "VivadoAccelerator")
CFLAGS = 'CFLAGS="-O3'
"""How the compiler's options begin in hls4ml's build scripts."""
NATIVE_FLAGS = "--param max-completely-peel-times=4 -fwrapv -DMUXFLOW_NATIVE"
"""Native integers in the kernels of the C simulation, compiled as `muxflow csim` does: g++ 12.2 vectorizes them wrongly
without the first two."""


class HLSBeatType(NamedType, TypeDefinition):  # type: ignore[misc]
    """A beat as a type of hls4ml; its name is the C++ type itself, so nothing is left to define.

    hls4ml takes types whose class begins with HLS as they are.
    """

    def definition_cpp(self) -> str:
        """Return no text: the header defines it."""
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
    text, in which $x0 and $y0 stand for the types of hls4ml's arrays; `headers`, what it includes.
    """

    def initialize(self) -> None:
        """Add the output streams."""
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
        """Return the first input's variable, None for a source of weights."""
        return super().get_input_variable(input_name) if self.inputs or input_name else None


class MuxflowLayer(Layer):  # type: ignore[misc]
    """An `IntegerLayer` between hls4ml's arrays: fixed-point values in, fixed-point values out.

    Attributes: `integer_layer`, its text; `channels_first`, whether the front end's shapes are (C, H, W) until hls4ml
    turns them; `reuse_factor`, the user's. The type of the output is the layer's own, exact, whatever the user
    configures; that of the inputs must hold what the layer reads, which is checked once all types are known.
    Raises UnsupportedError without io_stream, or where an input or what leads to it is not exact.
    """

    _expected_attributes = (
        Attribute("integer_layer", value_type=str),
        Attribute("channels_first", value_type=bool, default=False),
        ConfigurableAttribute("reuse_factor", default=1),
    )

    def initialize(self) -> None:
        """Add the output array."""
        if self.model.config.get_config_value("IOType") != "io_stream":
            raise UnsupportedError(f"layer {self.name}: our layers are streams; convert with io_type='io_stream'")
        self.layer = IntegerLayer.from_json(self.attributes["integer_layer"])
        shape = self.layer.ports[self.layer.output].shape
        turned = self.attributes.get("channels_first", False) and len(shape) == 3
        self.add_output_variable([shape[2], *shape[:2]] if turned else list(shape))

    def add_output_variable(self, shape: Any, *arguments: Any, **options: Any) -> None:
        """Add the output's array, always in the layer's own type."""
        port = self.layer.ports[self.layer.output]
        bits, signed = width(port.stream.lo, port.stream.hi)
        # A precision object of its own for each variable: hls4ml changes some in place.
        options["precision"] = FixedPrecisionType(bits, bits - port.fraction, signed)
        super().add_output_variable(shape, *arguments, **options)

    def text(self) -> LayerText:
        """Write the layer's C++, once the types around it are known."""
        if tuple(self.get_output_variable().shape) != self.layer.ports[self.layer.output].shape:
            raise UnsupportedError(
                f"layer {self.name}: its output has shape {self.get_output_variable().shape}, channels must come last; "
                "convert with channels_last_conversion='full' or 'internal'"
            )
        check_inputs(self)
        return LayerText(
            self.layer, int(self.model.config.get_reuse_factor(self)), tool_of(self.model.config.backend.name)
        )


class MuxflowConfig(LayerConfigTemplate):  # type: ignore[misc]
    """The template that writes a layer's tables and functions into parameters.h."""

    def __init__(self) -> None:
        super().__init__([MuxflowNode, MuxflowLayer])

    def format(self, node: Any) -> str:
        """Return the layer's C++ text."""
        if isinstance(node, MuxflowNode):
            if node.get_attr("trace"):
                raise UnsupportedError(
                    f"layer {node.name}: a design's model has beats between its layers, which hls4ml cannot trace; trace "
                    "the model that muxflow.prepare_for_hls4ml gives, or call Graph.run"
                )
            return Template(node.get_attr("definition")).substitute(_types(node))
        text = node.text()
        node.set_attr("function", text.function)
        node.set_attr("headers", text.headers)
        types = [f"::{node.get_input_variable(name).type.name}" for name in node.inputs]
        return str(text.definition(types, f"::{node.get_output_variable().type.name}"))


class MuxflowFunctionCall(FunctionCallTemplate):  # type: ignore[misc]
    """The template that writes the call of a layer's function into the top function."""

    def __init__(self) -> None:
        super().__init__([MuxflowNode, MuxflowLayer])

    def transform(self, model: Any, node: Any) -> Any:
        """Set the headers, which differ from layer to layer, and the call."""
        changed = super().transform(model, node)
        node.set_attr("include_header", list(node.get_attr("headers")))
        return changed

    def format(self, node: Any) -> str:
        """Write the call: input streams, then output streams."""
        ports = [node.get_input_variable(name).name for name in node.inputs]
        ports += [node.get_output_variable(name).name for name in node.outputs]
        return f"{NAMESPACE}::{node.get_attr('function')}({', '.join(ports)});"


class CopyHeaders(ModelOptimizerPass):  # type: ignore[misc]
    """hls4ml's optimizer pass that puts Muxflow's kernels beside the sources that hls4ml has written.

    Only in projects that hold a layer of Muxflow's; it also lets their simulation compute in native integers.
    """

    def __init__(self) -> None:
        self.name = "muxflow_headers"

    def transform(self, model: Any) -> bool:
        """Copy into firmware/muxflow and set the flags of build_lib.sh; nothing about the model changes."""
        if any(isinstance(layer, MuxflowNode | MuxflowLayer) for layer in model.get_layers()):
            folder = Path(model.config.get_output_dir())
            copy_headers(folder / "firmware" / "muxflow", tool=tool_of(model.config.backend.name), relative=True)
            script = folder / "build_lib.sh"
            script.write_text(script.read_text().replace(CFLAGS, f"{CFLAGS} {NATIVE_FLAGS}"))
        return False


def _types(node: Any) -> dict[str, str]:
    """Name the C++ types of a node's streams: x0, x1, ..., y0, y1, ..."""
    inputs = {f"x{i}": node.get_input_variable(name) for i, name in enumerate(node.inputs)}
    outputs = {f"y{i}": node.get_output_variable(name) for i, name in enumerate(node.outputs)}
    return {port: str(variable.type.name) for port, variable in {**inputs, **outputs}.items()}


def register_layers() -> None:
    """Tell hls4ml of Muxflow's layers, once a process."""
    if "MuxflowNode" in layer_map:
        return
    register_handlers()
    for layer in (MuxflowNode, MuxflowLayer):
        register_layer(layer.__name__, layer)
    for name in BACKENDS:
        backend = get_backend(name)
        backend.register_template(MuxflowConfig)
        backend.register_template(MuxflowFunctionCall)
        backend.register_pass("muxflow_headers", CopyHeaders, flow=backend.get_writer_flow())
