"""The command `muxflow doctor`."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from muxflow.cli.console import Json, answer, out


def doctor(as_json: Json = False) -> None:
    """Say what this machine has, and what each missing tool would add."""
    from muxflow.doctor import findings

    found = findings()

    def show() -> None:
        table = Table(box=None)
        for column in ("", "tool", "version", "for", "how to get it"):
            table.add_column(column, overflow="fold")
        for one in found:
            mark = Text("found", "green") if one.found else Text("absent", "yellow")
            table.add_row(mark, one.name, one.version, one.purpose, "" if one.found else one.remedy)
        out.print(table)

    answer(
        {
            one.name: {"found": one.found, "version": one.version, "for": one.purpose, "remedy": one.remedy}
            for one in found
        },
        as_json,
        show,
    )
