"""The one place that writes C++ around kernels: tables, a function a node, the dataflow region that joins them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.fit.folded import Folded
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import LEAST, Stream
from muxflow.hls.kernels import KERNELS, Table, Unit
from muxflow.hls.names import identifiers
from muxflow.hls.tables import table_definition, table_type, words

Tool = Literal["vitis_hls", "vivado_hls"]

Placement = Callable[[str, str], str]
"""`placement(node, table)`: "bram", "lutram", or "register", where the tool chooses."""


def by_table(placements: Mapping[str, str]) -> Placement:
    """Place tables by their own names, those that are not named in registers."""
    return lambda _node, table: placements.get(table, "register")


def cpp(value: int | bool) -> str:
    """Write a template argument; C++ has no literal for the least integer of 64 bits."""
    if value == LEAST:
        return f"({LEAST + 1}LL - 1)"
    return str(value).lower() if isinstance(value, bool) else str(value)


def beat_type(stream: Stream) -> str:
    """Name the C++ type, in namespace muxflow, of a folded stream's beat."""
    beat = f"Beat<{stream.bits}, {cpp(stream.signed)}, {stream.lanes}>"
    if stream.bipolar:
        beat = f"BipolarBeat<{stream.lanes}>"
    return beat if stream.constant is None else f"Constant<muxflow::{beat}>"


def storage_pragma(variable: str, placement: str, kind: str, tool: Tool) -> str:
    """Write the pragma that puts a memory where the plan wants it, in the tool's own words.

    Raises UnsupportedError naming a FIFO in UltraRAM for a tool that has none.
    """
    if tool == "vitis_hls":
        return f"bind_storage variable={variable} type={kind} impl={placement}"
    if (kind, placement) == ("fifo", "uram"):
        raise UnsupportedError(
            f"stream {variable}: its FIFO is planned in UltraRAM, and Vivado HLS makes none of it; write the project for "
            "Vitis HLS, or fit to a board file with uram = 0"
        )
    core = {
        ("rom_1p", "bram"): "ROM_1P_BRAM",
        ("rom_1p", "lutram"): "ROM_1P_LUTRAM",
        ("fifo", "bram"): "FIFO_BRAM",
        ("fifo", "lutram"): "FIFO_LUTRAM",
        ("fifo", "srl"): "FIFO_SRL",
        ("ram_s2p", "bram"): "RAM_2P_BRAM",
        ("ram_s2p", "lutram"): "RAM_2P_LUTRAM",
        ("ram_s2p", "uram"): "XPM_MEMORY uram",
    }[(kind, placement)]
    return f"RESOURCE variable={variable} core={core}"


def table_pragmas(variable: str, table: Table, placement: str, tool: Tool) -> list[str]:
    """Write what shapes a table's variable and puts it into `placement`; "register": the tool chooses."""
    # A row of a table is read at once, and each bank, or each lane's part, is a memory of its own. One that is loaded holds
    # beats, each of them one word.
    dimensions = [1] if table.lanes or placed_banks(table, placement) > 1 else []
    dimensions += [3 if table.banks else 2] if words(table) > 1 and not table.lanes and not table.loaded else []
    pragmas = [f"array_partition variable={variable} complete dim={dimension}" for dimension in dimensions]
    if table.memory and placement != "register":
        pragmas.append(storage_pragma(variable, placement, "ram_s2p" if table.loaded else "rom_1p", tool))
    return pragmas


def placed_banks(table: Table, placement: str) -> int:
    """Count the banks of a table where it is placed: UltraRAMs are cascaded, whatever their number."""
    return 1 if placement == "uram" else table.banks


def loaded_type(table: Table, placement: str, beat: str) -> str:
    """Name the C++ type of a table of beats that is loaded."""
    banks = placed_banks(table, placement)
    return f"muxflow::LoadedTable<{banks}, {len(table.values) // banks}, muxflow::Constant<{beat}> >"


