"""Quantizers: every width, sign, zero point and rounding; the float arithmetic before them becomes thresholds."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.registry import load
from muxflow.proof.compare import compare

MODES = ["ROUND", "HALF_EVEN", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN", "ROUND_TO_ZERO", "round"]


def codes(*shape, low=-3, high=4, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape)


def thresholds(graph):
    return [node.op for node in graph.nodes if isinstance(node.op, Threshold)]


@pytest.mark.parametrize("bits", range(1, 9))
@pytest.mark.parametrize("form", ["unsigned", "signed", "narrow", "unsigned narrow"])
def test_widths_of_activations_and_weights(bits, form, build, prove):
    if form == "unsigned narrow" and bits == 1:
        return
    signed, narrow = int(form in ("signed", "narrow")), int("narrow" in form)
    b = build((1, 3, 3, 3))
    b.quant(scale=1 / 256)
    x = b.last
    weights = b.quant(
        codes(4, 3, 1, 1, low=-200, high=200) / 64, 1 / 64, bits=bits, signed=1, narrow=narrow * (bits > 1)
    )
    b.node("Conv", x, weights)
    b.quant(scale=1 / 128, bits=bits, signed=signed, narrow=narrow)
    b.conv(codes(2, 4, 1, 1))
    graph = prove(b, tensors=2)
    op = thresholds(graph)[0]
    assert op.thresholds.shape[1] <= 2**bits


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("signed", [0, 1])
def test_rounding_on_ties(mode, signed, build, prove):
    """Power-of-two scales and whole batch-norm values: half of all sums lie exactly between two codes."""
    b = build((1, 2, 4, 4))
    b.quant(signed=signed, bits=5)
    b.conv(codes(3, 2, 1, 1))
    b.then("Mul", np.float32([1, -2, 3]).reshape(3, 1, 1))
    b.then("Add", np.float32([3, 4, -5]).reshape(3, 1, 1))
    b.quant(scale=2.0, bits=7, signed=1, rounding=mode)
    b.conv(codes(2, 3, 1, 1))
    graph = prove(b, count=8)
    assert graph.notes["near_ties"] == "0"


def test_half_to_even(build, prove):
    b = build((1, 1, 1, 8))
    b.quant(bits=3)
    b.quant(scale=2.0, bits=2)
    graph = prove(b)
    assert graph(np.arange(8).reshape(1, 1, 8, 1)).reshape(-1).tolist() == [0, 0, 1, 2, 2, 2, 3, 3]


@pytest.mark.parametrize("zero", [0, 1, 7, 15, -4])
@pytest.mark.parametrize("signed", [0, 1])
def test_zero_points(zero, signed, build, prove):
    b = build((1, 2, 3, 3))
    b.quant(zero=128.0, scale=1 / 64)
    b.conv(codes(3, 2, 3, 3), pads=[1, 1, 1, 1])
    b.quant(scale=1 / 4, zero=float(zero), bits=4, signed=signed)
    b.conv(codes(3, 3, 3, 3), pads=[1, 1, 1, 1])
    b.quant(scale=1.0, zero=np.float32([3, 0, 7]).reshape(1, 3, 1, 1), bits=3)
    graph = prove(b, tensors=3)
    assert (graph.streams[graph.inputs[0]].lo, graph.streams[graph.inputs[0]].hi) == (-128, 127)


def test_weights_with_a_zero_point_keep_nine_bits(build, prove):
    b = build((1, 2, 3, 3))
    b.quant(scale=1 / 256)
    x = b.last
    weights = b.quant(codes(3, 2, 1, 1, low=-150, high=100) / 100, 1 / 100, zero=150.0)
    b.node("Conv", x, weights)
    prove(b)


@pytest.mark.parametrize("scale", [1.0, 0.37])
def test_bipolar(scale, build, prove):
    b = build((1, 2, 3, 3))
    b.quant(signed=1, scale=0.5)
    b.conv(codes(3, 2, 1, 1))
    b.then("BipolarQuant", np.float32(scale), domain="qonnx.custom_op.general")
    x = b.last
    weights = b.node("BipolarQuant", np.float32(codes(4, 3, 3, 3)), np.float32(0.25), domain="qonnx.custom_op.general")
    b.node("Conv", x, weights, pads=[1, 1, 1, 1])
    graph = prove(b, tensors=2)
    assert {(s.lo, s.hi) for s in graph.streams.values()} >= {(-1, 1)}


def test_bipolar_input(build, save):
    b = build((1, 4))
    b.then("BipolarQuant", np.float32(1), domain="qonnx.custom_op.general")
    b.node("MatMul", b.last, b.weights(codes(4, 3)))
    path = save(b)
    graph = load(path)
    compare(graph, [QonnxExecution(path, graph)], 2 * codes(8, 1, 1, 4, low=0, high=2) - 1)


def test_scales_and_zero_points_a_channel(build, prove):
    b = build((1, 2, 4, 4))
    b.quant(scale=1 / 255)
    b.conv(codes(3, 2, 1, 1))
    b.quant(scale=np.float32([0.11, 0.3, 0.07]).reshape(1, 3, 1, 1), bits=4, signed=1)
    b.conv(codes(3, 1, 3, 3), group=3)
    b.quant(scale=0.2, bits=4, signed=1)
    prove(b, tensors=3)


ACTIVATIONS = {
    "Relu": {},
    "LeakyRelu": {"alpha": 0.1},
    "Clip": {},
    "Sigmoid": {},
    "HardSigmoid": {"alpha": 0.25, "beta": 0.5},
    "Tanh": {},
    "Elu": {"alpha": 0.5},
    "Selu": {},
    "Softplus": {},
    "Softsign": {},
    "Neg": {},
    "Erf": {},
    "Sign": {},
    "Exp": {},
    "Celu": {},
    "ThresholdedRelu": {"alpha": 0.5},
}


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_activation_before_a_quantizer(kind, build, prove):
    b = build((1, 2, 4, 4))
    b.quant(scale=1 / 64)
    b.conv(codes(3, 2, 1, 1), np.float32([0.1, -0.3, 0]), scale=1 / 4)
    b.then(kind, *(np.float32([-0.5, 1.5]) if kind == "Clip" else ()), **ACTIVATIONS[kind])
    b.quant(scale=0.11, bits=4, signed=1)
    prove(b)


def test_prelu_min_max_sub_div_pow(build, prove):
    b = build((1, 2, 4, 4))
    b.quant(scale=1 / 64)
    b.conv(codes(3, 2, 1, 1), scale=1 / 4)
    b.then("PRelu", np.float32([0.1, 0, 0.3]).reshape(3, 1, 1))
    b.node("Sub", np.float32(2), b.last)
    b.then("Div", np.float32([1.5, -0.5, 2]).reshape(1, 3, 1, 1))
    b.then("Min", np.float32(3))
    b.then("Max", np.float32(-1))
    b.then("Exp")
    b.then("Sqrt")
    b.quant(scale=0.3, bits=4)
    prove(b)


@pytest.mark.parametrize("step", [0.9, 0.11])
def test_a_root_of_sums_that_are_not_negative(step, build, prove):
    """No float sum is below 0, so that what a root would give there is no matter."""
    b = build((1, 2, 4, 4))
    b.quant(scale=0.3)
    b.conv(np.abs(codes(3, 2, 1, 1)) + 1, scale=0.37)
    b.then("Sqrt")
    b.quant(scale=step, bits=8)
    prove(b)


def test_old_clip_has_its_bounds_as_attributes(build, prove):
    b = build((1, 2, 2, 2), opset=9)
    b.quant(scale=1 / 64, signed=1)
    b.then("Clip", min=-0.5, max=1.0)
    b.quant(scale=1 / 16, bits=6, signed=1)
    prove(b)


@pytest.mark.parametrize("epsilon", [1e-5, 0.1])
def test_batch_norm_rises_and_falls(epsilon, build, prove):
    b = build((1, 2, 4, 4))
    b.quant(scale=1 / 64)
    b.conv(codes(4, 2, 3, 3), scale=1 / 4, pads=[1, 1, 1, 1])
    parameters = np.float32([[0.5, -0.7, 0, 1], [0.1, 0.2, 0.3, 0], [0, 1, 0, 2], [1, 2, 0.5, 0]])
    b.then("BatchNormalization", *parameters, epsilon=epsilon)
    b.then("Relu")
    b.quant(scale=0.13, bits=3)
    op = thresholds(prove(b))[0]
    assert op.falling.tolist() == [0, 1, 0, 0]


def test_batch_norm_before_the_first_quantizer_and_at_the_end(build, prove):
    b = build((1, 3, 3, 3))
    parameters = np.float32([[1, -0.7, 0.3], [0.1, 0.2, 0.3], [0.5, 0.4, 0.3], [0.1, 0.2, 0.5]])
    b.then("BatchNormalization", *parameters)
    b.quant(scale=1 / 32, signed=1, bits=6)
    b.conv(codes(3, 3, 2, 2))
    b.then("BatchNormalization", *np.abs(parameters))
    graph = prove(b, input_scale=1 / 255)
    assert thresholds(graph)[0].falling.tolist() == [0, 1, 0]
    assert len(set(graph.readouts[graph.outputs[0]].offset)) == 3


def test_batch_norm_before_the_first_convolution(build, prove, save):
    """One grid for all channels is exact; others need a quantizer."""
    for factors, works in ((np.float32([1, 0.5, -2]), True), (np.float32([1, 0.7071, 0.3]), False)):
        b = build((1, 3, 3, 3))
        b.then("BatchNormalization", factors, np.zeros(3), np.zeros(3), np.ones(3), epsilon=0.0)
        b.conv(codes(2, 3, 3, 3), pads=[1, 1, 1, 1])
        if works:
            prove(b, input_scale=1 / 256)
        else:
            with pytest.raises(MuxflowError, match=r"Conv_2 .*quantize the input with one scale"):
                prove(b, input_scale=1 / 256)
    with pytest.raises(MuxflowError, match=r"BatchNormalization_0 .*before any quantizer.*input_scale="):
        load(save(b))


def test_constants_a_pixel(build, prove):
    """Rows of thresholds for every element of the map."""
    b = build((1, 2, 3, 3))
    b.quant(bits=4)
    b.conv(codes(2, 2, 1, 1))
    b.then("Add", np.float32(np.random.default_rng(0).normal(size=(1, 2, 3, 3))))
    b.quant(scale=0.3, bits=3)
    graph = prove(b)
    assert thresholds(graph)[0].thresholds.shape[0] == 18


def test_quantizer_that_changes_nothing_is_removed(build, prove):
    b = build((1, 2, 3, 3))
    b.quant(bits=4)
    b.quant(bits=4)
    b.then("Mul", np.float32(2))
    b.quant(bits=4, scale=2.0)
    b.conv(codes(2, 2, 1, 1))
    assert not thresholds(prove(b))


def test_model_of_an_input_quantizer_alone(build, prove):
    b = build((1, 2, 3, 3))
    b.quant(bits=4)
    graph = prove(b)
    assert graph.outputs == graph.inputs


def test_several_readers_and_a_shared_quantizer(build, prove):
    b = build((1, 2, 3, 3))
    b.quant(bits=4)
    x = b.last
    first = b.conv(codes(2, 2, 1, 1), x=x)
    second = b.conv(codes(2, 2, 1, 1, seed=1), x=x)
    parts = [b.quant(y, scale=4.0, bits=3) for y in (first, second)]
    third = b.node("Add", *parts)
    b.node("Concat", third, parts[0], parts[0], axis=1)
    prove(b, tensors=3)


@pytest.mark.parametrize("mode", ["FLOOR", "ROUND", "CEIL"])
@pytest.mark.parametrize("bits", [2, 4])
def test_trunc_behind_a_sum_pool(mode, bits, build, prove):
    """Both versions of the node: five inputs, and six with an output scale."""
    for version in (1, 2):
        b = build((1, 2, 4, 4), qonnx=version)
        b.quant(scale=1 / 16, bits=4)
        b.then("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
        b.then("Mul", np.float32(4))
        parameters = [np.float32(v) for v in (1 / 16, 0, 6, *([1 / 4] if version == 2 else []), bits)]
        sign = {"signed": 0} if version == 2 else {}
        b.then("Trunc", *parameters, domain="qonnx.custom_op.general", rounding_mode=mode, **sign)
        prove(b, tensors=2)


def test_wide_sums_are_bisected(build, prove):
    """Eight-bit codes and weights, a thousand of them: tens of millions of accumulator values."""
    b = build((1, 1024))
    b.quant(scale=1 / 256)
    x = b.last
    b.node("MatMul", x, b.weights(codes(1024, 40, low=-127, high=128), 1 / 128))
    b.then("Mul", np.float32(np.linspace(-2, 2, 40)))
    b.then("Sigmoid")
    b.quant(scale=1 / 255, bits=8)
    graph = prove(b, count=50)
    assert thresholds(graph)[0].thresholds.shape == (40, 255)


def test_near_ties_are_counted_where_float32_rounds(build, save):
    """Sums of multiples of 0.3 in units of 0.9 reach ties, where the order of summation decides; powers of two do not."""
    for scale, unit, ties in ((0.3, 0.9, True), (0.25, 0.5, False)):
        b = build((1, 2, 4, 4))
        b.quant(scale=scale, bits=4)
        b.then("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
        b.quant(scale=unit, bits=4)
        graph = load(save(b))
        assert (int(graph.notes["near_ties"]) > 0) == ties


def test_inexact_bias_and_functions_count_towards_near_ties(build, save):
    """A sigmoid that gives the tie at 0 exactly, in every float library perhaps differently."""
    b = build((1, 1, 2, 2))
    b.quant(signed=1)
    b.then("Sigmoid")
    b.quant(scale=1.0, bits=1, rounding="HALF_UP")
    graph = load(save(b))
    assert graph.notes["near_ties"] == "1"
    assert list(graph.ties.values()) == [((0, 0, 0),)]


def test_rounding_gives_no_code_between_those_of_a_quantizer(build, save):
    """A BipolarQuant of 0 is -1 or +1: no float gives 0. Where it turns is one threshold, though two codes apart."""
    b = build((1, 1, 2, 2))
    b.quant(signed=1)
    b.then("Sigmoid")
    b.then("Sub", np.float32(0.5))
    b.node("BipolarQuant", b.last, b.constant(np.float32(1)), domain="qonnx.custom_op.general")
    graph = load(save(b))
    assert list(graph.ties.values()) == [((0, 0, -1),)]
    assert (graph.notes["thresholds"], graph.notes["near_ties"]) == ("1", "1")


@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_and_the_least_sum_may_be_ties(sign, build, save):
    """7 * 0.3 is 10.5 steps of 0.2: whichever code the graph has there, no sum has the other one, yet floats may."""
    b = build((1, 1, 2, 2))
    b.quant(scale=1.0, bits=4, signed=1)
    x = b.last
    b.node("Conv", x, b.quant(np.float32([[[[sign * 0.3]]]]), 0.3, bits=2, signed=1))
    b.quant(scale=0.2, bits=8, signed=1)
    graph = load(save(b))
    (node,) = (node for node in graph.nodes if isinstance(node.op, Threshold))
    (own,) = node.op.codes(np.array([[sign * 7]])).reshape(-1).tolist()
    assert {tie[1]: tie[2:] for tie in graph.ties[node.name]}[sign * 7] == tuple({sign * 10, sign * 11} - {own})


@pytest.mark.parametrize(("unit", "bits"), [(2.1, 6), (0.7, 4), (700.3, 12), (2.0**-22, 8)])
def test_ties_list_every_code_that_float_rounding_can_give(unit, bits, build, save):
    """A step of the sum is some codes, a part of one, hundreds, or nearly none; the codes are those of floats next to it."""
    b = build((1, 2, 4, 4))
    b.quant(scale=1.0, bits=3, signed=1)
    x = b.last
    b.node("Conv", x, b.quant(unit * codes(3, 2, 3, 3), unit, bits=4, signed=1))
    b.quant(scale=1.0, bits=bits, signed=1)
    b.conv(codes(2, 3, 1, 1))
    graph = load(save(b))
    node = next(node for node in graph.nodes if isinstance(node.op, Threshold))
    sums, op, scale = graph.streams[node.inputs[0]], node.op, float(np.float32(unit))
    most, slack = 2 ** (bits - 1), max(-sums.lo, sums.hi) * scale * 2.0**-21
    wanted = {}
    for code in range(sums.lo, sums.hi + 1):
        floats = np.float32(np.linspace(code * scale - slack, code * scale + slack, 1001))
        met = set(np.clip(np.rint(floats), -most, most - 1).astype(int).tolist())
        own = int(op.codes(np.full((1, len(op.thresholds)), code))[0, 0])
        if len(met) > 1:
            wanted[code] = tuple(sorted(met - {own}))
    assert {tie[1]: tie[2:] for tie in graph.ties.get(node.name, ())} == wanted


REFUSED = {
    "zero scale": ({"scale": 0.0}, r"Quant_2 \(Quant\): a scale of 0; scales must be positive"),
    "negative scale": ({"scale": -0.5}, r"a scale of -0.5"),
    "fractional bits": ({"bits": 2.5}, r"bit width 2.5; supported is one whole number from 1 to 16"),
    "zero bits": ({"bits": 0}, r"bit width 0"),
    "17 bits": ({"bits": 17}, r"bit width 17.*1 to 16"),
    "fractional zero point": ({"zero": 1.5}, r"zero point 1.5 is not an integer"),
    "rounding": ({"rounding": "STOCHASTIC"}, r"rounding mode STOCHASTIC; use one of ROUND"),
    "wrong channels": ({"scale": np.ones((1, 5, 1, 1))}, r"scale of shape \(1, 5, 1, 1\) does not broadcast"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_quantizers(case, build, save):
    options, message = REFUSED[case]
    b = build((1, 2, 3, 3))
    b.quant()
    b.then("Relu")
    b.quant(**options)
    with pytest.raises(MuxflowError, match=message):
        load(save(b))


@pytest.mark.parametrize("kind", ["Abs", "HardSwish", "Mish", "Gelu"])
def test_activation_that_rises_and_falls_is_refused(kind, build, save):
    b = build((1, 1, 3, 3))
    b.quant(scale=1 / 16, signed=1)
    b.then(kind)
    b.quant(scale=1 / 16, bits=6, signed=1)
    with pytest.raises(MuxflowError, match=r"Quant_2 .*not monotone in channel 0: accumulator -?\d+ gives.*so use"):
        load(save(b))


def test_input_quantizers_that_are_refused(build, save):
    cases = (
        ({"scale": np.float32([1, 2]).reshape(1, 2, 1, 1)}, "one scale a channel; use one"),
        ({"scale": 0.3, "rounding": "FLOOR"}, "does not give back the input codes.*power-of-two"),
        ({"bits": 17}, "1 to 16"),
    )
    for options, message in cases:
        b = build((1, 2, 3, 3))
        b.quant(**options)
        with pytest.raises(MuxflowError, match=message):
            load(save(b))


@given(
    scale=st.floats(0.0625, 2, width=32),
    gamma=st.lists(st.floats(-3, 3, width=32), min_size=3, max_size=3),
    beta=st.lists(st.floats(-3, 3, width=32), min_size=3, max_size=3),
    zero=st.integers(-3, 3),
    bits=st.integers(1, 8),
    signed=st.integers(0, 1),
    mode=st.sampled_from(MODES),
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_quantizers(build, prove, scale, gamma, beta, zero, bits, signed, mode):
    b = build((1, 2, 3, 3))
    b.quant(scale=1 / 16, bits=5, signed=1)
    b.conv(codes(3, 2, 1, 1))
    b.then("Mul", np.float32(gamma).reshape(3, 1, 1))
    b.then("Add", np.float32(beta).reshape(3, 1, 1))
    b.quant(scale=scale, zero=float(zero), bits=bits, signed=signed, rounding=mode)
    prove(b)
