"""What a training shows of its progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Told = Callable[[int, float | None], None]
"""Is told how much of a part is done, and the loss there, None where there is none."""
Begin = Callable[[str, int, int], Told]
"""Begins a part: its title, how much there is, how much is done already."""


@contextmanager
def training_bars(wanted: bool) -> Iterator[Begin]:
    """Show a bar for each part of a training on standard error, where it is no terminal their titles; nothing unless `wanted`."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    live = sys.stderr.isatty()
    console = Console(stderr=True)
    with Progress(*columns, console=console, disable=not (wanted and live), transient=True) as bars:

        def begin(title: str, total: int, done: int = 0) -> Told:
            if wanted and not live:
                with suppress(OSError):  # a full disk takes no remarks; the training counts
                    console.print(f"{title}: {done} of {total} ...", highlight=False, soft_wrap=True)
            task = bars.add_task(title, total=total, completed=done)

            def told(done: int, loss: float | None = None) -> None:
                bars.update(task, completed=done, description=title if loss is None else f"{title}: loss {loss:.4f}")

            return told

        yield begin
