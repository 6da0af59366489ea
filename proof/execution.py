"""What the comparison asks of an execution: whatever runs the network, from torch to the board."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol, runtime_checkable

from muxflow.dataflow.op import IntArray


@runtime_checkable
class Floats(Protocol):
    """Floats that stand for codes, from an execution that does not compute in integers."""

    def codes(self, expected: IntArray, stream: str) -> IntArray:
        """Round to codes, to the expected ones where float rounding cannot tell the two apart.

        `expected`: the graph's codes, shape (N, *shape of the stream). Raises MismatchError, naming the stream, when the
        floats lie between codes.
        """
        ...


Tensor = IntArray | Floats


class Execution(Protocol):
    """Anything that runs the network of a graph on input codes."""

    @property
    def title(self) -> str:
        """Name the execution in the proof ladder."""
        ...

    @property
    def name(self) -> str:
        """Name the execution in the message of a difference, shortly."""
        ...

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
        """Run one batch: input codes by the graph's input name, shape (N, *shape of the input).

        Return what it gives by the graph's stream: every output, and whichever inner streams it can see, the same ones for
        every batch; shape (N, *shape of the stream) in the graph's order of elements: an execution that keeps another order
        (channel first, lanes) brings them there itself. Each is asked for once, so it may be read from a file at that moment.
        """
        ...
