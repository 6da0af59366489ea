"""How commands open projects: a folder that does not say how its files were written is told."""

from __future__ import annotations

from pathlib import Path

import muxflow
from muxflow.cli.console import warn
from muxflow.dataflow.folders import untold


def opened_project(path: Path) -> muxflow.Project:
    """Open a project as `muxflow.open_project` does, and warn where it cannot be told whether it was edited."""
    opened = muxflow.open_project(path)
    warn_of_untold(path)
    return opened


def warn_of_untold(path: Path) -> None:
    """Print a warning where it cannot be told whether a project in a folder was edited."""
    if why := untold(path):
        warn(f"{path}: {why}; build the project again")
