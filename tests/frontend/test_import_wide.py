"""Weights and activations of more than 8 bits, from the file to the C simulation."""

from itertools import product

import numpy as np
import pytest

import muxflow
from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.graph import EVERY
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.registry import load


def numbers(*shape, low=-3, high=4, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape)


def ops(graph, kind):
    return [node.op for node in graph.nodes if isinstance(node.op, kind)]


def net(build, bits, scale, signed=0, weight_bits=8, **options):
    """Convolution, the quantizer at hand, dense layer."""
    b = build((1, 2, 3, 3))
    b.quant(scale=1 / 64)
    half = 1 << weight_bits - 1
    x = b.last
    weights = b.weights(numbers(3, 2, 2, 2, low=1 - half, high=half), 1 / half, bits=weight_bits)
    b.node("Conv", x, weights)
    b.quant(scale=scale, bits=bits, signed=signed, **options)
    x = b.then("Flatten")
    b.node("Gemm", x, b.weights(numbers(12, 4, low=-500, high=500), bits=10), np.float32([0.5, 0, -1, 0.25]))
    return b


@pytest.mark.parametrize(("bits", "signed"), list(product([9, 10, 12], [0, 1])))
def test_up_to_12_bits_are_thresholds(bits, signed, build, prove):
    """As quantized_relu(10, 2): a power-of-two scale, ties to even."""
    graph = prove(net(build, bits, 2.0**-bits * 8, signed), count=16, tensors=2)
    assert len(ops(graph, Threshold)) == 1
    assert graph.notes["near_ties"] == "0"


def test_a_float_scale_and_a_row_a_channel(build, prove):
    b = net(build, 10, 0.00713, signed=1, weight_bits=11)
    graph = prove(b, count=16)
    assert len(ops(graph, Threshold)) == 1


@pytest.mark.parametrize("rounding", ["ROUND", "FLOOR", "CEIL", "HALF_UP"])
def test_16_bits_are_a_shift_where_that_is_exact(rounding, build, prove):
    graph = prove(net(build, 16, 2.0**-11, signed=1, rounding=rounding), count=16, tensors=2)
    (shift,) = ops(graph, ShiftClip)
    assert not ops(graph, Threshold)
    if rounding == "HALF_UP":  # ties away from zero: a factor a little above 1
        assert len(ops(graph, Scale)) == 1
    else:
        assert not ops(graph, Scale)
        assert (shift.shift, shift.even) == (2, rounding == "ROUND")


def test_16_bits_with_a_factor_a_channel(build, prove):
    """A batch norm of small fractions with a bias; one channel falls."""
    b = build((1, 2, 4, 4))
    b.quant(signed=1, bits=6)
    b.conv(numbers(3, 2, 1, 1, low=-40, high=40))
    b.then("Mul", np.float32([3, -5, 64]).reshape(3, 1, 1))
    b.then("Add", np.float32([7, -3, 11]).reshape(3, 1, 1))
    b.quant(scale=4.0, bits=16, signed=1)
    b.conv(numbers(2, 3, 1, 1))
    graph = prove(b, count=16)
    assert len(ops(graph, ShiftClip)) == len(ops(graph, Scale)) == 1


@pytest.mark.parametrize("units", [(1.3747,), (1.1169, 1.3798, 1.2134)], ids=["one unit", "one a channel"])
def test_ties_of_16_bits_are_those_of_the_product(units, build, save):
    """Where the floats next to a sum have several codes: those, at the product of the sum and its channel's factor."""
    b = build((1, 1, 4, 4))
    b.quant(scale=1.0, bits=12, signed=1)
    x, scale = b.last, np.float32(units).reshape(-1, 1, 1, 1)
    b.node("Conv", x, b.quant(np.broadcast_to(scale, (3, 1, 1, 1)), scale, bits=2, signed=1))
    b.quant(scale=1.0, bits=16, signed=1)
    b.conv(numbers(2, 3, 1, 1))
    graph = load(save(b))
    (node,) = (node for node in graph.nodes if isinstance(node.op, ShiftClip))
    factors = [int(factor) for factor in np.broadcast_to(ops(graph, Scale)[0].factors, 3)]
    wanted = set()
    for channel, factor in enumerate(factors):
        unit = float(np.float32(units[channel % len(units)]))
        slack = 2**11 * unit * 2.0**-21
        for code in range(-(2**11), 2**11):
            floats = np.float32(np.linspace(code * unit - slack, code * unit + slack, 101))
            met = set(np.rint(floats).astype(int).tolist())
            if len(met) > 1:
                x = np.zeros((1, *graph.streams[node.inputs[0]].shape), np.int64)
                x[..., channel] = code * factor
                (y,) = node.op.compute(x)
                wanted.add((channel, code * factor, *sorted(met - {int(y[0, 0, 0, channel])})))
    ties = graph.ties[node.name]
    if len(units) == 1:  # one row for all channels: told once
        assert {tie[0] for tie in ties} == {EVERY}
        ties = tuple((channel, *tie[1:]) for channel in range(3) for tie in ties)
    assert set(ties) == wanted and len(ties) == len(wanted) > 10
    assert int(graph.notes["near_ties"]) > 0


