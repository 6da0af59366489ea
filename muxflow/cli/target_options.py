"""The options of the targets on the command line, derived from the dataclass in which each declares its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

import typer

from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.hls.registry import TARGETS, Target

if TYPE_CHECKING:
    TargetOption = str
else:
    _NAMES = tuple(target.name for target in TARGETS)
    _TITLES = "; ".join(f"{target.name}: {target.title}" for target in TARGETS)
    TargetOption = Annotated[Literal[_NAMES], typer.Option(help=f"Whose project to write. {_TITLES}.")]

RESERVED = ("help", "json")
"""Options of every command whose Python names are others."""


def with_target_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of each target's options, which it takes as `**given`.

    A value is None where the option is not given. Targets share an option where name and type are the same; raises
    MuxflowError naming the target whose field has the name of another option.
    """
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    annotations = {one.name: hints[one.name] for one in own}
    defaults = {one.name: one.default for one in own}
    types: dict[str, Any] = {}
    for target in sorted(TARGETS, key=lambda one: not type(one).__module__.startswith("muxflow.")):  # its own first
        given = get_type_hints(target.options)
        for one in fields(target.options):
            if one.name in RESERVED or (one.name in defaults and types.get(one.name) != given[one.name]):
                raise MuxflowError(
                    f"target {target.name}: {flag(one.name)} is another option of `muxflow build` already; rename the "
                    f"field {one.name} of {target.options.__name__}"
                )
            if one.name not in defaults:
                types[one.name], defaults[one.name] = given[one.name], None
                annotations[one.name] = Annotated[_optional(given[one.name]), _option(target, one)]
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotations[name])
        for name, default in defaults.items()
    ]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = annotations
    return command


def _option(target: Target, field: Field[Any]) -> Any:
    shown = "" if field.default is None else f" Default: {field.default}."
    text = field.metadata.get("help", "") + shown
    return typer.Option(flag(field.name), help=text, rich_help_panel=f"Options of target {target.name}")


def flag(field: str) -> str:
    """Return the option of a field."""
    return "--" + field.replace("_", "-")


def chosen_options(target: Target, given: Mapping[str, Any]) -> Any:
    """Return the target's options with what was given; raises UsageError naming the first that it does not have."""
    given = {name: value for name, value in given.items() if value is not None}
    have = {one.name for one in fields(target.options)}
    for name, value in given.items():
        if name not in have:
            others = [other.name for other in TARGETS if name in {one.name for one in fields(other.options)}]
            raise UsageError(
                f"{flag(name)} {value} is no option of --target {target.name} but of {', '.join(others)}; leave it out, "
                "or choose another target"
            )
    return target.options(**given)


def _optional(kind: Any) -> Any:
    return kind if type(None) in get_args(kind) else kind | None
