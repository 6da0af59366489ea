"""Streams: the edges of the integer graph."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import product
from math import prod

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.limits import check_elements

LEAST, MOST = -(2**63), 2**63 - 1
"""The least and the largest integer of 64 bits with a sign: what the graph computes with."""


def width(lo: int, hi: int) -> tuple[int, bool]:
    """Give bits and signedness of the smallest two's complement or unsigned integer that holds [lo, hi]."""
    if lo >= 0:
        return max(1, hi.bit_length()), False
    return max(max(hi, 0).bit_length(), (-lo - 1).bit_length()) + 1, True


def corners(*factors: tuple[int, int]) -> tuple[int, int]:
    """Give the least and the largest product of a number of each interval."""
    products = [prod(ends) for ends in product(*factors)]
    return min(products), max(products)


def whole(value: object, what: str) -> int:
    """Give a number as int; raises GraphError for one that is not whole."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        raise GraphError(f"{what} {value!r}; expected a whole number")
    return int(value)


def check_interval(what: str, lo: int, hi: int) -> None:
    """Raise GraphError naming `what` where an interval leaves the integers of 64 bits: arithmetic would wrap around."""
    if not LEAST <= lo <= hi <= MOST:
        raise GraphError(f"{what} [{lo}, {hi}] is beyond integers of 64 bits with a sign")


@dataclass(frozen=True, order=True)
class Beat:
    """What travels in one cycle: `lanes` elements, an equal part of each of `pixels` neighbouring pixels.

    The beats of a stream follow the order of its elements where `pixels` is 1: so they do wherever they hold whole
    pixels. Else every `pixels` pixels travel together, [pixel][channel]: the first channels of each, then the next ones.
    Of weights, which repeat, one beat serves the vectors of so many pixels.
    """

    lanes: int
    pixels: int = 1

    def __str__(self) -> str:
        return str(self.lanes) if self.pixels == 1 else f"{self.pixels}x{self.lanes // self.pixels}"


@dataclass(frozen=True)
class Stream:
    """An edge: what travels from one node to the next in one frame.

    `shape`: channel-last, `(H, W, C)` for feature maps, `(rows, columns)` for a weight matrix.
    `lo`, `hi`: every element lies in [lo, hi]; this fixes the bit width.
    `repeats`: how often the shape is sent in a frame (a weight matrix: once for each vector).
    `scale`, `offset`: optional affine meaning, value = scale * code + offset, one number or one a channel; only reports
    and the host use it.
    `lanes`, `beat_pixels`: what a beat holds (`Beat`) once the graph is folded; 0 and 1 before.
    `bipolar`: every element is -1 or +1, and one bit says which.
    `constant`: the contents where they never change (weights), so that intervals downstream are exact.

    Raises GraphError on an empty shape, an empty interval, a bipolar interval other than [-1, 1], or beats of no pixel;
    MuxflowError on more elements than `limits.MOST_ELEMENTS`.
    """

    shape: tuple[int, ...]
    lo: int
    hi: int
    repeats: int = 1
    scale: tuple[float, ...] = ()
    offset: tuple[float, ...] = ()
    lanes: int = 0
    beat_pixels: int = 1
    bipolar: bool = False
    constant: npt.NDArray[np.int64] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        for end in ("lo", "hi"):
            object.__setattr__(self, end, whole(getattr(self, end), f"stream interval: {end}"))
        object.__setattr__(self, "shape", tuple(whole(size, "stream of shape") for size in self.shape))
        if not self.shape or any(size < 1 for size in self.shape):
            raise GraphError(f"stream of shape {self.shape}: every size must be at least 1")
        check_elements("stream", *self.shape)
        if self.lo > self.hi:
            raise GraphError(f"stream interval [{self.lo}, {self.hi}] is empty")
        if self.bipolar and (self.lo, self.hi) != (-1, 1):
            raise GraphError(f"bipolar stream interval [{self.lo}, {self.hi}]; it must be [-1, 1]")
        if self.repeats < 1:
            raise GraphError(f"stream repeats {self.repeats} times; at least 1")
        if self.lanes < 0 or self.beat_pixels < 1:
            raise GraphError(f"stream beats of {self.lanes} lanes in {self.beat_pixels} pixels; at least 0 and 1")
        check_interval("stream interval", self.lo, self.hi)
        for name in ("scale", "offset"):
            values = getattr(self, name)
            if len(values) not in (0, 1, self.channels) or not np.isfinite(values).all():
                raise GraphError(
                    f"stream {name} of {len(values)} numbers {values[:3]}; expected finite ones, one or one of each of "
                    f"{self.channels} channels"
                )

    @property
    def bits(self) -> int:
        """Bits of one element."""
        return 1 if self.bipolar else width(self.lo, self.hi)[0]

    @property
    def signed(self) -> bool:
        """Whether an element can be negative."""
        return self.lo < 0

    @property
    def step(self) -> int:
        """Distance between neighbouring values: the elements are lo, lo + step, ..., hi."""
        return 2 if self.bipolar else 1

    @property
    def size(self) -> int:
        """Elements of the shape."""
        return prod(self.shape)

    @property
    def channels(self) -> int:
        """Size of the last axis."""
        return self.shape[-1]

    @property
    def pixels(self) -> int:
        """Product of all axes but the last."""
        return self.size // self.channels

    @property
    def row(self) -> int:
        """Pixels that are neighbours: the innermost spatial size, the next one out where that is 1."""
        return next((size for size in reversed(self.shape[:-1]) if size > 1), 1)

    @property
    def elements(self) -> int:
        """Elements in a frame, repeats counted."""
        return self.size * self.repeats

    @property
    def beats(self) -> int:
        """Beats in a frame; the stream must be folded."""
        return self.size // self.lanes * (self.repeats // self.beat_pixels if self.repeats > 1 else 1)

    @property
    def beat(self) -> Beat:
        """What a beat holds; the stream must be folded."""
        return Beat(self.lanes, self.beat_pixels)

    @property
    def beat_bits(self) -> int:
        """Bits of one beat; the stream must be folded."""
        return self.bits * self.lanes

    def beat_of(self, lanes: int, pixels: int = 1) -> Beat:
        """Give a beat of this stream: whole pixels follow the order of the elements.

        Raises GraphError when `lanes` and `pixels` do not divide the stream.
        """
        if lanes < 1 or self.size % lanes:
            raise GraphError(f"{lanes} lanes do not divide a stream of shape {self.shape}")
        shared = self.repeats > 1
        divides = pixels >= 1 and (self.repeats if shared else self.pixels) % pixels == 0
        if divides and not shared and pixels > 1:
            divides = lanes % pixels == 0 and self.channels * pixels % lanes == 0
        if not divides:
            raise GraphError(f"{lanes} lanes of {pixels} pixels do not divide a stream of shape {self.shape}")
        return Beat(lanes, pixels if shared or lanes < self.channels * pixels else 1)

    def with_lanes(self, lanes: int, pixels: int = 1) -> Stream:
        """Give the same stream with `lanes` elements of `pixels` pixels a beat; raises GraphError as `beat_of`."""
        beat = self.beat_of(lanes, pixels)
        return replace(self, lanes=beat.lanes, beat_pixels=beat.pixels)

    def with_beat(self, beat: Beat) -> Stream:
        """Give the same stream with beats of this kind; raises GraphError as `beat_of`."""
        return self.with_lanes(beat.lanes, beat.pixels)

    def without_lanes(self) -> Stream:
        """Give the same stream as before the graph was folded."""
        return replace(self, lanes=0, beat_pixels=1)

    def without_meaning(self) -> Stream:
        """Give the same stream without what its numbers stand for: all that hardware and its cost depend on."""
        return replace(self, scale=(), offset=(), constant=None)

    def in_order(self, recorded: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Bring elements in the order of the beats, shape (N, elements), into that of the pixels."""
        if self.beat_pixels == 1 or self.repeats > 1:
            return recorded
        part = self.lanes // self.beat_pixels
        split = recorded.reshape(len(recorded), -1, self.channels // part, self.beat_pixels, part)
        return split.swapaxes(2, 3).reshape(recorded.shape)

    @property
    def type_name(self) -> str:
        """Type of the elements: uint3, int8, bipolar."""
        return "bipolar" if self.bipolar else f"int{self.bits}" if self.signed else f"uint{self.bits}"

    def __str__(self) -> str:
        text = f"{self.type_name}[{'x'.join(map(str, self.shape))}]"
        if self.repeats > 1:
            text += f" x{self.repeats}"
        return text + (f" /{self.beat}" if self.lanes else "")


def random_codes(stream: Stream, frames: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Draw uniform codes of a stream, shape (frames, *stream.shape); raises MuxflowError for too many."""
    check_elements(f"{frames} frames of {stream}", frames, *stream.shape)
    shape = (frames, *stream.shape)
    if stream.step == 1:
        return generator.integers(stream.lo, stream.hi, shape, endpoint=True)
    return stream.lo + stream.step * generator.integers(0, (stream.hi - stream.lo) // stream.step, shape, endpoint=True)
