"""Folders: written whole or not at all, with a list of what Muxflow wrote there (`manifest`); all else is the user's."""

from __future__ import annotations

import errno
import fcntl
import filecmp
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import BESIDE, RANDOM, file_hash, named, permit, start_beside
from muxflow.dataflow.interruption import ended, undisturbed
from muxflow.dataflow.manifest import (
    MANIFEST,
    NOBODY_ELSES,
    WRITTEN,
    Manifest,
    files_below,
    folders_of,
    read_manifest,
    replaced_files,
)

MOUNTS = Path("/proc/self/mountinfo")
"""Where Linux says what is mounted: the fifth word of a line, with blanks and the like as octal numbers."""
REPLACED = ".replaced"
"""Ends the name of a folder whose place another one takes."""
COPY = ".copy"
"""In a new folder, while it takes the place of one that cannot be renamed: the copy of that."""


@contextmanager
def held_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder in `parent` that goes with the block, and remove those of the same prefix that killed processes left.

    A folder is locked while its process lives, and so is `parent` while folders come and go; on a file system without locks
    nothing that is left is removed. Raises OSError where `parent` takes no folder.
    """
    with ExitStack() as opened:
        with alone(parent):
            for left in named(parent, re.escape(prefix) + RANDOM):
                with suppress(OSError), _opened(left) as handle:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(left, ignore_errors=True)
            folder = opened.enter_context(scratch_folder(parent, prefix))
            handle = opened.enter_context(_opened(folder))
            with suppress(OSError):
                fcntl.flock(handle, fcntl.LOCK_EX)
        yield folder


def scratch_folder(parent: Path | None = None, prefix: str = "muxflow-") -> AbstractContextManager[Path]:
    """Make a folder that goes with the block, though a signal comes, in `parent` or where temporary files go.

    Raises MuxflowError where there is no place for temporary files, OSError where `parent` takes none.
    """

    def make() -> Path:
        try:
            return Path(tempfile.mkdtemp(dir=parent, prefix=prefix)).absolute()
        except FileNotFoundError as error:
            if parent is not None:
                raise
            raise MuxflowError(f"no place for temporary files ({error.strerror}); set TMPDIR to a folder") from error

    return ended(make, partial(shutil.rmtree, ignore_errors=True))


def check_writable(path: Path, *sources: Path | None, listed_in: Path | None = None) -> None:
    """Raise MuxflowError, before any work, where a file cannot come to be at `path`: a folder, or where `check_place` does.

    Nor where it would take the place of one of `sources`, files and projects that the command reads. `listed_in`: the folder
    of which the caller itself decides what of the files that Muxflow wrote there is replaced.
    """
    if os.path.realpath(path) in {os.path.realpath(source) for source in filter(None, sources)}:
        raise MuxflowError(f"{path} is what the command reads; choose another place for what the command writes")
    check_place(path, *sources, listed_in=listed_in)
    if path.is_dir():
        raise MuxflowError(f"{path} is a folder; give the name of a file")


def check_place(path: Path, *sources: Path | None, listed_in: Path | None = None) -> None:
    """Raise MuxflowError where neither a file nor a folder may come to be at `path`: below a file, in a read-only folder.

    Nor in the place of a file that a folder lists as Muxflow's, a project or one that a user named, nor among those of a
    project. `sources`, `listed_in`: as for `check_writable`.
    """
    target = Path(os.path.realpath(path))
    read = {os.path.realpath(source) for source in filter(None, sources)}
    own = None if listed_in is None else Path(os.path.realpath(listed_in))
    for folder in target.parents:
        files = f"the files that Muxflow wrote into {folder}"
        one, all_of = ("what the command reads",) * 2 if str(folder) in read else (f"one of {files}", files)
        for name in (MANIFEST,) if folder == own else (MANIFEST, WRITTEN):
            manifest = read_manifest(folder, name)
            if manifest is None:
                continue
            if target in {folder / file for file in (*manifest.files, name)}:
                raise MuxflowError(f"{path} is {one}; choose another place for what the command writes")
            if name != MANIFEST:
                continue
            among, commands = (
                any(
                    target.is_relative_to(at) and not (own and own.is_relative_to(at))
                    for at in map(folder.joinpath, places)
                )
                for places in (folders_of(manifest.files) - {"."}, NOBODY_ELSES)
            )
            if among:
                raise MuxflowError(f"{path} would be among {all_of}; choose another place for what the command writes")
            if commands:
                raise MuxflowError(
                    f"{path} is a place of Muxflow's own in {folder}, for what other commands write; choose another one"
                )
    for link in (target, *target.parents):
        if os.path.islink(link):  # the only ones that are left of those that were followed
            raise MuxflowError(f"{link} is a link that leads back to itself; remove it")
    if path.exists() and not path.is_dir() and not path.is_file():
        # A device or a pipe is written to, and nothing comes into its folder.
        if not os.access(path, os.W_OK):
            raise MuxflowError(f"{path}: cannot be written (Permission denied)")
        return
    above = next((one for one in target.parents if one.exists()), None)
    if above is not None and not (above.is_dir() and os.access(above, os.W_OK)):
        raise MuxflowError(
            f"{path}: cannot be written ({above} {'is read-only' if above.is_dir() else 'is no folder'})"
        )


@contextmanager
def whole_folder(path: Path, network: str = "") -> Iterator[Path]:
    """Open a new folder to fill, which takes the place of `path` at the end of the block; where that fails `path` is as it was.

    What stands in the old folder and was not written by Muxflow moves into the new one: its manifest tells; of a folder
    without one all that the new one has not. Where the new one has a file in its place, all is as it was. A link is followed;
    permissions are as of `write_atomically`. `network`: the name of what the folder is made of.
    Where a process is killed, the next one that replaces `path` removes what it had made, and takes a replacement that it was
    amid to its end.
    Raises MuxflowError naming the folder when the disk refuses.
    """
    path = Path(os.path.realpath(path))
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with held_folder(path.parent, f"{start_beside(path)}{BESIDE}") as folder:
            yield folder
            _write_manifest(folder, network)
            permit(folder, path, 0o777)
            with alone(path.parent), undisturbed():
                for old in named(
                    path.parent, re.escape(start_beside(path)) + f"({BESIDE})?{RANDOM}" + re.escape(REPLACED)
                ):
                    _put_back(old, path)
                check_room(path, {file.relative_to(folder).as_posix(): file for file in files_below(folder)})
                _replace(path, folder)
    except OSError as error:
        raise MuxflowError(f"{path}: cannot be written ({error.strerror or error})") from error


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Wait until no other process replaces what is in a folder; on a file system without locks go on without one."""
    with _opened(Path(os.path.realpath(folder))) as handle:
        with suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """Give the number of a folder that is open during the block; a link is none. Raises OSError where it is no folder."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        yield handle
    finally:
        os.close(handle)


def _replace(path: Path, new: Path) -> None:
    """Put a new folder in the place of `path`, with what of the old one is not ours; where that fails all is as it was."""
    if not path.exists():
        new.rename(path)
        return
    old = new.with_name(f"{new.name}{REPLACED}")
    try:
        path.rename(old)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_by_copying(path, old, new / COPY)
    try:
        new.rename(path)
        _put_back(old, path)
    except BaseException:
        if path.exists():
            path.rename(new)
        old.rename(path)
        raise


def _move_by_copying(path: Path, place: Path, half: Path) -> None:
    """Move a folder that cannot be renamed, as one that came with the image of a container; where that fails all is as it was.

    `half`: where the copy is made. Nothing is removed before it is whole.
    """
    try:
        shutil.copytree(path, half, symlinks=True)
        half.rename(place)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    try:
        shutil.rmtree(path)
    except BaseException:
        path.mkdir(exist_ok=True)
        _move_others(place, path, ())
        if (place / MANIFEST).exists() and not (path / MANIFEST).exists():
            (place / MANIFEST).rename(path / MANIFEST)
        shutil.rmtree(place)
        raise


def _put_back(old: Path, path: Path) -> None:
    """Move what is not ours from a folder that was replaced into the new one, and remove it; all of it where there is none."""
    if not path.exists():
        old.rename(path)
        return
    manifest = read_manifest(old)
    _move_others(old, path, () if manifest is None else manifest.files)
    shutil.rmtree(old, ignore_errors=True)


def _write_manifest(folder: Path, network: str) -> None:
    files = {file.relative_to(folder).as_posix(): file_hash(file) for file in files_below(folder)}
    (folder / MANIFEST).write_bytes(Manifest(network, files).encoded)


def _move_others(old: Path, new: Path, ours: Collection[str]) -> None:
    """Move what is not ours from an old folder into the new one; a folder in which nothing was ours moves in one piece.

    Where something cannot be moved nothing is, and MuxflowError names it.
    """
    folders = folders_of(ours)
    moved: list[tuple[Path, Path]] = []

    def visit(below: str) -> None:
        for entry in sorted((old / below).iterdir()):
            name = entry.relative_to(old).as_posix()
            if name in ours or name == MANIFEST:
                continue
            if entry.is_dir() and not entry.is_symlink() and (name in folders or (new / name).is_dir()):
                visit(name)
            elif not os.path.lexists(new / name):
                (new / name).parent.mkdir(parents=True, exist_ok=True)
                entry.rename(new / name)
                moved.append((entry, new / name))

    try:
        visit("")
    except OSError as error:
        for entry, target in reversed(moved):
            target.rename(entry)
        at = Path(str(error.filename))
        name = at.relative_to(old) if at.is_relative_to(old) else at
        remedy = "unmount it" if error.errno == errno.EBUSY else "make it and its folder writable"
        raise MuxflowError(
            f"{new}: your {name} cannot be moved into the folder that takes its place ({error.strerror}); {remedy}, or choose "
            "another folder"
        ) from error


def check_room(path: Path, files: Mapping[str, Path | bytes]) -> None:
    """Raise MuxflowError where a file would take the place of something in a written folder that is not ours.

    `files`: by their names there, or what they hold: where the same stands there nothing is lost. A folder without a manifest
    does not tell.
    """
    manifest = read_manifest(path)
    if manifest is None:
        return
    folders = folders_of(manifest.files)
    for name in sorted(files.keys() - {*manifest.files, MANIFEST}):
        part = _in_the_way(path, name, folders, manifest.files)
        if part and not (part == name and _same(path / name, files[name])):
            raise MuxflowError(
                f"{path}: your {part} stands where the project has one of its own; move it away, or choose another folder"
            )


def _in_the_way(path: Path, name: str, folders: Collection[str], ours: Collection[str]) -> str:
    """Name what stands at the place of a file, or of a folder above it, and is not ours; "" for nothing."""
    for above in (*reversed(PurePosixPath(name).parents), PurePosixPath(name)):
        part, entry = above.as_posix(), path / above
        real_folder = entry.is_dir() and not entry.is_symlink()
        if not os.path.lexists(entry) or part in ours or (part in folders and not real_folder):
            return ""
        if part == name or not real_folder:
            return part
    return ""


def _same(file: Path, new: Path | bytes) -> bool:
    if file.is_symlink() or not file.is_file():
        return False
    return file.read_bytes() == new if isinstance(new, bytes) else filecmp.cmp(file, new, shallow=False)


def check_replaceable(path: Path, marker: str, what: str) -> None:
    """Raise MuxflowError, before any work, where no new folder can take the place of `path`, or what stands there is no own one.

    That is where `check_place` does, a file, the current folder, a mount point, one without `marker`, or a read-only one.
    """
    path = Path(os.path.realpath(path))
    check_place(path)
    if path == Path.cwd() or _is_mount(path):
        met = "the current folder" if path == Path.cwd() else "a mount point"
        raise MuxflowError(f"{path} is {met}, which a new folder cannot replace; choose another folder")
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not (path / marker).exists())):
        raise MuxflowError(f"{path} exists and is not {what}; choose another folder or remove it")
    manifest = read_manifest(path)
    for folder in sorted({path, *(path / above for above in folders_of(manifest.files if manifest else ()))}):
        if folder.is_dir() and not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise MuxflowError(
                f"{folder} is read-only or closed to you, so that nothing takes its place; change its mode, or choose another"
            )


def _is_mount(path: Path) -> bool:
    """Tell whether something is mounted at a resolved path: a folder of the same file system too, as the system's table says."""
    found = os.path.ismount(path)
    with suppress(OSError, IndexError):
        points = [line.split(b" ")[4] for line in MOUNTS.read_bytes().splitlines()]
        found |= os.fsencode(path) in {
            re.sub(rb"\\([0-7]{3})", lambda one: bytes([int(one[1], 8)]), at) for at in points
        }
    return found


def check_former(
    path: Path, network: str, data: Collection[str] = (), else_what: str = "or replace it with --force"
) -> None:
    """Raise MuxflowError where a new project of a network should not take the place of the one at `path` unasked.

    That is where it was made of another network, does not say of which, or holds a file that somebody edited; `data`: names of
    those that nobody edits, which may be damaged. `else_what`: what to do else.
    """
    folder = Path(os.path.realpath(path))
    manifest = read_manifest(folder)
    if manifest is None:
        if os.path.lexists(folder / MANIFEST):
            raise MuxflowError(
                f"{path / MANIFEST} cannot be read, which says what {path} was made of; choose another folder, {else_what}"
            )
        return
    if manifest.network not in ("", network):
        raise MuxflowError(
            f"{path} holds the project of {manifest.network}, and this is {network}; choose another folder, {else_what}"
        )
    if edited := [name for name in replaced_files(folder, manifest) if name not in data]:
        raise MuxflowError(
            f"{path}: {', '.join(edited)} changed since Muxflow wrote it, and would be replaced; choose another folder, "
            f"{else_what}"
        )