def template_arguments(unit: Unit, in_block_ram: Callable[[str], bool], types: Sequence[str]) -> str:
    """Write the template arguments of a kernel call: its integers, the place of its memories, the types of its tables."""
    named = [(*unit.arguments,), ((f"BLOCK {name}", in_block_ram(name)) for name in unit.memories)]
    return ", ".join([*(f"/*{key}*/ {cpp(value)}" for part in named for key, value in part), *types])


def stream_definition(kind: str, variable: str, depth: int, pragma: str = "") -> str:
    """Declare a stream of beats of the C++ type `kind` inside a dataflow region."""
    lines = [
        f"  MUXFLOW_STREAM({kind}, {variable}, {depth});",
        f"#pragma HLS stream variable={variable} depth={depth}",
    ]
    return "\n".join([*lines, f"#pragma HLS {pragma}"] if pragma else lines)


def function(
    name: str, parameters: Sequence[str], pragmas: Sequence[str], lines: Sequence[str], statics: Sequence[str] = ()
) -> str:
    """Write a function of statements; `pragmas` without `#pragma HLS`, `lines`, and `statics`, without their semicolons.

    `statics`: what the function keeps from call to call.
    """
    body = [f"  static {line};" for line in statics]
    body += [f"#pragma HLS {pragma}" for pragma in pragmas] + [f"  {line};" for line in lines]
    return "\n".join([f"static void {name}({', '.join(parameters)}) {{", *body, "}"]) + "\n"


def stream_parameters(kinds: Sequence[str], names: Sequence[str]) -> list[str]:
    """Write the parameters of a function that are streams of beats of these C++ types."""
    return [f"muxflow::stream<{kind}>& {name}" for kind, name in zip(kinds, names, strict=True)]


@dataclass(frozen=True)
class Argument:
    """A run-time argument of a node that takes the place of its table `table`: name, declaration, C++ type that reads it."""

    table: str
    name: str
    parameter: str
    reader: str


@dataclass(frozen=True)
class Load:
    """The place of a source in the chain of those that are loaded.

    `takes`, `gives`: C++ name and type of the streams before and after it; `after`: words of the sources that follow it;
    `first`: whether none comes before it.
    """

    takes: tuple[str, str]
    gives: tuple[str, str]
    after: int
    first: bool


