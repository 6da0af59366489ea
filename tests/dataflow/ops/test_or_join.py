"""OR join."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.or_join import OrJoin


def slow(x, f):
    """Bit by bit; channels of f that x lacks pass."""
    y = np.zeros(f.shape, np.int64)
    for index in np.ndindex(*f.shape):
        other = int(x[index]) if index[-1] < x.shape[-1] else 0
        for bit in range(40):
            y[index] += (1 << bit) if other >> bit & 1 or (int(f[index]) >> bit) % 2 else 0
    return (y,)


def test_ladder(ladder):
    for shape in [(1, 1, 1), (2, 3, 6), (3, 1, 5)]:
        ladder.add(OrJoin(), [Stream(shape, 0, 7), Stream(shape, 0, 3)], slow)
    pairs = np.array([(a, b) for a in range(4) for b in range(4)])
    ladder.add(
        OrJoin(),
        [Stream((4, 4, 1), 0, 3), Stream((4, 4, 1), 0, 3)],
        slow,
        values=[pairs[:, 0].reshape(1, 4, 4, 1), pairs[:, 1].reshape(1, 4, 4, 1)],
        tight=True,
    )
    ladder.add(OrJoin(), [Stream((2, 2, 2), 0, 2**33), Stream((2, 2, 2), 5, 9)], slow)
    # Channel counts that differ, either way, with one, two and all lanes.
    ladder.add(OrJoin(), [Stream((2, 3, 2), 0, 3), Stream((2, 3, 4), 0, 7)], slow)
    ladder.add(OrJoin(), [Stream((2, 1, 6), 0, 7), Stream((2, 1, 3), 0, 1)], slow)
    assert ladder.climb() == 1 + 4 * 2 + 2 * 2 + 3 + 2 * 2 + 2 * 2 + 2 * 2


@given(st.integers(0, 40), st.integers(0, 40), st.integers(0, 40), st.integers(0, 40))
def test_interval_holds_every_pair(a_lo, a_size, b_lo, b_size):
    a, b = range(a_lo, a_lo + a_size + 1), range(b_lo, b_lo + b_size + 1)
    (y,) = OrJoin().infer(Stream((1, 1, 1), a[0], a[-1]), Stream((1, 1, 1), b[0], b[-1]))
    met = {i | j for i in a for j in b}
    assert y.lo <= min(met)
    assert max(met) <= y.hi
    assert y.bits == max(met).bit_length() or y.bits == 1


def test_bad_inputs():
    with pytest.raises(GraphError, match="unsigned"):
        OrJoin().infer(Stream((1, 1, 1), -1, 1), Stream((1, 1, 1), 0, 1))
    with pytest.raises(GraphError, match="height and width must agree"):
        OrJoin().infer(Stream((1, 2, 1), 0, 1), Stream((1, 1, 1), 0, 1))
