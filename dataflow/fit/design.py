"""A design: the folded graph with FIFO depths and placed memories, ready for a back end."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil, gcd
from types import MappingProxyType

from muxflow.dataflow.errors import BudgetError, GraphError
from muxflow.dataflow.fit.device import Device, Resources, Utilisation
from muxflow.dataflow.fit.memory import Kind, Memory, PlacedMemory, place_memories
from muxflow.dataflow.fit.schedule import FIFO_DEPTH, fifo_depths, schedule
from muxflow.dataflow.fit.timing import Timing
from muxflow.dataflow.graph.graph import Graph, Node, check
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import STREAM_BITS_LIMIT, UNROLL_LIMIT, Fold, Logic
from muxflow.dataflow.ops import AutomatonWeights, WidthConverter

AXI_WORD = 64
"""Bits of the AXI-Stream ports: the width of a Zynq-7000 high-performance port."""


def container_bits(stream: Stream) -> int:
    """Bits of the container that an element of an outer stream stands in: 8, 16, 32 or 64."""
    return next(bits for bits in (8, 16, 32, 64) if bits >= stream.bits)


def port_lanes(stream: Stream) -> int:
    """Lanes of an outer stream: the most that divide both an AXI word and a frame."""
    return gcd(AXI_WORD // container_bits(stream), stream.size)


@dataclass(frozen=True)
class Design:
    """A graph whose every stream has lanes and one reader, and what it takes on a device.

    `folds`: by node. `depths`: FIFO depth in beats, by stream. `memories`: placed memories by node, FIFOs by stream.
    `clock_mhz`: the clock that rates are quoted at. `timing`: cycle simulation with these depths; None where none was
    made, and then cycles are estimates.
    """

    graph: Graph
    folds: Mapping[str, Fold]
    depths: Mapping[str, int]
    memories: Mapping[str, tuple[PlacedMemory, ...]]
    fifos: Mapping[str, PlacedMemory]
    device: Device
    board: str
    utilisation: Utilisation
    clock_mhz: float
    timing: Timing | None = None

    def __post_init__(self) -> None:
        for name in ("folds", "depths", "memories", "fifos"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def cycles(self, node: Node) -> int:
        """Cycles of a node for one frame when it never waits."""
        return node.op.loop(self.graph.ports(node), self.folds[node.name]).cycles

    def logic(self, node: Node) -> Logic:
        """Logic estimate of a node, without memories."""
        return node.op.logic(self.graph.ports(node), self.folds[node.name])

    def node_resources(self, node: Node) -> Resources:
        """Estimate for a node with its memories and the FIFOs behind it."""
        total = self.logic(node).resources
        placed = [*self.memories[node.name], *(self.fifos[name] for name in node.outputs)]
        for memory in placed:
            total += memory.resources
        return total

    @cached_property
    def resources(self) -> Resources:
        """Estimate for the whole design."""
        total = Resources()
        for node in self.graph.nodes:
            total += self.node_resources(node)
        return total + self.fifos[self.graph.input].resources

    @property
    def budget(self) -> Resources:
        """What the design may use of the device."""
        return self.device.budget(self.utilisation)

    @cached_property
    def bottleneck(self) -> Node:
        """The slowest node; the first one of equals."""
        return max(self.graph.nodes, key=self.cycles)

    @property
    def slowest_cycles(self) -> int:
        """Cycles of the slowest node for a frame: no pipeline of these folds is faster (estimate)."""
        return self.cycles(self.bottleneck)

    @property
    def interval(self) -> int:
        """Cycles between frames: by cycle simulation, or those of the slowest node where there is none (estimate)."""
        return self.slowest_cycles if self.timing is None else ceil(self.timing.interval)

    @cached_property
    def latency(self) -> int:
        """Cycles from the first input beat to the last output beat of one frame: by cycle simulation, or with unbounded
        FIFOs where there is none (estimate)."""
        if self.timing is not None:
            return self.timing.latency
        return int(schedule(self.graph, self.folds, timed=True).writes[self.graph.output][-1]) + 1

    @property
    def frames_per_second(self) -> float:
        """Pipelined rate at the clock."""
        return self.clock_mhz * 1e6 / self.interval

    @property
    def latency_seconds(self) -> float:
        """One-image latency at the clock."""
        return self.latency / (self.clock_mhz * 1e6)

    def memory_bits(self) -> dict[str, dict[str, int]]:
        """Bits by node (and by stream, for FIFOs) and kind: rom, threshold, line, frame, fifo, state."""
        table: dict[str, dict[str, int]] = {}
        for node in self.graph.nodes:
            row: dict[str, int] = {}
            placed = [*self.memories[node.name], *(self.fifos[name] for name in node.outputs)]
            for entry in placed:
                row[entry.memory.kind] = row.get(entry.memory.kind, 0) + entry.memory.bits
            table[node.name] = row
        return table

    @property
    def stored_parameter_bits(self) -> int:
        """Bits of weights and thresholds in memories."""
        kinds = ("rom", "threshold")
        return sum(m.memory.bits for row in self.memories.values() for m in row if m.memory.kind in kinds)

    @property
    def saved_bits(self) -> int:
        """Bits of weights that are generated and not stored."""
        return sum(
            node.op.saved_bits(self.graph.ports(node))
            for node in self.graph.nodes
            if isinstance(node.op, AutomatonWeights)
        )


def reads_follower(graph: Graph, node: Node) -> bool:
    """Whether the first input comes from a node that folds as this one does."""
    producer = graph.producers().get(node.inputs[0])
    return producer is not None and producer.op.follows == "consumer"


def resolve_folds(graph: Graph, leaders: Mapping[str, Fold]) -> dict[str, Fold]:
    """Folds of all nodes from those of the leading ones: a follower folds as the node that reads its output,
    one element a beat when that is the host.

    Raises GraphError naming a node whose fold does not divide its shapes, or that has none.
    """
    readers = graph.consumers()
    folds: dict[str, Fold] = {}
    for node in reversed(graph.nodes):
        if node.op.follows == "consumer":
            found = readers[node.outputs[0]]
            folds[node.name] = folds[found[0].name] if found else Fold()
        elif node.name in leaders:
            fold = leaders[node.name]
            node.op.check_folds(node.name, graph.ports(node), fold)
            if node.op.interleaved(fold) and not reads_follower(graph, node):
                raise GraphError(
                    f"{node.name} ({node.op.kind}): the fold '{fold}' reads several groups side by side, which only a "
                    "sliding window right before it can send; use one group at a time"
                )
            folds[node.name] = fold
        else:
            raise GraphError(f"{node.name} ({node.op.kind}): no fold is given for it")
    return folds


def lanes_between(stream: Stream, source: int, target: int) -> tuple[int, ...]:
    """Lanes of a stream from its writer to its reader, a width converter between each and the next.

    Lanes of which neither divides the other meet at their least common multiple, or at their greatest common divisor
    where that would be wider than the vendor tools allow.
    """
    if source == target:
        return (source,)
    if source % target == 0 or target % source == 0:
        return source, target
    meeting = source * target // gcd(source, target)
    if meeting * stream.bits > STREAM_BITS_LIMIT:
        meeting = gcd(source, target)
    return source, meeting, target


def insert_width_converters(
    graph: Graph, leaders: Mapping[str, Fold], *, axi: bool = True
) -> tuple[Graph, dict[str, Fold]]:
    """a /4 --> b /8   becomes   a /4 --> WidthConverter --> /8 b: both ends of every stream get the same lanes.

    `axi`: the graph's input and output have the lanes of AXI words; False: those of the nodes at its ends.
    Returns the graph with lanes on every stream and its folds.
    """
    folds = resolve_folds(graph, leaders)
    reader_lanes: dict[str, int] = {}
    writer_lanes: dict[str, int] = {}
    for node in graph.nodes:
        lanes_in, lanes_out = node.op.lanes(graph.ports(node), folds[node.name])
        reader_lanes.update(zip(node.inputs, lanes_in, strict=True))
        writer_lanes.update(zip(node.outputs, lanes_out, strict=True))
    writer_lanes[graph.input] = port_lanes(graph.streams[graph.input]) if axi else reader_lanes[graph.input]
    reader_lanes[graph.output] = port_lanes(graph.streams[graph.output]) if axi else writer_lanes[graph.output]

    nodes: list[Node] = []
    streams: dict[str, Stream] = {}
    final: dict[str, str] = {}

    def join(name: str) -> None:
        stream = graph.streams[name]
        lanes = lanes_between(stream, writer_lanes[name], reader_lanes[name])
        streams[name] = stream.with_lanes(lanes[0])
        final[name] = name
        for before, after in itertools.pairwise(lanes):
            converter = f"{name}_to{after}"
            nodes.append(Node(converter, WidthConverter(before, after), (final[name],), (converter,)))
            folds[converter] = Fold()
            streams[converter] = stream.with_lanes(after)
            final[name] = converter

    join(graph.input)
    for node in graph.nodes:
        nodes.append(replace(node, inputs=tuple(final[name] for name in node.inputs)))
        for name in node.outputs:
            join(name)
    folded = replace(graph, nodes=tuple(nodes), streams=streams, output=final[graph.output])
    return check(folded), folds


def converter_chains(graph: Graph) -> dict[str, tuple[str, ...]]:
    """The streams of a folded graph by the one that a node other than a width converter writes: itself, then those behind
    its converters up to the reader."""
    chains: dict[str, tuple[str, ...]] = {}
    origin: dict[str, str] = {}
    for name in (graph.input, *(name for node in graph.nodes for name in node.outputs)):
        chains[name] = (name,)
    for node in graph.nodes:
        if isinstance(node.op, WidthConverter):
            start = origin.get(node.inputs[0], node.inputs[0])
            origin[node.outputs[0]] = start
            chains[start] += chains.pop(node.outputs[0])
    return chains


def before_width_converters(graph: Graph) -> Graph:
    """a /4 --> WidthConverter --> /8 b   becomes   a --> b: the graph that `insert_width_converters` was given."""
    converters = {node.outputs[0]: node.inputs[0] for node in graph.nodes if isinstance(node.op, WidthConverter)}

    def before(stream: str) -> str:
        while stream in converters:
            stream = converters[stream]
        return stream

    nodes = tuple(
        replace(node, inputs=tuple(before(name) for name in node.inputs))
        for node in graph.nodes
        if not isinstance(node.op, WidthConverter)
    )
    streams = {name: replace(stream, lanes=0) for name, stream in graph.streams.items() if name not in converters}
    return replace(graph, nodes=nodes, streams=streams, output=before(graph.output))


def check_limits(graph: Graph, folds: Mapping[str, Fold]) -> None:
    """Raises BudgetError naming a stream wider, or a loop body larger, than the vendor tools can take."""
    for name, stream in graph.streams.items():
        if stream.beat_bits > STREAM_BITS_LIMIT:
            raise BudgetError(
                f"stream {name} is {stream.beat_bits} bits wide; the tools allow {STREAM_BITS_LIMIT}: use a smaller fold"
            )
    for node in graph.nodes:
        work = node.op.unrolled(graph.ports(node), folds[node.name])
        if work > UNROLL_LIMIT:
            raise BudgetError(
                f"{node.name} ({node.op.kind}) unrolls {work} operations in a cycle; the limit is {UNROLL_LIMIT}: "
                "use a smaller fold"
            )


def build_design(
    graph: Graph,
    leaders: Mapping[str, Fold],
    *,
    device: Device,
    board: str,
    clock_mhz: float,
    utilisation: Utilisation | None = None,
    depths: Mapping[str, int] | None = None,
    timing: Timing | None = None,
) -> Design:
    """The design of a graph (forks inserted) under given folds, its memories placed by `place_memories`.

    `depths`: FIFO depths of the folded graph's streams, conservative ones when None; `timing`: their simulation.
    Raises GraphError for a fold that does not divide, BudgetError for one over the tools' limits.
    """
    folded, folds = insert_width_converters(graph, leaders)
    check_limits(folded, folds)
    return folded_design(
        folded,
        folds,
        fifo_depths(folded, folds) if depths is None else depths,
        device=device,
        board=board,
        clock_mhz=clock_mhz,
        utilisation=utilisation or Utilisation(),
        timing=timing,
    )


def folded_design(
    graph: Graph,
    folds: Mapping[str, Fold],
    depths: Mapping[str, int],
    *,
    device: Device,
    board: str,
    clock_mhz: float,
    utilisation: Utilisation,
    timing: Timing | None = None,
) -> Design:
    """The design of a folded graph (lanes on every stream) with FIFO depths for all its streams.

    Raises GraphError when the depths are those of other streams.
    """
    if set(depths) != set(graph.streams):
        odd = sorted(set(depths) ^ set(graph.streams))[0]
        raise GraphError(f"{graph.name}: FIFO depths for other streams than those of the folded graph (first: {odd})")
    rows = {node.name: node.op.memories(graph.ports(node), folds[node.name]) for node in graph.nodes}
    queues = fifo_memories(graph, depths)
    total = Resources()
    for node in graph.nodes:
        total += node.op.logic(graph.ports(node), folds[node.name]).resources
    everything = [*itertools.chain(*rows.values()), *queues.values()]
    placed = iter(place_memories(everything, total, device.budget(utilisation)))
    memories = {name: tuple(itertools.islice(placed, len(row))) for name, row in rows.items()}
    fifos = dict(zip(queues, placed, strict=True))
    return Design(graph, folds, depths, memories, fifos, device, board, utilisation, clock_mhz, timing)


def frame_edges(graph: Graph) -> set[str]:
    """Streams of a map into a node that also waits for an answer that comes once a frame, those before its width
    converters included: their FIFOs hold the frame."""
    held: set[str] = set()
    weights = graph.weights()
    for node in graph.nodes:
        data = [name for name in node.inputs if name not in weights]
        maps = [name for name in data if graph.streams[name].pixels > 1]
        if len(maps) < len(data):
            held.update(maps)
    return {name for chain in converter_chains(graph).values() if chain[-1] in held for name in chain}


def fifo_memories(graph: Graph, depths: Mapping[str, int]) -> dict[str, Memory]:
    """The FIFO of every stream as a memory; the ones that hold a frame for a join are shown as frame buffers."""
    held = frame_edges(graph)
    kinds: dict[str, Kind] = {
        name: "frame" if name in held and depth > FIFO_DEPTH else "fifo" for name, depth in depths.items()
    }
    return {
        name: Memory(name, kinds[name], depths[name], stream.beat_bits, True) for name, stream in graph.streams.items()
    }


def with_depths(design: Design, depths: Mapping[str, int], timing: Timing | None) -> Design:
    """The design with other FIFO depths and the simulation that goes with them, its memories placed anew."""
    return folded_design(
        design.graph,
        design.folds,
        depths,
        device=design.device,
        board=design.board,
        clock_mhz=design.clock_mhz,
        utilisation=design.utilisation,
        timing=timing,
    )
