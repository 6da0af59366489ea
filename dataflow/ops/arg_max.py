"""Arg-max on the chip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Kernel, Logic, Loop, Op, Pattern, Ports, control_lut


@dataclass(frozen=True, eq=False)
class ArgMax(Op):
    """(H, W, C) -> (H, W, 1): the index of the largest channel; the first one wins a tie."""

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        return (Stream((*x.shape[:-1], 1), 0, x.channels - 1),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (inputs[0].argmax(axis=-1)[..., None].astype(np.int64),)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        yield Fold()

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        x = ports.inputs[0]
        return Loop((Pattern.always(x.size),), (Pattern.last_of(x.channels, x.pixels),), depth=2)

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """One comparison, and a choice of value and index."""
        bits = ports.inputs[0].bits + ports.outputs[0].bits
        return Logic(2 * bits + control_lut(self.loop(ports, fold).trips), 2 * bits + 20)

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        x = ports.inputs[0]
        return Kernel("arg_max.hpp", "arg_max", (("VECTORS", x.pixels), ("CLASSES", x.channels)))
