"""What an op must tell the passes and the back ends about itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import constant
from muxflow.dataflow.graph.stream import Stream

IntArray = npt.NDArray[np.int64]

STREAM_BITS_LIMIT = 4096
"""Widest beat: the vendor tools refuse streams of more bits (UG1399, hls::stream of arbitrary precision types)."""

UNROLL_LIMIT = 4096
"""Most multiply-accumulates or comparisons that one loop body may unroll; beyond it synthesis time and memory explode
(decision)."""


@dataclass(frozen=True, order=True)
class Fold:
    """How much of a node's work happens in one cycle.

    `pe`: rows (outputs) at once; for a node without a matrix, the lanes of its streams.
    `simd`: columns (inputs) at once.
    `groups`: groups at once; more than one only when a step holds whole groups.
    """

    pe: int = 1
    simd: int = 1
    groups: int = 1

    @property
    def parallel(self) -> int:
        """Operations a cycle."""
        return self.pe * self.simd * self.groups

    def __str__(self) -> str:
        text = f"PE {self.pe} SIMD {self.simd}"
        return text if self.groups == 1 else f"{text} groups {self.groups}"


@dataclass(frozen=True)
class Ports:
    """The streams on either side of a node."""

    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]


@dataclass(frozen=True)
class Pattern:
    """In which iterations of a loop a port is used: runs of (iterations, used), the whole played `repeat` times."""

    runs: tuple[tuple[int, bool], ...]
    repeat: int = 1

    @property
    def trips(self) -> int:
        """Iterations covered."""
        return self.repeat * sum(count for count, _ in self.runs)

    @property
    def beats(self) -> int:
        """Iterations in which the port is used."""
        return self.repeat * sum(count for count, used in self.runs if used)

    def mask(self) -> npt.NDArray[np.bool_]:
        """One flag an iteration, shape (trips,)."""
        counts = [count for count, _ in self.runs]
        flags = [used for _, used in self.runs]
        return np.tile(np.repeat(np.array(flags, bool), counts), self.repeat)

    @staticmethod
    def always(trips: int) -> Pattern:
        """Used in every iteration."""
        return Pattern(((trips, True),))

    @staticmethod
    def last_of(period: int, repeat: int) -> Pattern:
        """Used in the last iteration of every `period`."""
        return Pattern(((period - 1, False), (1, True)), repeat)

    @staticmethod
    def first_of(period: int, repeat: int) -> Pattern:
        """Used in the first iteration of every `period`."""
        return Pattern(((1, True), (period - 1, False)), repeat)


@dataclass(frozen=True)
class Loop:
    """A kernel's flattened loop for one frame: an iteration reads and writes at most one beat a port.

    `reads`, `writes`: one pattern a port, each over the same number of trips. `interval`: cycles from one iteration to
    the next. `depth`: cycles from an iteration's read to its write (pipeline depth, an estimate).
    """

    reads: tuple[Pattern, ...]
    writes: tuple[Pattern, ...]
    interval: int = 1
    depth: int = 4

    def __post_init__(self) -> None:
        trips = {pattern.trips for pattern in self.reads + self.writes}
        if len(trips) != 1:
            raise GraphError(f"loop nest: its ports disagree on the number of iterations, {sorted(trips)}")

    @property
    def trips(self) -> int:
        """Iterations in a frame."""
        return (self.reads + self.writes)[0].trips

    @property
    def cycles(self) -> int:
        """Cycles in a frame when no stream makes it wait."""
        return self.trips * self.interval


@dataclass(frozen=True)
class Logic:
    """Logic of a node without its memories (estimate): LUTs, flip-flops, DSP blocks."""

    lut: int = 0
    ff: int = 0
    dsp: int = 0

    @property
    def resources(self) -> Resources:
        """The same as resources."""
        return Resources(self.lut, self.ff, 0, self.dsp)


@dataclass(frozen=True, eq=False)
class Table:
    """Constant contents of a kernel: `values` of shape (rows, columns) or (columns,), each in [lo, hi].

    `memory`: True when the table is a memory whose placement is chosen; False when it is wired into the logic.
    """

    name: str
    values: IntArray
    lo: int
    hi: int
    memory: bool = True


@dataclass(frozen=True, eq=False)
class Kernel:
    """The call of a node's C++ kernel: header, function, integer template arguments in order, tables.

    The call's arguments are the tables, then the input streams, then the output streams.
    """

    header: str
    function: str
    arguments: tuple[tuple[str, int | bool], ...]
    tables: tuple[Table, ...] = ()


Follows = Literal["", "consumer"]


@dataclass(frozen=True, eq=False)
class Op(ABC):
    """One kind of node; a subclass is a frozen dataclass of validated attributes and holds all knowledge of the op."""

    follows: ClassVar[Follows] = ""
    """"consumer": the fold is that of the node that reads the output (weight sources, sliding windows)."""

    @property
    def kind(self) -> str:
        """Name of the op, as shown in tables."""
        return type(self).__name__

    @abstractmethod
    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        """Shapes and intervals of the outputs; raises GraphError when the inputs do not fit."""

    @abstractmethod
    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Integer semantics on a batch: arrays of shape (N, *stream.shape), weight matrices without the batch axis."""

    def folds(self, ports: Ports) -> Iterator[Fold]:
        """Every legal fold; by default the lanes that divide all channel counts."""
        channels = [stream.channels for stream in ports.inputs + ports.outputs]
        for lanes in divisors(int(np.gcd.reduce(channels))):
            yield Fold(pe=lanes)

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Lanes of each input and output under a fold; by default `pe` everywhere."""
        return (fold.pe,) * len(ports.inputs), (fold.pe,) * len(ports.outputs)

    @abstractmethod
    def loop(self, ports: Ports, fold: Fold) -> Loop:
        """The kernel's loop nest under a fold."""

    @abstractmethod
    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """Logic estimate under a fold; the docstring derives the formula."""

    def memories(self, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        """What the node stores under a fold; none by default."""
        return ()

    def interleaved(self, fold: Fold) -> bool:
        """Whether a beat of the first input holds parts of several groups, which only a sliding window right before the
        node can lay out."""
        return False

    def unrolled(self, ports: Ports, fold: Fold) -> int:
        """Operations in the unrolled loop body, held against UNROLL_LIMIT."""
        return fold.parallel

    def operations(self, ports: Ports) -> int:
        """Multiply-accumulates in a frame; 0 for ops without any."""
        return 0

    @abstractmethod
    def call(self, ports: Ports, fold: Fold) -> Kernel:
        """The kernel call under a fold."""

    def from_stream_order(self, ports: Ports, fold: Fold, recorded: IntArray) -> IntArray:
        """Brings what a simulation recorded on the output, shape (N, elements), into the graph's order."""
        return recorded

    def attributes(self) -> dict[str, Any]:
        """The op's fields by name, in order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def check_folds(self, node: str, ports: Ports, fold: Fold) -> None:
        """Raises GraphError naming the node and its legal folds when `fold` is not one of them."""
        legal = list(self.folds(ports))
        if fold not in legal:
            shown = ", ".join(str(option) for option in legal[:12]) + (" ..." if len(legal) > 12 else "")
            raise GraphError(
                f"{node} ({self.kind}): the fold '{fold}' does not divide its shapes; legal folds: {shown}"
            )

    @cached_property
    def _key(self) -> tuple[Any, ...]:
        return (type(self), *(_frozen(value) for value in self.attributes().values()))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Op) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


def _frozen(value: Any) -> Any:
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def frozen_array(values: npt.ArrayLike) -> IntArray:
    """A read-only int64 copy."""
    array = np.array(values, np.int64)
    array.setflags(write=False)
    return array


def divisors(number: int) -> list[int]:
    """The divisors of a number, ascending."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return small + [number // d for d in reversed(small) if d * d != number]


def control_lut(trips: int) -> int:
    """LUTs of a process: its loop counter with the comparison, its control and the stream handshakes."""
    counter = constant("process.lut_per_counter_bit") * max(1, trips.bit_length())
    return int(constant("process.lut") + counter)
