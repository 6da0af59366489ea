"""The op."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Op, Ports


@dataclass(frozen=True, eq=False)
class Magnitude(Op):
    """Take the magnitude of codes, at most `limit`: `y = min(|x|, limit)`.

    Source: decision (a test).
    """

    limit: int

    def __post_init__(self) -> None:
        if self.limit < 1:
            raise GraphError(f"magnitude: limit {self.limit}; supported: at least 1")

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        return (Stream(x.shape, 0, min(max(-x.lo, x.hi), self.limit)),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (np.minimum(np.abs(inputs[0]), self.limit),)

    def access(self, ports: Ports, fold: Fold) -> Access:
        every = Pattern.always(ports.inputs[0].size // fold.pe)
        return Access((every,), (every,))
