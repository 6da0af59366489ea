"""Import of quantizers: constants become codes, activations become integer thresholds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from qonnx.custom_op.general.bipolar_quant import binary_quant
from qonnx.custom_op.general.quant import quant
from qonnx.custom_op.general.trunc import trunc_v1, trunc_v2

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.importer.compositions import functions_of
from muxflow.frontend.importer.elementwise import spread
from muxflow.frontend.importer.float_chain import Evaluator, Floats
from muxflow.frontend.importer.grids import LARGEST_CODE
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.layout import is_feature_map
from muxflow.frontend.importer.maps import through_padding
from muxflow.frontend.importer.shifts import Ties, bit_shift, shifted
from muxflow.frontend.importer.thresholds import MOST_STEPS, count_distinct, distinct, find_thresholds
from muxflow.frontend.importer.values import Doubles, Image, Tensor, Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import QUANTIZED, Constant, ModelNode

FLOAT_SLACK = 2.0**-21
"""Relative error that the order of a float32 summation can plausibly cause; thresholds nearer to a tie are counted."""
BETWEEN = np.linspace(-1, 1, 17)[1:-1]
"""Where within the slack codes are looked for that lie between those at its ends (decision): at the largest sums, of which
the slack is 8 times float32's own, no float is left out."""
MOST_TIES = 1 << 20
"""Near ties that a graph keeps (decision): a few in a thousand sums of an ordinary network are one."""
ROUNDING_MODES = ("ROUND", "HALF_EVEN", "CEIL", "FLOOR", "UP", "DOWN", "HALF_UP", "HALF_DOWN")
ACTIVATION_BITS, INPUT_BITS, CONSTANT_BITS = 16, 16, 32

MOST_ZERO_POINT = 1 << INPUT_BITS

Flags = npt.NDArray[np.bool_]
CodesOf = Callable[[Doubles], IntArray]


