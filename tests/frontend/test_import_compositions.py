"""Functions of one tensor that files compute by several nodes: imported where they only rise, and named where they do not."""

import numpy as np
import pytest

from muxflow.dataflow.errors import MuxflowError


def silu(b, x):
    b.node("Mul", x, b.node("Sigmoid", x))


def hard_swish(b, x):
    b.node("Add", x, np.float32(3))
    b.then("Clip", np.float32(0), np.float32(6))
    b.node("Mul", x, b.last)
    b.then("Div", np.float32(6))


def hard_swish_of_hard_sigmoid(b, x):
    b.node("Mul", b.node("HardSigmoid", x, alpha=1 / 6), x)


def gelu(b, x):
    b.node("Div", x, np.float32(np.sqrt(2)))
    b.then("Erf")
    b.then("Add", np.float32(1))
    b.node("Mul", x, b.last)
    b.then("Mul", np.float32(0.5))


def gelu_by_tanh(b, x):
    b.node("Pow", x, np.float32(3))
    b.then("Mul", np.float32(0.044715))
    b.node("Add", x, b.last)
    b.then("Mul", np.float32(np.sqrt(2 / np.pi)))
    b.then("Tanh")
    b.then("Add", np.float32(1))
    b.node("Mul", x, b.last)
    b.then("Mul", np.float32(0.5))


def mish(b, x):
    b.node("Softplus", x)
    b.then("Tanh")
    b.node("Mul", x, b.last)


FUNCTIONS = {
    silu: "SiLU",
    hard_swish: "hard-swish",
    hard_swish_of_hard_sigmoid: "hard-swish",
    gelu: "GELU",
    gelu_by_tanh: "GELU",
    mish: "Mish",
    lambda b, x: b.node("HardSwish", x): "hard-swish",
    lambda b, x: b.node("Gelu", x): "GELU",
    lambda b, x: b.node("Mish", x): "Mish",
}


def layer(build):
    b = build((1, 3, 4, 4))
    b.quant(scale=0.25, bits=4, signed=1)
    return b, b.conv(np.random.default_rng(0).integers(-7, 8, (4, 3, 3, 3)), np.arange(4) / 8, scale=0.0625)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_before_an_unsigned_quantizer(function, build, prove):
    b, x = layer(build)
    function(b, x)
    b.quant(scale=0.4, bits=4)
    graph = prove(b)
    assert [node.op.kind for node in graph.nodes][-1] == "Threshold"


@pytest.mark.parametrize("function", FUNCTIONS)
def test_named_where_it_rises_and_falls(function, build, prove):
    b, x = layer(build)
    function(b, x)
    b.quant(scale=0.02, bits=8, signed=1)
    message = (
        rf"\(Quant\) after {FUNCTIONS[function]}: the activation is not monotone .* rise before an unsigned quantizer"
    )
    with pytest.raises(MuxflowError, match=message):
        prove(b)


def test_named_where_a_layer_reads_it(build, prove):
    b, x = layer(build)
    silu(b, x)
    b.conv(np.ones((2, 4, 1, 1)))
    with pytest.raises(MuxflowError, match=r"its input passes .*Mul_\d+ \(SiLU\) after the last integer stream"):
        prove(b)


def test_products_of_two_tensors_are_none(build, prove):
    b, x = layer(build)
    b.node("Mul", x, b.quant(x, scale=0.5, bits=3))
    with pytest.raises(MuxflowError, match="both inputs are data; supported joins"):
        prove(b)


def test_square(build, prove):
    b = build((1, 3, 4, 4))
    x = b.quant(scale=0.25, bits=4)
    b.node("Mul", x, x)
    b.quant(scale=0.5, bits=5)
    prove(b)
