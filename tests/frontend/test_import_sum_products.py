"""Sum-product layers, y = W_c [a * (W_b x)] with ternary matrices: two products with a multiplier for each channel between."""

import numpy as np
import pytest

import muxflow
from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.scale import Scale
from muxflow.frontend.registry import load

HIDDEN = 10


def multipliers(kind):
    rng = np.random.default_rng(3)
    if kind == "powers of two":
        return 2.0 ** -rng.integers(0, 7, HIDDEN)
    if kind == "one":
        return np.full(HIDDEN, 0.125)
    return rng.integers(1, 128, HIDDEN) / 128 if kind == "8 bits" else rng.uniform(0.5, 2, HIDDEN)


def sum_product(b, kind):
    """A ternary pointwise convolution, a multiplier for each hidden channel, another ternary one; then an activation."""
    rng = np.random.default_rng(2)
    b.quant(scale=1 / 256)
    x = b.last
    first, second = (rng.integers(-1, 2, shape) for shape in ((HIDDEN, 16, 1, 1), (12, HIDDEN, 1, 1)))
    b.node("Conv", x, b.quant(first * 0.5, 0.5, bits=2, signed=1, narrow=1))
    b.then("Mul", multipliers(kind).reshape(1, HIDDEN, 1, 1).astype(np.float32))
    hidden = b.last
    b.node("Conv", hidden, b.quant(second * 0.25, 0.25, bits=2, signed=1, narrow=1))
    b.then("Relu")
    b.quant(scale=1 / 8, bits=4)
    return b


@pytest.mark.parametrize("kind", ["powers of two", "one", "8 bits"])
def test_it_is_two_products_on_one_grid(kind, build, prove, tmp_path):
    graph = prove(sum_product(build((1, 16, 3, 4)), kind), tensors=2)
    products = [node for node in graph.nodes if isinstance(node.op, MatrixVector)]
    assert [graph.streams[node.inputs[1]].shape for node in products] == [(HIDDEN, 16), (12, HIDDEN)]
    assert [len(node.op.factors) for node in graph.nodes if isinstance(node.op, Scale)] == [HIDDEN] * (kind != "one")
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project")
    codes = random_codes(graph.streams[graph.inputs[0]], 4, np.random.default_rng(0))
    assert np.array_equal(project.csim(codes, verify=True).outputs, graph(codes))


def test_multipliers_on_no_grid_are_refused(build, save):
    with pytest.raises(
        UnsupportedError, match=r"the channels of its input differ in scale or offset, .*quantize the input"
    ):
        load(save(sum_product(build((1, 16, 3, 4)), "floats")))
