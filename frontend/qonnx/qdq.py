"""QDQ and QCDQ files: quantizers that are written as QuantizeLinear, Clip of the integers, DequantizeLinear.

    x --> QuantizeLinear --> Clip --> DequantizeLinear --> y   becomes   x --> muxflow.QuantizeLinear --> y

Inputs of that operator of the domain "muxflow": x, scale and zero point of QuantizeLinear, the same of DequantizeLinear,
both bounds of each Clip; "" where they are left out. Attributes: those of QuantizeLinear, and `dequantized_axis`, the other's
axis. A DequantizeLinear of constants stays what it is.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from muxflow.frontend.model import MUXFLOW, STANDARD, Model, ModelNode

DOMAINS = (STANDARD, "com.microsoft")
"""Where ONNX and the ONNX runtime (16-bit integers of older files) have these operators."""


@dataclass(frozen=True)
class _Integers:
    """What a QuantizeLinear and the Clips after it make: `tensors` of integers, within all `bounds`."""

    quantizer: ModelNode
    tensors: tuple[str, ...]
    bounds: tuple[str, ...] = ()

    def clipped(self, node: ModelNode) -> _Integers:
        return _Integers(self.quantizer, (*self.tensors, *node.outputs), (*self.bounds, *_three(node)[1:]))

    def dequantized(self, node: ModelNode) -> ModelNode:
        inputs = (*_three(self.quantizer), *_three(node)[1:], *self.bounds)
        attributes = {**self.quantizer.attributes, "dequantized_axis": node.attributes.get("axis", 1)}
        return ModelNode(self.quantizer.name, "QuantizeLinear", inputs, node.outputs, attributes, MUXFLOW)


def with_quantizers(model: Model) -> Model:
    """Join the nodes of every QDQ or QCDQ group into one quantizer; those that nothing else reads go."""
    found: dict[str, _Integers] = {}
    first: dict[tuple[str, ...], str] = {}
    nodes = []
    for node in model.nodes:
        source = found.get(_three(node)[0])
        if node.op_type == "QuantizeLinear" and node.domain in DOMAINS:
            found.update(dict.fromkeys(node.outputs, _Integers(node, node.outputs)))
        elif node.op_type == "Clip" and source is not None and not node.attributes:
            found.update(dict.fromkeys(node.outputs, source.clipped(node)))
        elif node.op_type == "DequantizeLinear" and node.domain in DOMAINS:
            node = source.dequantized(node) if source is not None else replace(node, domain=STANDARD)
            same = first.setdefault(node.inputs, node.outputs[0]) if source is not None and node.outputs else ""
            if same and same != node.outputs[0]:  # the file dequantizes once for each reader
                node = ModelNode(node.name, "Identity", (same,), node.outputs)
        nodes.append(node)
    absorbed = {name for integers in found.values() for name in integers.tensors}
    read = set(model.outputs)
    kept = []
    for node in reversed(nodes):
        if absorbed.isdisjoint(node.outputs) or not read.isdisjoint(node.outputs):
            kept.append(node)
            read.update(node.inputs)
    return replace(model, nodes=tuple(kept[::-1]))


def _three(node: ModelNode) -> tuple[str, ...]:
    """Return a node's first three inputs, "" for those that are left out."""
    return (*node.inputs, "", "", "")[:3]
