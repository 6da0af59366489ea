"""Import of Brevitas' QuantLSTM, which QONNX files hold as one node, where integers compute exactly what it does.

So they do where all scales are powers of two: every float32 sum and product of the layer is exact then, and its quantizers
round half to even, as an integer can.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import corners
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.lstm_cell import GATES, LstmCell, sum_interval
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.importer.codes import MOST_BITS
from muxflow.frontend.importer.float_chain import Evaluator, Floats, Step
from muxflow.frontend.importer.handling import handles
from muxflow.frontend.importer.products import weight_codes
from muxflow.frontend.importer.quantizers import Quantizer, codes_of, read_scale, read_zero_point
from muxflow.frontend.importer.recurrent import laid_out, products, sequence
from muxflow.frontend.importer.thresholds import count_distinct, find_thresholds
from muxflow.frontend.importer.values import Doubles, Tensor, Value
from muxflow.frontend.importer.walk import Importer
from muxflow.frontend.model import QUANTIZED, ModelNode
from muxflow.frontend.recurrent import GATE_QUANTIZERS, QUANTIZERS, gate_inputs, quantizer_input

EXACT = 1 << 24
"""Whole numbers up to which float32 holds them all."""


@dataclass(frozen=True, eq=False)
class _Gate:
    """A gate: its weights in common steps of `unit`, its bias, and the quantizers of its sums and of what it gives."""

    of_input: IntArray
    recurrent: IntArray
    bias: IntArray
    unit: float
    sums: Quantizer
    result: Quantizer


@handles("QuantLSTMCell", domains=QUANTIZED)
def quant_lstm(importer: Importer, node: ModelNode) -> Value:
    """Import QuantLSTMCell whose scales are powers of two: the outputs of all steps, its first output."""
    for name, wanted in (("batch_first", 1), ("cifg", 0), ("reverse_input", 0)):
        if int(node.attributes.get(name, 0)) != wanted:
            raise UnsupportedError(
                f"{node.label}: {name} is {node.attributes.get(name, 0)}; supported is {wanted}, a layer of one direction over "
                "(N, steps, features) whose input and forget gates are apart"
            )
    if any(importer.constant(node, position).any() for position in (1, 2)):
        raise UnsupportedError(f"{node.label}: its state does not begin at 0; leave the initial state out")
    quantizers = {name: _quantizer(importer, node, number, name) for number, name in enumerate(QUANTIZERS)}
    output = quantizers["output"]
    x = sequence(importer, node)
    steps, features = x.index.shape
    _power_of_two(node, "its input", x.scale)
    scales = float(x.scale[0]), float(output.scale[0])
    gates = [_gate(importer, node, number, scales, quantizers) for number in range(GATES)]
    units = len(gates[0].of_input)
    shapes = {gate.of_input.shape for gate in gates} | {(len(gate.recurrent), features) for gate in gates}
    if shapes != {(units, features)} or any(gate.recurrent.shape != (units, units) for gate in gates):
        raise UnsupportedError(f"{node.label}: the shapes of its weights do not fit; export the model again")
    matrices = (np.stack([gate.of_input for gate in gates]), np.stack([gate.recurrent for gate in gates]))
    streams = products(importer, node, x, *matrices)
    ends = sum_interval(importer.streams[streams[0]], importer.streams[streams[1]], output.interval())
    found = [_thresholds(importer, node, number, gate, ends) for number, gate in enumerate(gates)]
    cell = quantizers["cell_state"]
    squash = _squash(importer, node, cell, quantizers["hidden_state_tanh"])
    sent = _outputs(node, found[3], squash, (gates[3].result, quantizers["hidden_state_tanh"]), output)
    factors, shift = _state(gates, cell)
    op = LstmCell(
        laid_out(found, units, ends[1] + 1),
        bases=tuple(one.base for one in found),
        factors=factors,
        shift=shift,
        limits=cell.interval(),
        outputs=np.tile(sent.thresholds, (units, 1)),
        output_base=sent.base,
        each=True,
        squash=squash.thresholds[0],
        squash_base=squash.base,
        stateful=bool(node.attributes.get("stateful", 0)),
    )
    importer.threshold_count += count_distinct(op.thresholds, squash.thresholds, sent.thresholds)
    name = importer.emit(node.name, op, *streams)
    importer.describe(name, output.scale.astype(np.float64))
    index = np.arange(importer.streams[name].size).reshape(steps, units)
    return Tensor(name, index, output.scale.astype(np.float64))


def _power_of_two(node: ModelNode, what: str, scale: Floats | Doubles) -> None:
    """Raise UnsupportedError where a scale is not one power of two."""
    if scale.size != 1 or np.frexp(scale)[0].item() != 0.5:
        raise UnsupportedError(
            f"{node.label}: {what} has a scale of {', '.join(f'{one:g}' for one in scale.reshape(-1)[:3])}; sums and products "
            "are exact, and so importable, where every scale is one power of two: use quantizers of brevitas.quant.fixed_point "
            "for weights, biases, gates, state and output"
        )


def _quantizer(importer: Importer, node: ModelNode, number: int, name: str) -> Quantizer:
    position = quantizer_input(number)
    scale, zero_point = read_scale(importer, node, position), read_zero_point(importer, node, position + 1)
    _power_of_two(node, f"{name}_quant", scale)
    bits = importer.constant(node, position + 2).reshape(-1)
    if zero_point.any() or bits.size != 1 or float(bits[0]) not in range(1, MOST_BITS + 1):
        raise UnsupportedError(f"{node.label}: {name}_quant has a zero point, or not 1 to {MOST_BITS} bits; use others")
    given = node.attributes
    rounding = str(given.get(f"{name}_rounding_mode", "ROUND")).upper()
    if rounding != "ROUND":
        raise UnsupportedError(f"{node.label}: {name}_quant rounds by {rounding}; supported is ROUND")
    narrow = given.get(f"{name}_narrow", given.get(f"{name}_narrow_range", 0))
    signed = bool(given.get(f"{name}_signed", 1))
    return Quantizer(scale.reshape(1), zero_point.reshape(-1)[:1], int(bits[0]), signed, bool(narrow), rounding)


def _gate(
    importer: Importer,
    node: ModelNode,
    number: int,
    scales: tuple[float, float],
    quantizers: dict[str, Quantizer],
) -> _Gate:
    """Bring the weights of a gate, and its bias, onto one grid; `scales`: of the layer's input and of its output."""
    codes, units = [], []
    *matrices, bias_position = gate_inputs(number)
    for position, scale in zip(matrices, scales, strict=True):
        given, step = weight_codes(importer, node, position, 0)
        _power_of_two(node, node.inputs[position], step)
        codes.append(given)
        units.append(float(step[0]) * scale)
    unit = min(units)
    of_input, recurrent = (one * round(size / unit) for one, size in zip(codes, units, strict=True))
    bias = importer.constant(node, bias_position).astype(np.float64).reshape(-1) / unit
    if (bias != np.rint(bias)).any() or np.abs(bias).max(initial=0) >= EXACT:
        raise UnsupportedError(
            f"{node.label}: a bias is not made of steps of its sums, {unit:g}; use Int32Bias, or no bias"
        )
    whole = np.broadcast_to(bias.astype(np.int64), (len(of_input),))
    sums, result = (quantizers[name] for name in GATE_QUANTIZERS[number])
    return _Gate(of_input, recurrent, whole, unit, sums, result)


