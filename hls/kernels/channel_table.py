"""Tables with one row a channel."""

from __future__ import annotations

from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray


def channel_table(values: IntArray, x: Stream, fold: Fold) -> IntArray:
    """Cut one row a channel, one for all, or one an element of `x` into what the lanes of each beat take.

    Pixels side by side share the rows of a channel, which stand in the table once.
    """
    rest = values.shape[1:]
    if len(values) == 1:
        return values.repeat(fold.pe, axis=0)[None]
    if len(values) <= x.channels:
        return values.reshape(-1, fold.pe, *rest)
    split = values.reshape(-1, fold.pixels, x.channels // fold.pe, fold.pe, *rest)
    return split.swapaxes(1, 2).reshape(-1, fold.operations, *rest)
