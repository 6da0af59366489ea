"""An estimate of the energy of a frame: how often a design adds, multiplies and reads, by published energies of each.

The energies stand in a file that the reader can replace. They are those of one technology; nothing here is a measurement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.files import read_toml
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.limits import plain
from muxflow.dataflow.ops.lstm_cell import Interval, LstmCell, sum_interval
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.text import plainly, shown
from muxflow.reports.schema.rows import EnergyPart

FILE = Path(__file__).with_suffix(".toml")
LONGEST_SOURCE = 300
MOST_PICOJOULES = 1e12
"""Of one operation, a joule (decision): sums of them stay finite."""
WORD, KIBIT = 64, 8192
"""Bits that a figure of a memory is for, and of a KiB."""


@dataclass(frozen=True)
class Energies:
    """Picojoules of single operations; `source`: where they are from, in words.

    `add`, `multiply`: by bits of both operands; `memory`: of 64 bits, by KiB.
    """

    source: str
    add: Mapping[int, float]
    multiply: Mapping[int, float]
    memory: Mapping[int, float]

    def __post_init__(self) -> None:
        for name in ("add", "multiply", "memory"):
            entries = getattr(self, name).items()
            object.__setattr__(self, name, {plain(size): plain(one) for size, one in entries})

    def addition(self, bits: int) -> float:
        """Give an addition of so many bits."""
        size = _nearest(self.add, bits)
        return self.add[size] * bits / size

    def product(self, a: int, b: int) -> float:
        """Give a product of a bits by b bits."""
        size = _nearest(self.multiply, max(a, b))
        return self.multiply[size] * a * b / size**2

    def access(self, bits: float, memory_bits: int) -> float:
        """Give the reading or writing of so many bits of a memory."""
        large = [size for size in self.memory if size * KIBIT >= memory_bits]
        return self.memory[min(large, default=max(self.memory))] * bits / WORD


def _nearest(sizes: Mapping[int, float], bits: int) -> int:
    """Find the least size that is enough, the largest where none is."""
    return min((size for size in sizes if size >= bits), default=max(sizes))


def read_energies(file: Path = FILE) -> Energies:
    """Read a file of energies; raises MuxflowError naming it and what is wrong."""
    try:
        entry = read_toml(file)
        source = entry["source"]
        if not isinstance(source, str) or not 0 < len(source) <= LONGEST_SOURCE or not source.isprintable():
            raise ValueError(f"source {shown(source)}; say in a line where the figures are from")
        return Energies(source, *(_table(entry[name], name) for name in ("add", "multiply", "memory")))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MuxflowError(
            f"{file}: not a file of energies ({plainly(error)}); {FILE.name} of Muxflow is one"
        ) from error


def _table(entry: Any, name: str) -> dict[int, float]:
    if not isinstance(entry, dict) or not entry:
        raise ValueError(f"{name}: {shown(entry)}; expected picojoules by size")
    if not all(type(one) in (int, float) and 0 <= one <= MOST_PICOJOULES for one in entry.values()):
        raise ValueError(f"{name}: {shown(entry)}; picojoules are numbers from 0 to {MOST_PICOJOULES:g}")
    if not all(size.isascii() and size.isdecimal() and 0 < int(size) < 1 << 20 for size in entry):
        raise ValueError(f"{name}: {shown(entry)}; sizes are whole numbers from 1")
    return {int(size): float(one) for size, one in entry.items()}


@lru_cache(maxsize=1)
def published() -> Energies:
    """Read the file that ships with Muxflow, once."""
    return read_energies()


def estimate_energy(design: Design, energies: Energies | None = None) -> tuple[EnergyPart, ...]:
    """Count a frame's products, additions, comparisons and memory accesses, and what they take; ones that are none left out.

    Products are all that the design does, those with padding and with zeros between the pixels of a transposed convolution
    among them. A product with -1, 0 or +1 is an addition alone. Weights are read once for each beat in which they are used, input
    buffers in every iteration; FIFOs and line buffers write and read every element once. Of an LSTM cell the recurrent product,
    the products of gates and state, and all thresholds count. Control, wires and registers of a window count nothing.
    """
    prices = energies or published()
    sums: dict[str, tuple[float, float]] = {}

    def add(kind: str, count: float, picojoules: float) -> None:
        before = sums.get(kind, (0.0, 0.0))
        sums[kind] = before[0] + count, before[1] + count * picojoules

    def multiply(node: Node, bits: int, w: Stream, total: int) -> None:
        if w.lo < -1 or w.hi > 1:
            add("products", w.elements, prices.product(w.bits, bits))
        add("additions", w.elements, prices.addition(total))
        read = w.elements * w.bits / design.folds[node.name].pixels
        add("weights, bits read", read, prices.access(1, w.size * w.bits))

    for node in design.graph.nodes:
        ports = design.graph.ports(node)
        if isinstance(node.op, MatrixVector):
            multiply(node, ports.inputs[0].bits, ports.inputs[1], ports.outputs[0].bits)
        elif isinstance(node.op, LstmCell):
            (x, w), (y,) = ports.inputs, ports.outputs
            steps, wide = x.pixels, _bits(sum_interval(x, w, node.op.output_interval))
            multiply(node, y.bits, w, wide)
            for count, bits in _cell_comparisons(node.op, wide):
                add("comparisons", steps * count, prices.addition(bits))
            for a, b in _cell_products(node.op):
                add("products", steps * node.op.units, prices.product(a, b))
        elif isinstance(node.op, Threshold):
            x = ports.inputs[0]
            add("comparisons", x.size * node.op.thresholds.shape[1], prices.addition(x.bits))
        for kind, bits, stored in _buffers(design, node):
            add(kind, bits, prices.access(1, stored))
    return tuple(EnergyPart(kind, round(count), round(found, 3)) for kind, (count, found) in sums.items())


def _bits(ends: Interval) -> int:
    return width(*ends)[0]


def _cell_comparisons(op: LstmCell, sums: int) -> tuple[tuple[int, int], ...]:
    """List how many comparisons a step of an LSTM cell takes, and of how many bits: of gates, state and outputs."""
    compared = (
        (op.thresholds.size, sums),
        (op.units * op.squash.size, _bits(op.state_interval)),
        (op.outputs.size, _bits(op.product_interval)),
    )
    return tuple((count, bits) for count, bits in compared if count)


def _cell_products(op: LstmCell) -> tuple[tuple[int, int], ...]:
    """List the bits of the three products of each unit in a step of an LSTM cell."""
    i, f, g, o = map(_bits, op.gate_intervals)
    return (f, _bits(op.state_interval)), (i, g), (o, _bits(op.squash_interval))


def _buffers(design: Design, node: Node) -> list[tuple[str, int, int]]:
    """List what a node's FIFOs, line buffers and input buffer write and read in a frame, and what each holds; in bits."""
    ports = design.graph.ports(node)
    found = []
    ends = [one for one in zip(node.outputs, ports.outputs, strict=True) if one[0] in design.graph.outputs]
    for name, stream in (*zip(node.inputs, ports.inputs, strict=True), *ends):
        if name in design.fifos:
            found.append(("FIFOs, bits", 2 * stream.elements * stream.bits, design.fifos[name].memory.bits))
    for placed in design.memories[node.name]:
        memory = placed.memory
        if memory.kind == "line" and not memory.registers:
            x = ports.inputs[0]
            found.append(("line buffers, bits", 2 * x.size * x.bits, memory.bits))
        elif memory.kind == "state":
            trips = node.op.access(ports, design.folds[node.name]).trips
            found.append(("input buffers, bits", trips * memory.width, memory.bits))
    return found
