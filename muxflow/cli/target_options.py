"""The options of the targets on the command line, derived from the dataclass in which each declares its own."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args, get_type_hints

import typer

from muxflow.dataflow.errors import MuxflowError
from muxflow.hls.registry import TARGETS, Target

if TYPE_CHECKING:
    TargetOption = str
else:
    _NAMES = tuple(target.name for target in TARGETS)
    _TITLES = "; ".join(f"{target.name}: {target.title}" for target in TARGETS)
    TargetOption = Annotated[Literal[_NAMES], typer.Option(help=f"Whose project to write. {_TITLES}.")]


def with_target_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command an option for each field of each target's options, which it takes as `**given`.

    A value is None where the option is not given. Targets share an option where name and type are the same; raises
    MuxflowError where only the name is.
    """
    signature = inspect.signature(command)
    hints = get_type_hints(command, include_extras=True)
    own = [one for one in signature.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
    annotations = {one.name: hints[one.name] for one in own}
    declared: dict[str, tuple[str, Any]] = {}
    for target in TARGETS:
        types = get_type_hints(target.options)
        for one in fields(target.options):
            if one.name in annotations and declared.get(one.name, ("", None))[1] != types[one.name]:
                other = declared[one.name][0] if one.name in declared else "muxflow build"
                raise MuxflowError(
                    f"target {target.name}: the option {flag(one.name)} is one of {other} already, of another type; "
                    "rename the field"
                )
            shown = "" if one.default is None else f" Default: {one.default}."
            option = typer.Option(
                flag(one.name), help=one.metadata["help"] + shown, rich_help_panel=f"Options of target {target.name}"
            )
            declared.setdefault(one.name, (target.name, types[one.name]))
            annotations.setdefault(one.name, Annotated[_optional(types[one.name]), option])
    keyword = inspect.Parameter.KEYWORD_ONLY
    defaults = {one.name: one.default for one in own} | dict.fromkeys(declared)
    parameters = [
        inspect.Parameter(name, keyword, default=default, annotation=annotations[name])
        for name, default in defaults.items()
    ]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = annotations
    return command


def flag(field: str) -> str:
    """Return the option of a field."""
    return "--" + field.replace("_", "-")


def chosen_options(target: Target, given: Mapping[str, Any]) -> Any:
    """Return the target's options with what was given; raises MuxflowError naming the first that it does not have."""
    given = {name: value for name, value in given.items() if value is not None}
    have = {one.name for one in fields(target.options)}
    for name, value in given.items():
        if name not in have:
            others = [other.name for other in TARGETS if name in {one.name for one in fields(other.options)}]
            raise MuxflowError(
                f"{flag(name)} {value} is no option of --target {target.name} but of {', '.join(others)}; leave it out, "
                "or choose another target"
            )
    return target.options(**given)


def _optional(kind: Any) -> Any:
    return kind if type(None) in get_args(kind) else kind | None
