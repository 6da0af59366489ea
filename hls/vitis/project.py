"""Writes a design as an HLS project that a user opens and reads."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jinja2
import numpy as np

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import whole_folder
from muxflow.dataflow.fit.design import AXI_WORD, Design, before_width_converters, build_design, container_bits
from muxflow.dataflow.fit.device import Device, Utilisation
from muxflow.dataflow.fit.timing import Timing
from muxflow.dataflow.graph.graph import Graph, Node
from muxflow.dataflow.graph.stream import Stream, random_codes, width
from muxflow.dataflow.op import Fold, IntArray, Kernel, Table
from muxflow.dataflow.ops import OPS
from muxflow.dataflow.version import __version__
from muxflow.hls.names import identifiers, names_of
from muxflow.hls.packing import pack, words_per_frame
from muxflow.hls.vitis.seeds import SeedArgument, seed_arguments

Tool = Literal["vitis_hls", "vivado_hls"]
Control = Literal["ap_ctrl_none", "s_axilite"]
Seeds = Literal["fixed", "writable"]

INCLUDE = Path(__file__).parents[1] / "include"
TEMPLATES = Path(__file__).parent / "templates"
VECTOR_FRAMES = 4
"""Frames recorded for the test bench: co-simulation is slow."""


@dataclass(frozen=True)
class ProjectOptions:
    """How a project is written.

    `tool`: "vitis_hls" (2020.2 and later) or "vivado_hls" (2019.2). `control`: "ap_ctrl_none" runs freely, "s_axilite"
    is started over AXI-Lite. `seeds`: "fixed", the starts of weight generators are part of the hardware; "writable", they
    are AXI-Lite registers (the graph went through `passes.writable_seeds`).
    """

    tool: Tool = "vitis_hls"
    control: Control = "ap_ctrl_none"
    seeds: Seeds = "fixed"

    def __post_init__(self) -> None:
        if self.tool not in ("vitis_hls", "vivado_hls"):
            raise MuxflowError(f"tool {self.tool!r}; supported: 'vitis_hls', 'vivado_hls'")
        if self.control not in ("ap_ctrl_none", "s_axilite"):
            raise MuxflowError(f"control {self.control!r}; supported: 'ap_ctrl_none', 's_axilite'")
        if self.seeds not in ("fixed", "writable"):
            raise MuxflowError(f"seeds {self.seeds!r}; supported: 'fixed', 'writable'")


@dataclass(frozen=True)
class Project:
    """A written HLS project: its folder and the design behind it."""

    path: Path
    design: Design
    options: ProjectOptions = ProjectOptions()

    @property
    def seeds(self) -> tuple[SeedArgument, ...]:
        """The starts of weight generators that can be written at run time; none when they are fixed."""
        return seed_arguments(self.design, names_of(self.design).seeds) if self.options.seeds == "writable" else ()

    @cached_property
    def digest(self) -> str:
        """Hash of every source that a simulation compiles."""
        digest = hashlib.sha256()
        for folder in ("include", "src", "sim"):
            for file in sorted((self.path / folder).rglob("*")):
                if file.is_file():
                    digest.update(file.relative_to(self.path).as_posix().encode() + b"\0" + file.read_bytes())
        return digest.hexdigest()


def write_project(
    design: Design,
    path: Path,
    *,
    options: ProjectOptions | None = None,
    vectors: IntArray | None = None,
    extra: Mapping[str, bytes] | None = None,
    progress: Callable[[str], None] | None = None,
) -> Project:
    """Writes the project into `path` and returns it.

    `vectors`: input codes, shape (N, *input.shape), whose first frames and expected outputs the test bench plays;
    seeded random codes when absent. `extra`: further files by name (the model that the design came from). An existing
    project at `path` is replaced; the new one is written beside it first, so that an interruption leaves the old one
    whole.

    Raises MuxflowError when `path` holds something that is not a Muxflow project, or cannot be written.
    """
    options = options or ProjectOptions()
    path = Path(path).absolute()
    if path.exists() and (not path.is_dir() or (any(path.iterdir()) and not (path / "design.json").exists())):
        raise MuxflowError(f"{path} exists and is not a Muxflow project; choose another folder or remove it")
    # Compiled simulations and stages of the bitstream flow are found by content: valid beside new sources.
    with whole_folder(path, keep=("csim", "bitstream")) as folder:
        _write_files(design, folder, options, vectors, progress)
        for name, data in (extra or {}).items():
            (folder / name).write_bytes(data)
    return Project(path, design, options)


def load_project(path: Path) -> Project:
    """Reads a project back; raises MuxflowError naming what is missing or does not fit."""
    path = Path(path).absolute()
    file = path / "design.json"
    try:
        entry = json.loads(file.read_text())
    except FileNotFoundError:
        raise MuxflowError(f"{file}: no such file; `muxflow build MODEL --output {path}` writes a project") from None
    except (json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise MuxflowError(f"{file}: not a Muxflow design ({error}); build the project again") from error
    graph = Graph.load(path / "graph.npz")
    try:
        design = build_design(
            graph,
            {name: Fold(**fold) for name, fold in entry["folds"].items()},
            device=Device(**entry["device"]),
            board=entry["board"],
            clock_mhz=entry["clock_mhz"],
            utilisation=Utilisation(**entry["utilisation"]),
            depths=entry["depths"],
            timing=None if entry["completions"] is None else Timing(tuple(entry["completions"]), {}, {}, 0),
        )
        options = ProjectOptions(**entry["options"])
    except (KeyError, TypeError) as error:
        raise MuxflowError(f"{file}: not a whole Muxflow design ({error!r}); build the project again") from error
    return Project(path, design, options)


def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        undefined=jinja2.StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,
    )


def _write_files(
    design: Design,
    folder: Path,
    options: ProjectOptions,
    vectors: IntArray | None,
    progress: Callable[[str], None] | None,
) -> None:
    tell = progress or (lambda _: None)
    names = names_of(design)
    name, functions = names.top, names.functions
    seeds = seed_arguments(design, names.seeds) if options.seeds == "writable" else ()
    common: dict[str, Any] = {
        "name": f"{name}_design",
        "top": name,
        "guard": f"{name.upper()}_TOP_HPP",
        "version": __version__,
        "word": AXI_WORD,
        "control": options.control,
        "tool": options.tool,
        "seeds": seeds,
    }
    environment = _environment()

    def render(template: str, target: str, **values: Any) -> None:
        file = folder / target
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(environment.get_template(template).render(**{**common, **values}))

    tell("headers")
    shutil.copytree(INCLUDE, folder / "include")
    tell("tables")
    kernels = {
        node.name: node.op.call(design.graph.ports(node), design.folds[node.name]) for node in design.graph.nodes
    }
    for seed in seeds:
        kernels[seed.node] = replace(kernels[seed.node], tables=())
    keys = [(node.name, table.name) for node in design.graph.nodes for table in kernels[node.name].tables]
    texts = identifiers((f"{functions[node]} {table}" for node, table in keys), names.outer)
    tables = dict(zip(keys, texts.values(), strict=True))
    for node in design.graph.nodes:
        kernel = kernels[node.name]
        if kernel.tables:
            base = functions[node.name]
            render(
                "table.hpp.j2",
                f"src/tables/{base}.hpp",
                node=node.name,
                guard=f"{name.upper()}_TABLES_{base}_HPP",
                tables=[table_text(tables[node.name, table.name], table) for table in kernel.tables],
            )
    tell("top.cpp")
    top = _top_values(design, options, functions, kernels, tables, {seed.node: seed for seed in seeds})
    render("top.hpp.j2", "src/top.hpp", **top)
    render("top.cpp.j2", "src/top.cpp", **top)
    render("simulation_main.cpp.j2", "sim/main.cpp")
    tell("test vectors")
    codes = _vectors(design, vectors)
    expected = design.graph(codes)
    render("testbench.cpp.j2", "tb/testbench.cpp", frames=len(codes))
    for target, words in (
        ("input.dat", pack(codes, design.graph.streams[design.graph.input])),
        ("expected.dat", pack(expected, design.graph.streams[design.graph.output])),
    ):
        (folder / "tb" / target).write_text("".join(f"{word:016x}\n" for word in words.reshape(-1)))
    vivado = options.tool == "vivado_hls"
    render(
        "run_hls.tcl.j2",
        "run_hls.tcl",
        part=design.device.part,
        period=f"{1000 / design.clock_mhz:.3f}",
        tool_name="Vivado HLS 2019.2" if vivado else "Vitis HLS",
        tool_command="vivado_hls -f run_hls.tcl" if vivado else "vitis_hls -f run_hls.tcl",
        standard="c++0x" if vivado else "c++14",
        defines=" -DMUXFLOW_VIVADO_HLS" if vivado else "",
    )
    tell("design")
    save_design(design, folder, options)


def save_design(design: Design, folder: Path, options: ProjectOptions) -> None:
    """Writes `graph.npz` (the graph before width converters) and `design.json`, from which the design is built again."""
    graph = before_width_converters(design.graph)
    graph.save(folder / "graph.npz")
    leaders = {node.name: asdict(design.folds[node.name]) for node in graph.nodes if not OPS[node.op.kind].follows}
    entry = {
        "board": design.board,
        "device": asdict(design.device),
        "clock_mhz": design.clock_mhz,
        "utilisation": asdict(design.utilisation),
        "folds": leaders,
        "depths": dict(design.depths),
        "completions": None if design.timing is None else design.timing.completions,
        "options": asdict(options),
        "version": __version__,
    }
    (folder / "design.json").write_text(json.dumps(entry, indent=2, sort_keys=True) + "\n")


def _vectors(design: Design, vectors: IntArray | None) -> IntArray:
    stream = design.graph.streams[design.graph.input]
    if vectors is not None:
        return design.graph.check_images(vectors[:VECTOR_FRAMES])
    generator = np.random.default_rng(0)
    return random_codes(stream, VECTOR_FRAMES, generator)


def table_text(variable: str, table: Table) -> dict[str, str]:
    """What the templates show of a constant table: type, dimensions, rows."""
    bits, signed = width(table.lo, table.hi)
    values = table.values if table.values.ndim == 2 else table.values[None]
    rows = ",\n".join("  {" + ", ".join(map(str, row)) + "}" for row in values.tolist())
    dimensions = "".join(f"[{size}]" for size in table.values.shape)
    if table.values.ndim == 1:
        rows = "  " + ", ".join(map(str, table.values.tolist()))
    return {
        "comment": f"{table.values.size} values in [{table.lo}, {table.hi}]",
        "bits": str(bits),
        "signed": _cpp(signed),
        "variable": variable,
        "dimensions": dimensions,
        "rows": rows,
    }


def beat_type(stream: Stream) -> str:
    """The C++ type, in namespace muxflow, of a folded stream's beat."""
    return (
        f"BipolarBeat<{stream.lanes}>"
        if stream.bipolar
        else f"Beat<{stream.bits}, {_cpp(stream.signed)}, {stream.lanes}>"
    )


