"""Tables with one number a channel."""

from __future__ import annotations

from muxflow.dataflow.op import Fold, IntArray


def channel_table(values: IntArray, fold: Fold) -> IntArray:
    """Cut one number a channel, or one for all, into rows of `fold.pe` lanes."""
    return values.reshape(-1, fold.pe) if len(values) > 1 else values.repeat(fold.pe)[None]
