"""The options of a command line, written anew from what a command was given."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

import typer
from typer.core import TyperOption

from muxflow.dataflow.quantities import exact

PRESENTATION = ("verbose", "as_json", "force", "jobs")
"""Parameters that change nothing of what a command makes."""


def is_given(context: typer.Context, name: str) -> bool:
    """Tell whether the user gave a parameter."""
    source = context.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def given_options(
    context: typer.Context, *, without: Collection[str] = (), always: Collection[str] = ()
) -> tuple[str, ...]:
    """Write the options that were given, in the order in which the command declares them.

    `without`: names of parameters to leave out, beside those of `PRESENTATION`; `always`: of those that are written with
    their defaults too.
    """
    left_out = {*PRESENTATION, *without}
    return tuple(
        word
        for one in context.command.params
        if isinstance(one, TyperOption) and one.name is not None and one.name not in left_out
        if one.name in always or is_given(context, one.name)
        for word in _words(one, context.params[one.name])
    )


def _words(option: TyperOption, value: Any) -> Iterator[str]:
    name = max(option.opts, key=len)
    if option.is_flag:
        yield name if value else option.secondary_opts[0]
        return
    for one in value if option.multiple else (value,):
        yield from (name, exact(one) if isinstance(one, float) else str(one))
