"""Resizing of maps: upsampling, codes between pixels, padding, cropping."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.resize import Resize


def slow(factors, pads, mode, code):
    """Every pixel written to its places in a map of codes, position by position."""

    def run(x):
        rank = len(factors)
        before, after = pads[:rank], pads[rank:]
        made = [s * f if mode == "repeat" else (s - 1) * f + 1 for s, f in zip(x.shape, factors, strict=False)]
        sizes = [u + b + a for u, b, a in zip(made, before, after, strict=True)]
        y = np.full((*sizes, x.shape[-1]), code, np.int64)
        copies = list(np.ndindex(*factors)) if mode == "repeat" else [(0,) * rank]
        for *place, channel in np.ndindex(*x.shape):
            for copy in copies:
                at = [p * f + c + b for p, f, c, b in zip(place, factors, copy, before, strict=True)]
                if all(0 <= o < size for o, size in zip(at, sizes, strict=True)):
                    y[(*at, channel)] = x[(*place, channel)]
        return (y,)

    return run


MAPS = [
    ((1, 1, 1), (1, 1), (0, 0, 0, 0)),
    ((2, 3, 6), (2, 2), (0, 0, 0, 0)),
    ((3, 2, 1), (1, 3), (1, 0, 2, 1)),
    ((3, 1, 2), (3, 1), (0, 2, 0, 0)),
    ((4, 5, 3), (1, 1), (-1, -2, -1, 0)),  # a crop
    ((3, 4, 2), (2, 3), (-1, 2, 1, -2)),  # padded and cropped
]
SEQUENCES = [((1, 1), (1,), (0, 0)), ((5, 6), (2,), (0, 0)), ((4, 2), (3,), (2, -1)), ((9, 1), (1,), (-3, -2))]
VOLUMES = [
    ((2, 3, 2, 2), (2, 2, 2), (0, 0, 0, 0, 0, 0)),
    ((2, 2, 3, 1), (3, 1, 1), (0, 1, 0, 1, 0, -1)),
    ((3, 2, 2, 3), (1, 2, 1), (-1, 0, 1, 0, -1, 0)),
]


def add_resizes(ladder, mode, maps):
    for shape, factors, pads in maps:
        for lo, hi, code in [(0, 3, 0), (-5, 2, -7)]:
            op = Resize(factors, pads, mode, code)
            ladder.add(op, [Stream(shape, lo, hi)], slow(factors, pads, mode, code), frames=2)


@pytest.mark.parametrize("mode", ["repeat", "insert"])
def test_ladder(ladder, mode):
    add_resizes(ladder, mode, MAPS)
    signs = Stream((2, 2, 2), -1, 1, bipolar=True)
    ladder.add(Resize((2, 2), (1, 1, 1, 1), mode, -1), [signs], slow((2, 2), (1,) * 4, mode, -1))
    assert ladder.climb() == 2 * (1 + 4 + 1 + 2 + 2 + 2) + 2


@pytest.mark.parametrize("mode", ["repeat", "insert"])
@pytest.mark.parametrize(
    ("maps", "folds", "refused"), [(SEQUENCES, 1 + 4 + 2 + 1, []), (VOLUMES, 2 + 1 + 2, ["hls4ml"])]
)
def test_ladder_of_other_ranks(ladder, mode, maps, folds, refused):
    add_resizes(ladder, mode, maps)
    assert ladder.climb(refused=refused) == 2 * folds


@given(st.data())
def test_numpy_is_the_loops(data):
    rank = data.draw(st.integers(1, 3))
    sizes, factors = (tuple(data.draw(st.integers(1, 3)) for _ in range(rank)) for _ in range(2))
    pads = tuple(data.draw(st.integers(-1, 3)) for _ in range(2 * rank))
    mode = data.draw(st.sampled_from(["repeat", "insert"]))
    op, stream = Resize(factors, pads, mode, 7), Stream((*sizes, 2), -9, 9)
    if min(axis.kept for axis in op.axes(stream)) < 1:
        with pytest.raises(GraphError, match="leave nothing"):
            op.infer(stream)
        return
    x = np.random.default_rng(data.draw(st.integers(0, 9))).integers(-9, 10, (2, *stream.shape))
    expected = np.stack([slow(factors, pads, mode, 7)(frame)[0] for frame in x])
    np.testing.assert_array_equal(op.compute(x)[0], expected)
    assert op.infer(stream)[0].shape == expected.shape[1:]


def test_signs_stay_signs_where_no_other_code_stands():
    signs = Stream((2, 2, 1), -1, 1, bipolar=True)
    assert Resize((2, 2)).infer(signs)[0].bipolar
    assert not Resize((2, 2), mode="insert").infer(signs)[0].bipolar
    assert Resize((2, 2), mode="insert", code=1).infer(signs)[0].bipolar


def test_detail_tells_what_it_does():
    cases = [Resize((2, 2)), Resize((1, 1), (1, 0, 0, 0)), Resize((3, 1), (-1, 0, 1, 0))]
    assert [op.detail for op in cases] == ["2x2", "pads", "3x1 pads crops"]


def test_bad_attributes():
    for factors, pads in [((0, 2), ()), ((1, 1), (1, 1)), ((1, 1, 1, 1), ())]:
        with pytest.raises(GraphError, match="supported: 1 to 3 axes, factors of at least 1"):
            Resize(factors, pads)
    with pytest.raises(GraphError, match="supported: 'repeat', 'insert'"):
        Resize((2, 2), mode="linear")
    with pytest.raises(GraphError, match="expected 2 spatial axes"):
        Resize((2, 2)).infer(Stream((4, 1), 0, 1))
