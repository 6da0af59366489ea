"""Sliding window."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ladder import Ladder

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.memory import choices
from muxflow.dataflow.graph.stream import Beat, Stream
from muxflow.dataflow.op import Fold, Ports, divisors
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.hls.kernels import KERNELS


def slow(op):
    """The windows of a map of any rank, element by element."""

    def starts(size, axis):
        before, after = op.pads[axis], op.pads[len(op.kernel) + axis]
        found = [-before]
        while found[-1] + (op.kernel[axis] - 1) * op.dilation[axis] < size + after:
            found.append(found[-1] + op.stride[axis])
        return found[:-1]

    def run(x):
        *sizes, channels = x.shape
        every = [starts(size, axis) for axis, size in enumerate(sizes)]
        group = channels // op.groups
        y = []
        for corner in itertools.product(*every):
            for g in range(op.groups):
                for tap in np.ndindex(*op.kernel):
                    at = [first + k * step for first, k, step in zip(corner, tap, op.dilation, strict=True)]
                    inside = all(0 <= i < size for i, size in zip(at, sizes, strict=True))
                    y += [int(x[(*at, g * group + c)]) if inside else op.pad_code for c in range(group)]
        return (np.array(y).reshape(*map(len, every), -1),)

    return run


def folds(op, channels):
    """Lanes that divide a group's channels, or several whole groups: one kernel position at once."""
    group = channels // op.groups
    for lanes in divisors(group):
        yield Fold(1, lanes)
    for groups in divisors(op.groups)[1:]:
        yield Fold(1, group, groups)


