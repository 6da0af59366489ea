"""The command `muxflow check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

import muxflow
from muxflow.cli.console import Json, ModelArgument, answer, next_command, out
from muxflow.cli.input_options import InputKeywords, with_input_options
from muxflow.cli.words import given_options
from muxflow.dataflow.quantities import count, counted

if TYPE_CHECKING:
    from muxflow.frontend.model import NodeStatus


@with_input_options
def check(
    context: typer.Context,
    model: ModelArgument,
    inputs: InputKeywords,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Print every node.")] = False,
    as_json: Json = False,
) -> None:
    """Say what of a model is not supported, and what to do about it."""
    statuses = muxflow.check(model, **inputs)
    bad = [status for status in statuses if not status.supported]

    def show() -> None:
        if verbose:
            _show_nodes(statuses)
        _show_blockers(model, statuses)
        if not bad:
            next_command("fit", model, "--board", "pynq-z2", *given_options(context))

    entry = {
        "supported": not bad,
        "nodes": [{"node": s.node, "op": s.op_type, "supported": s.supported, "message": s.message} for s in statuses],
    }
    answer(entry, as_json, show)
    if bad:
        raise typer.Exit(3)


def _show_blockers(model: Path, statuses: Sequence[NodeStatus]) -> None:
    """Print what is in the way, in the model's order, what several nodes have in common once; the rest as counts."""
    from muxflow.frontend.importer.leaving import MOST_NAMED
    from muxflow.frontend.model import HOST

    alike: dict[tuple[str, str], list[NodeStatus]] = {}
    for status in statuses:
        if status.reached and not status.supported:
            alike.setdefault((status.op_type, status.message.replace(status.node, "")), []).append(status)
    for first, *others in alike.values():
        more = f" (and {counted(len(others), 'node')} more: {', '.join(one.node for one in others)})" if others else ""
        out.print(Text.assemble(("no: ", "red"), f"{first.message}{more}"))
    for status in statuses:
        if status.supported and status.message not in ("", HOST):
            out.print(Text.assemble(("note: ", "yellow"), status.message))
    fine = sum(status.supported for status in statuses)
    hidden = sum(not status.reached for status in statuses)
    unreached = f", {count(hidden)} not reached" if hidden else ""
    host = [status.node for status in statuses if status.supported and status.message == HOST]
    more = f" and {count(len(host) - MOST_NAMED)} more" if len(host) > MOST_NAMED else ""
    left = f", of which the host computes {', '.join(host[:MOST_NAMED])}{more}" if host else ""
    out.print(f"{model}: {count(fine)} of {counted(len(statuses), 'node')} ok{left}{unreached}")


def _show_nodes(statuses: Sequence[NodeStatus]) -> None:
    from muxflow.reports.tables import table

    made = table(("node", "op", "", "what to do"))
    for status in statuses:
        mark = Text("ok", "green") if status.supported else Text("no", "red")
        made.add_row(status.node, status.op_type, mark, status.message)
    out.print(made)
