"""What an ONNX file leaves to the defaults of its operators, written out: other libraries read some attributes as they stand."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import AttributeProto, helper

from muxflow.frontend.qonnx.attributes import STANDARD_DOMAINS

WINDOWED = ("Conv", "MaxPool", "AveragePool")
NUMBERS = (AttributeProto.INT, AttributeProto.INTS, AttributeProto.FLOAT, AttributeProto.FLOATS)


def with_defaults(model: onnx.ModelProto) -> onnx.ModelProto:
    """Write out, in a model, the numbers that nodes of standard operators leave out; returns the same model.

    Of windows also those that follow from the kernel: its shape as the weights have it, steps and dilations of 1, no padding.
    """
    opset = max((one.version for one in model.opset_import if one.domain in STANDARD_DOMAINS), default=1)
    graph = model.graph
    shapes = {one.name: tuple(one.dims) for one in graph.initializer}
    writers = {name: node for node in graph.node for name in node.output}
    for node in graph.node:
        if node.domain not in STANDARD_DOMAINS:
            continue
        known = {attribute.name: attribute for attribute in node.attribute}
        found = _numbers(node.op_type, opset)
        if node.op_type in WINDOWED:
            found |= _window(node, known, _shape(node, shapes, writers))
        node.attribute.extend(helper.make_attribute(name, value) for name, value in found.items() if name not in known)
    return model


def _numbers(op_type: str, opset: int) -> dict[str, object]:
    """Give the default values of an operator's attributes that are numbers; none of one that is not known."""
    try:
        declared = onnx.defs.get_schema(op_type, opset, "").attributes
    except onnx.defs.SchemaError:
        return {}
    given = ((name, one.default_value) for name, one in declared.items())
    return {name: helper.get_attribute_value(value) for name, value in given if value.type in NUMBERS}


def _window(node: onnx.NodeProto, known: Mapping[str, AttributeProto], weights: tuple[int, ...]) -> dict[str, object]:
    kernel = tuple(known["kernel_shape"].ints) if "kernel_shape" in known else weights[2:]
    if not kernel:
        return {}
    found: dict[str, object] = {"kernel_shape": kernel, "strides": (1,) * len(kernel)}
    if node.op_type == "Conv":
        found["dilations"] = (1,) * len(kernel)
    if "auto_pad" not in known or known["auto_pad"].s in (b"", b"NOTSET"):
        found["pads"] = (0,) * (2 * len(kernel))
    return found


def _shape(
    node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]], writers: Mapping[str, onnx.NodeProto]
) -> tuple[int, ...]:
    """Find the shape of a node's weights, which quantizers keep; () where it has none, or that is not known."""
    name, seen = next(iter(node.input[1:]), ""), set[str]()
    while name not in shapes and name in writers and name not in seen:
        seen.add(name)
        writer = writers[name]
        if writer.op_type in ("Transpose", "Reshape"):
            return ()
        if writer.op_type == "Constant":
            return tuple(next((one.t.dims for one in writer.attribute if one.name == "value"), ()))
        name = next(iter(writer.input), "")
    return shapes.get(name, ())
