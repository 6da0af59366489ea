"""A design written as an HLS project that a user opens and reads."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from muxflow.board.driver.errors import AcceleratorError
from muxflow.board.driver.weights import WEIGHTS_FILE, WeightMemories, checksum, read_weights, weight_file
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import naming
from muxflow.dataflow.fit.axi import AXI_WORD, container_bits
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.folders import check_replaceable, check_sources, whole_folder
from muxflow.dataflow.graph.batch import Batch
from muxflow.dataflow.graph.codec import from_json, to_json
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.templates import templates
from muxflow.dataflow.text import shown
from muxflow.dataflow.version import __version__
from muxflow.hls.design_file import DESIGN, GRAPH, load_design, save_design
from muxflow.hls.emit import Emitter, Tool, storage_pragma, stream_definition
from muxflow.hls.headers import copy_headers
from muxflow.hls.names import LOAD_PORTS, Names, comment, names_of
from muxflow.hls.packing import pack, words_per_frame
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

TEMPLATES = Path(__file__).parent / "templates"
SOURCES = ("include", "src", "sim")
"""Folders of what a simulation compiles."""
MARKER, KIND = "run_hls.tcl", "a Muxflow project"
VECTOR_FRAMES = 4
"""Frames recorded for the test bench: co-simulation is slow."""


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

    @property
    def one_at_a_time(self) -> bool:
        """Whether a frame begins after the one before has ended.

        So it is where frames are started over AXI-Lite and weights are generated, or loaded: a region is ready for its next
        start when all its entry processes are, and each weight generator is one, and what reads a port; the last of them
        ends with the frame.
        """
        generators = any(not node.inputs for node in self.design.folded.processes)
        return self.options.control == "s_axilite" and (generators or bool(self.loaders))

    @property
    def interval(self) -> int:
        """Cycles between frames, at most: the design's, or its latency where frames come one at a time."""
        return self.design.latency if self.one_at_a_time else self.design.interval

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
        digest = hashlib.sha256()
        sources = (file for folder in SOURCES for file in (self.path / folder).rglob("*"))
        for file in sorted((*sources, self.path / DESIGN, self.path / GRAPH)):
            if file.is_file():
                with naming(file):
                    digest.update(file.relative_to(self.path).as_posix().encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()

    def vector_file(self, stream: str) -> Path:
        """Locate the test bench's words of an input or an output."""
        return self.path / "tb" / vector_name(self.names.ports[stream])


def vector_name(port: str) -> str:
    """Name the test bench's file of a port; an output's holds what is expected."""
    return f"{port}.dat" if port.startswith("input") else f"expected{port.removeprefix('output')}.dat"


def check_folder(path: Path) -> None:
    """Raise MuxflowError where `write_project` would replace something that is no Muxflow project."""
    check_replaceable(path, MARKER, KIND)


def write_project(
    design: Design,
    path: Path,
    *,
    options: ProjectOptions | None = None,
    vectors: Batch | None = None,
    extra: Mapping[str, bytes] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Project:
    """Write the project into `path` and return it.

    `vectors`: input codes, shape (N, *input.shape) an input, whose first frames and expected outputs the test bench plays;
    seeded random codes when absent. `extra`: further files by name (the model that the design came from). An existing
    project at `path` is replaced; the new one is written beside it first, so that an interruption leaves the old one
    whole.

    Raises MuxflowError when `path` holds something that is not a Muxflow project, or cannot be written.
    """
    options = options or ProjectOptions()
    path = Path(path).absolute()
    check_folder(path)
    # Compiled simulations and stages up to the bitstream are found by content: valid beside new sources.
    with whole_folder(path, design.graph.name) as folder:
        _Writer(Project(folder, design, options), progress or (lambda _: None)).write(_vectors(design, vectors))
        for name, data in (extra or {}).items():
            (folder / name).write_bytes(data)
    return Project(path, design, options)


def load_project(path: Path) -> Project:
    """Read a project back; raises MuxflowError naming what is missing or does not fit, or another target's project."""
    path = Path(path).absolute()
    check_project(path, "vitis")
    design, options = load_design(path)
    check_sources(path, *SOURCES)
    try:
        return Project(path, design, from_json(ProjectOptions, options, path="options"))
    except MuxflowError as error:
        raise MuxflowError(f"{path / DESIGN}: {error}; build the project again") from error


def _vectors(design: Design, vectors: Batch | None) -> dict[str, IntArray]:
    """Take the first frames of the vectors, or seeded random codes."""
    graph = design.graph
    if vectors is not None:
        return next((codes for _, codes in graph.batches(vectors, VECTOR_FRAMES)), None) or graph.check_codes(vectors)
    generator = np.random.default_rng(0)
    return {name: random_codes(graph.streams[name], VECTOR_FRAMES, generator) for name in graph.inputs}


class _Writer:
    """The files of one project, rendered and written."""

    def __init__(self, project: Project, tell: Callable[[str], None]) -> None:
        self.project, self.tell = project, tell
        self.design, self.options, self.names = project.design, project.options, project.names
        self.graph = self.design.graph
        self.registers = project.registers
        if self.options.loaded is not None and not project.loaders:
            raise MuxflowError(
                f"{self.graph.name}: weights={self.options.weights!r}, but all are stored; pass the graph through "
                "muxflow.dataflow.graph.passes.load_weights before it is fitted"
            )
        self.weights = weight_words(self.design.folded)
        self.emitter = Emitter(
            self.design.folded,
            self.options.tool,
            self.names.functions,
            self._placement,
            self.names.outer,
            {one.node: one.emitted for one in self.registers},
            self.names.types,
            {loader.node.name: loader.emitted for loader in project.loaders},
        )
        self.environment = templates(TEMPLATES, trimmed=False)
        self.common: dict[str, Any] = {
            "name": f"{self.names.top}_design",
            "top": self.names.top,
            "version": __version__,
            "word": AXI_WORD,
            "control": self.options.control,
            "tool": self.options.tool,
            "seeds": self.registers,
            "load_streams": [loader.takes for loader in project.loaders[1:]],
            "load_ports": LOAD_PORTS if project.loaders else (),
            "load_words": len(self.weights),
            "load_checksum": "" if project.memories is None else f"{checksum(self.weights):016x}",
            "inputs": [self._port(name) for name in self.graph.inputs],
            "outputs": [self._port(name) for name in self.graph.outputs],
        }

    def _placement(self, node: str, table: str) -> str:
        placed = (one for one in self.design.memories[node] if one.memory.name == table)
        return next((one.placement for one in placed), "register")

    def _port(self, name: str) -> dict[str, Any]:
        """Describe an outer stream: its port, its words, its test vectors."""
        stream, port = self.graph.streams[name], self.names.ports[name]
        return {
            "port": port,
            "elements": stream.size,
            "container": container_bits(stream),
            "words": words_per_frame(stream),
            "words_constant": f"{port.upper()}_WORDS",
            "variable": self.names.variables[name],
            "vectors": vector_name(port),
        }

    def _render(self, template: str, target: str, **values: Any) -> None:
        file = self.project.path / target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.environment.get_template(template).render(**{**self.common, **values}))

    def write(self, vectors: Mapping[str, IntArray]) -> None:
        """Write every file; `vectors`: input codes by input."""
        self.tell("headers")
        copy_headers(self.project.path / "include" / "muxflow", tool=self.options.tool)
        self.tell("tables")
        table_files = self._write_tables()
        self.tell("top.cpp")
        guard = f"{self.names.top.upper()}_TOP_HPP"
        self._render("top.hpp.j2", "src/top.hpp", guard=guard, streams=self._streams())
        self._render(
            "top.cpp.j2",
            "src/top.cpp",
            streams=self._streams(),
            nodes=self._nodes(),
            headers=self.emitter.headers,
            table_files=table_files,
        )
        self._render("simulation_main.cpp.j2", "sim/main.cpp")
        self.tell("test vectors")
        self._write_vectors(vectors)
        vivado = self.options.tool == "vivado_hls"
        self._render(
            "run_hls.tcl.j2",
            MARKER,
            part=self.design.device.part,
            period=f"{1000 / self.design.clock_mhz:.3f}",
            tool_name="Vivado HLS 2019.2" if vivado else "Vitis HLS",
            tool_command="vivado_hls -f run_hls.tcl" if vivado else "vitis_hls -f run_hls.tcl",
            standard="c++0x" if vivado else "c++14",
            defines=" -DMUXFLOW_VIVADO_HLS" if vivado else "",
        )
        if self.project.memories is not None:
            self.tell("weights")
            (self.project.path / WEIGHTS_FILE).write_bytes(weight_file(self.project.memories, self.weights))
        self.tell("design")
        save_design(self.design, self.project.path, to_json(self.options))

    def _write_tables(self) -> list[str]:
        """Write a header for each node with tables; return their names."""
        found = []
        for node in self.design.folded.processes:
            if not self.emitter.has_tables(node):
                continue
            base = self.names.functions[node.name]
            guard = f"{self.names.top.upper()}_TABLES_{base}_HPP"
            tables = self.emitter.table_definitions(node)
            self._render("table.hpp.j2", f"src/tables/{base}.hpp", node=comment(node.name), guard=guard, tables=tables)
            found.append(f"{base}.hpp")
        return found

    def _streams(self) -> list[dict[str, Any]]:
        found = []
        for name, placed in self.design.fifos.items():
            variable, kind = self.names.variables[name], self.names.types[name]
            pragma = ""
            if placed.placement != "register":
                where = "srl" if placed.shift_register else placed.placement
                pragma = storage_pragma(variable, where, "fifo", self.options.tool)
            text = stream_definition(kind, variable, self.design.depths[name], pragma)
            found.append({"beat": self.emitter.full_type(name), "type": kind, "definition": text})
        return found

    def _nodes(self) -> list[dict[str, str]]:
        return [
            {
                "comment": comment(
                    f"{node.name}: {node.op.kind}, {self.design.folds[node.name]}, "
                    f"{self.design.cycles(node)} cycles a frame{self._held(node)}"
                ),
                "function": self.names.functions[node.name],
                "definition": self.emitter.node_function(node),
                "call": self.emitter.node_call(node, self.names.variables),
            }
            for node in self.design.folded.processes
        ]

    def _held(self, node: Node) -> str:
        held = [name for name in node.inputs if name in self.design.folded.in_place]
        return f"; {', '.join(held)} read in place" if held else ""

    def _write_vectors(self, vectors: Mapping[str, IntArray]) -> None:
        values = self.graph.evaluate(vectors, self.graph.constants())
        frames = len(next(iter(vectors.values())))
        self._render("testbench.cpp.j2", "tb/testbench.cpp", frames=frames)
        for name in (*self.graph.inputs, *self.graph.outputs):
            words = pack(values[name], self.graph.streams[name]).reshape(-1)
            self.project.vector_file(name).write_text("".join(f"{word:016x}\n" for word in words))
        if self.project.loaders:
            # The last word comes back as the checksum.
            text = "".join(f"{word:016x}\n" for word in [*self.weights.tolist(), 0])
            (self.project.path / "tb" / "weights.dat").write_text(text)
