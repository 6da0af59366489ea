"""MUX join: the residual of MOGNET and of BILLNET."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Port, Ports, frozen_array
from muxflow.dataflow.ops.residual import ResidualJoin

Mix = Literal["mean", "or"]
NO_THRESHOLDS = frozen_array(np.zeros(0))


@dataclass(frozen=True, eq=False)
class MuxJoin(ResidualJoin):
    """Join a residual by a select bit: a mix of both, or the new branch alone.

    - Attributes `select`: `always`, `element` or `stream`; `thresholds` `(m,)` for `element`, else empty, with
      `m = min(x.channels, f.channels)`; `mix`: `mean` or `or`.
    - Inputs `x`, `f`: unsigned codes of one spatial size, `lo >= 0`, of `mean` at most 30 bits; for `stream` also `S` of shape
      `(1, ..., 1, m)`, from a ChannelSelect. Output: the shape of `f`.
    - For channels `c < m`: `y_c = s ? (x_c + f_c) >> 1 : f_c`, or with `or` `s ? x_c | f_c : f_c`, bitwise; for `c >= m`:
      `y_c = f_c`. Channels of `x` from `m` on are dropped. `s` is 1 (`always`), `x_c >= thresholds_c` (`element`), `S_c`
      (`stream`).
    - Interval `[(x.lo + f.lo) >> 1, (x.hi + f.hi) >> 1]`, with `or` that of OrJoin, widened to hold `f`'s where `f` can pass
      (not `always`, or `f.channels > m`).
    - With `X = x.channels / PE`, `F = f.channels / PE`, `L = max(X, F)`: `T = pixels / fold.pixels * L`. In each pixel, of
      so many side by side, that share `S`, `x` is read in the first `X` iterations, `f` read and `y` written in the first
      `F`. `S` is read in the first `min(X, F)` iterations of the frame and held.

    Source: MOGNET, MUX(I0, I1; S) = I1*S + I0*(1-S); I0 = f, I1 = (x + f) >> 1 (floor) and the modes are decisions. With
    `or` the MUX-OR residual of BILLNET (arXiv 2501.14495), I1 = x | f; bitwise for more than one bit is a decision.
    """

    select: Literal["always", "element", "stream"]
    thresholds: IntArray = field(default_factory=lambda: NO_THRESHOLDS)
    mix: Mix = "mean"

    inputs = (Port("x"), Port("f"), Port("s", per_frame=True, optional=True))

    @property
    def detail(self) -> str:
        return self.select if self.mix == "mean" else f"{self.select}, {self.mix}"

    def __post_init__(self) -> None:
        if self.select not in ("always", "element", "stream"):
            raise GraphError(f"MUX join: select {self.select!r}; supported: 'always', 'element', 'stream'")
        if self.mix not in get_args(Mix):
            raise GraphError(f"MUX join: mix {self.mix!r}; supported: {', '.join(map(repr, get_args(Mix)))}")
        thresholds = frozen_array(self.thresholds)
        if (self.select == "element") != bool(thresholds.size) or thresholds.ndim != 1:
            raise GraphError(f"MUX join: {thresholds.shape} thresholds with select {self.select!r}")
        object.__setattr__(self, "thresholds", thresholds)

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        if len(inputs) != (3 if self.select == "stream" else 2):
            raise GraphError(f"MUX join: {len(inputs)} inputs with select {self.select!r}")
        x, f = inputs[:2]
        meeting = self.check_codes(x, f)
        if self.mix == "mean" and max(x.bits, f.bits) > 30:
            raise GraphError(f"MUX join: inputs {x} and {f}; it joins codes of at most 30 bits")
        if self.select == "stream" and inputs[2].channels != meeting:
            raise GraphError(f"MUX join: {inputs[2].channels} select bits for {meeting} channels")
        if self.select == "element" and len(self.thresholds) != meeting:
            raise GraphError(f"MUX join: {len(self.thresholds)} thresholds for {meeting} channels")
        lo, hi = ((x.lo + f.lo) >> 1, (x.hi + f.hi) >> 1) if self.mix == "mean" else self.or_interval(x, f)
        if self.select != "always" or f.channels > meeting:
            lo, hi = min(lo, f.lo), max(hi, f.hi)
        return (Stream(f.shape, lo, hi),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        x, f = inputs[:2]
        meeting = min(x.shape[-1], f.shape[-1])
        x_met, f_met = x[..., :meeting], f[..., :meeting]
        mixed = (x_met + f_met) >> 1 if self.mix == "mean" else x_met | f_met
        if self.select == "element":
            mixed = np.where(x_met >= self.thresholds, mixed, f_met)
        elif self.select == "stream":
            mixed = np.where(inputs[2] != 0, mixed, f_met)
        y = f.copy()
        y[..., :meeting] = mixed
        return (y,)

    def beat_pixels(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        inputs, outputs = super().beat_pixels(ports, fold)
        return (*inputs[:2], *(1 for _ in inputs[2:])), outputs

    def access(self, ports: Ports, fold: Fold) -> Access:
        x, f = self.patterns(ports, fold)
        if self.select != "stream":
            return Access((x, f), (f,))
        meeting = min(self.channel_folds(ports, fold))
        s = Pattern(((meeting, True), (x.trips - meeting, False)))
        return Access((x, f, s), (f,))
