"""A design written as an HLS project: sources, scripts, vectors of the test bench, and what it is read back from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np

from muxflow.board.driver.weights import WEIGHTS_FILE, checksum, weight_file
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.axi import AXI_WORD, container_bits
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.folders import check_replaceable, whole_folder
from muxflow.dataflow.graph.batch import Batch
from muxflow.dataflow.graph.codec import to_json
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.locking import check_unlocked
from muxflow.dataflow.manifest import MANIFEST, PROOF_FILE, WRITTEN, OwnFolder
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.templates import templates
from muxflow.dataflow.text import shown
from muxflow.dataflow.version import __version__
from muxflow.hls.design_file import save_design
from muxflow.hls.emit import Emitter, storage_pragma, stream_definition
from muxflow.hls.headers import copy_headers
from muxflow.hls.names import LOAD_PORTS, comment
from muxflow.hls.packing import pack, words_per_frame
from muxflow.hls.vitis.loading import weight_words
from muxflow.hls.vitis.project import KIND, MARKER, Project, ProjectOptions, vector_name

TEMPLATES = Path(__file__).parent / "templates"
VECTOR_FRAMES = 4
"""Frames recorded for the test bench: co-simulation is slow."""


def check_folder(path: Path) -> None:
    """Raise MuxflowError where `write_project` would replace something that is no Muxflow project, or one that tools run on."""
    check_replaceable(path, MARKER, KIND)
    check_unlocked(path / "bitstream")


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
    seeded random codes when absent. `extra`: further files by name, beside those of the project (the model that the design
    came from). An existing project at `path` is replaced; the new one is written beside it first, so that an interruption
    leaves the old one whole.

    Raises MuxflowError when `path` holds something that is not a Muxflow project, or cannot be written, and for an extra file
    that is none of its own or would lie elsewhere.
    """
    options = options or ProjectOptions()
    path = Path(path).absolute()
    for name in extra or ():
        own = name in (MANIFEST, WRITTEN, PROOF_FILE, *get_args(OwnFolder))
        if name != Path(name).name or name in ("", "..") or "\0" in name or own:
            raise MuxflowError(f"extra file {shown(name)}; give the name of a file beside those of the project")
    check_folder(path)
    design = options.as_built(design)
    # Compiled simulations and stages up to the bitstream are found by content: valid beside new sources.
    with whole_folder(path, design.graph.name) as folder:
        _Writer(Project(folder, design, options), progress or (lambda _: None)).write(_vectors(design, vectors))
        for name, data in (extra or {}).items():
            if os.path.lexists(folder / name):
                raise MuxflowError(f"extra file {shown(name)}: the project has one of that name; give another name")
            (folder / name).write_bytes(data)
    return Project(path, design, options)


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
