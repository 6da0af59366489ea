"""Tools in processes of their own: none outlives what asked for it, and none is waited for without end."""

from __future__ import annotations

import os
import re
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.interruption import ended
from muxflow.dataflow.space import if_full

GRACE_SECONDS = 5.0
"""What a tool has to end by itself before it is killed (decision)."""
MOST_SAID = 1 << 20
"""Bytes of what a tool says that are kept of each of its two streams: half from the beginning, half from the end."""
COMPILE_SECONDS = 3600.0
"""Most that a C++ compiler may take (decision): the largest design of the benchmarks takes a few minutes."""
OF_PYTHON = "PYTHON"
"""Begins the name of a variable that Python reads."""
INHERITED = frozenset(
    (
        *("PYTHONPATH", "PYTHONHOME", "PYTHONPLATLIBDIR", "PYTHONUSERBASE", "PYTHONNOUSERSITE", "PYTHONSAFEPATH"),
        *("PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONUTF8", "PYTHONCOERCECLOCALE"),
    )
)
"""What of these another Python gets: where modules are found and kept, and how paths are read. Others, as PYTHONIOENCODING,
PYTHONWARNINGS, PYTHONOPTIMIZE and PYTHONINSPECT, change what it says or how its libraries run."""


def running(
    command: Sequence[str], *, group: bool = False, **options: Any
) -> AbstractContextManager[subprocess.Popen[Any]]:
    """Start a tool that is killed at the latest with the block, though a signal comes while it starts or ends.

    `group`: it gets a process group of its own, all of which ends with the block, asked first. `options`: of `Popen`. A
    command of `python` gets of the variables that Python reads those that are INHERITED.
    """
    if list(command[:2]) == python():
        given = options.get("env")
        options["env"] = _inherited(os.environ if given is None else given)

    def end(process: subprocess.Popen[Any]) -> None:
        with process:
            if group:
                end_group(process)
            else:
                process.kill()

    return ended(lambda: started(command, start_new_session=group, **options), end)


def started(command: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
    """Start a tool; raises ToolError where nobody would learn how it ends: every failure would look like success.

    `options`: of `Popen`.
    """
    if signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN:
        raise ToolError(
            f"{command[0]}: this process ignores SIGCHLD, so that it would not learn how a program ends; call "
            "signal.signal(signal.SIGCHLD, signal.SIG_DFL) first"
        )
    return subprocess.Popen(command, **options)


def python(*arguments: str) -> list[str]:
    """Give the command of another Python like this one, in which no file of the current folder, as `json.py`, is a module."""
    return [sys.executable, "-P", *arguments]


def _inherited(environment: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in environment.items() if not key.startswith(OF_PYTHON) or key in INHERITED}


def completed(
    command: Sequence[str],
    *,
    seconds: float | None = None,
    group: bool = False,
    folder: Path | None = None,
    **variables: str,
) -> subprocess.CompletedProcess[str]:
    """Run a tool in a folder and give what it said, MOST_SAID of each stream, and its exit code.

    `variables`: of its environment, beside this one's. Raises `subprocess.TimeoutExpired` where it, or what it left that may
    still say something, does not end within `seconds`.
    """
    until = None if seconds is None else time.monotonic() + seconds

    def left() -> float | None:
        if until is not None and time.monotonic() > until:
            raise subprocess.TimeoutExpired(command, seconds or 0)
        return None if until is None else until - time.monotonic()

    options: Any = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    options["env"] = os.environ | variables
    with running(command, group=group, cwd=folder, **options) as process, selectors.DefaultSelector() as selector:
        said = (_Said(), _Said())
        for pipe, one in zip((process.stdout, process.stderr), said, strict=True):
            assert pipe is not None
            selector.register(pipe, selectors.EVENT_READ, one)
        while selector.get_map():
            for key, _ in selector.select(left()):
                if piece := os.read(key.fd, 1 << 16):
                    key.data.add(piece)
                else:
                    selector.unregister(key.fileobj)
        while process.poll() is None:
            left()
            time.sleep(0.01)
    return subprocess.CompletedProcess(command, process.returncode, *(one.text for one in said))


class _Said:
    """What a tool says, however much that is: MOST_SAID bytes of it."""

    def __init__(self) -> None:
        self._first, self._last = b"", b""

    def add(self, piece: bytes) -> None:
        """Add what comes next."""
        most = MOST_SAID // 2
        room = most - len(self._first)
        self._first += piece[:room]
        self._last = (self._last + piece[room:])[-most:]

    @property
    def text(self) -> str:
        """What was kept, with line ends of any kind as one."""
        return re.sub(r"\r\n?", "\n", (self._first + self._last).decode(errors="replace"))


def compiled(command: Sequence[str], folder: Path, source: str) -> subprocess.CompletedProcess[str]:
    """Run a C++ compiler in a folder and give what it said and its exit code.

    `source`: what it compiles, for the message. Its own temporary files go where Muxflow's go. Raises ToolError naming
    COMPILE_SECONDS where it does not end by then; its whole process group ends with it, and when this is interrupted.
    """
    try:
        return completed(command, seconds=COMPILE_SECONDS, group=True, folder=folder, TMPDIR=tempfile.gettempdir())
    except subprocess.TimeoutExpired:
        raise ToolError(
            f"{command[0]} has not compiled {source} within {COMPILE_SECONDS:g} s (COMPILE_SECONDS), and was stopped; "
            "see whether it runs by hand, and whether this machine has memory left"
        ) from None


def runs_nothing(folder: Path) -> str:
    """Say that no program may run from a folder, as its file system is mounted so; "" where one may."""
    forbidden = os.statvfs(folder).f_flag & os.ST_NOEXEC
    return f"; no program may run from {folder} (its file system is mounted noexec)" if forbidden else ""


def how(code: int) -> str:
    """Say how a process ended, with its exit code or by a signal."""
    return f"code {code}" if code >= 0 else f"the signal {-code} ({signal.strsignal(-code)})"


def ending(code: int, said: str = "") -> str:
    """Say how a process ended, with its exit code or by a signal, and after that what it said, and where a disk is full."""
    return (f"{how(code)}: {said.strip()}" if said.strip() else how(code)) + if_full(said)


def first_errors(said: str) -> str:
    """Give the first errors that a compiler or its linker names, its last lines where it names none, and where a disk is full."""
    lines = said.splitlines()
    named = [line for line in lines if "error" in line or re.search(r"\bld(\.\w+)?: ", line)]
    return "\n".join(named[:5] or lines[-5:]) + if_full(said)


def end_group(process: subprocess.Popen[Any]) -> None:
    """End every process of a tool's group: it is asked first, and killed after `GRACE_SECONDS`."""
    for number, seconds in ((signal.SIGTERM, GRACE_SECONDS), (signal.SIGKILL, GRACE_SECONDS)):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            break
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            process.poll()
            try:
                os.killpg(process.pid, 0)
            except (ProcessLookupError, PermissionError):
                break
            time.sleep(0.05)
    process.wait()
