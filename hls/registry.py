"""Which targets there are: they are found, nothing here knows one of them.

A target is a folder of `hls/` with a module `target.py` that holds an instance of `Target` named TARGET. Other packages
bring targets by entry points of the group "muxflow.targets" (an instance of `Target` each), or call `register`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from muxflow.dataflow.discovery import Registry
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.implementation import Implementations
from muxflow.dataflow.graph.batch import Batch
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.passes import Pass
from muxflow.dataflow.packages import Package
from muxflow.dataflow.text import command_line
from muxflow.proof.compare import Outcome


@dataclass(frozen=True)
class Written:
    """A written project: its folder, and what else is worth telling, by what it is.

    `digest`: of the sources that a simulation compiles, which proofs are tied to; "" where none can be.
    """

    path: Path
    digest: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


class Target(Protocol):
    """How a design becomes a project.

    `name`: on the command line; `title`: what is written, with what it needs; `options`: a frozen dataclass of what a
    user may choose. Each of its fields has a default and `metadata={"help": ...}`; `muxflow build` has an option for each.
    `implementations`: of the ops, for which a design is fitted. `packages`: what it needs beside Muxflow. `marker`: a file
    that all of its projects have and no other target's; `project`: what such a folder is ("a FINN project"); `usage`: what
    a user does with one.
    """

    name: str
    title: str
    options: type[Any]
    implementations: Implementations
    packages: tuple[Package, ...]
    marker: str
    project: str
    usage: str

    def passes(self, options: Any) -> tuple[Pass, ...]:
        """Give what the graph goes through before the fit."""
        ...

    def check(self, options: Any, board: str, path: Path) -> None:
        """Raise MuxflowError, before any work, where the options, the board, the folder or this machine do not fit."""
        ...

    def check_graph(self, graph: Graph, options: Any, board: str) -> None:
        """Raise UnsupportedError, before the fit, naming what of a graph after the passes the target cannot carry."""
        ...

    def write(self, design: Design, path: Path, options: Any, model: Mapping[str, bytes]) -> Written:
        """Write the project whole or not at all; `model`: the file that the design came from, by the name it is kept by."""
        ...


@runtime_checkable
class Simulated(Protocol):
    """A target whose written projects can be run here, beside what `Target` says."""

    def simulate(self, path: Path, codes: Batch) -> Outcome:
        """Run a written project on input codes and compare it with its graph; raises MismatchError as `compare` does."""
        ...


@runtime_checkable
class LoadsWeights(Protocol):
    """Options of a target whose projects may load weights at run time, beside their fields."""

    @property
    def loaded(self) -> tuple[str, ...] | None:
        """The nodes whose weights are loaded, none for all; None where they are stored."""
        ...


@runtime_checkable
class Timed(Protocol):
    """Options of a target that change the cycles of its projects, beside their fields."""

    def as_built(self, design: Design) -> Design:
        """Give the design with the cycles of its project."""
        ...


def as_built(options: object, design: Design) -> Design:
    """Give a design with the cycles that a project has which a target's options make."""
    return options.as_built(design) if isinstance(options, Timed) else design


def loaded_weights(options: object) -> tuple[str, ...] | None:
    """Give what `muxflow.load` takes as `loaded` for a target's options."""
    return options.loaded if isinstance(options, LoadsWeights) else None


def _wrong(target: Target) -> str | None:
    if isinstance(target.options, type) and is_dataclass(target.options):
        return None
    return f"its options are {target.options!r}; expected a frozen dataclass, whose fields are the options"


TARGETS: Registry[Target] = Registry("muxflow.hls", Path(__file__).parent, "target", "muxflow.targets", Target, _wrong)
register = TARGETS.register


def find(name: str) -> Target:
    """Find a target by name; raises MuxflowError naming those that there are, or the two that have it."""
    found = [target for target in TARGETS if target.name == name]
    if len(found) > 1:
        kinds = ", ".join(f"{type(target).__module__}.{type(target).__name__}" for target in found)
        raise MuxflowError(f"target {name!r}: {len(found)} have this name ({kinds}); uninstall a package")
    if found:
        return found[0]
    raise MuxflowError(f"target {name!r}; there are: {', '.join(target.name for target in TARGETS)}")


def check_stored(graph: Graph, whose: str) -> None:
    """Raise UnsupportedError naming what other people's projects have no port for: weights that are loaded, state carried on."""
    for node in graph.nodes:
        if node.op.carries:
            raise UnsupportedError(
                f"{node}: a state that goes on from frame to frame is begun anew by a register, which {whose}'s projects do "
                "not have; leave --stateful out (or stateful=1 of the layer in the file), or use target vitis, `muxflow build`"
            )
        if node.op.loaded:
            raise UnsupportedError(
                f"{node.name}: weights that are loaded at run time have no port in {whose}'s projects; fit the graph with "
                "stored weights, or use target vitis, `muxflow build`"
            )


def owner_of(path: Path) -> Target | None:
    """Find the target whose project a folder is; None where it is none."""
    return next((one for one in TARGETS if (path / one.marker).is_file()), None)


def check_project(path: Path, target: str) -> None:
    """Raise MuxflowError where a folder is the project of another target, saying what it is and what to do with it."""
    owner = owner_of(path)
    if owner is not None and owner.name != target:
        raise MuxflowError(
            f"{path} is {owner.project}: {owner.usage}; this command is for {find(target).project}, which "
            f"`{command_line('build', 'MODEL', '--target', target, '--output', 'FOLDER')}` writes"
        )
