"""ONNX files with the operators of QONNX, FINN or Muxflow: protobuf in, `Model` out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.files import check_file
from muxflow.dataflow.limits import check_bytes
from muxflow.dataflow.text import in_one_line, plainly
from muxflow.frontend.faults import raise_machine_fault
from muxflow.frontend.importer.grids import is_weight, on_grid
from muxflow.frontend.model import QUANTIZED, STANDARD, Constant, Grid, Model, ModelInput, ModelNode, model_name
from muxflow.frontend.qonnx.attributes import STANDARD_DOMAINS, check_attributes, check_ends
from muxflow.frontend.qonnx.external import is_whole, load_external
from muxflow.frontend.qonnx.qdq import with_quantizers

METADATA_PREFIX = "muxflow."
INPUT_BITS = 16
LONGEST_NUMBER = 3
"""Digits of a type's sizes that are read."""
INTEGER_TYPE = re.compile(r"(?P<unsigned>U?)INT(?P<bits>\d+)|BINARY|BIPOLAR|TERNARY")
FIXED_TYPE = re.compile(r"FIXED<(?P<bits>\d+),(?P<integer>\d+)>")
FEW_LEVELS = {"BINARY": Grid(0, 1), "BIPOLAR": Grid(-1, 1, bipolar=True), "TERNARY": Grid(-1, 1)}
DEFAULTS: Mapping[str, Mapping[str, int | str]] = {
    "Quant": {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"},
    "IntQuant": {"signed": 1, "narrow": 0, "rounding_mode": "ROUND"},
    "Trunc": {"rounding_mode": "FLOOR"},
}
"""What QONNX' documentation says of quantizers that do not say it; its code refuses to run them."""
QUANTIZERS = frozenset(("Quant", "IntQuant", "BipolarQuant", "Trunc"))
RENAMED = {"MuxShift": "MuxJoin", "CellularAutomatonWeights": "AutomatonWeights"}
"""Muxflow's operators as older files call them."""
CLEANED = re.compile(r"\w+_\d+_out\d+|global_(in|out)(_\d+)?")
"""Names of tensors that QONNX's cleanup gives."""
INSIDE_QUANTIZER = "/tensor_quant/"
"""In the names of nodes that torch's exporter made of the insides of a Brevitas quantizer."""


def read_model(path: Path) -> onnx.ModelProto:
    """Read a model file.

    Raises MuxflowError naming it when it is absent, empty or not ONNX, UnsupportedError when its operators are newer than the
    installed ONNX, when torch took its quantizers apart, when QONNX's cleanup broke it, or naming a node that has what its
    operator has not.

    Brevitas' rounding mode ROUND_TO_ZERO gets the name that QONNX has for it, DOWN, Muxflow's operators their names of
    today, and quantizers without a domain, as in older files, QONNX'.
    """
    model = _parsed(Path(path))
    _check_opset(path, model)
    _check_quantizers(path, model)
    _check_dense(path, model)
    _check_renamed(path, model)
    for node in model.graph.node:
        check_attributes(node, _opset(model))
        check_ends(node, _opset(model))
    return model


def _check_opset(path: Path, model: onnx.ModelProto) -> None:
    newest = onnx.defs.onnx_opset_version()
    for entry in model.opset_import:
        if entry.domain in STANDARD_DOMAINS and not 1 <= entry.version <= newest:
            raise UnsupportedError(
                f"model {path}: operators of opset {entry.version}; supported are 1 to {newest}, the newest that the installed "
                f"ONNX {onnx.__version__} has, so export it again with one of those (opset_version={newest})"
            )


def _check_quantizers(path: Path, model: onnx.ModelProto) -> None:
    nodes = model.graph.node
    taken = next((node.name for node in nodes if node.op_type == "Round" and INSIDE_QUANTIZER in node.name), None)
    if taken is not None and not any(node.op_type in QUANTIZERS or node.op_type == "QuantizeLinear" for node in nodes):
        raise UnsupportedError(
            f"model {path}: {taken} is a part of a Brevitas quantizer, as torch.onnx.export takes it apart; export the model by "
            "muxflow.frontend.brevitas.export.export, or by Brevitas' export_qonnx with dynamo=False"
        )


def _check_dense(path: Path, model: onnx.ModelProto) -> None:
    for sparse in model.graph.sparse_initializer:
        raise UnsupportedError(
            f"model {path}: constant {in_one_line(sparse.values.name)} is a sparse initializer; supported are dense ones, so "
            "write all of its values, zeros too (onnx.numpy_helper.from_array)"
        )


def _check_renamed(path: Path, model: onnx.ModelProto) -> None:
    """Raise UnsupportedError where QONNX's cleanup named all tensors anew but one that a node reads a second time."""
    graph = model.graph
    written = {name for node in graph.node for name in node.output if name}
    if not all(CLEANED.fullmatch(name) for name in written):
        return
    known = written.union(entry.name for entry in (*graph.input, *graph.initializer))
    for node in graph.node:
        lost = next((name for name in node.input if name and name not in known and not CLEANED.fullmatch(name)), None)
        if lost is not None and known.intersection(node.input):
            raise UnsupportedError(
                f"model {path}: node {in_one_line(node.name)} ({node.op_type}) reads {in_one_line(lost)}, which nothing writes: "
                "QONNX's cleanup gave a tensor that the node reads twice its new name only once; give the file from before the "
                "cleanup, or export it again by muxflow.frontend.brevitas.export.export"
            )


def _opset(model: onnx.ModelProto) -> int:
    """Tell which version of ONNX gives the standard operators their meaning."""
    return next((entry.version for entry in model.opset_import if entry.domain in STANDARD_DOMAINS), 20)


def one_file(path: Path) -> bytes:
    """Give the bytes of a model file, with constants that stand in files beside it in it; raises MuxflowError naming the file."""
    path = Path(path)
    model, data = _message(path)
    if is_whole(model):
        return data
    load_external(model, path, len(data))
    try:
        return bytes(model.SerializeToString(deterministic=True))
    except Exception as error:  # protobuf's EncodeError has no stable import path
        raise_machine_fault(error, f"model {path}")
        raise MuxflowError(
            f"model {path}: with its external data no one file ({plainly(error)}), as protocol buffers hold less than 2 GiB; "
            "it is too large"
        ) from error


def _message(path: Path) -> tuple[onnx.ModelProto, bytes]:
    """Read a file alone, without what stands beside it."""
    check_file(path, "give a QONNX file, or train one with `muxflow train`", "model")
    model = onnx.ModelProto()
    try:
        check_bytes(f"model {path}", path.stat().st_size)
        data = path.read_bytes()
        model.ParseFromString(data)
    except MuxflowError:
        raise
    except Exception as error:  # protobuf's DecodeError has no stable import path
        raise_machine_fault(error, f"model {path}")
        if isinstance(error, OSError):
            raise MuxflowError(f"model {path}: cannot be read ({plainly(error)})") from error
        raise MuxflowError(
            f"model {path}: not an ONNX file or cut short ({plainly(error)}); export the model again"
        ) from error
    return model, data


def _parsed(path: Path, whole: bool = True) -> onnx.ModelProto:
    """Read a file and check what it holds; `whole`: with the constants that stand beside it."""
    model, data = _message(path)
    _decode_texts(model)
    if whole:
        load_external(model, path, len(data))
    if not data:
        raise MuxflowError(f"model {path}: the file is empty; export the model again")
    if not model.graph.node or not model.graph.output:
        raise MuxflowError(f"model {path}: not a whole ONNX model (no nodes or no output); export the model again")
    if not all(entry.name for entry in (*model.graph.input, *model.graph.output)):
        raise MuxflowError(f"model {path}: an input or output has no name; give it one")
    for what, entries in (("inputs", model.graph.input), ("constants", model.graph.initializer)):
        names = [entry.name for entry in entries]
        if len(set(names)) < len(names):
            raise MuxflowError(f"model {path}: two of its {what} have one name; export the model again")
    for node in model.graph.node:
        node.op_type = RENAMED.get(node.op_type, node.op_type)
        if node.op_type in QUANTIZERS and node.domain in STANDARD_DOMAINS:
            node.domain = QUANTIZED[0]
    name_roundings(model)
    _write_defaults(model)
    return model


def _write_defaults(model: onnx.ModelProto) -> None:
    """Write out what quantizers leave to the defaults of QONNX' documentation, so that QONNX runs them too."""
    for node in model.graph.node:
        if node.domain in QUANTIZED and node.op_type in DEFAULTS:
            known = {entry.name for entry in node.attribute}
            missing = ((name, value) for name, value in DEFAULTS[node.op_type].items() if name not in known)
            node.attribute.extend(helper.make_attribute(*one) for one in missing)


def name_roundings(model: onnx.ModelProto) -> None:
    """Give Brevitas' rounding mode ROUND_TO_ZERO the name that QONNX has for it, DOWN."""
    for node in model.graph.node:
        for entry in node.attribute:
            if entry.name == "rounding_mode" and entry.s.upper() == b"ROUND_TO_ZERO":
                entry.s = b"DOWN"


def _decode_texts(message: Any) -> None:
    """Make text of every text in a message and the messages in it: protobuf gives one that is no UTF-8 as bytes."""
    for field, value in message.ListFields():
        if field.type == field.TYPE_MESSAGE:
            for part in (value,) if hasattr(value, "ListFields") else value:
                _decode_texts(part)
        elif field.type == field.TYPE_STRING and isinstance(value, str | bytes):
            setattr(message, field.name, _decoded(value))
        elif field.type == field.TYPE_STRING and not all(isinstance(one, str) for one in value):
            value[:] = [_decoded(one) for one in value]


def _decoded(name: str | bytes) -> str:
    return name if isinstance(name, str) else name.decode(errors="backslashreplace")


def read_onnx(path: Path) -> Model:
    """Read a model file as a description of the float model, the quantizers of QDQ files joined.

    Raises MuxflowError as `read_model`.
    """
    return with_quantizers(described(read_model(path), model_name(Path(path))))


def operators(path: Path) -> frozenset[str]:
    """List the op types of a model file; none when it cannot be read."""
    try:
        return frozenset(node.op_type for node in _parsed(Path(path), whole=False).graph.node)
    except MuxflowError:
        return frozenset()


def described(proto: onnx.ModelProto, name: str) -> Model:
    """Describe an ONNX model; raises MuxflowError naming a constant that cannot be read."""
    types = _annotated_types(proto)
    constants = {tensor.name: _constant(tensor, types.get(tensor.name, "")) for tensor in proto.graph.initializer}
    return Model(
        name,
        tuple(described_node(node) for node in proto.graph.node),
        tuple(_input(entry, types.get(entry.name, "")) for entry in proto.graph.input if entry.name not in constants),
        tuple(entry.name for entry in proto.graph.output),
        constants,
        _opset(proto),
        {
            entry.key.removeprefix(METADATA_PREFIX): entry.value
            for entry in proto.metadata_props
            if entry.key.startswith(METADATA_PREFIX)
        },
    )


def described_node(node: onnx.NodeProto) -> ModelNode:
    """Describe a node."""
    name = node.name or next(iter(node.output), node.op_type)
    attributes = {entry.name: _python(helper.get_attribute_value(entry), name) for entry in node.attribute}
    domain = STANDARD if node.domain in STANDARD_DOMAINS else node.domain
    return ModelNode(name, node.op_type, tuple(node.input), tuple(node.output), attributes, domain)


def _python(value: Any, name: str) -> Any:
    """Return an attribute as a Python value; graphs inside stay as they are, since no handler reads them."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, onnx.TensorProto):
        return _array(value, value.name or name)
    if isinstance(value, str | int | float) or not hasattr(value, "__iter__"):
        return value
    return tuple(_python(entry, name) for entry in value)


def _array(tensor: onnx.TensorProto, name: str) -> npt.NDArray[Any]:
    if tensor.data_type not in onnx.TensorProto.DataType.values():
        raise MuxflowError(
            f"constant {in_one_line(name)} has elements of type {tensor.data_type}, which ONNX has not; export the model again"
        )
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # damaged contents raise whatever the conversion meets first
        raise_machine_fault(error, f"constant {in_one_line(name)}")
        raise MuxflowError(
            f"constant {in_one_line(name)} cannot be read ({plainly(error)}); export the model again"
        ) from error


def _constant(tensor: onnx.TensorProto, annotated: str) -> Constant:
    """Read an initializer; one that is annotated as integers, of at most 16 bits, is its own codes.

    Raises UnsupportedError for one that is annotated so and holds other numbers, which QONNX rounds where they are close.
    """
    values = _array(tensor, tensor.name)
    if not INTEGER_TYPE.fullmatch(annotated):
        return Constant(values)
    if values.dtype.kind == "f" and (others := values[values != np.round(values)]).size:
        raise UnsupportedError(
            f"constant {tensor.name}: annotated as {annotated}, and holds {others[0]:g}, which is no integer; give it the "
            "values of its type, or take the annotation away"
        )
    if not values.ndim:
        return Constant(values)
    integers = on_grid(values, np.ones((1,) * values.ndim))
    return integers if is_weight(integers) else Constant(values)


def _input(entry: onnx.ValueInfoProto, annotated: str) -> ModelInput:
    """Read an input of the model, with its integers where it is annotated with a type that has them."""
    shape = tuple(dim.dim_value for dim in entry.type.tensor_type.shape.dim)[1:]
    dtype = _type_name(entry.type.tensor_type.elem_type)
    return ModelInput(entry.name, shape, _grid(annotated), dtype)


def _grid(annotated: str) -> Grid | None:
    """Return the integers of a data type of QONNX; None for floats, and for more than `INPUT_BITS` bits."""
    integers, fixed = INTEGER_TYPE.fullmatch(annotated), FIXED_TYPE.fullmatch(annotated)
    kind = integers or fixed
    if annotated in FEW_LEVELS or kind is None:
        return FEW_LEVELS.get(annotated)
    bits = int(kind["bits"][:LONGEST_NUMBER])
    if not 1 <= bits <= INPUT_BITS:
        return None
    if fixed is None:
        return Grid.of_bits(bits, not kind["unsigned"])
    return Grid.of_bits(bits, True, 2.0 ** (int(kind["integer"][:LONGEST_NUMBER]) - bits))


def _type_name(number: int) -> str:
    """Name a type of ONNX as NumPy does, "" for none."""
    try:
        return str(helper.tensor_dtype_to_np_dtype(number).name) if number else ""
    except KeyError:
        return f"ONNX type {number}"


def _annotated_types(proto: onnx.ModelProto) -> Mapping[str, str]:
    """Return the data types that QONNX and FINN write beside tensors, by the tensor's name."""
    return {
        annotation.tensor_name: entry.value
        for annotation in proto.graph.quantization_annotation
        for entry in annotation.quant_parameter_tensor_names
        if entry.key == "finn_datatype"
    }
