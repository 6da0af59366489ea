"""What an op means: ports, shapes, intervals, integer semantics, folds, access pattern. Nothing of any target."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from enum import Enum
from functools import cached_property, lru_cache
from inspect import isabstract
from itertools import product
from re import sub
from typing import Any, ClassVar, Literal, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.access import Access
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Beat, Stream, check_interval, whole

IntArray = npt.NDArray[np.int64]

Answer = Literal["codes", "label", "top_k"]

PARALLEL_LIMIT = 4096
"""Most operations that a node may do in one cycle; beyond it no target's synthesis ends in time (decision)."""


MOST_PIXELS = 16
"""Most neighbouring pixels that a node takes at once: the solver tries every number (decision)."""


@dataclass(frozen=True, order=True)
class Fold:
    """How much of a node's work happens in one cycle.

    `pe`: rows (outputs) at once; for a node without a matrix, the lanes of its streams.
    `simd`: columns (inputs) at once.
    `groups`: groups at once; more than one only when an iteration holds whole groups.
    `pixels`: neighbouring pixels at once, all with the same weights; they divide a row. Of a pool without a window before
    it the pixels that it reads, else those that a node writes.
    `dsp`: whether its products stand in DSP blocks where a target has them in either (see `Implementation.forms`).
    `packed`: whether such a block makes those of several rows at once; only with `dsp`.
    """

    pe: int = 1
    simd: int = 1
    groups: int = 1
    pixels: int = 1
    dsp: bool = False
    packed: bool = False

    @property
    def parallel(self) -> int:
        """Operations a cycle for one pixel: weights a cycle."""
        return self.pe * self.simd * self.groups

    @property
    def operations(self) -> int:
        """Operations a cycle."""
        return self.parallel * self.pixels

    @property
    def plain(self) -> Fold:
        """The same loops, nothing said of DSP blocks: how sources and layouts fold that feed the node."""
        return replace(self, dsp=False, packed=False)

    def __str__(self) -> str:
        text = f"PE {self.pe} SIMD {self.simd}"
        text += "" if self.groups == 1 else f" groups {self.groups}"
        text += "" if self.pixels == 1 else f" pixels {self.pixels}"
        text += " DSP" if self.dsp else ""
        return f"{text} packed" if self.packed else text


@dataclass(frozen=True)
class Ports:
    """The streams on either side of a node."""

    inputs: tuple[Stream, ...]
    outputs: tuple[Stream, ...]


class Role(Enum):
    """What an op is to the passes: a source of weights, a layout of vectors, arithmetic, or plumbing between nodes."""

    SOURCE = "source"
    LAYOUT = "layout"
    COMPUTE = "compute"
    PLUMBING = "plumbing"


@dataclass(frozen=True)
class Port:
    """An input of an op as it is declared.

    `weights`: it carries weights, which repeat and are never waited for. `per_frame`: its answer comes once a frame, so
    the other inputs wait for it with the frame in their FIFOs. `optional`: some attributes of the op leave it out.
    """

    name: str
    weights: bool = False
    per_frame: bool = False
    optional: bool = False


@dataclass(frozen=True)
class Register:
    """State of a node that the host may write at run time: `cells` bits, the stored start, cell 0 first.

    `anew`: whether its two bits name the frame that begins anew where frames go on with the state that the one before left:
    whether its number is odd, frames being counted from 0, and a bit that changes with each frame that is named so.
    """

    name: str
    cells: tuple[int, ...]
    anew: bool = False


