"""Thresholds."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ladder import Ladder

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream, width
from muxflow.dataflow.multiply_shift import multiply_shift
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS, threshold
from muxflow.hls.kernels.threshold_forms import AllAtOnce, Multiply, Search, forms


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
    assert ladder.climb() == 3 * (1 + 1 + 4 * 2 + 2 * 2 + 3 * 2 + 2 * 2 + 2 * 2) + 2 * 5 + 2 * 2  # 16 pixels at most


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
    for falling in ([0, 2], [-1, 0], [0, 32768]):
        with pytest.raises(GraphError, match=rf"^threshold: falling {min(falling) or max(falling)}; expected 0 or 1"):
            Threshold([[1, 2], [3, 4]], falling)
    with pytest.raises(GraphError, match="3 rows of thresholds"):
        Threshold([[1], [2], [3]], [0, 0, 0]).infer(Stream((2, 2, 2), 0, 1))


def line(steps, slope, first, rows=1, falling=0):
    """Thresholds that one line gives."""
    levels = [[int(np.ceil(first + row + slope * k)) for k in range(steps)] for row in range(rows)]
    return Threshold(levels, [falling] * rows)


def to_even(steps, shift, first=0, rows=1, falling=0, base=0, factor=1):
    """Thresholds of round(factor * (x - first - row) / 2^shift) with ties to even, less what is under the lowest code."""
    codes = base + np.arange(steps) + 1
    levels = []
    for row in range(rows):
        x = np.arange(-(2**15), 2**15)
        sums = factor * (x - first - row)
        found = np.rint((-sums if falling else sums) / 2.0**shift)
        reached = found[:, None] < codes[::-1] if falling else found[:, None] >= codes
        levels.append([int(x[column.argmax()]) if column.any() else 2**15 for column in reached.T])
    return Threshold(levels, [falling] * rows, base)


FALLING = [0, 1, 1, 0, 1]
CASES = [
    # Every x of small intervals; thresholds in any order of distance, some never met, some always.
    *(
        ((41, 1, 5), Threshold(rows(5, steps, -22, 22, seed), FALLING), -20, 20)
        for seed, steps in enumerate((1, 2, 3, 5))
    ),
    ((41, 1, 6), Threshold(rows(6, 7, -22, 22), [0, 1] * 3, base=-3), -20, 20),
    ((256, 1, 3), Threshold(rows(3, 15, -128, 127), [0, 1, 0]), -128, 127),  # the pad needs one more bit
    ((256, 1, 3), Threshold(rows(3, 16, 0, 255), [0, 1, 0], base=-8), 0, 255),
    ((512, 1, 3), Threshold(rows(3, 255, -256, 255), [0, 1, 0]), -256, 255),
    ((41, 1, 4), Threshold(rows(1, 5, -22, 22), [1]), -20, 20),  # one row for every element
    ((41, 1, 1), Threshold(rows(1, 7, -22, 22), [0]), -20, 20),  # one channel
    ((1, 1, 6), Threshold(rows(6, 7, -22, 22), [0, 1] * 3), -20, 20),  # one pixel
    ((2, 1, 3), Threshold(rows(6, 7, -22, 22), [0, 1] * 3), -20, 20),  # a row for each element
    ((41, 1, 5), Threshold(rows(5, 3, -22, 22).repeat(2, axis=1), FALLING, base=-1), -20, 20),  # equal pairs
    ((1, 1, 2), Threshold(rows(2, 5, -9, 2**31), [0, 1]), 0, 2**32 - 1),
]
LINES = [
    ((41, 1, 5), Threshold([[first] for first in (-30, -20, 0, 20, 30)], FALLING), -20, 20),
    ((41, 1, 6), line(2, 3.5, -4.2, 6), -20, 20),
    ((41, 1, 6), line(3, 8, -4, 6, falling=1), -20, 20),  # a power of two: no product
    ((41, 1, 5), line(5, 2.7, -7.1, 5, falling=1), -20, 20),
    ((256, 1, 3), line(7, 21.3, -60.4, 3), -128, 127),
    ((256, 1, 3), line(15, 11.71, 4.4, 3), 0, 255),
    ((256, 1, 3), line(16, 20.9, -30.1, 3, falling=1), 0, 255),
    ((512, 1, 3), line(255, 1.9, -240.3, 3), -256, 255),
    ((41, 1, 3), line(4, 2.5, -6.3), -20, 20),
    *(((81, 1, 2), to_even(5, 2, 3, 2, falling, base), -40, 40) for falling in (0, 1) for base in (0, 1, -3, -4)),
    ((256, 1, 3), to_even(15, 3, -7, 3, factor=3), -128, 127),
    ((256, 1, 3), to_even(31, 4, -7, base=-16, factor=2), -128, 127),
    ((4, 64, 2), line(255, 103.7, -2e4, 2), -(2**19), 2**19 - 1),  # x is clipped
    ((4, 64, 2), line(255, 103.7, 10.5, 2, falling=1), 0, 2**32 - 1),
    # the product has more bits than what is left after the bias
    ((201, 1, 1), line(100, 1.3, 3 - 2**24), -(2**24), 200 - 2**24),
]
TEN_BITS = [
    ((64, 64, 1), to_even(1023, 3), -(2**13), 2**13 - 1),  # ten bits
    ((64, 64, 1), to_even(1023, 3, 1.0, falling=1, base=-512), -(2**33), 2**33),
    ((41, 1, 5), Threshold(line(3, 4.3, -7.1, 5).thresholds.repeat(2, axis=1), FALLING, base=-1), -20, 20),
]


def cases(form):
    """What a form takes: only lines for a product, nothing of ten bits for comparisons all at once."""
    return CASES * (form is not Multiply) + LINES + TEN_BITS * (form is not AllAtOnce)


@pytest.mark.parametrize("form", [AllAtOnce, Search, Multiply])
def test_every_form_on_every_x(form, tmp_path, ladder, monkeypatch):
    def chosen(op, ports, fold):
        return next(one for one in forms(op, ports, fold) if isinstance(one, form))

    monkeypatch.setattr(threshold, "cheapest", chosen)
    alone = Ladder(tmp_path, ladder.variants)
    for shape, op, lo, hi in cases(form):
        x = np.arange(lo, hi + 1) if hi - lo < 1000 else around(op, lo, hi)
        pixels, channels = shape[0] * shape[1], shape[2]
        frames = [
            np.resize(np.roll(x, -start).repeat(channels), (pixels, channels)) for start in range(0, len(x), pixels)
        ]
        alone.add(op, [Stream(shape, lo, hi)], slow(op), values=[np.stack(frames).reshape(-1, *shape)])
    assert alone.climb() == sum(len(list(op.folds(ports(op, *of)))) for of, op in described(form))


def described(form):
    for shape, op, lo, hi in cases(form):
        yield (shape, lo, hi), op


def ports(op, shape, lo, hi):
    x = Stream(shape, lo, hi)
    return Ports((x,), op.infer(x))


def around(op, lo, hi):
    """The ends, and what lies on both sides of each threshold."""
    near = np.concatenate([op.levels.ravel() - 1, op.levels.ravel(), [lo, lo + 1, hi - 1, hi]])
    return np.unique(near[(near >= lo) & (near <= hi)])


def computed(found, op, x):
    """Codes by multiply and shift, shape (x, rows)."""
    sums = found.factors * np.clip(x, found.lowest, found.highest)[:, None] + found.biases
    if found.even:
        sums = np.where((sums >> found.shift) + op.base & 1, sums - 1, sums)
    assert found.lo <= sums.min() and sums.max() <= found.hi
    return op.base + op.jump * np.clip(sums >> found.shift, 0, op.levels.shape[1])


def check_multiply_shift(op, lo, hi):
    found = multiply_shift(op, lo, hi)
    if found is not None:
        x = np.arange(lo, hi + 1)
        np.testing.assert_array_equal(computed(found, op, x), op.codes(x[:, None].repeat(len(op.thresholds), axis=1)))
        clipped = max(abs(found.lowest), abs(found.highest + 1)).bit_length() + 1
        factor = int(np.abs(found.factors).max()).bit_length() + 1
        assert factor <= 2 or (min(clipped, factor) <= 18 and max(clipped, factor) <= 25)
    return found


@given(st.data())
def test_multiply_and_shift_is_exact_wherever_it_is_found(data):
    lo = data.draw(st.integers(-3000, 2000))
    hi = lo + data.draw(st.integers(0, 4000))
    count, steps = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 20))
    slope, first = data.draw(st.floats(0.2, 200)), data.draw(st.floats(-4000, 4000))
    falling = data.draw(st.lists(st.integers(0, 1), min_size=count, max_size=count))
    levels = np.array(line(steps, slope, first, count).thresholds)
    check_multiply_shift(Threshold(levels, falling), lo, hi)
    levels[data.draw(st.integers(0, count - 1)), data.draw(st.integers(0, steps - 1))] += data.draw(
        st.sampled_from([-1, 1])
    )
    check_multiply_shift(Threshold(np.sort(levels, axis=1), falling), lo, hi)


@given(st.integers(1, 3), st.integers(0, 10**6))
def test_the_shift_is_the_least(steps, seed):
    """Against every factor and bias that could do at the shift before."""
    rng = np.random.default_rng(seed)
    lo, hi = -6, int(rng.integers(-5, 7))
    op = Threshold(np.sort(rng.integers(lo - 1, hi + 2, (1, steps)), axis=1), [0])
    found = check_multiply_shift(op, lo, hi)
    before = min(3, 4 if found is None else found.shift - 1)
    if before < 0:
        return
    x, one = np.arange(lo, hi + 1), 1 << before
    most = 14 * steps * one
    biases = np.arange(-most, most)[:, None]
    for factor in range(steps * one + 2):
        codes = np.clip(factor * x + biases >> before, 0, steps)
        assert not (codes == op.codes(x[:, None])[:, 0]).all(axis=1).any(), (op, hi, factor, found)


@given(st.data())
def test_ties_to_even_are_found(data):
    """As power-of-two scales give them: half of the codes begin at a tie."""
    shift, steps = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 40))
    base, falling = data.draw(st.integers(-20, 3)), data.draw(st.integers(0, 1))
    op = to_even(steps, shift, data.draw(st.integers(-50, 50)), 2, falling, base, data.draw(st.sampled_from([1, 2, 3])))
    assert check_multiply_shift(op, -3000, 3000) is not None


def test_multiply_and_shift_of_eight_bits():
    rng = np.random.default_rng(3)
    slope, first = rng.uniform(40, 200, (64, 1)), rng.uniform(-(2**14), 2**13, (64, 1))
    levels = np.ceil(first + slope * np.arange(255)).astype(int)
    falling = rng.integers(0, 2, 64)
    found = check_multiply_shift(Threshold(levels, falling), -(2**19), 2**19 - 1)
    assert found is not None and (found.lowest, found.highest) != (-(2**19), 2**19 - 1)
    assert ((found.factors < 0) == (falling == 1)).all()
    levels[5, 100] += int(slope[5, 0] / 2)
    assert multiply_shift(Threshold(levels, falling), -(2**19), 2**19 - 1) is None


def test_the_cheapest_form_is_taken():
    def taken(op, lanes, lo=-(2**19), hi=2**19 - 1):
        folded = ports(op, (8, 8, len(op.thresholds)), lo, hi)
        form = threshold.cheapest(op, folded, Fold(lanes))
        unit, cost = KERNELS.unit(op, folded, Fold(lanes)), KERNELS.of(op).cost(op, folded, Fold(lanes))
        assert unit.function == form.function and cost == form.cost
        tables = [table for table in unit.tables if table.memory]
        assert [memory.name for memory in cost.memories] == [table.name for table in tables]
        for memory, table in zip(cost.memories, tables, strict=True):
            assert memory.lanes == (table.values.shape[1] if table.lanes else 0)
            assert memory.bits == table.values.size * width(table.lo, table.hi)[0]
        return form

    few, many = Threshold(rows(64, 1, -999, 999), [0] * 64), Threshold(rows(64, 255, -(2**18), 2**18), [0] * 64)
    assert isinstance(taken(few, 8), AllAtOnce)
    assert isinstance(taken(many, 8), Search)
    assert isinstance(taken(line(255, 103.7, -2e4, 64), 8), Multiply)
    assert taken(many, 8).cost.unrolled == 64 and taken(many, 8).cost.depth == 12
    assert taken(line(255, 103.7, -2e4, 64), 8).cost.dsp == 8


def test_lanes_are_limited_by_the_target_alone():
    """What is unrolled is one comparison a bit of the count, not one a step."""
    op = Threshold(rows(1, 1500, -2000, 2000), [0])
    found = ports(op, (1, 1, 6), -2000, 2000)
    costs = [KERNELS.of(op).cost(op, found, fold) for fold in op.folds(found)]
    assert [cost.unrolled for cost in costs] == [11, 22, 33, 66]


def test_thresholds_far_apart_ascend():
    op = Threshold([[-(2**62), 2**62]], [0])
    assert op.codes(np.array([[-(2**62) - 1], [0], [2**62]])).ravel().tolist() == [0, 1, 2]
