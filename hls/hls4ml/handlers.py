"""What hls4ml's front ends make of Muxflow's layers, a handler each; the models come from `muxflow.prepare_for_hls4ml`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from hls4ml.converters import (
    register_keras_v2_layer_handler,
    register_onnx_layer_handler,
    register_pytorch_layer_handler,
)
from hls4ml.converters.keras_v2_to_hls import layer_handlers as keras_handlers
from hls4ml.converters.onnx_to_hls import get_onnx_attribute
from hls4ml.converters.onnx_to_hls import layer_handlers as onnx_handlers
from hls4ml.converters.pytorch_to_hls import layer_handlers as pytorch_handlers

from muxflow.dataflow.errors import UnsupportedError
from muxflow.hls.hls4ml.plan import IntegerLayer

UNPREPARED_ONNX = ("AutomatonWeights", "LstmCell", "MuxJoin", "OrJoin", "ThermometerEncode")
UNPREPARED_TORCH = ("QuantIdentity", "QuantConv2d", "QuantLinear", "QuantReLU")
UNPREPARED_KERAS = (
    "CellularAutomatonConv2D",
    "MuxJoin",
    "OrJoin",
    "ThermometerEncoder",
    "HalfWave",
    "MostSignificantBits",
    "BitShiftNormalization",
)
"""What a trained network holds and hls4ml would read wrongly or not at all."""
GROUPABLE_KERAS = ("Conv1D", "Conv2D", "QConv1D", "QConv2D")


def _layer(name: str, inputs: Any, integer_layer: str, *, channels_first: bool = False) -> dict[str, Any]:
    return {
        "class_name": "MuxflowLayer",
        "name": name,
        "inputs": list(inputs),
        "integer_layer": integer_layer,
        "channels_first": channels_first,
    }


def onnx_layer(node: Any, input_names: Any, input_shapes: Any, graph: Any) -> dict[str, Any]:
    """Read the layer of a `MuxflowLayer` node."""
    text = get_onnx_attribute(node, "integer_layer")
    return {**_layer(node.name, input_names, text), "outputs": list(node.output)}


def pytorch_layer(
    operation: str,
    layer_name: str,
    input_names: Any,
    input_shapes: Any,
    node: Any,
    class_object: Any,
    data_reader: Any,
    config: Any,
) -> tuple[dict[str, Any], list[int | None]]:
    """Read the layer of a `MuxflowLayer` module."""
    layer: IntegerLayer = class_object.layer
    shape = layer.ports[layer.output].shape
    turned = shape if len(shape) < 3 else (shape[2], *shape[:2])
    return _layer(layer_name, input_names, layer.to_json(), channels_first=True), [None, *turned]


def keras_layer(
    keras_layer: Any, input_names: Any, input_shapes: Any, data_reader: Any
) -> tuple[dict[str, Any], list[int | None]]:
    """Read the layer of a `MuxflowLayer` of a Keras 2 model."""
    text = keras_layer["config"]["integer_layer"]
    layer = IntegerLayer.from_json(text)
    return _layer(keras_layer["config"]["name"], input_names, text), [None, *layer.ports[layer.output].shape]


def _refuse(name: str, kind: str) -> NoReturn:
    raise UnsupportedError(
        f"layer {name} ({kind}): hls4ml cannot read it as it was trained; convert muxflow.prepare_for_hls4ml(model) in "
        "the model's place"
    )


def _refuse_onnx(node: Any, *_: Any) -> NoReturn:
    _refuse(node.name, node.op_type)


def _refuse_pytorch(operation: str, layer_name: str, *_: Any) -> NoReturn:
    _refuse(layer_name, operation)


def _refuse_keras(keras_layer: Any, *_: Any) -> NoReturn:
    _refuse(keras_layer["config"]["name"], keras_layer["class_name"])


def _ungrouped(handler: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap hls4ml's handler of a Keras convolution, which reads a grouped one as a dense one, without saying so."""

    def checked(keras_layer: Any, *rest: Any) -> Any:
        if keras_layer["config"].get("groups", 1) != 1:
            _refuse_keras(keras_layer)
        return handler(keras_layer, *rest)

    return checked


def register_handlers() -> None:
    """Tell hls4ml's ONNX, PyTorch and Keras 2 front ends of Muxflow's layers.

    Trained layers that they would misread get an error that says what to do.
    """
    register_onnx_layer_handler("MuxflowLayer", onnx_layer)
    register_pytorch_layer_handler("MuxflowLayer", pytorch_layer)
    register_keras_v2_layer_handler("MuxflowLayer", keras_layer)
    for names, known, register, refuse in (
        (UNPREPARED_ONNX, onnx_handlers, register_onnx_layer_handler, _refuse_onnx),
        (UNPREPARED_TORCH, pytorch_handlers, register_pytorch_layer_handler, _refuse_pytorch),
        (UNPREPARED_KERAS, keras_handlers, register_keras_v2_layer_handler, _refuse_keras),
    ):
        for name in names:
            if name not in known:
                register(name, refuse)
    for name in GROUPABLE_KERAS:
        if name in keras_handlers:
            keras_handlers[name] = _ungrouped(keras_handlers[name])
