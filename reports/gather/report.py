"""Gather the report of a design."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.ceiling import find_ceiling
from muxflow.dataflow.fit.curves import FrontierPoint
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import AMOUNTS, Resources
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.quantities import counted
from muxflow.dataflow.text import shown
from muxflow.reports.gather.energy import Energies, estimate_energy, published
from muxflow.reports.gather.layers import fold_words, layers_of, make_layers, shape_words
from muxflow.reports.gather.memory_plan import make_memory_plan
from muxflow.reports.gather.pipeline import Pipeline, layer_activity
from muxflow.reports.gather.weights import weight_rows
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.rows import KINDS, FifoRow, FrontierRow, FunctionRow, NodeRow
from muxflow.reports.schema.stages import ESTIMATE, STAGES, Accuracy, Measured, Power, Provenance, Rung, Stage

HOST = "host"
"""What reads or writes a FIFO at an end of the design."""


def _between(used: Resources) -> dict[str, tuple[int, int]]:
    """Give the ends of the interval that holds four designs of five, where estimates are not exact."""
    ends = zip(used.quantile(0.1).items(), used.quantile(0.9).items(), strict=True)
    return {name: (low, high) for (name, low), (_, high) in ends if low != high}


def _more(design: Design, other: Design) -> dict[str, int]:
    """Give what a design takes more than another one, negative where it takes less."""
    less = other.device.amounts(other.resources)
    return {name: amount - less[name] for name, amount in design.device.amounts(design.resources).items()}


def make_report(
    design: Design,
    *,
    ladder: tuple[Rung, ...] = (),
    accuracy: Accuracy | None = None,
    version: str = "",
    stages: tuple[Stage, ...] = (),
    doubts: str = "",
    bare: Design | None = None,
    energies: Energies | None = None,
    pipeline: Pipeline | None = None,
    frontier: tuple[FrontierPoint, ...] = (),
    power: Power | None = None,
    measured: Measured | None = None,
    provenance: Provenance | None = None,
) -> Report:
    """Make the report of a design; what comes from comparisons and tools is given by whoever ran them.

    `doubts`: why its figures may not be those of the sources. `bare`: the design without the margins of its FIFOs
    (`without_margins`), where what they cost is to be said. `energies`: of single operations, those that ship with Muxflow
    when None. `pipeline`: of `watch`, `frontier`: of `design_frontier`, where they are wanted; the frontier is of frames
    that overlap, and left out where they do not.
    """
    plan = make_memory_plan(design)
    layers = layers_of(design)
    notes, limits = design.graph.notes, design.folded.implementations.limits
    estimate = Stage(
        ESTIMATE,
        "done",
        f"Muxflow {version}" if version else "",
        design.device.amounts(design.resources),
        (design.interval, design.interval),
        (design.latency, design.latency),
        1000 / design.clock_mhz,
    )
    given = {stage.name: stage for stage in (estimate, *stages)}
    return Report(
        network=design.graph.name,
        board=design.board,
        part=design.device.part,
        clock_mhz=float(design.clock_mhz),
        operations=design.graph.operations(),
        nodes=_nodes(design, layers),
        layers=make_layers(design, layers, {} if pipeline is None else layer_activity(design, layers, pipeline)),
        bottleneck=design.bottleneck.name,
        slowest_cycles=design.slowest_cycles,
        interval=design.interval,
        latency=design.latency,
        simulated=design.timing is not None,
        used=design.device.amounts(design.resources),
        between=_between(design.resources),
        budget=design.device.amounts(design.budget),
        reserve=design.device.amounts(design.device.reserve),
        sure=design.utilisation.sure,
        widest_stream_bits=max(placed.memory.width for placed in design.fifos.values()),
        stream_bits_limit=limits.stream_bits,
        largest_unroll=max(design.cost(node).unrolled for node in design.graph.nodes),
        unroll_limit=limits.unrolled,
        memory_bits={total.kind: total.bits for total in plan.totals(KINDS)},
        memory_plan=plan,
        ladder=ladder,
        accuracy=accuracy,
        near_ties=_count(notes, "near_ties"),
        thresholds=_count(notes, "thresholds"),
        remarks=_remarks(design.graph, doubts),
        version=version,
        stages=tuple(given.get(name, Stage(name, "not run")) for name in STAGES),
        one_at_a_time=design.apart is not None,
        margins={} if bare is None else _more(design, bare),
        ceiling=str(find_ceiling(design)),
        weights=weight_rows(design),
        energy=estimate_energy(design, energies),
        energy_source=(energies or published()).source,
        available=design.device.amounts(Resources(*(getattr(design.device, name) for name in AMOUNTS))),
        fifos=_fifos(design),
        functions=_functions(design),
        activity_is="" if pipeline is None else pipeline.source,
        frontier=_non_dominated(design, frontier) if design.apart is None else (),
        power=power,
        measured=measured,
        provenance=provenance or Provenance(),
    )


def _nodes(design: Design, layers: Mapping[str, str]) -> tuple[NodeRow, ...]:
    bits = design.memory_bits()

    def row(node: Node) -> NodeRow:
        used = design.node_resources(node)
        return NodeRow(
            node.name,
            node.op.kind,
            str(design.graph.streams[node.outputs[0]]),
            str(design.folds[node.name]),
            design.cycles(node),
            used.lut,
            used.ff,
            used.bram18,
            used.dsp,
            used.uram,
            {kind: bits[node.name][kind] for kind in KINDS if kind in bits[node.name]},
            layers[node.name],
            shape_words(design.graph.streams[node.outputs[0]]),
            fold_words(design, node),
        )

    return tuple(row(node) for node in design.graph.nodes)


def _fifos(design: Design) -> tuple[FifoRow, ...]:
    """List the FIFOs in the graph's order, with the nodes at their ends."""
    graph, producers, readers = design.graph, design.graph.producers(), design.graph.consumers()

    def row(name: str) -> FifoRow:
        placed, stream = design.fifos[name], graph.streams[name]
        writer = producers[name].name if name in producers else HOST
        reader = next((node.name for node in readers.get(name, ())), HOST)
        memory = placed.memory
        return FifoRow(name, writer, reader, memory.width, stream.beats, memory.depth, memory.kind, placed.placement)

    return tuple(row(name) for name in graph.streams if name in design.fifos)


