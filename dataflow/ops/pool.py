"""Pools over windows that do not overlap, the whole map included."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Literal

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Access, Fold, IntArray, Op, Pattern, Ports
from muxflow.dataflow.ops.spatial import cube


@dataclass(frozen=True, eq=False)
class Pool(Op):
    """Pool over windows that do not overlap; a global pool has the map's size as its window.

    - Attributes `kernel`: one size a spatial axis, 1 to 3 of them; `mode`: `max` or `sum`. An average is a sum whose
      scale is divided. GraphError when a size is below 1 or the window does not fit.
    - `(*S, C)` -> `(*(S // kernel), C)`; what is left over on an axis is read and dropped.
    - Maximum or sum over each window.
    - Interval: `max`: that of the input (tight). `sum`, with `n` the elements of the window:
      `[min(x.lo, n x.lo), max(x.hi, n x.hi)]`, which holds the partial sums.
    - With `F = C / PE`: `T = pixels * F`, read in all; a window is written in the iterations of its last pixel.
    """

    kernel: tuple[int, ...]
    mode: Literal["max", "sum"]

    def __post_init__(self) -> None:
        if not 1 <= len(self.kernel) <= 3 or min(self.kernel) < 1 or self.mode not in ("max", "sum"):
            raise GraphError(
                f"pool: window {self.kernel}, mode {self.mode!r}; supported: 1 to 3 axes, sizes >= 1, 'max', 'sum'"
            )

    def title(self, ports: Ports, window: str = "") -> str:
        return f"{self.mode} pool {'x'.join(map(str, self.kernel))}"

    def infer(self, *inputs: Stream) -> tuple[Stream, ...]:
        (x,) = inputs
        spatial = x.shape[:-1]
        if len(spatial) != len(self.kernel) or any(s < k for s, k in zip(spatial, self.kernel, strict=True)):
            raise GraphError(f"pool: a window of {self.kernel} does not fit {x}")
        size = prod(self.kernel) if self.mode == "sum" else 1
        # A partial sum must fit as well as the whole one.
        lo, hi = (min(x.lo, x.lo * size), max(x.hi, x.hi * size))
        shape = tuple(s // k for s, k in zip(spatial, self.kernel, strict=True))
        return (Stream((*shape, x.channels), lo, hi, bipolar=x.bipolar and size == 1),)

    def compute(self, *inputs: IntArray) -> tuple[IntArray, ...]:
        (x,) = inputs
        sizes = [s // k for s, k in zip(x.shape[1:-1], self.kernel, strict=True)]
        cut = x[(slice(None), *(slice(n * k) for n, k in zip(sizes, self.kernel, strict=True)))]
        parts = [part for pair in zip(sizes, self.kernel, strict=True) for part in pair]
        split = cut.reshape(len(x), *parts, x.shape[-1])
        axes = tuple(range(2, 2 * len(sizes) + 1, 2))
        return (split.max(axis=axes) if self.mode == "max" else split.sum(axis=axes),)

    def access(self, ports: Ports, fold: Fold) -> Access:
        """Read everything; write with the last pixel of each window."""
        x = ports.inputs[0]
        length = x.channels // fold.pe
        windows = Pattern.always(length)
        # From the innermost axis out: n times (k - 1 sizes without a window's end, one with it), then what is left over.
        for size, kernel in zip(reversed(cube(x.shape[:-1])), reversed(cube(self.kernel)), strict=True):
            rest = size % kernel * length
            windows = Pattern((Pattern((((kernel - 1) * length, False), windows), size // kernel), (rest, False)))
            length *= size
        return Access((Pattern.always(length),), (windows,))
