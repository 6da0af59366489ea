"""Import of linear quantizers: QuantizeLinear with the DequantizeLinear after it (see `qonnx.qdq`)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
from onnx import helper

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.importer.constants import along_axis
from muxflow.frontend.importer.float_chain import Floats
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.maps import through_padding
from muxflow.frontend.importer.quantizers import Quantizer, quantized, read_scale, read_zero_point
from muxflow.frontend.importer.values import Image, Padded, Value, shape_of
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import MUXFLOW, Constant, ModelNode

INTEGERS = re.compile(r"(u?)int(\d+)")


@dataclass(frozen=True, eq=False)
class LinearQuantizer(Quantizer):
    """A quantizer to the integers from `lowest` to `highest`, zero point included, that rounds half to even before it adds it."""

    lowest: int = field(kw_only=True)
    highest: int = field(kw_only=True)

    def levels(self, values: Floats, scale: Floats, zero_point: Floats) -> Floats:
        """Compute what the file's nodes do, each in float32."""
        integers = np.clip(np.rint(values / scale) + zero_point, self.lowest, self.highest)
        return np.asarray((integers - zero_point) * scale, np.float32)

    def interval(self) -> tuple[int, int]:
        """Return the smallest and the largest code, zero point taken off."""
        zeros = self.zero_point.astype(int)
        return self.lowest - int(zeros.max()), self.highest - int(zeros.min())


@handles("QuantizeLinear", domains=(MUXFLOW,))
@through_padding
def quantize_linear(importer: Importer, node: ModelNode) -> Value:
    """Import QuantizeLinear, Clip and DequantizeLinear as one quantizer."""
    return quantized(importer, node, lambda most_bits: _read(importer, node, most_bits))


def _read(importer: Importer, node: ModelNode, most_bits: int) -> LinearQuantizer:
    scale, zero_point = _parameters(importer, node, 1, "axis")
    again = _parameters(importer, node, 3, "dequantized_axis")
    if not all(map(np.array_equal, (scale, zero_point), again)):
        raise UnsupportedError(
            f"{node.label}: QuantizeLinear and DequantizeLinear differ in scale or zero point; give both the same"
        )
    lowest, highest = _integers(importer, node)
    bounds = [importer.constant(node, position) for position in range(5, len(node.inputs))]
    lowest = max([lowest, *(int(bound.item()) for bound in bounds[::2] if bound.size)])
    highest = min([highest, *(int(bound.item()) for bound in bounds[1::2] if bound.size)])
    if not 0 < highest - lowest < 1 << most_bits:
        raise UnsupportedError(
            f"{node.label}: integers from {lowest} to {highest}; supported are 1 to {most_bits} bits, so clip them or choose "
            "another type"
        )
    return LinearQuantizer(scale, zero_point, bits=most_bits, lowest=lowest, highest=highest)


def _parameters(importer: Importer, node: ModelNode, position: int, axis: str) -> tuple[Floats, Floats]:
    """Return scale and zero point, which broadcast against what the node reads."""
    scale = read_scale(importer, node, position)
    zero_point = read_zero_point(importer, node, position + 1) if node.inputs[position + 1] else np.zeros(1, np.float32)
    value = importer.values[node.inputs[0]]
    if not isinstance(value, Constant | Image | Padded):
        value = importer.tensor(node, 0)
    rank = value.value.ndim if isinstance(value, Constant) else len(shape_of(value)) + 1
    return along_axis(node, scale, rank, axis), along_axis(node, zero_point, rank, axis)


def _integers(importer: Importer, node: ModelNode) -> tuple[int, int]:
    """Return the ends of the type that QuantizeLinear makes: that of its zero point, or what it says itself."""
    if node.inputs[2]:
        name = importer.constant(node, 2).dtype.name
    else:
        number = int(node.attributes.get("output_dtype", 0))
        name = helper.tensor_dtype_to_np_dtype(number).name if number else "uint8"
    kind = INTEGERS.fullmatch(name)
    if kind is None:
        raise UnsupportedError(f"{node.label}: quantizes to {name}; supported are integers")
    bits = int(kind[2])
    return (0, (1 << bits) - 1) if kind[1] else (-(1 << bits - 1), (1 << bits - 1) - 1)
