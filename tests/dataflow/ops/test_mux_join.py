"""MUX join."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.mux_join import MuxJoin


def slow(op):
    def run(x, f, s=None):
        y = np.zeros(f.shape, np.int64)
        for place in np.ndindex(*f.shape):
            c = place[-1]
            y[place] = f[place]
            if c < x.shape[-1]:
                if op.select == "always":
                    chosen = True
                elif op.select == "element":
                    chosen = x[place] >= op.thresholds[c]
                else:
                    chosen = s.reshape(-1)[c] == 1
                a, b = int(x[place]), int(f[place])
                if chosen and op.mix == "mean":
                    y[place] = (a + b) // 2
                elif chosen:
                    y[place] = sum(1 << bit for bit in range(40) if (a >> bit) % 2 or (b >> bit) % 2)
        return (y,)

    return run


CHANNELS = [(1, 1), (6, 6), (3, 9), (10, 5), (5, 5)]


@pytest.mark.parametrize("mix", ["mean", "or"])
@pytest.mark.parametrize("select", ["always", "element", "stream"])
def test_ladder(ladder, select, mix):
    for x_channels, f_channels in CHANNELS:
        meeting = min(x_channels, f_channels)
        thresholds = np.random.default_rng(meeting).integers(0, 8, meeting) if select == "element" else []
        op = MuxJoin(select, thresholds, mix)
        streams = [Stream((2, 3, x_channels), 0, 7), Stream((2, 3, f_channels), 0, 5)]
        if select == "stream":
            streams.append(Stream((1, 1, meeting), 0, 1))
        ladder.add(op, streams, slow(op), frames=4)
    # A clip: three axes, one bit.
    op = MuxJoin(select, [1, 0] if select == "element" else [], mix)
    streams = [Stream((3, 1, 2, 2), 0, 1)] * 2
    ladder.add(op, [*streams, Stream((1, 1, 1, 2), 0, 1)] if select == "stream" else streams, slow(op), frames=4)
    # Every pair of 3-bit codes, floor included.
    x, f = np.meshgrid(np.arange(8), np.arange(8))
    op = MuxJoin(select, [4] if select == "element" else [], mix)
    streams, values = [Stream((8, 8, 1), 0, 7)] * 2, [x.reshape(1, 8, 8, 1), f.reshape(1, 8, 8, 1)]
    if select == "stream":
        streams, values = [*streams, Stream((1, 1, 1), 0, 1)], [np.repeat(v, 2, axis=0) for v in values]
        values.append(np.array([0, 1]).reshape(2, 1, 1, 1))
    ladder.add(op, streams, slow(op), values=values, tight=True)
    assert ladder.climb() == 2 * (1 + 4 + 2 + 2 + 2) + 4 + 4


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9))
def test_interval_of_always_is_tight(x_lo, x_size, f_lo, f_size):
    x, f = range(x_lo, x_lo + x_size + 1), range(f_lo, f_lo + f_size + 1)
    (y,) = MuxJoin("always").infer(Stream((1, 1, 1), x[0], x[-1]), Stream((1, 1, 1), f[0], f[-1]))
    met = [(a + b) // 2 for a in x for b in f]
    assert (y.lo, y.hi) == (min(met), max(met))


def test_bad_inputs():
    one = Stream((2, 2, 3), 0, 3)
    with pytest.raises(GraphError, match="supported: 'always', 'element', 'stream'"):
        MuxJoin("channel")
    with pytest.raises(GraphError, match="mix 'xor'; supported: 'mean', 'or'"):
        MuxJoin("always", mix="xor")
    with pytest.raises(GraphError, match="thresholds with select 'always'"):
        MuxJoin("always", [1])
    with pytest.raises(GraphError, match="thresholds with select 'element'"):
        MuxJoin("element")
    with pytest.raises(GraphError, match="2 inputs with select 'stream'"):
        MuxJoin("stream").infer(one, one)
    with pytest.raises(GraphError, match="height and width must agree"):
        MuxJoin("always").infer(one, Stream((2, 1, 3), 0, 3))
    with pytest.raises(GraphError, match="unsigned"):
        MuxJoin("always").infer(one, Stream((2, 2, 3), -1, 3))
    with pytest.raises(GraphError, match="2 select bits for 3 channels"):
        MuxJoin("stream").infer(one, one, Stream((1, 1, 2), 0, 1))
    with pytest.raises(GraphError, match="2 thresholds for 3 channels"):
        MuxJoin("element", [1, 2]).infer(one, one)
    with pytest.raises(GraphError, match="at most 30 bits"):
        MuxJoin("always").infer(Stream((1, 1, 1), 0, 2**30), Stream((1, 1, 1), 0, 1))
