"""LSTM cell."""

import itertools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, Ports
from muxflow.dataflow.ops.lstm_cell import LstmCell, sum_interval
from muxflow.dataflow.ops.rom_weights import RomWeights


def clip(value, lowest, highest):
    return max(lowest, min(highest, value))


def squashed(op, c):
    return op.squash_base + sum(t <= c for t in op.squash.tolist()) if op.squash.size else c


def slow(op, stateful=False):
    """One frame after the other in plain integers."""
    units = len(op.outputs)
    held = {"c": [0] * units, "h": [0] * units}

    def run(x, w):
        if not stateful:
            held.update(c=[0] * units, h=[0] * units)
        sent = []
        for given in x.reshape(-1, 4 * units).tolist():
            c, h = held["c"], held["h"]
            sums = [given[r] + sum(int(w[r, k]) * h[k] for k in range(units)) for r in range(4 * units)]
            codes = [
                op.bases[r % 4] + sum(int(t) <= sums[r] for t in op.thresholds[r].tolist()) for r in range(4 * units)
            ]
            for u in range(units):
                i, f, g, _ = codes[4 * u : 4 * u + 4]
                kept, added = op.factors[0] * f * c[u], op.factors[1] * i * g
                if op.each:
                    # Python's round is half to even, and these fractions are exact.
                    kept, added = (clip(round(Fraction(v, 2**op.shift)), *op.limits) for v in (kept, added))
                    c[u] = clip(kept + added, *op.limits)
                else:
                    c[u] = clip((kept + added) // 2**op.shift, *op.limits)
            held["c"] = c
            held["h"] = [
                op.output_base + sum(int(t) <= codes[4 * u + 3] * squashed(op, c[u]) for t in op.outputs[u].tolist())
                for u in range(units)
            ]
            sent.append(held["h"])
        y = np.array(sent[-1:] if op.last else sent)
        return (y.reshape(*([1] * (x.ndim - 1) if op.last else x.shape[:-1]), units),)

    return run


def cell(rng, units, reach, *, gate_steps=3, output_steps=1, **options):
    """A cell whose thresholds lie within the reach of its sums, as BILLNET's: three gates from 0, one around 0."""
    half = gate_steps // 2
    given = {
        "thresholds": np.sort(rng.integers(-reach, reach + 1, (4 * units, gate_steps)), axis=1),
        "bases": (0, 0, -half, 0),
        "factors": (1, 2),
        "shift": 2,
        "limits": (-7, 7),
        "outputs": np.sort(rng.integers(-3, 8, (units, output_steps)), axis=1),
    }
    return LstmCell(**given | options)


def order(units):
    """What the loop asks for, step by step: the weights tile by tile."""

    def run(fold, inputs):
        x, w = (values.reshape(-1).tolist() for values in inputs)
        tiles = [
            w[(row + p) * units + column + c]
            for row in range(0, 4 * units, fold.pe)
            for column in range(0, units, fold.simd)
            for c in range(fold.simd)
            for p in range(fold.pe)
        ]
        return np.array(x), np.array(tiles)

    return run


def add(ladder, op, shape, lo, hi, weights, **options):
    x = Stream((*shape, 4 * op.units), lo, hi)
    (w,) = RomWeights(np.array(weights), 1, x.pixels).infer()
    ladder.add(op, [x, w], slow(op), order=order(op.units), **options)


def weights_of(rng, kind, units):
    shape = (4 * units, units)
    if kind == "binary":
        return 2 * rng.integers(0, 2, shape) - 1
    return rng.integers(-1, 2, shape) if kind == "ternary" else rng.integers(-7, 8, shape)


@pytest.mark.parametrize("kind", ["binary", "ternary", "wide"])
def test_ladder(ladder, kind):
    rng = np.random.default_rng(len(kind))
    cases = [((5,), 1), ((7,), 4), ((4, 1, 1), 2)]
    if kind == "binary":
        cases += [((1,), 1), ((1, 1), 3), ((2, 3), 6)]
    for shape, units in cases:
        op = cell(rng, units, 3 + units, last=len(shape) == 2)
        add(ladder, op, shape, -6, 6, weights_of(rng, kind, units), frames=5)
    op = cell(rng, 2, 9, gate_steps=7, output_steps=3, output_base=-1, factors=(3, 1), shift=0, limits=(-31, 20))
    add(ladder, op, (6,), -9, 9, weights_of(rng, kind, 2), frames=5)
    assert ladder.climb() == 3 + 12 + 7 + 7 + (3 + 7 + 17 if kind == "binary" else 0)


def test_summands_rounded_one_by_one_and_a_squashed_state(ladder):
    """As Brevitas' QuantLSTM has it; every product of gate and state among them, ties to even."""
    rng = np.random.default_rng(9)
    options = {"each": True, "limits": (-8, 7), "gate_steps": 4, "output_steps": 5, "output_base": -2}
    for shape, units, shift in [((6,), 1, 1), ((9,), 2, 3), ((5,), 4, 0)]:
        squash = np.sort(rng.integers(-8, 8, 6)) if units < 4 else []
        op = cell(rng, units, 6, shift=shift, factors=(2, 3), squash=squash, squash_base=-3, **options)
        add(ladder, op, shape, -6, 6, weights_of(rng, "wide", units), frames=6)
    # Weights and outputs of more than four bits: products in DSP blocks.
    op = cell(rng, 2, 90, shift=2, factors=(1, 2), **{**options, "output_steps": 20, "output_base": -9})
    add(ladder, op, (4,), -60, 60, rng.integers(-30, 31, (8, 2)), frames=6)
    assert ladder.climb() == 3 + 7 + 12 + 7


def test_folds_of_many_units_and_sequences_of_many_steps(ladder):
    """SIMD that is no power of two, several units at once in words of more, a state of 16 steps; gates of many levels."""
    rng = np.random.default_rng(6)
    op = cell(rng, 5, 40, gate_steps=15, shift=4, factors=(1, 8), limits=(-100, 127), last=True)
    add(ladder, op, (16,), -30, 30, weights_of(rng, "wide", 5), folds=[Fold(2, 5), Fold(20, 5)])
    op = cell(rng, 12, 15, each=True, squash=np.sort(rng.integers(-7, 8, 4)), squash_base=-2)
    add(ladder, op, (2,), -6, 6, weights_of(rng, "binary", 12), folds=[Fold(8, 6), Fold(12, 3)])
    assert ladder.climb() == 4


def test_sequences_of_three_steps(ladder):
    """One unit of one-bit gates, each 61st of all sequences of three steps."""
    op = LstmCell([[0, 9], [1, 9], [0, 1], [1, 9]], (0, 0, -1, 0), (1, 1), 0, (-2, 2), [[1]])
    every = np.array(list(itertools.product((-1, 0, 1), repeat=12))[::61]).reshape(-1, 3, 4)
    add(ladder, op, (3,), -1, 1, [[1], [-1], [1], [0]], values=[every, None], tight=True)
    assert ladder.climb() == 3


def test_saturation_at_both_ends(ladder):
    """A state that would grow for ever stays at its limits, of a wide range too."""
    for limits in [(-1, 1), (-(2**15), 2**15 - 1), (0, 0)]:
        op = LstmCell([[-9], [-9], [0], [-9]], (0, 1, -1, 0), (3, 2**13), 0, limits, [[1]])
        up, down = np.full((1, 9, 4), 5), np.full((1, 9, 4), -5)
        add(ladder, op, (9,), -5, 5, [[0], [0], [0], [1]], values=[np.concatenate([up, down]), None])
    assert ladder.climb() == 9


def test_thresholds_beyond_the_sums(ladder):
    """Those that are never reached, and those that always are."""
    op = LstmCell([[-(2**40), 2**40]] * 4, (0, 0, 0, 0), (1, 1), 0, (0, 9), [[-(2**40), 1, 2**40]])
    add(ladder, op, (3,), -1, 1, [[1]] * 4)
    assert ladder.climb() == 3


def test_state_carried_on():
    """A stateful cell takes frames as one sequence; a cell that is not begins each of them anew."""
    rng = np.random.default_rng(4)
    op = cell(rng, 3, 4)
    weights = weights_of(rng, "ternary", 3)
    x = rng.integers(-5, 6, (6, 4, 12))
    (whole,) = op.compute(x.reshape(1, 24, 12), weights)
    (carried,) = op.carried_on().compute(x, weights)
    np.testing.assert_array_equal(carried.reshape(whole.shape), whole)
    (begun,) = op.compute(x, weights)
    assert (begun != carried).any()
    np.testing.assert_array_equal(begun[0], carried[0])
    reference = slow(op, stateful=True)
    np.testing.assert_array_equal(carried, np.stack([reference(frame, weights)[0] for frame in x]))
    last = replace(op, last=True).carried_on().compute(x, weights)[0]
    np.testing.assert_array_equal(last, carried[:, -1:])


@pytest.mark.parametrize("units", [1, 2, 6, 8])
def test_legal_folds(units):
    rng = np.random.default_rng(1)
    op = cell(rng, units, 3)
    x, (w,) = Stream((2, 4 * units), -1, 1), RomWeights(np.ones((4 * units, units)), 1, 2).infer()
    found = list(op.folds(Ports((x, w), op.infer(x, w))))
    expected = {
        Fold(pe, simd)
        for pe in range(1, 4 * units + 1)
        for simd in range(1, units + 1)
        if 4 * units % pe == 0 and (pe in (1, 2) or pe % 4 == 0) and units % simd == 0 and simd % max(1, pe // 4) == 0
    }
    assert len(found) == len(set(found))
    assert set(found) == expected


def test_sum_interval_holds_every_sum():
    rng = np.random.default_rng(2)
    op = cell(rng, 2, 3, output_steps=2, output_base=-1)
    weights = rng.integers(-3, 4, (8, 2))
    x, (w,) = Stream((2, 8), -2, 5), RomWeights(weights, 1, 2).infer()
    met = [
        x_end + int(h @ row) for row in weights for h in itertools.product((-1, 0, 1), repeat=2) for x_end in (-2, 5)
    ]
    assert sum_interval(x, w, op.output_interval) == (min(met), max(met))
    least, most = sum_interval(x, Stream((8, 2), -3, 3, 2), (-1, 1))
    assert least <= min(met)
    assert max(met) <= most


def test_bad_attributes():
    rng = np.random.default_rng(3)
    for message, change in {
        r"thresholds of shape \(4,\)": {"thresholds": [1, 2, 3, 4]},
        "outputs of a row must not descend": {"outputs": [[2, 1]]},
        "8 rows of thresholds for 1 units; 4 gates of each": {"thresholds": [[0]] * 8},
        "a shift of 32 bits; 0 to 31": {"shift": 32},
        "2 from 1 on": {"factors": (0, 1)},
        r"squash of shape \(2,\); expected \(steps,\), not descending": {"squash": [2, 1]},
        r"the state in \[1, 3\]; it begins at 0": {"limits": (1, 3)},
        r"the output in \[1, 2\]; it begins at 0": {"output_base": 1},
    }.items():
        with pytest.raises(GraphError, match=message):
            cell(rng, 1, 3, **change)


def test_bad_inputs():
    op = cell(np.random.default_rng(3), 2, 3)
    (w,) = RomWeights(np.ones((8, 2)), 1, 5).infer()
    with pytest.raises(GraphError, match=r"2 units with an input .* expected 8 channels"):
        op.infer(Stream((5, 4), -1, 1), w)
    with pytest.raises(GraphError, match="weights come 5 times a frame, the input has 4 steps"):
        op.infer(Stream((4, 8), -1, 1), w)


def test_what_overflows_is_an_error_that_names_its_bits():
    op = cell(np.random.default_rng(3), 1, 3)
    (w,) = RomWeights(np.ones((4, 1)), 1, 2).infer()
    with pytest.raises(GraphError, match=r"what the gates compare .* takes 33 bits; supported are 31"):
        op.infer(Stream((2, 4), -(2**31), 2**31), w)
    x = Stream((2, 4), -1, 1)
    with pytest.raises(GraphError, match=r"the state before its shift .* takes 3[0-9] bits"):
        replace(op, limits=(-(2**27), 2**27 - 1), factors=(2**4, 1)).infer(x, w)
    with pytest.raises(GraphError, match=r"the product of output gate and state .* takes 32 bits"):
        replace(op, limits=(0, 2**29), factors=(1, 1), bases=(0, 0, 0, 3)).infer(x, w)
