"""QONNX custom operator QuantLSTMCell, which Brevitas writes for its QuantLSTM and QONNX itself does not have.

| operator | inputs -> output | attributes |
|---|---|---|
| QuantLSTMCell | x (N, T, C), state h and c, eight weights, four biases, scale, zero point and bits of each of `QUANTIZERS` ->
h (N, T, H), last h, last c | batch_first, reverse_input, cifg, stateful (ints); signed, narrow, rounding mode of each quantizer |
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from qonnx.core.datatype import DataType
from qonnx.custom_op.general.quant import quant
from qonnx.custom_op.registry import add_op_to_domain

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.model import QUANTIZED
from muxflow.frontend.qonnx.ops import Floats, MuxflowOp
from muxflow.frontend.recurrent import GATE_QUANTIZERS, QUANTIZERS, gate_inputs, quantizer_input

ORDINARY = {"batch_first": 1, "reverse_input": 0, "cifg": 0}
"""What is executed: one direction over (N, T, C), input and forget gates apart."""
QUANTIZER_FLAGS = tuple(f"{name}_{flag}" for name in QUANTIZERS for flag in ("signed", "narrow", "narrow_range"))
"""Attributes that say yes or no of a quantizer; of one of them Brevitas spells `narrow` otherwise."""


def sigmoid(values: Floats) -> Floats:
    """Compute the sigmoid, rounded once to float32."""
    return np.asarray(1 / (1 + np.exp(-values.astype(np.float64))), np.float32)


def tanh(values: Floats) -> Floats:
    """Compute the hyperbolic tangent, rounded once to float32."""
    return np.asarray(np.tanh(values.astype(np.float64)), np.float32)


class QuantLSTMCell(MuxflowOp):
    """Brevitas' recurrent layer: every sum, gate, product and state through a quantizer of its own.

    Outputs 1 and 2 are h and c of the last step. `stateful`, which Brevitas does not write: sequences of a batch go on from
    each other. Source: Brevitas, `brevitas.nn.quant_rnn`.
    """

    def get_nodeattr_types(self) -> dict[str, tuple[Any, ...]]:
        """Return the attributes of the node, QONNX form."""
        types: dict[str, tuple[Any, ...]] = {name: ("i", True, usual, {0, 1}) for name, usual in ORDINARY.items()}
        types["stateful"] = ("i", False, 0, {0, 1})
        types |= {name: ("i", False, int(name.endswith("_signed")), {0, 1}) for name in QUANTIZER_FLAGS}
        return types | {f"{name}_rounding_mode": ("s", False, "ROUND") for name in QUANTIZERS}

    def make_shape_compatible_op(self, model: Any) -> onnx.NodeProto:
        """Return a standard node of the shape of all steps' outputs."""
        x, weights = self.onnx_node.input[0], self.onnx_node.input[gate_inputs(0)[0]]
        return onnx.helper.make_node("Einsum", [x, weights], self.onnx_node.output[:1], equation="ntc,hc->nth")

    def infer_node_datatype(self, model: Any) -> None:
        """Set FLOAT32."""
        model.set_tensor_datatype(self.onnx_node.output[0], DataType["FLOAT32"])

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """Run the steps of each sequence; raises MuxflowError where the layer is another than `ORDINARY`."""
        for name, usual in ORDINARY.items():
            if self.get_nodeattr(name) != usual:
                raise MuxflowError(f"node {self.onnx_node.name}: {name} is {1 - usual}; executed is {usual}")
        given = [context[name] for name in self.onnx_node.input]
        quantized = {name: self._quantizer(name, given) for name in QUANTIZERS}
        x, h, c = given[:3]
        shape = x.shape[:2]
        if self.get_nodeattr("stateful"):
            x, h, c = x.reshape(1, -1, x.shape[2]), h[:1], c[:1]
        outputs = []
        for step in range(x.shape[1]):
            i, f, g, o = (
                quantized[result]((tanh if gate == 2 else sigmoid)(quantized[sums](_sum(given, gate, x[:, step], h))))
                for gate, (sums, result) in enumerate(GATE_QUANTIZERS)
            )
            kept, added = quantized["cell_state"](f * c), quantized["cell_state"](i * g)
            c = quantized["cell_state"](kept + added)
            h = quantized["output"](o * quantized["hidden_state_tanh"](tanh(c)))
            outputs.append(h)
        sequences = np.stack(outputs, axis=1).reshape(*shape, -1)
        context.update(zip(self.onnx_node.output, (sequences, h, c), strict=False))

    def _quantizer(self, name: str, given: list[Floats]) -> Callable[[Floats], Floats]:
        first = quantizer_input(QUANTIZERS.index(name))
        narrow = self.get_nodeattr(f"{name}_narrow") or self.get_nodeattr(f"{name}_narrow_range")
        signed, rounding = (self.get_nodeattr(f"{name}_{what}") for what in ("signed", "rounding_mode"))
        return lambda values: np.asarray(quant(values, *given[first : first + 3], signed, narrow, rounding), np.float32)

    def verify_node(self) -> None:
        """Raise MuxflowError on wrong inputs."""
        self.expect_inputs(quantizer_input(len(QUANTIZERS)))


def _sum(given: list[Floats], gate: int, x: Floats, h: Floats) -> Floats:
    """Compute what a gate adds up of a step's input and the output of the step before."""
    of_input, recurrent, bias = (given[position] for position in gate_inputs(gate))
    # The matrix library may flag invalid numbers that it read beyond a matrix's end, and never uses.
    with np.errstate(invalid="ignore"):
        return np.asarray(x @ of_input.T + h @ recurrent.T + bias, np.float32)


add_op_to_domain(QUANTIZED[0], QuantLSTMCell)
