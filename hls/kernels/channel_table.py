"""Tables with one row a channel."""

from __future__ import annotations

import numpy as np

from muxflow.dataflow.op import Fold, IntArray


def channel_table(values: IntArray, fold: Fold) -> IntArray:
    """Cut one row a channel, or one for all, into beats of `fold.pe` lanes; several pixels in a beat have the same rows."""
    repeated = np.concatenate([values] * max(1, fold.pe // len(values)))
    return repeated.reshape(-1, fold.pe, *values.shape[1:])
