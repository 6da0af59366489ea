"""Weight tensors whose rows use different grids: two products, joined in the order of the channels, or one."""

import numpy as np
import pytest

import muxflow
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.frontend.model import ImportOptions
from muxflow.frontend.registry import load


def rows_of(bits, *shape, seed=0):
    """Whole numbers of so many bits with a sign, each row up to its ends."""
    top = 2 ** (bits - 1) - 1
    found = np.random.default_rng(seed).integers(-top, top + 1, shape)
    found.reshape(shape[0], -1)[:, 0], found.reshape(shape[0], -1)[:, 1] = top, 1
    return found


def quantized(b, codes, bits, scale):
    """A Quant node on weights; `scale`: one for all or one a row."""
    scale = np.asarray(scale, float).reshape(-1, *(1,) * (codes.ndim - 1))
    return b.quant(codes * scale, scale, bits=bits, signed=1, narrow=1)


def products(graph):
    return [(n.name, graph.streams[n.inputs[1]].shape[0]) for n in graph.nodes if isinstance(n.op, MatrixVector)]


def joins(graph):
    return [node.op for node in graph.nodes if isinstance(node.op, Concat)]


def bank(b, precise, ternary, order=None, kernel=1, inputs=16, bits=8, **attributes):
    """A convolution whose weights are two quantized tensors, one after the other or in another order."""
    x = b.last
    parts = [
        quantized(b, rows_of(some, count, inputs, kernel, kernel, seed=some), some, 2.0 ** -np.arange(3, 3 + count))
        for some, count in ((bits, precise), (2, ternary))
    ]
    weights = b.node("Concat", *parts, axis=0)
    if order is not None:
        weights = b.node("Gather", weights, np.asarray(order), axis=0)
    b.node("Conv", x, weights, **attributes)


ORDERS = {
    "precise rows first": None,
    "ternary rows first": [*range(4, 16), *range(4)],
    "mixed": np.random.default_rng(5).permutation(16).tolist(),
}


@pytest.mark.parametrize("order", ORDERS)
def test_two_grids_are_two_products(order, build, prove):
    b = build((1, 16, 3, 4))
    b.quant(scale=1 / 256)
    bank(b, 4, 12, ORDERS[order])
    b.then("Relu")
    b.quant(scale=1 / 8, bits=4)
    graph = prove(b, tensors=2)
    assert sorted(rows for _, rows in products(graph)) == [4, 12]
    (join,) = joins(graph)
    assert bool(join.sides.size) == (order == "mixed")


def test_a_window_and_a_dense_layer(build, prove):
    b = build((1, 8, 5, 4))
    b.quant(scale=1 / 256)
    bank(b, 4, 12, kernel=3, inputs=8, pads=[1, 1, 1, 1], strides=[2, 2])
    b.then("Relu")
    b.quant(scale=1 / 8, bits=4)
    b.then("Flatten")
    x = b.last
    parts = [quantized(b, rows_of(bits, 12, 96, seed=bits), bits, 0.25) for bits in (2, 6)]
    weights = b.node("Transpose", b.node("Concat", *parts, axis=0), perm=[1, 0])
    b.node("MatMul", x, weights)
    graph = prove(b, tensors=2)
    assert sorted(rows for _, rows in products(graph)) == [4, 12, 12, 12]


def test_the_grid_of_a_row_counts_not_its_scale(build, prove):
    """Floats without a quantizer on one common grid: ternary rows stand there as -32, 0 and +32."""
    b = build((1, 16, 2, 2))
    b.quant(scale=1 / 256)
    weights = np.concatenate([rows_of(8, 4, 16, 1, 1), 32 * rows_of(2, 12, 16, 1, 1)]) / 64
    b.node("Conv", b.last, weights.astype(np.float32))
    graph = prove(b, tensors=1)
    assert products(graph) == [("Conv_1_8bit", 4), ("Conv_1_2bit", 12)]


@pytest.mark.parametrize(("step", "bits"), [(2, 2), (3, 3)], ids=["ternary", "of rows that need them"])
def test_steps_of_rows_take_no_bits_of_weights(step, bits, build, prove):
    """Ternary rows with powers of two of their own on one common grid, as QKeras writes them: two bits, not three."""
    codes = rows_of(2, 16, 16, 1, 1)
    codes[0, 0], codes[8:] = step - 1, codes[8:] * step
    b = build((1, 16, 2, 2))
    b.quant(scale=1 / 256)
    b.node("Conv", b.last, (codes / 4).astype(np.float32))
    b.then("Relu")
    b.quant(scale=1 / 8, bits=4)
    graph = prove(b, tensors=2)
    assert [graph.streams[n.inputs[1]].bits for n in graph.nodes if isinstance(n.op, MatrixVector)] == [bits]


