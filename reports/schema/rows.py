"""The rows of a report's tables: nodes, layers, memories, FIFOs, weights, energy, functions."""

from __future__ import annotations

from dataclasses import dataclass

TINY_BUDGET = 2 * 2**20
"""Bits of parameters that a tiny accelerator may store: 2 Mb (decision: MOGNET's own budget, 1 Mb = 2^20 bits)."""

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
class Matrix:
    """The matrix of a layer with weights, and how it is folded.

    `kernel`: "3x3", "" for a dense layer; `filters` x `columns` weights (of one group); `weight_bits`, `input_bits`,
    `sum_bits`; `generated`, `loaded`: where the weights come from, else they are stored. `pe`, `simd`, `parallel`: products a
    cycle, `parallel` = PE * SIMD * groups * pixels at once. `read_bits`: bits of weights that a frame reads.
    """

    kernel: str
    groups: int
    filters: int
    columns: int
    weight_bits: int
    input_bits: int
    sum_bits: int
    generated: bool
    loaded: bool
    pe: int
    simd: int
    parallel: int
    initiation_interval: int
    read_bits: int


@dataclass(frozen=True)
class Activity:
    """What a layer does with its time.

    `busy`, `starved`, `blocked`: shares of the simulated cycles of its slowest node, None where nothing was simulated.
    `start`, `end`: cycles from the first read to the last write of one frame alone, FIFOs unbounded (estimate).
    """

    start: int
    end: int
    busy: float | None = None
    starved: float | None = None
    blocked: float | None = None


@dataclass(frozen=True)
class LayerRow:
    """A layer: its node that computes, with window, weights, activation and what lies between; cycles of the slowest.

    `title`: as "conv 3x3, stride 2"; `output`: as "8x8x24 uint3"; `fold`: as "PE 6 SIMD 3" or "3 lanes"; `nodes`: names;
    `shape`, `output_bits`: of its output; `macs`: products a frame; `bits`: stored, by kind; `saved_bits`: generated.
    """

    name: str
    title: str
    output: str
    fold: str
    cycles: int
    lut: int
    ff: int
    bram18: int
    dsp: int
    uram: int
    nodes: tuple[str, ...]
    shape: str = ""
    output_bits: int = 0
    macs: int = 0
    bits: dict[str, int] | None = None
    saved_bits: int = 0
    matrix: Matrix | None = None
    activity: Activity | None = None

    def efficiency(self, interval: int) -> float | None:
        """Give the share of its products, 0..1, that are MACs of the network at an interval; None where it has no matrix."""
        return None if self.matrix is None else self.macs / (self.matrix.parallel * interval)


@dataclass(frozen=True)
class FifoRow:
    """A FIFO between two nodes ("host" at the ends): beats of `width` bits, `beats` of them a frame, `depth` held."""

    name: str
    writer: str
    reader: str
    width: int
    beats: int
    depth: int
    kind: str
    placement: str


@dataclass(frozen=True)
class FunctionRow:
    """What a function of the design takes: all nodes of one kind, or the FIFOs, whose resources no kind has."""

    function: str
    count: int
    lut: int
    ff: int
    bram18: int
    dsp: int
    uram: int


@dataclass(frozen=True)
class FrontierRow:
    """The cheapest folds for an interval in cycles, and what they take (estimate)."""

    interval: int
    used: dict[str, int]


@dataclass(frozen=True)
class MemoryRow:
    """One memory: `depth` words of `width` bits, all lanes together, in `primitives`, which hold `occupied` bits."""

    node: str
    name: str
    kind: str
    depth: int
    width: int
    bits: int
    placement: str
    primitives: str
    occupied: int
    lut: int
    ff: int
    bram18: int
    uram: int


@dataclass(frozen=True)
class JoinRow:
    """What a join of several streams costs in buffers: bits of the FIFOs into it, those that hold a frame apart.

    `select`: how a MUX join chooses, empty for other joins.
    """

    node: str
    kind: str
    select: str
    frame_bits: int
    fifo_bits: int


@dataclass(frozen=True)
class KindTotal:
    """All memories of one kind: payload bits, bits that their primitives hold, and the resources."""

    kind: str
    bits: int
    occupied: int
    bram18: int
    lut: int
    ff: int
    uram: int


@dataclass(frozen=True)
class MemoryPlan:
    """Every memory and FIFO of a design, and the buffers of its joins.

    `parameter_bits`: weights and thresholds, each once, whatever the folds: copies stand in `rows` only; `saved_bits`: weights
    that are generated instead; `saved_threshold_bits`: thresholds that a bias and a shift stand for, the bias taken off.
    """

    rows: tuple[MemoryRow, ...]
    joins: tuple[JoinRow, ...]
    parameter_bits: int
    saved_bits: int
    saved_threshold_bits: int

    def totals(self, kinds: tuple[str, ...]) -> tuple[KindTotal, ...]:
        """Return the sums of each kind, in the order of `kinds`."""
        return tuple(
            KindTotal(
                kind,
                *(
                    sum(getattr(row, name) for row in self.rows if row.kind == kind)
                    for name in ("bits", "occupied", "bram18", "lut", "ff", "uram")
                ),
            )
            for kind in kinds
        )

    @property
    def loaded_words(self) -> int:
        """Words of 64 bits that fill the weights that are loaded; a beat begins with a new one. 0 for none."""
        return sum(row.depth * -(-row.width // 64) for row in self.rows if row.kind == "loaded")

    @property
    def tiny_budget_share(self) -> float:
        """Stored parameters over the tiny budget; above 1 where they do not fit it."""
        return self.parameter_bits / TINY_BUDGET


@dataclass(frozen=True)
class WeightKind:
    """Filters of a layer that have the same grid: `filters` of `columns` weights of `bits`."""

    filters: int
    columns: int
    bits: int

    @property
    def stored(self) -> int:
        """Bits of all its weights."""
        return self.filters * self.columns * self.bits


@dataclass(frozen=True)
class WeightRow:
    """A layer's weights, the kind of most bits first."""

    layer: str
    kinds: tuple[WeightKind, ...]

    @property
    def stored(self) -> int:
        """Bits of all its weights."""
        return sum(kind.stored for kind in self.kinds)

    @property
    def uniform(self) -> int:
        """Bits that it would store, were all filters as the most precise ones."""
        return sum(kind.filters * kind.columns * self.kinds[0].bits for kind in self.kinds)


@dataclass(frozen=True)
class EnergyPart:
    """One kind of work in a frame: how often it is done (bits, of memories), and its picojoules (estimate)."""

    kind: str
    count: int
    picojoules: float
