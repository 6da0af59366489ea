"""The command line as a user meets it: a process, its output, its exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path


def run(*arguments: str | Path, cwd: Path, without: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Runs `muxflow` with these arguments in `cwd`; the packages named in `without` cannot be imported."""
    absent = ", ".join(f"{name}=None" for name in without)
    program = f"import sys; sys.modules.update({absent}); from muxflow.cli.main import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
