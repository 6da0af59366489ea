"""Which reader takes which model file: readers are found, nothing here knows one of them.

A reader is a folder of `frontend/` with a module `frontend.py` that holds an instance of `Frontend` named FRONTEND. Other
packages bring readers by entry points of the group "muxflow.frontends" (an instance of `Frontend` each), or call `register`.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from muxflow.dataflow.discovery import Registry
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import check_file
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import carry_state, load_weights
from muxflow.dataflow.graph.spec import check_network
from muxflow.dataflow.packages import Package
from muxflow.frontend.kinds import kind_of
from muxflow.frontend.model import ImportOptions, Model, NodeStatus

NETWORK_NAMES = ". A network's name? Presets go to muxflow train and muxflow sweep, shipped networks to muxflow demo"
"""Said where a file without suffix is absent: newcomers give the name of a network."""


class Frontend(Protocol):
    """A reader of model files.

    `title`: what it reads, for messages; `suffixes`: of its files, with the dot; `packages`: what it needs beside Muxflow;
    `executes`: whether `execution` can run a file, so that a project keeps a copy of it for its proof. A reader of models
    that may stand in several files has `whole(path) -> bytes` too: the model in one file.
    """

    title: str
    suffixes: tuple[str, ...]
    packages: tuple[Package, ...]
    executes: bool

    def recognises(self, path: Path) -> bool:
        """Tell by what a file holds whether it is of this reader, whatever its name; False where it cannot be read."""
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


def _wrong(frontend: Frontend) -> str | None:
    odd = [suffix for suffix in frontend.suffixes if not str(suffix).startswith(".")]
    return f"suffix {odd[0]!r} does not begin with a dot" if odd else None


FRONTENDS: Registry[Frontend] = Registry(
    "muxflow.frontend", Path(__file__).parent, "frontend", "muxflow.frontends", Frontend, _wrong
)
register = FRONTENDS.register


def suffixes() -> Mapping[str, str]:
    """Map each suffix to the titles of its readers."""
    found: dict[str, list[str]] = {}
    for frontend in FRONTENDS:
        for suffix in frontend.suffixes:
            found.setdefault(suffix, []).append(frontend.title)
    return {suffix: ", ".join(titles) for suffix, titles in found.items()}


def supported() -> str:
    """Say in words which files can be read."""
    return ", ".join(f"{suffix} ({titles})" for suffix, titles in suffixes().items())


def _by_suffix(path: Path) -> list[Frontend]:
    return [frontend for frontend in FRONTENDS if path.suffix.lower() in frontend.suffixes]


def recognised(path: Path) -> Frontend | None:
    """Find the reader that takes a file for its own, those with its suffix first; None where none does."""
    named = _by_suffix(path)
    others = [frontend for frontend in FRONTENDS if frontend not in named]
    return next((frontend for frontend in (*named, *others) if frontend.recognises(path)), None)


def find(path: Path) -> Frontend:
    """Find the reader of a file; one of those with its suffix even where none recognises it, to say what is wrong with it.

    Raises MuxflowError saying what the file is, or naming the supported suffixes, when there is none.
    """
    if path.exists():
        check_file(path, f"expected a model file, {supported()}")
    found = recognised(path)
    if found is not None:
        return found
    kind = kind_of(path)
    candidates = _by_suffix(path)
    if kind and candidates:
        raise MuxflowError(f"{path}: no model but {kind}; export the model again. Supported are {supported()}")
    if candidates:
        return candidates[-1]
    what = "no such file" if not path.exists() else f"a file of type {path.suffix or 'unknown'!r}"
    hint = "" if path.exists() or path.suffix else NETWORK_NAMES
    raise MuxflowError(f"{path}: {what}; supported are {supported()}{f'. This is {kind}' if kind else ''}{hint}")


def kept_suffix(path: Path) -> str:
    """Return the suffix under which a copy of a model file is kept: its own where its reader knows it, in small letters."""
    own, frontend = path.suffix.lower(), find(path)
    return own if own in frontend.suffixes else frontend.suffixes[0]


def whole(path: Path) -> bytes:
    """Return a model file with all that it holds, in one file; raises MuxflowError as its reader does."""
    reader = getattr(find(path), "whole", None)
    found = path.read_bytes() if reader is None else reader(path)
    assert isinstance(found, bytes)
    return found


def read(path: Path, options: ImportOptions | None = None) -> Model | Graph:
    """Read a model file; raises MuxflowError when it cannot be read, ToolError when its reader lacks a package."""
    path = Path(path)
    return find(path).read(path, options or ImportOptions())


def load(path: Path, options: ImportOptions | None = None) -> Graph:
    """Read a model file and make its integer graph.

    Raises UnsupportedError naming the first node that is not supported, GraphError for a name in `options.loaded` that no
    weights have, or where `options.stateful` asks for a state that there is not, else as `read`.
    """
    from muxflow.frontend.importer.walk import import_model

    options = options or ImportOptions()
    found = read(path, options)
    graph = found if isinstance(found, Graph) else import_model(found, options)
    if options.stateful:
        graph = carry_state(graph)
    return graph if options.loaded is None else load_weights(graph, options.loaded)


def check(path: Path, options: ImportOptions | None = None) -> list[NodeStatus]:
    """List what of a model file is supported, node by node, and what to do about the rest.

    Raises as `read`, and GraphError for a graph that is no whole network.
    """
    from muxflow.frontend.importer.walk import check_model

    found = read(path, options)
    if isinstance(found, Graph):
        return [NodeStatus(node.name, node.op.kind, True, "") for node in check_network(found).nodes]
    return check_model(found, options)
