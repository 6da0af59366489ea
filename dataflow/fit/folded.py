"""A folded graph: lanes on every stream, one reader each, and what its nodes take on a target."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import gcd, lcm
from types import MappingProxyType

from muxflow.dataflow.access import Access
from muxflow.dataflow.errors import BudgetError, GraphError
from muxflow.dataflow.fit.axi import axi_lanes
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.implementation import Cost, Implementations, Limits, parameters_of
from muxflow.dataflow.fit.memory import Kind, Memory
from muxflow.dataflow.graph.edit import free_name
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.spec import check
from muxflow.dataflow.graph.stream import Beat, Stream
from muxflow.dataflow.op import Fold, Op, Ports, Role
from muxflow.dataflow.ops.width_converter import WidthConverter

FIFO_DEPTH = 2
"""Depth of an edge that no join waits on: enough for a beat every cycle."""

DEEPEST_FIFO = 1 << 28
"""Most beats that a FIFO may hold: beyond what any device stores, within the 32 bits of the tools (decision)."""


@dataclass(frozen=True)
class Folded:
    """A graph whose every stream has lanes and one reader.

    `folds`: by node. `implementations`: of the target. `depths`: FIFO depth in beats by stream, 0 for one that is read in
    place; empty until they are sized.
    """

    graph: Graph
    folds: Mapping[str, Fold]
    implementations: Implementations
    depths: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("folds", "depths"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def access(self, node: Node) -> Access:
        """Give the access pattern of a node's hardware; it begins with what the sources that it holds do before a frame."""
        if node.name not in self._accesses:
            held = [self.in_place[name].op for name in node.inputs if name in self.in_place]
            found = self.implementations.of(node.op).access(node.op, self.graph.ports(node), self.folds[node.name])
            self._accesses[node.name] = found.delayed(sum(self.implementations.of(op).begin(op) for op in held))
        return self._accesses[node.name]

    def cost(self, node: Node) -> Cost:
        """Give what a node takes (estimate)."""
        if node.name not in self._costs:
            implementation = self.implementations.of(node.op)
            found = implementation.cost(node.op, self.graph.ports(node), self.folds[node.name])
            self._costs[node.name] = found
        return self._costs[node.name]

    @cached_property
    def _accesses(self) -> dict[str, Access]:
        """What `access` has given, by node."""
        return {}

    @cached_property
    def _costs(self) -> dict[str, Cost]:
        """What `cost` has given, by node."""
        return {}

    def parameter_bits(self, node: Node) -> int:
        """Count the bits of a node's parameters, each once, whatever its fold."""
        if not parameters_of(self.cost(node).memories):
            return 0
        return self.implementations.of(node.op).parameter_bits(node.op, self.graph.ports(node))

    def cycles(self, node: Node) -> int:
        """Count the cycles of a node for one frame when no stream makes it wait (estimate)."""
        return self.access(node).trips * self.cost(node).interval

    @property
    def slowest_cycles(self) -> int:
        """Cycles of the slowest node for a frame."""
        return max((self.cycles(node) for node in self.graph.nodes), default=0)

    @property
    def logic(self) -> Resources:
        """Logic of all nodes, without memories (estimate)."""
        total = Resources()
        for node in self.graph.nodes:
            total += self.cost(node).logic
        return total

    @property
    def memories(self) -> tuple[Memory, ...]:
        """What all nodes store, and the FIFOs between them."""
        stored = [memory for node in self.graph.nodes for memory in self.cost(node).memories]
        queues = [
            Memory(name, "fifo", self.depths[name], self.graph.streams[name].beat_bits, True)
            for name in self.inner_streams
        ]
        return (*stored, *queues)

    @property
    def widest_beat(self) -> int:
        """Bits of the widest beat."""
        return max(stream.beat_bits for stream in self.graph.streams.values())

    @cached_property
    def in_place(self) -> Mapping[str, Node]:
        """The streams that are none in hardware, each with its source: the reader's process holds it and reads it in place."""
        producers = self.graph.producers()
        return MappingProxyType(
            {
                name: producers[name]
                for node in self.graph.nodes
                for name in node.inputs
                if name in producers and reads_in_place(self.implementations, producers[name].op, node.op)
            }
        )

    @property
    def processes(self) -> tuple[Node, ...]:
        """The nodes that are processes of their own, in the graph's order: all but sources that their readers hold."""
        return tuple(node for node in self.graph.nodes if self.in_place.keys().isdisjoint(node.outputs))

    @property
    def inner_streams(self) -> tuple[str, ...]:
        """The streams between processes, in the graph's order."""
        others = {*self.graph.inputs, *self.graph.outputs, *self.in_place}
        return tuple(name for name in self.graph.streams if name not in others)

    def with_depths(self, depths: Mapping[str, int]) -> Folded:
        """Give every stream a FIFO depth; raises GraphError when the depths are those of other streams.

        A stream that is read in place has none, whatever is given.
        """
        if set(depths) != set(self.graph.streams):
            odd = sorted(set(depths) ^ set(self.graph.streams))[0]
            raise GraphError(
                f"{self.graph.name}: FIFO depths for other streams than those of the folded graph (first: {odd})"
            )
        depths = {name: 0 if name in self.in_place else depth for name, depth in depths.items()}
        for name, depth in depths.items():
            if name not in self.in_place and not 1 <= depth <= DEEPEST_FIFO:
                raise GraphError(
                    f"{self.graph.name}: FIFO {name} has a depth of {depth}; from 1 to {DEEPEST_FIFO} are possible"
                )
        return replace(self, depths=depths)


