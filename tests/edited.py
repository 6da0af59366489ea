"""JSON files that somebody has edited: every part of them in turn, and what may stand there."""

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from muxflow.dataflow.files import file_hash
from muxflow.dataflow.manifest import MANIFEST, read_manifest

BAD: tuple[Any, ...] = (
    None,
    -1,
    0,
    10**30,
    1e308,
    float("nan"),
    "\x1b[2J\n#",
    [],
    {},
    True,
    "x" * 1000,
    [[[[1]]]],
    "\ud800",
)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Give the path to every part of a JSON value, itself first."""
    yield path
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def put(value: Any, path: tuple[Any, ...], part: Any) -> Any:
    """Give a JSON value with another part at a path."""
    if not path:
        return part
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = part
    return changed


def as_written(folder: Path) -> None:
    """Make what stands in a folder pass for what Muxflow wrote there, as somebody can who means harm."""
    manifest = read_manifest(folder)
    assert manifest is not None
    files = {name: file_hash(folder / name) for name in manifest.files if (folder / name).is_file()}
    (folder / MANIFEST).write_text(json.dumps({"files": files, "network": manifest.network}))
