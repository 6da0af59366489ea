"""What layers with weights share: integer weights, operands on one grid, exact sums, biases."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.common_grid import common_grid
from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray, Op
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.loaded_weights import LoadedWeights
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.frontend.importer.banks import Bank, find_bank
from muxflow.frontend.importer.float_chain import Floats, constant_step
from muxflow.frontend.importer.grids import LARGEST_CODE, LARGEST_WEIGHT, NARROW_WEIGHT
from muxflow.frontend.importer.leaving import HostComputes
from muxflow.frontend.importer.values import Doubles, Tensor, compact
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import Constant, ModelNode

FLOAT_NOISE = 2.0**-20
"""How far, as a share of the largest, float weights may lie from a grid and still stand on it: float32 rounding, of the
weights and of the x + (q(x) - x) that QKeras computes."""
NOISY_VALUES = 64 * NARROW_WEIGHT
"""Most different values of weights on a grid, float noise counted; more are no grid."""


def weight_codes(importer: Importer, node: ModelNode, position: int, row_axis: int) -> tuple[IntArray, Doubles]:
    """Find integer weights with the rows first, shape (rows, ...), and the scale of each row, shape (1,) or (rows,).

    Weights without a quantizer are accepted where they are whole multiples of one step a row.
    """
    value = importer.values[node.inputs[position]]
    if not isinstance(value, Constant):
        raise UnsupportedError(f"{node.label}: its weights are computed from data; they must be constant or generated")
    if not value.value.size:
        raise UnsupportedError(
            f"{node.label}: its weights are empty, of shape {value.value.shape}; export the model again"
        )
    if value.codes is None:
        codes, scale = _recover(np.moveaxis(value.value, row_axis, 0), node)
    else:
        codes = np.moveaxis(value.codes, row_axis, 0)
        full = np.moveaxis(np.broadcast_to(value.scale, value.codes.shape), row_axis, 0).reshape(len(codes), -1)
        if (full != full[:, :1]).any():
            raise UnsupportedError(
                f"{node.label}: the weight scale differs between inputs of one output; use one scale a tensor or "
                "one an output channel"
            )
        scale = full[:, 0]
    if np.abs(codes).max(initial=0) > LARGEST_WEIGHT:
        raise UnsupportedError(
            f"{node.label}: weight codes up to {np.abs(codes).max()}; supported are weights of 1 to 16 bits"
        )
    return codes, compact(scale)


def _recover(values: npt.NDArray[np.float32], node: ModelNode) -> tuple[IntArray, Doubles]:
    """Find codes and scales of float weights that lie on a grid, one for the tensor or one for each row."""
    flat = values.reshape(len(values), -1).astype(np.float64)
    for find in (_noisy_step, _exact_step):
        step = find(_sizes(flat))
        steps = [step] * len(flat) if step else [find(_sizes(row)) for row in flat]
        if all(steps):
            scale = np.array(steps, np.float64)
            return np.rint(flat / scale[:, None]).astype(np.int64).reshape(values.shape), scale
    raise HostComputes(
        f"{node.label}: its weights are floats without a quantizer, or span more than {LARGEST_WEIGHT} of their steps; "
        "give the layer a weight quantizer of 1 to 16 bits (Brevitas: weight_quant=...)"
    )


def _sizes(values: Doubles) -> Doubles:
    """List the magnitudes of values, in ascending order and without 0."""
    sizes = np.unique(np.abs(values))
    return sizes[sizes > 0]


def _exact_step(sizes: Doubles) -> float | None:
    """Find the largest step of which float32 magnitudes are whole multiples, by up to LARGEST_WEIGHT; None without one."""
    if not sizes.size:
        return 1.0
    unit = 2.0 ** (np.frexp(sizes)[1].min() - 24.0)  # of the last bit of the smallest
    if sizes[-1] / unit >= 2.0**53:
        return None
    multiples = (sizes / unit).astype(np.int64)
    divisor = int(np.gcd.reduce(multiples))
    return divisor * unit if multiples[-1] <= LARGEST_WEIGHT * divisor else None


def _noisy_step(sizes: Doubles) -> float | None:
    """Find the largest step of which magnitudes are multiples by up to NARROW_WEIGHT, float noise aside; None without one."""
    if not 0 < sizes.size <= NOISY_VALUES:
        return None if sizes.size else 1.0
    # Counted from the largest, which float noise moves least.
    for parts in range(1, NARROW_WEIGHT + 1):
        codes = sizes * (parts / sizes[-1])
        if (np.abs(codes - np.rint(codes)) <= FLOAT_NOISE * parts).all() and codes[0] > 0.5:
            return float(sizes[-1] / parts)
    return None


def aligned(importer: Importer, stream: str, factors: IntArray) -> str:
    """Multiply a stream by an integer factor for each channel; the stream itself where all are 1."""
    factors = compact(factors)
    return stream if (factors == 1).all() else importer.emit(f"{stream}_aligned", Scale(factors), stream)


def _is_whole(steps: Doubles, channels: int) -> bool:
    """Tell whether offsets are whole steps of the codes, one for each channel, that integers of 32 bits hold."""
    return steps.size == channels and bool((steps == np.rint(steps)).all() and (np.abs(steps) < LARGEST_CODE).all())


def _shifted(importer: Importer, stream: str, steps: IntArray) -> str:
    """Add a number of steps to each channel of a stream."""
    source = importer.streams[stream]
    op = ShiftClip(steps, 0, source.lo + int(steps.min()), source.hi + int(steps.max()))
    return importer.emit(f"{stream}_shifted", op, stream)


def operand(importer: Importer, node: ModelNode, tensor: Tensor, depthwise: bool) -> tuple[Tensor, Doubles, Doubles]:
    """Find what a layer multiplies: the tensor, and scale and offset of its codes.

    Both are one number, or one for each channel with `depthwise`. Channels that differ in scale are brought onto one
    integer grid, and offsets that differ are added to their codes; raises where there is none.
    """
    meaning = tensor.meaning()
    if meaning is None:
        names = ", ".join(dict.fromkeys(step.name for step in tensor.steps))  # a layer of Keras may be several steps
        raise UnsupportedError(
            f"{node.label}: its input passes {names} after the last integer stream, without a quantizer; put an "
            "activation quantizer before this layer"
        )
    scale, offset = (compact(part) for part in meaning)
    channels = importer.streams[tensor.stream].channels
    if depthwise and max(scale.size, offset.size) <= channels:
        return tensor, scale, offset
    grid = common_grid(scale.tolist()) if scale.all() and scale.size in (1, channels) else None
    if grid is None or (offset.size > 1 and not _is_whole(offset / grid[1], channels)):
        raise UnsupportedError(
            f"{node.label}: the channels of its input differ in scale or offset, so their sum is not an integer; "
            "quantize the input with one scale for all channels"
        )
    if scale.size > 1:
        factors, unit = np.array(grid[0]), np.array([grid[1]])
        exact = tensor.exact and bool((factors * unit == scale).all())
        tensor, scale = replace(tensor, stream=aligned(importer, tensor.stream, factors), exact=exact), unit
    if offset.size > 1:
        shifted = _shifted(importer, tensor.stream, np.rint(offset / scale).astype(np.int64))
        tensor, offset = replace(tensor, stream=shifted), np.zeros(1)
    return tensor, scale, offset


def multiplied(
    importer: Importer,
    node: ModelNode,
    operand: Tensor,
    stream: str,
    supply: Op,
    op: MatrixVector,
    scale: Doubles,
    offsets: Doubles | None,
    order: Callable[[Stream], IntArray],
) -> Tensor:
    """Multiply a stream by a matrix, plus the node's bias.

    `operand`: the tensor that `stream` carries; `supply`: source of the weights; `scale`: of each row's sums, or of all;
    `offsets`: what an offset of the operand adds to each row; `order`: the index of the result over its stream.
    """
    names = importer.unique(f"{node.name}_weights"), importer.unique(node.name)
    if isinstance(supply, RomWeights) and loads(importer.options.loaded, names):
        supply = LoadedWeights.of(supply)
    if isinstance(supply, RomWeights) and not supply.loaded:
        bank = find_bank(supply)
        scale = compact(scale * bank.factors)
        name = _banked(importer, names, bank, op, stream)
    else:
        name = importer.place(names[1], op, stream, importer.place(names[0], supply))
    importer.describe(name, scale)
    output = importer.streams[name]
    exact = operand.scales_exactly() and sums_exactly(scale, output)
    result = Tensor(name, order(output), scale, exact=exact)
    if offsets is not None:
        result = result.then(constant_step("Add", offsets, f"{node.label} offset"))
    return _with_bias(importer, node, result, output.channels)


def _banked(importer: Importer, names: tuple[str, str], bank: Bank, op: MatrixVector, stream: str) -> str:
    """Multiply by a matrix in parts, and put the rows into their order again; `names`: of its weights and the result."""
    if len(bank.parts) == 1:
        return importer.place(names[1], op, stream, importer.place(names[0], bank.parts[0]))
    parts = []
    for supply, bits in zip(bank.parts, bank.bits, strict=True):
        weights = importer.emit(f"{names[0]}_{bits}bit", supply)
        parts.append(importer.emit(f"{names[1]}_{bits}bit", op, stream, weights))
    mixed = bool((np.diff(bank.sides) < 0).any())
    return importer.place(names[1], Concat(sides=bank.sides) if mixed else Concat(), *parts)


def loads(asked: Collection[str] | None, names: Collection[str]) -> bool:
    """Tell whether weights that any of these names stands for are loaded at run time; `asked`: see `ImportOptions.loaded`."""
    return asked is not None and (not asked or not set(asked).isdisjoint(names))


def _with_bias(importer: Importer, node: ModelNode, tensor: Tensor, rows: int) -> Tensor:
    """Add the node's third input to the tensor, where it has one."""
    if len(node.inputs) < 3 or not node.inputs[2]:
        return tensor
    bias = importer.constant(node, 2).astype(np.float32).reshape(-1)
    if bias.size != rows and (bias.size != 1 or node.op_type == "Conv"):  # a convolution repeats none
        raise UnsupportedError(f"{node.label}: a bias of {bias.size} values for {rows} outputs")
    if not bias.any():
        return tensor
    exact = tensor.exact and _adds_exactly(bias, tensor.scale, importer.streams[tensor.stream])
    return replace(tensor, exact=exact).then(constant_step("Add", compact(bias), f"{node.label} bias"))


def _odd_part(scale: Doubles) -> int:
    """Find the largest odd factor of the scales' mantissas: 1 for powers of two."""
    mantissa, _ = np.frexp(scale)
    whole = (np.abs(mantissa) * (1 << 53)).astype(np.int64)
    return max(int(value) // (int(value) & -int(value)) for value in whole if value) if whole.any() else 1


def sums_exactly(scale: Doubles, stream: Stream) -> bool:
    """Tell whether every float32 partial sum of multiples of the scale is a float32 number, in any order of summation."""
    return _odd_part(scale) * max(abs(stream.lo), abs(stream.hi), 1) < 1 << 24


def _adds_exactly(bias: Floats, scale: Doubles, stream: Stream) -> bool:
    """Tell whether that still holds with a bias that may come first: it lies on a grid that float32 resolves."""
    steps = bias / scale
    room = np.floor(np.log2((1 << 24) / _odd_part(scale) / (max(abs(stream.lo), abs(stream.hi)) + np.abs(steps) + 1)))
    fine = steps * 2.0**room
    return bool((room >= 0).all() and (fine == np.rint(fine)).all())
