"""Sliding window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.hls.kernels import KERNELS


def slow(op):
    def run(x):
        height, width, channels = x.shape
        top, left, bottom, right = op.pads
        rows, columns = [], []
        start = -top
        while start + (op.kernel[0] - 1) * op.dilation[0] < height + bottom:
            rows.append(start)
            start += op.stride[0]
        start = -left
        while start + (op.kernel[1] - 1) * op.dilation[1] < width + right:
            columns.append(start)
            start += op.stride[1]
        group = channels // op.groups
        y = []
        for row in rows:
            for column in columns:
                for g in range(op.groups):
                    for kernel_y in range(op.kernel[0]):
                        for kernel_x in range(op.kernel[1]):
                            for c in range(group):
                                i, j = row + kernel_y * op.dilation[0], column + kernel_x * op.dilation[1]
                                inside = 0 <= i < height and 0 <= j < width
                                y.append(int(x[i, j, g * group + c]) if inside else op.pad_code)
        return (np.array(y).reshape(len(rows), len(columns), -1),)

    return run


def folds(op, channels):
    """Lanes that divide a group's channels, or several whole groups; and one fold over more than a pixel."""
    group = channels // op.groups
    for lanes in range(1, group + 1):
        if group % lanes == 0:
            yield Fold(1, lanes)
    for groups in range(2, op.groups + 1):
        if op.groups % groups == 0:
            yield Fold(1, group, groups)
    yield Fold(1, group * op.kernel[0] * op.kernel[1])


CASES = [
    # (height, width, channels), window
    ((1, 1, 1), SlidingWindow((1, 1))),
    ((3, 3, 1), SlidingWindow((3, 3))),  # kernel = map
    ((13, 3, 1), SlidingWindow((2, 2))),  # the buffer's rows are used several times over
    ((5, 4, 6), SlidingWindow((3, 3), pads=(1, 1, 1, 1))),
    ((6, 5, 3), SlidingWindow((3, 2), stride=(2, 1), pads=(1, 0, 1, 1), pad_code=-1)),
    ((5, 5, 2), SlidingWindow((1, 1), stride=(2, 2))),  # rows and columns skipped and left over
    ((7, 6, 2), SlidingWindow((2, 2), stride=(3, 3))),  # stride > kernel
    ((9, 7, 1), SlidingWindow((1, 2), stride=(4, 5))),
    ((8, 7, 1), SlidingWindow((3, 3), dilation=(2, 3), pads=(2, 3, 2, 3))),
    ((6, 6, 4), SlidingWindow((3, 3), pads=(0, 1, 2, 0), groups=2)),  # 1 < groups < channels
    ((4, 5, 6), SlidingWindow((2, 3), pads=(0, 2, 1, 0), groups=6)),  # depthwise
    ((3, 4, 2), SlidingWindow((1, 1), pads=(1, 1, 1, 1))),  # padding wider than the window
    ((2, 3, 4), SlidingWindow((2, 2), pads=(4, 3, 5, 2), stride=(2, 1), groups=2)),
    ((1, 1, 1), SlidingWindow((1, 1), pads=(3, 0, 2, 2), stride=(4, 3))),  # all of it padding
    ((4, 1, 1), SlidingWindow((3, 1), pads=(1, 0, 1, 0))),  # one column: the gap between phases
    ((1, 6, 1), SlidingWindow((1, 2), dilation=(1, 5))),  # a window that spans a row at once
    ((5, 2, 1), SlidingWindow((2, 2), stride=(1, 2), pads=(1, 1, 1, 1))),
    ((2, 8, 1), SlidingWindow((2, 2), pads=(1, 0, 0, 1), stride=(1, 4))),
    ((6, 3, 5), SlidingWindow((4, 3), stride=(2, 1), pads=(3, 2, 3, 2), pad_code=9)),
]


@pytest.mark.parametrize("part", range(3))
def test_ladder(ladder, part):
    kernels = 0
    for shape, op in CASES[part::3]:
        chosen = list(dict.fromkeys(folds(op, shape[2])))
        kernels += len(chosen)
        ladder.add(op, [Stream(shape, -4, 3)], slow(op), folds=chosen)
    assert ladder.climb() == kernels


def folded(op, shape, fold):
    x = Stream(shape, 0, 3)
    ports = Ports((x,), op.infer(x))
    (lanes,), _ = op.lanes(ports, fold)
    return Ports((x.with_lanes(lanes),), tuple(y.with_lanes(lanes) for y in ports.outputs))