@dataclass(frozen=True, eq=False)
class Quantizer:
    """A Quant, BipolarQuant or Trunc node: `scale` and `zero_point` as arrays that broadcast against its input.

    `scale` is that of the output; `cut` holds scale and bit width of the input of a Trunc node, and is None elsewhere.
    `rows`: into how many rows the quantizer itself divides the stream. `width_shape`: of the tensor that holds `bits`.
    """

    scale: Floats
    zero_point: Floats
    bits: int = 1
    signed: bool = True
    narrow: bool = False
    rounding: str = "ROUND"
    bipolar: bool = False
    cut: tuple[Floats, Floats] | None = None
    separate_scale: bool = False
    rows: int = 1
    width_shape: tuple[int, ...] = ()

    @property
    def remedy(self) -> str:
        """What to do where its codes have too many steps between them; "" for what helps any quantizer."""
        return ""

    @property
    def parameters(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the parameters that its numbers are computed with, by what they are."""
        return {"scale": self.scale.shape, "zero point": self.zero_point.shape}

    def levels(self, values: Floats, scale: Floats, zero_point: Floats) -> Floats:
        """Compute quantized floats, by the model's own quantizer; the parameters spread like the values."""
        bits = np.float32(self.bits)
        if self.bipolar:
            return np.asarray(binary_quant(values, scale))
        if self.cut is None:
            return np.asarray(quant(values, scale, zero_point, bits, int(self.signed), int(self.narrow), self.rounding))
        before, width = self.cut
        if not self.separate_scale:
            return np.asarray(trunc_v1(values, before, zero_point, width, bits, self.rounding))
        narrow, signed = int(self.narrow), int(self.signed)
        return np.asarray(trunc_v2(values, before, zero_point, width, narrow, signed, scale, bits, self.rounding))

    def interval(self) -> tuple[int, int]:
        """Return the smallest and the largest code, zero point taken off; not for Trunc."""
        if self.bipolar or (self.signed and self.bits == 1):
            lo, hi = -1, 1
        elif self.signed:
            lo, hi = -(1 << self.bits - 1) + self.narrow, (1 << self.bits - 1) - 1
        else:
            lo, hi = 0, (1 << self.bits) - 1 - self.narrow
        zeros = self.zero_point.astype(int)
        return lo - int(zeros.max()), hi - int(zeros.min())


def codes_of(levels: Floats, scale: Floats | Doubles) -> IntArray:
    """Return the codes of `levels = scale * code`, rounded to the nearest; raises UnsupportedError where there is none."""
    codes = np.rint(levels.astype(np.float64) / scale)
    if not (np.abs(codes) < LARGEST_CODE).all():
        raise UnsupportedError(
            "it gives NaN or numbers beyond 32 bits on values that its input can take; limit its input, as with a Clip, or "
            "use another function or scale"
        )
    return codes.astype(np.int64)


def _bits(importer: Importer, node: ModelNode, position: int, most: int) -> int:
    given = importer.constant(node, position).reshape(-1)
    if given.size != 1 or float(given[0]) not in range(1, most + 1):
        raise UnsupportedError(
            f"{node.label}: bit width {', '.join(map(str, given[:4].tolist()))}; supported is one whole number from 1 to "
            f"{most}, so choose one"
        )
    return int(given[0])


def read_scale(importer: Importer, node: ModelNode, position: int) -> Floats:
    """Read an input of a quantizer that is its scale; raises MuxflowError where it is not constant and positive."""
    scale = importer.constant(node, position).astype(np.float32)
    if not (scale > 0).all():
        raise MuxflowError(
            f"{node.label}: a scale of {float(scale.min()):g}; scales must be positive: train on, or export again"
        )
    return scale


def read_zero_point(importer: Importer, node: ModelNode, position: int) -> Floats:
    """Read an input of a quantizer that is its zero point; raises UnsupportedError where it is no whole number, or too large."""
    zero_point = importer.constant(node, position).astype(np.float32)
    if (zero_point != np.rint(zero_point)).any():
        odd = zero_point[zero_point != np.rint(zero_point)]
        raise UnsupportedError(f"{node.label}: zero point {float(odd[0]):g} is not an integer; round it in training")
    if (np.abs(zero_point) > MOST_ZERO_POINT).any():
        raise UnsupportedError(
            f"{node.label}: zero point {float(zero_point.flat[np.abs(zero_point).argmax()]):g}; supported are those up to "
            f"{MOST_ZERO_POINT} (MOST_ZERO_POINT)"
        )
    return zero_point


def _check_parameters(importer: Importer, node: ModelNode) -> None:
    """Raise UnsupportedError where a parameter is of integers in which QONNX' own arithmetic overflows, as 2 ** (bits - 1)."""
    for position in range(1, len(node.inputs)):
        kind = importer.constant(node, position).dtype
        if kind.kind not in "if" or kind.itemsize < 4:
            raise UnsupportedError(
                f"{node.label}: input {position} ({node.inputs[position]}) is of type {kind.name}; QONNX computes with it, so "
                "export it as float32"
            )


def _rounding(node: ModelNode, default: str) -> str:
    mode = str(node.attributes.get("rounding_mode", default)).upper()
    if mode not in ROUNDING_MODES:
        raise UnsupportedError(f"{node.label}: rounding mode {mode}; use one of {', '.join(ROUNDING_MODES)}")
    return mode


def read_quantizer(importer: Importer, node: ModelNode, most_bits: int) -> Quantizer:
    """Read the parameters of a Quant or BipolarQuant node.

    Raises MuxflowError when they are not constant, a scale is not positive, or the bits are not 1 to `most_bits`.
    """
    _check_parameters(importer, node)
    scale = read_scale(importer, node, 1)
    if node.op_type == "BipolarQuant":
        return Quantizer(scale, np.zeros(1, np.float32), bipolar=True)
    return Quantizer(
        scale,
        read_zero_point(importer, node, 2),
        _bits(importer, node, 3, most_bits),
        bool(node.attributes.get("signed", 1)),
        bool(node.attributes.get("narrow", 0)),
        _rounding(node, "ROUND"),
        width_shape=importer.constant(node, 3).shape,
    )


@handles("Quant", "IntQuant", "BipolarQuant", domains=QUANTIZED)
@through_padding
def quantize(importer: Importer, node: ModelNode) -> Value:
    """Import Quant and BipolarQuant."""
    return quantized(importer, node, lambda most_bits: read_quantizer(importer, node, most_bits))


def _check_shape(node: ModelNode, what: str, given: tuple[int, ...], shape: tuple[int, ...], first: str = "N") -> None:
    """Raise UnsupportedError where a parameter of a quantizer does not broadcast against what it reads, equal numbers too.

    `first`: how the first axis is shown, that of the images in data.
    """
    try:
        fits = np.broadcast_shapes(given, shape) == shape
    except ValueError:
        fits = False
    if not fits:
        against = ", ".join((first, *map(str, shape[1:]))) if shape else ""
        raise UnsupportedError(
            f"{node.label}: a {what} of shape {given} does not broadcast against ({against}); give one number, or one for each "
            "channel on the channels' axis"
        )


def _check_data(node: ModelNode, quantizer: Quantizer, shape: tuple[int, ...]) -> None:
    """Raise UnsupportedError where parameters do not broadcast against data of a shape, the batch left out."""
    for what, given in (*quantizer.parameters.items(), ("bit width", quantizer.width_shape)):
        _check_shape(node, what, given, (1, *shape))


def _check_constant(node: ModelNode, quantizer: Quantizer, shape: tuple[int, ...]) -> None:
    """Raise UnsupportedError where parameters and a constant do not broadcast; scale and zero point may give it more axes."""
    try:
        shape = np.broadcast_shapes(shape, *quantizer.parameters.values())
    except ValueError:
        for what, given in quantizer.parameters.items():
            _check_shape(node, what, given, shape, *map(str, shape[:1]))
        raise
    _check_shape(node, "bit width", quantizer.width_shape, shape, *map(str, shape[:1]))


def quantized(importer: Importer, node: ModelNode, read: Callable[[int], Quantizer]) -> Value:
    """Quantize what a node reads: a constant, the model's input, or data.

    `read`: gives the quantizer, of codes of at most so many bits.
    """
    value = importer.values[node.inputs[0]]
    if isinstance(value, Constant):
        quantizer = read(CONSTANT_BITS)
        _check_constant(node, quantizer, value.value.shape)
        levels = quantizer.levels(value.value.astype(np.float32), quantizer.scale, quantizer.zero_point)
        return Constant(levels, codes_of(levels, quantizer.scale), quantizer.scale.astype(np.float64))
    if isinstance(value, Image) and importer.given_grid(value) is None:
        quantizer = read(INPUT_BITS)
        _check_data(node, quantizer, value.index.shape)
        return _open_input(importer, node, value, quantizer)
    tensor, quantizer = importer.tensor(node, 0), read(ACTIVATION_BITS)
    _check_data(node, quantizer, tensor.index.shape)
    return activation(importer, node, tensor, quantizer)


def _open_input(importer: Importer, node: ModelNode, image: Image, quantizer: Quantizer) -> Tensor:
    scale, zero_point = quantizer.scale.reshape(-1), quantizer.zero_point.reshape(-1)
    if (scale != scale[0]).any() or (zero_point != zero_point[0]).any():
        raise UnsupportedError(f"{node.label}: the input quantizer has one scale a channel; use one for all")
    scale, zero_point = scale[:1], zero_point[:1]
    lo, hi = quantizer.interval()
    bipolar = (quantizer.bipolar or (quantizer.signed and quantizer.bits == 1)) and (lo, hi) == (-1, 1)
    every = np.arange(lo, hi + 1, 2 if bipolar else 1)
    again = codes_of(quantizer.levels((every * scale.astype(np.float64)).astype(np.float32), scale, zero_point), scale)
    if (again != every).any():
        raise UnsupportedError(
            f"{node.label}: {quantizer.rounding} does not give back the input codes, because {scale[0]:g} times a code "
            "is not a float32 number; use rounding mode ROUND or a power-of-two scale at the input"
        )
    return importer.open_input(image, lo, hi, scale.astype(np.float64), bipolar=bipolar)


@handles("Trunc", domains=QUANTIZED)
def truncate(importer: Importer, node: ModelNode) -> Value:
    """Import Trunc: drops the lowest bits of a sum, as after an average pool."""
    tensor = importer.tensor(node, 0)
    _check_parameters(importer, node)
    separate = len(node.inputs) == 6
    before, zero_point = read_scale(importer, node, 1), read_zero_point(importer, node, 2)
    scale = read_scale(importer, node, 4) if separate else before
    width = importer.constant(node, 3).astype(np.float32)
    if max(before.size, zero_point.size, scale.size, width.size) > 1 or zero_point.any():
        raise UnsupportedError(f"{node.label}: scales a channel or a zero point; use one scale and no zero point")
    for position in range(1, len(node.inputs)):
        given = importer.constant(node, position).shape
        _check_shape(node, f"parameter {node.inputs[position]}", given, (1, *tensor.index.shape))
    quantizer = Quantizer(
        scale.reshape(1),
        zero_point.reshape(1),
        _bits(importer, node, 5 if separate else 4, ACTIVATION_BITS),
        bool(node.attributes.get("signed", 1)),
        bool(node.attributes.get("narrow", 0)),
        _rounding(node, "FLOOR"),
        cut=(before.reshape(1), width.reshape(1)),
        separate_scale=separate,
    )
    return activation(importer, node, tensor, quantizer)


def activation(importer: Importer, node: ModelNode, tensor: Tensor, quantizer: Quantizer) -> Tensor:
    """Emit thresholds for everything between the last integer stream and a quantizer."""
    where = node.label
    scale = spread(importer, tensor, quantizer.scale, where)
    zero_point = spread(importer, tensor, quantizer.zero_point, where)
    stream = importer.streams[tensor.stream]
    sizes = [tensor.scale.size, scale.size, zero_point.size, quantizer.rows]
    sizes += [operand.size for step in tensor.steps for operand in step.operands if operand is not None]
    rows = max(sizes)
    evaluator = Evaluator(tensor.steps, rows, importer.opset)
    row_scale, row_zero, unit = (np.tile(part, rows // part.size) for part in (scale, zero_point, tensor.scale))

    def codes(values: Doubles) -> IntArray:
        return codes_of(quantizer.levels(evaluator(values.astype(np.float32)), row_scale, row_zero), row_scale)

    functions = "".join(f" after {name}" for name in functions_of(tensor.steps))
    op = find_thresholds(lambda sums: codes(sums * unit), rows, stream.lo, stream.hi, f"{where}{functions}")
    exact = tensor.exact and all(step.rounded_once() for step in tensor.steps)
    count, pairs = (0, ()) if exact else _near_ties(op, codes, unit, stream.lo, stream.hi)
    importer.near_ties += count
    floors = quantizer.rounding == "FLOOR" and quantizer.cut is None
    name = _emitted(importer, node, op, tensor.stream, pairs, floors, quantizer.remedy)
    importer.describe(name, scale.astype(np.float64))
    output = importer.streams[name]
    in_order = is_feature_map(tensor, output) or np.array_equal(tensor.index, np.arange(output.size))
    if in_order and scale.size <= output.channels:
        importer.tensors[name] = node.outputs[0]
    return Tensor(name, tensor.index, scale.astype(np.float64))


def _emitted(
    importer: Importer, node: ModelNode, op: Threshold, stream: str, ties: Ties, floors: bool, remedy: str
) -> str:
    """Emit thresholds; where a quantizer `floors` a shift with the same codes, and where they are too many a product.

    `remedy`: see `Quantizer`.
    Returns the stream.
    """
    shift = bit_shift(op, importer.streams[stream]) if floors and not ties else None
    if shift is not None:
        return importer.emit(node.name, shift, stream)
    importer.threshold_count += count_distinct(op.thresholds)
    if op.thresholds.shape[1] > MOST_STEPS:
        name, ties = shifted(importer, node, op, stream, ties, remedy)
    else:
        name = importer.emit(node.name, op, stream)
    kept = sum(map(len, importer.ties.values())) + len(ties)
    if kept > MOST_TIES:
        raise UnsupportedError(
            f"{node.label}: with its own there are {kept:,} sums at which float rounding decides between codes; up to "
            f"{MOST_TIES:,} (MOST_TIES) are kept. Use one scale for all channels, one that is a power of two, or fewer bits"
        )
    if ties:
        importer.ties[name] = ties
    return name


def _near_ties(op: Threshold, codes: CodesOf, unit: Doubles, lo: int, hi: int) -> tuple[int, Ties]:
    """Count thresholds whose side could depend on the order in which float32 products were summed; list the ties there.

    Those just beyond the least and the largest sum, which are no thresholds of the graph, count too. A tie: row, sum, and the
    codes other than that of the sum which the function gives within the slack of it.
    """
    at = op.thresholds.T
    met = (at > lo) & (at <= hi)
    near = np.zeros(at.shape, bool)
    ties: set[tuple[int, ...]] = set()
    for offset in (-1, 0):
        unsure, found = _ties_at(np.clip(at + offset, lo, hi), met, codes, unit, lo, hi)
        near |= unsure
        ties |= found
    ends = np.repeat([[lo], [hi]], at.shape[1], axis=1)
    _, beyond = _ties_at(ends, np.ones(ends.shape, bool), codes, unit, lo, hi)
    return int((near & distinct(op.thresholds).T).sum()) + len(beyond - ties), tuple(sorted(ties | beyond))


def _ties_at(
    sums: IntArray, asked: Flags, codes: CodesOf, unit: Doubles, lo: int, hi: int
) -> tuple[Flags, set[tuple[int, ...]]]:
    """Mark which of the sums that are asked for, shape (R, rows), are ties; return these too."""
    slack = max(abs(lo), abs(hi)) * np.abs(unit) * FLOAT_SLACK
    least, most = np.minimum(lo * unit, hi * unit), np.maximum(lo * unit, hi * unit)

    def beside(points: IntArray, side: float) -> IntArray:
        values = points * unit + side * slack
        try:
            return codes(values)
        except UnsupportedError:  # as of a root just below 0, which no sum of numbers that are not negative comes to
            return codes(np.clip(values, least, most))

    middle, *others = (beside(sums, side) for side in (0, -1, 1))
    unsure = asked & ((others[0] != middle) | (others[1] != middle))
    steep = unsure & (np.abs(others[1] - others[0]) > 1)
    some = steep.any(axis=1)
    sides = BETWEEN if some.any() else BETWEEN[:0]
    found = [other[unsure] for other in (*others, *[middle] * len(sides))]
    for number, side in enumerate(sides, len(others)):
        found[number][steep[unsure]] = beside(sums[some], side)[steep[some]]
    columns = (np.argwhere(unsure)[:, 1], sums[unsure], middle[unsure], *found)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return unsure, {(row, point, *sorted({*given} - {own})) for row, point, own, *given in rows}
