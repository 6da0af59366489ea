"""Arg-max on the chip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Op, Ports


@dataclass(frozen=True, eq=False)
class ArgMax(Op):
    """Give the index of the largest channel of each pixel, the first of equals.

    - `(*S, C)` -> `(*S, 1)`.
    - Interval `[0, C - 1]`.
    - One element a beat. `T = size`; written in the last iteration of every `C`.
    """

    answer = "label"

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        return (Stream((*x.shape[:-1], 1), 0, x.channels - 1),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (inputs[0].argmax(axis=-1)[..., None].astype(np.int64),)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        yield Fold()

    def access(self, ports: Ports, fold: Fold) -> Access:
        x = ports.inputs[0]
        return Access((Pattern.always(x.size),), (Pattern.last_of(x.channels, x.pixels),))