def reads_in_place(implementations: Implementations, source: Op, reader: Op) -> bool:
    """Say whether the process of `reader` holds `source`, so that no stream lies between."""
    return implementations.of(source).is_held(source) and implementations.of(reader).holds_sources(reader)


def reads_layout(graph: Graph, node: Node) -> bool:
    """Say whether the first input comes from a node that lays vectors out for this one."""
    producer = graph.producers().get(node.inputs[0])
    return producer is not None and producer.op.role is Role.LAYOUT


def resolve_folds(graph: Graph, leaders: Mapping[str, Fold]) -> dict[str, Fold]:
    """Derive the folds of all nodes from those of the leading ones.

    A follower folds as the node that reads its output, one element a beat when that is the host.
    Raises GraphError naming a node whose fold does not divide its shapes, or that has none.
    """
    readers = graph.consumers()
    unknown = sorted(set(leaders) - {node.name for node in graph.nodes})
    if unknown:
        raise GraphError(f"{graph.name}: a fold is given for {unknown[0]}, which is no node of the graph")
    folds: dict[str, Fold] = {}
    for node in reversed(graph.nodes):
        if node.op.folds_with_reader:
            found = readers[node.outputs[0]]
            folds[node.name] = folds[found[0].name].plain if found else Fold()
        elif node.name in leaders:
            fold = leaders[node.name]
            node.op.check_folds(node.name, graph.ports(node), fold)
            if node.op.interleaved(fold) and not reads_layout(graph, node):
                raise GraphError(
                    f"{node}: the fold '{fold}' reads several groups side by side, which only a "
                    "sliding window right before it can send; use one group at a time"
                )
            folds[node.name] = fold
        else:
            raise GraphError(f"{node}: no fold is given for it")
    return folds


def beats_between(stream: Stream, source: Beat, target: Beat, limits: Limits) -> tuple[Beat, ...]:
    """List the beats of a stream from its writer to its reader, a width converter between each and the next.

    Lanes of which neither divides the other meet at their least common multiple, or at their greatest common divisor
    where that would be wider than the target allows. Where the number of pixels changes, the side of fewer pixels says
    how many lanes of each travel meanwhile; whole pixels are gathered in the order of their elements first.
    """
    if source.pixels > target.pixels:
        return beats_between(stream, target, source, limits)[::-1]
    most = limits.stream_bits // stream.bits
    own, part = source.lanes // source.pixels, target.lanes // target.pixels
    if own == part:
        return (source,) if source == target else (source, target)
    if source.pixels == target.pixels:
        if own % part == 0 or part % own == 0:
            return source, target
        meeting = lcm(own, part) if lcm(own, part) * source.pixels <= most else gcd(own, part)
        return source, stream.beat_of(meeting * source.pixels, source.pixels), target
    if own >= stream.channels or stream.channels % own:
        whole = Beat(stream.channels * target.pixels)
        if whole.lanes <= most:
            return (*beats_between(stream, source, whole, limits), target)
        via = Beat(gcd(own, part))
    elif own * target.pixels <= most:
        via = Beat(own * target.pixels, target.pixels)
    else:
        via = Beat(part * source.pixels, source.pixels)
    return (*beats_between(stream, source, via, limits)[:-1], *beats_between(stream, via, target, limits))


def fold_graph(
    graph: Graph, leaders: Mapping[str, Fold], implementations: Implementations, *, axi: bool = True
) -> Folded:
    """Give both ends of every stream the same beats: a /4 --> b /8   becomes   a /4 --> WidthConverter --> /8 b.

    `axi`: the graph's inputs and outputs have the lanes of AXI words; False: those of the nodes at its ends.
    Raises GraphError for a fold that does not divide.
    """
    folds = resolve_folds(graph, leaders)
    read: dict[str, Beat] = {}
    written: dict[str, Beat] = {}
    for node in graph.nodes:
        beats_in, beats_out = node.op.beats(graph.ports(node), folds[node.name])
        read.update(zip(node.inputs, beats_in, strict=True))
        written.update(zip(node.outputs, beats_out, strict=True))
    for name in graph.inputs:
        written[name] = Beat(axi_lanes(graph.streams[name])) if axi else read[name]
    for name in graph.outputs:
        read[name] = Beat(axi_lanes(graph.streams[name])) if axi else written[name]

    nodes: list[Node] = []
    streams: dict[str, Stream] = {}
    final: dict[str, str] = {}
    taken = {*graph.streams, *(node.name for node in graph.nodes)}

    def join(name: str) -> None:
        stream = graph.streams[name]
        beats = beats_between(stream, written[name], read[name], implementations.limits)
        streams[name] = stream.with_beat(beats[0])
        final[name] = name
        for before, after in itertools.pairwise(beats):
            converter = free_name(f"{name}_to{after}", taken)
            nodes.append(Node(converter, WidthConverter.between(before, after), (final[name],), (converter,)))
            folds[converter] = Fold()
            streams[converter] = stream.with_beat(after)
            final[name] = converter

    for name in graph.inputs:
        join(name)
    for node in graph.nodes:
        nodes.append(replace(node, inputs=tuple(final[name] for name in node.inputs)))
        for name in node.outputs:
            join(name)
    folded = replace(graph, nodes=tuple(nodes), streams=streams, **graph.renamed_outputs(final.__getitem__))
    return Folded(check(folded, "folded", folds), folds, implementations)