def parallel_folds(op, channels):
    """Several kernel positions at once, any number of groups side by side."""
    for positions, groups in itertools.product(divisors(int(np.prod(op.kernel)))[1:], divisors(op.groups)):
        yield Fold(1, positions * channels // op.groups, groups)


CASES = [
    # the map's shape, window
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
SEQUENCES = [
    ((1, 1), SlidingWindow((1,))),
    ((9, 1), SlidingWindow((3,), pads=(1, 1))),
    ((5, 6), SlidingWindow((5,))),  # kernel = map
    ((8, 3), SlidingWindow((3,), stride=(2,), pads=(2, 0), pad_code=-1)),
    ((7, 5), SlidingWindow((1,), stride=(3,))),  # elements skipped and left over
    ((11, 2), SlidingWindow((3,), dilation=(4,), pads=(0, 3))),
    ((6, 12), SlidingWindow((2,), pads=(0, 1), groups=2)),  # 1 < groups < channels, six lanes
    ((5, 3), SlidingWindow((4,), pads=(1, 2), groups=3)),  # depthwise
    ((3, 2), SlidingWindow((1,), pads=(2, 4), stride=(2,))),  # padding wider than the window
    ((13, 1), SlidingWindow((2,), stride=(5,))),  # stride > kernel
]
VOLUMES = [
    ((1, 1, 1, 1), SlidingWindow((1, 1, 1))),
    ((2, 3, 2, 3), SlidingWindow((2, 3, 2))),  # kernel = map
    ((3, 4, 3, 1), SlidingWindow((3, 3, 3), pads=(1, 1, 1, 1, 1, 1))),
    ((4, 3, 5, 6), SlidingWindow((2, 1, 2), stride=(2, 1, 2), pads=(1, 0, 0, 0, 1, 1), pad_code=-1)),
    ((5, 4, 3, 2), SlidingWindow((1, 1, 1), stride=(2, 3, 2))),  # planes, rows and columns skipped and left over
    ((5, 5, 3, 1), SlidingWindow((2, 2, 2), dilation=(3, 2, 2), pads=(0, 2, 1, 3, 0, 1))),
    ((3, 2, 3, 6), SlidingWindow((2, 2, 2), groups=2, pads=(0, 1, 0, 1, 0, 0))),
    ((2, 3, 3, 3), SlidingWindow((2, 3, 1), groups=3, pads=(1, 1, 0, 0, 1, 0))),  # depthwise
    ((1, 1, 2, 2), SlidingWindow((1, 1, 2), pads=(2, 1, 0, 1, 2, 0), stride=(2, 1, 1))),  # planes of padding alone
    ((2, 1, 1, 1), SlidingWindow((1, 1, 1), pads=(3, 2, 1, 1, 0, 2), stride=(3, 2, 1))),
    ((6, 3, 2, 1), SlidingWindow((2, 2, 1), stride=(3, 3, 1))),  # stride > kernel
    ((3, 5, 1, 1), SlidingWindow((3, 2, 1), stride=(1, 2, 1), pads=(2, 0, 0, 1, 1, 0))),  # one column
    ((4, 1, 3, 1), SlidingWindow((2, 1, 2), stride=(1, 1, 3), pads=(0, 2, 1, 0, 2, 1))),  # one row
]
ROWS = [
    # Odd widths, strides, dilation, padding on one side, one row, one and three axes, channels of no power of two.
    ((5, 6, 6), SlidingWindow((3, 3), pads=(1, 1, 1, 1))),
    ((4, 9, 2), SlidingWindow((3, 3), pads=(0, 2, 1, 0), pad_code=-1)),
    ((3, 28, 1), SlidingWindow((2, 5), pads=(0, 2, 0, 2))),
    ((6, 12, 3), SlidingWindow((3, 3), stride=(2, 2), pads=(0, 0, 1, 1))),
    ((5, 10, 2), SlidingWindow((1, 3), stride=(1, 2), pads=(0, 1, 0, 0))),  # 5 windows of 10 columns
    ((4, 8, 2), SlidingWindow((1, 1), stride=(2, 2))),
    ((4, 18, 1), SlidingWindow((2, 2), stride=(1, 3), pads=(1, 0, 0, 1))),
    ((4, 8, 2), SlidingWindow((2, 3), dilation=(1, 3), pads=(0, 3, 1, 3))),
    ((3, 7, 2), SlidingWindow((3, 2))),  # 6 windows of 7 columns
    ((1, 6, 4), SlidingWindow((1, 3), pads=(0, 1, 0, 1), groups=2)),  # one row
    ((3, 4, 6), SlidingWindow((3, 3), pads=(1, 1, 1, 1), groups=6)),  # depthwise
    ((3, 2, 1), SlidingWindow((1, 1), pads=(1, 5, 0, 5))),  # padding wider than a beat
    ((9, 2), SlidingWindow((3,), pads=(1, 1))),
    ((8, 3), SlidingWindow((4,), stride=(2,), dilation=(2,), pads=(3, 3))),
    ((2, 3, 6, 2), SlidingWindow((2, 2, 3), pads=(1, 0, 1, 0, 1, 1))),
    ((3, 2, 4, 1), SlidingWindow((2, 1, 2), stride=(2, 1, 2))),
]
EVERY = [*CASES, *SEQUENCES, *VOLUMES, *ROWS]


def add_windows(ladder, cases, some=folds):
    kernels = 0
    for shape, op in cases:
        chosen = list(some(op, shape[-1]))
        if not chosen:
            continue
        kernels += len(chosen)
        ladder.add(op, [Stream(shape, -4, 3)], slow(op), folds=chosen)
    return kernels


@pytest.mark.parametrize("cases", [CASES[::3], CASES[1::3], CASES[2::3]])
def test_ladder(ladder, cases):
    kernels = add_windows(ladder, cases)
    assert ladder.climb() == kernels


@pytest.mark.parametrize(
    ("cases", "refused"),
    [(SEQUENCES, ["finn"]), (VOLUMES[::2], ["finn", "hls4ml"]), (VOLUMES[1::2], ["finn", "hls4ml"])],
)
def test_ladder_of_other_ranks(ladder, cases, refused):
    kernels = add_windows(ladder, cases)
    assert ladder.climb(refused=refused) == kernels


@pytest.mark.parametrize(
    ("cases", "refused"),
    [
        (CASES[::3], []),
        (CASES[1::3], []),
        (CASES[2::3], []),
        (SEQUENCES, ["finn"]),
        (VOLUMES[::2], ["finn", "hls4ml"]),
        (VOLUMES[1::2], ["finn", "hls4ml"]),
    ],
)
def test_ladder_of_parallel_windows(ladder, cases, refused):
    kernels = add_windows(ladder, cases, parallel_folds)
    assert ladder.climb(refused=refused) == kernels


def side_by_side(op, shape, some):
    """Every number of neighbouring windows that divides their row, with each of the folds that do not."""
    row = op.output_size(*shape[:-1])[-1]
    for fold, pixels in itertools.product(some(op, shape[-1]), divisors(row)[1:]):
        several = replace(fold, pixels=pixels)
        read = pixels * op.stride[-1]
        if pixels <= 16 and (some is folds or shape[-2] % read == 0):
            yield several


@pytest.mark.parametrize("cases", [ROWS[::3], ROWS[1::3], ROWS[2::3]])
@pytest.mark.parametrize("some", [folds, parallel_folds])
def test_ladder_of_neighbouring_windows(tmp_path, ladder, cases, some):
    alone, kernels = Ladder(tmp_path, ladder.variants), 0
    for shape, op in cases:
        chosen = list(side_by_side(op, shape, some))
        kernels += len(chosen)
        if chosen:
            alone.add(op, [Stream(shape, -4, 3)], slow(op), folds=chosen, frames=2)
    assert alone.climb() == kernels > 10


def folded(op, shape, fold):
    x = Stream(shape, 0, 3)
    ports = Ports((x,), op.infer(x))
    (read,), (sent,) = op.beats(ports, fold)
    return Ports((x.with_beat(read),), tuple(y.with_beat(sent) for y in ports.outputs))


@pytest.mark.parametrize(("shape", "op"), EVERY)
def test_phases(shape, op):
    """The phases read and send the whole frame, and the last step of the loop still moves a beat."""
    for fold in (*folds(op, shape[-1]), *side_by_side(op, shape, folds)):
        ports = folded(op, shape, fold)
        phases = op.phases(ports, fold)
        assert sum(read for read, _ in phases) == ports.inputs[0].beats
        assert sum(sent for _, sent in phases) == ports.outputs[0].beats
        rows = ports.outputs[0].shape[:-1] if op.rank == 1 and fold.pixels == 1 else ports.outputs[0].shape[:-2]
        assert len(phases) == np.prod(rows) + 1
        loop = KERNELS.of(op).access(op, ports, fold)
        if KERNELS.of(op).decimates(op, fold) or KERNELS.of(op).by_window(op, ports, fold):
            continue  # no phases of rows
        lasting = [phase for phase in phases if phase != (0, 0)]  # no fill where the first row is padding
        assert loop.trips == sum(map(max, phases)) + KERNELS.of(op).gap(op, ports, fold) * (len(lasting) - 1)
        assert loop.reads[0].mask()[-1] or loop.writes[0].mask()[-1]


def steps_by_window(op, shape, lanes):
    """When a window reads and sends, step by step, where a window is sent while the pixels that the next one adds are read."""
    *_, height, width, channels = (1, 1, *shape)
    half = len(op.pads) // 2
    *_, top, left = (0, *op.pads[:half])
    *_, bottom, right = (0, *op.pads[half:])
    (*_, kernel_y, kernel_x), (*_, step_y, step_x) = (1, *op.kernel), (1, *op.dilation)
    needed = []  # pixels of the map, in order, that there must be for each window
    for row in range(-top, height + bottom - (kernel_y - 1) * step_y):
        for column in range(-left, width + right - (kernel_x - 1) * step_x):
            places = itertools.product(range(kernel_y), range(kernel_x))
            pixels = [(row + y * step_y, column + x * step_x) for y, x in places]
            inside = [y * width + x + 1 for y, x in pixels if 0 <= y < height and 0 <= x < width]
            needed.append(max([*needed[-1:], *inside]))
    beats = channels // lanes
    sent = kernel_y * kernel_x * beats
    reads, sends = [1] * needed[0] * beats, [0] * needed[0] * beats
    for before, after in itertools.pairwise([*needed, height * width]):
        read = (after - before) * beats
        steps = range(max(read, sent))
        reads += [step < read for step in steps]
        sends += [step < sent for step in steps]
    return np.array(reads, bool), np.array(sends, bool)


def test_windows_ask_for_the_pixels_of_the_next_one_only():
    met = 0
    for shape, op in EVERY:
        for fold in folds(op, shape[-1]):
            ports = folded(op, shape, fold)
            if KERNELS.of(op).by_window(op, ports, fold):
                met += 1
                loop = KERNELS.of(op).access(op, ports, fold)
                expected = steps_by_window(op, shape, ports.outputs[0].lanes)
                for found, right in zip((loop.reads[0], loop.writes[0]), expected, strict=True):
                    assert np.array_equal(found.mask(), right), (shape, op, fold)
    assert met > 20


@pytest.mark.parametrize(("shape", "op"), EVERY)
def test_no_beat_is_read_back_while_it_is_written(shape, op):
    """The buffer's pragma promises that reads and writes are independent: a beat is read back 4 steps after its write
    or later, here found by playing the loop."""
    for fold in (*folds(op, shape[-1]), *side_by_side(op, shape, folds)):
        if KERNELS.of(op).decimates(op, fold):
            continue  # no buffer
        ports = folded(op, shape, fold)
        x, y = ports.inputs[0], ports.outputs[0]
        lanes = y.lanes // fold.pixels
        loop = KERNELS.of(op).access(op, ports, fold)
        written_at = np.flatnonzero(loop.reads[0].mask())
        tags = x.in_order(np.repeat(np.arange(x.beats), x.lanes)[None]).reshape(1, *shape)  # the beat of each element
        unpadded = SlidingWindow(op.kernel, op.stride, op.dilation, op.pads, op.groups, -1)
        sent = unpadded.compute(tags)[0][0]
        places, pixels = ports.outputs[0].pixels, int(np.prod(op.kernel))
        split = sent.reshape(places, op.groups // fold.groups, fold.groups, pixels, -1)
        beats = split.transpose(0, 1, 3, 2, 4).reshape(places // fold.pixels, fold.pixels, -1, lanes).swapaxes(1, 2)
        read_at = np.flatnonzero(loop.writes[0].mask())
        for step, several in zip(read_at, beats.reshape(-1, fold.pixels, lanes), strict=True):
            for beat in several:
                assert (beat == beat[0]).all()
                if beat[0] >= 0:
                    assert step - written_at[beat[0]] >= 4, (op, fold)


@given(st.data())
def test_numpy_is_the_loops(data):
    rank = data.draw(st.integers(1, 3))
    sizes = st.tuples(*[st.integers(1, 3)] * rank)
    kernel, stride, dilation = data.draw(sizes), data.draw(sizes), data.draw(sizes)
    extent = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    pads = tuple(data.draw(st.integers(0, size + 1)) for size in extent * 2)
    groups = data.draw(st.integers(1, 3))
    shape = (*(data.draw(st.integers(size, size + 3)) for size in extent), groups * data.draw(st.integers(1, 2)))
    op = SlidingWindow(kernel, stride, dilation, pads, groups, data.draw(st.integers(-2, 2)))
    x = np.random.default_rng(0).integers(0, 4, shape)
    np.testing.assert_array_equal(op.compute(x[None])[0][0], slow(op)(x)[0])
    (y,) = op.infer(Stream(shape, 0, 3))
    assert y.shape == slow(op)(x)[0].shape
    assert y.lo == (min(0, op.pad_code) if any(pads) else 0)
    for fold in (*folds(op, shape[-1]), *parallel_folds(op, shape[-1])):
        ports = folded(op, shape, fold)
        loop = KERNELS.of(op).access(op, ports, fold)
        assert (loop.reads[0].beats, loop.writes[0].beats) == (ports.inputs[0].beats, ports.outputs[0].beats)


@pytest.mark.parametrize(("shape", "op"), EVERY)
def test_a_window_is_sent_as_soon_as_it_is_complete(shape, op):
    """Parallel windows, played element by element: none is sent before its last pixel, and a loop has no other idle
    iterations than those of the padding."""
    for fold in parallel_folds(op, shape[-1]):
        ports = folded(op, shape, fold)
        loop = KERNELS.of(op).access(op, ports, fold)
        tags = np.repeat(np.arange(ports.inputs[0].beats), ports.inputs[0].lanes).reshape(1, *shape)
        unpadded = SlidingWindow(op.kernel, op.stride, op.dilation, op.pads, op.groups, -1)
        sent = unpadded.compute(tags)[0][0].reshape(
            -1, op.groups // fold.groups, fold.groups * ports.outputs[0].channels // op.groups
        )
        newest = np.repeat(sent.max(axis=-1).reshape(-1), int(np.prod(op.kernel)) * shape[-1] // op.groups // fold.simd)
        read_at = np.flatnonzero(loop.reads[0].mask())
        written_at = np.flatnonzero(loop.writes[0].mask())
        for step, beat in zip(written_at, newest, strict=True):
            assert beat < 0 or step >= read_at[beat], (op, fold)
        assert loop.reads[0].mask()[-1] or loop.writes[0].mask()[-1]


def test_a_whole_window_a_cycle_takes_a_map_of_one_pixel_a_cycle():
    """32 x 32 pixels, 3 x 3 windows: a fill of one row and a pixel at most beyond the pixels that are read."""
    for op in (SlidingWindow((3, 3), pads=(1, 1, 1, 1)), SlidingWindow((3, 3), pads=(1, 1, 1, 1), stride=(2, 2))):
        ports = folded(op, (32, 32, 2), Fold(1, 18))
        assert 0 <= KERNELS.of(op).access(op, ports, Fold(1, 18)).trips - 32 * 32 <= 33
    ports = folded(op, (32, 32, 2), Fold(1, 6))
    assert KERNELS.of(op).access(op, ports, Fold(1, 6)).trips == 32 * 32 + 16 * 16 * 2


@pytest.mark.parametrize(("width", "homes"), [(6, {"register"}), (20, {"register", "lutram"})])
def test_a_delay_line_counts_with_its_registers(width, homes):
    """A register for each of 3x3 positions, and two delays of a row's other beats: registers too where they are short."""
    op, shape = SlidingWindow((3, 3)), (width, width, 4)
    fold = Fold(1, 9 * 4)
    ports = folded(op, shape, fold)
    kernel = KERNELS.of(op)
    assert op.beat_lanes(ports, fold) == 4
    memories = kernel.cost(op, ports, fold).memories
    assert sum(memory.bits for memory in memories) == (9 + 2 * (width - 1)) * 4 * ports.inputs[0].bits
    assert all(memory.kind == "line" for memory in memories)
    placed = [choices(memory)[0] for memory in memories]
    assert {one.placement for one in placed} == homes
    taps = placed[0]
    assert (taps.lut, taps.ff, taps.bram18) == (0, taps.memory.bits, 0) and taps.occupied_bits == taps.memory.bits


def test_single_pixels_take_no_buffer():
    """One kernel position without padding: each beat is read, and sent in the same iteration where its pixel is kept."""
    found = 0
    for shape, op in EVERY:
        for fold in folds(op, shape[-1]):
            ports = folded(op, shape, fold)
            decimates = np.prod(op.kernel) == 1 and not any(op.pads)
            kernel = KERNELS.of(op)
            assert kernel.decimates(op, fold) == decimates
            assert bool(kernel.cost(op, ports, fold).memories) == (not decimates)
            if decimates:
                loop = kernel.access(op, ports, fold)
                kept = np.zeros(shape[:-1], bool)
                kept[tuple(slice(None, None, step) for step in op.stride)] = True
                beats = ports.inputs[0].beats // kept.size
                assert loop.reads[0].mask().all()
                np.testing.assert_array_equal(loop.writes[0].mask(), np.repeat(kept.reshape(-1), beats))
                assert (
                    kernel.cost(op, ports, fold).lut
                    < kernel.cost(
                        SlidingWindow((1,) * op.rank, op.stride, pads=(0,) * op.rank + (1,) * op.rank), ports, fold
                    ).lut
                    // 3
                )
                found += 1
    assert found > 10


def test_windows_side_by_side_divide_rows():
    op, x = SlidingWindow((3, 3), stride=(1, 2), pads=(1, 1, 1, 0)), Stream((4, 12, 2), 0, 3)
    ports = Ports((x,), op.infer(x))
    with pytest.raises(GraphError, match="4 windows side by side do not divide a row of 6"):
        op.beats(ports, Fold(1, 2, pixels=4))
    assert op.beats(ports, Fold(1, 1, pixels=3)) == ((Beat(3, 3),), (Beat(3, 3),))
    assert op.beats(ports, Fold(1, 18, pixels=3)) == ((Beat(12),), (Beat(54),))
    valid = SlidingWindow((3, 3))
    ports = Ports((x,), valid.infer(x))  # 10 windows of 12 pixels
    assert valid.beats(ports, Fold(1, 2, pixels=2)) == ((Beat(4),), (Beat(4, 2),))
    assert valid.beats(ports, Fold(1, 2, pixels=5)) == ((Beat(2),), (Beat(10, 5),))
    with pytest.raises(
        GraphError, match="5 windows side by side take 5 pixels at once, which do not divide a row of 12"
    ):
        valid.beats(ports, Fold(1, 6, pixels=5))


def test_folds_that_no_window_can_keep():
    op, x = SlidingWindow((3, 3)), Stream((400, 400, 4), 0, 3)
    ports = Ports((x,), op.infer(x))
    for simd in (6, 8, 16):
        with pytest.raises(GraphError, match=f"{simd} columns at once are no whole part of 9 kernel positions"):
            op.lanes(ports, Fold(1, simd))
    with pytest.raises(GraphError, match="158404 windows with 3 kernel positions at once; at most 65536"):
        op.lanes(ports, Fold(1, 12))
    assert op.lanes(ports, Fold(1, 36)) == ((4,), (36,))


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
    with pytest.raises(GraphError, match=r"stride \(1, 1\) for a kernel of 3 axes; expected 3 numbers"):
        SlidingWindow((1, 1, 1), stride=(1, 1))
    with pytest.raises(GraphError, match=r"pads \(1, 1\) for a kernel of 2 axes; expected 4 numbers"):
        SlidingWindow((1, 1), pads=(1, 1))
    for kernel in ((), (1, 1, 1, 1)):
        with pytest.raises(GraphError, match=f"a kernel of {len(kernel)} axes; supported are 1 to 3"):
            SlidingWindow(kernel)