def _evaluated(importer: Importer, function: str) -> Callable[[Floats], Floats]:
    """Give a float function as the ONNX runtime computes it, of values of any shape."""
    evaluator = Evaluator((Step(function, (), (None,), function),), 1, importer.opset)
    return lambda values: evaluator(values.reshape(-1, 1)).reshape(values.shape)


def _codes(quantizer: Quantizer, values: Floats) -> IntArray:
    return codes_of(quantizer.levels(values, quantizer.scale, quantizer.zero_point), quantizer.scale)


def _thresholds(importer: Importer, node: ModelNode, number: int, gate: _Gate, ends: tuple[int, int]) -> Threshold:
    """Find the thresholds of a gate: its sums are quantized, then what it makes of them."""
    if max(map(abs, ends)) + int(np.abs(gate.bias).max(initial=0)) >= EXACT:
        raise UnsupportedError(
            f"{node.label}: its sums reach {max(map(abs, ends))}, which float32 rounds; use fewer bits"
        )
    function = _evaluated(importer, "Tanh" if number == 2 else "Sigmoid")

    def codes(sums: IntArray) -> IntArray:
        values = ((sums + gate.bias) * gate.unit).astype(np.float32)
        return _codes(gate.result, function(gate.sums.levels(values, gate.sums.scale, gate.sums.zero_point)))

    return find_thresholds(codes, len(gate.bias), *ends, f"{node.label}, gate {'ifgo'[number]}")


def _squash(importer: Importer, node: ModelNode, cell: Quantizer, quantizer: Quantizer) -> Threshold:
    """Find the thresholds of the quantized tanh of the state."""
    function, scale = _evaluated(importer, "Tanh"), cell.scale
    return find_thresholds(
        lambda state: _codes(quantizer, function(state.astype(np.float32) * scale)),
        1,
        *cell.interval(),
        f"{node.label}, tanh of the state",
    )


def _outputs(
    node: ModelNode, gate: Threshold, squash: Threshold, factors: tuple[Quantizer, Quantizer], output: Quantizer
) -> Threshold:
    """Find the thresholds of the output over the products of output gate and squashed state."""
    ends = [(one.base, one.base + one.thresholds.shape[1]) for one in (gate, squash)]
    unit = factors[0].scale * factors[1].scale
    return find_thresholds(
        lambda value: _codes(output, value.astype(np.float32) * unit),
        1,
        *corners(*ends),
        f"{node.label}, output",
    )


def _state(gates: list[_Gate], cell: Quantizer) -> tuple[tuple[int, int], int]:
    """Give the factors of both summands of the state, powers of two, and the shift that brings them to its steps."""
    kept = float(gates[1].result.scale[0])
    added = float(gates[0].result.scale[0] * gates[2].result.scale[0] / cell.scale[0])
    shifts = [-int(np.log2(one)) for one in (kept, added)]
    shift = max(0, *shifts)
    return (1 << shift - shifts[0], 1 << shift - shifts[1]), shift
