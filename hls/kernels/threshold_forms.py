"""The forms of thresholds in HLS: all steps compared at once, a search a bit at a time, or a product, shift and clip."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.fit.implementation import Cost
from muxflow.dataflow.fit.memory import Memory, choices
from muxflow.dataflow.fit.resource_model import PROCESS, estimate, products
from muxflow.dataflow.graph.stream import width
from muxflow.dataflow.multiply_shift import MultiplyShift, multiply_shift
from muxflow.dataflow.op import Fold, IntArray, Ports
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels.base import Arguments, Table
from muxflow.hls.kernels.channel_table import channel_table

DEVICE = Resources(26600, 106400, 249, 219)
"""What shares are of: about the LUTs, 80 % sure to be enough, and the block RAM that a fit to a PYNQ-Z2 may estimate by default.

Of DSP blocks all that shell and DMA leave, which are more than the 197 of a fit by default. Flip-flops count nothing.
Whatever the target, so that a form is a function of its node alone (decision).
"""

DSP_BITS = 4
"""Products go into DSP blocks where both factors have more bits, as those of a matrix."""


@dataclass(frozen=True, eq=False)
class Form(ABC):
    """One way to compute a node's thresholds under a fold: its C++ function, what that takes, what it costs."""

    op: Threshold
    ports: Ports
    fold: Fold

    function: ClassVar[str]

    @abstractmethod
    def estimate(self) -> Cost:
        """Estimate the cost; the docstring derives the formula."""

    @cached_property
    def cost(self) -> Cost:
        """The cost."""
        return self.estimate()

    @property
    @abstractmethod
    def tables(self) -> tuple[Table, ...]:
        """The tables in the order of the function's arguments."""

    @property
    def arguments(self) -> Arguments:
        """The function's integer template arguments."""
        return (
            ("PIXELS", self.ports.inputs[0].size // (self.channel_fold * self.lanes)),
            ("CHANNEL_FOLD", self.channel_fold),
            ("STEPS", self.steps),
            ("BASE", self.op.base),
            ("JUMP", self.op.jump),
        )

    @property
    def score(self) -> float:
        """Shares of DEVICE in LUTs, block RAM and DSP blocks, summed; each memory where its share is smallest."""
        logic = self.cost.logic
        homes = ([_share(placed.resources) for placed in choices(one)] for one in self.cost.memories)
        return _share(logic) + sum(map(min, homes))

    @property
    def steps(self) -> int:
        """Thresholds of a channel."""
        return int(self.op.levels.shape[1])

    @property
    def channel_fold(self) -> int:
        """Beats after which the channels repeat."""
        return len(self.levels)

    @property
    def lanes(self) -> int:
        """Elements of a beat."""
        return self.fold.operations

    @property
    def shared(self) -> int:
        """Rows of thresholds that the lanes of a beat have: pixels side by side share them."""
        return int(self.levels.shape[1])

    @property
    def levels(self) -> IntArray:
        """The thresholds, shape (beats, rows, steps): those below x as its least value, those above as one above it."""
        x = self.ports.inputs[0]
        return channel_table(np.clip(self.op.levels, x.lo, min(x.hi + 1, np.iinfo(np.int64).max)), x, self.fold)

    @property
    def falling(self) -> Table:
        """Whose code falls."""
        return Table("falling", channel_table(self.op.falling, self.ports.inputs[0], self.fold), 0, 1, memory=False)

    def _range(self, levels: IntArray) -> tuple[int, int]:
        x = self.ports.inputs[0]
        return min(x.lo, int(levels.min())), max(x.hi, int(levels.max()))


def _share(resources: Resources) -> float:
    pairs = ((resources.lut, DEVICE.lut), (resources.bram18, DEVICE.bram18), (resources.dsp, DEVICE.dsp))
    return sum(taken / whole for taken, whole in pairs)


@dataclass(frozen=True, eq=False)
class AllAtOnce(Form):
    """Every step of a lane has its comparison."""

    function = "threshold"

    def estimate(self) -> Cost:
        """Count a process, and the bits of all comparisons as inside FINN's matrix-vector unit, the table as a memory."""
        (x,), (y,) = self.ports.inputs, self.ports.outputs
        bits, lanes, steps = width(*self._range(self.levels))[0], self.lanes, self.steps
        lut, ff = estimate(process=PROCESS, threshold={"comparison_bit": lanes * steps * bits})
        return Cost(
            lut + lanes * y.bits,
            ff + lanes * (x.bits + steps + y.bits),
            memories=(Memory("thresholds", "threshold", self.channel_fold, self.shared * steps * bits),),
            unrolled=lanes * steps,
        )

    @property
    def tables(self) -> tuple[Table, ...]:
        """The thresholds of a beat in a row, and whose code falls."""
        table = self.levels.transpose(0, 2, 1).reshape(self.channel_fold, -1)
        return Table("thresholds", table, *self._range(self.levels)), self.falling


@dataclass(frozen=True, eq=False)
class Search(Form):
    """A binary search: a comparison and a memory for each bit of the count."""

    function = "threshold_search"

    @property
    def stages(self) -> int:
        """Bits of the count."""
        return self.steps.bit_length()

    @property
    def padded(self) -> IntArray:
        """The thresholds of every lane with as many above every x as make the search whole."""
        missing = (1 << self.stages) - 1 - self.steps
        levels = np.tile(self.levels, (1, self.lanes // self.shared, 1))
        return np.pad(levels, ((0, 0), (0, 0), (0, missing)), constant_values=self.ports.inputs[0].hi + 1)

    @property
    def compared(self) -> tuple[int, bool]:
        """Bits and sign of what holds x and all thresholds."""
        return width(*self._range(self.padded))

    @property
    def arguments(self) -> Arguments:
        """The function's integer template arguments."""
        bits, signed = self.compared
        return (*super().arguments, ("BITS", bits), ("SIGNED", signed))

    def estimate(self) -> Cost:
        """Count a process, a comparison a stage, flip-flops along the stages, and the memories of all lanes."""
        (x,), (y,) = self.ports.inputs, self.ports.outputs
        (bits, _), lanes, stages = self.compared, self.lanes, self.stages
        lut, ff = estimate(process=PROCESS, threshold={"comparison_bit": lanes * stages * bits})
        stored = [(table, width(table.lo, table.hi)[0]) for table in self.stage_tables]
        beat = stages * (self.channel_fold - 1).bit_length()
        carried = stages * x.bits + sum(word for _, word in stored) + stages * (stages + 1) // 2
        return Cost(
            lut + lanes * y.bits,
            ff + beat + lanes * (carried + y.bits),
            memories=tuple(
                Memory(table.name, "threshold", len(table.values), word, lanes=lanes) for table, word in stored
            ),
            depth=4 + stages,
            unrolled=lanes * stages,
        )

    @property
    def stage_tables(self) -> tuple[Table, ...]:
        """For each stage the thresholds in the middle of what its bits leave, as many bits as they need."""
        padded, found = self.padded, []
        for stage in range(self.stages):
            half = 1 << self.stages - 1 - stage
            columns = padded[:, :, half - 1 :: 2 * half].transpose(0, 2, 1).reshape(-1, self.lanes)
            found.append(Table(f"stage_{stage}", columns, int(columns.min()), int(columns.max()), lanes=True))
        return tuple(found)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Whose code falls, then the tables of the stages."""
        return (self.falling, *self.stage_tables)


@dataclass(frozen=True, eq=False)
class Multiply(Form):
    """Thresholds on a line: a product, an addition, a shift and a clip."""

    line: MultiplyShift

    function = "threshold_multiply"

    @property
    def factors(self) -> IntArray:
        """The factors by beat and row; one beat where all are the same."""
        factors = self.line.factors
        one = (factors == factors[0]).all()
        return channel_table(factors[:1] if one else factors, self.ports.inputs[0], self.fold)

    @property
    def sum_bits(self) -> int:
        """Bits of a sum before the shift."""
        return width(min(self.line.lo, -1), max(self.line.hi, self.steps))[0]

    @property
    def shift(self) -> int:
        """The shift; beyond the sum's width only the sign is left."""
        return min(self.line.shift, self.sum_bits - 1)

    @property
    def clipped(self) -> tuple[int, int]:
        """What x is clipped to: where it need not be, to what its type holds anyway."""
        x, line = self.ports.inputs[0], self.line
        if (line.lowest, line.highest) != (x.lo, x.hi):
            return line.lowest, line.highest
        bits, signed = width(x.lo, x.hi)
        return (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)

    def estimate(self) -> Cost:
        """Count a process, a product as in a matrix-vector unit, an adder, two comparisons of half a LUT a bit, a choice.

        Where x is clipped, two more comparisons and a choice; a borrow of half a LUT a bit for ties to even.
        No product where all factors are one power of two; a DSP block where both sides have more than four bits.
        """
        (x,), (y,) = self.ports.inputs, self.ports.outputs
        clipped_bits = width(*self.clipped)[0]
        clip = x.bits + clipped_bits if clipped_bits < x.bits else 0
        lanes, (factor_bits, bias_bits) = self.lanes, (width(table.lo, table.hi)[0] for table in self.tables)
        dsp = lanes if min(factor_bits, clipped_bits) > DSP_BITS and not self._shifts_only else 0
        amounts: dict[str, float] = {"dsp": dsp, "dsp_bit": dsp * (factor_bits + clipped_bits)}
        if not dsp and not self._shifts_only:
            amounts = {name: lanes * share for name, share in products(factor_bits, clipped_bits, False).items()}
        lut, ff = estimate(process=PROCESS, matrix_vector=amounts)
        bits, ties = self.sum_bits, self.sum_bits // 2 if self.line.even else 0
        return Cost(
            lut + lanes * (clip + ties + bits + (bits - self.shift) + y.bits),
            ff + lanes * (clipped_bits + bits + y.bits),
            dsp,
            (
                Memory("factors", "threshold", len(self.factors), factor_bits, lanes=self.factors.shape[1]),
                Memory("biases", "threshold", self.channel_fold, bias_bits, lanes=self.shared),
            ),
            depth=6,
            unrolled=lanes,
        )

    @property
    def _shifts_only(self) -> bool:
        return len(self.factors) == 1 and abs(int(self.factors[0, 0])).bit_count() <= 1

    @property
    def arguments(self) -> Arguments:
        """The function's integer template arguments."""
        bits, signed = width(*self.clipped)
        own = (
            ("LOWEST", self.clipped[0]),
            ("HIGHEST", self.clipped[1]),
            ("CLIP_BITS", bits),
            ("CLIP_SIGNED", signed),
            ("SHIFT", self.shift),
            ("SUM_BITS", self.sum_bits),
            ("EVEN", self.line.even),
            ("DSP", self.cost.dsp > 0),
        )
        return (*super().arguments, *own)

    @property
    def tables(self) -> tuple[Table, ...]:
        """Factors and biases of each lane."""
        biases = channel_table(self.line.biases, self.ports.inputs[0], self.fold)
        found = (("factors", self.factors), ("biases", biases))
        return tuple(Table(name, table, int(table.min()), int(table.max()), lanes=True) for name, table in found)


def forms(op: Threshold, ports: Ports, fold: Fold) -> Iterator[Form]:
    """Yield the forms that a node can take: a product only where it is exact."""
    x = ports.inputs[0]
    yield AllAtOnce(op, ports, fold)
    if x.hi < np.iinfo(np.int64).max:
        yield Search(op, ports, fold)
    line = multiply_shift(op, x.lo, x.hi)
    if line is not None:
        yield Multiply(op, ports, fold, line)
