"""The bar that a training shows."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


def epochs_bar(wanted: bool) -> Progress:
    """Make a bar of epochs on standard error, which shows where it is `wanted` and that is a terminal."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    disable = not (wanted and sys.stderr.isatty())
    return Progress(*columns, console=Console(stderr=True), disable=disable, transient=True)
