"""What the folding solver chooses from: groups of nodes that fold together, and the folds of each."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Set
from dataclasses import dataclass
from functools import lru_cache

from muxflow.dataflow.errors import BudgetError, GraphError
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.folded import FIFO_DEPTH, lanes_between, reads_in_place, reads_layout
from muxflow.dataflow.fit.implementation import Cost, Implementations
from muxflow.dataflow.fit.memory import Memory, choices
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.width_converter import WidthConverter


@dataclass(frozen=True)
class Candidate:
    """One fold of a group: cycles of its slowest node, logic, memories, lanes of the streams it reads and writes.

    Width converters between its nodes are part of it, and so are the FIFOs that its nodes read, at the reader's lanes.
    """

    fold: Fold
    cycles: int
    logic: Resources
    memories: tuple[Memory, ...]
    reads: tuple[int, ...]
    writes: tuple[int, ...]


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
    held: Mapping[str, int],
    folds: Mapping[str, Set[Fold]] | None = None,
) -> tuple[Group, ...]:
    """List the groups of a graph (forks inserted), in its order, with every fold that the tools' limits allow.

    `held`: elements that the FIFO of a stream is expected to hold, the same for every fold; absent streams need none.
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
        legal = [Fold()] if alone else list(node.op.folds(graph.ports(node)))
        legal = [fold for fold in legal if not node.op.interleaved(fold) or reads_layout(graph, node)]
        if folds is not None and node.name in folds:
            legal = [fold for fold in legal if fold in folds[node.name]]
        tried = (
            _candidate(graph, implementations, members, inner, in_place, reads, node, fold, held) for fold in legal
        )
        row = tuple(candidate for candidate in tried if candidate is not None)
        if not row:
            raise BudgetError(
                f"{node.name}: every fold is over the tools' limits on stream width ({implementations.limits.stream_bits} "
                f"bits) and unrolled work ({implementations.limits.unrolled} operations); make the layer narrower or its codes "
                "shorter"
            )
        found.append(Group(node, tuple(members), reads, node.outputs, row))
    return tuple(found)


def _candidate(
    graph: Graph,
    implementations: Implementations,
    members: list[Node],
    inner: set[str],
    in_place: Mapping[str, int],
    reads: tuple[str, ...],
    leader: Node,
    fold: Fold,
    held: Mapping[str, int],
) -> Candidate | None:
    cycles = 0
    logic = Resources()
    memories: list[Memory] = []
    reader_lanes: dict[str, int] = {}
    writer_lanes: dict[str, int] = {}
    for member in members:
        ports = graph.ports(member)
        found = _lanes_and_cost(member, ports, fold, implementations)
        if found is None:
            return None
        lanes, cost = found
        reader_lanes.update(zip(member.inputs, lanes[0], strict=True))
        writer_lanes.update(zip(member.outputs, lanes[1], strict=True))
        trips = implementations.of(member.op).access(member.op, ports, fold).trips
        cycles = max(cycles, (trips + sum(in_place.get(name, 0) for name in member.inputs)) * cost.interval)
        logic += cost.logic
        memories += cost.memories
    for name, lanes_read in reader_lanes.items():
        if name not in in_place:
            memories.append(fifo(graph.streams[name], lanes_read, held.get(name, 0)))
        if name in inner:
            taken, slowest = connection(implementations, graph.streams[name], writer_lanes[name], lanes_read)
            logic += taken
            cycles = max(cycles, slowest)
    return Candidate(
        fold,
        cycles,
        logic,
        tuple(memories),
        tuple(reader_lanes[name] for name in reads),
        tuple(writer_lanes[name] for name in leader.outputs),
    )


def _lanes_and_cost(
    node: Node, ports: Ports, fold: Fold, implementations: Implementations
) -> tuple[tuple[tuple[int, ...], tuple[int, ...]], Cost] | None:
    """Give the lanes of inputs and outputs, and the cost; None for a fold over the limits."""
    try:
        lanes_in, lanes_out = node.op.lanes(ports, fold)
    except GraphError:
        # A follower that cannot keep up with this fold of its reader.
        return None
    widths = (
        stream.bits * lanes for stream, lanes in zip(ports.inputs + ports.outputs, lanes_in + lanes_out, strict=True)
    )
    if max(widths, default=0) > implementations.limits.stream_bits:
        return None
    cost = implementations.of(node.op).cost(node.op, ports, fold)
    return None if cost.unrolled > implementations.limits.unrolled else ((lanes_in, lanes_out), cost)


def fifo(stream: Stream, lanes: int, held: int) -> Memory:
    """Describe the FIFO of a stream that is read `lanes` elements at a time and holds `held` elements."""
    return Memory("fifo", "fifo", max(FIFO_DEPTH, -(-held // lanes)), stream.bits * lanes, True)


@lru_cache(maxsize=1 << 16)
def connection(implementations: Implementations, stream: Stream, source: int, target: int) -> tuple[Resources, int]:
    """Sum what the width converters of a stream take, the FIFOs before each included, and the cycles of the slowest."""
    total, cycles = Resources(), 0
    for before, after in itertools.pairwise(lanes_between(stream, source, target, implementations.limits)):
        op = WidthConverter(before, after)
        ports = Ports((stream.with_lanes(before),), (stream.with_lanes(after),))
        found = implementations.of(op)
        cost = found.cost(op, ports, Fold())
        total += cost.logic + choices(fifo(stream, before, 0))[0].resources
        cycles = max(cycles, found.access(op, ports, Fold()).trips * cost.interval)
    return total, cycles
