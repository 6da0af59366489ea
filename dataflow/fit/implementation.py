"""What a target says of an op: the access pattern of its hardware, what that costs, and the limits of its tools."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from muxflow.dataflow.access import Access
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.memory import PARAMETERS, Memory
from muxflow.dataflow.op import MOST_PIXELS, Fold, Op, Ports


@dataclass(frozen=True)
class Cost:
    """What a node takes under a fold (estimate): logic without memories, the memories, and its pipeline.

    `interval`: cycles from one iteration to the next. `depth`: cycles from an iteration's read to its write.
    `unrolled`: operations in the unrolled loop body, held against the target's limit.
    """

    lut: int = 0
    ff: int = 0
    dsp: int = 0
    memories: tuple[Memory, ...] = ()
    depth: int = 4
    interval: int = 1
    unrolled: int = 1

    @property
    def logic(self) -> Resources:
        """The logic as resources."""
        return Resources(self.lut, self.ff, 0, self.dsp)


def parameters_of(memories: Iterable[Memory]) -> int:
    """Sum the bits of the memories that hold parameters."""
    return sum(memory.bits for memory in memories if memory.kind in PARAMETERS)


def narrowest(op: Op, ports: Ports) -> Fold:
    """Give the legal fold of fewest operations: no parameter stands in its memories twice, as no lanes share one."""
    return min(op.folds(ports), key=lambda fold: fold.operations)


@dataclass(frozen=True)
class Limits:
    """What a target can take: bits of the widest stream, operations in one unrolled loop body, neighbouring pixels at once."""

    stream_bits: int
    unrolled: int
    pixels: int = MOST_PIXELS


class Implementation(Protocol):
    """One op on one target."""

    def access(self, op: Op, ports: Ports, fold: Fold) -> Access:
        """Give the access pattern of the hardware: that of the op, or one with idle iterations."""
        ...

    def cost(self, op: Op, ports: Ports, fold: Fold) -> Cost:
        """Give the cost under a fold."""
        ...

    def parameter_bits(self, op: Op, ports: Ports) -> int:
        """Count the bits of the op's parameters, each once: the same whatever the fold."""
        ...

    def forms(self, op: Op, ports: Ports, fold: Fold) -> tuple[Fold, ...]:
        """List in what forms a fold can be built: with its products in LUTs, in DSP blocks, or the only one there is."""
        ...

    def is_held(self, op: Op) -> bool:
        """Say whether the op is a source that the process of its reader can hold and read in place."""
        ...

    def begin(self, op: Op) -> int:
        """Count the cycles that a source that is held takes of its reader before each frame."""
        ...

    def holds_sources(self, op: Op) -> bool:
        """Say whether the op's process reads such sources in place, without a stream between."""
        ...


class Implementations(Protocol):
    """All ops of a target."""

    def __hash__(self) -> int:
        """Hash by identity: results are kept by target."""
        ...

    @property
    def limits(self) -> Limits:
        """What its tools can take."""
        ...

    def of(self, op: Op) -> Implementation:
        """Find the implementation of an op; raises UnsupportedError naming the op where there is none."""
        ...


@dataclass(frozen=True, eq=False)
class Adjusted(ABC):
    """Another target's implementations, with other costs; everything else is as `base` says."""

    base: Implementations

    @property
    def limits(self) -> Limits:
        """What the target's tools can take."""
        return self.base.limits

    def of(self, op: Op) -> Implementation:
        """Find the implementation of an op; raises UnsupportedError naming the op where there is none."""
        self.base.of(op)
        return self

    def access(self, op: Op, ports: Ports, fold: Fold) -> Access:
        """Give the access pattern of the target's hardware."""
        return self.base.of(op).access(op, ports, fold)

    def cost(self, op: Op, ports: Ports, fold: Fold) -> Cost:
        """Give the adjusted cost under a fold."""
        return self.adjusted(op, ports, fold, self.base.of(op).cost(op, ports, fold))

    @abstractmethod
    def adjusted(self, op: Op, ports: Ports, fold: Fold, cost: Cost) -> Cost:
        """Give what takes the place of a cost of `base`."""

    def parameter_bits(self, op: Op, ports: Ports) -> int:
        """Count the bits of the op's parameters, each once."""
        return self.base.of(op).parameter_bits(op, ports)

    def forms(self, op: Op, ports: Ports, fold: Fold) -> tuple[Fold, ...]:
        """List in what forms a fold can be built."""
        return self.base.of(op).forms(op, ports, fold)

    def is_held(self, op: Op) -> bool:
        """Say whether the process of the op's reader can hold it."""
        return self.base.of(op).is_held(op)

    def begin(self, op: Op) -> int:
        """Count the cycles that a held source takes of its reader before each frame."""
        return self.base.of(op).begin(op)

    def holds_sources(self, op: Op) -> bool:
        """Say whether the op's process reads sources in place."""
        return self.base.of(op).holds_sources(op)


@dataclass(frozen=True, eq=False)
class PixelByPixel(Adjusted):
    """Another target's implementations for one that takes no neighbouring pixels at once, and places products itself."""

    @property
    def limits(self) -> Limits:
        """What the target can take."""
        return replace(self.base.limits, pixels=1)

    def forms(self, op: Op, ports: Ports, fold: Fold) -> tuple[Fold, ...]:
        """Leave the fold as it is."""
        return (fold,)

    def adjusted(self, op: Op, ports: Ports, fold: Fold, cost: Cost) -> Cost:
        """Leave the cost as it is."""
        return cost
