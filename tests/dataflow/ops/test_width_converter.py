"""Width converter."""

import pytest

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.width_converter import WidthConverter


def test_ladder(ladder):
    for shape, source, target in [
        ((1, 1, 6), 1, 6),
        ((1, 1, 6), 6, 1),
        ((2, 3, 4), 2, 6),  # across pixels
        ((2, 3, 5), 15, 5),
        ((2, 1, 5), 5, 5),
        ((3, 1, 4), 12, 3),
    ]:
        ladder.add(WidthConverter(source, target), [Stream(shape, -4, 3)], lambda x: (x.copy(),), tight=True)
    assert ladder.climb() == 6


def test_one_side_must_divide_the_other():
    with pytest.raises(GraphError, match="one must divide the other"):
        WidthConverter(4, 6)
    for source, target in ((0, 2), (2, 0), (-2, 2)):
        with pytest.raises(GraphError, match=f"{source} and {target} lanes; at least 1"):
            WidthConverter(source, target)
