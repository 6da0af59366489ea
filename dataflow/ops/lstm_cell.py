"""LSTM cell: a recurrent layer over the positions of a stream, on integers, its state inside the node."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream, corners, width
from muxflow.dataflow.op import (
    PARALLEL_LIMIT,
    Fold,
    IntArray,
    Op,
    Port,
    Ports,
    Register,
    divisors,
    frozen_array,
)
from muxflow.dataflow.ops.matrix_vector import accumulator_interval

GATES = 4
"""Gates of a unit, in this order: input, forget, cell (what may be added to the state) and output."""
MOST_BITS = 31
"""Bits of any sum or product inside a cell (decision): what native integers compute without a wider type."""

NO_STEPS = frozen_array(np.zeros(0))

Interval = tuple[int, int]


def sum_interval(x: Stream, w: Stream, output: Interval) -> Interval:
    """Give the least and the largest of what the gates compare, every partial sum of the recurrent product included."""
    least, most = accumulator_interval(w, *output)
    return least + min(x.lo, 0), most + max(x.hi, 0)


@dataclass(frozen=True, eq=False)
class LstmCell(Op):
    """Run a recurrent layer over the positions of a frame, one time step each: an LSTM whose gates are thresholds.

    - Attributes `thresholds` `(4 H, steps)`, of the gates, not descending in a row; `bases`: the lowest code of each of the
      gates i, f, g, o; `factors`, `shift`, `limits`: of the state, and `each`: whether its summands are rounded one by one;
      `squash`, not descending, and `squash_base`: of what becomes of the state before the output; `outputs` `(H, steps)`:
      thresholds of the output, not descending in a row, and `output_base`, its lowest code; `last`: whether only the last
      step's output is sent; `stateful`: whether a frame goes on with the state of the frame before.
    - Inputs `x` `(*S, 4 H)`: the product of a layer's input and its weights, a step each pixel in row-major order, channel
      `4 u + q` for gate `q` of unit `u`; and the recurrent weights `w` `(4 H, H)`, rows in that order, once a step.
    - Output `(*S, H)`, or `(1, ..., 1, H)` where `last`.
    - With the state `c` and the output `h` of the step before, 0 in the first step of a frame: `a = x + w h`; gate code
      `q = bases_q + |{k : thresholds[4 u + q, k] <= a_{4 u + q}}|`;
      `c' = clip((factors_0 * f * c + factors_1 * i * g) >> shift, *limits)` (floor), or with `each`
      `clip(q(factors_0 * f * c) + q(factors_1 * i * g), *limits)`, `q(v)` being `v / 2^shift`, rounded half to even and
      clipped to `limits`; `s = squash_base + |{k : squash[k] <= c'}|`, or `c'` where `squash` is empty;
      `h' = output_base + |{k : outputs[u, k] <= o * s}|`. With `stateful` the first step of a frame takes `c` and `h` of
      the last step of the frame before; frames of a batch follow each other, and the first begins at 0.
    - Interval of the output: `output_base` to `output_base + steps`, which must hold 0. `c` saturates at `limits`, which hold
      0; every other sum and product must fit 31 bits, which is checked. Nothing wraps.
    - Folds: `PE` rows at once: 1, 2 or a multiple of 4, and divides `4 H`; `U = max(1, PE / 4)` units are finished at once.
      `SIMD` divides `H` and is a multiple of `U`, so that outputs are kept in words of `SIMD`.
      `PE * SIMD <= 4096`. Lanes: `x` `PE`, `w` `SIMD * PE` in the order column, row, the output `U`.
    - Loop, outermost first: step, row block (`4 H / PE`), column block (`H / SIMD`). `w` is read in every iteration, `x` in
      the last column block of each row block, the output written in that of each row block that finishes units.
      **The recurrence**: the first row block of a step needs the outputs of all units of the step before, so hardware
      waits between two steps until they are there: in iterations of its own, or in a longer interval.

    Source: BILLNET (arXiv 2501.14495), a fully quantised LSTM; all of its arithmetic is a decision. `each` and `squash` are
    what Brevitas' QuantLSTM computes.
    """

    thresholds: IntArray
    bases: tuple[int, ...]
    factors: tuple[int, ...]
    shift: int
    limits: tuple[int, ...]
    outputs: IntArray
    output_base: int = 0
    last: bool = False
    stateful: bool = False
    each: bool = False
    squash: IntArray = field(default_factory=lambda: NO_STEPS)
    squash_base: int = 0

    inputs = (Port("x"), Port("w", weights=True))

    def __post_init__(self) -> None:
        for name in ("thresholds", "outputs"):
            table = frozen_array(getattr(self, name))
            if table.ndim != 2 or table.size == 0:
                raise GraphError(f"LSTM cell: {name} of shape {table.shape}; expected (rows, steps)")
            if (table[:, 1:] < table[:, :-1]).any():
                raise GraphError(f"LSTM cell: the {name} of a row must not descend")
            object.__setattr__(self, name, table)
        squash = frozen_array(self.squash)
        if squash.ndim != 1 or (squash[1:] < squash[:-1]).any():
            raise GraphError(f"LSTM cell: squash of shape {squash.shape}; expected (steps,), not descending")
        object.__setattr__(self, "squash", squash)
        if len(self.thresholds) != GATES * self.units:
            raise GraphError(
                f"LSTM cell: {len(self.thresholds)} rows of thresholds for {self.units} units; {GATES} gates of each"
            )
        if (len(self.bases), len(self.factors), len(self.limits)) != (GATES, 2, 2) or min(self.factors) < 1:
            raise GraphError(
                f"LSTM cell: bases {self.bases}, factors {self.factors}, limits {self.limits}; expected {GATES}, 2 from 1 "
                "on, and 2"
            )
        if not 0 <= self.shift <= MOST_BITS:
            raise GraphError(f"LSTM cell: a shift of {self.shift} bits; 0 to {MOST_BITS}")
        for name, (lo, hi) in {"the state": self.state_interval, "the output": self.output_interval}.items():
            if not lo <= 0 <= hi:
                raise GraphError(f"LSTM cell: {name} in [{lo}, {hi}]; it begins at 0, which must be among them")

    @property
    def units(self) -> int:
        """Outputs of a step."""
        return len(self.outputs)

    @property
    def output_interval(self) -> Interval:
        """The least and the largest code of the output."""
        return self.output_base, self.output_base + self.outputs.shape[1]

    @property
    def state_interval(self) -> Interval:
        """The least and the largest state."""
        lo, hi = self.limits
        return lo, hi

    @cached_property
    def gate_intervals(self) -> tuple[Interval, Interval, Interval, Interval]:
        """The least and the largest code of each gate."""
        steps = self.thresholds.shape[1]
        i, f, g, o = ((base, base + steps) for base in self.bases)
        return i, f, g, o

    @cached_property
    def update_interval(self) -> Interval:
        """The least and the largest state before it is shifted and clipped, and both of its summands."""
        i, f, g, _ = self.gate_intervals
        kept, added = (
            corners(pair, ends, (factor, factor))
            for pair, ends, factor in ((f, self.state_interval, self.factors[0]), (i, g, self.factors[1]))
        )
        half = (1 << self.shift) >> 1 if self.each else 0
        lo, hi = min(kept[0] + added[0], kept[0], added[0]), max(kept[1] + added[1], kept[1], added[1])
        return min(lo, 2 * self.limits[0]), max(hi + half, 2 * self.limits[1])

    @cached_property
    def product_interval(self) -> Interval:
        """The least and the largest product of output gate and state, squashed."""
        return corners(self.gate_intervals[3], self.squash_interval)

    @property
    def squash_interval(self) -> Interval:
        """The least and the largest state as the output gate meets it."""
        return (self.squash_base, self.squash_base + self.squash.size) if self.squash.size else self.state_interval

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        x, w = inputs
        rows = GATES * self.units
        if x.channels != rows or w.shape != (rows, self.units):
            raise GraphError(
                f"LSTM cell: {self.units} units with an input {x} and weights {w}; expected {rows} channels and weights "
                f"({rows}, {self.units})"
            )
        if w.repeats != x.pixels:
            raise GraphError(f"LSTM cell: weights come {w.repeats} times a frame, the input has {x.pixels} steps")
        for name, ends in {
            "a factor": (0, max(self.factors)),
            "the code of a gate": (min(lo for lo, _ in self.gate_intervals), max(hi for _, hi in self.gate_intervals)),
            "what the gates compare": sum_interval(x, w, self.output_interval),
            "the state before its shift": self.update_interval,
            "the product of output gate and state": self.product_interval,
        }.items():
            bits, _ = width(*ends)
            if bits > MOST_BITS:
                raise GraphError(
                    f"LSTM cell: {name} lies in [{ends[0]}, {ends[1]}] and takes {bits} bits; supported are {MOST_BITS} "
                    "(MOST_BITS), so use fewer bits for the gates, the state or the weights"
                )
        shape = (*(1,) * (len(x.shape) - 1), self.units) if self.last else (*x.shape[:-1], self.units)
        return (Stream(shape, *self.output_interval),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        x, w = inputs
        frames, spatial = len(x), x.shape[1:-1]
        steps = x.reshape(1 if self.stateful else frames, -1, GATES * self.units)
        sent = np.empty((*steps.shape[:2], self.units), np.int64)
        c = h = np.zeros((len(steps), self.units), np.int64)
        for step in range(steps.shape[1]):
            c, h = self.step(steps[:, step] + h @ w.T, c)
            sent[:, step] = h
        sent = sent.reshape(frames, -1, self.units)
        shape = (*(1,) * len(spatial), self.units) if self.last else (*spatial, self.units)
        return ((sent[:, -1] if self.last else sent).reshape(frames, *shape),)

    def step(self, sums: IntArray, c: IntArray) -> tuple[IntArray, IntArray]:
        """Compute state and output of a step from what the gates compare, (N, 4 H), and the state before, (N, H)."""
        counts = _reached(self.thresholds, sums).reshape(len(sums), self.units, GATES)
        i, f, g, o = (counts[..., gate] + base for gate, base in enumerate(self.bases))
        kept, added = self.factors[0] * f * c, self.factors[1] * i * g
        if self.each:
            c = np.clip(
                np.clip(self._rounded(kept), *self.state_interval)
                + np.clip(self._rounded(added), *self.state_interval),
                *self.state_interval,
            )
        else:
            c = np.clip((kept + added) >> self.shift, *self.state_interval)
        squashed = self.squash_base + _reached(self.squash, c) if self.squash.size else c
        return c, self.output_base + _reached(self.outputs, o * squashed)

    def _rounded(self, values: IntArray) -> IntArray:
        """Divide by 2^shift, half to even."""
        half = (1 << self.shift) >> 1
        return values if not half else (values + half - 1 + ((values >> self.shift) & 1)) >> self.shift

    def folds(self, ports: Ports) -> Iterator[Fold]:
        for pe in divisors(GATES * self.units):
            if GATES % pe and pe % GATES:
                continue
            for simd in divisors(self.units):
                if simd % self.finished(Fold(pe)) == 0 and pe * simd <= PARALLEL_LIMIT:
                    yield Fold(pe, simd)

    def finished(self, fold: Fold) -> int:
        """Count the units that are finished at once."""
        return max(1, fold.pe // GATES)

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (fold.pe, fold.parallel), (self.finished(fold),)

    def loops(self, ports: Ports, fold: Fold) -> tuple[int, int, int]:
        """Count the iterations of the nested loops: steps, rows, columns."""
        return ports.inputs[0].pixels, GATES * self.units // fold.pe, self.units // fold.simd

    def access(self, ports: Ports, fold: Fold) -> Access:
        return self.waiting(ports, fold, 0)

    def waiting(self, ports: Ports, fold: Fold, idle: int) -> Access:
        """Give the access pattern with so many idle iterations before each step."""
        steps, row_fold, column_fold = self.loops(ports, fold)
        finishing = self.units // self.finished(fold)
        pause, trips = (idle, False), row_fold * column_fold

        def each_step(step: Pattern) -> Pattern:
            return Pattern((pause, step), steps)

        written = Pattern.last_of(trips // finishing, finishing)
        before = ((steps - 1) * (idle + trips), False)
        return Access(
            (each_step(Pattern.last_of(column_fold, row_fold)), each_step(Pattern.always(trips))),
            (Pattern((before, pause, written)) if self.last else each_step(written),),
        )

    def operations(self, ports: Ports) -> int:
        return ports.inputs[1].elements

    def registers(self) -> tuple[Register, ...]:
        return (Register("anew", (0, 0), anew=True),) if self.stateful else ()

    @property
    def carries(self) -> bool:
        return self.stateful

    def carried_on(self) -> Op:
        return replace(self, stateful=True)


def _reached(thresholds: IntArray, values: IntArray) -> IntArray:
    """Count the thresholds of each row that values, shape (N, rows), reach."""
    return np.asarray((values[..., None] >= thresholds).sum(axis=-1), np.int64)
