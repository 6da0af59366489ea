"""Concatenation of channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Access, Fold, IntArray, Op, Pattern, Port, Ports
from muxflow.dataflow.ops.spatial import meet


@dataclass(frozen=True, eq=False)
class Concat(Op):
    """Concatenate channels: of each pixel those of `a`, then those of `b`.

    - Inputs `(*S, A)` and `(*S, B)`; output `(*S, A + B)`. Vectors, one pixel each, may have other axes of size 1 than
      each other; the output has those of `a`.
    - Interval: the hull of both (tight).
    - `T = pixels * (A + B) / PE`; in each pixel `a` is read in the first `A / PE` iterations, `b` in the others; the
      output is written in all.
    """

    inputs = (Port("a"), Port("b"))

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        a, b = inputs
        if not meet(a, b):
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
        a, b = inputs
        return (np.concatenate((a, b.reshape(*a.shape[:-1], b.shape[-1])), axis=-1),)

    def access(self, ports: Ports, fold: Fold) -> Access:
        a, b = (stream.channels // fold.pe for stream in ports.inputs)
        pixels = ports.inputs[0].pixels
        return Access(
            (Pattern(((a, True), (b, False)), pixels), Pattern(((a, False), (b, True)), pixels)),
            (Pattern.always(pixels * (a + b)),),
        )
