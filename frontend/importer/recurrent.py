"""Import of recurrent layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.loaded_weights import LoadedWeights
from muxflow.dataflow.ops.lstm_cell import GATES, LstmCell, sum_interval
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.importer.codes import MOST_BITS, scale_of, whole
from muxflow.frontend.importer.float_chain import Floats
from muxflow.frontend.importer.grids import LARGEST_CODE
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.layout import is_pixel_by_pixel
from muxflow.frontend.importer.products import loads, weight_codes
from muxflow.frontend.importer.thresholds import count_distinct, find_thresholds
from muxflow.frontend.importer.values import Tensor, Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import MUXFLOW, ModelNode
from muxflow.frontend.recurrent import CellArithmetic


@handles("LstmCell", domains=(MUXFLOW,))
def lstm_cell(importer: Importer, node: ModelNode) -> Value:
    """Import LstmCell of the muxflow domain: the product with its input, and the cell with the recurrent weights.

    Rows are put unit by unit, the four gates of each side by side; see `dataflow.ops.lstm_cell`.
    """
    scale = scale_of(node)
    unit = np.float32(scale) * np.float32(scale_of(node, "weight_scale"))
    gate_bits, cell_bits, fraction_bits = (whole(node, name) for name in ("gate_bits", "cell_bits", "fraction_bits"))
    arithmetic = CellArithmetic(gate_bits, cell_bits, fraction_bits, unit)
    x = sequence(importer, node)
    if abs(float(x.scale[0]) / scale - 1) > 1e-6 or importer.streams[x.stream].lo < 0:
        raise UnsupportedError(
            f"{node.label}: its input has scale {x.scale[0]:g} or a sign, the node scale {scale:g} and none; use an unsigned "
            "activation quantizer of the node's scale"
        )
    steps, features = x.index.shape
    last, stateful = whole(node, "last"), int(node.attributes.get("stateful", 0))
    of_input, recurrent = (_weights(importer, node, position) for position in (1, 2))
    units = len(recurrent) // GATES
    if of_input.shape != (GATES * units, features) or recurrent.shape != (GATES * units, units):
        raise UnsupportedError(
            f"{node.label}: weights of shapes {of_input.shape} and {recurrent.shape} for {features} features; expected "
            "(4 H, features) and (4 H, H)"
        )
    bias, theta = _vector(importer, node, 3, GATES * units), _vector(importer, node, 4, units)
    if (theta != np.rint(theta)).any() or (np.abs(theta) >= LARGEST_CODE).any():
        raise UnsupportedError(
            f"{node.label}: theta that are not integers of 32 bits; export the model with muxflow again"
        )
    streams = products(importer, node, x, of_input.reshape(GATES, units, -1), recurrent.reshape(GATES, units, -1))
    importer.describe(streams[0], np.array([unit]))
    ends = sum_interval(importer.streams[streams[0]], importer.streams[streams[1]], (0, 1))
    gates = [
        _gate(arithmetic.tanh if gate == 2 else arithmetic.sigmoid, one, ends, f"{node.label}, gate {'ifgo'[gate]}")
        for gate, one in enumerate(np.split(bias, GATES))
    ]
    importer.threshold_count += count_distinct(*(gate.thresholds for gate in gates))
    op = LstmCell(
        laid_out(gates, units, ends[1] + 1),
        bases=tuple(gate.base for gate in gates),
        factors=(1, 1 << arithmetic.fraction_bits),
        shift=arithmetic.gate_bits,
        limits=(-arithmetic.most, arithmetic.most),
        outputs=theta.astype(np.int64)[:, None],
        last=bool(last),
        stateful=bool(stateful),
    )
    name = importer.emit(node.name, op, *streams)
    importer.describe(name, np.array([scale]))
    if op.last:
        importer.tensors[name] = node.outputs[0]
    index = np.arange(importer.streams[name].size)
    return Tensor(name, index if op.last else index.reshape(steps, units), np.array([scale]))


@handles("Gather")
def last_step(importer: Importer, node: ModelNode) -> Value:
    """Import Gather of the last step of a recurrent layer's outputs: the same cell, of which that step alone is sent.

    The cell that sends every step goes where nothing else reads it.
    """
    tensor = importer.tensor(node, 0)
    stream = importer.streams[tensor.stream]
    cell = next((one for one in importer.nodes if tensor.stream in one.outputs), None)
    op = None if cell is None else cell.op
    every = np.arange(stream.size).reshape(stream.pixels, -1)
    axis, chosen = int(node.attributes.get("axis", 0)), importer.constant(node, 1)
    in_order = np.array_equal(tensor.index, every) and not tensor.steps
    of_last = axis == 1 and chosen.size == 1 and int(chosen.flat[0]) in (-1, len(every) - 1)
    if cell is None or not isinstance(op, LstmCell) or op.last or not in_order or not of_last:
        raise UnsupportedError(
            f"{node.label}: Gather of data is not supported but of the last step of a recurrent layer's outputs; let the layer "
            "before it make what is wanted alone (docs/reference/models.md lists what is)"
        )
    name = importer.emit(f"{cell.name}_last", replace(op, last=True), *cell.inputs)
    importer.describe(name, tensor.scale)
    importer.tensors[name] = node.outputs[0]
    index = np.arange(importer.streams[name].size)
    return Tensor(name, index.reshape(*chosen.shape, -1), tensor.scale)


def sequence(importer: Importer, node: ModelNode) -> Tensor:
    """Return the sequence of codes of one scale that a node reads, (T, C); raises UnsupportedError where it is none."""
    tensor = importer.tensor(node, 0)
    stream = importer.streams[tensor.stream]
    if tensor.steps or tensor.scale.size != 1 or tensor.index.ndim != 2 or not is_pixel_by_pixel(tensor, stream):
        raise UnsupportedError(
            f"{node.label}: its input has shape (N, {', '.join(map(str, tensor.index.shape))}) and is no sequence (N, steps, "
            "features) of codes; put an activation quantizer of one scale on it, and transpose it where features come first. A "
            "map that is flattened into features has one pixel: pool it, or cover it by one convolution"
        )
    if stream.bits > MOST_BITS:
        raise UnsupportedError(
            f"{node.label}: its input holds codes of {stream.bits} bits; supported are {MOST_BITS} bits"
        )
    return tensor


def _weights(importer: Importer, node: ModelNode, position: int) -> IntArray:
    """Return weights as multiples of the node's weight scale; raises UnsupportedError where they are none."""
    wanted = scale_of(node, "weight_scale")
    codes, scale = weight_codes(importer, node, position, 0)
    factors = scale / wanted
    whole_factors = np.rint(factors)
    if np.abs(factors - whole_factors).max() > 1e-6 * factors.max() and codes.any():
        raise UnsupportedError(
            f"{node.label}: its weights have a scale of {scale[0]:g}, the node says {wanted:g}; export the model again"
        )
    return codes * whole_factors.astype(np.int64).reshape(-1, *(1,) * (codes.ndim - 1))


