"""Channel select."""

import itertools

import numpy as np
import pytest

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.channel_select import ChannelSelect


def slow(op):
    def run(x):
        y = np.zeros((1, 1, len(op.thresholds)), np.int64)
        for c in range(len(op.thresholds)):
            seen = [int(x[i, j, c]) for i in range(x.shape[0]) for j in range(x.shape[1])]
            y[0, 0, c] = 1 if (max(seen) if op.statistic == "max" else sum(seen)) >= op.thresholds[c] else 0
        return (y,)

    return run


@pytest.mark.parametrize("statistic", ["max", "sum"])
def test_ladder(ladder, statistic):
    rng = np.random.default_rng(3)
    for shape, judged in [((1, 1, 1), 1), ((2, 3, 6), 6), ((3, 1, 10), 5), ((2, 2, 6), 3)]:
        pixels = shape[0] * shape[1]
        op = ChannelSelect(statistic, rng.integers(2, 8 if statistic == "max" else 4 * pixels, judged))
        ladder.add(op, [Stream(shape, 0, 7)], slow(op), frames=5)
    op = ChannelSelect(statistic, [-1, 0, 99])
    ladder.add(op, [Stream((2, 1, 3), 0, 3)], slow(op))
    every = np.array(list(itertools.product(range(3), repeat=3))).reshape(27, 3, 1, 1)
    op = ChannelSelect(statistic, [2])
    ladder.add(op, [Stream((3, 1, 1), 0, 2)], slow(op), values=[every], tight=True)
    # A wide statistic against a negative threshold: mixed signs in C++.
    op = ChannelSelect(statistic, [-1, 2**30])
    ladder.add(op, [Stream((2, 1, 2), 0, 2**31 - 1)], slow(op))
    assert ladder.climb() == 1 + 4 * 2 + 2 * 2 + 2 * 2 + 2 * 2 + 2 + 2 * 2


def test_bad_inputs():
    with pytest.raises(GraphError, match="supported: 'max', 'sum'"):
        ChannelSelect("mean", [1])
    with pytest.raises(GraphError, match=r"expected \(channels,\)"):
        ChannelSelect("max", [[1]])
    with pytest.raises(GraphError, match="can be negative"):
        ChannelSelect("max", [1]).infer(Stream((1, 1, 1), -1, 1))
    with pytest.raises(GraphError, match="3 thresholds for 2 channels"):
        ChannelSelect("max", [1, 2, 3]).infer(Stream((1, 1, 2), 0, 1))
