"""Import of thermometer encoding."""

from __future__ import annotations

from muxflow.dataflow.ops.thermometer_encode import ThermometerEncode
from muxflow.frontend.importer.codes import codes_of, unsigned_codes
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.values import Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import MUXFLOW, ModelNode


@handles("ThermometerEncode", domains=(MUXFLOW,))
def thermometer_encode(importer: Importer, node: ModelNode) -> Value:
    """Import ThermometerEncode of the muxflow domain; its input is a map of 8-bit pixels."""
    x = unsigned_codes(importer, node, 0, float(node.attributes.get("input_scale", 1.0)), 8)
    op = ThermometerEncode(int(node.attributes.get("codes", 0)), int(node.attributes.get("bits", 0)))
    return codes_of(importer, node, importer.emit(node.name, op, x), float(node.attributes.get("scale", 1.0)))
