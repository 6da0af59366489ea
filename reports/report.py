"""The report of a design: every figure with what it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.ceiling import find_ceiling
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.text import shown
from muxflow.reports.energy import Energies, EnergyPart, estimate_energy, published
from muxflow.reports.layers import LayerRow, fold_words, layers_of, make_layers, shape_words
from muxflow.reports.memory_plan import MemoryPlan, make_memory_plan
from muxflow.reports.weights import WeightRow, weight_rows

KINDS = ("rom", "loaded", "threshold", "line", "frame", "fifo", "state")
KIND_TITLES = {
    "rom": "weight ROM",
    "loaded": "loaded weights",
    "threshold": "thresholds",
    "line": "line buffers",
    "frame": "frame buffers",
    "fifo": "FIFOs",
    "state": "other state",
}


@dataclass(frozen=True)
class Rung:
    """One rung of the proof ladder: what was compared with the graph, on how many images, and the outcome.

    `status`: "equal", "equal but for ties", "differs", "stale" (the sources have changed since) or "not run"; `detail`:
    what was compared, where it differs, or why it was not run.
    """

    title: str
    status: str
    images: int
    detail: str


@dataclass(frozen=True)
class NodeRow:
    """One node: fold, cycles a frame, resource estimate with its memories, bits by kind of memory.

    `shape`, `fold`: of its first output, for programs; `output`, `parallel`: the same in words; `layer`: see `layers_of`.
    """

    name: str
    kind: str
    shape: str
    fold: str
    cycles: int
    lut: int
    ff: int
    bram18: int
    dsp: int
    uram: int
    bits: dict[str, int]
    layer: str
    output: str
    parallel: str


@dataclass(frozen=True)
class Accuracy:
    """Right answers of the C simulation (or the graph) on a named split, "" for a file that is none."""

    dataset: str
    split: str
    images: int
    correct: int

    @property
    def source(self) -> str:
        """Data set, and split where it has one."""
        return f"{self.dataset}, {self.split} split" if self.split else self.dataset

    @property
    def share(self) -> float:
        """Accuracy, 0..1."""
        return self.correct / max(1, self.images)


@dataclass(frozen=True)
class Report:
    """Everything a reader of the design wants to know.

    Resources are estimates of Muxflow's own model; `between`: ends of their 80 % interval, where they have one. `reserve`:
    what shell and DMA take of the device, off the budget already; `sure`: probability with which the design is to fit.
    Interval and latency are cycle simulations where `simulated`, else estimates; `slowest_cycles` is the cycles of the
    slowest node, which no FIFO depths can beat. `one_at_a_time`: frames do not overlap, so that the interval is the latency.
    `stages`: a table, titles first, that sets the estimates beside what vendor tools said; empty where none has run.
    `ceiling`: what stops the design from being faster, and what would lift it. `margins`:
    by resource, what the margins of the FIFOs add; empty where it was not found out. `weights`: what layers store of
    weights, by kind. `energy`: an estimate for a frame, of the single energies that `energy_source` names.
    """

    network: str
    board: str
    part: str
    clock_mhz: float
    operations: int
    nodes: tuple[NodeRow, ...]
    layers: tuple[LayerRow, ...]
    bottleneck: str
    slowest_cycles: int
    interval: int
    latency: int
    simulated: bool
    used: dict[str, int]
    between: dict[str, tuple[int, int]]
    budget: dict[str, int]
    reserve: dict[str, int]
    sure: float
    widest_stream_bits: int
    stream_bits_limit: int
    largest_unroll: int
    unroll_limit: int
    memory_bits: dict[str, int]
    memory_plan: MemoryPlan
    ladder: tuple[Rung, ...]
    accuracy: Accuracy | None
    near_ties: int
    thresholds: int
    remarks: str
    version: str
    stages: tuple[tuple[str, ...], ...] = ()
    one_at_a_time: bool = False
    margins: dict[str, int] = field(default_factory=dict)
    ceiling: str = ""
    weights: tuple[WeightRow, ...] = ()
    energy: tuple[EnergyPart, ...] = ()
    energy_source: str = ""

    @property
    def weight_bits(self) -> tuple[int, int]:
        """Bits of all stored weights, and what they would be, were all filters of a layer as its most precise ones."""
        return sum(row.stored for row in self.weights), sum(row.uniform for row in self.weights)

    @property
    def hybrid(self) -> bool:
        """Whether a layer has filters of different grids."""
        return any(len(row.kinds) > 1 for row in self.weights)

    @property
    def microjoules(self) -> float:
        """Energy of a frame in microjoules (estimate)."""
        return sum(part.picojoules for part in self.energy) / 1e6

    @property
    def parameter_bits(self) -> int:
        """Bits of weights and thresholds that are stored."""
        return self.memory_plan.parameter_bits

    @property
    def saved_bits(self) -> int:
        """Bits of weights that are generated and not stored."""
        return self.memory_plan.saved_bits

    @property
    def cycles_are(self) -> str:
        """What interval, rate and latency are."""
        return "cycle simulation" if self.simulated else "estimate, stalls on FIFOs not counted"

    @property
    def interval_is(self) -> str:
        """What interval and rate are."""
        return self.cycles_are + (", one frame at a time: the latency" if self.one_at_a_time else "")

    @property
    def frames_per_second(self) -> float:
        """Pipelined rate."""
        return self.clock_mhz * 1e6 / self.interval

    @property
    def latency_us(self) -> float:
        """One-image latency in microseconds."""
        return self.latency / self.clock_mhz

    @property
    def one_image_rate(self) -> float:
        """Images a second when each waits for the one before."""
        return self.clock_mhz * 1e6 / self.latency


def _between(used: Resources) -> dict[str, tuple[int, int]]:
    """Give the ends of the interval that holds four designs of five, where estimates are not exact."""
    ends = zip(used.quantile(0.1).items(), used.quantile(0.9).items(), strict=True)
    return {name: (low, high) for (name, low), (_, high) in ends if low != high}


def _named(design: Design, resources: Resources) -> dict[str, int]:
    """Give amounts by name, those of UltraRAM only where the part has any."""
    return {name: amount for name, amount in resources.items() if name != "URAM" or design.device.uram}


def _more(design: Design, other: Design) -> dict[str, int]:
    """Give what a design takes more than another one, negative where it takes less."""
    less = _named(other, other.resources)
    return {name: amount - less[name] for name, amount in _named(design, design.resources).items()}


def make_report(
    design: Design,
    *,
    ladder: tuple[Rung, ...] = (),
    accuracy: Accuracy | None = None,
    version: str = "",
    stages: tuple[tuple[str, ...], ...] = (),
    one_at_a_time: bool = False,
    bare: Design | None = None,
    energies: Energies | None = None,
) -> Report:
    """Make the report of a design; `ladder`, `accuracy` and `stages` come from whoever ran comparisons and tools.

    `one_at_a_time`: whether the project lets a frame begin only after the one before has ended. `bare`: the design without
    the margins of its FIFOs (`without_margins`), where what they cost is to be said. `energies`: of single operations, those
    that ship with Muxflow when None.
    """
    bits = design.memory_bits()
    plan = make_memory_plan(design)
    layers = layers_of(design)

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

    rows = tuple(row(node) for node in design.graph.nodes)
    notes, limits = design.graph.notes, design.folded.implementations.limits
    return Report(
        network=design.graph.name,
        board=design.board,
        part=design.device.part,
        clock_mhz=design.clock_mhz,
        operations=design.graph.operations(),
        nodes=rows,
        layers=make_layers(design, layers),
        bottleneck=design.bottleneck.name,
        slowest_cycles=design.slowest_cycles,
        interval=design.latency if one_at_a_time else design.interval,
        latency=design.latency,
        simulated=design.timing is not None,
        used=_named(design, design.resources),
        between=_between(design.resources),
        budget=_named(design, design.budget),
        reserve=_named(design, design.device.reserve),
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
        remarks=notes.get("remarks", ""),
        version=version,
        stages=stages,
        one_at_a_time=one_at_a_time,
        margins={} if bare is None else _more(design, bare),
        ceiling=str(find_ceiling(design)),
        weights=weight_rows(design),
        energy=estimate_energy(design, energies),
        energy_source=(energies or published()).source,
    )


def _count(notes: Mapping[str, str], name: str) -> int:
    """Read a count that an importer noted, 0 without one; raises MuxflowError for a note that is none."""
    text = notes.get(name, "0")
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise MuxflowError(f"the graph's note {name!r} is {shown(text)}; expected a count")
    return int(text)
