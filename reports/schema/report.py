"""The report of a design: every figure with what it is."""

from __future__ import annotations

from dataclasses import dataclass, field

from muxflow.dataflow.quantities import count
from muxflow.reports.schema.rows import (
    EnergyPart,
    FifoRow,
    FrontierRow,
    FunctionRow,
    LayerRow,
    MemoryPlan,
    NodeRow,
    WeightRow,
)
from muxflow.reports.schema.stages import (
    ESTIMATE,
    IMPLEMENTED,
    SYSTEM,
    Accuracy,
    Measured,
    Power,
    Provenance,
    Rung,
    Stage,
)


@dataclass(frozen=True)
class Report:
    """Everything a reader of the design wants to know.

    Resources are estimates of Muxflow's own model; `between`: ends of their 80 % interval, where they have one. `available`:
    what the device has; `reserve`: what shell and DMA take of it, off the `budget` already; `sure`: probability with which
    the design is to fit. Interval and latency are cycle simulations where `simulated`, else estimates; `slowest_cycles` is
    the cycles of the slowest node, which no FIFO depths can beat. `one_at_a_time`: frames do not overlap, so that the interval
    is that of a whole frame. `stages`: one of each of STAGES, run or not. `ceiling`: what stops the design from being
    faster, and what would lift it. `margins`: by resource, what the margins of the FIFOs add; empty where it was not found
    out. `weights`: what layers store of weights, by kind. `energy`: an estimate for a frame, of the single energies that
    `energy_source` names. `activity_is`: what the `activity` of layers comes from, "" where it was not looked for.
    `frontier`: non-dominated designs, fastest first; empty where they were not looked for.
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
    stages: tuple[Stage, ...] = ()
    one_at_a_time: bool = False
    margins: dict[str, int] = field(default_factory=dict)
    ceiling: str = ""
    weights: tuple[WeightRow, ...] = ()
    energy: tuple[EnergyPart, ...] = ()
    energy_source: str = ""
    available: dict[str, int] = field(default_factory=dict)
    fifos: tuple[FifoRow, ...] = ()
    functions: tuple[FunctionRow, ...] = ()
    activity_is: str = ""
    frontier: tuple[FrontierRow, ...] = ()
    power: Power | None = None
    measured: Measured | None = None
    provenance: Provenance = field(default_factory=Provenance)

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
    def energy_is(self) -> str:
        """What the counted energy of a frame is."""
        return "; ".join(filter(None, ("estimate, no measurement", self.energy_source)))

    @property
    def parameter_bits(self) -> int:
        """Bits of weights and thresholds that are stored, each counted once, whatever the folds."""
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
        return self.cycles_are + (", one frame at a time" if self.one_at_a_time else "")

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
        """Images a second when each waits for the one before, whose last pixels may be dropped after its last output."""
        return self.clock_mhz * 1e6 / max(self.latency, self.interval)

    @property
    def products(self) -> int:
        """PE * SIMD of all layers: products a cycle, were all of them busy."""
        return sum(layer.matrix.parallel for layer in self.layers if layer.matrix is not None)

    @property
    def efficiency(self) -> float | None:
        """Share of PE * SIMD that MACs of the network take, 0..1; None for a design without products."""
        return self.operations / (self.products * self.interval) if self.products else None

    @property
    def weight_precision(self) -> tuple[int, ...]:
        """Bits of weights that occur, ascending."""
        return tuple(sorted({layer.matrix.weight_bits for layer in self.layers if layer.matrix is not None}))

    @property
    def activation_precision(self) -> tuple[int, ...]:
        """Bits of the products' other factor that occur, ascending."""
        return tuple(sorted({layer.matrix.input_bits for layer in self.layers if layer.matrix is not None}))

    def stage(self, name: str) -> Stage:
        """Give a stage by name; one that nothing is known of has not run."""
        return next((stage for stage in self.stages if stage.name == name), Stage(name, "not run"))

    @property
    def counted(self) -> Stage:
        """The last stage that says what the accelerator takes: implemented, synthesised, else the estimate."""
        estimate = Stage(ESTIMATE, "done", used=self.used)
        return next((stage for stage in reversed(self.stages) if stage.counts and stage.name != SYSTEM), estimate)

    @property
    def intervals(self) -> dict[str, str]:
        """Write the 80 % interval of each resource that `counted` says an estimate of; none where a tool counted them."""
        ends = self.between if self.counted.name == ESTIMATE else {}
        return {name: f"{count(low)}-{count(high)}" for name, (low, high) in ends.items()}

    def error(self, resource: str, stage: Stage) -> float | None:
        """Give by how much the estimate is off what a stage counted, as a share of that.

        None where it counted none, and where it counted more than the accelerator.
        """
        counted = stage.used.get(resource, 0) if stage.counts and stage.name != SYSTEM else 0
        return self.used[resource] / counted - 1 if counted and resource in self.used else None

    def accuracy_at(self, rung: Rung) -> Accuracy | None:
        """Give the accuracy of a rung: equal codes have equal answers; None where that is not known."""
        found = self.accuracy
        return found if found is not None and rung.status == "equal" and rung.images == found.images else None

    @property
    def accuracy_percent(self) -> float | None:
        """Right answers in per cent; None where there are no labels."""
        return None if self.accuracy is None else 100 * self.accuracy.share

    @property
    def watts(self) -> float | None:
        """What Vivado estimates for the chip, of the sources as they are."""
        return self.power.total if self.power is not None and self.power.state == "done" else None

    @property
    def implemented(self) -> bool:
        """Whether an implementation of the sources as they are is known."""
        return self.stage(IMPLEMENTED).counts

    @property
    def slack_ns(self) -> float | None:
        """What the implementation leaves of the clock period, of the sources as they are."""
        return self.stage(IMPLEMENTED).slack_ns if self.implemented else None
