"""A few nodes of a folded graph as one C++ function with streams at its ends: what another flow calls a layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from muxflow.dataflow.fit.design import insert_width_converters
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.schedule import fifo_depths
from muxflow.dataflow.graph.graph import Graph, Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Kernel, Logic, Op, Ports
from muxflow.hls.emit import function_text, kernel_call
from muxflow.hls.names import identifiers
from muxflow.hls.vitis.project import Tool, beat_type, placed_table_pragmas, table_text


@dataclass(frozen=True)
class Region:
    """Nodes in topological order over named streams with lanes.

    `inputs`, `outputs`: the streams at its ends, in order. `depths`: FIFO depth in beats of the streams inside.
    """

    nodes: tuple[Node, ...]
    streams: Mapping[str, Stream]
    folds: Mapping[str, Fold]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    depths: Mapping[str, int]

    @staticmethod
    def of_op(op: Op, inputs: Sequence[Stream], fold: Fold) -> Region:
        """One node; raises GraphError when the inputs do not fit or the fold does not divide."""
        ports = Ports(tuple(inputs), op.infer(*inputs))
        # The fold of a weight source or a window is that of its reader.
        if not op.follows:
            op.check_folds("node", ports, fold)
        lanes_in, lanes_out = op.lanes(ports, fold)
        sources = tuple(f"x{i}" for i in range(len(ports.inputs)))
        targets = tuple(f"y{i}" for i in range(len(ports.outputs)))
        streams = {
            name: stream.with_lanes(lanes)
            for name, stream, lanes in zip(
                sources + targets, ports.inputs + ports.outputs, lanes_in + lanes_out, strict=True
            )
        }
        return Region((Node("node", op, sources, targets),), streams, {"node": fold}, sources, targets, {})

    @staticmethod
    def of_graph(graph: Graph, leaders: Mapping[str, Fold]) -> Region:
        """A graph with one input and one output, width converters inserted between its nodes.

        Raises GraphError when a fold does not divide.
        """
        folded, folds = insert_width_converters(graph, leaders, axi=False)
        depths = fifo_depths(folded, folds)
        inner = {name: depth for name, depth in depths.items() if name not in (folded.input, folded.output)}
        return Region(folded.nodes, folded.streams, folds, (folded.input,), (folded.output,), inner)

    def ports(self, node: Node) -> Ports:
        """The streams of a node."""
        return Ports(tuple(self.streams[n] for n in node.inputs), tuple(self.streams[n] for n in node.outputs))

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """The outputs for a batch, as `Op.compute` has them."""
        values = dict(zip(self.inputs, inputs, strict=True))
        for node in self.nodes:
            values.update(zip(node.outputs, node.op.compute(*(values[name] for name in node.inputs)), strict=True))
        return tuple(values[name] for name in self.outputs)

    @property
    def cycles(self) -> int:
        """Cycles for one frame when no stream makes it wait: those of the slowest node."""
        return max(node.op.loop(self.ports(node), self.folds[node.name]).cycles for node in self.nodes)

    @property
    def logic(self) -> Logic:
        """Logic estimate without memories."""
        parts = [node.op.logic(self.ports(node), self.folds[node.name]) for node in self.nodes]
        return Logic(sum(p.lut for p in parts), sum(p.ff for p in parts), sum(p.dsp for p in parts))

    @property
    def memories(self) -> tuple[Memory, ...]:
        """What its nodes store, and the FIFOs between them."""
        stored = [m for node in self.nodes for m in node.op.memories(self.ports(node), self.folds[node.name])]
        queues = [
            Memory(name, "fifo", depth, self.streams[name].beat_bits, True) for name, depth in self.depths.items()
        ]
        return (*stored, *queues)

    @property
    def widest(self) -> int:
        """Bits of the widest beat."""
        return max(stream.beat_bits for stream in self.streams.values())


@dataclass(frozen=True)
class RegionText:
    """A region in C++: `headers` to include, `definitions` of tables and of one function a node, and for the function
    around them its `parameters` and its `body`."""

    headers: tuple[str, ...]
    definitions: str
    parameters: tuple[str, ...]
    body: str


def region_text(
    region: Region, ports: Sequence[str], placements: Mapping[str, str], tool: Tool, *, prefix: str
) -> RegionText:
    """The C++ text of a region, all names behind `prefix`.

    `ports`: names of the inputs, then of the outputs; `placements`: "bram", "lutram" or "register" by table.
    """
    inner = [name for name in region.streams if name in region.depths]
    keys = [f"{prefix} node {node.name}" for node in region.nodes]
    functions = dict(zip((node.name for node in region.nodes), identifiers(keys).values(), strict=True))
    variables = dict(zip((*region.inputs, *region.outputs), ports, strict=True))
    variables |= dict(zip(inner, identifiers((f"s {name}" for name in inner), ports).values(), strict=True))
    kernels = {node.name: node.op.call(region.ports(node), region.folds[node.name]) for node in region.nodes}
    definitions = "\n".join(
        _node_text(region, node, kernels[node.name], functions[node.name], placements, tool) for node in region.nodes
    )
    body = []
    for name in inner:
        body += stream_text(region.streams[name], variables[name], region.depths[name])
    for node in region.nodes:
        arguments = ", ".join(variables[name] for name in (*node.inputs, *node.outputs))
        body.append(f"  {functions[node.name]}({arguments});")
    ends = zip(ports, (*region.inputs, *region.outputs), strict=True)
    return RegionText(
        tuple(sorted({f"muxflow/{kernel.header}" for kernel in kernels.values()})),
        definitions,
        tuple(f"muxflow::stream<muxflow::{beat_type(region.streams[name])}>& {port}" for port, name in ends),
        "\n".join(body),
    )


def stream_text(stream: Stream, variable: str, depth: int) -> list[str]:
    """The declaration of a stream inside a dataflow region."""
    return [
        f"  typedef muxflow::{beat_type(stream)} {variable}_t;",
        f"  MUXFLOW_STREAM({variable}_t, {variable}, {depth});",
        f"#pragma HLS stream variable={variable} depth={depth}",
    ]


def _node_text(
    region: Region, node: Node, kernel: Kernel, function: str, placements: Mapping[str, str], tool: Tool
) -> str:
    """The tables of a node and the function around its kernel's call."""
    names = list(identifiers(f"{function} {table.name}" for table in kernel.tables).values())
    pairs = list(zip(names, kernel.tables, strict=True))
    pragmas = [
        pragma
        for variable, table in pairs
        for pragma in placed_table_pragmas(variable, table, placements.get(table.name, "register"), tool)
    ]
    ports = [f"x{i}" for i in range(len(node.inputs))] + [f"y{i}" for i in range(len(node.outputs))]
    inputs, outputs = (
        [f"muxflow::{beat_type(region.streams[name])}" for name in ends] for ends in (node.inputs, node.outputs)
    )
    tables = [table_text(variable, table) for variable, table in pairs]
    return function_text(function, inputs, outputs, pragmas, kernel_call(kernel, names, ports), tables)
