"""Thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Ports
from muxflow.dataflow.ops.threshold import Threshold


def slow(op):
    """Counts, one threshold after the other."""
    rows, steps = op.thresholds.shape

    def run(x):
        y = np.zeros(x.shape, np.int64)
        for position, index in enumerate(np.ndindex(*x.shape)):
            row = 0 if rows == 1 else index[-1] if rows == x.shape[-1] else position
            count = sum(1 for t in op.thresholds[row].tolist() if int(x[index]) >= t)
            y[index] = op.base + (steps - count if op.falling[row] else count)
        return (y,)

    return run


def rows(count, steps, lo, hi, seed=0):
    return np.sort(np.random.default_rng([count, steps, seed]).integers(lo, hi + 1, (count, steps)), axis=1)


def test_ladder(ladder):
    falling = [0, 1, 1, 0, 1, 0]
    for shape, op in [
        ((1, 1, 1), Threshold([[0]], [0])),
        ((1, 1, 1), Threshold([[0]], [1], base=-1)),
        ((2, 3, 6), Threshold(rows(6, 3, -9, 9), falling)),
        ((2, 1, 5), Threshold(rows(1, 7, -9, 9), [1], base=-4)),  # one row for every element
        ((2, 3, 4), Threshold(rows(4, 3, -9, 9), [0] * 4, base=-2)),  # no channel falls
        ((2, 3, 2), Threshold(rows(12, 2, -9, 9), falling * 2)),  # a row for each element
        ((1, 2, 3), Threshold([[4, 4, 4], [-99, 0, 99], [-50, -50, 50]], [0, 1, 0])),  # repeated and never met
    ]:
        for lo, hi in [(0, 9), (-12, 12), (-9, -5)]:
            ladder.add(op, [Stream(shape, lo, hi)], slow(op))
    every = np.arange(-16, 16).repeat(3).reshape(1, 32, 1, 3)
    op = Threshold(rows(3, 15, -16, 15), [0, 1, 0])
    ladder.add(op, [Stream((32, 1, 3), -16, 15)], slow(op), values=[every], tight=True)
    # Wide unsigned codes against negative thresholds: a C++ comparison of mixed signs would be wrong.
    op = Threshold([[-5, 7, 2**31 + 5]], [0])
    ladder.add(op, [Stream((1, 2, 2), 0, 2**32 - 1)], slow(op))
    assert ladder.climb() == 3 * (1 + 1 + 4 + 2 + 3 + 2 + 2) + 2 + 2


@given(st.data())
def test_numpy_and_interval(data):
    lo = data.draw(st.integers(-30, 30))
    hi = lo + data.draw(st.integers(0, 30))
    count, steps = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 5))
    op = Threshold(
        rows(count, steps, -40, 40, data.draw(st.integers(0, 99))),
        data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count)),
        data.draw(st.integers(-3, 3)),
    )
    (y,) = op.infer(Stream((1, 1, count), lo, hi))
    every = np.arange(lo, hi + 1)[:, None, None, None].repeat(count, axis=3)
    met = op.compute(every)[0]
    np.testing.assert_array_equal(met, np.stack([slow(op)(frame)[0] for frame in every]))
    assert (met.min(), met.max()) == (y.lo, y.hi)
    assert op.is_identity(Stream((1, 1, count), lo, hi)) == bool((met == every).all())


def test_bad_attributes():
    with pytest.raises(GraphError, match="must not descend"):
        Threshold([[3, 2]], [0])
    with pytest.raises(GraphError, match=r"expected \(rows, steps\)"):
        Threshold([[1, 2]], [0, 1])
    with pytest.raises(GraphError, match="3 rows of thresholds"):
        Threshold([[1], [2], [3]], [0, 0, 0]).infer(Stream((2, 2, 2), 0, 1))


def test_lanes_stay_under_the_unroll_limit():
    op = Threshold(rows(1, 1500, -2000, 2000), [0])
    x = Stream((1, 1, 6), -2000, 2000)
    assert [fold.pe for fold in op.folds(Ports((x,), op.infer(x)))] == [1, 2]
