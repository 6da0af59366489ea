"""How parallel windows pass over a map: a scan that sends each window as soon as it is complete."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.spatial import Cube

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Geometry:
    """A map, its windows and where they lie, each as (depth, height, width); `before`: the padding."""

    shape: Cube
    outputs: Cube
    kernel: Cube
    stride: Cube
    dilation: Cube
    before: Cube

    @property
    def extent(self) -> Cube:
        """What a window spans, dilation counted."""
        depth, height, width = ((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilation, strict=True))
        return depth, height, width


@dataclass(frozen=True)
class Scan:
    """How parallel windows pass over a map: steps of a beat, the first one 0, rows and planes one after the other.

    `size`: steps along (depth, height, width), `outputs` windows; `shape`: of the map; `lead`: steps before the first
    pixel is read; `first`: the step that completes the first window; `steps`: all of them. With windows side by side a
    beat of the map and one of windows count as one pixel and one window of a row. `taps`: registers that hold what the
    windows of a beat take of a row, `apart` steps from one of them to the next.
    """

    size: tuple[int, int, int]
    shape: tuple[int, int, int]
    outputs: tuple[int, int, int]
    stride: tuple[int, int, int]
    lead: int
    first: int
    steps: int
    taps: int
    apart: int

    def steps_of(self, counts: tuple[int, int, int], strides: tuple[int, int, int]) -> IntArray:
        """List the steps, from that of the first one, of so many places that lie `strides` apart."""
        z, y, x = (np.arange(count) * stride for count, stride in zip(counts, strides, strict=True))
        _, rows, columns = self.size
        return ((z[:, None, None] * rows + y[:, None]) * columns + x).reshape(-1)

    @property
    def windows(self) -> IntArray:
        """List the step that completes each window, in order."""
        return self.first + self.steps_of(self.outputs, self.stride)

    @property
    def pixels(self) -> IntArray:
        """List the step that reads each pixel, in order."""
        return self.lead + self.steps_of(self.shape, (1, 1, 1))


@lru_cache(maxsize=1 << 10)
def scan(geometry: Geometry, windows: int) -> Scan:
    """Give the steps in which parallel windows, so many side by side, pass over a map."""
    apart = geometry.stride[2]
    word = windows * apart if windows > 1 else 1
    shape = (*geometry.shape[:2], geometry.shape[2] // word)
    outputs = (*geometry.outputs[:2], geometry.outputs[2] // windows)
    stride = (*geometry.stride[:2], windows * apart // word)
    reach = zip(shape, outputs, stride, strict=True)
    depth, rows, columns = (max(size, (count - 1) * step + 1) for size, count, step in reach)
    ends = [extent - 1 - before for extent, before in zip(geometry.extent, geometry.before, strict=True)]
    # The last pixel of the last window of the first beat.
    z, y, x = ends[0], ends[1], (ends[2] + (windows - 1) * apart) // word
    first = (z * rows + y) * columns + x
    lead = max(0, -first)
    taps = (x + -(geometry.before[2] // -word) + 1, 1) if windows > 1 else (geometry.kernel[2], geometry.dilation[2])
    scan = Scan((depth, rows, columns), shape, outputs, stride, lead, first + lead, 0, *taps)
    last = (
        begin + ((counts[0] - 1) * step[0] * rows + (counts[1] - 1) * step[1]) * columns + (counts[2] - 1) * step[2]
        for begin, counts, step in ((scan.first, outputs, stride), (lead, shape, (1, 1, 1)))
    )
    return replace(scan, steps=max(last) + 1)


@lru_cache(maxsize=1 << 7)
def parallel_access(scan: Scan, blocks: int, parts: int) -> Access:
    """Play the loop of parallel windows: `blocks` beats a pixel, each window of a block sent in `parts` iterations.

    Between the rows at either end, as many as padding and windows reach over, all rows of windows are alike: of a map with
    more of them only so many are played.
    """
    (depth, rows, columns), stride = scan.size, scan.stride[1]
    reach = (scan.first + scan.lead) // columns + abs(rows - scan.shape[1])
    alike = max(0, scan.outputs[1] - 2 * reach - 8) if depth == 1 else 0
    lower = alike * stride
    played = replace(
        scan,
        size=(depth, rows - lower, columns),
        shape=(scan.shape[0], scan.shape[1] - lower, scan.shape[2]),
        outputs=(scan.outputs[0], scan.outputs[1] - alike, scan.outputs[2]),
        steps=scan.steps - lower * columns,
    )
    reads, writes, start = _play(played, blocks, parts)
    bounds = itertools.pairwise([*start[:: stride * columns * blocks].tolist(), len(reads)])
    slices = [(reads[begin:end], writes[begin:end]) for begin, end in bounds]
    groups = [
        list(equal) for _, equal in itertools.groupby(slices, key=lambda one: (one[0].tobytes(), one[1].tobytes()))
    ]
    longest = max(range(len(groups)), key=lambda index: len(groups[index]))
    counts = [len(group) + (alike if index == longest else 0) for index, group in enumerate(groups)]
    of_reads, of_writes = (
        tuple(Pattern(Pattern.of(group[0][port]).runs, count) for group, count in zip(groups, counts, strict=True))
        for port in (0, 1)
    )
    return Access((Pattern(of_reads),), (Pattern(of_writes),))


def _play(scan: Scan, blocks: int, parts: int) -> tuple[BoolArray, BoolArray, IntArray]:
    """List in which iterations a parallel window reads and writes, and the iteration that begins each block of each step."""
    within = np.arange(blocks)
    iterations = np.ones(scan.steps * blocks, np.int64)
    windows = (scan.windows[:, None] * blocks + within).reshape(-1)
    iterations[windows] = parts
    start = np.cumsum(iterations) - iterations
    reads, writes = np.zeros((2, int(iterations.sum())), bool)
    reads[start[(scan.pixels[:, None] * blocks + within).reshape(-1)]] = True
    writes[(start[windows][:, None] + np.arange(parts)).reshape(-1)] = True
    return reads, writes, start
