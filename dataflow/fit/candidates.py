"""What the folding solver chooses from: groups of nodes that fold together, and the folds of each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from muxflow.dataflow.errors import BudgetError, GraphError
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.folded import FIFO_DEPTH, beats_between, reads_in_place, reads_layout
from muxflow.dataflow.fit.implementation import Cost, Implementations
from muxflow.dataflow.fit.memory import Memory, choices
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Beat, Stream
from muxflow.dataflow.op import MOST_PIXELS, Fold, Ports
from muxflow.dataflow.ops.width_converter import WidthConverter


@dataclass(frozen=True)
class Candidate:
    """One fold of a group: cycles of its slowest node, logic, memories, beats of the streams it reads and writes.

    Width converters between its nodes are part of it. `queues`: the streams that its nodes read through FIFOs, which are
    not among the memories, in the reader's beats.
    """

    fold: Fold
    cycles: int
    logic: Resources
    memories: tuple[Memory, ...]
    queues: tuple[tuple[str, Beat], ...]
    reads: tuple[Beat, ...]
    writes: tuple[Beat, ...]


@dataclass(frozen=True)
class Group:
    """A leading node with the nodes that fold as it does, `members` in the graph's order.

    `reads`, `writes`: the data streams that connect it to other groups or to the host.
    """

    leader: Node
    members: tuple[Node, ...]
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    candidates: tuple[Candidate, ...]


def groups(
    graph: Graph,
    implementations: Implementations,
    folds: Mapping[str, Set[Fold]] | None = None,
) -> tuple[Group, ...]:
    """List the groups of a graph (forks inserted), in its order, with every fold that the tools' limits allow.

    `folds`: the folds that a leading node may take, all legal ones where it is absent.
    Raises BudgetError naming a node whose every fold is over the limits.
    """
    producers = graph.producers()
    found = []
    for node in graph.nodes:
        alone = node.op.folds_with_reader
        if alone and node.outputs[0] not in graph.outputs:
            continue
        members = [node]
        for member in members:
            feeding = (producers.get(name) for name in member.inputs)
            members += [one for one in feeding if one is not None and one.op.folds_with_reader]
        members.reverse()
        inner = {name for member in members if member is not node for name in member.outputs}
        reads = tuple(name for member in members for name in member.inputs if name not in inner)
        in_place = {
            name: implementations.of(producers[name].op).begin(producers[name].op)
            for member in members
            for name in member.inputs
            if name in inner and reads_in_place(implementations, producers[name].op, member.op)
        }
        legal = [Fold()] if alone else tried_folds(graph, implementations, node)
        if folds is not None and node.name in folds:
            legal = [fold for fold in legal if fold in folds[node.name]]
        tried = (_candidate(graph, implementations, members, inner, in_place, reads, node, fold) for fold in legal)
        row = tuple(candidate for candidate in tried if candidate is not None)
        if not row:
            raise BudgetError(
                f"{node.name}: every fold is over the tools' limits on stream width ({implementations.limits.stream_bits} "
                f"bits) and unrolled work ({implementations.limits.unrolled} operations); make the layer narrower or its codes "
                "shorter"
            )
        found.append(Group(node, tuple(members), reads, node.outputs, row))
    return tuple(found)


def tried_folds(graph: Graph, implementations: Implementations, node: Node) -> list[Fold]:
    """List the folds of a leading node that the solver chooses from, where the tools' limits allow them.

    Of neighbouring pixels every number where beats hold whole ones; where they hold parts of them, one number: 4 or 2 where
    it divides a row, else the least that does (decision: more of them make the search slow, and help little).
    """
    ports = graph.ports(node)
    row = min([stream.row for stream in ports.inputs[:1] + ports.outputs if stream.row > 1], default=1)
    parts = next((count for count in (4, *range(2, MOST_PIXELS + 1)) if row % count == 0), 1)

    def holds_whole_pixels(fold: Fold) -> bool:
        beats_in, beats_out = node.op.beats(ports, fold)
        ends = zip(ports.inputs + ports.outputs, beats_in + beats_out, strict=True)
        return all(beat.pixels == 1 for stream, beat in ends if stream.repeats == 1)

    return [
        form
        for fold in node.op.folds(ports)
        if (not node.op.interleaved(fold) or reads_layout(graph, node))
        and fold.pixels <= implementations.limits.pixels
        and (fold.pixels in (1, parts) or holds_whole_pixels(fold))
        for form in implementations.of(node.op).forms(node.op, ports, fold)
    ]


def _candidate(
    graph: Graph,
    implementations: Implementations,
    members: list[Node],
    inner: set[str],
    in_place: Mapping[str, int],
    reads: tuple[str, ...],
    leader: Node,
    fold: Fold,
) -> Candidate | None:
    cycles = 0
    logic = Resources()
    memories: list[Memory] = []
    read: dict[str, Beat] = {}
    written: dict[str, Beat] = {}
    for member in members:
        ports = graph.ports(member)
        found = _beats_and_cost(member, ports, fold, implementations)
        if found is None:
            return None
        beats, cost = found
        read.update(zip(member.inputs, beats[0], strict=True))
        written.update(zip(member.outputs, beats[1], strict=True))
        trips = implementations.of(member.op).access(member.op, ports, fold).trips
        cycles = max(cycles, (trips + sum(in_place.get(name, 0) for name in member.inputs)) * cost.interval)
        logic += cost.logic
        memories += cost.memories
    for name, beat in read.items():
        if name in inner:
            taken, slowest = connection(implementations, graph.streams[name], written[name], beat)
            logic += taken
            cycles = max(cycles, slowest)
    return Candidate(
        fold,
        cycles,
        logic,
        tuple(memories),
        tuple((name, beat) for name, beat in read.items() if name not in in_place),
        tuple(read[name] for name in reads),
        tuple(written[name] for name in leader.outputs),
    )


def _beats_and_cost(
    node: Node, ports: Ports, fold: Fold, implementations: Implementations
) -> tuple[tuple[tuple[Beat, ...], tuple[Beat, ...]], Cost] | None:
    """Give the beats of inputs and outputs, and the cost; None for a fold over the limits."""
    try:
        beats_in, beats_out = node.op.beats(ports, fold)
    except GraphError:
        # A follower that cannot keep up with this fold of its reader.
        return None
    widths = (
        stream.bits * beat.lanes
        for stream, beat in zip(ports.inputs + ports.outputs, beats_in + beats_out, strict=True)
    )
    if max(widths, default=0) > implementations.limits.stream_bits:
        return None
    cost = implementations.of(node.op).cost(node.op, ports, fold)
    return None if cost.unrolled > implementations.limits.unrolled else ((beats_in, beats_out), cost)


def fifo(stream: Stream, beat: Beat, held: int) -> Memory:
    """Describe the FIFO of a stream that is read in such beats and holds `held` elements."""
    return Memory("fifo", "fifo", max(FIFO_DEPTH, -(-held // beat.lanes)), stream.bits * beat.lanes, True)


@lru_cache(maxsize=1 << 18)
def connection(implementations: Implementations, stream: Stream, source: Beat, target: Beat) -> tuple[Resources, int]:
    """Sum what the width converters of a stream take, the FIFOs before each included, and the cycles of the slowest."""
    total, cycles = Resources(), 0
    for before, after in itertools.pairwise(beats_between(stream, source, target, implementations.limits)):
        op = WidthConverter.between(before, after)
        ports = Ports((stream.with_beat(before),), (stream.with_beat(after),))
        found = implementations.of(op)
        cost = found.cost(op, ports, Fold())
        total += cost.logic + choices(fifo(stream, before, 0))[0].resources
        cycles = max(cycles, found.access(op, ports, Fold()).trips * cost.interval)
    return total, cycles
