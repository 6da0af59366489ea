"""The options that describe a model's inputs, the same for every command that reads a model."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from muxflow.dataflow.errors import UsageError
from muxflow.frontend.model import Layout

PANEL = "What the model's inputs hold, where no quantizer says it"
OPTIONS: dict[str, Any] = {
    "input_scale": Annotated[
        str | None,
        typer.Option(help="Value of one step of the integer inputs, e.g. 1/255.", rich_help_panel=PANEL),
    ],
    "input_bits": Annotated[
        int | None, typer.Option(help="Bits of the integer inputs, 1 to 16; 8 when absent.", rich_help_panel=PANEL)
    ],
    "input_signed": Annotated[
        bool | None,
        typer.Option(
            "--input-signed/--input-unsigned", help="Sign of the integers; none when absent.", rich_help_panel=PANEL
        ),
    ],
    "input_mean": Annotated[
        str | None,
        typer.Option(
            help="Mean that is subtracted from the value before the model reads it: a number, or one a channel, by commas.",
            rich_help_panel=PANEL,
        ),
    ],
    "input_std": Annotated[
        str | None,
        typer.Option(help="Standard deviation that it is divided by then, in the same form.", rich_help_panel=PANEL),
    ],
    "input_layout": Annotated[
        Layout | None,
        typer.Option(
            help="Where the channels of maps are; as the first node that reads one when absent.",
            rich_help_panel=PANEL,
        ),
    ],
}


InputKeywords = dict[str, Any]
"""What was given of the inputs, as keywords of `muxflow.load`."""


def with_input_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options that describe inputs; it takes them as `inputs`.

    Raises UsageError, when the command runs, for what is no number.
    """

    @wraps(command)
    def run(**given: Any) -> None:
        described = {name: given.pop(name) for name in OPTIONS}
        command(inputs=_read(described), **given)

    hints = {**get_type_hints(command, include_extras=True), **OPTIONS}
    own = [one for one in inspect.signature(command).parameters.values() if one.name != "inputs"]
    added = [inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in OPTIONS]
    rest = [own.pop()] if own[-1].kind is inspect.Parameter.VAR_KEYWORD else []
    named = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[one.name]) for one in (*own, *added)]
    run.__signature__ = inspect.Signature([*named, *rest])  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in named}
    return run


def _read(given: dict[str, Any]) -> InputKeywords:
    """Return the keywords of `muxflow.load` for what was given."""
    found = {name: value for name, value in given.items() if value is not None}
    if "input_scale" in found:
        (found["input_scale"],) = _numbers("input_scale", found["input_scale"], 1)
    for name in ("input_mean", "input_std"):
        if name in found:
            found[name] = _numbers(name, found[name])
    return found


def _numbers(name: str, text: str, most: int | None = None) -> tuple[float, ...]:
    """Read numbers or fractions such as 1/255, with commas between; raises UsageError for anything else."""
    parts = text.split(",")
    try:
        if most is not None and len(parts) > most:
            raise ValueError
        return tuple(_number(part) for part in parts)
    except (ValueError, ZeroDivisionError):
        few = "a number or a fraction such as 1/255" if most else "numbers or fractions with commas between"
        raise UsageError(f"{name.replace('_', ' ')} {text!r}; give {few}") from None


def _number(text: str) -> float:
    above, bar, below = text.partition("/")
    return float(above) / (float(below) if bar else 1.0)
