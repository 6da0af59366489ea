"""What Muxflow wrote into a folder, by a list with hashes: which files were edited since, and which are somebody else's."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import file_hash, read_json
from muxflow.dataflow.limits import MOST_FILES, check_bytes

MANIFEST = ".muxflow.json"
"""Lists, in every folder that Muxflow makes, the files that it wrote there."""
WRITTEN = ".muxflow-files.json"
"""Lists, in a folder that a user names for files, those that Muxflow wrote there, with their hashes."""

PROOF_FILE = "proof.json"
"""Says, in a project, which executions of it agree with the integer graph."""
OwnFolder = Literal["bitstream", "csim", "deploy", "report"]
"""Folders of Muxflow's own in a project, which come to be after it was built."""
NOBODY_ELSES = (PROOF_FILE, "bitstream", "csim", "report")
"""What only the commands that make it write in a project, though its list does not name it; to `deploy` a user adds."""


@dataclass(frozen=True)
class Manifest:
    """What Muxflow wrote into a folder; all else there is the user's.

    `network`: which it was made of. `files`: relative to the folder, with the hash of what was written; "" where an older
    version did not say it.
    """

    network: str
    files: Mapping[str, str]

    @property
    def encoded(self) -> bytes:
        """The text that says so."""
        return (json.dumps({"files": self.files, "network": self.network}, indent=1) + "\n").encode()


def read_manifest(folder: Path, name: str = MANIFEST) -> Manifest | None:
    """Read what Muxflow wrote into a folder; None where it says nothing, as one of an older version or of somebody else."""
    try:
        entry = read_json(folder / name)
        files = entry["files"]
        hashes = files if isinstance(files, dict) else dict.fromkeys(files, "")
        network = entry["network"] if name == MANIFEST else ""
        if not isinstance(network, str):
            return None
        return Manifest(network, {str(name): str(value) for name, value in hashes.items()})
    except (OSError, ValueError, KeyError, TypeError):
        return None


def files_below(path: Path) -> list[Path]:
    """List the files in a folder and in those below it, through links too, once each; where `path` is a file, it alone.

    Raises MuxflowError for more than MOST_FILES, and for a link to a folder that holds `path`: it holds what comes and goes.
    """
    if not path.is_dir():
        return [path]
    root = Path(os.path.realpath(path))
    found: list[Path] = []
    seen: set[str] = set()
    for above, folders, names in os.walk(path, followlinks=True):
        folders.sort()
        if (real := os.path.realpath(above)) in seen:
            folders.clear()
            continue
        if seen and root.is_relative_to(real):
            raise MuxflowError(f"{above} is a link to {real}, which holds {path}; remove it")
        seen.add(real)
        found += [Path(above, name) for name in names]
        if len(found) > MOST_FILES:
            raise MuxflowError(
                f"{path}: more than {MOST_FILES:,} files (MOST_FILES), those in {above} among them; move away what does not "
                "belong there"
            )
    return sorted(found)


def replaced_files(folder: Path, manifest: Manifest) -> list[str]:
    """List the files in whose place something else stands than Muxflow wrote; none that is gone, or that it does not tell of.

    Raises MuxflowError naming one that cannot be read.
    """
    try:
        return sorted(
            name
            for name, written in manifest.files.items()
            if written and (file := folder / name).exists() and not (file.is_file() and file_hash(file) == written)
        )
    except OSError as error:
        raise MuxflowError(f"{error.filename or folder}: cannot be read ({error.strerror})") from error


def edited_files(folder: Path, *parts: str) -> list[str]:
    """List the files of `parts`, files and folders in a written folder, that are not as Muxflow wrote them; none that is gone.

    In a folder that is one which Muxflow did not write there too, as it may stand before another. None where the folder does
    not tell, see `untold`.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return []
    listed = {
        name: written
        for name, written in manifest.files.items()
        if any(PurePosixPath(name).is_relative_to(part) for part in parts)
    }
    there = (file for part in parts if (folder / part).is_dir() for file in files_below(folder / part))
    names = {file.relative_to(folder).as_posix() for file in there if file.is_file()}
    return sorted({*replaced_files(folder, Manifest("", listed)), *(names - set(manifest.files))})


def untold(folder: Path) -> str:
    """Say why it cannot be told what of a written folder was edited; "" where it can."""
    manifest = read_manifest(folder)
    if manifest is not None and manifest.files and all(manifest.files.values()):
        return ""
    met = "does not tell" if os.path.lexists(folder / MANIFEST) else "is missing, which tells"
    return f"{MANIFEST} {met} how its files were written, so that it is not known whether sources and figures belong together"


def check_sources(folder: Path, *parts: str) -> None:
    """Raise MuxflowError where files and folders in a written folder, `parts`, cannot be read whole by a tool or a hash.

    That is where one that Muxflow wrote is gone, where a device or a pipe stands, for which a tool waits without end, and
    where they are larger than any model.
    """
    size = 0
    manifest = read_manifest(folder)
    ours = {folder / name for name in (manifest.files if manifest else ())}
    for part in parts:
        above = folder / part
        inside = {file for file in ours if file.is_relative_to(above)}
        for file in sorted({*files_below(above), *inside}):
            if file.is_file():
                size += file.stat().st_size
                check_bytes(f"{folder}, up to {file}", size)
            elif file in inside:
                raise MuxflowError(f"{file} is gone; build the project again")
            elif file.exists() and not file.is_dir():
                raise MuxflowError(f"{file}: a device or a pipe, which may never end; build the project again")


def folders_of(names: Iterable[str]) -> set[str]:
    """List the folders in which files of these names lie, "." among them."""
    return {above.as_posix() for name in names for above in PurePosixPath(name).parents}
