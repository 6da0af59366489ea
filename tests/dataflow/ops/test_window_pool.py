"""Pools after a sliding window."""

import numpy as np
import pytest

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.window_pool import WindowPool


def slow(pixels, mode):
    def run(x):
        *sizes, size = x.shape
        y = np.zeros((*sizes, size // pixels), np.int64)
        for *place, c in np.ndindex(*y.shape):
            inside = [int(x[(*place, c * pixels + p)]) for p in range(pixels)]
            y[(*place, c)] = max(inside) if mode == "max" else sum(inside)
        return (y,)

    return run


def interleave(flat, pixels, fold, size):
    """Side by side travel the channels of one block, some pixels of each."""
    sent = []
    for start in range(0, len(flat), size):
        for block in range(0, size // pixels, fold.groups):
            for first in range(0, pixels, fold.simd):
                for channel in range(fold.groups):
                    for pixel in range(fold.simd):
                        sent.append(flat[start + (block + channel) * pixels + first + pixel])
    return np.array(sent)


@pytest.mark.parametrize("mode", ["max", "sum"])
def test_ladder(ladder, mode):
    for shape, channels, pixels in [
        ((1, 1), 1, 1),
        ((2, 3), 6, 4),
        ((3, 1), 5, 3),
        ((1, 2), 3, 1),
        ((5,), 6, 3),
        ((1,), 1, 2),
        ((2, 1, 3), 6, 8),
    ]:
        size = channels * pixels
        for lo, hi in [(0, 3), (-6, -2)]:
            ladder.add(
                WindowPool(pixels, mode),
                [Stream((*shape, size), lo, hi)],
                slow(pixels, mode),
                order=lambda fold, inputs, pixels=pixels, size=size: (
                    interleave(inputs[0].reshape(-1), pixels, fold, size),
                ),
            )
    assert ladder.climb() == 2 * (1 + 3 * 4 * 2 + 2 * 2 * 2 + 2 * 2 + 2 * 4 * 2 + 2 * 1 + 4 * 4 * 2)


def test_bad_attributes():
    with pytest.raises(GraphError, match="supported: >= 1"):
        WindowPool(0, "max")
    with pytest.raises(GraphError, match="do not divide"):
        WindowPool(4, "max").infer(Stream((1, 1, 6), 0, 1))
