"""Nodes that compute as in training: what they give depends on the batch or on chance, so no hardware is equal to them."""

from __future__ import annotations

from collections.abc import Mapping

from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.importer.values import Value
from muxflow.frontend.model import CHANNELS_LAST, STANDARD, Constant, ModelNode

IS_TEST_UNTIL = 6
"""The last opset at which nodes say by `is_test` that they are at inference; its default, 0, is training."""
RANDOM = frozenset(
    ("Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike")
)
"""Operators that draw numbers anew in every run."""


def check_inference(node: ModelNode, values: Mapping[str, Value], opset: int) -> None:
    """Raise UnsupportedError for a node that computes as in training, or draws random numbers; `values`: what it reads."""
    if node.domain not in (STANDARD, CHANNELS_LAST):
        return
    if node.op_type in RANDOM:
        raise UnsupportedError(
            f"{node.label}: it draws random numbers in every run; export the model with constants in their place"
        )
    sign = ""
    if node.op_type in ("BatchNormalization", "Dropout"):
        sign = _sign(node, values, opset)
    if sign:
        does = "normalizes by each batch" if node.op_type == "BatchNormalization" else "drops values at random"
        raise UnsupportedError(
            f"{node.label}: exported in training mode ({sign}), in which it {does}; call model.eval() and export the model "
            "again with training=TrainingMode.EVAL"
        )


def _sign(node: ModelNode, values: Mapping[str, Value], opset: int) -> str:
    """Say by what a BatchNormalization or a Dropout is one of training, "" for one at inference."""
    if node.domain == STANDARD and opset <= IS_TEST_UNTIL:
        if "is_test" in node.attributes:
            return "" if node.attributes["is_test"] else "is_test is 0"
        return f"is_test, which is 0 by default at opset {opset}, is left out"
    if node.op_type == "BatchNormalization":
        outputs = len(list(filter(None, node.outputs)))
        if node.attributes.get("training_mode", 0):
            return "training_mode is 1"
        return f"it has {outputs} outputs, among them statistics of the batch" if outputs > 1 else ""
    if len(node.inputs) < 3 or not node.inputs[2]:
        return ""
    given = values[node.inputs[2]]
    if not isinstance(given, Constant):
        return f"training_mode, its input {node.inputs[2]}, is computed or given at run time"
    return "its input training_mode is True" if given.value.any() else ""
