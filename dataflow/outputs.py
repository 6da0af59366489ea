"""Files that are written into a folder: no link below it is followed, and nobody else's file is lost."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import file_hash, write_together
from muxflow.dataflow.folders import Manifest, check_writable, read_manifest

WRITTEN = ".muxflow-files.json"
"""Lists, in a folder that a user names for files, those that Muxflow wrote there, with their hashes."""


def own_folder(project: Path, name: str) -> Path:
    """Give a folder of Muxflow's own in a project; raises MuxflowError where it is a link, or below one."""
    check_unlinked(project, project / name / "file")
    return project / name


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
        listed = {} if self.own or self.force else self._listed()
        check_unlinked(self.path, *(self.path / name for name in names))
        for name in names:
            file = self.path / name
            check_writable(file, *self.reads)
            if os.path.lexists(file) and not (file.is_symlink() or file.is_file()):
                raise MuxflowError(f"{file} is no file; remove it, or choose another folder with --output")
            if self.own or self.force or not (file.is_symlink() or file.is_file()):
                continue
            if file.is_symlink() or listed.get(name) != file_hash(file):
                raise MuxflowError(
                    f"{file} is not as Muxflow wrote it there, or somebody else's; choose another folder with --output, or "
                    "replace it with --force"
                )

    def write(self, contents: Mapping[str, bytes]) -> list[Path]:
        """Write files by their names, all or none, and give them; raises MuxflowError as `check` does, before any."""
        self.check(*contents)
        if self.own:
            return write_below(self.path, contents)
        kept = {name: value for name, value in self._listed().items() if os.path.isfile(self.path / name)}
        kept |= {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}
        return write_below(self.path, {WRITTEN: Manifest("", dict(sorted(kept.items()))).encoded, **contents})[1:]

    def _listed(self) -> Mapping[str, str]:
        """Read which files Muxflow wrote, with their hashes."""
        manifest = read_manifest(self.path, WRITTEN)
        if manifest is None and os.path.lexists(file := self.path / WRITTEN) and not self.force:
            raise MuxflowError(
                f"{file} cannot be read, which says what Muxflow wrote there; choose another folder with --output, or replace "
                "what is there with --force"
            )
        return {} if manifest is None else manifest.files
