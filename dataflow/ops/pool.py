"""Pools over windows that do not overlap, the whole map included."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Literal

from muxflow.dataflow.access import Access, Pattern
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import MOST_PIXELS, Fold, IntArray, Op, Ports, divisors
from muxflow.dataflow.ops.spatial import Cube, cube


@dataclass(frozen=True, eq=False)
class Pool(Op):
    """Pool over windows that do not overlap; a global pool has the map's size as its window.

    - Attributes `kernel`: one size a spatial axis, 1 to 3 of them; `mode`: `max` or `sum`. An average is a sum whose
      scale is divided. GraphError when a size is below 1 or the window does not fit.
    - `(*S, C)` -> `(*(S // kernel), C)`; what is left over on an axis is read and dropped.
    - Maximum or sum over each window.
    - Interval: `max`: that of the input (tight). `sum`, with `n` the elements of the window:
      `[min(x.lo, n x.lo), max(x.hi, n x.hi)]`, which holds the partial sums.
    - `fold.pixels` pixels are read side by side: they divide a row of the map, and are a divisor of the window's width or a
      multiple of it; then as many windows are sent side by side as they hold.
    - With `F = C / PE`: `T = pixels / fold.pixels * F`, read in all; a window is written in the iterations of its last
      pixels. With pixels side by side a sequence is a row.
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

    def folds(self, ports: Ports) -> Iterator[Fold]:
        """Yield the lanes that divide the channels, of every number of neighbouring pixels that make or cut windows."""
        x, width = ports.inputs[0], self.kernel[-1]
        counts = [n for n in divisors(x.shape[-2]) if n <= MOST_PIXELS and (n % width == 0 or width % n == 0)]
        for lanes, pixels in product(divisors(x.channels), counts):
            yield Fold(pe=lanes, pixels=pixels)

    def beat_pixels(self, ports: Ports, fold: Fold) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return (fold.pixels,), (max(1, fold.pixels // self.kernel[-1]),)

    def steps(self, ports: Ports, fold: Fold) -> tuple[Cube, Cube]:
        """Give map and window as (depth, height, width), the last in steps of the loop along a row."""
        (depth, height, width), kernel = (
            cube(sizes, row=fold.pixels > 1) for sizes in (ports.inputs[0].shape[:-1], self.kernel)
        )
        return (depth, height, width // fold.pixels), (*kernel[:2], max(1, kernel[2] // fold.pixels))

    def access(self, ports: Ports, fold: Fold) -> Access:
        """Read everything; write with the last pixel of each window."""
        length = ports.inputs[0].channels // fold.pe
        windows = Pattern.always(length)
        # From the innermost axis out: n times (k - 1 sizes without a window's end, one with it), then what is left over.
        for size, kernel in zip(*(reversed(sizes) for sizes in self.steps(ports, fold)), strict=True):
            rest = size % kernel * length
            windows = Pattern((Pattern((((kernel - 1) * length, False), windows), size // kernel), (rest, False)))
            length *= size
        return Access((Pattern.always(length),), (windows,))
