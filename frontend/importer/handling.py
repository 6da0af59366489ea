"""Which function imports which operator: each one declares it, and is found by its folder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from muxflow.frontend.importer.values import Value
from muxflow.frontend.model import STANDARD, ModelNode

Handler = Callable[[Any, ModelNode], Value | Sequence[Value]]
"""A function of the importer (`walk.Importer`) and a node."""
Declared = TypeVar("Declared", bound=Handler)

_HANDLERS: dict[tuple[str, str], Handler] = {}
FRONTEND = Path(__file__).parent.parent


def handles(*op_types: str, domains: tuple[str, ...] = (STANDARD,)) -> Callable[[Declared], Declared]:
    """Declare a function as the importer of operators, by op type in each of the domains.

    It takes the importer and a node, and returns what the node's first output is, or its first outputs. A reader of
    another package declares the operators that only it produces in the same way, in a module that its reader imports.
    Raises ValueError when another function has one of them already.
    """

    def declare(function: Declared) -> Declared:
        for domain in domains:
            for op_type in op_types:
                if _HANDLERS.setdefault((domain, op_type), function) is not function:
                    raise ValueError(f"{op_type} of domain {domain!r} is handled by {_HANDLERS[domain, op_type]}")
        return function

    return declare


@cache
def _import_declarations() -> None:
    """Import every module that declares handlers: those of this folder, and each reader's `handlers.py`."""
    for file in sorted((*FRONTEND.glob("importer/*.py"), *FRONTEND.glob("*/handlers.py"))):
        import_module(f"muxflow.frontend.{file.parent.name}.{file.stem}")


def handlers() -> Mapping[tuple[str, str], Handler]:
    """Return all handlers by domain and op type."""
    _import_declarations()
    return _HANDLERS
