"""Import of thermometer encoding."""

from __future__ import annotations

from muxflow.dataflow.ops.thermometer_encode import ThermometerEncode
from muxflow.frontend.importer.codes import codes_of, scale_of, unsigned_codes, whole
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.values import Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import MUXFLOW, ModelNode


@handles("ThermometerEncode", domains=(MUXFLOW,))
def thermometer_encode(importer: Importer, node: ModelNode) -> Value:
    """Import ThermometerEncode of the muxflow domain; its input is a map of 8-bit pixels."""
    x = unsigned_codes(importer, node, 0, scale_of(node, "input_scale"), 8)
    op = ThermometerEncode(whole(node, "codes"), whole(node, "bits"))
    return codes_of(importer, node, importer.emit(node.name, op, x), scale_of(node))