@dataclass(frozen=True)
class Emitter:
    """The C++ of a folded graph's processes: a node each, with the sources that it reads in place.

    `functions`: C++ name by node; `reserved`: names that no table may have. `placement`: of tables. `arguments`: by node,
    run-time arguments in place of tables. `types`: C++ type of a beat by stream, the full one where it is absent. `loads`:
    by node, of sources that are loaded.
    """

    folded: Folded
    tool: Tool
    functions: Mapping[str, str]
    placement: Placement
    reserved: frozenset[str] = frozenset()
    arguments: Mapping[str, Argument] | None = None
    types: Mapping[str, str] | None = None
    loads: Mapping[str, Load] = field(default_factory=dict)

    @cached_property
    def units(self) -> dict[str, Unit]:
        """The kernel call of each node."""
        graph = self.folded.graph
        return {n.name: KERNELS.unit(n.op, graph.ports(n), self.folded.folds[n.name]) for n in graph.nodes}

    @cached_property
    def variables(self) -> dict[tuple[str, str], str]:
        """The C++ name of each table, by node and table."""
        keys = [(node.name, table.name) for node in self.folded.graph.nodes for table in self._own_tables(node)]
        texts = identifiers((f"{self.functions[node]} {table}" for node, table in keys), self.reserved)
        return dict(zip(keys, texts.values(), strict=True))

    @property
    def headers(self) -> list[str]:
        """The kernels' headers, sorted."""
        return sorted({unit.header for unit in self.units.values()})

    def has_tables(self, node: Node) -> bool:
        """Say whether a process has tables that stay constants."""
        return bool(self._tables(node))

    def _tables(self, node: Node) -> list[tuple[Node, Table]]:
        """List the tables of a process that stay constants, each with the node that it is of."""
        return [(part, table) for part in self._parts(node) for table in self._own_tables(part) if not table.loaded]

    def _own_tables(self, node: Node) -> list[Table]:
        argument = self._argument(node)
        return [t for t in self.units[node.name].tables if argument is None or t.name != argument.table]

    def _argument(self, node: Node) -> Argument | None:
        return (self.arguments or {}).get(node.name)

    def _parts(self, node: Node) -> list[Node]:
        """List the nodes of a process: the sources that it reads in place, and the node."""
        held = self.folded.in_place
        return [*(held[name] for name in node.inputs if name in held), node]

    def headers_of(self, node: Node) -> list[str]:
        """List the kernels' headers of a process, sorted."""
        return sorted({self.units[part.name].header for part in self._parts(node)})

    def type_of(self, stream: str) -> str:
        """Name the C++ type of a stream's beat."""
        return (self.types or {}).get(stream) or self.full_type(stream)

    def full_type(self, stream: str) -> str:
        """Spell the C++ type of a stream's beat out."""
        return f"muxflow::{beat_type(self.folded.graph.streams[stream])}"

    def table_definitions(self, node: Node) -> list[str]:
        """Write the tables of a process."""
        return [table_definition(self.variables[part.name, table.name], table) for part, table in self._tables(node)]

    def node_function(self, node: Node) -> str:
        """Write the function around a node's kernel call; its parameters are x0, x1, ..., y0, y1, ... as far as streamed."""
        unit, held, argument = self.units[node.name], self.folded.in_place, self._argument(node)
        ports = {f"x{i}": name for i, name in enumerate(node.inputs)}
        ports |= {f"y{i}": name for i, name in enumerate(node.outputs)}
        streamed = {port: name for port, name in ports.items() if name not in held}
        parameters = stream_parameters([self.type_of(name) for name in streamed.values()], list(streamed))
        lines, statics, placed = [], [], self._tables(node)
        for port, name in ports.items():
            if name in held and held[name].op.loaded:
                load = self._load(held[name])
                parameters += stream_parameters([load.takes[1], load.gives[1]], [f"{port}_in", f"{port}_out"])
                statics += self._kept(held[name], name)
                placed += [(held[name], table) for table in self.units[held[name].name].tables]
                lines += [self._loaded_reader(held[name], name, port), f"{port}.begin(x0, {port}_in, {port}_out)"]
            elif name in held:
                lines.append(self._reader(held[name], name, port))
        values, readers = self._table_arguments(node)
        template = self._template(node, readers)
        kept = []
        if unit.keeps:
            statics.append(f"muxflow::{unit.function}<{template}>::State kept")
            kept.append("kept")
        lines.append(f"muxflow::{unit.function}<{template}>({', '.join([*kept, *values, *ports])})")
        pragmas = [
            pragma
            for part, table in placed
            for pragma in table_pragmas(
                self.variables[part.name, table.name], table, self.placement(part.name, table.name), self.tool
            )
        ]
        given = [argument.parameter] if argument else []
        return function(self.functions[node.name], [*given, *parameters], pragmas, lines, statics)

    def _load(self, source: Node) -> Load:
        """Find the place of a source in the chain; raises UnsupportedError where the target has none."""
        if source.name not in self.loads:
            raise UnsupportedError(
                f"{source.name}: weights that are loaded at run time; use target vitis, `muxflow build`"
            )
        return self.loads[source.name]

    def _loaded_type(self, source: Node, stream: str) -> str:
        (table,) = self.units[source.name].tables
        beat = loaded_type(table, self.placement(source.name, table.name), self.full_type(stream))
        load = self._load(source)
        named = (*self.units[source.name].arguments, ("AFTER", load.after), ("FIRST", load.first))
        arguments = [f"/*{key}*/ {cpp(value)}" for key, value in named]
        return f"muxflow::LoadedReader<{', '.join([*arguments, beat])} >"

    def _kept(self, source: Node, stream: str) -> list[str]:
        """Declare what the process of a loaded source keeps from frame to frame: its memory, and how far a load has come."""
        (table,) = self.units[source.name].tables
        variable = self.variables[source.name, table.name]
        kind = loaded_type(table, self.placement(source.name, table.name), self.full_type(stream))
        return [f"{kind}::Data {variable}", f"{self._loaded_type(source, stream)}::State loading"]

    def _loaded_reader(self, source: Node, stream: str, port: str) -> str:
        (table,) = self.units[source.name].tables
        return f"{self._loaded_type(source, stream)} {port}({self.variables[source.name, table.name]}, loading)"

    def _table_arguments(self, node: Node) -> tuple[list[str], list[str]]:
        """Give a kernel's tables as arguments: the variables, and the types that read them."""
        argument = self._argument(node)
        values, readers = [], []
        for table in self.units[node.name].tables:
            if argument is not None and table.name == argument.table:
                values.append(argument.name)
                readers.append(argument.reader)
            else:
                values.append(self.variables[node.name, table.name])
                readers.append(f"muxflow::{table_type(table)}")
        return values, readers

    def _template(self, node: Node, types: Sequence[str]) -> str:
        return template_arguments(
            self.units[node.name], lambda memory: self.placement(node.name, memory) == "bram", types
        )

    def _reader(self, source: Node, stream: str, port: str) -> str:
        """Declare a source that is read in place where a stream would be the parameter `port`."""
        values, readers = self._table_arguments(source)
        template = self._template(source, [*readers, self.full_type(stream)])
        return f"muxflow::{self.units[source.name].reader}<{template} > {port}({', '.join(values)})"

    def node_call(self, node: Node, variables: Mapping[str, str]) -> str:
        """Write the call of a node's function on the C++ names of its streams."""
        argument = self._argument(node)
        streamed = [variables[name] for name in node.inputs + node.outputs if name not in self.folded.in_place]
        given = [argument.name] if argument else []
        held = (self.folded.in_place[name] for name in node.inputs if name in self.folded.in_place)
        chain = [end[0] for one in held if one.op.loaded for end in (self._load(one).takes, self._load(one).gives)]
        return f"{self.functions[node.name]}({', '.join([*given, *streamed, *chain])})"

    def definitions(self) -> list[str]:
        """Write, process by process, its tables and its function."""
        return ["".join([*self.table_definitions(node), self.node_function(node)]) for node in self.folded.processes]


