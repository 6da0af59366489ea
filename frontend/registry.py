"""Which reader takes which model file: readers are found, nothing here knows one of them.

A reader is a folder of `frontend/` with a module `frontend.py` that holds an instance of `Frontend` named FRONTEND. Other
packages bring readers by entry points of the group "muxflow.frontends" (an instance of `Frontend` each), or call `register`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path
from typing import Any, Protocol

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.graph import Graph
from muxflow.frontend.model import ImportOptions, Model, NodeStatus

GROUP = "muxflow.frontends"
FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Package:
    """A Python package that a reader needs.

    `name`: as it is imported; `purpose`: what it is for; `remedy`: the command that installs it; `find`: gives its version
    ("" when it does not say), None when it is absent.
    """

    name: str
    purpose: str
    remedy: str
    find: Callable[[], str | None]


def package(name: str, purpose: str, remedy: str, distribution: str = "") -> Package:
    """A package of this environment; `distribution`: its name in the registry where that is another."""

    def find() -> str | None:
        if importlib.util.find_spec(name) is None:
            return None
        try:
            return version(distribution or name)
        except PackageNotFoundError:
            return ""

    return Package(name, purpose, remedy, find)


class Frontend(Protocol):
    """A reader of model files.

    `title`: what it reads, for messages; `suffixes`: of its files, with the dot; `packages`: what it needs beside Muxflow;
    `executes`: whether `execution` can run a file, so that a project keeps a copy of it for its proof.
    """

    title: str
    suffixes: tuple[str, ...]
    packages: tuple[Package, ...]
    executes: bool

    def recognises(self, path: Path) -> bool:
        """Tell whether a file with one of the suffixes is of this reader; False where it cannot be read."""
        ...

    def read(self, path: Path, options: ImportOptions) -> Model | Graph:
        """Read a file: a float model, or the integer graph where the file holds one.

        Raises MuxflowError naming the file when it cannot be read, ToolError when a package is absent.
        """
        ...

    def execution(self, path: Path, graph: Graph) -> AbstractContextManager[Any]:
        """Open the file for execution by its own library, beside the graph made of it.

        The context gives a `muxflow.proof.execution.Execution`. Raises MuxflowError where `executes` is False.
        """
        ...


_REGISTERED: list[Frontend] = []


def register(frontend: Frontend) -> None:
    """Add a reader for this process, before all others."""
    _REGISTERED.insert(0, frontend)


@cache
def _found() -> tuple[Frontend, ...]:
    own = sorted(file.relative_to(FOLDER).parent for file in FOLDER.rglob("frontend.py"))
    modules = [import_module(".".join(("muxflow.frontend", *folder.parts, "frontend"))) for folder in own]
    plugins = [entry.load() for entry in entry_points(group=GROUP)]
    return (*plugins, *(module.FRONTEND for module in modules))


def frontends() -> tuple[Frontend, ...]:
    """All readers: those of other packages first, then Muxflow's own."""
    return (*_REGISTERED, *_found())


def suffixes() -> Mapping[str, str]:
    """Map each suffix to the titles of its readers."""
    found: dict[str, list[str]] = {}
    for frontend in frontends():
        for suffix in frontend.suffixes:
            found.setdefault(suffix, []).append(frontend.title)
    return {suffix: ", ".join(titles) for suffix, titles in found.items()}


def supported() -> str:
    """Say in words which files can be read."""
    return ", ".join(f"{suffix} ({titles})" for suffix, titles in suffixes().items())


def find(path: Path) -> Frontend:
    """The reader of a file; one of those with its suffix even where none recognises it, to say what is wrong with it.

    Raises MuxflowError naming the supported suffixes when there is none.
    """
    candidates = [frontend for frontend in frontends() if path.suffix in frontend.suffixes]
    if not candidates:
        raise MuxflowError(f"{path}: a file of type {path.suffix or 'unknown'!r}; supported are {supported()}")
    return next((frontend for frontend in candidates if frontend.recognises(path)), candidates[-1])


def read(path: Path, options: ImportOptions | None = None) -> Model | Graph:
    """Read a model file; raises MuxflowError when it cannot be read, ToolError when its reader lacks a package."""
    path = Path(path)
    return find(path).read(path, options or ImportOptions())


def load(path: Path, options: ImportOptions | None = None) -> Graph:
    """Read a model file and make its integer graph.

    Raises UnsupportedError naming the first node that is not supported, else as `read`.
    """
    from muxflow.frontend.importer.walk import import_model

    found = read(path, options)
    return found if isinstance(found, Graph) else import_model(found, options)


def check(path: Path, options: ImportOptions | None = None) -> list[NodeStatus]:
    """List what of a model file is supported, node by node, and what to do about the rest; raises as `read`."""
    from muxflow.frontend.importer.walk import check_model

    found = read(path, options)
    if isinstance(found, Graph):
        return [NodeStatus(node.name, node.op.kind, True, "") for node in found.nodes]
    return check_model(found, options)
