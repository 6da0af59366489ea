"""Dataclasses to JSON and back, driven by their type hints: the one form in which ops and folds are written down."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import lru_cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.op import Op
from muxflow.dataflow.ops import OPS
from muxflow.dataflow.text import shown

T = TypeVar("T")

Store = Callable[[str, npt.NDArray[Any]], Any]
"""`store(path, array)`: keep an array elsewhere and return the JSON value that stands for it."""

Load = Callable[[Any], npt.NDArray[Any]]
"""`load(value)`: the array that such a value stands for; raises KeyError where there is none."""


def to_json(value: Any, store: Store | None = None, path: str = "") -> Any:
    """Write a value as JSON: dataclasses as tables of their fields, tuples as lists, NumPy numbers as numbers.

    Arrays of integers become {"shape": [...], "values": [...]}, or what `store` makes of them. `path`: where the value
    stands, "field.field". Raises GraphError for a value of any other type.
    """
    if isinstance(value, np.ndarray):
        _integers(value, path)
        return store(path, value) if store else {"shape": list(value.shape), "values": value.reshape(-1).tolist()}
    if isinstance(value, np.generic):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: to_json(getattr(value, f.name), store, _join(path, f.name)) for f in fields(value) if f.init}
    if isinstance(value, Mapping):
        return {str(key): to_json(item, store, _join(path, str(key))) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [to_json(item, store, _join(path, str(index))) for index, item in enumerate(value)]
    raise GraphError(f"{path or 'value'}: a {type(value).__name__} has no JSON form; use numbers, text, tuples, arrays")


def from_json(hint: type[T], value: Any, load: Load | None = None, path: str = "") -> T:
    """Read a value of type `hint` from what `to_json` wrote; `load` is the counterpart of its `store`.

    Supports int, float, bool, str, None, Literal, unions, tuples (fixed and of any length), integer arrays, mappings with
    text keys, and dataclasses of these. Raises GraphError naming the field, the value and the expected type.
    """
    result: T = _read(hint, value, load, path)
    return result


def encode_op(op: Op, store: Store | None = None) -> dict[str, Any]:
    """Write an op as {"op": kind, "attributes": {...}}."""
    return {"op": op.kind, "attributes": to_json(op, store)}


def decode_op(entry: Any, load: Load | None = None) -> Op:
    """Read an op; raises GraphError for a kind that this version does not know, and as `from_json`."""
    if not isinstance(entry, dict) or not isinstance(entry.get("attributes"), dict):
        raise GraphError(f"an op is a table with 'op' and 'attributes'; met {shown(entry)}")
    kind = str(entry.get("op"))
    if kind not in OPS:
        raise GraphError(f"op {kind!r} is not known; this version has {', '.join(sorted(OPS))}")
    return from_json(OPS[kind], entry["attributes"], load, kind)


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


@lru_cache(maxsize=256)
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _read(hint: Any, value: Any, load: Load | None, path: str) -> Any:
    origin = get_origin(hint)
    if origin is Literal:
        if any(type(value) is type(option) and value == option for option in get_args(hint)):
            return value
        raise GraphError(f"{path}: {shown(value)}; supported: {', '.join(map(repr, get_args(hint)))}")
    if origin in (Union, types.UnionType):
        return _read_union(hint, value, load, path)
    if origin is np.ndarray:
        return _read_array(value, load, path)
    if origin is tuple:
        return _read_tuple(get_args(hint), value, load, path)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if isinstance(value, dict):
            return {key: _read(get_args(hint)[1], item, load, _join(path, key)) for key, item in value.items()}
        raise _unexpected(path, value, "a table")
    if isinstance(hint, type) and is_dataclass(hint):
        return _read_dataclass(hint, value, load, path)
    if hint is float and isinstance(value, int | float) and not isinstance(value, bool):
        if not abs(value) <= sys.float_info.max:
            raise _unexpected(path, value, "a finite number")
        return float(value)
    if hint is str and isinstance(value, str):
        return _read_text(value, path)
    if isinstance(hint, type) and isinstance(value, hint) and not (hint is int and isinstance(value, bool)):
        return value
    raise _unexpected(path, value, getattr(hint, "__name__", str(hint)))


def _read_text(value: str, path: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:  # JSON may spell half of a pair
        raise _unexpected(path, value, "text that UTF-8 can hold") from None
    return value


def _unexpected(path: str, value: Any, expected: str) -> GraphError:
    return GraphError(f"{path or 'value'}: {shown(value)}; expected {expected}")


def _read_union(hint: Any, value: Any, load: Load | None, path: str) -> Any:
    options = get_args(hint)
    if value is None and type(None) in options:
        return None
    some = [option for option in options if option is not type(None)]
    if len(some) == 1:
        return _read(some[0], value, load, path)
    for option in some:
        try:
            return _read(option, value, load, path)
        except GraphError:
            continue
    names = (getattr(option, "__name__", str(option)) for option in options)
    raise _unexpected(path, value, " or ".join(names).replace("NoneType", "None"))


def _read_tuple(arguments: tuple[Any, ...], value: Any, load: Load | None, path: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _unexpected(path, value, "a list")
    many = len(arguments) == 2 and arguments[1] is Ellipsis
    hints = [arguments[0]] * len(value) if many else list(arguments)
    if len(hints) != len(value):
        raise _unexpected(path, value, f"a list of {len(hints)}")
    pairs = enumerate(zip(hints, value, strict=True))
    return tuple(_read(hint, item, load, _join(path, str(index))) for index, (hint, item) in pairs)


def _read_array(value: Any, load: Load | None, path: str) -> npt.NDArray[np.int64]:
    if load is not None:
        try:
            found = load(value)
        except (KeyError, TypeError):
            raise _unexpected(path, value, "the name of an array in the file") from None
    else:
        if not isinstance(value, dict) or set(value) != {"shape", "values"}:
            raise _unexpected(path, value, "an array, {'shape': ..., 'values': ...}")
        try:
            found = np.array(value["values"], None if value["values"] else np.int64).reshape(value["shape"])
        except (TypeError, ValueError, OverflowError):
            raise _unexpected(path, value, "as many integers as the shape holds") from None
    return _integers(found, path)


def _integers(array: npt.NDArray[Any], path: str) -> npt.NDArray[np.int64]:
    if array.dtype.kind not in "iu":
        raise GraphError(f"{path}: an array of {array.dtype}; expected integers")
    if array.dtype == np.uint64 and array.size and array.max() >= 2**63:
        raise GraphError(f"{path}: {array.max()} is beyond 64 bits with a sign")
    return array.astype(np.int64)


def _read_dataclass(cls: type, value: Any, load: Load | None, path: str) -> Any:
    if not isinstance(value, dict):
        raise _unexpected(path, value, f"the fields of {cls.__name__} as a table")
    known = {f.name for f in fields(cls) if f.init}
    unknown = sorted(set(value) - known)
    if unknown:
        raise GraphError(
            f"{path or cls.__name__}: no field {unknown[0]!r}; {cls.__name__} has {', '.join(sorted(known))}"
        )
    missing = [f.name for f in fields(cls) if f.init and f.name not in value and not _has_default(f)]
    if missing:
        raise GraphError(f"{path or cls.__name__}: no value for {', '.join(missing)} of {cls.__name__}")
    hints = _hints(cls)
    given = {name: _read(hints[name], item, load, _join(path, name)) for name, item in value.items()}
    return cls(**given)


def _has_default(field: Field[Any]) -> bool:
    return field.default is not MISSING or field.default_factory is not MISSING