@dataclass(frozen=True)
class Region:
    """A folded graph in C++ inside somebody else's function.

    `headers` to include, `definitions` of tables and node functions, and for the function around them its `parameters`
    and its `body`.
    """

    headers: tuple[str, ...]
    definitions: str
    parameters: tuple[str, ...]
    body: str


def region(folded: Folded, ports: Sequence[str], placements: Mapping[str, str], tool: Tool, *, prefix: str) -> Region:
    """Write a folded graph as a region, all names after `prefix`.

    `ports`: names of the inputs, then of the outputs; `placements`: "bram", "lutram" or "register" by table.
    """
    graph = folded.graph
    keys = [f"{prefix} node {node.name}" for node in graph.nodes]
    functions = dict(zip((node.name for node in graph.nodes), identifiers(keys).values(), strict=True))
    emitter = Emitter(folded, tool, functions, by_table(placements))
    ends = (*graph.inputs, *graph.outputs)
    variables = dict(zip(ends, ports, strict=True))
    inner = folded.inner_streams
    variables |= dict(zip(inner, identifiers((f"s {name}" for name in inner), ports).values(), strict=True))
    body = []
    for name in inner:
        body.append(f"  typedef {emitter.type_of(name)} {variables[name]}_t;")
        body.append(stream_definition(f"{variables[name]}_t", variables[name], folded.depths[name]))
    body += [f"  {emitter.node_call(node, variables)};" for node in folded.processes]
    return Region(
        tuple(f"muxflow/{header}" for header in emitter.headers),
        "\n".join(emitter.definitions()),
        tuple(stream_parameters([emitter.type_of(name) for name in ends], ports)),
        "\n".join(body),
    )
