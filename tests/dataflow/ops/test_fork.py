"""Fork."""

import pytest

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.fork import Fork


@pytest.mark.parametrize("ways", [2, 3])
def test_ladder(ladder, ways):
    for shape in [(1, 1, 1), (2, 3, 6), (3, 2, 5)]:
        ladder.add(Fork(ways), [Stream(shape, -4, 3)], lambda x: (x.copy(),) * ways, tight=True)
    assert ladder.climb() == 1 + 4 * 2 + 2 * 2


@pytest.mark.parametrize("ways", [-1, 0, 1, 4])
def test_ways(ways):
    with pytest.raises(GraphError, match="supported: 2 and 3"):
        Fork(ways)
