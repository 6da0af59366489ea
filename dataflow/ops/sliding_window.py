"""Sliding window: lays out the vectors that a convolution or an overlapping pool reads."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.memory import Memory
from muxflow.dataflow.fit.resource_model import constant
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Kernel, Logic, Loop, Op, Pattern, Ports, control_lut


@dataclass(frozen=True, eq=False)
class SlidingWindow(Op):
    """(H, W, C) -> (OH, OW, KH * KW * C), each window ordered (group, kernel row, kernel column, channel of the group).

    `kernel`, `stride`, `dilation`: (height, width); `pads`: (top, left, bottom, right); `groups`: channel groups, so
    that a grouped convolution reads each group in one piece; `pad_code`: the code that stands in the padding.

    Source: the line buffer with overlapped reading and writing is the usual one of streaming convolution; order of
    groups: decision.
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    pad_code: int = 0

    follows = "consumer"

    def __post_init__(self) -> None:
        if min(*self.kernel, *self.stride, *self.dilation, self.groups) < 1 or min(self.pads) < 0:
            raise GraphError(
                f"sliding window: kernel {self.kernel}, stride {self.stride}, dilation {self.dilation} and groups "
                f"{self.groups} must be at least 1, pads {self.pads} at least 0"
            )

    @property
    def extent(self) -> tuple[int, int]:
        """Rows and columns that a window spans, dilation counted."""
        return (self.kernel[0] - 1) * self.dilation[0] + 1, (self.kernel[1] - 1) * self.dilation[1] + 1

    def output_size(self, height: int, width: int) -> tuple[int, int]:
        """Output rows and columns for a map of height x width."""
        top, left, bottom, right = self.pads
        return (
            (height + top + bottom - self.extent[0]) // self.stride[0] + 1,
            (width + left + right - self.extent[1]) // self.stride[1] + 1,
        )

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if len(x.shape) != 3:
            raise GraphError(f"sliding window: input {x}; expected (H, W, C)")
        height, width, channels = x.shape
        if channels % self.groups:
            raise GraphError(f"sliding window: {self.groups} groups do not divide {channels} channels")
        out_height, out_width = self.output_size(height, width)
        if out_height < 1 or out_width < 1:
            raise GraphError(f"sliding window: a window of {self.extent} does not fit a map of {height} x {width}")
        lo, hi = x.lo, x.hi
        if any(self.pads):
            lo, hi = min(lo, self.pad_code), max(hi, self.pad_code)
        bipolar = x.bipolar and (not any(self.pads) or self.pad_code in (-1, 1))
        return (Stream((out_height, out_width, self.kernel[0] * self.kernel[1] * channels), lo, hi, bipolar=bipolar),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        (x,) = inputs
        top, left, bottom, right = self.pads
        padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=self.pad_code)
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.extent, axis=(1, 2))
        windows = windows[:, :: self.stride[0], :: self.stride[1], :, :: self.dilation[0], :: self.dilation[1]]
        count, height, width, channels = windows.shape[:4]
        split = windows.reshape(count, height, width, self.groups, channels // self.groups, *self.kernel)
        return (split.transpose(0, 1, 2, 3, 5, 6, 4).reshape(count, height, width, -1),)

    def _lanes(self, ports: Ports, fold: Fold) -> int:
        return min(fold.simd, ports.inputs[0].channels // self.groups) * fold.groups

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """A reader that takes more columns than a group has channels gets them through a width converter."""
        lanes = self._lanes(ports, fold)
        return (lanes,), (lanes,)

    def phases(self, ports: Ports, fold: Fold) -> list[tuple[int, int]]:
        """(beats read, beats sent) in each phase of the kernel: first the fill, then one phase an output row."""
        height, width, channels = ports.inputs[0].shape
        out_height, out_width, window = ports.outputs[0].shape
        lanes = self._lanes(ports, fold)
        row_beats = width * channels // lanes
        first = self.extent[0] - self.pads[0]
        ends = [min(height, max(0, row * self.stride[0] + first)) for row in range(out_height)]
        ends.append(height)
        reads = [ends[0], *(after - before for before, after in itertools.pairwise(ends))]
        sends = [0] + [out_width * window // lanes] * out_height
        return [(rows * row_beats, sent) for rows, sent in zip(reads, sends, strict=True)]

    def gap(self, ports: Ports, fold: Fold) -> int:
        """Idle steps between phases, 4 where a beat could be read back less than 4 steps after its write.

        The last row of a phase is written to its end, so beat (x, block, part) of it is written (width - x) pixels
        before the next phase starts, less the beats before it in its pixel; the phase reads it at kernel column k of
        output column o no earlier than o windows and k pixels of a block after its start.
        """
        _, width, channels = ports.inputs[0].shape
        lanes = self._lanes(ports, fold)
        pixel_beats = channels // lanes
        part_beats = channels // self.groups * fold.groups // lanes
        window_beats = self.kernel[0] * self.kernel[1] * pixel_beats
        column = np.arange(ports.outputs[0].shape[1])[:, None]
        inner = np.arange(self.kernel[1])
        x = column * self.stride[1] - self.pads[1] + inner * self.dilation[1]
        distance = (width - x) * pixel_beats + column * window_beats + inner * part_beats
        return 0 if distance[(x >= 0) & (x < width)].min(initial=4) >= 4 else 4

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        reads: list[tuple[int, bool]] = []
        writes: list[tuple[int, bool]] = []
        gap = self.gap(ports, fold)
        # A first output row that lies in the padding needs no fill: the kernel begins with its phase.
        phases = [phase for phase in self.phases(ports, fold) if phase != (0, 0)]
        for index, (read, sent) in enumerate(phases):
            length = max(read, sent)
            if index and gap:
                reads.append((gap, False))
                writes.append((gap, False))
            reads += [(read, True), (length - read, False)]
            writes += [(sent, True), (length - sent, False)]
        return Loop((Pattern(tuple(reads)),), (Pattern(tuple(writes)),))

    def _rows(self) -> int:
        return self.extent[0] + self.stride[0]

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """Seven counters with their comparisons and two address sums, and a multiplexer a bit for the padding."""
        bits = ports.outputs[0].bits * self._lanes(ports, fold)
        lut = control_lut(self.loop(ports, fold).trips) + int(constant("sliding_window.lut"))
        return Logic(lut + (bits if any(self.pads) else 0), 2 * bits + 120)

    def memories(self, ports: Ports, fold: Fold) -> tuple[Memory, ...]:
        _, width, channels = ports.inputs[0].shape
        lanes = self._lanes(ports, fold)
        depth = self._rows() * width * channels // lanes
        return (Memory("rows", "line", depth, lanes * ports.inputs[0].bits, True),)

    def unrolled(self, ports: Ports, fold: Fold) -> int:
        return self._lanes(ports, fold)

    def from_stream_order(self, ports: Ports, fold: Fold, recorded: IntArray) -> IntArray:
        """Groups that travel side by side are put one after the other again."""
        pixels = self.kernel[0] * self.kernel[1]
        out_height, out_width, window = ports.outputs[0].shape
        channels = window // pixels // self.groups
        split = recorded.reshape(-1, out_height * out_width, self.groups // fold.groups, pixels, fold.groups, channels)
        return split.transpose(0, 1, 2, 4, 3, 5).reshape(recorded.shape)

    def _arguments(self, ports: Ports, fold: Fold) -> tuple[tuple[str, int | bool], ...]:
        """Template arguments of the C++ kernel, in order."""
        height, width, channels = ports.inputs[0].shape
        out_height, out_width, _ = ports.outputs[0].shape
        group = channels // self.groups
        block = max(group, group * fold.groups)
        return (
            ("HEIGHT", height),
            ("WIDTH", width),
            ("BLOCKS", channels // block),
            ("BLOCK_FOLD", block // self._lanes(ports, fold)),
            ("KERNEL_H", self.kernel[0]),
            ("KERNEL_W", self.kernel[1]),
            ("STRIDE_H", self.stride[0]),
            ("STRIDE_W", self.stride[1]),
            ("DILATION_H", self.dilation[0]),
            ("DILATION_W", self.dilation[1]),
            ("PAD_TOP", self.pads[0]),
            ("PAD_LEFT", self.pads[1]),
            ("OUT_HEIGHT", out_height),
            ("OUT_WIDTH", out_width),
            ("PAD", self.pad_code),
            ("GAP", self.gap(ports, fold)),
            ("TRIPS", self.loop(ports, fold).trips),
        )

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        return Kernel("sliding_window.hpp", "sliding_window", self._arguments(ports, fold))
