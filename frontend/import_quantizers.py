"""Import of quantizers: constants become codes, activations become integer thresholds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.quant import quant

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops import Threshold
from muxflow.frontend.float_chain import Evaluator, Floats
from muxflow.frontend.import_elementwise import spread
from muxflow.frontend.qonnx_importer import Importer, attribute, integer_codes, label
from muxflow.frontend.threshold_search import find_thresholds
from muxflow.frontend.values import Constant, Image, Tensor, Value, is_feature_map

FLOAT_SLACK = 2.0**-21
"""Relative error that the order of a float32 summation can plausibly cause; thresholds nearer to a tie are counted."""


@dataclass(frozen=True, eq=False)
class Quantizer:
    """A Quant or BipolarQuant node: `scale` and `zero_point` as arrays that broadcast against its input."""

    scale: Floats
    zero_point: Floats
    bits: int
    signed: bool
    narrow: bool
    rounding: str
    bipolar: bool

    def __call__(self, values: Floats, scale: Floats, zero_point: Floats) -> IntArray:
        """Codes (value / scale, zero point taken off) of float values, by the model's own quantizer."""
        if self.bipolar:
            return integer_codes(binary_quant(values, np.float32(1)), np.ones(1))
        zero = zero_point.astype(np.float32)
        bits = np.float32(self.bits)
        levels = quant(values, scale, zero, bits, int(self.signed), int(self.narrow), self.rounding)
        return integer_codes(np.asarray(levels), scale.astype(np.float64))

    def interval(self) -> tuple[int, int]:
        """Smallest and largest code."""
        if self.bipolar:
            return -1, 1
        if self.signed:
            lo, hi = -(1 << self.bits - 1) + self.narrow, (1 << self.bits - 1) - 1
        else:
            lo, hi = 0, (1 << self.bits) - 1 - self.narrow
        zeros = np.rint(self.zero_point).astype(int)
        return lo - int(zeros.max()), hi - int(zeros.min())


def read_quantizer(importer: Importer, node: onnx.NodeProto) -> Quantizer:
    """The parameters of a quantizer node; raises when they are not constant, not positive or over 8 bits."""
    bipolar = node.op_type == "BipolarQuant"
    scale = importer.constant(node, 1).astype(np.float32)
    if not (scale > 0).all():
        raise MuxflowError(f"{label(node)}: a scale of {float(scale.min()):g}; scales must be positive")
    if bipolar:
        return Quantizer(scale, np.zeros(1, np.float32), 1, True, False, "ROUND", True)
    zero_point = importer.constant(node, 2).astype(np.float32)
    width = importer.constant(node, 3)
    if width.size != 1 or float(width.reshape(-1)[0]) not in range(1, 17):
        raise UnsupportedError(
            f"{label(node)}: bit width {width.reshape(-1)[:4]}; supported is one whole number from 1 to 8 "
            "(to 16 at the input)"
        )
    if (zero_point != np.rint(zero_point)).any():
        raise UnsupportedError(f"{label(node)}: zero point {float(zero_point.reshape(-1)[0])} is not an integer")
    return Quantizer(
        scale,
        zero_point,
        int(width.reshape(-1)[0]),
        bool(attribute(node, "signed", 1)),
        bool(attribute(node, "narrow", 0)),
        str(attribute(node, "rounding_mode", "ROUND")),
        False,
    )


def quantize(importer: Importer, node: onnx.NodeProto) -> Value:
    """Quant and BipolarQuant."""
    value = importer.values[node.input[0]]
    quantizer = read_quantizer(importer, node)
    if isinstance(value, Constant):
        codes = quantizer(value.value.astype(np.float32), quantizer.scale, quantizer.zero_point)
        scale = quantizer.scale.astype(np.float64)
        return Constant((codes * scale).astype(np.float32), codes, scale)
    if isinstance(value, Image) and importer.options.input_scale is None:
        if quantizer.scale.size != 1 or quantizer.zero_point.size != 1:
            raise UnsupportedError(f"{label(node)}: the input quantizer has one scale a channel; use one for all")
        lo, hi = quantizer.interval()
        return importer.open_input(value, lo, hi, quantizer.scale.reshape(1).astype(np.float64))
    if quantizer.bits > 8:
        raise UnsupportedError(f"{label(node)}: {quantizer.bits}-bit activations; supported are 1 to 8 bits")
    return activation(importer, node, importer.tensor(node, 0), quantizer)


def activation(importer: Importer, node: onnx.NodeProto, tensor: Tensor, quantizer: Quantizer) -> Tensor:
    """Thresholds for everything between the last integer stream and a quantizer."""
    where = label(node)
    scale = spread(importer, tensor, quantizer.scale, where)
    zero_point = spread(importer, tensor, quantizer.zero_point, where)
    stream = importer.streams[tensor.stream]
    sizes = [tensor.scale.size, scale.size, zero_point.size]
    sizes += [operand.size for step in tensor.steps for operand in step.operands if operand is not None]
    rows = max(sizes)
    evaluator = Evaluator(tensor.steps, rows)
    row_scale, row_zero = _rows(scale, rows), _rows(zero_point, rows)
    unit = _rows(tensor.scale, rows)

    def codes_of(values: npt.NDArray[np.float64]) -> IntArray:
        return quantizer(evaluator(values.astype(np.float32)), row_scale, row_zero)

    op = find_thresholds(lambda acc: codes_of(acc * unit), rows, stream.lo, stream.hi, where)
    importer.threshold_count += op.thresholds.size
    if not tensor.exact:
        importer.near_ties += _near_ties(op, codes_of, unit, stream.lo, stream.hi)
    name = importer.emit(node.name or node.output[0], op, tensor.stream)
    importer.describe(name, scale.astype(np.float64))
    result = Tensor(name, tensor.index, scale.astype(np.float64))
    if is_feature_map(result, importer.streams[name]) or tensor.index.ndim == 1:
        importer.tensors[name] = node.output[0]
    return result


def _rows(values: npt.NDArray[np.generic], rows: int) -> npt.NDArray[np.generic]:
    """(1,), (channels,) or (size,) values tiled to `rows`."""
    return np.tile(values, rows // values.size)


def _near_ties(op: Threshold, codes_of, unit, lo: int, hi: int) -> int:  # type: ignore[no-untyped-def]
    """Thresholds whose side could depend on the order in which float32 products were summed."""
    at = op.thresholds.T
    slack = max(abs(lo), abs(hi)) * unit * FLOAT_SLACK
    near = np.zeros(at.shape, bool)
    for offset in (-1, 0):
        point = np.clip(at + offset, lo, hi)
        middle = codes_of(point * unit)
        near |= (codes_of(point * unit - slack) != middle) | (codes_of(point * unit + slack) != middle)
    reachable = (at > lo) & (at <= hi)
    return int((near & reachable).sum())
