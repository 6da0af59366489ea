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
from muxflow.frontend.importer.layout import is_pixel_by_pixel, natural
from muxflow.frontend.importer.products import loads, multiplied, weight_codes
from muxflow.frontend.importer.thresholds import find_thresholds
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
    x = _sequence(importer, node, scale)
    steps, features = x.index.shape
    last, stateful = whole(node, "last"), int(node.attributes.get("stateful", 0))
    for name, flag in (("last", last), ("stateful", stateful)):
        if flag not in (0, 1):
            raise UnsupportedError(f"{node.label}: {name} is {flag}; 0 or 1")
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
    order = np.arange(GATES * units).reshape(GATES, units).T.reshape(-1)
    # The product of the input has neither a bias nor what else the node reads.
    own = replace(node, name=f"{node.name}_input", inputs=node.inputs[:2])
    supply = RomWeights(of_input[order], repeats=steps)
    product = multiplied(importer, own, x, x.stream, supply, MatrixVector(), np.array([unit]), None, natural)
    source = _recurrent_source(importer, node, recurrent[order], steps)
    ends = sum_interval(importer.streams[product.stream], importer.streams[source], (0, 1))
    gates = [
        _gate(arithmetic.tanh if gate == 2 else arithmetic.sigmoid, one, ends, f"{node.label}, gate {'ifgo'[gate]}")
        for gate, one in enumerate(np.split(bias, GATES))
    ]
    importer.threshold_count += sum(gate.thresholds.size for gate in gates)
    op = LstmCell(
        _laid_out(gates, units, ends[1] + 1),
        bases=tuple(gate.base for gate in gates),  # type: ignore[arg-type]
        factors=(1, 1 << arithmetic.fraction_bits),
        shift=arithmetic.gate_bits,
        limits=(-arithmetic.most, arithmetic.most),
        outputs=theta.astype(np.int64)[:, None],
        last=bool(last),
        stateful=bool(stateful),
    )
    name = importer.emit(node.name, op, product.stream, source)
    importer.describe(name, np.array([scale]))
    if op.last:
        importer.tensors[name] = node.outputs[0]
    index = np.arange(importer.streams[name].size)
    return Tensor(name, index if op.last else index.reshape(steps, units), np.array([scale]))


def _sequence(importer: Importer, node: ModelNode, scale: float) -> Tensor:
    """Return the sequence of unsigned codes that a node reads, (T, C); raises UnsupportedError where it is none."""
    tensor = importer.tensor(node, 0)
    stream = importer.streams[tensor.stream]
    if tensor.steps or stream.lo < 0 or tensor.index.ndim != 2 or not is_pixel_by_pixel(tensor, stream):
        raise UnsupportedError(
            f"{node.label}: its input has shape (N, {', '.join(map(str, tensor.index.shape))}) and is no sequence (N, steps, "
            "features) of unsigned codes; put an unsigned activation quantizer on it, and transpose it where features come first"
        )
    if stream.hi >= 1 << MOST_BITS:
        raise UnsupportedError(f"{node.label}: its input holds codes up to {stream.hi}; supported are {MOST_BITS} bits")
    if tensor.scale.size != 1 or abs(float(tensor.scale[0]) / scale - 1) > 1e-6:
        raise UnsupportedError(
            f"{node.label}: its input has scale {tensor.scale[0]:g}, the node {scale:g}; use an activation quantizer of the "
            "node's scale"
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
    values = importer.constant(node, position).astype(np.float32).reshape(-1)
    if values.size != size:
        raise UnsupportedError(f"{node.label}: input {position} holds {values.size} numbers; expected {size}")
    return values


def _recurrent_source(importer: Importer, node: ModelNode, weights: IntArray, steps: int) -> str:
    """Emit the source of the recurrent weights; returns its stream."""
    name = importer.unique(f"{node.name}_recurrent_weights")
    stored = RomWeights(weights, repeats=steps)
    supply = LoadedWeights.of(stored) if loads(importer.options.loaded, (name, node.name)) else stored
    return importer.place(name, supply)


def _gate(
    function: Callable[[IntArray, Floats], IntArray], bias: Floats, ends: tuple[int, int], where: str
) -> Threshold:
    """Find the thresholds of a gate, a row a unit, by the node's own float arithmetic."""
    return find_thresholds(lambda sums: function(sums, bias), bias.size, *ends, where)


def _laid_out(gates: list[Threshold], units: int, never: int) -> IntArray:
    """Lay the thresholds of the gates out unit by unit; those that a gate has fewer are `never` reached."""
    steps = max(gate.thresholds.shape[1] for gate in gates)
    rows = [
        np.pad(one.thresholds, ((0, 0), (0, steps - one.thresholds.shape[1])), constant_values=never) for one in gates
    ]
    return np.stack(rows, axis=1).reshape(GATES * units, steps)
