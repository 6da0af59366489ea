"""What a kernel is: the HLS implementation of one op, its C++ header beside it."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

from muxflow.dataflow.access import Access
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.fit.implementation import Cost, Limits, narrowest, parameters_of
from muxflow.dataflow.op import Fold, IntArray, Op, Ports

Arguments = tuple[tuple[str, int | bool], ...]
"""Template arguments by name, in order."""


@dataclass(frozen=True, eq=False)
class Table:
    """Constant contents of a kernel: `values` of shape (rows, columns), each in [lo, hi]; a row is read at once.

    `memory`: True when the table is a memory whose placement is chosen; False when it is wired into the logic.
    `bipolar`: every value is -1 or +1, and stored as one bit. `banks`: so many arrays of equal length side by side hold the
    rows, one after the other; 0: a single array. `lanes`: each column is an array of its own, of a lane that reads it at an
    address of its own. `loaded`: the host writes it at run time, in words of 64 bits.
    """

    name: str
    values: IntArray
    lo: int
    hi: int
    memory: bool = True
    bipolar: bool = False
    banks: int = 0
    lanes: bool = False
    loaded: bool = False


@dataclass(frozen=True, eq=False)
class Unit:
    """The call of a node's C++ kernel: header, function, integer template arguments in order, tables.

    `memories`: those of its cost whose place the kernel takes as further template arguments, true for block RAM. The
    call's arguments are the tables, then the input streams, then the output streams. `reader`: of a source, the C++ class
    that reads it in place, made of the tables; its template arguments are those of the function, then the type of a beat.
    `keeps`: whether the function is a class with a `State` that lasts from frame to frame, the first argument of the call.
    """

    header: str
    function: str
    arguments: Arguments
    tables: tuple[Table, ...] = ()
    memories: tuple[str, ...] = ()
    reader: str = ""
    keeps: bool = False


OpT = TypeVar("OpT", bound=Op)

_KERNELS: dict[type[Op], Kernel[Any]] = {}


class Kernel(ABC, Generic[OpT]):
    """The HLS implementation of an op: `class AddJoinKernel(Kernel[AddJoin], op=AddJoin)` makes it known.

    The header has the name of the class's file, with the ending .hpp, and stands beside it.
    """

    header_file: ClassVar[Path]

    def __init_subclass__(cls, op: type[Op], **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.header_file = Path(inspect.getfile(cls)).with_suffix(".hpp")
        if not cls.header_file.exists():
            raise MuxflowError(f"kernel {cls.__name__} of {op.__name__}: no header {cls.header_file} beside its file")
        if op in _KERNELS:
            raise MuxflowError(f"kernel {cls.__name__}: {op.__name__} has {type(_KERNELS[op]).__name__} already")
        _KERNELS[op] = cls()

    def access(self, op: OpT, ports: Ports, fold: Fold) -> Access:
        """Give the access pattern of the kernel's loop."""
        return op.access(ports, fold)

    @abstractmethod
    def cost(self, op: OpT, ports: Ports, fold: Fold) -> Cost:
        """Estimate the cost under a fold; the docstring derives the formula."""

    def parameter_bits(self, op: OpT, ports: Ports) -> int:
        """Count the bits of the op's parameters, each once: what its narrowest fold stores of them."""
        return parameters_of(self.cost(op, ports, narrowest(op, ports)).memories)

    def forms(self, op: OpT, ports: Ports, fold: Fold) -> tuple[Fold, ...]:
        """List in what forms a fold can be built: with its products in LUTs, in DSP blocks, or the only one there is."""
        return (fold,)

    def is_held(self, op: OpT) -> bool:
        """Say whether the op is a source that the process of its reader can hold: its unit has a `reader` then."""
        return False

    def begin(self, op: OpT) -> int:
        """Count the cycles that a source that is held takes of its reader before each frame."""
        return 0

    def holds_sources(self, op: OpT) -> bool:
        """Say whether the kernel takes sources that are read in place where it takes streams."""
        return False

    @abstractmethod
    def unit(self, op: OpT, ports: Ports, fold: Fold) -> Unit:
        """Give the kernel call under a fold."""

    def call(
        self, function: str, arguments: Arguments, *tables: Table, memories: tuple[str, ...] = (), reader: str = ""
    ) -> Unit:
        """Make a call of a function of this kernel's header."""
        return Unit(self.header_file.name, function, arguments, tables, memories, reader)


class Kernels:
    """The HLS implementations of all ops that have one."""

    limits = Limits(stream_bits=4096, unrolled=4096)
    """The vendor tools refuse wider streams (UG1399, hls::stream of arbitrary precision types); beyond that many unrolled
    operations synthesis time and memory explode (decision)."""

    def of(self, op: Op) -> Kernel[Any]:
        """Find the kernel of an op; raises UnsupportedError naming the op where there is none."""
        found = _KERNELS.get(type(op))
        if found is None:
            raise UnsupportedError(
                f"op {op.kind} has no HLS kernel; supported are {', '.join(sorted(kind.__name__ for kind in _KERNELS))}"
            )
        return found

    def unit(self, op: Op, ports: Ports, fold: Fold) -> Unit:
        """Give the kernel call of a node."""
        return self.of(op).unit(op, ports, fold)

    def kinds(self) -> frozenset[type[Op]]:
        """List the ops that have a kernel."""
        return frozenset(_KERNELS)

    def headers(self) -> tuple[Path, ...]:
        """List the headers of all kernels."""
        return tuple(sorted({kernel.header_file for kernel in _KERNELS.values()}))
