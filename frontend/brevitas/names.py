"""Names of exported nodes: those of the modules that made them, as `model.named_modules()` lists them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable

import onnx

INNER = re.compile(r"\.?(act_quant|input_quant|output_quant|weight_quant|bias_quant)(\..*)?$")
"""Where a Brevitas layer keeps its quantizers; that of an activation layer is what the layer does."""
LEADING = ("Conv", "ConvTranspose", "Gemm", "MatMul", "LstmCell", "Quant", "BipolarQuant")
"""Operators after which a module of several nodes is named, before any others."""
HANDLER = re.compile(r"export_handler(_\d+)?$")
"""Where Brevitas keeps what writes a quantizer or an LSTM layer: no module of the model; numbered from its second call on."""


def note_modules(proto: onnx.ModelProto, modules: Iterable[str]) -> None:
    """Write into each node's `doc_string` the module that made it, as "blk1.c2", from the scopes that torch names it by.

    `modules`: names of all modules; "" stands for operations of the whole model's `forward`.
    """
    known = set(modules)
    for node in proto.graph.node:
        *scopes, _ = node.name.strip("/").split("/")
        node.doc_string = module_path(scopes, known)


def module_path(scopes: Iterable[str], known: set[str]) -> str:
    """Follow scopes down the tree of modules: a child of a container is written "stages.0" within "stages".

    Brevitas' export handlers are left out, so that every call of a quantizer has the quantizer's own path.
    """
    path, last = "", ""
    for scope in scopes:
        child = scope.removeprefix(f"{last}.") if last else scope
        called = re.sub(r"_\d+$", "", child)  # the second and further calls of a module
        paths = [f"{path}.{name}".lstrip(".") for name in (child, called)]
        found = next((name for name in paths if name in known), None)
        if found or not HANDLER.match(child):
            path, last = found or paths[0], scope
    return path


def name_nodes(proto: onnx.ModelProto) -> None:
    """Name each node by the module that `note_modules` noted, and take the note away.

    A module's node has the module's own name; of several the one that leads, and its like where the module is called more
    than once, the others have the operator's beside it, as nodes of a module that holds others have. The operator comes
    first where a module's name begins with a digit; a number follows where a name is there already.
    """
    nodes = proto.graph.node
    places = [_place(node.doc_string) for node in nodes]
    leading: dict[str, str] = {}
    for node, (place, quantizer) in zip(nodes, places, strict=True):
        holds = any(other.startswith(f"{place}.") for other, _ in places)
        if place and not quantizer and not holds and (place not in leading or leading[place] not in LEADING):
            leading[place] = node.op_type if node.op_type in LEADING else leading.get(place, node.op_type)
    seen: Counter[str] = Counter()
    for node, (place, quantizer) in zip(nodes, places, strict=True):
        leads = not quantizer and leading.get(place) == node.op_type
        name = ".".join(part for part in (place, quantizer or ("" if leads else node.op_type)) if part)
        name = f"{node.op_type}_{name.removesuffix(f'.{node.op_type}')}" if name[0].isdigit() else name
        node.name = f"{name}_{seen[name]}" if seen[name] else name
        seen[name] += 1
        node.doc_string = ""


def _place(module: str) -> tuple[str, str]:
    """Return the layer that a node is named after, and which of its quantizers the node is, "" for what the layer does."""
    inner = INNER.search(module)
    if inner is None:
        return module, ""
    return module[: inner.start()], "" if inner[1] == "act_quant" else inner[1]
