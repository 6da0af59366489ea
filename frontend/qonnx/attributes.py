"""Nodes in ONNX files against what their operators declare, so that they are what other libraries read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import onnx
from onnx import AttributeProto, helper
from qonnx.custom_op.registry import getCustomOp

import muxflow.frontend.qonnx.recurrent  # noqa: F401  (registers the operators of Muxflow's domain, with `ops`)
from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.text import in_one_line
from muxflow.frontend.model import CHANNELS_LAST, MUXFLOW, QUANTIZED, ModelNode
from muxflow.frontend.qonnx.quant_lstm import QUANTIZER_FLAGS

STANDARD_DOMAINS = ("", "ai.onnx")
OWN_DOMAINS = {**dict.fromkeys(QUANTIZED, QUANTIZED[0]), CHANNELS_LAST: CHANNELS_LAST, MUXFLOW: MUXFLOW}
"""Domains whose operators QONNX runs, and under which of them it knows each: it imports the module that a domain names."""
FIELDS = {"i": "INT", "f": "FLOAT", "s": "STRING", "t": "TENSOR"}
"""Types as QONNX abbreviates them; the others it spells out."""
WORDS = {
    "INT": "an integer",
    "FLOAT": "a float",
    "STRING": "a text",
    "TENSOR": "a tensor",
    "INTS": "integers",
    "FLOATS": "floats",
    "STRINGS": "texts",
    "UNDEFINED": "nothing",
}
"""How messages name a type."""


FLAGS = frozenset(
    "ceil_mode count_include_pad keepdims largest last narrow noop_with_empty_axes select_last_index signed stateful "
    "storage_order training_mode transA transB allowzero".split()
).union(QUANTIZER_FLAGS)
"""Attributes that say yes or no, each by 1 or 0: libraries differ on what another number says."""


def check_attributes(node: onnx.NodeProto, opset: int) -> None:
    """Raise UnsupportedError naming a node's attribute that is there twice, stands for another one, or has a wrong type or value.

    `opset`: of the standard operators, which are there at it and have no attributes beside those that they declare at it: the
    ONNX runtime refuses others. Those that another operator does not declare may have any type.
    """
    declared = _declared(node.op_type, OWN_DOMAINS.get(node.domain, node.domain), opset)
    if node.domain in STANDARD_DOMAINS:
        _check_declared(node, opset)
    seen: set[str] = set()
    for entry in node.attribute:
        kind = AttributeProto.AttributeType.Name(entry.type)
        wanted = declared.get(entry.name, kind)
        complaint = ""
        if entry.name in seen:
            complaint = "is there twice"
        elif entry.ref_attr_name:
            complaint = "stands for an attribute of a function"
        elif kind != wanted or kind == "UNDEFINED":
            complaint = f"holds {WORDS.get(kind, kind)}, expected {WORDS.get(wanted, wanted)}"
        elif entry.name in FLAGS and entry.name in declared and entry.i not in (0, 1):
            complaint = f"is {entry.i}, expected 0 or 1"
        if complaint:
            raise UnsupportedError(
                f"{_label(node)}: its attributes do not make sense ({in_one_line(entry.name)} {complaint}); export the model "
                "again"
            )
        seen.add(entry.name)


def _check_declared(node: onnx.NodeProto, opset: int) -> None:
    """Raise UnsupportedError naming an operator or attribute that the standard has not at an opset, and where it has it."""
    schema = _schema(node.op_type, opset)
    versions = range(1, onnx.defs.onnx_opset_version() + 1)
    if schema is None or schema.deprecated:
        having = [version for version in versions if (other := _schema(node.op_type, version)) and not other.deprecated]
        if having:
            raise UnsupportedError(
                f"{_label(node)}: there is no operator {in_one_line(node.op_type)} at opset {opset}; opsets {having[0]} to "
                f"{having[-1]} have it: libraries refuse the file, so export the model at one of those"
            )
        return
    odd = next((entry.name for entry in node.attribute if entry.name not in schema.attributes), None)
    if odd is None:
        return
    having = [version for version in versions if odd in _declared(node.op_type, "", version)]
    which = f"opset {opset}; opsets {having[0]} to {having[-1]} have it" if having else "any opset"
    remedy = "export the model at one of those, or take the attribute away" if having else "take it away"
    raise UnsupportedError(
        f"{_label(node)}: {node.op_type} has no attribute {in_one_line(odd)} at {which}: libraries refuse it or pass over it, "
        f"so {remedy}"
    )


def check_ends(node: onnx.NodeProto, opset: int) -> None:
    """Raise UnsupportedError naming a node of a standard operator with more inputs or outputs than it has.

    Other libraries refuse it; the import would leave out what is too many.
    """
    if node.domain not in STANDARD_DOMAINS:
        return
    schema = _schema(node.op_type, opset)
    if schema is None:
        return
    for what, names, most in (("inputs", node.input, schema.max_input), ("outputs", node.output, schema.max_output)):
        if len(names) > most:
            raise UnsupportedError(
                f"{_label(node)}: {len(names)} {what}, where the operator has {most} at most; export the model again"
            )


def _label(node: onnx.NodeProto) -> str:
    return ModelNode(node.name or next(iter(node.output), node.op_type), node.op_type, (), ()).label


@cache
def _schema(op_type: str, opset: int) -> onnx.defs.OpSchema | None:
    """Give what a standard operator declares at an opset, None where the installed ONNX has no such operator."""
    try:
        return onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return None


@cache
def _declared(op_type: str, domain: str, opset: int) -> Mapping[str, str]:
    """Give the types of an operator's attributes by name, none of an operator that is not known."""
    if domain in STANDARD_DOMAINS:
        schema = _schema(op_type, opset)
        return {name: entry.type.name for name, entry in schema.attributes.items()} if schema is not None else {}
    if domain not in OWN_DOMAINS:
        return {}
    try:
        kinds = getCustomOp(helper.make_node(op_type, (), (), domain=domain)).get_nodeattr_types()
    except KeyError:
        return {}
    return {name: FIELDS.get(entry[0], entry[0].upper()) for name, entry in kinds.items()}