def _cpp(value: int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def storage_pragma(variable: str, placement: str, kind: str, tool: Tool) -> str:
    """The pragma that puts a memory where the plan wants it, in the tool's own words."""
    if tool == "vitis_hls":
        return f"bind_storage variable={variable} type={kind} impl={placement}"
    core = {
        ("rom_1p", "bram"): "ROM_1P_BRAM",
        ("rom_1p", "lutram"): "ROM_1P_LUTRAM",
        ("fifo", "bram"): "FIFO_BRAM",
        ("fifo", "lutram"): "FIFO_LUTRAM",
        ("fifo", "srl"): "FIFO_SRL",
    }[(kind, placement)]
    return f"RESOURCE variable={variable} core={core}"


def table_pragmas(
    design: Design, node: Node, kernel: Kernel, variables: Mapping[tuple[str, str], str], tool: Tool
) -> list[str]:
    """What puts a node's tables where the memory plan wants them; `variables`: by node and table."""
    placements = {placed.memory.name: placed.placement for placed in design.memories[node.name]}
    return [
        pragma
        for table in kernel.tables
        for pragma in placed_table_pragmas(
            variables[node.name, table.name], table, placements.get(table.name, "register"), tool
        )
    ]


def placed_table_pragmas(variable: str, table: Table, placement: str, tool: Tool) -> list[str]:
    """What shapes a table's variable and puts it into `placement`; "register": the tool chooses."""
    # A row of a table is read at once: it is one word.
    whole = f"array_reshape variable={variable} complete dim=2"
    pragmas = [whole if table.values.ndim == 2 else f"array_partition variable={variable} complete"]
    if table.memory and placement != "register":
        pragmas.append(storage_pragma(variable, placement, "rom_1p", tool))
    return pragmas


def _top_values(
    design: Design,
    options: ProjectOptions,
    functions: Mapping[str, str],
    kernels: Mapping[str, Kernel],
    table_names: Mapping[tuple[str, str], str],
    seeds: Mapping[str, SeedArgument],
) -> dict[str, Any]:
    graph = design.graph
    variables = {name: f"s_{text}" for name, text in identifiers(graph.streams).items()}
    types = {name: f"{text}_t" for name, text in identifiers(graph.streams).items()}
    streams = []
    for name, stream in graph.streams.items():
        placed = design.fifos[name]
        pragma = ""
        if placed.placement != "register":
            where = "srl" if placed.shift_register else placed.placement
            pragma = storage_pragma(variables[name], where, "fifo", options.tool)
        streams.append(
            {
                "beat": beat_type(stream),
                "type": types[name],
                "variable": variables[name],
                "depth": design.depths[name],
                "pragma": pragma,
            }
        )

    def node_values(node: Node) -> dict[str, Any]:
        kernel = kernels[node.name]
        base = functions[node.name]
        ports = [(f"x{i}", name) for i, name in enumerate(node.inputs)]
        ports += [(f"y{i}", name) for i, name in enumerate(node.outputs)]
        tables = [table_names[node.name, table.name] for table in kernel.tables]
        template = ", ".join(f"/*{key}*/ {_cpp(value)}" for key, value in kernel.arguments)
        seed = [seeds[node.name].argument] if node.name in seeds else []
        call_arguments = ", ".join(seed + tables + [port for port, _ in ports])
        parameters = [seeds[node.name].parameter] if seed else []
        parameters += [f"muxflow::stream<{types[name]}>& {port}" for port, name in ports]
        shown = f"{node.op.kind}, {design.folds[node.name]}, {design.cycles(node)} cycles a frame"
        return {
            "comment": f"{node.name}: {shown}",
            "function": base,
            "parameters": ", ".join(parameters),
            "pragmas": table_pragmas(design, node, kernel, table_names, options.tool),
            "call": f"muxflow::{kernel.function}<{template}>({call_arguments})",
            "arguments": ", ".join(seed + [variables[name] for _, name in ports]),
        }

    def outer(name: str) -> dict[str, Any]:
        stream = graph.streams[name]
        return {
            "elements": stream.size,
            "container": container_bits(stream),
            "words": words_per_frame(stream),
            "variable": variables[name],
        }

    return {
        "streams": streams,
        "nodes": [node_values(node) for node in graph.nodes],
        "headers": sorted({kernel.header for kernel in kernels.values()}),
        "table_files": [f"{functions[node.name]}.hpp" for node in graph.nodes if kernels[node.name].tables],
        "input": outer(graph.input),
        "output": outer(graph.output),
    }