@dataclass(frozen=True, eq=False)
class Op(ABC):
    """One kind of node; a subclass is a frozen dataclass of validated attributes and holds the meaning of the op.

    `inputs`: its input ports as declared. `role`: what it is to the passes. `only_lanes`: whether its output is its input,
    in other lanes. `answer`: what its output is to a user where it ends a network. `pixelwise`: whether pixel i of its
    output has to do with pixel i of its inputs alone, so that it can take neighbouring ones side by side. `loaded`: whether
    the host fills its memory at run time.
    """

    inputs: ClassVar[tuple[Port, ...]] = (Port("x"),)
    role: ClassVar[Role] = Role.COMPUTE
    only_lanes: ClassVar[bool] = False
    answer: ClassVar[Answer] = "codes"
    pixelwise: ClassVar[bool] = False
    loaded: ClassVar[bool] = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        validate = cls.__post_init__

        def checked(self: Op) -> None:
            _check_numbers(self)
            validate(self)
            _check_range(self)

        cls.__post_init__ = checked  # type: ignore[method-assign]

    def __post_init__(self) -> None:  # noqa: B027 - most ops have something to validate, some have not
        """Check the attributes, whose types are right; raises GraphError."""

    @property
    def kind(self) -> str:
        """Name of the op, as shown in tables."""
        return type(self).__name__

    @property
    def detail(self) -> str:
        """What tells two nodes of this op apart in a table; empty where nothing does."""
        return ""

    def title(self, ports: Ports, window: str = "") -> str:
        """Call the op what the field calls it, in lower case; `window`: `detail` of the layout that it reads."""
        return f"{sub('(?<=[a-z])(?=[A-Z])', ' ', self.kind).lower()} {window}".rstrip()

    @property
    def folds_with_reader(self) -> bool:
        """Whether the fold is that of the node that reads the output: so it is with weight sources and layouts."""
        return self.role in (Role.SOURCE, Role.LAYOUT)

    @abstractmethod
    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        """Infer shapes and intervals of the outputs; raises GraphError when the inputs do not fit."""

    @abstractmethod
    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        """Compute a batch: arrays of shape (N, *stream.shape), weight matrices without the batch axis."""

    def folds(self, ports: Ports) -> Iterator[Fold]:
        """Yield every legal fold: by default the lanes that divide all channel counts.

        Of a pixelwise op with every number of neighbouring pixels.
        """
        channels = [stream.channels for stream in ports.inputs + ports.outputs]
        counts = pixel_counts(ports.outputs[0]) if self.pixelwise else [1]
        for lanes, pixels in product(divisors(int(np.gcd.reduce(channels))), counts):
            yield Fold(pe=lanes, pixels=pixels)

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Give the lanes of each input and output under a fold; by default `pe` of each of its pixels."""
        before, after = self.beat_pixels(ports, fold)
        return tuple(fold.pe * count for count in before), tuple(fold.pe * count for count in after)

    def beat_pixels(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Give the pixels that lie side by side in a beat of each input and output; by default those of the fold.

        Of weights: that share a beat.
        """
        return (fold.pixels,) * len(ports.inputs), (fold.pixels,) * len(ports.outputs)

    def beats(self, ports: Ports, fold: Fold) -> tuple[tuple[Beat, ...], tuple[Beat, ...]]:
        """Say what a beat of each input and output holds; raises GraphError for a fold that the op cannot keep."""
        lanes_in, lanes_out = self.lanes(ports, fold)
        pixels_in, pixels_out = self.beat_pixels(ports, fold)
        before = zip(ports.inputs, lanes_in, pixels_in, strict=True)
        after = zip(ports.outputs, lanes_out, pixels_out, strict=True)
        return tuple(s.beat_of(*beat) for s, *beat in before), tuple(s.beat_of(*beat) for s, *beat in after)

    @abstractmethod
    def access(self, ports: Ports, fold: Fold) -> Access:
        """Give the access pattern under a fold."""

    def interleaved(self, fold: Fold) -> bool:
        """Say whether a beat of the first input holds parts of several groups.

        Only a sliding window right before the node can lay them out so.
        """
        return False

    def operations(self, ports: Ports) -> int:
        """Count the multiply-accumulates in a frame; 0 for ops without any."""
        return 0

    def saved_bits(self, ports: Ports) -> int:
        """Count the bits of weight memory that the op makes unnecessary; 0 for most."""
        return 0

    def saved_threshold_bits(self, ports: Ports) -> int:
        """Count the bits that thresholds of the same codes would take more than what the op stores; 0 for most."""
        return 0

    def registers(self) -> tuple[Register, ...]:
        """List the state that the host may write at run time; none by default."""
        return ()

    def with_registers(self) -> Op | None:
        """Give the same op with its state writable at run time; None for an op without any."""
        return None

    @property
    def carries(self) -> bool:
        """Whether a frame goes on with what the one before left: frames of a batch follow each other then."""
        return False

    def carried_on(self) -> Op | None:
        """Give the same op whose frames go on with what the one before left; None for an op without a state."""
        return None

    def from_stream_order(self, ports: Ports, fold: Fold, recorded: IntArray) -> IntArray:
        """Bring what a simulation recorded on the output, shape (N, elements), into the graph's order."""
        return recorded

    def attributes(self) -> dict[str, Any]:
        """List the op's fields by name, in order."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def check_folds(self, node: str, ports: Ports, fold: Fold) -> None:
        """Raise GraphError naming the node and its legal folds when `fold` is not one of them."""
        legal = list(self.folds(ports))
        if fold.plain not in legal or (fold.dsp and not self.operations(ports)) or (fold.packed and not fold.dsp):
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


@lru_cache(maxsize=256)
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _check_numbers(op: Op) -> None:
    """Make whole numbers of NumPy's Python's; raises GraphError for attributes that hold anything else in their place."""
    for name, hint in _hints(type(op)).items():
        if hint is int:
            object.__setattr__(op, name, whole(getattr(op, name), f"{op.kind}: {name} is"))
        elif get_origin(hint) is tuple and set(get_args(hint)) <= {int, Ellipsis}:
            values = getattr(op, name)
            if not isinstance(values, tuple | list):
                raise GraphError(f"{op.kind}: {name} is {values!r}; expected a tuple of whole numbers")
            object.__setattr__(op, name, tuple(whole(value, f"{op.kind}: {name} holds") for value in values))


def _check_range(op: Op) -> None:
    """Raise GraphError for whole numbers beyond 64 bits, with which arrays of integers cannot be computed.

    After the op's own checks, which say more.
    """
    for name, value in op.attributes().items():
        numbers = value if isinstance(value, tuple) else (value,)
        numbers = tuple(number for number in numbers if isinstance(number, int))
        if numbers:
            check_interval(f"{op.kind}: the range of {name}", min(numbers), max(numbers))


def concrete_ops(base: type[Op] = Op) -> Iterator[type[Op]]:
    """Yield every op that can be made, of all modules that are loaded."""
    for op in base.__subclasses__():
        if not isabstract(op):
            yield op
        yield from concrete_ops(op)


def _frozen(value: Any) -> Any:
    return (value.shape, value.tobytes()) if isinstance(value, np.ndarray) else value


def frozen_array(values: npt.ArrayLike) -> IntArray:
    """Make a read-only int64 copy; raises GraphError for anything but integers of 64 bits."""
    try:
        given = np.asarray(values)
        with np.errstate(invalid="ignore"):
            array = given.astype(np.int64)
        fits = given.dtype.kind in "iub" or bool(np.equal(array, given).all())
    except (TypeError, ValueError, OverflowError) as error:
        raise GraphError(f"not an array of integers ({error})") from None
    if not fits or (given.dtype == np.uint64 and array.size and array.min() < 0):
        raise GraphError(f"an array of {given.dtype} whose values are no integers of 64 bits")
    array.setflags(write=False)
    return array


def divisors(number: int) -> list[int]:
    """List the divisors of a number, ascending."""
    small = [d for d in range(1, int(number**0.5) + 1) if number % d == 0]
    return small + [number // d for d in reversed(small) if d * d != number]


def pixel_counts(stream: Stream) -> list[int]:
    """List how many neighbouring pixels of a map can be taken at once: the divisors of its row, MOST_PIXELS at most."""
    return [count for count in divisors(stream.row) if count <= MOST_PIXELS]
