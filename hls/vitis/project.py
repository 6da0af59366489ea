"""The HLS project of a design, as a user opens it: its options, its names, its weights, its digest."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from muxflow.board.driver.errors import AcceleratorError
from muxflow.board.driver.weights import WeightMemories, read_weights, weight_file
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import add_file
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.fit.schedule import schedule
from muxflow.dataflow.fit.timing import Simulator
from muxflow.dataflow.fit.timing_layout import Style
from muxflow.dataflow.graph.codec import from_json
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.manifest import MANIFEST, check_sources, edited_files, files_below, untold
from muxflow.dataflow.text import shown
from muxflow.hls.design_file import DESIGN, GRAPH, load_design
from muxflow.hls.emit import Tool
from muxflow.hls.names import Names, names_of
from muxflow.hls.registry import check_project
from muxflow.hls.vitis.loading import (
    Loader,
    loaders,
    memories_of,
    same_topology,
    weight_words,
    with_contents,
    with_words,
)
from muxflow.hls.vitis.seeds import SeedArgument, register_arguments

if TYPE_CHECKING:
    from muxflow.board.driver.packing import Words

Control = Literal["ap_ctrl_none", "s_axilite"]
Seeds = Literal["fixed", "writable"]

SOURCES = ("include", "src", "sim")
"""Folders of what a simulation compiles."""
MARKER, KIND = "run_hls.tcl", "a Muxflow project"


@dataclass(frozen=True)
class ProjectOptions:
    """How a project is written.

    `tool`: "vitis_hls" (2020.2 and later) or "vivado_hls" (2019.2). `control`: "ap_ctrl_none" runs freely, "s_axilite"
    is started over AXI-Lite. `seeds`: "fixed", the starts of weight generators are part of the hardware; "writable", they
    are AXI-Lite registers (the graph went through `passes.writable_seeds`). `weights`: "stored", in the bitstream;
    "loaded", all at run time, or those of the nodes whose names are given, separated by commas (the graph went through
    `passes.load_weights`).
    """

    tool: Tool = field(default="vitis_hls", metadata={"help": "Whose syntax to write."})
    control: Control = field(default="ap_ctrl_none", metadata={"help": "Free-running, or started over AXI-Lite."})
    seeds: Seeds = field(
        default="fixed", metadata={"help": "Seeds of generated weights: stored, or AXI-Lite registers."}
    )

    weights: str = field(
        default="stored",
        metadata={"help": "Weights in the bitstream: stored; all at run time: loaded; or NODE,NODE,... at run time."},
    )

    @property
    def loaded(self) -> tuple[str, ...] | None:
        """The nodes whose weights are loaded, none for all; None where they are stored."""
        if self.weights == "stored":
            return None
        return () if self.weights == "loaded" else tuple(name.strip() for name in self.weights.split(","))

    @property
    def style(self) -> Style:
        """How pipelines of the tool end a frame: those of Vivado HLS drain, see `hls.md`."""
        return "drained" if self.tool == "vivado_hls" else "flushing"

    def as_built(self, design: Design) -> Design:
        """Give a design the cycles of its project: those of the tool's own pipelines, and of frames that do not overlap."""
        if design.timing is not None and design.timing.style != self.style:
            frames = len(design.timing.completions)
            design = replace(design, timing=Simulator.of(design.folded, self.style).run(design.depths, frames))
        return replace(design, apart=self.apart(design))

    def apart(self, design: Design) -> int | None:
        """Count the cycles between frames that do not overlap; None where they do.

        They do not where they are started over AXI-Lite and weights are generated, or loaded: a region is ready for its next
        start when all its entry processes are, and each weight generator is one, and what reads a port; the last of them
        ends with the last process of the frame.
        """
        generators = any(not node.inputs for node in design.folded.processes)
        if self.control != "s_axilite" or not (generators or loaders(design.folded)):
            return None
        if design.apart is not None:
            return design.apart
        if design.timing is None:
            return max(design.interval, design.latency, schedule(design.folded, timed=True).cycles)
        return Simulator.of(design.folded, self.style).frame_cycles(design.depths)

    def __post_init__(self) -> None:
        for name, choices in (("tool", get_args(Tool)), ("control", get_args(Control)), ("seeds", get_args(Seeds))):
            given = getattr(self, name)
            if not isinstance(given, str) or given not in choices:
                raise MuxflowError(f"{name} {shown(given)}; supported: {', '.join(map(repr, choices))}")
        if not isinstance(self.weights, str) or not all(name.strip() for name in self.weights.split(",")):
            raise MuxflowError(
                f"weights {shown(self.weights)}; expected stored, loaded, or names of nodes with commas between"
            )


