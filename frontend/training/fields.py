"""The fields of a configuration against their declared types; no training library is needed."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from muxflow.dataflow.errors import UsageError
from muxflow.dataflow.limits import is_number
from muxflow.dataflow.text import shown
from muxflow.frontend.training.scales import MOST_SIZE, is_whole

NAMES = {
    int: "a whole number of 64 bits",
    float: "a number",
    bool: "True or False",
    str: "a text",
    type(None): "nothing",
}

MOST_WHOLE = 2**63 - 1
"""Of a whole number of any field, and the least with a minus (decision): what other tools hold."""
MOST_RATIO = 16
"""Factor on the widths of layers, at most (decision)."""


def check_fields(what: str, config: Any) -> None:
    """Check the types of a configuration's fields before their values are: numbers, texts, tuples of them.

    A list counts as a tuple. Of choices the type alone is checked. Raises UsageError naming `what` and the first field that
    is not what it is declared as.
    """
    kind: Any = type(config)
    for name, hint in _hints(kind).items():
        value = getattr(config, name)
        if not _fits(value, hint):
            raise UsageError(f"{what}: {name} is {shown(value)}; give {' or '.join(_expected(hint))}")


def check_range(what: str, config: Any, least: int, *names: str, most: int = MOST_SIZE) -> None:
    """Raise UsageError naming `what` and the first of these fields that is not from `least` to `most`, or holds such a number."""
    for name in names:
        value = getattr(config, name)
        if any(not least <= one <= most for one in (value if isinstance(value, tuple | list) else (value,))):
            raise UsageError(f"{what}: {name} = {shown(value)}; use {least} to {most:,}")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _fits(value: Any, hint: Any) -> bool:
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Literal:
        return isinstance(value, tuple(map(type, inside)))
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in inside)
    if origin is tuple:
        if not isinstance(value, tuple | list):
            return False
        parts = inside[:1] * len(value) if inside[-1] is Ellipsis else inside
        return len(value) == len(parts) and all(map(_fits, value, parts))
    if hint is int:
        return is_whole(value) and abs(value) <= MOST_WHOLE
    if hint is float:
        return is_number(value)
    return not isinstance(hint, type) or isinstance(value, hint)


def _expected(hint: Any) -> Iterator[str]:
    """Say what a type holds, in the words of a user."""
    origin, inside = get_origin(hint), get_args(hint)
    if origin is Literal:
        yield from map(repr, inside)
    elif origin in (Union, UnionType):
        for one in inside:
            yield from _expected(one)
    elif origin is tuple:
        count = "" if inside[-1] is Ellipsis else f" of {len(inside)}"
        yield f"a tuple{count}, each {' or '.join(_expected(inside[0]))}"
    else:
        yield NAMES.get(hint, getattr(hint, "__name__", str(hint)))
