"""Arg-max."""

import itertools

import numpy as np

from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.arg_max import ArgMax


def slow(x):
    y = np.zeros((*x.shape[:2], 1), np.int64)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            for c in range(x.shape[2]):
                if x[i, j, c] > x[i, j, y[i, j, 0]]:
                    y[i, j, 0] = c
    return (y,)


def test_ladder(ladder):
    for shape, lo, hi in [((1, 1, 1), 0, 1), ((2, 3, 5), -3, 3), ((1, 1, 10), -(2**35), 2**35), ((1, 2, 3), -9, -4)]:
        ladder.add(ArgMax(), [Stream(shape, lo, hi)], slow, frames=8)
    # Every vector of three codes in 0..2: ties, first and last.
    every = np.array(list(itertools.product(range(-1, 2), repeat=3))).reshape(1, 27, 1, 3)
    ladder.add(ArgMax(), [Stream((27, 1, 3), -1, 1)], slow, values=[every], tight=True)
    assert ladder.climb() == 5


def test_first_of_equals_wins():
    assert ArgMax().compute(np.array([[[[3, 7, 7, 1]]], [[[-2, -2, -2, -2]]]]))[0].tolist() == [[[[1]]], [[[0]]]]