@pytest.mark.parametrize(
    ("precise", "ternary", "bits"), [(16, 0, 8), (0, 16, 8), (12, 4, 8), (15, 1, 4)], ids=["all", "none", "few", "one"]
)
def test_banks_that_save_too_little_are_one_product(precise, ternary, bits, build, prove):
    b = build((1, 16, 2, 2))
    b.quant(scale=1 / 256)
    x = b.last
    kinds = [(some, count) for some, count in ((bits, precise), (2, ternary)) if count]
    parts = [quantized(b, rows_of(some, count, 16, 1, 1), some, 0.5) for some, count in kinds]
    b.node("Conv", x, b.node("Concat", *parts, axis=0) if len(parts) > 1 else parts[0])
    graph = prove(b, tensors=1)
    assert [rows for _, rows in products(graph)] == [16]
    assert not joins(graph)


def grouped(b, order, groups, columns=1, kernel=5, **attributes):
    """A convolution in groups of which half the filters have eight bits, in an order."""
    x, half = b.last, len(order) // 2
    parts = [quantized(b, rows_of(bits, half, columns, kernel, kernel, seed=bits), bits, 0.5) for bits in (8, 2)]
    weights = b.node("Gather", b.node("Concat", *parts, axis=0), np.asarray(order), axis=0)
    b.node("Conv", x, weights, group=groups, pads=[kernel // 2] * 4, **attributes)


def ops(graph, kind):
    return [node.op for node in graph.nodes if isinstance(node.op, kind)]


def agrees(graph, folder):
    """The simulation of a fitted design equals the graph."""
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), folder / "project")
    codes = random_codes(graph.streams[graph.inputs[0]], 3, np.random.default_rng(0))
    assert np.array_equal(project.csim(codes, verify=True).outputs, graph(codes))


SHUFFLED = np.random.default_rng(7).permutation(32)
GROUPS = {
    # As many of each kind in every group: both products read the same windows.
    "each group alike": ([*range(8), *range(16, 24), *range(8, 16), *range(24, 32)], 2, 8, [2, 2]),
    "each group alike, mixed": (np.arange(32).reshape(2, 16).T.reshape(-1), 2, 8, [2, 2]),
    "two filters a channel": (np.arange(32).reshape(2, 16).T.reshape(-1), 16, 1, [16, 16]),
    # Otherwise one product of the largest bits.
    "groups of one kind": (range(32), 4, 4, [4]),
    "groups of unlike mixtures": ([*range(15), *range(16, 32), 15], 2, 8, [2]),
    "depthwise": (SHUFFLED, 32, 1, [32]),
}


@pytest.mark.parametrize("name", GROUPS)
def test_layers_in_groups(name, build, prove, tmp_path):
    order, groups, columns, parts = GROUPS[name]
    b = build((1, groups * columns, 5, 4))
    b.quant(scale=1 / 256)
    grouped(b, order, groups, columns, strides=[2, 1])
    b.then("Relu")
    b.quant(scale=1 / 8, bits=4)
    graph = prove(b, tensors=2)
    assert [op.groups for op in ops(graph, MatrixVector)] == parts
    assert len(ops(graph, SlidingWindow)) == 1
    agrees(graph, tmp_path)


def test_a_pointwise_layer_in_groups(build, prove, tmp_path):
    b = build((1, 64, 3, 2))
    b.quant(scale=1 / 256)
    grouped(b, GROUPS["each group alike, mixed"][0], 2, 32, kernel=1)
    graph = prove(b, tensors=1)
    assert [op.groups for op in ops(graph, MatrixVector)] == [2, 2]
    agrees(graph, tmp_path)


def test_loaded_weights_stay_whole(build, save):
    b = build((1, 16, 3, 3))
    b.quant(scale=1 / 256)
    bank(b, 4, 12)
    assert [rows for _, rows in products(load(save(b), ImportOptions(loaded=())))] == [16]


@pytest.mark.parametrize(
    ("groups", "columns", "message"),
    [(3, 4, "weights for 12 channels, input has 16"), (5, 3, "channels"), (16, 2, "weights for 32 channels")],
)
def test_groups_that_do_not_divide_are_named(groups, columns, message, build, save):
    b = build((1, 16, 5, 4))
    b.quant(scale=1 / 256)
    grouped(b, range(32), groups, columns)
    with pytest.raises(MuxflowError, match=rf"Conv.*{message}"):
        load(save(b))


def test_groups_that_do_not_divide_the_filters_are_named(build, save):
    b = build((1, 12, 5, 4))
    b.quant(scale=1 / 256)
    grouped(b, range(32), 3, 4)
    with pytest.raises(MuxflowError, match=r"Conv.*3 groups do not divide 32 rows"):
        load(save(b))


def test_a_bit_width_for_each_row_is_refused(build, save):
    b = build((1, 16, 2, 2))
    b.quant(scale=1 / 256)
    codes = np.concatenate([rows_of(8, 4, 16, 1, 1), rows_of(2, 12, 16, 1, 1)])
    bits = np.array([8.0] * 4 + [2.0] * 12).reshape(16, 1, 1, 1)
    x = b.last
    b.node("Conv", x, b.quant(codes * 1.0, bits=bits, signed=1))
    with pytest.raises(UnsupportedError, match=r"bit width 8\.0, .*supported is one whole number"):
        load(save(b))
