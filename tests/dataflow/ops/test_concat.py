"""Concatenation of channels."""

import numpy as np
import pytest

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.concat import Concat


def slow(a, b):
    y = np.zeros((*a.shape[:2], a.shape[2] + b.shape[2]), np.int64)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            for c in range(a.shape[2]):
                y[i, j, c] = a[i, j, c]
            for c in range(b.shape[2]):
                y[i, j, a.shape[2] + c] = b[i, j, c]
    return (y,)


def interleaved(sides):
    def slow_sides(a, b):
        y = np.zeros((*a.shape[:2], len(sides)), np.int64)
        for i in range(a.shape[0]):
            for j in range(a.shape[1]):
                left = [list(a[i, j]), list(b[i, j])]
                for c, side in enumerate(sides):
                    y[i, j, c] = left[side].pop(0)
        return (y,)

    return slow_sides


def slow_vectors(a, b):
    y = [*a.reshape(-1).tolist(), *b.reshape(-1).tolist()]
    return (np.array(y).reshape(*(1,) * (a.ndim - 1), len(y)),)


def test_ladder(ladder):
    for shape, a, b in [((1, 1), 1, 1), ((2, 3), 6, 9), ((3, 1), 5, 10), ((1, 4), 4, 2)]:
        ladder.add(Concat(), [Stream((*shape, a), 0, 3), Stream((*shape, b), -3, 2)], slow, tight=True)
    # Two types of unlike sign and width.
    ladder.add(Concat(), [Stream((1, 2, 2), 0, 2**32 - 1), Stream((1, 2, 2), -1, 0)], slow, tight=True)
    # Vectors, one of them behind a one-dimensional map.
    for a, b in [((1, 4), (1, 1, 2)), ((1, 1, 2), (1, 4))]:
        ladder.add(Concat(), [Stream(a, 0, 3), Stream(b, 0, 3)], slow_vectors)
    # Maps, one of them with an axis of size one more.
    ladder.add(Concat(), [Stream((1, 3, 2), 0, 3), Stream((3, 2), -3, 2)], lambda a, b: slow(a, b[None]))
    # Flattened maps, whole.
    for a, b in [((2, 3, 4), (1, 1, 6)), ((1, 5), (2, 2, 5)), ((3, 1, 1), (2, 1))]:
        ladder.add(Concat(whole=True), [Stream(a, 0, 3), Stream(b, -2, 1)], slow_vectors, tight=True)
    # Interleaved: lanes are those that come from one input.
    for sides, pixels in [((0, 1, 1, 0, 1), (2, 3)), ((1, 1, 0, 0, 1, 1, 1, 1, 0, 0), (1, 2)), ((1, 0), (3, 1))]:
        a, b = (Stream((*pixels, sides.count(side)), *ends) for side, ends in ((0, (0, 3)), (1, (-9, 8))))
        ladder.add(Concat(sides=np.array(sides)), [a, b], interleaved(sides), tight=True)
    assert ladder.climb() == 1 + 2 * 2 + 2 * 2 + 2 * 3 + 2 * 2 + 2 + 2 + 2 * 2 + (2 + 2 + 1) + (2 + 2 * 2 + 2)


def test_sides_must_be_those_of_the_inputs():
    a, b = Stream((2, 2, 1), 0, 1), Stream((2, 2, 2), 0, 1)
    for sides in ((0, 1, 0), (0, 0, 1, 1)):
        with pytest.raises(GraphError, match="and sides for"):
            Concat(sides=np.array(sides)).infer(a, b)
    with pytest.raises(GraphError, match="expected 0 or 1 for each channel"):
        Concat(sides=np.array((0, 2)))
    with pytest.raises(GraphError, match="not with whole"):
        Concat(True, np.array((0, 1)))


def test_maps_must_agree():
    with pytest.raises(GraphError, match="height and width must agree"):
        Concat().infer(Stream((2, 2, 1), 0, 1), Stream((2, 3, 1), 0, 1))
    with pytest.raises(GraphError, match="height and width must agree"):
        Concat().infer(Stream((4, 1), 0, 1), Stream((2, 2, 1), 0, 1))
