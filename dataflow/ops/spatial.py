"""Maps of one, two and three spatial axes, seen as (depth, height, width)."""

from __future__ import annotations

from collections.abc import Sequence


def cube(sizes: Sequence[int], fill: int = 1) -> tuple[int, int, int]:
    """Spread one number a spatial axis over (depth, height, width); `fill` stands where there is no axis.

    Sequences of one axis become the height, so that a line buffer holds them element by element.
    """
    if len(sizes) == 1:
        return fill, sizes[0], fill
    if len(sizes) == 2:
        return fill, sizes[0], sizes[1]
    depth, height, width = sizes
    return depth, height, width
