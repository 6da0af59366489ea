"""Files that are written into a folder: no link below it is followed, and nobody else's file is lost."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import file_hash, write_together
from muxflow.dataflow.folders import alone, check_place, check_writable
from muxflow.dataflow.manifest import WRITTEN, Manifest, OwnFolder, read_manifest


def own_folder(project: Path, name: OwnFolder) -> Path:
    """Give a folder of Muxflow's own in a project; raises MuxflowError where it is a link, or below one, or no folder."""
    folder = project / name
    check_unlinked(project, folder / "file")
    if folder.exists() and not folder.is_dir():
        raise MuxflowError(
            f"{folder} is no folder, and Muxflow's own one has its place there; remove it, or move it away"
        )
    return folder


def check_unlinked(folder: Path, *files: Path) -> None:
    """Raise MuxflowError where a file is below a link in `folder`: what is written there would be elsewhere."""
    for file in files:
        for above in reversed(file.relative_to(folder).parents):
            if (link := folder / above).is_symlink() and link != folder:
                raise MuxflowError(
                    f"{link} is a link to {os.readlink(link)}, and links in a folder that Muxflow writes are not followed; "
                    "remove it, or put a folder in its place"
                )


def write_below(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    """Write files into a folder, all or none, and give them; `contents`: by their names there.

    `folder` may be a link. Below it none is followed: a file takes the place of a link, and a folder that is one is refused.
    """
    files = {folder / name: data for name, data in contents.items()}
    check_unlinked(folder, *files)
    write_together(files, follow=False)
    return list(files)


@dataclass(frozen=True)
class OutputFolder:
    """A folder into which a command writes files.

    `own`: all files of these names there are Muxflow's, as in the folders of a project; else those that WRITTEN lists, as long
    as nobody changes them, and the others are the user's, which `force` replaces. `reads`: what the command reads, files and
    projects, which nothing replaces.
    """

    path: Path
    reads: tuple[Path, ...] = ()
    own: bool = False
    force: bool = False

    def check(self, *names: str) -> None:
        """Raise MuxflowError where a file of one of these names cannot be written, or would take the place of another's."""
        if not self.own:
            check_place(self.path, *self.reads)
        check_unlinked(self.path, *(self.path / name for name in names))
        for name in names if self.own else (*names, WRITTEN):
            file = self.path / name
            check_writable(file, *self.reads, listed_in=self.path)
            if os.path.lexists(file) and not (file.is_symlink() or file.is_file()):
                raise MuxflowError(f"{file} is no file; remove it, or choose another folder with --output")
        for name in () if self.own or self.force else self.changed(*names):
            raise MuxflowError(
                f"{self.path / name} is not as Muxflow wrote it there, or somebody else's; choose another folder with "
                "--output, or replace it with --force"
            )

    def changed(self, *names: str) -> list[str]:
        """List what stands there under these names and is not as Muxflow wrote it: changed since, a link, or another's."""
        listed = self._listed()
        there = {name: self.path / name for name in names if os.path.lexists(self.path / name)}
        return [
            name
            for name, file in there.items()
            if file.is_symlink() or not file.is_file() or file_hash(file) not in listed.get(name, "").split()
        ]

    def write(self, contents: Mapping[str, bytes], again: Callable[[], object] | None = None) -> list[Path]:
        """Write files by their names, all or none, and give them; raises MuxflowError as `check` does, before any.

        Processes that write into one folder do so one after the other; `again` is called when it is this one's turn, for what
        else may have changed since the command began.
        """
        self.check(*contents)
        if self.own:
            return write_below(self.path, contents)
        with _made(self.path), alone(self.path):
            self.check(*contents)
            if again is not None:
                again()
            return write_below(self.path, {WRITTEN: self._list_with(contents), **contents})[1:]

    def _list_with(self, contents: Mapping[str, bytes]) -> bytes:
        """List what stands there and what is written: of a file that is replaced both hashes.

        The list comes to its place first. Where the process is killed before the file does, that is as Muxflow wrote it too.
        """
        kept = {name: value for name, value in self._listed().items() if os.path.isfile(self.path / name)}
        changed = self.changed(*contents)
        for name, data in contents.items():
            hashes = [hashlib.sha256(data).hexdigest()]
            if name in kept and name not in changed:
                hashes.append(file_hash(self.path / name))
            kept[name] = " ".join(dict.fromkeys(hashes))
        return Manifest("", dict(sorted(kept.items()))).encoded

    def _listed(self) -> Mapping[str, str]:
        """Read which files Muxflow wrote, with their hashes."""
        manifest = read_manifest(self.path, WRITTEN)
        if manifest is None and os.path.lexists(file := self.path / WRITTEN) and not self.force:
            raise MuxflowError(
                f"{file} cannot be read, which says what Muxflow wrote there; choose another folder with --output, or replace "
                "what is there with --force"
            )
        return {} if manifest is None else manifest.files


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """Make a folder for the block; where that fails, those that were made go, unless something stands in them.

    Raises MuxflowError naming the folder where the system refuses.
    """
    folder = Path(os.path.realpath(folder))
    new = [one for one in (folder, *folder.parents) if not one.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException as error:
        for one in new:
            with suppress(OSError):
                one.rmdir()
        if isinstance(error, OSError):
            raise MuxflowError(f"{error.filename or folder}: cannot be written ({error.strerror or error})") from error
        raise
