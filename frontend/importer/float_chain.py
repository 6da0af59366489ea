"""The float arithmetic between an integer stream and the next quantizer, kept as the model wrote it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

Floats = npt.NDArray[np.float32]

UNARY = frozenset(
    "Relu LeakyRelu Clip Sigmoid HardSigmoid Tanh Elu Selu Softplus Softsign HardSwish Neg Abs Identity Dropout "
    "Floor Ceil Round Sign Sqrt Exp Log Erf Gelu Mish Celu ThresholdedRelu".split()
)
BINARY = frozenset(("Mul", "Div", "Add", "Sub", "PRelu", "Pow", "Min", "Max"))
RISING = frozenset(
    "Relu Clip Sigmoid Tanh Selu Softplus Softsign Floor Ceil Round Sign Sqrt Exp Log Erf Min Max".split()
)
"""Elementwise ops that never fall as their input rises."""
SLOPES = {"LeakyRelu": 0.01, "Elu": 1.0, "Celu": 1.0, "HardSigmoid": 0.2}
"""Elementwise ops that never fall while their attribute alpha, here with its default, is not negative."""
ROUNDED_ONCE = frozenset(
    "Relu LeakyRelu PRelu Clip Neg Abs Floor Ceil Round Sign Sqrt ThresholdedRelu Mul Div Add Sub Min Max".split()
)
"""Elementwise ops that IEEE arithmetic defines to the last bit, so that every library computes the same."""


@dataclass(frozen=True, eq=False)
class Step:
    """A float node of the model with its constants spread over the rows of a stream.

    `operands`: the node's inputs in order; None stands for the running tensor, an array has shape (1,) or (rows,).
    `branches`: of a node that joins two functions of the running tensor, the steps of each, of constants for all rows;
    `function`: the name of the function that they make together.
    """

    op_type: str
    attributes: tuple[tuple[str, Any], ...]
    operands: tuple[Floats | None, ...]
    name: str
    branches: tuple[tuple[Step, ...], ...] = ()
    function: str = ""

    def sizes(self) -> list[int]:
        """List the sizes of the constants, those of the branches among them."""
        inner = (size for branch in self.branches for step in branch for size in step.sizes())
        return [*(operand.size for operand in self.operands if operand is not None), *inner]

    def affine(self) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
        """Return (factor, summand) when the step is an affine map of each row, else None."""
        constants = [None if value is None else value.astype(np.float64) for value in self.operands]
        zero, one = np.zeros(1), np.ones(1)
        if self.op_type == "Neg":
            return -one, zero
        if self.op_type == "BatchNormalization":
            _, scale, bias, mean, variance = constants
            assert scale is not None and bias is not None and mean is not None and variance is not None
            factor = scale / np.sqrt(variance + dict(self.attributes).get("epsilon", 1e-5))
            return factor, bias - mean * factor
        if len(constants) != 2:
            return None
        left, right = constants
        if self.op_type == "Mul":
            constant = right if left is None else left
            return (constant, zero) if constant is not None else None
        if self.op_type == "Add":
            constant = right if left is None else left
            return (one, constant) if constant is not None else None
        if self.op_type == "Sub" and right is not None:
            return one, -right
        if self.op_type == "Sub" and left is not None:
            return -one, left
        if self.op_type == "Div" and right is not None:
            return 1 / right, zero
        return None

    def direction(self) -> npt.NDArray[np.int64] | None:
        """Return 1 for each row on which the step never falls, -1 where it never rises; None when neither is known."""
        affine = self.affine()
        if affine is not None:
            return np.where(affine[0] < 0, -1, 1)
        attributes = dict(self.attributes)
        slope = self.operands[-1] if self.op_type == "PRelu" else None
        rises = (
            self.op_type in RISING
            or (self.op_type in SLOPES and attributes.get("alpha", SLOPES[self.op_type]) >= 0)
            or (slope is not None and bool((slope >= 0).all()))
        )
        return np.ones(1, np.int64) if rises else None

    def rounded_once(self) -> bool:
        """Tell whether every library gives the same float32 result."""
        return self.op_type in ROUNDED_ONCE and all(step.rounded_once() for branch in self.branches for step in branch)


def constant_step(op_type: str, constant: npt.ArrayLike, name: str) -> Step:
    """Make a step `running op constant` that is not a node of its own in the model (a bias, the divisor of an average)."""
    return Step(op_type, (), (None, np.atleast_1d(np.asarray(constant, np.float32))), name)


def affine_of(steps: tuple[Step, ...]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None:
    """Return (factor, summand) of a whole chain in double precision, or None when a step is not affine."""
    factor, summand = np.ones(1), np.zeros(1)
    for step in steps:
        one = step.affine()
        if one is None:
            return None
        factor, summand = factor * one[0], summand * one[0] + one[1]
    return factor, summand


class Evaluator:
    """A chain of float nodes, run on float32 values of shape (R, rows) with the ONNX runtime, node by node as the model has it.

    Graph optimisation is off, so that no two roundings are fused into one.
    """

    def __init__(self, steps: tuple[Step, ...], rows: int, opset: int) -> None:
        self.session = _session(steps, rows, opset) if steps else None

    def __call__(self, values: Floats) -> Floats:
        if self.session is None:
            return values
        (result,) = self.session.run(None, {"x": values})
        return np.asarray(result, np.float32)


class _Chain:
    """The nodes of a chain, on their way into a model of their own."""

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []

    def add(self, steps: tuple[Step, ...], running: str) -> str:
        """Add the nodes of steps on a tensor; returns the name of their result."""
        for step in steps:
            inner = [self.add(branch, running) for branch in step.branches]
            inputs = inner or [running if one is None else self._constant(step.op_type, one) for one in step.operands]
            running = f"y{len(self.nodes)}"
            self.nodes.append(helper.make_node(step.op_type, inputs, [running], **dict(step.attributes)))
        return running

    def _constant(self, op_type: str, operand: Floats) -> str:
        # Batch normalisation wants its parameters as vectors, Clip its bounds as scalars, the rest broadcasts.
        if op_type == "BatchNormalization":
            operand = np.broadcast_to(operand, (self.rows,))
        elif op_type == "Clip":
            operand = operand.reshape(())
        elif operand.size > 1:
            operand = np.tile(operand, self.rows // operand.size)[None]
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(operand, np.float32), name))
        return name


def _session(steps: tuple[Step, ...], rows: int, opset: int) -> ort.InferenceSession:
    chain = _Chain(rows)
    result = chain.add(steps, "x")
    graph = helper.make_graph(
        chain.nodes,
        "chain",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [None, rows])],
        [helper.make_tensor_value_info(result, onnx.TensorProto.FLOAT, [None, rows])],
        chain.initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
