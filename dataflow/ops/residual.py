"""What the residual joins of x and f have in common: the first min(channels) meet, the rest of f passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from muxflow.dataflow.access import Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, Op, Port, Ports


@dataclass(frozen=True, eq=False)
class ResidualJoin(Op):
    """A join of maps x and f of equal height and width into a map of the shape of f.

    Where the channel counts differ, the first min(channels) carry the residual, the other channels of f pass and those
    of x are dropped (MOGNET; decision).
    """

    inputs: ClassVar[tuple[Port, ...]] = (Port("x"), Port("f"))
    pixelwise: ClassVar[bool] = True

    def check_codes(self, x: Stream, f: Stream) -> int:
        """Count the channels that meet; raises GraphError unless both are unsigned maps of one size."""
        if x.shape[:-1] != f.shape[:-1]:
            raise GraphError(f"{self.kind}: maps of {x} and {f}; height and width must agree")
        if x.lo < 0 or f.lo < 0:
            raise GraphError(f"{self.kind}: inputs {x} and {f}; it joins unsigned codes")
        return min(x.channels, f.channels)

    def or_interval(self, x: Stream, f: Stream) -> tuple[int, int]:
        """Give the interval of the bitwise OR of channels that meet: the width of its upper end is tight."""
        return max(x.lo, f.lo), (1 << max(x.hi.bit_length(), f.hi.bit_length())) - 1

    def channel_folds(self, ports: Ports, fold: Fold) -> tuple[int, int]:
        """Count the beats of a pixel of x and of f."""
        return ports.inputs[0].channels // fold.pe, ports.inputs[1].channels // fold.pe

    def patterns(self, ports: Ports, fold: Fold) -> tuple[Pattern, Pattern]:
        """Tell in which iterations x and f are read; y is written when f is read."""
        x_fold, f_fold = self.channel_folds(ports, fold)
        longest = max(x_fold, f_fold)
        pixels = ports.inputs[0].pixels // fold.pixels
        return (
            Pattern(((x_fold, True), (longest - x_fold, False)), pixels),
            Pattern(((f_fold, True), (longest - f_fold, False)), pixels),
        )
