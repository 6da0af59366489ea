"""Functions that a model computes of one tensor by several nodes: x * sigmoid(x) and the like, as one float step."""

from __future__ import annotations

from itertools import takewhile

import numpy as np

from muxflow.frontend.importer.float_chain import Step
from muxflow.frontend.importer.values import Tensor
from muxflow.frontend.model import ModelNode

KNOWN = {"HardSwish": "hard-swish", "Gelu": "GELU", "Mish": "Mish"}
"""Operators that rise and fall, as people call them."""


def composed(node: ModelNode, left: Tensor, right: Tensor) -> Tensor | None:
    """Join two functions of the same codes into one; None where they are of other codes, or differ between channels."""
    if left.stream != right.stream or not np.array_equal(left.index, right.index):
        return None
    pairs = zip(left.steps, right.steps, strict=False)
    shared = sum(1 for _ in takewhile(lambda pair: pair[0] is pair[1], pairs))
    branches = (left.steps[shared:], right.steps[shared:])
    if any(size > 1 for branch in branches for step in branch for size in step.sizes()):
        return None
    name = _function(node.op_type, branches)
    step = Step(node.op_type, (), (None, None), f"{node.name} ({name or node.op_type})", branches, name)
    return Tensor(left.stream, left.index, left.scale, (*left.steps[:shared], step), left.exact)


def _function(op_type: str, branches: tuple[tuple[Step, ...], ...]) -> str:
    """Name the function that the product of a tensor and a function of it is; "" for one without a name."""
    own = [branch for branch in branches if branch]
    if op_type != "Mul" or len(own) != 1:
        return "x * x" if op_type == "Mul" and not own else ""
    kinds = {step.op_type for step in own[0]}
    if {"Softplus", "Tanh"} <= kinds:
        return "Mish"
    if kinds & {"Erf", "Tanh"}:
        return "GELU"
    if kinds == {"Sigmoid"}:
        return "SiLU"
    if "Sigmoid" in kinds:
        return "GELU"
    return "hard-swish" if kinds & {"HardSigmoid", "Clip", "Relu", "Min"} else ""


def functions_of(steps: tuple[Step, ...]) -> list[str]:
    """List the functions among float steps that rise and fall, as people call them."""
    return [name for step in steps if (name := step.function or KNOWN.get(step.op_type, ""))]
