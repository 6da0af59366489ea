"""Axes of size one that come and go between layers: Squeeze, Unsqueeze, Reshape of maps cost nothing."""

import numpy as np
import pytest
from onnx import TensorProto, helper

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import random_codes
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.registry import load
from muxflow.proof.compare import compare

RNG = np.random.default_rng(5)


def codes(*shape):
    return RNG.integers(-3, 4, shape)


def squeezed(b):
    """A convolution of full height, then its map without that axis: (6, 10) over a stream of (1, 10, 6)."""
    b.quant(scale=1 / 16, bits=5)
    b.conv(codes(6, 1, 5, 3))
    b.quant(scale=2.0, bits=4)
    b.then("Squeeze", np.array([2]))


@pytest.mark.parametrize(
    ("groups", "window"),
    [
        (1, {}),
        (3, {"strides": [2], "pads": [2, 1]}),
        (6, {"dilations": [2], "pads": [0, 3]}),
        (2, {"auto_pad": "SAME_UPPER", "strides": [3]}),
    ],
)
def test_a_convolution_over_fewer_axes(groups, window, build, prove):
    b = build((1, 1, 5, 12))
    squeezed(b)
    b.conv(codes(6, 6 // groups, 3), np.arange(6) / 8, group=groups, **window)
    b.quant(scale=4.0, bits=4, signed=1)
    graph = prove(b, tensors=3)
    assert "Resize" not in [node.op.kind for node in graph.nodes]


@pytest.mark.parametrize("how", ["Flatten", "Reshape", "ReduceMean", "ReduceMax"])
def test_other_ways_to_lose_an_axis(how, build, prove):
    b = build((1, 2, 5, 9) if how.startswith("Reduce") else (1, 2, 1, 9))
    b.quant(scale=1 / 16, bits=4)
    if how == "Reshape":
        b.then(how, np.array([0, 2, -1]))
    elif how == "Flatten":
        b.then("Reshape", np.array([0, 0, 9]))
    else:
        b.then(how, np.array([2]), keepdims=0)
        b.quant(scale=1 / 16, bits=6)
    b.conv(codes(3, 2, 4))
    b.quant(scale=4.0, bits=4)
    b.then("Unsqueeze", np.array([3]))
    b.conv(codes(2, 3, 2, 1))
    prove(b)


@pytest.mark.parametrize(
    ("kind", "window"),
    [
        ("MaxPool", {"kernel_shape": [2], "strides": [2]}),
        ("MaxPool", {"kernel_shape": [3], "strides": [2], "pads": [1, 1], "ceil_mode": 1}),
        ("AveragePool", {"kernel_shape": [3], "pads": [1, 1]}),
        ("AveragePool", {"kernel_shape": [3], "pads": [1, 1], "count_include_pad": 1}),
        ("GlobalAveragePool", {}),
        ("ReduceMax", {"axes": [2]}),
    ],
)
def test_pools_over_fewer_axes(kind, window, build, prove):
    b = build((1, 1, 5, 12), opset=17)
    squeezed(b)
    b.then(kind, **window)
    b.quant(scale=1.0, bits=4)
    b.conv(codes(2, 6, 1))
    prove(b)


@pytest.mark.parametrize("rank", [2, 3])
@pytest.mark.parametrize("place", [0, -1])
def test_axes_that_are_added(rank, place, build, prove):
    """A sequence becomes a map, whose windows reach beyond the new axes: what they read there is zero."""
    b = build((1, 4, 11))
    b.quant(scale=1 / 16, bits=5)
    b.conv(codes(6, 4, 3))
    b.quant(scale=1.0, bits=4)
    added = list(range(2, rank + 1) if place == 0 else range(3, rank + 2))
    b.then("Unsqueeze", np.array(added))
    b.conv(codes(4, 6, *(3,) * rank), pads=[1] * (2 * rank))
    b.quant(scale=2.0, bits=4)
    b.then("MaxPool", kernel_shape=[3] * rank, pads=[1] * (2 * rank))
    b.then("AveragePool", kernel_shape=[3] * rank, pads=[1] * (2 * rank), count_include_pad=1)
    b.quant(scale=1 / 4, bits=6)
    b.then("AveragePool", kernel_shape=[3] * rank, pads=[1] * (2 * rank))
    b.quant(scale=1 / 4, bits=6)
    b.conv(codes(2, 4, *(2,) * rank), pads=[1] * rank + [0] * rank, group=1)
    graph = prove(b)
    assert {len(stream.shape) for stream in graph.streams.values()} == {2}


@pytest.mark.parametrize("value", [0.0, 2.0])
def test_padding_and_resizing_over_fewer_axes(value, build, prove):
    b = build((1, 1, 5, 12))
    squeezed(b)
    b.then("Pad", np.array([0, 0, 2, 0, 0, 1]), np.float32(value))
    b.conv(codes(4, 6, 3))
    b.quant(scale=4.0, bits=4)
    b.then("Pad", np.array([0, 0, -1, 0, 0, 2]), np.float32(value * 4))
    b.then("Resize", np.zeros(0, np.float32), np.float32([1, 1, 2]), mode="nearest", nearest_mode="floor",
           coordinate_transformation_mode="asymmetric")  # fmt: skip
    b.node("ConvTranspose", b.last, b.weights(codes(4, 3, 3)), strides=[2], pads=[1, 1])
    b.quant(scale=4.0, bits=4)
    b.then("Unsqueeze", np.array([2]))
    b.then("Pad", np.array([0, 0, 1, 2, 0, 0, 1, 0]))
    b.conv(codes(2, 3, 3, 2))
    prove(b)


@pytest.mark.parametrize("order", [0, 1])
def test_joins_of_maps_that_lost_axes_and_such_that_had_none(order, build, prove):
    b = build((1, 1, 5, 12))
    squeezed(b)
    left = b.last
    b.conv(codes(6, 6, 3), pads=[1, 1])
    b.quant(scale=2.0, bits=4)
    b.node("Add", *(left, b.last)[:: 1 - 2 * order])
    b.quant(scale=2.0, bits=4)
    b.node("Concat", left, b.last, axis=1)
    b.conv(codes(4, 12, 2))
    b.quant(scale=8.0, bits=4)
    b.then("Unsqueeze", np.array([2]))
    b.then("MaxPool", kernel_shape=[1, 3])
    b.then("Flatten")
    b.node("MatMul", b.last, b.weights(codes(28, 3)))
    prove(b)


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("kind", ["Add", "Concat"])
def test_joins_of_streams_of_unlike_axes(first, kind, build, tmp_path):
    """One side is a sequence all along, the other a map that has lost its only row."""
    b = build((1, 1, 5, 12))
    squeezed(b)
    map_side = b.last
    sequence = b.quant("z", scale=2.0, bits=4)
    b.conv(codes(6, 6, 3), pads=[1, 1])
    sequence = b.quant(scale=2.0, bits=4)
    sides = (map_side, sequence)[:: 1 - 2 * first]
    b.node(kind, *sides, **({"axis": 1} if kind == "Concat" else {}))
    b.conv(codes(3, 12 if kind == "Concat" else 6, 3), pads=[1, 0])
    b.quant(scale=8.0, bits=4, signed=1)
    model = b.model()
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, 6, 10)))
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    graph = load(path)
    batch = {name: random_codes(graph.streams[name], 4, RNG) for name in graph.inputs}
    compare(graph, [QonnxExecution(path, graph)], batch)