def fold_op(op: Op, inputs: Sequence[Stream], fold: Fold, implementations: Implementations) -> Folded:
    """Fold one op as a graph of its own: inputs x0, x1, ..., outputs y0, y1, ..., no depths.

    Raises GraphError when the inputs do not fit or the fold does not divide.
    """
    sources = tuple(f"x{i}" for i in range(len(inputs)))
    ports = Ports(tuple(inputs), op.infer(*inputs))
    if not op.folds_with_reader:
        op.check_folds("node", ports, fold)
    targets = tuple(f"y{i}" for i in range(len(ports.outputs)))
    beats_in, beats_out = op.beats(ports, fold)
    ends = zip(sources + targets, ports.inputs + ports.outputs, beats_in + beats_out, strict=True)
    streams = {name: stream.with_beat(beat) for name, stream, beat in ends}
    graph = Graph(op.kind, (Node("node", op, sources, targets),), streams, sources, targets)
    return Folded(graph, {"node": fold}, implementations)


def converter_chains(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Group the streams of a folded graph by the one that a node other than a width converter writes.

    A group: that stream, then those after its converters up to the reader.
    """
    chains: dict[str, tuple[str, ...]] = {}
    origin: dict[str, str] = {}
    for name in (*graph.inputs, *(name for node in graph.nodes for name in node.outputs)):
        chains[name] = (name,)
    for node in graph.nodes:
        if node.op.only_lanes:
            start = origin.get(node.inputs[0], node.inputs[0])
            origin[node.outputs[0]] = start
            chains[start] += chains.pop(node.outputs[0])
    return chains


def unfolded(graph: Graph) -> Graph:
    """Give the graph that `fold_graph` was given: a /4 --> WidthConverter --> /8 b   becomes   a --> b."""
    converters = {node.outputs[0]: node.inputs[0] for node in graph.nodes if node.op.only_lanes}

    def before(stream: str) -> str:
        while stream in converters:
            stream = converters[stream]
        return stream

    nodes = tuple(
        replace(node, inputs=tuple(before(name) for name in node.inputs))
        for node in graph.nodes
        if not node.op.only_lanes
    )
    streams = {name: stream.without_lanes() for name, stream in graph.streams.items() if name not in converters}
    return replace(graph, nodes=nodes, streams=streams, **graph.renamed_outputs(before))


def frame_edges(graph: Graph) -> set[str]:
    """Collect the streams of a map into a node that also waits for an answer that comes once a frame.

    Those before its width converters are included: the FIFOs of all of them hold the frame.
    """
    held: set[str] = set()
    for node in graph.nodes:
        ports = node.op.inputs[: len(node.inputs)]
        if any(port.per_frame for port in ports):
            waiting = zip(node.inputs, ports, strict=True)
            held.update(n for n, port in waiting if not port.per_frame and graph.streams[n].pixels > 1)
    return {name for chain in converter_chains(graph).values() if chain[-1] in held for name in chain}


def fifo_memories(folded: Folded) -> dict[str, Memory]:
    """Describe the FIFO of every stream that has one as a memory; the ones that hold a frame for a join are frame buffers."""
    held = frame_edges(folded.graph)

    def kind(name: str) -> Kind:
        return "frame" if name in held and folded.depths[name] > FIFO_DEPTH else "fifo"

    return {
        name: Memory(name, kind(name), folded.depths[name], stream.beat_bits, True)
        for name, stream in folded.graph.streams.items()
        if name not in folded.in_place
    }


def check_limits(folded: Folded) -> None:
    """Raise BudgetError naming a stream wider, or a loop body larger, than the target's tools can take."""
    limits = folded.implementations.limits
    for name, stream in folded.graph.streams.items():
        if stream.beat_bits > limits.stream_bits:
            raise BudgetError(
                f"stream {name} is {stream.beat_bits} bits wide; the tools allow {limits.stream_bits}: use a smaller fold"
            )
    for node in folded.graph.nodes:
        work = folded.cost(node).unrolled
        if work > limits.unrolled:
            raise BudgetError(
                f"{node} unrolls {work} operations in a cycle; the limit is {limits.unrolled}: use a smaller fold"
            )
