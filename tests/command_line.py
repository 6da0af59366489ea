"""The command line as a user meets it: a process, its output, its exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MAIN = "from muxflow.cli.main import main; main()"
USUAL_SIGNALS = "from signal import *; signal(SIGHUP, SIG_DFL); signal(SIGINT, default_int_handler); del signal\n"
"""The tests themselves may run in the background, where a shell has these ignored."""


def run(*arguments: str | Path, cwd: Path, without: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    """Runs `muxflow` with these arguments in `cwd`; the packages named in `without` cannot be imported."""
    absent = ", ".join(f"{name}=None" for name in without)
    program = f"import sys; sys.modules.update({absent}); from muxflow.cli.main import main; main()"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def spoiled(program: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `muxflow` after a program that spoils something."""
    command = [sys.executable, "-c", f"{USUAL_SIGNALS}{program}\n{MAIN}", *arguments]
    environment = os.environ | {"TMPDIR": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def said_once(error: str) -> str:
    """The one message on standard error, on one line; titles of tasks come before it."""
    assert "Traceback" not in error and "\x1b" not in error
    lines = [line for line in error.splitlines() if not line.endswith(" ...")]
    assert sum(line.startswith("error: ") for line in lines) == 1, error
    return " ".join(" ".join(lines).split())
