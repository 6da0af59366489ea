"""The layers of a plan as a channels-last QONNX model that hls4ml's ONNX front end reads."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.custom_op.base import CustomOp
from qonnx.custom_op.registry import add_op_to_domain

from muxflow.dataflow.graph.stream import width
from muxflow.hls.hls4ml.plan import IntegerLayer, Layer, MaxPool, Plan, to_codes, to_values

DOMAIN = "muxflow"
CHANNELS_LAST = "qonnx.custom_op.channels_last"
GENERAL = "qonnx.custom_op.general"
OPSET = 20


class MuxflowLayer(CustomOp):  # type: ignore[misc]
    """An `IntegerLayer` on channels-last float tensors (N, *shape), value = code / 2^fraction.

    Values off an input's grid are rounded to even, values beyond its ends become an end, as in hardware.
    """

    def get_nodeattr_types(self) -> dict[str, tuple[Any, ...]]:
        """Return the attributes of the node, QONNX form."""
        return {"integer_layer": ("s", True, "")}

    @property
    def layer(self) -> IntegerLayer:
        """What the node computes."""
        return IntegerLayer.from_json(self.get_nodeattr("integer_layer"))

    def make_shape_compatible_op(self, model: Any) -> onnx.NodeProto:
        """Return a standard node of the output's shape."""
        return self.make_const_shape_op([1, *self.layer.ports[self.layer.output].shape])

    def infer_node_datatype(self, model: Any) -> None:
        """Leave FLOAT32: the values are fixed-point numbers."""

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """Compute on codes."""
        layer = self.layer
        codes = [
            to_codes(layer.ports[array], context[name])
            for array, name in zip(layer.inputs, self.onnx_node.input, strict=True)
        ]
        values = to_values(layer.ports[layer.output], layer.compute(*codes))
        context[self.onnx_node.output[0]] = values.astype(np.float32)

    def verify_node(self) -> None:
        """Check nothing beyond what reading the layer checks."""
        assert self.layer


add_op_to_domain(DOMAIN, MuxflowLayer)


def onnx_model(plan: Plan) -> ModelWrapper:
    """Build the QONNX model of a plan: standard channels-last nodes for hls4ml's layers, `MuxflowLayer` for Muxflow's."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []
    for layer in plan.layers:
        _add(layer, plan, nodes, constants)
    infos = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *port.shape])
        for name, port in plan.ports.items()
    }
    for node in nodes:
        if node.op_type == "Quant":
            shape = next(list(tensor.dims) for tensor in constants if tensor.name == node.input[0])
            infos[node.output[0]] = helper.make_tensor_value_info(node.output[0], TensorProto.FLOAT, shape)
    ends = {*plan.inputs, *plan.outputs}
    graph = helper.make_graph(
        nodes,
        plan.name,
        [infos[name] for name in plan.inputs],
        [infos[name] for name in plan.outputs],
        constants,
        value_info=[info for name, info in infos.items() if name not in ends]
        + [helper.make_tensor_value_info(t.name, TensorProto.FLOAT, list(t.dims)) for t in constants],
    )
    domains = [("", OPSET), (CHANNELS_LAST, 1), (GENERAL, 1), (DOMAIN, 1)]
    opsets = [helper.make_opsetid(domain, version) for domain, version in domains]
    return ModelWrapper(helper.make_model(graph, opset_imports=opsets))


def _add(layer: Layer, plan: Plan, nodes: list[onnx.NodeProto], constants: list[onnx.TensorProto]) -> None:
    def constant(name: str, values: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values, np.float32), name))
        return name

    if isinstance(layer, IntegerLayer):
        text = layer.to_json()
        nodes.append(
            helper.make_node(
                "MuxflowLayer", layer.inputs, [layer.output], layer.name, domain=DOMAIN, integer_layer=text
            )
        )
    elif isinstance(layer, MaxPool):
        window = {"kernel_shape": layer.kernel, "strides": layer.kernel, "pads": [0] * 4}
        nodes.append(
            helper.make_node("MaxPool", [layer.input], [layer.output], layer.name, domain=CHANNELS_LAST, **window)
        )
    else:
        name = layer.name
        bits = width(min(-1, int(layer.weights.min())), int(layer.weights.max()))[0]
        scale = 2.0**-layer.fraction
        inputs = [
            constant(f"{name}_weights", layer.weights * scale),
            constant(f"{name}_weights_scale", scale),
            constant(f"{name}_weights_zero", 0),
            constant(f"{name}_weights_bits", bits),
        ]
        quantized = f"{name}_weights_quantized"
        quantizer = {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"}
        nodes.append(
            helper.make_node("Quant", inputs, [quantized], f"{name}_weights_quant", domain=GENERAL, **quantizer)
        )
        nodes.append(
            helper.make_node(
                "Conv",
                [layer.input, quantized],
                [layer.output],
                name,
                domain=CHANNELS_LAST,
                kernel_shape=layer.weights.shape[1:3],
                strides=layer.stride,
                pads=layer.pads,
                dilations=[1, 1],
                group=1,
            )
        )