@pytest.mark.parametrize("groups", [1, 3])
def test_rows_that_become_channels(groups, build, prove):
    """As recognisers of text have it: (C, H, W) is read as (C * H, W)."""
    b = build((1, 2, 3, 10))
    b.quant(scale=1 / 16, bits=4)
    b.then("Relu")
    b.quant(scale=1 / 16, bits=4)
    b.conv(codes(4, 2, 1, 2))
    b.quant(scale=1 / 4, bits=4)
    b.then("Reshape", np.array([0, 12, 9]))
    b.conv(codes(3, 12 // groups, 3), group=groups, pads=[1, 1])
    prove(b)


def grown(b):
    b.quant(scale=1 / 16, bits=4)
    b.conv(codes(3, 2, 2))
    b.quant(scale=1.0, bits=4)
    b.then("Unsqueeze", np.array([2]))


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (lambda b: b.conv(codes(2, 3, 1, 1), pads=[1, 0, 1, 0]), r"Conv_\d+ .*makes 3 positions of axis 2, of size one, which"),
        (lambda b: b.then("MaxPool", kernel_shape=[2, 2], pads=[1, 1, 1, 1]), r"MaxPool_\d+ .*makes 2 positions of axis 2"),
        (lambda b: (b.then("Pad", np.array([0, 0, 1, 0, 0, 0, 0, 0]), np.float32(1)), b.conv(codes(2, 3, 2, 1))),
         r"Pad_\d+ .*pads axis 2, of size one, which"),
        (lambda b: (b.then("Pad", np.array([0, 0, -1, 0, 0, 0, 1, 0])), b.conv(codes(2, 3, 1, 1))),
         r"Pad_\d+ .*pads axis 2, of size one, which"),
        (lambda b: (b.then("Reshape", np.array([0, 3, 2, 4])), b.conv(codes(2, 3, 1, 1))),
         r"Conv_\d+ .*not re-ordered before; axes of size one may come and go after that"),
    ],
)  # fmt: skip
def test_what_no_axis_of_size_one_makes_is_refused(fill, message, build, save):
    b = build((1, 2, 9))
    grown(b)
    fill(b)
    with pytest.raises(UnsupportedError, match=message):
        load(save(b))


@pytest.mark.parametrize("axis", [2, 3])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 4), (1, 4, 1), (2, 1, 1)])
def test_padding_of_maps_whose_sizes_do_not_tell_the_order(axis, shape, build, prove):
    b = build((1, *shape))
    b.quant(scale=1 / 4, bits=4, signed=1)
    pads = np.zeros(8, int)
    pads[[axis, axis + 4]] = 1, 2
    b.then("Pad", pads)
    kernel = [1, 1]
    kernel[axis - 2] = 3
    b.conv(codes(3, shape[0], *kernel))
    b.quant(scale=1.0, bits=4)
    prove(b)


@pytest.mark.parametrize("axis", [1, 2])
def test_padding_of_one_pixel_with_its_channel_last(axis, build, prove):
    b = build((1, 1, 1, 1))
    b.quant(scale=1 / 4, bits=4, signed=1)
    b.then("Transpose", perm=[0, 2, 3, 1])
    pads = np.zeros(8, int)
    pads[[axis, axis + 4]] = 1, 2
    b.then("Pad", pads)
    b.then("Transpose", perm=[0, 3, 1, 2])
    kernel = [1, 1]
    kernel[axis - 1] = 3
    b.conv(codes(3, 1, *kernel))
    prove(b)
