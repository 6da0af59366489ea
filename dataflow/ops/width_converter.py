"""Width converter: other lanes, same elements; inserted when a graph is folded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Kernel, Logic, Loop, Op, Pattern, Ports, control_lut


@dataclass(frozen=True, eq=False)
class WidthConverter(Op):
    """Gathers or spreads beats: `source` lanes in, `target` lanes out, one a multiple of the other."""

    source: int
    target: int

    def __post_init__(self) -> None:
        if self.source % self.target and self.target % self.source:
            raise GraphError(f"width converter: {self.source} and {self.target} lanes; one must divide the other")

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        return (replace(inputs[0], lanes=0),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        return (inputs[0],)

    def folds(self, ports: Ports) -> Iterator[Fold]:
        yield Fold()

    def lanes(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (self.source,), (self.target,)

    def loop(self, ports: Ports, fold: Fold) -> Loop:
        factor = max(self.source, self.target) // min(self.source, self.target)
        trips = ports.inputs[0].elements // min(self.source, self.target)
        every = Pattern.always(trips)
        if self.target > self.source:
            return Loop((every,), (Pattern.last_of(factor, trips // factor),), depth=2)
        return Loop((Pattern.first_of(factor, trips // factor),), (every,), depth=2)

    def logic(self, ports: Ports, fold: Fold) -> Logic:
        """A register as wide as the wide side; picking a part of it is a LUT for every four choices and bit."""
        wide, narrow = max(self.source, self.target), min(self.source, self.target)
        bits = ports.inputs[0].bits
        pick = narrow * bits * -(-(wide // narrow - 1) // 3) if self.source > self.target else 0
        return Logic(control_lut(self.loop(ports, fold).trips) + pick, wide * bits + 20)

    def unrolled(self, ports: Ports, fold: Fold) -> int:
        return max(self.source, self.target)

    def call(self, ports: Ports, fold: Fold) -> Kernel:
        wide, narrow = max(self.source, self.target), min(self.source, self.target)
        return Kernel(
            "width_converter.hpp",
            "widen" if self.target > self.source else "narrow",
            (("BEATS", ports.inputs[0].elements // wide), ("FACTOR", wide // narrow)),
        )