def test_more_ties_than_a_graph_keeps_are_refused_by_name(build, save, monkeypatch):
    monkeypatch.setattr("muxflow.frontend.importer.quantizers.MOST_TIES", 5)
    b = build((1, 1, 4, 4))
    b.quant(scale=1.0, bits=12, signed=1)
    b.node("Conv", b.last, b.quant(np.float32([[[[1.3747]]]]), np.float32(1.3747), bits=2, signed=1))
    b.quant(scale=1.0, bits=16, signed=1)
    with pytest.raises(
        UnsupportedError, match=r"Quant_\d+ \(Quant\): .* \d+ sums at which float rounding .* up to 5 \(MOST_TIES"
    ):
        load(save(b))


@pytest.mark.parametrize("scale", [0.25, 0.375])
def test_codes_that_are_passed_over_are_a_product(scale, build, prove):
    """A step of the sum is several codes: no shift alone, whose steps would have no width."""
    b = build((1, 2, 4, 4))
    b.quant(scale=0.75, bits=13, signed=1)
    b.conv(numbers(3, 2, 1, 1))
    b.then("Mul", np.float32(3))
    b.quant(scale=scale, bits=16, signed=1, rounding="FLOOR")
    b.conv(numbers(2, 3, 1, 1))
    graph = prove(b, count=16)
    assert len(ops(graph, ShiftClip)) == len(ops(graph, Scale)) == 1


def test_16_bits_that_no_shift_gives_are_refused_by_name(build, save):
    message = r"Quant_\d+ \(Quant\): 32,472 steps between codes; up to 4,095 \(MOST_STEPS\) .* or power-of-two scales"
    with pytest.raises(UnsupportedError, match=message):
        load(save(net(build, 16, 0.0004137, weight_bits=12)))


def test_sums_that_float32_rounds_are_named_as_the_reason(build, save):
    """quantized_bits(16, 6) everywhere: power-of-two scales, and no float model that computes them exactly."""
    b = build((1, 6))
    b.quant(scale=2.0**-10, bits=16, signed=1)
    b.node("Gemm", b.last, b.weights(numbers(6, 4, low=1 - 2**15, high=2**15), 2.0**-10, bits=16))
    b.quant(scale=2.0**-10, bits=16)
    message = r"65,535 steps between codes; .* fewer bits in the layer before it: its sums take 3\d, and float32"
    with pytest.raises(UnsupportedError, match=message):
        load(save(b))


def test_weights_of_16_bits_with_and_without_a_quantizer(build, prove, searched):
    matrix = numbers(6, 4, low=-(2**15) + 1, high=2**15, seed=3)
    for known in (True, False):
        b = build((1, 6))
        b.quant(signed=1, bits=7)
        weights = b.weights(matrix, 2.0**-15, bits=16) if known else np.float32(matrix / 2**15)
        b.node("Gemm", b.last, weights)
        graph = prove(b, count=8)
        assert set(searched) == (set() if known else {"Gemm_1"})
        assert graph.readouts[graph.outputs[0]].scale == (2.0**-15,) * 4


@pytest.mark.parametrize("variant", ["native", "reference"])
def test_wide_networks_in_c_simulation(variant, build, save, tmp_path):
    """Ten bits as thresholds, sixteen as a shift, weights of 12 and 10 bits."""
    for name, b in (
        ("ten", net(build, 10, 2.0**-8, weight_bits=12)),
        ("sixteen", net(build, 16, 2.0**-11, signed=1)),
    ):
        graph = load(save(b))
        codes = random_codes(graph.streams[graph.inputs[0]], 3, np.random.default_rng(0))
        project = muxflow.write(muxflow.fit(graph), tmp_path / name)
        assert np.array_equal(project.csim(codes, variant=variant).outputs, graph(codes))