@pytest.mark.parametrize(("shape", "op"), CASES)
def test_phases(shape, op):
    """The phases read and send the whole frame, and the last step of the loop still moves a beat."""
    for fold in folds(op, shape[2]):
        ports = folded(op, shape, fold)
        phases = op.phases(ports, fold)
        assert sum(read for read, _ in phases) == ports.inputs[0].beats
        assert sum(sent for _, sent in phases) == ports.outputs[0].beats
        assert len(phases) == ports.outputs[0].shape[0] + 1
        loop = KERNELS.of(op).access(op, ports, fold)
        lasting = [phase for phase in phases if phase != (0, 0)]  # no fill where the first row is padding
        assert loop.trips == sum(map(max, phases)) + KERNELS.of(op).gap(op, ports, fold) * (len(lasting) - 1)
        assert loop.reads[0].mask()[-1] or loop.writes[0].mask()[-1]


@pytest.mark.parametrize(("shape", "op"), CASES)
def test_no_beat_is_read_back_while_it_is_written(shape, op):
    """The buffer's pragma promises that reads and writes are independent: a beat is read back 4 steps after its write
    or later, here found by playing the loop."""
    for fold in folds(op, shape[2]):
        ports = folded(op, shape, fold)
        height, width, channels = shape
        lanes = ports.inputs[0].lanes
        loop = KERNELS.of(op).access(op, ports, fold)
        written_at = np.flatnonzero(loop.reads[0].mask())
        number = np.arange(height * width * channels // lanes)
        tags = np.repeat(number, lanes).reshape(1, height, width, channels)  # the beat that holds each element
        unpadded = SlidingWindow(op.kernel, op.stride, op.dilation, op.pads, op.groups, -1)
        sent = unpadded.compute(tags)[0][0]
        pixels = op.kernel[0] * op.kernel[1]
        split = sent.reshape(*sent.shape[:2], op.groups // fold.groups, fold.groups, pixels, -1)
        beats = split.transpose(0, 1, 2, 4, 3, 5).reshape(-1, lanes)
        read_at = np.flatnonzero(loop.writes[0].mask())
        for step, beat in zip(read_at, beats, strict=True):
            assert (beat == beat[0]).all()
            if beat[0] >= 0:
                assert step - written_at[beat[0]] >= 4, (op, fold)


@given(st.data())
def test_numpy_is_the_loops(data):
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = data.draw(pair), data.draw(pair), data.draw(pair)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pads = tuple(data.draw(st.integers(0, extent[i % 2] + 1)) for i in range(4))
    groups = data.draw(st.integers(1, 3))
    shape = (
        data.draw(st.integers(extent[0], extent[0] + 3)),
        data.draw(st.integers(extent[1], extent[1] + 3)),
        groups * data.draw(st.integers(1, 2)),
    )
    op = SlidingWindow(kernel, stride, dilation, pads, groups, data.draw(st.integers(-2, 2)))
    x = np.random.default_rng(0).integers(0, 4, shape)
    np.testing.assert_array_equal(op.compute(x[None])[0][0], slow(op)(x)[0])
    (y,) = op.infer(Stream(shape, 0, 3))
    assert y.shape == slow(op)(x)[0].shape
    assert y.lo == (min(0, op.pad_code) if any(pads) else 0)
    for fold in folds(op, shape[2]):
        ports = folded(op, shape, fold)
        loop = KERNELS.of(op).access(op, ports, fold)
        assert (loop.reads[0].beats, loop.writes[0].beats) == (ports.inputs[0].beats, ports.outputs[0].beats)


def test_bad_attributes():
    with pytest.raises(GraphError, match="must be at least 1"):
        SlidingWindow((0, 1))
    with pytest.raises(GraphError, match=r"pads .* at least 0"):
        SlidingWindow((3, 3), pads=(-1, 0, 0, 0))
    with pytest.raises(GraphError, match="3 groups do not divide 4 channels"):
        SlidingWindow((1, 1), groups=3).infer(Stream((1, 1, 4), 0, 1))
    with pytest.raises(GraphError, match="does not fit a map"):
        SlidingWindow((3, 1)).infer(Stream((2, 2, 1), 0, 1))
    with pytest.raises(GraphError, match="expected 2 spatial axes and the channels"):
        SlidingWindow((1, 1)).infer(Stream((2, 2), 0, 1))
