"""A design: the folded graph with FIFO depths and placed memories, ready for a target."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil
from types import MappingProxyType

from muxflow.dataflow.fit.device import Device, Resources, Utilisation, check_clock
from muxflow.dataflow.fit.folded import Folded, check_limits, fifo_memories, fold_graph
from muxflow.dataflow.fit.goal import Asked
from muxflow.dataflow.fit.implementation import Cost, Implementations
from muxflow.dataflow.fit.memory import PlacedMemory, place_memories
from muxflow.dataflow.fit.schedule import fifo_depths, schedule
from muxflow.dataflow.fit.timing import Timing
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.op import Fold


@dataclass(frozen=True)
class Design:
    """A folded graph with FIFO depths, and what it takes on a device.

    `memories`: placed memories by node, `fifos`: by stream, but for those that are read in place. `clock_mhz`: the clock
    that rates are quoted at. `timing`: cycle simulation with these depths; None where none was made, and then cycles are
    estimates. `apart`: cycles after which all nodes have ended a frame, of a project in which frames do not overlap; None
    where they do. `asked`: what the fit was asked for, None where that is not known, as of a project that an older version
    wrote.
    """

    folded: Folded
    memories: Mapping[str, tuple[PlacedMemory, ...]]
    fifos: Mapping[str, PlacedMemory]
    device: Device
    board: str
    utilisation: Utilisation
    clock_mhz: float
    timing: Timing | None = None
    apart: int | None = None
    asked: Asked | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "clock_mhz", check_clock(self.clock_mhz))
        for name in ("memories", "fifos"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    @property
    def graph(self) -> Graph:
        """The folded graph's nodes and streams."""
        return self.folded.graph

    @property
    def folds(self) -> Mapping[str, Fold]:
        """Folds by node."""
        return self.folded.folds

    @property
    def depths(self) -> Mapping[str, int]:
        """FIFO depths in beats, by stream."""
        return self.folded.depths

    def cycles(self, node: Node) -> int:
        """Count the cycles of a node for one frame when it never waits."""
        return self.folded.cycles(node)

    def cost(self, node: Node) -> Cost:
        """Give what a node takes, memories not placed (estimate)."""
        return self.folded.cost(node)

    def fifos_of(self, node: Node) -> tuple[PlacedMemory, ...]:
        """Give the FIFOs that are counted with a node: those that it writes, and those of the design's inputs that it reads.

        A stream that is read in place has none.
        """
        names = (*node.outputs, *(name for name in node.inputs if name in self.graph.inputs))
        return tuple(self.fifos[name] for name in names if name in self.fifos)

    def node_resources(self, node: Node) -> Resources:
        """Sum what a node takes with its memories and its FIFOs, see `fifos_of` (estimate)."""
        total = self.cost(node).logic
        placed = [*self.memories[node.name], *self.fifos_of(node)]
        for memory in placed:
            total += memory.resources
        return total

    @cached_property
    def resources(self) -> Resources:
        """What the whole design takes (estimate)."""
        total = Resources()
        for node in self.graph.nodes:
            total += self.node_resources(node)
        return total

    @property
    def budget(self) -> Resources:
        """What the design may use of the device."""
        return self.device.budget(self.utilisation)

    @property
    def allowance(self) -> Resources:
        """What the estimate may come to, so that the design is as sure as asked for to be inside the budget."""
        return self.device.allowance(self.utilisation)

    @cached_property
    def bottleneck(self) -> Node:
        """The slowest process; the first one of equals."""
        return max(self.folded.processes, key=self.cycles)

    @property
    def slowest_cycles(self) -> int:
        """Cycles of the slowest node for a frame: no pipeline of these folds is faster (estimate)."""
        return self.cycles(self.bottleneck)

    @property
    def interval(self) -> int:
        """Cycles between frames: by cycle simulation, or those of the slowest node where there is none (estimate).

        Those of a whole frame where frames do not overlap.
        """
        if self.apart is not None:
            return self.apart
        return self.slowest_cycles if self.timing is None else ceil(self.timing.interval)

    @cached_property
    def latency(self) -> int:
        """Cycles from the first input beat to the last output beat of one frame.

        By cycle simulation, or with unbounded FIFOs where there is none (estimate).
        """
        return schedule(self.folded, timed=True).latency if self.timing is None else self.timing.latency

    @property
    def frames_per_second(self) -> float:
        """Pipelined rate at the clock."""
        return self.clock_mhz * 1e6 / self.interval

    @property
    def latency_seconds(self) -> float:
        """One-image latency at the clock."""
        return self.latency / (self.clock_mhz * 1e6)

    def memory_bits(self) -> dict[str, dict[str, int]]:
        """Count bits by node, its FIFOs included, and by kind: rom, loaded, threshold, line, frame, fifo, state."""
        table: dict[str, dict[str, int]] = {}
        for node in self.graph.nodes:
            row: dict[str, int] = {}
            placed = [*self.memories[node.name], *self.fifos_of(node)]
            for entry in placed:
                row[entry.memory.kind] = row.get(entry.memory.kind, 0) + entry.memory.bits
            table[node.name] = row
        return table

    @cached_property
    def stored_parameter_bits(self) -> int:
        """Bits of weights and thresholds, each counted once: what the narrowest folds store of them, whatever the folds are.

        Memories of other folds may hold copies, for lanes that read at addresses of their own, or thresholds in another form.
        """
        return sum(map(self.folded.parameter_bits, self.graph.nodes))

    @property
    def saved_bits(self) -> int:
        """Bits of weights that are generated and not stored."""
        return sum(node.op.saved_bits(self.graph.ports(node)) for node in self.graph.nodes)

    @property
    def saved_threshold_bits(self) -> int:
        """Bits of thresholds that are not stored, because a bias and a shift give the same codes."""
        return sum(node.op.saved_threshold_bits(self.graph.ports(node)) for node in self.graph.nodes)