def _vector(importer: Importer, node: ModelNode, position: int, size: int) -> Floats:
    """Return a constant vector of so many numbers; raises UnsupportedError where it is another."""
    values = importer.constant(node, position).astype(np.float32)
    if values.shape != (size,):
        raise UnsupportedError(f"{node.label}: input {position} has shape {values.shape}; expected ({size},)")
    return values


def products(
    importer: Importer, node: ModelNode, x: Tensor, of_input: IntArray, recurrent: IntArray
) -> tuple[str, str]:
    """Emit the product of a sequence and its weights, and the source of the recurrent weights; returns both streams.

    `of_input`, `recurrent`: gate by gate, of shape (4, H, ...); their rows are put unit by unit.
    """

    def source(matrix: IntArray, part: str) -> str:
        name = importer.unique(f"{node.name}_{part}_weights")
        stored = RomWeights(matrix.swapaxes(0, 1).reshape(-1, matrix.shape[2]), repeats=x.index.shape[0])
        return importer.place(
            name, LoadedWeights.of(stored) if loads(importer.options.loaded, (name, node.name)) else stored
        )

    product = importer.emit(f"{node.name}_input", MatrixVector(), x.stream, source(of_input, "input"))
    return product, source(recurrent, "recurrent")


def _gate(
    function: Callable[[IntArray, Floats], IntArray], bias: Floats, ends: tuple[int, int], where: str
) -> Threshold:
    """Find the thresholds of a gate, a row a unit, by the node's own float arithmetic."""
    return find_thresholds(lambda sums: function(sums, bias), bias.size, *ends, where)


def laid_out(gates: list[Threshold], units: int, never: int) -> IntArray:
    """Lay the thresholds of the gates out unit by unit; those that a gate has fewer are `never` reached."""
    steps = max(gate.thresholds.shape[1] for gate in gates)
    rows = [
        np.pad(one.thresholds, ((0, 0), (0, steps - one.thresholds.shape[1])), constant_values=never) for one in gates
    ]
    return np.stack(rows, axis=1).reshape(GATES * units, steps)
