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


@pytest.mark.parametrize("bipolar", [False, True])
def test_ladder_of_neighbouring_pixels(ladder, bipolar):
    """Lanes that change side by side, pixels that change, from and to whole ones."""
    lo, hi = (-1, 1) if bipolar else (-4, 3)
    cases = [
        ((2, 6, 12), (3, 3), (18, 3)),  # gathered side by side
        ((2, 6, 12), (24, 2), (6, 2)),  # spread
        ((9, 10), (45, 9), (90, 1)),  # to whole pixels, a row at once
        ((1, 5, 6), (30, 1), (15, 5)),  # from whole pixels
        ((2, 2, 4, 6), (4, 4), (8, 4)),
        ((3, 4, 6), (3, 1), (6, 2)),  # regrouped: 1 to 2 pixels
        ((3, 4, 6), (12, 4), (3, 1)),
        ((2, 6, 4), (4, 2), (6, 3)),  # neither divides the other
        ((1, 28, 16), (28, 14), (4, 2)),  # a buffer of eight beats a pixel: a memory
        ((1, 2, 16), (1, 1), (2, 2)),  # one group: nothing overlaps
    ]
    for shape, (source, source_pixels), (target, target_pixels) in cases:
        op = WidthConverter(source, target, source_pixels, target_pixels)
        ladder.add(op, [Stream(shape, lo, hi, bipolar=bipolar)], lambda x: (x.copy(),))
    assert ladder.climb(refused=["finn"]) == len(cases)


def test_one_side_must_divide_the_other():
    with pytest.raises(GraphError, match="one must divide the other"):
        WidthConverter(4, 6)
    for source, target in ((0, 2), (2, 0), (-2, 2)):
        with pytest.raises(GraphError, match=f"{source} and {target} lanes; at least 1"):
            WidthConverter(source, target)