def build_design(
    graph: Graph,
    leaders: Mapping[str, Fold],
    implementations: Implementations,
    *,
    device: Device,
    board: str,
    clock_mhz: float,
    utilisation: Utilisation | None = None,
    depths: Mapping[str, int] | None = None,
    timing: Timing | None = None,
) -> Design:
    """Build the design of a graph (forks inserted) under given folds, its memories placed by `place_memories`.

    `depths`: FIFO depths of the folded graph's streams, conservative ones when None; `timing`: their simulation.
    Raises GraphError for a fold that does not divide, BudgetError for one over the tools' limits.
    """
    folded = fold_graph(graph, leaders, implementations)
    check_limits(folded)
    return place(
        folded.with_depths(fifo_depths(folded) if depths is None else depths),
        device=device,
        board=board,
        clock_mhz=clock_mhz,
        utilisation=utilisation or Utilisation(),
        timing=timing,
    )


def place(
    folded: Folded,
    *,
    device: Device,
    board: str,
    clock_mhz: float,
    utilisation: Utilisation,
    timing: Timing | None = None,
    asked: Asked | None = None,
) -> Design:
    """Place the memories of a folded graph whose FIFO depths are known."""
    graph = folded.graph
    rows = {node.name: folded.cost(node).memories for node in graph.nodes}
    queues = fifo_memories(folded)
    everything = [*itertools.chain(*rows.values()), *queues.values()]
    placed = iter(place_memories(everything, folded.logic, device.allowance(utilisation)))
    memories = {name: tuple(itertools.islice(placed, len(row))) for name, row in rows.items()}
    fifos = dict(zip(queues, placed, strict=True))
    return Design(folded, memories, fifos, device, board, utilisation, clock_mhz, timing, asked=asked)


def with_depths(design: Design, depths: Mapping[str, int], timing: Timing | None) -> Design:
    """Give a design other FIFO depths and the simulation of them, its memories placed anew."""
    return place(
        design.folded.with_depths(depths),
        device=design.device,
        board=design.board,
        clock_mhz=design.clock_mhz,
        utilisation=design.utilisation,
        timing=timing,
        asked=design.asked,
    )
