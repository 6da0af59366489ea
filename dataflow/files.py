"""Files and folders that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from muxflow.dataflow.errors import MuxflowError


def write_atomically(path: Path, data: bytes) -> None:
    """Write a file through a temporary sibling, so that an interruption or a full disk leaves the old state.

    Raises MuxflowError naming the file when the disk refuses.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise MuxflowError(f"{path}: cannot be written ({error.strerror})") from error
    except BaseException:
        if temporary is not None and os.path.exists(temporary):
            os.unlink(temporary)
        raise


@contextmanager
def whole_folder(path: Path, keep: Sequence[str] = ()) -> Iterator[Path]:
    """Open a new folder to fill, which takes the place of `path` at the end of the block; where that fails `path` is as it was.

    `keep`: folders below the old one that move into the new one.
    Raises MuxflowError naming the folder when the disk refuses.
    """
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
        temporary.chmod(0o755)
        yield temporary
        if path.exists():
            retired = temporary.with_name(f"{temporary.name}.old")
            path.rename(retired)
            try:
                temporary.rename(path)
            except BaseException:
                retired.rename(path)
                raise
            for name in keep:
                if (retired / name).exists():
                    (retired / name).rename(path / name)
            shutil.rmtree(retired, ignore_errors=True)
        else:
            temporary.rename(path)
    except OSError as error:
        raise MuxflowError(f"{path}: cannot be written ({error.strerror or error})") from error
    finally:
        if temporary is not None and temporary.exists():
            shutil.rmtree(temporary, ignore_errors=True)


def check_replaceable(path: Path, marker: str, what: str) -> None:
    """Raise MuxflowError where `path` cannot be replaced: a file, the current folder, a folder without `marker`."""
    if path.is_symlink() or path.absolute() == Path.cwd():
        what_it_is = "a link" if path.is_symlink() else "the current folder"
        raise MuxflowError(f"{path} is {what_it_is}, which a new folder cannot replace; choose another folder")
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not (path / marker).exists())):
        raise MuxflowError(f"{path} exists and is not {what}; choose another folder or remove it")
