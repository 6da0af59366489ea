"""QONNX custom operator LstmCell of the domain "muxflow": a recurrent layer on codes, its gates hard and of few bits.

| operator | inputs -> output | attributes |
|---|---|---|
| LstmCell | x (N, T, C), W (4H, C), U (4H, H), b (4H), theta (H) -> h (N, T, H), (N, H) where `last` | gate_bits, cell_bits,
fraction_bits, last, stateful (ints), scale, weight_scale (floats) |
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from qonnx.custom_op.registry import add_op_to_domain

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.qonnx.ops import DOMAIN, Codes, Floats, MuxflowOp, to_codes
from muxflow.frontend.recurrent import CellArithmetic

INPUT_BITS = 16
"""Most bits of the codes of x."""


def lstm_cell(x: Codes, weights: tuple[Codes, Codes], bias: Floats, theta: Codes, arithmetic: CellArithmetic) -> Codes:
    """Compute the outputs of all steps, 0 or 1, (N, T, H), of codes (N, T, C) and the codes of W and U.

    Rows of both are gate by gate: i, f, g, o. `theta`: H integers. State and output are 0 before the first step.
    Source: BILLNET (arXiv 2501.14495); the arithmetic is a decision.
    """
    of_input, recurrent = weights
    state = output = np.zeros((len(x), recurrent.shape[1]), np.int64)
    outputs = []
    for step in range(x.shape[1]):
        sums = x[:, step] @ of_input.T + output @ recurrent.T
        state, output = arithmetic.step(sums, bias, state, theta)
        outputs.append(output)
    return np.stack(outputs, axis=1)


def weight_codes(name: str, values: Floats, scale: float) -> Codes:
    """Return the integer codes of weights `scale * code`; raises MuxflowError where they are none."""
    ratio = values.astype(np.float64) / scale
    codes = np.rint(ratio)
    if np.abs(ratio - codes).max(initial=0) > 1e-3:
        raise MuxflowError(f"{name}: its weights are not whole multiples of weight_scale, {scale:g}; export again")
    return codes.astype(np.int64)


class LstmCell(MuxflowOp):
    """A recurrent layer, see `lstm_cell`.

    Inputs: x (N, T, C), `scale` times unsigned codes; W and U, `weight_scale` times integers; b; theta, integers as
    float32. Output: `scale` times 0 or 1. `stateful`: sequences of a batch go on from each other.
    Source: BILLNET (arXiv 2501.14495), a fully quantised LSTM.
    """

    def get_nodeattr_types(self) -> dict[str, tuple[Any, ...]]:
        """Return the attributes of the node, QONNX form."""
        return {
            "gate_bits": ("i", True, 3),
            "cell_bits": ("i", True, 6),
            "fraction_bits": ("i", True, 0),
            "scale": ("f", True, 1.0),
            "weight_scale": ("f", True, 1.0),
            "last": ("i", True, 0, {0, 1}),
            "stateful": ("i", False, 0, {0, 1}),
        }

    def arithmetic(self) -> CellArithmetic:
        """Make what the attributes describe; raises UnsupportedError when they are out of range."""
        gate, cell, fraction = (self.get_nodeattr(name) for name in ("gate_bits", "cell_bits", "fraction_bits"))
        unit = np.float32(self.get_nodeattr("scale")) * np.float32(self.get_nodeattr("weight_scale"))
        return CellArithmetic(gate, cell, fraction, unit)

    def make_shape_compatible_op(self, model: Any) -> Any:
        """Return a standard node of the output's shape."""
        sent = "nh" if self.get_nodeattr("last") else "nth"
        inputs, output = self.onnx_node.input[:3], self.onnx_node.output[0]
        return onnx.helper.make_node("Einsum", inputs, [output], equation=f"ntc,gc,gh->{sent}")

    def infer_node_datatype(self, model: Any) -> None:
        """Set BINARY at scale one, FLOAT32 otherwise."""
        model.set_tensor_datatype(self.onnx_node.output[0], self.scaled_datatype("BINARY"))

    def execute_node(self, context: dict[str, Any], graph: Any) -> None:
        """Run the steps of each sequence."""
        name, scale = self.onnx_node.name, self.get_nodeattr("scale")
        x, of_input, recurrent, bias, theta = (context[tensor] for tensor in self.onnx_node.input)
        step = self.get_nodeattr("weight_scale")
        weights = weight_codes(name, of_input, step), weight_codes(name, recurrent, step)
        limits = theta.astype(np.int64)
        if not np.array_equal(limits, theta):
            raise MuxflowError(f"node {name}: theta is not made of integers; export writes ceil(theta)")
        given = to_codes(name, x, scale, INPUT_BITS)
        if self.get_nodeattr("stateful"):
            given = given.reshape(1, -1, given.shape[2])
        outputs = lstm_cell(given, weights, bias.astype(np.float32), limits, self.arithmetic())
        outputs = outputs.reshape(*x.shape[:2], -1)
        sent = outputs[:, -1] if self.get_nodeattr("last") else outputs
        context[self.onnx_node.output[0]] = sent.astype(np.float32) * np.float32(scale)

    def verify_node(self) -> None:
        """Raise MuxflowError on wrong inputs or attributes."""
        self.expect_inputs(5)
        self.arithmetic()


add_op_to_domain(DOMAIN, LstmCell)
