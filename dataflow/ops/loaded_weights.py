"""Weight source: a memory that the host fills at run time."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.rom_weights import RomWeights


@dataclass(frozen=True, eq=False)
class LoadedWeights(RomWeights):
    """Send a weight matrix that was loaded at run time once for each vector of a frame.

    - Attributes of RomWeights, of which `weights` are those that are loaded at first; `lo`, `hi`: the interval of any
      weights that may be loaded; `bipolar`: each is -1 or +1.
    - No input; output: the matrix, `repeats` times.
    - Interval: `[lo, hi]`; the stream is not constant, so the intervals after it hold for any weights within.
    - Follows. Beats and lanes as RomWeights has them.
    - `T = repeats * size / lanes`, written in every iteration. Loading is no part of a frame.
    """

    lo: int = 0
    hi: int = 0
    bipolar: bool = False

    loaded = True

    def __post_init__(self) -> None:
        super().__post_init__()
        met = int(self.weights.min()), int(self.weights.max())
        if met[0] < self.lo or met[1] > self.hi:
            raise GraphError(
                f"loaded weights: values in [{met[0]}, {met[1]}]; the memory holds those in [{self.lo}, {self.hi}]"
            )
        if self.bipolar and ((self.lo, self.hi) != (-1, 1) or not self.weights.all()):
            raise GraphError("loaded weights: a value other than -1 and +1; the memory holds one bit of each")

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        return (Stream(self.weights.shape, self.lo, self.hi, self.repeats, bipolar=self.bipolar),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (self.weights,)

    def with_weights(self, weights: IntArray) -> LoadedWeights:
        """Give the same memory with other contents; raises GraphError for another shape or values that it does not hold."""
        if np.shape(weights) != self.weights.shape:
            raise GraphError(f"loaded weights: a matrix of shape {np.shape(weights)}; expected {self.weights.shape}")
        return replace(self, weights=weights)

    @staticmethod
    def of(stored: RomWeights) -> LoadedWeights:
        """Make the memory that holds such weights, and all others of as many bits.

        Where no weight is the least of its bits, none may be: weights of -1, 0 and +1 stay so.
        """
        (stream,) = stored.infer()
        lo, hi, bits = stream.lo, stream.hi, stream.bits
        if not stream.bipolar:
            most = (1 << bits - stream.signed) - 1
            lo, hi = 0 if lo >= 0 else min(lo, -most), most
        assert stream.bipolar or width(lo, hi) == (bits, stream.signed)
        return LoadedWeights(stored.weights, stored.groups, stored.repeats, lo, hi, stream.bipolar)
