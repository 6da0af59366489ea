"""Sliding window: lays out the vectors that a convolution or an overlapping pool reads."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from math import gcd, prod

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.limits import MOST_STEP, check_elements
from muxflow.dataflow.op import Fold, IntArray, Op, Ports, Role
from muxflow.dataflow.ops.spatial import cube
from muxflow.dataflow.ops.window_scan import Geometry, Scan, parallel_access, scan

MOST_RUNS = 1 << 16
"""Windows sent in several beats each of which an access pattern may list: beyond them it takes seconds (decision)."""


@dataclass(frozen=True, eq=False)
class SlidingWindow(Op):
    """Lay out the windows that a convolution or an overlapping pool reads.

    - Attributes, one number a spatial axis, 1 to 3 of them: `kernel`, `stride`, `dilation` (1 where left out); `pads`:
      before all axes, then after all (none where left out; rank 2: top, left, bottom, right); `groups`, which divides
      the channels, so that a grouped convolution reads each group in one piece; `pad_code`: the code in the padding.
      GraphError when numbers of axes differ or a number is out of range. The window's extent is
      `E = (kernel - 1) * dilation + 1`; pads may be wider.
    - `(*S, C)` -> `(*OS, K * C)`, on each axis `OS = (S + before + after - E) // stride + 1`; `K` is the product of the
      kernel.
    - Window `o`, in the order group, kernel position (row-major), channel of the group, holds
      `x[o * stride - before + k * dilation, channel]` for kernel position `k`, or `pad_code` outside the map.
    - Interval: that of the input, with `pad_code` added where there is padding.
    - Follows. `SIMD` divides `C / groups`, or is `P * C / groups`: `P` kernel positions at once, `P` dividing `K`.
      `fold.pixels` `W` neighbouring windows at once divide a row of them. Lanes: `min(SIMD, C / groups) * fold.groups` of
      each pixel in, `SIMD * fold.groups` of each window out. Pixels read at once: the greatest common divisor of `W` and
      the map's row where `P` is 1; `W * stride` where `P > 1` and `W > 1`, a fold that there is not where they do not
      divide the map's row.
    - **Stream order.** With `fold.groups > 1` that many groups travel side by side: group block, block of `P` kernel
      positions, group in the block, kernel position, channel. Only a node that follows directly may fold so.
    - Loop where `P` is 1: rows lie along the last axis (in rank 1 each element is a row where `W` is 1, else all are one)
      and are counted plane after plane. Phase 0 reads the rows up to the last one of the first output row's windows
      (`min(H, E_h - top)` in rank 2); phase `r + 1` sends the windows of output row `r` and meanwhile reads the rows that
      row `r + 1` adds, the last one all rows that are left. A phase has as many iterations as the longer of the two; reads
      and writes begin with it. Between two phases stand 4 idle iterations where a beat could otherwise be read back less
      than 4 iterations after its write (very narrow maps), else none.
    - Loop where `P > 1` (parallel windows): the map is scanned in steps of as many pixels as are read at once, `N` steps
      an axis, the larger of `H` and `(OH - 1) * stride + 1` (likewise on the other axes but the first; along a row with
      `W > 1` counted in steps and beats of `W` windows), each of as many beats as a pixel has blocks of groups; a step
      reads its beat where it lies in the map. Window `o` is complete in the step of its last position
      `o * stride - before + E - 1` (axes counted as one number, a position outside a row being one in the next row; of
      `W` windows the last one counts), and is sent in that iteration and `K / P - 1` further ones, in which nothing is
      read. Steps begin at the first beat or the first window, whichever is earlier, and end with the last of both.

    - Where windows lie a pixel apart in a map of one plane, one at a time, and none lies in the padding alone, a phase in
      HLS is that of a window: it sends one and meanwhile reads what the next one adds, up to its last pixel in the order of
      the map; as long as nothing is read back less than 4 iterations after its write.
    - Loop of one kernel position without padding in HLS, one pixel at a time: the map's beats, each read, and sent in the
      same iteration where its pixel is kept.

    Source: the line buffer with overlapped reading and writing is the usual one of streaming convolution, the delay line
    with a register for each kernel position the usual one of image filters; order of groups: decision.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    pads: tuple[int, ...] = ()
    groups: int = 1
    pad_code: int = 0

    role = Role.LAYOUT

    def __post_init__(self) -> None:
        rank = len(self.kernel)
        for name, count, default in (("stride", rank, 1), ("dilation", rank, 1), ("pads", 2 * rank, 0)):
            if not getattr(self, name):
                object.__setattr__(self, name, (default,) * count)
            if len(getattr(self, name)) != count:
                raise GraphError(
                    f"sliding window: {name} {getattr(self, name)} for a kernel of {rank} axes; expected {count} numbers"
                )
        if not 1 <= rank <= 3:
            raise GraphError(f"sliding window: a kernel of {rank} axes; supported are 1 to 3")
        if min(*self.kernel, *self.stride, *self.dilation, self.groups) < 1 or min(self.pads) < 0:
            raise GraphError(
                f"sliding window: kernel {self.kernel}, stride {self.stride}, dilation {self.dilation} and groups "
                f"{self.groups} must be at least 1, pads {self.pads} at least 0"
            )
        for name, numbers in (("stride", self.stride), ("dilation", self.dilation)):
            if max(numbers) > MOST_STEP:
                raise GraphError(
                    f"sliding window: {name} {numbers}; at most {MOST_STEP:,} (MOST_STEP) is supported, so use a smaller one"
                )

    @property
    def detail(self) -> str:
        """The kernel, and of stride and dilation what is not 1."""
        text = "x".join(map(str, self.kernel))
        for name, numbers in (("stride", self.stride), ("dilation", self.dilation)):
            if set(numbers) != {1}:
                text += f", {name} {numbers[0] if len(set(numbers)) == 1 else 'x'.join(map(str, numbers))}"
        return text

    @property
    def rank(self) -> int:
        """Spatial axes."""
        return len(self.kernel)

    @property
    def extent(self) -> tuple[int, ...]:
        """Elements that a window spans on each axis, dilation counted."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Padding before and after each axis."""
        return tuple(zip(self.pads[: self.rank], self.pads[self.rank :], strict=True))

    def output_size(self, *spatial: int) -> tuple[int, ...]:
        """Give the output positions on each axis for a map of these sizes."""
        return tuple(
            (size + before + after - extent) // stride + 1
            for size, (before, after), extent, stride in zip(spatial, self.pairs, self.extent, self.stride, strict=True)
        )

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if len(x.shape) != self.rank + 1:
            raise GraphError(f"sliding window: input {x}; expected {self.rank} spatial axes and the channels")
        if x.channels % self.groups:
            raise GraphError(f"sliding window: {self.groups} groups do not divide {x.channels} channels")
        sizes = self.output_size(*x.shape[:-1])
        if min(sizes) < 1:
            shown = " x ".join(map(str, x.shape[:-1]))
            raise GraphError(f"sliding window: a window of {self.extent} does not fit a map of {shown}")
        padded = (size + sum(pair) for size, pair in zip(x.shape, self.pairs, strict=False))
        check_elements(f"sliding window: a map with pads {self.pads}", *padded, x.channels)
        lo, hi = x.lo, x.hi
        if any(self.pads):
            lo, hi = min(lo, self.pad_code), max(hi, self.pad_code)
        bipolar = x.bipolar and (not any(self.pads) or self.pad_code in (-1, 1))
        return (Stream((*sizes, prod(self.kernel) * x.channels), lo, hi, bipolar=bipolar),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        (x,) = inputs
        rank = self.rank
        padded = np.pad(x, ((0, 0), *self.pairs, (0, 0)), constant_values=self.pad_code)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.extent, axis=tuple(range(1, rank + 1)))
        apart = (slice(None, None, stride) for stride in self.stride)
        inner = (slice(None, None, dilation) for dilation in self.dilation)
        windows = windows[(slice(None), *apart, slice(None), *inner)]
        sizes, channels = windows.shape[: rank + 1], windows.shape[rank + 1]
        split = windows.reshape(*sizes, self.groups, channels // self.groups, *self.kernel)
        order = (*range(rank + 2), *range(rank + 3, 2 * rank + 3), rank + 2)
        return (split.transpose(order).reshape(*sizes, -1),)

    def geometry(self, ports: Ports, fold: Fold) -> Geometry:
        """Give the map and the window as (depth, height, width): with pixels side by side a sequence is a row."""
        (x, y), row = self.ends(ports), fold.pixels > 1
        return Geometry(
            cube(x.shape[:-1], row=row),
            cube(y.shape[:-1], row=row),
            cube(self.kernel, row=row),
            cube(self.stride, row=row),
            cube(self.dilation, row=row),
            cube(self.pads[: self.rank], 0, row=row),
        )

    def beat_lanes(self, ports: Ports, fold: Fold) -> int:
        """Give the lanes of a pixel of the input: those of the output too, unless several kernel positions are sent at once."""
        return min(fold.simd, ports.inputs[0].channels // self.groups) * fold.groups

    def positions(self, ports: Ports, fold: Fold) -> int:
        """Count the kernel positions of a window that are sent at once.

        Raises GraphError for a fold of other columns than parts of a position or parts of a window, for more windows side
        by side than a row can be cut into, and for windows whose access pattern would be longer than MOST_RUNS.
        """
        group = ports.inputs[0].channels // self.groups
        windows = self.geometry(ports, fold).outputs[2]
        if windows % fold.pixels:
            raise GraphError(f"sliding window: {fold.pixels} windows side by side do not divide a row of {windows}")
        if fold.simd <= group:
            return 1
        found, rest = divmod(fold.simd, group)
        if rest or prod(self.kernel) % found:
            raise GraphError(
                f"sliding window: {fold.simd} columns at once are no whole part of {prod(self.kernel)} kernel positions of "
                f"{group} channels"
            )
        parts = prod(self.kernel) // found
        sent = ports.outputs[0].pixels // fold.pixels * (self.groups // fold.groups if parts > 1 else 1)
        if sent > MOST_RUNS and (parts > 1 or (self.stride[-1] > 1 and fold.pixels == 1)):
            raise GraphError(
                f"sliding window: {sent} windows with {found} kernel positions at once; at most {MOST_RUNS} are laid out so"
            )
        return found

    def pixels_read(self, ports: Ports, fold: Fold) -> int:
        """Count the neighbouring pixels of the map that are read at once.

        With several kernel positions at once as many as the windows side by side lie apart from the next ones, which raises
        GraphError where these do not divide a row; else as many as windows, or as many of them as divide a row.
        """
        geometry = self.geometry(ports, fold)
        width = geometry.shape[2]
        if self.positions(ports, fold) == 1 or fold.pixels == 1:
            return gcd(fold.pixels, width)
        word = geometry.stride[2] * fold.pixels
        if width % word:
            raise GraphError(
                f"sliding window: {fold.pixels} windows side by side take {word} pixels at once, which do not divide a row "
                f"of {width}"
            )
        return word

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        lanes = self.beat_lanes(ports, fold)
        sent = lanes * self.positions(ports, fold) * fold.pixels
        return (lanes * self.pixels_read(ports, fold),), (sent,)

    def beat_pixels(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (self.pixels_read(ports, fold),), (fold.pixels,)

    def rows_needed(self, geometry: Geometry) -> list[int]:
        """List the input rows that must be there before each output row, and all rows at the end.

        Rows are counted over the whole map, plane after plane; a window needs all up to its last one.
        """
        (depth, height, _), (out_depth, out_height, _) = geometry.shape, geometry.outputs
        extent, stride, before = geometry.extent, geometry.stride, geometry.before
        needed, most = [], 0
        for d, h in itertools.product(range(out_depth), range(out_height)):
            plane = min(depth - 1, d * stride[0] - before[0] + extent[0] - 1)
            row = min(height - 1, h * stride[1] - before[1] + extent[1] - 1)
            most = max(most, plane * height + row + 1 if min(plane, row) >= 0 else 0)
            needed.append(most)
        return [*needed, depth * height]

    def ends(self, ports: Ports) -> tuple[Stream, Stream]:
        """Give the map and the windows."""
        return ports.inputs[0], ports.outputs[0]

    def phases(self, ports: Ports, fold: Fold) -> list[tuple[int, int]]:
        """List (beats read, beats sent) in each phase: first the fill, then one phase an output row."""
        (x, y), geometry = self.ends(ports), self.geometry(ports, fold)
        lanes = self.beat_lanes(ports, fold)
        row_beats = geometry.shape[2] * x.channels // (lanes * self.pixels_read(ports, fold))
        ends = self.rows_needed(geometry)
        reads = [ends[0], *(after - before for before, after in itertools.pairwise(ends))]
        sends = [0] + [geometry.outputs[2] * y.channels // (lanes * fold.pixels)] * (len(ends) - 1)
        return [(rows * row_beats, sent) for rows, sent in zip(reads, sends, strict=True)]

    def scan(self, ports: Ports, fold: Fold) -> Scan:
        """Give the steps in which parallel windows pass over the map."""
        return scan(self.geometry(ports, fold), fold.pixels)

    def access(self, ports: Ports, fold: Fold) -> Access:
        """Fill, then send the windows of an output row while the rows that the next one adds are read.

        With several kernel positions at once: scan the map, and send each window as soon as it is complete.
        """
        return self.access_with_gaps(ports, fold, 0)

    def access_with_gaps(self, ports: Ports, fold: Fold, gap: int) -> Access:
        """Give the access pattern with `gap` idle iterations between two phases; parallel windows have no phases."""
        positions = self.positions(ports, fold)
        if positions > 1:
            parts = prod(self.kernel) // positions
            return parallel_access(self.scan(ports, fold), self.groups // fold.groups, parts)
        # A first output row that lies in the padding needs no fill: the loop begins with its phase.
        phases = [phase for phase in self.phases(ports, fold) if phase != (0, 0)]
        reads: list[Pattern] = []
        writes: list[Pattern] = []
        for idle, rows in ((0, phases[:1]), (gap, phases[1:])):
            for (read, sent), equal in itertools.groupby(rows):
                length, count = max(read, sent), len(list(equal))
                reads.append(Pattern(((idle, False), (read, True), (length - read, False)), count))
                writes.append(Pattern(((idle, False), (sent, True), (length - sent, False)), count))
        return Access((Pattern(tuple(reads)),), (Pattern(tuple(writes)),))

    def from_stream_order(self, ports: Ports, fold: Fold, recorded: IntArray) -> IntArray:
        """Put groups that travel side by side one after the other again."""
        pixels, positions = prod(self.kernel), self.positions(ports, fold)
        y = ports.outputs[0]
        channels = y.channels // pixels // self.groups
        blocks, parts = self.groups // fold.groups, pixels // positions
        split = recorded.reshape(-1, y.pixels, blocks, parts, fold.groups, positions * channels)
        return split.transpose(0, 1, 2, 4, 3, 5).reshape(recorded.shape)
