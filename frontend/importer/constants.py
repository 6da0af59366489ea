"""Nodes of constants only, computed at import by ONNX's reference evaluator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.shape_inference
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.limits import check_elements
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.model import Constant, ModelNode

ATTRIBUTES = (str, int, float, tuple, np.ndarray)
"""What an attribute can be that is no graph."""
DIVISORS = frozenset(("strides", "dilations", "kernel_shape", "blocksize", "group", "num_outputs"))
"""Attributes by which ONNX divides."""
KERNELS = {"Conv": 1, "ConvInteger": 1, "ConvTranspose": 1, "DeformConv": 1, "QLinearConv": 3}
"""Convolutions, and which of their inputs is the kernel."""
SIZES = 256
"""Most numbers of a constant that may be sizes."""
REORDERINGS = ("Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "DepthToSpace")
MOVES = (*REORDERINGS, "Concat", "Gather", "Slice")
"""Nodes that only move elements."""


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
    if node.op_type == "DequantizeLinear":
        return _dequantized(node, operands)
    _check_reference(node, opset)
    values = [operand.value for operand in operands]
    result = _evaluate(node, values, opset)
    moved = operands if node.op_type == "Concat" else operands[:1]
    if node.op_type not in MOVES or not moved or any(one.codes is None for one in moved):
        return Constant(result)
    parts = [(one.codes, np.broadcast_to(one.scale, one.codes.shape)) for one in moved if one.codes is not None]
    codes, scale = (_evaluate(node, [*part, *values[len(moved) :]], opset) for part in zip(*parts, strict=True))
    return Constant(result, codes, scale)


def _check_reference(node: ModelNode, opset: int) -> None:
    """Raise UnsupportedError for a node of constants that ONNX' reference evaluator computes otherwise than the ONNX runtime."""
    why = ""
    if node.op_type == "BatchNormalization" and 7 <= opset < 14:
        why = f"which mixes statistics of its input in at opset {opset}; export at opset 14 or later"
    elif str(node.attributes.get("auto_pad", "NOTSET")) != "NOTSET":
        why = f"which reads auto_pad {node.attributes['auto_pad']} in a way of its own; write pads in numbers"
    if why:
        raise UnsupportedError(f"{node.label}: all its inputs are constants, computed by ONNX' reference, {why}")


def along_axis(node: ModelNode, parameter: npt.NDArray[Any], rank: int, axis: str = "axis") -> npt.NDArray[Any]:
    """Reshape a scale or a zero point so that it broadcasts against a tensor of a rank, the batch included.

    `axis`: the attribute that names the axis of a vector. Raises UnsupportedError for parameters of blocks.
    """
    if parameter.size == 1 and parameter.ndim < 2:
        return parameter.reshape(1)
    place = int(node.attributes.get(axis, 1))
    if parameter.ndim != 1 or not -rank <= place < rank or node.attributes.get("block_size", 0):
        raise UnsupportedError(
            f"{node.label}: scales or zero points of shape {parameter.shape} on axis {place} of {rank}; supported are one "
            "number, or one for each channel"
        )
    return parameter.reshape([parameter.size if axis == place % rank else 1 for axis in range(rank)])


def _dequantized(node: ModelNode, operands: Sequence[Constant]) -> Constant:
    """Compute DequantizeLinear, as float32 numbers with the integers as codes."""
    integers, scale, *zero = (operand.value for operand in operands)
    if integers.dtype.kind == "f" or scale.dtype != np.float32:
        raise UnsupportedError(
            f"{node.label}: {integers.dtype.name} times {scale.dtype.name}; supported are integers and scales in float32"
        )
    scale = along_axis(node, finite(scale, node.inputs[1]), integers.ndim)
    zero_point = along_axis(node, zero[0].astype(np.int64), integers.ndim) if zero and zero[0].size else 0
    codes = integers.astype(np.int64) - zero_point
    values = codes.astype(np.float32) * scale
    if values.shape != integers.shape:
        raise UnsupportedError(
            f"{node.label}: scales or zero points for {scale.size} channels of integers of shape {integers.shape}; give one "
            "number, or one for each channel"
        )
    return Constant(values, codes, scale.astype(np.float64)) if (scale > 0).all() else Constant(values)


def _check_size(node: ModelNode, inputs: Sequence[npt.NDArray[Any]], opset: int) -> None:
    """Raise UnsupportedError for a node that computes in graphs of its own, MuxflowError where its result would be too large.

    A few numbers can ask for any size (ConstantOfShape, Expand, Range), so ONNX infers the shape first.
    """
    inner = [name for name, value in node.attributes.items() if not isinstance(value, ATTRIBUTES)]
    if inner:
        raise UnsupportedError(
            f"{node.label}: its attribute {inner[0]} is a graph or a sparse tensor; export the model without loops, "
            "conditions and sparse constants"
        )
    for name in DIVISORS & set(node.attributes):
        if np.less(node.attributes[name], 1).any():  # ONNX would divide by it
            raise UnsupportedError(f"{node.label}: {name} {node.attributes[name]} must be at least 1")
    if node.op_type in KERNELS:
        ranks = [value.ndim for value in (*inputs[:1], *inputs[KERNELS[node.op_type] :][:1])]
        if len(ranks) < 2 or ranks[0] != ranks[1] or ranks[0] < 3:  # ONNX would end the process
            raise UnsupportedError(
                f"{node.label}: a convolution of {ranks} axes; map and kernel must have as many, 3 or more"
            )
    given = {name: value for name, value in zip(node.inputs, inputs, strict=True) if name}
    kinds = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in given.items()}
    infos = [helper.make_tensor_value_info(name, kinds[name], value.shape) for name, value in given.items()]
    small = [numpy_helper.from_array(value, name) for name, value in given.items() if value.size <= SIZES]
    outputs = [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in node.outputs if name]
    graph = helper.make_graph([_written(node)], "size", infos, outputs, small)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph.output
    except Exception as error:  # the evaluator says what is wrong with the node
        raise_machine_fault(error, node.label)
        return
    for entry in inferred:
        dims = [dim.dim_value for dim in entry.type.tensor_type.shape.dim]
        check_elements(f"{node.label}: its result", *dims)


def _written(node: ModelNode) -> onnx.NodeProto:
    attributes = {
        name: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for name, value in node.attributes.items()
    }
    return helper.make_node(node.op_type, node.inputs, node.outputs, node.name, **attributes)


def _evaluate(node: ModelNode, inputs: list[npt.NDArray[Any]], opset: int) -> npt.NDArray[Any]:
    _check_size(node, inputs, opset)
    infos = [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in node.inputs if name]
    outputs = [helper.make_tensor_value_info(node.outputs[0], onnx.TensorProto.UNDEFINED, None)]
    feeds = {name: value for name, value in zip(node.inputs, inputs, strict=True) if name}
    try:
        model = helper.make_model(
            helper.make_graph([_written(node)], "fold", infos, outputs), opset_imports=[helper.make_opsetid("", opset)]
        )
        (result,) = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # the evaluator raises whatever the op's implementation raises
        raise_machine_fault(error, node.label)
        raise UnsupportedError(
            f"{node.label}: cannot be computed from its constants ({error}); export the model again"
        ) from error
    return finite(np.asarray(result), node.outputs[0])
