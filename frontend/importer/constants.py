"""Nodes of constants only, computed at import by ONNX's reference evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.frontend.model import Constant, ModelNode

REORDERINGS = ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze")


def finite(values: npt.NDArray[Any], name: str) -> npt.NDArray[Any]:
    """Return the values of a constant; raises MuxflowError naming it when some are not finite."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise MuxflowError(
            f"constant {name} holds NaN or infinity; the training diverged or the file is damaged: export it again"
        )
    return values


def fold(node: ModelNode, operands: Sequence[Constant], opset: int) -> Constant:
    """Compute a node of constants; a quantized constant that is re-ordered stays quantized.

    Raises UnsupportedError naming the node when ONNX cannot compute it.
    """
    values = [operand.value for operand in operands]
    result = _evaluate(node, values, opset)
    first = operands[0] if operands else None
    if node.op_type not in REORDERINGS or first is None or first.codes is None:
        return Constant(result)
    scale = np.broadcast_to(first.scale, first.codes.shape)
    codes, scale = (_evaluate(node, [part, *values[1:]], opset) for part in (first.codes, scale))
    return Constant(result, codes, scale)


def _evaluate(node: ModelNode, inputs: list[npt.NDArray[Any]], opset: int) -> npt.NDArray[Any]:
    infos = [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in node.inputs if name]
    outputs = [helper.make_tensor_value_info(node.outputs[0], onnx.TensorProto.UNDEFINED, None)]
    feeds = {name: value for name, value in zip(node.inputs, inputs, strict=True) if name}
    try:
        attributes = {
            name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
            for name, value in node.attributes.items()
        }
        written = helper.make_node(node.op_type, node.inputs, node.outputs, node.name, **attributes)
        model = helper.make_model(
            helper.make_graph([written], "fold", infos, outputs), opset_imports=[helper.make_opsetid("", opset)]
        )
        (result,) = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # the evaluator raises whatever the op's implementation raises
        raise UnsupportedError(
            f"{node.label}: cannot be computed from its constants ({error}); export the model again"
        ) from error
    return finite(np.asarray(result), node.outputs[0])
