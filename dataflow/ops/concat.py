"""Concatenation of channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Kernel, Logic, Loop, Op, Pattern, Ports, control_lut


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """(H, W, A) and (H, W, B) -> (H, W, A + B): for each pixel the channels of a, then those of b."""

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        a, b = inputs
        if a.shape[:-1] != b.shape[:-1]:
            raise GraphError(f"concat: inputs {a} and {b}; height and width must agree")
        return (
            Stream(
                (*a.shape[:-1], a.channels + b.channels),
                min(a.lo, b.lo),
                max(a.hi, b.hi),
                bipolar=a.bipolar and b.bipolar,
            ),
        )

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (np.concatenate(inputs, axis=-1),)

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        a, b = (stream.channels // fold.pe for stream in ports.inputs)
        pixels = ports.inputs[0].pixels
        return Loop(
            (Pattern(((a, True), (b, False)), pixels), Pattern(((a, False), (b, True)), pixels)),
            (Pattern.always(pixels * (a + b)),),
            depth=2,
        )

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """A two-input multiplexer a bit, two of them in a LUT."""
        bits = fold.pe * ports.outputs[0].bits
        return Logic(bits // 2 + 1 + control_lut(self.loop(ports, fold).trips), bits + 20)

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        a, b = (stream.channels // fold.pe for stream in ports.inputs)
        arguments = (("PIXELS", ports.inputs[0].pixels), ("A_FOLD", a), ("B_FOLD", b))
        return Kernel("concat.hpp", "concat", arguments)
