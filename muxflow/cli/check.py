"""The command `muxflow check`."""

from __future__ import annotations

from typing import Any

import typer
from rich.table import Table
from rich.text import Text

import muxflow
from muxflow.cli.console import Json, ModelArgument, answer, out
from muxflow.cli.input_options import with_input_options


@with_input_options
def check(model: ModelArgument, inputs: dict[str, Any], as_json: Json = False) -> None:
    """Say of every node of a model whether it is supported, and what to do about those that are not."""
    statuses = muxflow.check(model, **inputs)
    bad = [status for status in statuses if not status.supported]

    def show() -> None:
        table = Table(box=None)
        for column in ("node", "op", "", "what to do"):
            table.add_column(column, overflow="fold")
        for status in statuses:
            mark = Text("ok", "green") if status.supported else Text("no", "red")
            table.add_row(status.node, status.op_type, mark, status.message)
        out.print(table)
        out.print(f"{len(statuses) - len(bad)} of {len(statuses)} nodes supported")

    entry = {
        "supported": not bad,
        "nodes": [{"node": s.node, "op": s.op_type, "supported": s.supported, "message": s.message} for s in statuses],
    }
    answer(entry, as_json, show)
    if bad:
        raise typer.Exit(3)
