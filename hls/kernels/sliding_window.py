"""The sliding window in HLS: a line buffer."""

from __future__ import annotations

import itertools
from functools import lru_cache
from math import prod

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory, bank_choice
from muxflow.dataflow.fit.resource_model import PROCESS, estimate
from muxflow.dataflow.op import Fold, IntArray, Ports
from muxflow.dataflow.ops.sliding_window import MOST_RUNS, SlidingWindow
from muxflow.dataflow.ops.window_scan import Geometry
from muxflow.hls.kernels.base import Kernel, Unit

READ_BACK = 4
"""Iterations after which a beat that was written to the buffer can be read again."""

SHORT = 8
"""Beats below which a delay is registers, wherever memories are planned (`FAR` in memory.hpp)."""


class SlidingWindowKernel(Kernel[SlidingWindow], op=SlidingWindow):
    """A ring of input rows: one phase an output row, which sends its windows and reads what the next one adds.

    Windows side by side read memories of their own, that hold the columns in turn: no copies, which would store each bit
    as often as there are windows. Several kernel positions at once: a delay line with a register for each position. One
    kernel position without padding: no memory; each pixel is read, and sent where it is kept.
    """

    def decimates(self, op: SlidingWindow, fold: Fold) -> bool:
        """Say whether the windows are pixels of the map, sent one at a time."""
        return prod(op.kernel) == 1 and not any(op.pads) and fold.pixels == 1

    def access(self, op: SlidingWindow, ports: Ports, fold: Fold) -> Access:
        if self.decimates(op, fold):
            return self._decimating_access(op, ports, fold)
        if self.by_window(op, ports, fold):
            return _window_by_window(op.geometry(ports, fold), self._beats(op, ports, fold)[0])
        gap = self.gap(op, ports, fold) if op.positions(ports, fold) == 1 else 0
        return op.access_with_gaps(ports, fold, gap)

    def by_window(self, op: SlidingWindow, ports: Ports, fold: Fold) -> bool:
        """Say whether a phase is that of a window: it asks for the pixels that the next one adds, none a row ahead.

        So it is where windows lie a pixel apart, each reaches into the map, and none reads a beat that is still on its way
        into the buffer.
        """
        if op.positions(ports, fold) > 1 or fold.pixels > 1 or prod(op.kernel) == 1:
            return False
        geometry = op.geometry(ports, fold)
        flat = geometry.shape[0] == 1 and geometry.outputs[0] == 1 and geometry.shape[2] > 1
        reaches = all(max(pair) < extent for pair, extent in zip(op.pairs, op.extent, strict=True))
        few = ports.outputs[0].pixels <= MOST_RUNS
        if not (flat and reaches and few and geometry.stride[1:] == (1, 1)):
            return False
        return _read_back(geometry, *self._beats(op, ports, fold)) >= READ_BACK

    def _beats(self, op: SlidingWindow, ports: Ports, fold: Fold) -> tuple[int, int]:
        """Count the beats of a pixel, and those of one block of groups of it."""
        x, lanes = ports.inputs[0], op.beat_lanes(ports, fold)
        return x.channels // lanes, x.channels // op.groups * fold.groups // lanes

    def _decimating_access(self, op: SlidingWindow, ports: Ports, fold: Fold) -> Access:
        """Read in every iteration, and write in those whose pixel is kept."""
        geometry = op.geometry(ports, fold)
        kept = Pattern(((self._beats(op, ports, fold)[0], True),))
        for size, stride, outputs in reversed(
            list(zip(geometry.shape, geometry.stride, geometry.outputs, strict=True))
        ):
            inner = kept.trips
            last = size - (outputs - 1) * stride - 1
            steps: list[Pattern | tuple[int, bool]] = [kept, (inner * last, False)]
            if outputs > 1:
                steps.insert(0, Pattern((kept, (inner * (stride - 1), False)), outputs - 1))
            kept = Pattern(tuple(steps))
        return Access((Pattern.always(kept.trips),), (kept,))

    def gap(self, op: SlidingWindow, ports: Ports, fold: Fold) -> int:
        """Count the idle iterations between phases: READ_BACK where a beat could be read back sooner than that.

        The last row of a phase is written to its end, so beat (x, block, part) of it is written (width - x) / pixels read
        at once * beats of a pixel before the next phase starts, less the beats before it in its pixel; the phase reads it at
        kernel column k of output column o no earlier than o windows and k pixels of a block after its start. Phases of a
        window are only taken where none is needed.
        """
        if self.by_window(op, ports, fold):
            return 0
        geometry = op.geometry(ports, fold)
        read = op.pixels_read(ports, fold)
        pixel_beats, part_beats = self._beats(op, ports, fold)
        width, out_width = geometry.shape[2], geometry.outputs[2]
        column, inner = np.arange(out_width)[:, None], np.arange(geometry.kernel[2])
        at = column * geometry.stride[2] - geometry.before[2] + inner * geometry.dilation[2]
        distance = (width // read - at // read) * pixel_beats
        distance = distance + column // fold.pixels * prod(op.kernel) * pixel_beats + inner * part_beats
        return 0 if distance[(at >= 0) & (at < width)].min(initial=READ_BACK) >= READ_BACK else READ_BACK

    def buffer_rows(self, op: SlidingWindow, geometry: Geometry) -> int:
        """Count the rows of the ring: what a phase sends from, and what it reads meanwhile."""
        extent, stride, before = geometry.extent, geometry.stride, geometry.before
        (depth, height, _), (out_depth, out_height, _) = geometry.shape, geometry.outputs
        if depth == 1 and extent[0] == 1:
            return extent[1] + stride[1]
        rows = extent[1]
        for number, limit in enumerate(op.rows_needed(geometry)[1:]):
            d, h = divmod(number, out_height)
            lowest = max(0, d * stride[0] - before[0]) * height + max(0, h * stride[1] - before[1])
            if d + 1 < out_depth:
                lowest = min(lowest, max(0, (d + 1) * stride[0] - before[0]) * height)
            rows = max(rows, limit - lowest)
        return rows

    def banks(self, op: SlidingWindow, ports: Ports, fold: Fold) -> tuple[int, int]:
        """Count the memories that hold the columns of a row in turn, and the places of a row in each.

        Windows side by side lie as many columns apart as their stride, so that each finds its pixel in another memory.
        """
        x, geometry = ports.inputs[0], op.geometry(ports, fold)
        banks = fold.pixels * geometry.stride[2] if fold.pixels > 1 else 1
        return banks, -(-geometry.shape[2] // banks) * x.channels // op.beat_lanes(ports, fold)

    def delays(self, op: SlidingWindow, ports: Ports, fold: Fold) -> dict[str, tuple[int, int]]:
        """Give the delays of parallel windows between registers: how many there are of each kind, and their beats.

        Along a row, from row to row, from plane to plane; a register gives a beat of each, which is not counted.
        """
        geometry, scan = op.geometry(ports, fold), op.scan(ports, fold)
        (planes, rows, _), (depth, height, _) = geometry.kernel, geometry.dilation
        _, scan_height, scan_width = scan.size
        blocks = op.groups // fold.groups
        return {
            "columns": (planes * rows * (scan.taps - 1), scan.apart * blocks - 1),
            "rows": (planes * (rows - 1), height * scan_width * blocks - 1),
            "planes": (planes - 1, depth * scan_height * scan_width * blocks - 1),
        }

    def cost(self, op: SlidingWindow, ports: Ports, fold: Fold) -> Cost:
        """Count FINN's window generator in HLS without its memory, and its FMPadding where there is padding.

        Several kernel positions at once: a flip-flop a bit of each position and of each short delay, which are a memory of
        registers, and the choice of the positions of a beat. Windows side by side without: a memory for each column that
        lies between the first one and the first of the next beat, and the choice of one for each window by the kernel's
        column. Decimation: a process, and two LUTs and a flip-flop a bit of its counters (derived).
        """
        if self.decimates(op, fold):
            geometry = op.geometry(ports, fold)
            sizes = (*geometry.shape, *geometry.stride, self._beats(op, ports, fold)[0])
            counters = sum((size - 1).bit_length() for size in sizes)
            lut, ff = estimate(process=PROCESS)
            return Cost(lut + 2 * counters, ff + counters, depth=2, unrolled=op.beat_lanes(ports, fold))
        x, y = op.ends(ports)
        lanes, positions = op.beat_lanes(ports, fold), op.positions(ports, fold)
        bits = y.bits * lanes * positions * fold.pixels
        parts = {
            name: {"constant": 1, "bit": bits} for name in ("sliding_window", *(("padding",) if any(op.pads) else ()))
        }
        lut, ff = estimate(**parts)
        unrolled = lanes * positions * fold.pixels
        geometry = op.geometry(ports, fold)
        if positions == 1:
            banks, places = self.banks(op, ports, fold)
            depth = self.buffer_rows(op, geometry) * places
            rows = Memory("rows", "line", depth, lanes * x.bits, True, lanes=banks if banks > 1 else 0)
            choice = bank_choice(geometry.kernel[2], bits) if banks > 1 else 0
            return Cost(lut + choice, ff, memories=(rows,), unrolled=unrolled)
        width = lanes * op.pixels_read(ports, fold) * x.bits
        delays = self.delays(op, ports, fold)
        registers = prod(geometry.kernel[:2]) * op.scan(ports, fold).taps
        registers += sum(count * beats for count, beats in delays.values() if beats < SHORT)
        taps = Memory("taps", "line", registers, width, True, registers=True)
        far = (
            Memory(name, "line", beats, width, True, lanes=count)
            for name, (count, beats) in delays.items()
            if count and beats >= SHORT
        )
        choice = bank_choice(prod(op.kernel) // positions, bits)
        return Cost(lut + choice, ff, memories=(taps, *far), unrolled=unrolled)

    def unit(self, op: SlidingWindow, ports: Ports, fold: Fold) -> Unit:
        x, geometry = ports.inputs[0], op.geometry(ports, fold)
        group = x.channels // op.groups
        block = max(group, group * fold.groups)
        positions = op.positions(ports, fold)
        arguments: list[tuple[str, int | bool]] = []

        def add(names: tuple[str, str, str], values: tuple[int, int, int]) -> None:
            arguments.extend(zip(names, values, strict=True))

        add(("DEPTH", "HEIGHT", "WIDTH"), geometry.shape)
        if self.decimates(op, fold):
            arguments += [("FOLD", self._beats(op, ports, fold)[0])]
            add(("STRIDE_D", "STRIDE_H", "STRIDE_W"), geometry.stride)
            return self.call("decimate", tuple(arguments))
        arguments += [("BLOCKS", x.channels // block)]
        if positions > 1:
            arguments += [("GROUP_LANES", fold.groups), ("CHANNELS", group)]
        else:
            arguments += [("BLOCK_FOLD", block // op.beat_lanes(ports, fold)), ("READS", op.pixels_read(ports, fold))]
        arguments += [("WINDOWS", fold.pixels)]
        add(("KERNEL_D", "KERNEL_H", "KERNEL_W"), geometry.kernel)
        add(("STRIDE_D", "STRIDE_H", "STRIDE_W"), geometry.stride)
        add(("DILATION_D", "DILATION_H", "DILATION_W"), geometry.dilation)
        add(("PAD_FRONT", "PAD_TOP", "PAD_LEFT"), geometry.before)
        add(("OUT_DEPTH", "OUT_HEIGHT", "OUT_WIDTH"), geometry.outputs)
        if positions > 1:
            scan = op.scan(ports, fold)
            arguments += [
                ("POSITIONS", positions),
                ("SCAN_HEIGHT", scan.size[1]),
                ("SCAN_WIDTH", scan.size[2]),
                ("LEAD", scan.lead),
                ("FIRST", scan.first),
                ("TAPS", scan.taps),
            ]
        else:
            arguments += [("ROWS", self.buffer_rows(op, geometry)), ("GAP", self.gap(op, ports, fold))]
            arguments += [("BY_WINDOW", self.by_window(op, ports, fold))]
        arguments += [("PAD", op.pad_code), ("TRIPS", self.access(op, ports, fold).trips)]
        if positions > 1:
            return self.call("parallel_window", tuple(arguments), memories=("columns", "rows", "planes"))
        return self.call("sliding_window", tuple(arguments), memories=("rows",))


def _pixels_needed(geometry: Geometry) -> IntArray:
    """List the pixels of a map of one plane that must be there before each window, shape (rows, columns)."""
    (_, height, width), (_, rows, columns) = geometry.shape, geometry.outputs
    (_, top, left), (_, span_y, span_x) = geometry.before, geometry.extent
    down = np.minimum(height, np.arange(rows) - top + span_y)
    along = np.minimum(width, np.arange(columns) - left + span_x)
    needed = (down[:, None] - 1) * width + along
    return np.maximum.accumulate(needed.reshape(-1)).reshape(rows, columns)


def _added(geometry: Geometry) -> IntArray:
    """List the pixels that are read while each window is sent, shape (rows, columns); all that are left with the last."""
    needed = _pixels_needed(geometry)
    after = np.append(needed.reshape(-1)[1:], prod(geometry.shape))
    return after.reshape(needed.shape) - needed


@lru_cache(maxsize=1 << 10)
def _read_back(geometry: Geometry, pixel_beats: int, part_beats: int) -> int:
    """Count the iterations from the write of a beat to its first read, at least, where phases are those of windows."""
    added = _added(geometry).reshape(-1)
    lengths = np.maximum(added, prod(geometry.kernel)) * pixel_beats
    fill = int(_pixels_needed(geometry)[0, 0])
    starts = fill * pixel_beats + np.cumsum(lengths) - lengths
    of_pixel = np.repeat(np.arange(len(added)), added)
    within = np.arange(len(of_pixel)) - (np.cumsum(added) - added)[of_pixel]
    written = np.concatenate([np.arange(fill) * pixel_beats, starts[of_pixel] + within * pixel_beats])
    height, width = geometry.shape[1:]
    row, column = np.divmod(np.arange(len(added)), geometry.outputs[2])
    least = READ_BACK
    for k in range(prod(geometry.kernel)):
        y = row - geometry.before[1] + k // geometry.kernel[2] * geometry.dilation[1]
        x = column - geometry.before[2] + k % geometry.kernel[2] * geometry.dilation[2]
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        distance = starts[inside] + k * part_beats - written[y[inside] * width + x[inside]]
        least = min(least, int(distance.min(initial=READ_BACK)))
    return least


@lru_cache(maxsize=1 << 10)
def _window_by_window(geometry: Geometry, pixel_beats: int) -> Access:
    """Give the access pattern of phases that are those of windows: what the next window adds is read first."""
    sent = prod(geometry.kernel) * pixel_beats

    def phases(counts: IntArray) -> tuple[Pattern, Pattern]:
        reads: list[Pattern] = []
        writes: list[Pattern] = []
        for pixels, equal in itertools.groupby(counts.tolist()):
            read, count = pixels * pixel_beats, len(list(equal))
            length = max(read, sent)
            reads.append(Pattern(((read, True), (length - read, False)), count))
            writes.append(Pattern(((sent, True), (length - sent, False)), count))
        return Pattern(tuple(reads)), Pattern(tuple(writes))

    fill = int(_pixels_needed(geometry)[0, 0]) * pixel_beats
    reads: list[Pattern | tuple[int, bool]] = [(fill, True)]
    writes: list[Pattern | tuple[int, bool]] = [(fill, False)]
    for _, rows in itertools.groupby(_added(geometry), key=lambda row: row.tobytes()):
        first, *others = rows
        for found, row in zip((reads, writes), phases(first), strict=True):
            found.append(Pattern((row,), 1 + len(others)))
    return Access((Pattern(tuple(reads)),), (Pattern(tuple(writes)),))