@dataclass(frozen=True)
class Project:
    """A written HLS project: its folder and its design."""

    path: Path
    design: Design
    options: ProjectOptions = ProjectOptions()

    @cached_property
    def names(self) -> Names:
        """The C++ names in the project's sources."""
        return names_of(self.design.folded)

    @cached_property
    def registers(self) -> tuple[SeedArgument, ...]:
        """What can be written at run time: starts of weight generators, and of states."""
        return register_arguments(self.design.folded, self.names.seeds, self.options.seeds == "writable")

    @property
    def seeds(self) -> tuple[SeedArgument, ...]:
        """The starts of weight generators that can be written at run time; none when they are fixed."""
        return tuple(one for one in self.registers if not one.anew)

    @property
    def states(self) -> tuple[SeedArgument, ...]:
        """What names the frames that begin anew; none where each frame does."""
        return tuple(one for one in self.registers if one.anew)

    @cached_property
    def loaders(self) -> tuple[Loader, ...]:
        """The memories of weights that are loaded at run time, in the order of their words."""
        return loaders(self.design.folded)

    @cached_property
    def memories(self) -> WeightMemories | None:
        """The same as a weight file describes them; None where there are none."""
        return memories_of(self.design.folded) if self.loaders else None

    def weight_file(self, graph: Graph) -> bytes:
        """Compose the weight file of a network, forked, whose topology is that of the design; see `same_topology`."""
        memories, folded = self._memories, self.design.folded
        contents = same_topology(unfolded(self.design.graph), graph)
        return weight_file(memories, weight_words(replace(folded, graph=with_contents(folded.graph, contents))))

    def graph_with(self, weights: Path) -> Graph:
        """Give the design's graph with the weights of a file; raises MuxflowError for one of another design."""
        return with_words(self.design.graph, self.design.folded, self.words(weights))

    def words(self, weights: Path | None) -> Words:
        """Give the words of a weight file, or those of the project's own weights; none where none are loaded.

        Raises MuxflowError for a file that is damaged or of another design, or where none are loaded.
        """
        if weights is None:
            return weight_words(self.design.folded)
        try:
            return read_weights(weights, self._memories)
        except AcceleratorError as error:
            raise MuxflowError(str(error)) from error

    @property
    def _memories(self) -> WeightMemories:
        if self.memories is None:
            raise MuxflowError(f"{self.path}: its weights are part of the bitstream; build it with --weights loaded")
        return self.memories

    @cached_property
    def digest(self) -> str:
        """Hash of every source that a simulation compiles, and of the design that it is read by."""
        return self.hash_of(*SOURCES, DESIGN, GRAPH)

    def stamps(self) -> tuple[tuple[int, ...], ...]:
        """Tell by what the system keeps of each file of the digest whether any was written, though it is as before again."""
        files = (file for part in (*SOURCES, DESIGN, GRAPH) for file in files_below(self.path / part))
        known = (file.stat() for file in files if file.is_file())
        return tuple((one.st_dev, one.st_ino, one.st_size, one.st_ctime_ns) for one in known)

    def hash_of(self, *parts: str) -> str:
        """Hash files and folders of the project as they are now."""
        digest = hashlib.sha256()
        for file in sorted(file for part in parts for file in files_below(self.path / part)):
            if file.is_file():
                digest.update(os.fsencode(file.relative_to(self.path)) + b"\0")
                add_file(digest, file)
        return digest.hexdigest()

    @cached_property
    def edited(self) -> str:
        """The sources of a simulation that are not as they were written, or were added; the first by name, "" for none."""
        first, *others = edited_files(self.path, *SOURCES) or ("",)
        return f"{first} and {len(others)} more" if others else first

    @cached_property
    def doubts(self) -> str:
        """Why figures may not be those of the sources: these were edited, or it cannot be told; "" where they are."""
        if self.edited:
            return f"sources edited since they were written ({self.edited}): cycles and resources are of the design"
        return untold(self.path)

    def vector_file(self, stream: str) -> Path:
        """Locate the test bench's words of an input or an output."""
        return self.path / "tb" / vector_name(self.names.ports[stream])


def vector_name(port: str) -> str:
    """Name the test bench's file of a port; an output's holds what is expected."""
    return f"{port}.dat" if port.startswith("input") else f"expected{port.removeprefix('output')}.dat"


def load_project(path: Path) -> Project:
    """Read a project back; raises MuxflowError naming what is missing or does not fit, or another target's project."""
    path = Path(path).absolute()
    check_project(path, "vitis")
    design, options = load_design(path)
    check_sources(path, *SOURCES)
    try:
        chosen = from_json(ProjectOptions, options, path="options")
        return Project(path, replace(design, apart=chosen.apart(design)), chosen)
    except MuxflowError as error:
        raise MuxflowError(f"{path / DESIGN}: {error}; build the project again") from error


@contextmanager
def unchanged(
    project: Project, while_: str = "it was simulated", parts: Sequence[str] = ()
) -> Iterator[Callable[[], None]]:
    """Raise MuxflowError where the project in the folder is another one at the end of the block, however it ends.

    What is given raises it before the end. Where the block fails, it is raised too where the folder was written anew: its
    files were gone for a moment. `while_`: what is done, for the message; `parts`: files and folders that must stay the same
    though the digest is not of them.
    """
    digest, others, written = project.digest, project.hash_of(*parts), _written(project.path)

    def check(failed: Exception | None = None) -> None:
        try:
            now = replace(project)
            changed = now.digest != digest or now.hash_of(*parts) != others
            changed |= failed is not None and _written(project.path) != written
        except OSError:
            changed = True
        if changed:
            raise changed_meanwhile(project, while_) from failed

    try:
        yield check
    except (MuxflowError, OSError) as error:
        check(error)
        raise
    check()


def changed_meanwhile(project: Project, while_: str) -> MuxflowError:
    """Say that a project is no longer what it was when something began; `while_`: what was done."""
    return MuxflowError(f"{project.path} was changed while {while_}, perhaps by a build; run this again")


def _written(folder: Path) -> tuple[int, int] | None:
    """Tell one writing of a folder from another by the file that each makes; None where there is none."""
    try:
        found = (folder / MANIFEST).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
