"""Top-k on the chip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Op, Ports


@dataclass(frozen=True, eq=False)
class TopK(Op):
    """Give the indices of the `k` largest channels of each pixel, largest first, of equals the lower index first.

    - Attribute `k`, at least 1 and at most the channels, else GraphError. `(*S, C)` -> `(*S, k)`.
    - Interval `[0, C - 1]`.
    - One element a beat in, `k` lanes out. `T = size`; every iteration reads, the last one of each pixel writes.
    """

    k: int

    answer = "top_k"

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        if not 1 <= self.k <= x.channels:
            raise GraphError(f"top-k: k is {self.k}, the input has {x.channels} channels; use 1..{x.channels}")
        return (Stream((*x.shape[:-1], self.k), 0, x.channels - 1),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        # Falling order with a stable sort: reversed twice, so that nothing is negated and the lowest integer is safe.
        x = inputs[0][..., ::-1]
        order = x.argsort(axis=-1, kind="stable")[..., ::-1]
        return ((x.shape[-1] - 1 - order[..., : self.k]).astype(np.int64),)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        yield Fold()

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (1,), (self.k,)

    def access(self, ports: Ports, fold: Fold) -> Access:
        x = ports.inputs[0]
        return Access((Pattern.always(x.size),), (Pattern.last_of(x.channels, x.pixels),))
