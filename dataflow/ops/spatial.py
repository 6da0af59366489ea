"""Maps of one, two and three spatial axes, seen as (depth, height, width)."""

from __future__ import annotations

from collections.abc import Sequence

from muxflow.dataflow.graph.stream import Stream

Cube = tuple[int, int, int]


def cube(sizes: Sequence[int], fill: int = 1, *, row: bool = False) -> Cube:
    """Spread one number a spatial axis over (depth, height, width); `fill` stands where there is no axis.

    Sequences of one axis become the height, so that a line buffer holds them element by element; with `row` the width, so
    that their elements are neighbours.
    """
    if len(sizes) == 1:
        return (fill, fill, sizes[0]) if row else (fill, sizes[0], fill)
    if len(sizes) == 2:
        return fill, sizes[0], sizes[1]
    depth, height, width = sizes
    return depth, height, width


def meet(a: Stream, b: Stream) -> bool:
    """Tell whether the pixels of two maps meet: equal spatial sizes, but for axes of size one, which either may have alone."""
    first, second = ([size for size in one.shape[:-1] if size > 1] for one in (a, b))
    return first == second
