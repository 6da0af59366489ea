"""How commands open projects: sources that are not as they were written are told, and where nothing says how they were."""

from __future__ import annotations

from pathlib import Path

import muxflow
from muxflow.cli.console import warn
from muxflow.dataflow.manifest import untold


def opened_project(path: Path) -> muxflow.Project:
    """Open a project as `muxflow.open_project` does, and warn where its sources were edited, or where that cannot be told."""
    opened = muxflow.open_project(path)
    _warn(path, opened.hls.doubts)
    return opened


def warn_of_untold(path: Path) -> None:
    """Print a warning where it cannot be told whether a project in a folder was edited."""
    _warn(path, untold(path))


def _warn(path: Path, doubts: str) -> None:
    if doubts:
        warn(f"{path}: {doubts}; build the project again")
