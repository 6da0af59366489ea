"""A folder in which one process at a time works, for as long as the work takes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import iglob
from pathlib import Path

from muxflow.dataflow.errors import MuxflowError

LOCK = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Hold a folder, made where there is none, and give the descriptor that holds it; on a file system without locks go on.

    A process that inherits the descriptor holds the folder too, until the block ends or, where this process is killed, until
    it ends itself. Raises MuxflowError where another process holds it, or where it cannot be held.
    """
    file = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Opened for both, a pipe in its place is not waited for.
        handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    except OSError as error:
        raise MuxflowError(
            f"{error.filename or file}: cannot be opened ({error.strerror}); remove it, or see that it can be written"
        ) from error
    try:
        _take(folder, handle)
        yield handle
    finally:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_UN)  # for those too that have inherited it and go on
        os.close(handle)


def check_unlocked(folder: Path) -> None:
    """Raise MuxflowError where a process holds a folder."""
    try:
        handle = os.open(folder / LOCK, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        _take(folder, handle)
    finally:
        os.close(handle)


def _take(folder: Path, handle: int) -> None:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        numbers = ", ".join(map(str, _holders(handle)[:5]))
        raise MuxflowError(
            f"{folder}: another `muxflow bitstream` runs here, or a tool that a killed one left"
            f"{numbers and f' (process {numbers})'}; wait for it, end it, or choose another folder"
        ) from None
    except OSError:
        return


def _holders(handle: int) -> list[int]:
    """List the processes, of those that this user may look into, that have the same file open, but this one."""
    held, found = os.fstat(handle), set()
    for opened in iglob("/proc/[0-9]*/fd/*"):
        with suppress(OSError):
            if os.path.samestat(os.stat(opened), held):
                found.add(int(Path(opened).parts[2]))
    return sorted(found - {os.getpid()})