def _functions(design: Design) -> tuple[FunctionRow, ...]:
    """Sum what the nodes of each kind take, most LUTs first, the FIFOs between them apart."""
    sums: dict[str, list[Resources]] = {}
    for node in design.graph.nodes:
        placed = (memory.resources for memory in design.memories[node.name])
        sums.setdefault(node.op.kind, []).append(sum(placed, design.cost(node).logic))
    sums["FIFOs"] = [placed.resources for placed in design.fifos.values()]
    rows = [
        FunctionRow(name, len(parts), *(sum(getattr(part, amount) for part in parts) for amount in AMOUNTS))
        for name, parts in sums.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.lut, row.function)))


def _non_dominated(design: Design, points: Sequence[FrontierPoint]) -> tuple[FrontierRow, ...]:
    """Keep the points than which no other is as fast with as few LUTs and block RAMs."""

    def costs(point: FrontierPoint) -> tuple[int, int, int]:
        return point.interval, point.resources.lut, point.resources.bram18

    def beaten(point: FrontierPoint) -> bool:
        mine = costs(point)
        return any(
            all(a <= b for a, b in zip(costs(other), mine, strict=True)) and costs(other) != mine for other in points
        )

    return tuple(
        FrontierRow(point.interval, design.device.amounts(point.resources)) for point in points if not beaten(point)
    )


def _remarks(graph: Graph, doubts: str) -> str:
    """Give the doubts, what the importer noted, of clips what frames and images are, whether a state goes on."""
    said = f"a frame or image here is a clip of {counted(graph.pictures, 'picture')}" if graph.pictures else ""
    goes_on = "recurrent layers go on from frame to frame" if graph.carries else ""
    return "; ".join(filter(None, (doubts, graph.notes.get("remarks", ""), said, goes_on)))


def _count(notes: Mapping[str, str], name: str) -> int:
    """Read a count that an importer noted, 0 without one; raises MuxflowError for a note that is none."""
    text = notes.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise MuxflowError(f"the graph's note {name!r} is {shown(text)}; expected a count")
    return int(text)
