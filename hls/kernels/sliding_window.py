"""The sliding window in HLS: a line buffer."""

from __future__ import annotations

from math import prod

import numpy as np

from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory, bank_choice
from muxflow.dataflow.fit.resource_model import estimate
from muxflow.dataflow.op import Access, Fold, Ports
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.spatial import cube
from muxflow.hls.kernels.base import Kernel, Unit

READ_BACK = 4
"""Iterations after which a beat that was written to the buffer can be read again."""

SHORT = 8
"""Beats below which a delay is registers, wherever memories are planned (`FAR` in memory.hpp)."""


class SlidingWindowKernel(Kernel[SlidingWindow], op=SlidingWindow):
    """A ring of input rows: one phase an output row, which sends its windows and reads what the next one adds.

    Several kernel positions at once: a delay line with a register for each position.
    """

    def access(self, op: SlidingWindow, ports: Ports, fold: Fold) -> Access:
        gap = self.gap(op, ports, fold) if op.positions(ports, fold) == 1 else 0
        return op.access_with_gaps(ports, fold, gap)

    def gap(self, op: SlidingWindow, ports: Ports, fold: Fold) -> int:
        """Count the idle iterations between phases: READ_BACK where a beat could be read back sooner than that.

        The last row of a phase is written to its end, so beat (x, block, part) of it is written (width - x) pixels
        before the next phase starts, less the beats before it in its pixel; the phase reads it at kernel column k of
        output column o no earlier than o windows and k pixels of a block after its start.
        """
        x, y = op.ends(ports)
        lanes = op.beat_lanes(ports, fold)
        pixel_beats = x.channels // lanes
        part_beats = x.channels // op.groups * fold.groups // lanes
        width, out_width = (cube(stream.shape[:-1])[2] for stream in (x, y))
        kernel, stride, dilation = (cube(part)[2] for part in (op.kernel, op.stride, op.dilation))
        column, inner = np.arange(out_width)[:, None], np.arange(kernel)
        at = column * stride - cube(op.pads[: op.rank], 0)[2] + inner * dilation
        distance = (width - at) * pixel_beats + column * prod(op.kernel) * pixel_beats + inner * part_beats
        return 0 if distance[(at >= 0) & (at < width)].min(initial=READ_BACK) >= READ_BACK else READ_BACK

    def buffer_rows(self, op: SlidingWindow, ports: Ports) -> int:
        """Count the rows of the ring: what a phase sends from, and what it reads meanwhile."""
        x, y = op.ends(ports)
        extent, stride = cube(op.extent), cube(op.stride)
        (depth, height, _), (out_depth, out_height, _) = (cube(stream.shape[:-1]) for stream in (x, y))
        if depth == 1 and extent[0] == 1:
            return extent[1] + stride[1]
        before = cube(op.pads[: op.rank], 0)
        needed = op.rows_needed(ports)
        rows = extent[1]
        for number, limit in enumerate(needed[1:]):
            d, h = divmod(number, out_height)
            lowest = max(0, d * stride[0] - before[0]) * height + max(0, h * stride[1] - before[1])
            if d + 1 < out_depth:
                lowest = min(lowest, max(0, (d + 1) * stride[0] - before[0]) * height)
            rows = max(rows, limit - lowest)
        return rows

    def delays(self, op: SlidingWindow, ports: Ports, fold: Fold) -> dict[str, tuple[int, int]]:
        """Give the delays of parallel windows between kernel positions: how many there are of each kind, and their beats.

        Along a row, from row to row, from plane to plane; a register gives a beat of each, which is not counted.
        """
        (planes, rows, columns), (depth, height, width) = cube(op.kernel), cube(op.dilation)
        _, scan_height, scan_width = op.scan(ports).size
        blocks = op.groups // fold.groups
        return {
            "columns": (planes * rows * (columns - 1), width * blocks - 1),
            "rows": (planes * (rows - 1), height * scan_width * blocks - 1),
            "planes": (planes - 1, depth * scan_height * scan_width * blocks - 1),
        }

    def cost(self, op: SlidingWindow, ports: Ports, fold: Fold) -> Cost:
        """Count FINN's window generator in HLS without its memory, and its FMPadding where there is padding.

        Several kernel positions at once: a flip-flop a bit of each position and of each short delay, and the choice of the
        positions of a beat.
        """
        x, y = op.ends(ports)
        lanes, positions = op.beat_lanes(ports, fold), op.positions(ports, fold)
        bits, width = y.bits * lanes * positions, lanes * x.bits
        row_beats = cube(x.shape[:-1])[2] * x.channels // lanes
        parts = {
            name: {"constant": 1, "bit": bits} for name in ("sliding_window", *(("padding",) if any(op.pads) else ()))
        }
        lut, ff = estimate(**parts)
        if positions == 1:
            rows = Memory("rows", "line", self.buffer_rows(op, ports) * row_beats, width, True)
            return Cost(lut, ff, memories=(rows,), unrolled=lanes)
        delays = self.delays(op, ports, fold)
        registers = prod(op.kernel) + sum(count * beats for count, beats in delays.values() if beats < SHORT)
        memories = tuple(
            Memory(name, "line", beats, width, True, lanes=count)
            for name, (count, beats) in delays.items()
            if count and beats >= SHORT
        )
        choice = bank_choice(prod(op.kernel) // positions, bits)
        return Cost(lut + choice, ff + width * registers, memories=memories, unrolled=lanes * positions)

    def unit(self, op: SlidingWindow, ports: Ports, fold: Fold) -> Unit:
        x, y = op.ends(ports)
        group = x.channels // op.groups
        block = max(group, group * fold.groups)
        positions = op.positions(ports, fold)
        arguments: list[tuple[str, int | bool]] = []

        def add(names: tuple[str, str, str], values: tuple[int, int, int]) -> None:
            arguments.extend(zip(names, values, strict=True))

        add(("DEPTH", "HEIGHT", "WIDTH"), cube(x.shape[:-1]))
        arguments.append(("BLOCKS", x.channels // block))
        if positions > 1:
            arguments += [("GROUP_LANES", fold.groups), ("CHANNELS", group)]
        else:
            arguments.append(("BLOCK_FOLD", block // op.beat_lanes(ports, fold)))
        add(("KERNEL_D", "KERNEL_H", "KERNEL_W"), cube(op.kernel))
        add(("STRIDE_D", "STRIDE_H", "STRIDE_W"), cube(op.stride))
        add(("DILATION_D", "DILATION_H", "DILATION_W"), cube(op.dilation))
        add(("PAD_FRONT", "PAD_TOP", "PAD_LEFT"), cube(op.pads[: op.rank], 0))
        add(("OUT_DEPTH", "OUT_HEIGHT", "OUT_WIDTH"), cube(y.shape[:-1]))
        if positions > 1:
            scan = op.scan(ports)
            arguments += [
                ("POSITIONS", positions),
                ("SCAN_HEIGHT", scan.size[1]),
                ("SCAN_WIDTH", scan.size[2]),
                ("LEAD", scan.lead),
                ("FIRST", scan.first),
            ]
        else:
            arguments += [("ROWS", self.buffer_rows(op, ports)), ("GAP", self.gap(op, ports, fold))]
        arguments += [("PAD", op.pad_code), ("TRIPS", self.access(op, ports, fold).trips)]
        if positions > 1:
            return self.call("parallel_window", tuple(arguments), memories=("columns", "rows", "planes"))
        return self.call("sliding_window", tuple(arguments), memories=("rows",))
