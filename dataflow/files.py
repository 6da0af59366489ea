"""Files: written whole or not at all, read within limits."""

from __future__ import annotations

import fcntl
import hashlib
import json
import lzma
import os
import re
import stat
import struct
import tempfile
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.interruption import undisturbed
from muxflow.dataflow.limits import check_depth

BESIDE = "muxflow-"
"""Begins, after the name of a file or a folder, that of the one that is filled beside it."""
RANDOM = "[a-z0-9_]{8}"
"""What `tempfile` ends such a name with."""
MOST_NAME = 200
"""Bytes that are kept of a name in that of the one beside it: no name is longer than 255."""

MOST_TEXT = 1 << 26
"""Bytes of a text file that a project or a folder of Muxflow's holds."""
MOST_TABLES = 1 << 21
"""Lists and tables of a JSON file: two characters of it take a hundred bytes of memory and more (decision)."""
MOST_TOML = 1 << 20
"""Bytes of a TOML file: people write them, and they are slow to read (decision)."""
MOST_TOML_LINE = 1 << 12
"""Bytes of one of its lines: the time that a key takes grows with the square of its dots (decision)."""
MOST_LINE = 1 << 16
"""Bytes of a line of a tool's log that are looked at in one piece."""
ARCHIVE_FAULTS = (
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError),
    *(KeyError, TypeError, ValueError, RuntimeError),
)
"""What reading a damaged zip archive and its parts, JSON or arrays, raises; one that is encrypted is a RuntimeError."""


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file through a temporary sibling, so that an interruption or a full disk leaves the old state.

    A link is followed; a device or a pipe is written to. A file that is replaced keeps its permissions, a new one has those
    that the umask leaves. Raises MuxflowError naming the file when the disk refuses.
    """
    write_together({path: data})


def write_together(contents: Mapping[Path, bytes], *, follow: bool = True) -> None:
    """Write several files as `write_atomically` writes one: where the disk refuses one of them, all are as they were.

    `follow`: without it a link is not followed, the file takes its place.
    """
    path = Path()
    pending = _Pending()
    try:
        try:
            for path, data in contents.items():
                if not _is_device(path, follow):
                    with undisturbed():
                        pending.add(path if not follow and path.is_symlink() else Path(os.path.realpath(path)), data)
            for path, data in contents.items():
                if _is_device(path, follow):
                    # A pipe that nobody reads is refused, not waited for.
                    handle = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
                    os.set_blocking(handle, True)
                    with os.fdopen(handle, "wb") as file:
                        file.write(data)
            with undisturbed():
                while (next_one := pending.next) is not None:
                    path = next_one
                    pending.place()
        finally:
            with undisturbed():
                pending.drop()
    except OSError as error:
        raise MuxflowError(f"{path}: cannot be written ({error.strerror})") from error


def _is_device(path: Path, follow: bool) -> bool:
    if not follow and path.is_symlink():
        return False
    return path.exists() and not path.is_file() and not path.is_dir()


class _Pending:
    """Files that are written beside those whose place they take, and the folders that were made for them."""

    def __init__(self) -> None:
        self._files: list[tuple[Path, Path, int]] = []
        self._folders: list[Path] = []

    def add(self, path: Path, data: bytes) -> None:
        """Write one beside its place."""
        self._folders += reversed([above for above in path.parents if not above.exists()])
        path.parent.mkdir(parents=True, exist_ok=True)
        beside, handle = _open_beside(path)
        self._files.append((beside, path, handle))
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(data)
        permit(beside, path, 0o666)

    @property
    def next(self) -> Path | None:
        """Which takes its place next; None where all have."""
        return self._files[0][1] if self._files else None

    def place(self) -> None:
        """Let the next one take its place."""
        beside, path, handle = self._files[0]
        os.replace(beside, path)
        os.close(handle)
        self._folders.clear()
        del self._files[0]

    def drop(self) -> None:
        """Remove what has not come to its place."""
        for beside, _, handle in self._files:
            beside.unlink(missing_ok=True)
            os.close(handle)
        for folder in reversed(self._folders):
            with suppress(OSError):
                folder.rmdir()


def start_beside(path: Path) -> str:
    """Give what names beside a path begin with: its own between dots; of a long one its start and a digest, as no other has."""
    name = os.fsencode(path.name)
    if len(name) > MOST_NAME:
        digest = hashlib.sha256(name).hexdigest()[:16].encode()
        name = name[: MOST_NAME - len(digest) - 1] + b"~" + digest
    return f".{os.fsdecode(name)}."


def _open_beside(path: Path) -> tuple[Path, int]:
    """Open a new file beside `path`, locked while its process lives; those that killed processes left there go.

    On a file system without locks nothing that is left is removed.
    """
    prefix = f"{start_beside(path)}{BESIDE}"
    with suppress(OSError):  # where the folder cannot be listed
        for left in named(path.parent, re.escape(prefix) + RANDOM):
            _remove_unlocked(left)
    while True:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=prefix)
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.path.lexists(name):
            return Path(name), handle
        os.close(handle)  # another process took it, before it was locked, for one that was left


def _remove_unlocked(file: Path) -> None:
    """Remove a file that no living process has locked."""
    with suppress(OSError):
        handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            file.unlink()
        finally:
            os.close(handle)


def named(folder: Path, pattern: str) -> list[Path]:
    """List what is in a folder by names that a pattern matches whole; raises OSError where it cannot be listed."""
    return sorted(one for one in folder.iterdir() if re.fullmatch(pattern, one.name))


def permit(new: Path, path: Path, most: int) -> None:
    """Give a new file or folder the permissions of what stands at `path`, else those that the umask leaves of `most`."""
    try:
        there = path.lstat()
        permissions = most & ~_umask() if stat.S_ISLNK(there.st_mode) else there.st_mode & 0o777
    except FileNotFoundError:
        permissions = most & ~_umask()
    # A folder keeps the bit by which what is made in it is of its group.
    new.chmod(stat.S_IMODE(new.stat().st_mode) & ~0o777 | permissions)


def _umask() -> int:
    """Read the permissions that new files do not get; meanwhile another thread's are closed to others."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def check_file(path: Path, remedy: str, what: str = "") -> None:
    """Raise MuxflowError where there is no file at `path` that can be read to its end.

    `what`: stands before the path, `remedy`: says what to give.
    """
    if path.is_file():
        return
    met = (
        "a folder" if path.is_dir() else "a device or a pipe, which may never end" if path.exists() else "no such file"
    )
    raise MuxflowError(f"{f'{what} ' if what else ''}{path}: {met}; {remedy}")


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file that the block reads in an error of the system that names none, as where the disk fails."""
    try:
        yield
    except OSError as error:
        if error.filename is None:
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def file_hash(path: Path) -> str:
    """Compute the SHA-256 of what a file holds, in hexadecimal digits; raises OSError naming it."""
    digest = hashlib.sha256()
    add_file(digest, path)
    return digest.hexdigest()


def add_file(digest: hashlib._Hash, path: Path) -> None:
    """Add what a file holds to a hash, in pieces; raises OSError naming it."""
    with naming(path), path.open("rb") as opened:
        hashlib.file_digest(opened, lambda: digest)


def read_bounded(path: Path, errors: str = "strict") -> str:
    """Read a text file; raises ValueError for one of more than MOST_TEXT bytes, a device or a pipe, OSError as `open` does.

    `errors`: what to do with bytes that are no UTF-8, as `bytes.decode` takes it.
    """
    return read_bytes(path).decode(errors=errors)


def read_bytes(path: Path) -> bytes:
    """Read the bytes of a text file; raises as `read_bounded`."""
    return _read_at_most(path, MOST_TEXT, "MOST_TEXT")


def _read_at_most(path: Path, most: int, limit: str) -> bytes:
    with _opened_file(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ValueError(f"it has more than {most:,} bytes ({limit})")
    return data


def read_lines(path: Path) -> Iterator[str]:
    """Read the lines of a text file of any size, one longer than MOST_LINE bytes in pieces; raises as `read_bounded`."""
    with _opened_file(path) as file:
        while line := file.readline(MOST_LINE):
            yield line.decode(errors="replace").rstrip("\r\n")


def _opened_file(path: Path) -> BinaryIO:
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    return path.open("rb")


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; raises ValueError for more than MOST_TOML bytes, MOST_TOML_LINE in a line, and as `read_json`."""
    data = _read_at_most(path, MOST_TOML, "MOST_TOML")
    if any(len(line) > MOST_TOML_LINE for line in data.split(b"\n")):
        raise ValueError(f"it has a line of more than {MOST_TOML_LINE:,} bytes (MOST_TOML_LINE)")
    tables: dict[str, Any] = _parsed(tomllib.loads, data.decode())
    return tables


def read_json(path: Path) -> Any:
    """Read a JSON file of Muxflow's; raises ValueError for one that holds none, or is too deep, and as `read_bounded`."""
    return parse_json(read_bounded(path))


def parse_json(text: str | bytes) -> Any:
    """Read the JSON that a file holds; raises ValueError for one that is none, or beyond a limit.

    They are MOST_TEXT characters, MOST_TABLES lists and tables, and MOST_DEPTH of them in each other.
    """
    if len(text) > MOST_TEXT:
        raise ValueError(f"it has more than {MOST_TEXT:,} characters (MOST_TEXT)")
    signs: tuple[Any, Any] = ("[", "{") if isinstance(text, str) else (b"[", b"{")
    if sum(map(text.count, signs)) > MOST_TABLES:
        raise ValueError(f"it has more than {MOST_TABLES:,} lists and tables (MOST_TABLES)")
    return _parsed(json.loads, text)


def _parsed(parse: Callable[[Any], Any], text: str | bytes) -> Any:
    try:
        found = parse(text)
    except RecursionError:
        raise ValueError("its tables are nested too deep") from None
    check_depth(found)
    return found
