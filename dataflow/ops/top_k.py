"""Top-k on the chip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Kernel, Logic, Loop, Op, Pattern, Ports, control_lut


@dataclass(frozen=True, eq=False)
class TopK(Op):
    """(H, W, C) -> (H, W, k): the indices of the k largest channels, largest first; a tie goes to the lower index.

    Raises GraphError when `k` is not in 1..C.
    """

    k: int

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

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        x = ports.inputs[0]
        return Loop((Pattern.always(x.size),), (Pattern.last_of(x.channels, x.pixels),), depth=2)

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """In each of the k places a comparison, and a choice of three for value and index."""
        bits = ports.inputs[0].bits + ports.outputs[0].bits
        return Logic(self.k * 2 * bits + control_lut(self.loop(ports, fold).trips), self.k * 2 * bits + 20)

    def unrolled(self, ports: Ports, fold: Fold) -> int:
        return self.k

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        x = ports.inputs[0]
        return Kernel("top_k.hpp", "top_k", (("VECTORS", x.pixels), ("CLASSES", x.channels), ("K", self.k)))
