"""Layers with weights and pools: the graph equals the QONNX model at every quantizer and at the output."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.graph.passes import append_arg_max
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.window_pool import WindowPool
from muxflow.frontend.importer.products import _exact_step, _noisy_step, _sizes
from muxflow.frontend.registry import load


def codes(*shape, low=-3, high=4, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape)


CONVOLUTIONS = {
    "pointwise": ((3, 4, 5), (4, 3, 1, 1), {}),
    "3x3 padded": ((3, 5, 4), (4, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    "one pixel": ((3, 1, 1), (2, 3, 1, 1), {}),
    "one pixel padded": ((2, 1, 1), (3, 2, 3, 3), {"pads": [1, 1, 1, 1]}),
    "one channel": ((1, 4, 4), (1, 1, 3, 3), {}),
    "kernel is the map": ((2, 4, 3), (5, 2, 4, 3), {}),
    "stride 2": ((2, 7, 6), (3, 2, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "stride 1 by 3": ((2, 5, 7), (3, 2, 2, 2), {"strides": [1, 3]}),
    "1x1 stride 2": ((3, 5, 6), (2, 3, 1, 1), {"strides": [2, 2]}),
    "dilation 2": ((2, 7, 7), (3, 2, 3, 3), {"dilations": [2, 2], "pads": [2, 2, 2, 2]}),
    "dilation 1 by 3": ((2, 4, 8), (3, 2, 1, 3), {"dilations": [1, 3]}),
    "asymmetrical pads": ((2, 5, 5), (3, 2, 3, 3), {"pads": [0, 1, 2, 0]}),
    "1x1 padded": ((3, 2, 3), (2, 3, 1, 1), {"pads": [1, 1, 1, 1]}),
    "padding wider than the kernel": ((2, 3, 2), (3, 2, 2, 3), {"pads": [4, 3, 2, 5], "strides": [2, 1]}),
    "same upper": ((2, 5, 6), (3, 2, 4, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    "same lower": ((2, 5, 6), (3, 2, 4, 3), {"auto_pad": "SAME_LOWER", "strides": [2, 2]}),
    "valid": ((2, 5, 6), (3, 2, 2, 3), {"auto_pad": "VALID"}),
    "grouped": ((6, 4, 4), (4, 3, 3, 3), {"group": 2, "pads": [1, 1, 1, 1]}),
    "grouped pointwise": ((6, 3, 3), (9, 2, 1, 1), {"group": 3}),
    "depthwise": ((4, 5, 5), (4, 1, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "depthwise multiplier 2": ((3, 4, 4), (6, 1, 3, 3), {"group": 3}),
    "depthwise stride 2 dilation 2": ((3, 8, 8), (3, 1, 3, 3), {"group": 3, "strides": [2, 2], "dilations": [2, 2]}),
}


@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_convolution(case, build, prove):
    shape, kernel, attributes = CONVOLUTIONS[case]
    b = build((1, *shape))
    b.quant(scale=1 / 256)
    b.conv(codes(*kernel), codes(kernel[0], seed=1) / 64, scale=1 / 4, **attributes)
    b.then("Relu")
    b.quant(scale=1 / 8, bits=4)
    b.conv(codes(2, kernel[0], 1, 1, seed=2))
    prove(b, tensors=2)


def test_convolution_of_signed_codes_pads_with_zero(build, prove):
    b = build((1, 2, 3, 3))
    b.quant(scale=0.5, signed=1)
    b.conv(codes(2, 2, 3, 3), pads=[1, 1, 1, 1])
    prove(b)


@given(
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    groups=st.integers(1, 3),
    inner=st.integers(1, 2),
    outer=st.integers(1, 2),
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    dilation=st.integers(1, 2),
    seed=st.integers(0, 99),
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_random_convolutions(build, prove, height, width, groups, inner, outer, kernel, stride, dilation, seed):
    extent = [(k - 1) * dilation + 1 for k in kernel]
    pads = [int(p) for p in np.random.default_rng(seed).integers(0, np.array(extent * 2))]
    if height + pads[0] + pads[2] < extent[0] or width + pads[1] + pads[3] < extent[1]:
        return
    b = build((1, groups * inner, height, width))
    b.quant()
    b.conv(
        codes(groups * outer, inner, *kernel, seed=seed),
        group=groups,
        strides=stride,
        pads=pads,
        dilations=[dilation, dilation],
    )
    b.quant(scale=4.0, bits=3, signed=1)
    prove(b, count=2)


def test_weight_scales_differ_by_channel(build, prove):
    b = build((1, 3, 4, 4))
    b.quant(scale=1 / 255)
    b.conv(
        codes(4, 3, 3, 3),
        np.float32([0.1, -0.2, 0, 0.3]),
        scale=np.float32([0.11, 0.23, 0.3, 0.017])[:, None, None, None],
    )
    b.then("Relu")
    b.quant(scale=0.7, bits=4)
    b.conv(codes(2, 4, 1, 1), scale=np.float32([0.3, 0.7])[:, None, None, None])
    graph = prove(b)
    assert len(set(graph.readouts[graph.outputs[0]].scale)) == 2


@pytest.mark.parametrize("shape", [(1, 5), (1, 1), (1, 64)])
@pytest.mark.parametrize("form", ["gemm", "gemm transposed", "matmul", "matmul and add"])
def test_dense(form, shape, build, prove):
    b = build(shape)
    features = shape[1]
    b.quant(scale=1 / 16, bits=4)
    matrix, bias = codes(features, 3, seed=1), np.float32([0.5, -0.25, 7])
    x = b.last
    if form == "gemm transposed":
        b.node("Gemm", x, b.weights(matrix.T, 0.5), bias, transB=1)
    elif form == "gemm":
        b.node("Gemm", x, b.weights(matrix, 0.5), bias)
    else:
        b.node("MatMul", x, b.weights(matrix, 0.5))
        if form == "matmul and add":
            b.then("Add", bias)
    b.quant(scale=0.25, bits=3, signed=1)
    b.node("MatMul", b.last, b.weights(codes(3, 2), 0.5))
    prove(b)


def test_weights_transposed_behind_their_quantizer_stay_exact(build, prove):
    b = build((1, 6))
    b.quant(bits=3)
    x = b.last
    weights = b.weights(codes(4, 6), np.float32(np.arange(1, 5) * 0.1)[:, None])
    b.node("Transpose", weights, perm=[1, 0])
    b.node("MatMul", x, b.last)
    graph = prove(b)
    assert graph.readouts[graph.outputs[0]].scale == tuple(np.float64(np.float32(np.arange(1, 5) * 0.1)))


@pytest.mark.parametrize("flatten", ["Flatten", "Reshape 0", "Reshape 1", "Reshape -1"])
def test_order_of_features_behind_a_flatten(flatten, build, prove):
    b = build((1, 2, 3, 4))
    b.quant(bits=4)
    b.conv(codes(3, 2, 1, 1))
    b.quant(scale=4.0, bits=3, signed=1)
    if flatten == "Flatten":
        b.then("Flatten")
    else:
        first = int(flatten.split()[1])
        b.then("Reshape", np.array([first, 36 if first == -1 else -1]))
    b.node("MatMul", b.last, b.weights(codes(36, 5), 0.5))
    prove(b)


def test_weights_as_floats_on_a_grid(build, prove):
    """Weights whose quantizers were folded away: one step for the tensor, one a row, or none that is a weight."""
    scales = np.float32([0.137, 0.0211, 0.3])
    for scale in (np.float32([0.137]), scales):
        matrix = codes(3, 4, 3, 3, low=-127, high=128) | 2
        b = build((1, 4, 5, 5))
        b.quant(scale=1 / 256)
        b.node("Conv", b.last, np.float32(matrix) * scale[:, None, None, None])
        graph = prove(b)
        stored = next(node.op for node in graph.nodes if node.op.kind == "RomWeights")
        assert abs(stored.weights).max() <= 127


def test_channels_that_differ_in_scale_meet_on_one_grid(build, prove):
    """A power-of-two factor a channel before a layer becomes an integer factor."""
    b = build((1, 3, 3, 3))
    b.quant(bits=4)
    b.then("Mul", np.float32([1, -2, 0.75]).reshape(1, 3, 1, 1))
    b.conv(codes(4, 3, 3, 3))
    graph = prove(b)
    assert [n.op.factors.tolist() for n in graph.nodes if isinstance(n.op, Scale)] == [[4, -8, 3]]


def test_depthwise_takes_any_scale_a_channel(build, prove):
    b = build((1, 3, 3, 3))
    b.quant(bits=4)
    b.then("Mul", np.float32([0.1, -0.23, 0.37]).reshape(1, 3, 1, 1))
    b.conv(codes(6, 1, 2, 2), group=3)
    b.quant(scale=0.1, bits=5, signed=1)
    graph = prove(b)
    assert not any(isinstance(node.op, Scale) for node in graph.nodes)


def test_offset_before_a_layer(build, prove):
    """x - mean needs padding with the mean's code; where there is none, it is refused."""
    for offset in (-3.0, 0.5):
        b = build((1, 2, 4, 4))
        b.quant(bits=3)
        b.then("Add", np.float32(offset))
        b.conv(codes(2, 2, 3, 3), pads=[1, 1, 1, 1])
        if offset == -3:
            window = next(n.op for n in prove(b).nodes if isinstance(n.op, SlidingWindow))
            assert window.pad_code == 3
        else:
            with pytest.raises(MuxflowError, match=r"Conv_\d+ \(Conv\).*padding's zero"):
                prove(b)


POOLS = {
    "2x2": {"kernel_shape": [2, 2], "strides": [2, 2]},
    "3x2 cut": {"kernel_shape": [3, 2], "strides": [3, 2]},
    "overlapping": {"kernel_shape": [3, 3], "strides": [2, 2]},
    "stride larger": {"kernel_shape": [1, 2], "strides": [3, 3]},
    "padded": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    "asymmetrical": {"kernel_shape": [3, 2], "strides": [1, 1], "pads": [0, 1, 2, 0]},
}


@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize("case", POOLS)
@pytest.mark.parametrize("signed", [0, 1])
def test_pool(kind, case, signed, build, prove):
    b = build((1, 3, 7, 6))
    b.quant(scale=0.3, signed=signed)
    extra = {"count_include_pad": 1} if kind == "AveragePool" else {}
    b.then(kind, **POOLS[case], **extra)
    b.quant(scale=0.77137, bits=5, signed=1)
    prove(b)


@pytest.mark.parametrize("dilation", [1, 2])
def test_max_pool_dilated(dilation, build, prove):
    b = build((1, 2, 7, 7))
    b.quant(signed=1)
    b.then("MaxPool", kernel_shape=[3, 2], strides=[1, 2], dilations=[dilation, dilation])
    prove(b)


@pytest.mark.filterwarnings("ignore:Output shapes disagree")  # ONNX infers a window more than its runtime computes
@pytest.mark.parametrize("size", range(4, 10))
@pytest.mark.parametrize("pad", [0, 1])
def test_max_pool_with_ceil_mode(size, pad, build, prove):
    b = build((1, 2, size, size + 1))
    b.quant(signed=1)
    b.then("MaxPool", kernel_shape=[3, 2], strides=[2, 3], pads=[pad, 0, pad, 0], ceil_mode=1)
    prove(b)


def test_average_with_ceil_mode(build, prove):
    for size in (4, 5):
        b = build((1, 1, size, size))
        b.quant()
        b.then("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
        prove(b)
    b = build((1, 1, 5, 5))
    b.quant()
    b.then("AveragePool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1, count_include_pad=1)
    with pytest.raises(MuxflowError, match=r"AveragePool_1 .*use one of them"):
        prove(b)


GLOBAL = {
    "GlobalAveragePool": ("GlobalAveragePool", (), {}),
    "GlobalMaxPool": ("GlobalMaxPool", (), {}),
    "ReduceMean": ("ReduceMean", (np.array([2, 3]),), {}),
    "ReduceMean negative axes": ("ReduceMean", (np.array([-1, -2]),), {"keepdims": 0}),
    "ReduceMax": ("ReduceMax", (np.array([3, 2]),), {"keepdims": 0}),
}


@pytest.mark.parametrize("case", GLOBAL)
@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 7)])
def test_global_pool_and_quantizer(case, size, build, prove):
    kind, constants, attributes = GLOBAL[case]
    b = build((1, 3, *size))
    b.quant(scale=1 / 256)
    b.then(kind, *constants, **attributes)
    if not attributes:
        b.then("Flatten")
    b.quant(scale=1 / 16, bits=4)
    b.node("MatMul", b.last, b.weights(codes(3, 4)))
    prove(b)


@pytest.mark.parametrize("kind", ["ReduceMean", "ReduceMax"])
@pytest.mark.parametrize("keepdims", [0, 1])
@pytest.mark.parametrize("way", ["flattened", "turned", "split"])
def test_global_pool_of_a_map_whose_pixels_are_laid_out_anew(way, keepdims, kind, build, prove):
    """`x.flatten(2).mean(-1)`: all pixels of a channel, in whatever order and on however many axes."""
    b = build((1, 3, 4, 6))
    b.quant(scale=1 / 256)
    if way == "turned":
        b.then("Transpose", perm=[0, 1, 3, 2])
    else:
        b.then("Reshape", np.array([1, 3, 24] if way == "flattened" else [1, 3, 2, 12]))
    b.then(kind, np.array([2] if way == "flattened" else [2, 3]), keepdims=keepdims)
    b.then("Flatten")
    b.quant(scale=1 / 16, bits=4)
    b.node("MatMul", b.last, b.weights(codes(3, 4)))
    prove(b)


def test_mean_of_pixels_of_several_channels_is_refused(build, prove):
    b = build((1, 3, 4, 4))
    b.quant()
    b.conv(codes(4, 3, 3, 3))
    b.then("Reshape", np.array([1, 2, 8]))
    b.then("ReduceMean", np.array([2]))
    with pytest.raises(MuxflowError, match=r"ReduceMean_\d .*its input is not a map"):
        prove(b)


def test_mean_over_other_axes_is_refused(build, prove):
    b = build((1, 3, 4, 4))
    b.quant()
    b.then("ReduceMean", np.array([1]))
    with pytest.raises(MuxflowError, match=r"ReduceMean_1 .*over axes \[1\]; supported is"):
        prove(b)


def test_global_average_as_the_output(build, prove):
    b = build((1, 3, 3, 5))
    b.quant(scale=1 / 256)
    b.conv(codes(4, 3, 1, 1))
    b.then("GlobalAveragePool")
    b.then("Flatten")
    graph = prove(b)
    assert graph.readouts[graph.outputs[0]].scale == pytest.approx([1 / 256 / 15] * 4)


def test_max_pool_between_batch_norm_and_quantizer(build, prove):
    """A channel with a negative factor is turned over before the pool, so that the largest value stays the largest."""
    b = build((1, 3, 4, 4))
    b.quant(scale=1 / 256)
    b.conv(codes(4, 3, 1, 1))
    b.then("BatchNormalization", *np.float32([[0.5, -0.7, -1, 0], [0.1, 0.2, 0.3, 0.4], [0, 1, 0, 0], [1, 2, 0.5, 1]]))
    b.then("LeakyRelu", alpha=0.125)
    b.then("MaxPool", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])
    b.quant(scale=0.25, bits=4, signed=1)
    graph = prove(b)
    assert [n.op.factors.tolist() for n in graph.nodes if isinstance(n.op, Scale)] == [[1, -1, -1, 1]]
    assert any(isinstance(node.op, WindowPool) for node in graph.nodes)


def test_max_pool_of_an_activation_that_turns_is_refused(build, prove):
    b = build((1, 1, 2, 2))
    b.quant(signed=1)
    b.then("Abs")
    b.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    with pytest.raises(MuxflowError, match=r"MaxPool_2 .*Abs_1 \(Abs\).*may rise and fall; put"):
        prove(b)


def test_average_over_affine_steps(build, prove):
    b = build((1, 2, 4, 4))
    b.quant(bits=4)
    b.then("Mul", np.float32([0.5, -0.25]).reshape(2, 1, 1))
    b.then("Add", np.float32(1.5))
    b.then("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    b.quant(scale=0.5, bits=4, signed=1)
    graph = prove(b)
    assert any(isinstance(node.op, Pool) for node in graph.nodes)


REFUSED = {
    "no activation between": (
        lambda b: (b.quant(), b.conv(codes(2, 3, 1, 1)), b.then("Relu"), b.conv(codes(2, 2, 1, 1))),
        (1, 3, 2, 2),
        r"Conv_5 \(Conv\): its input passes Relu_3 \(Relu\).*put an activation quantizer before this layer",
    ),
    "incommensurate channels": (
        lambda b: (b.quant(), b.then("Mul", np.float32([1, 0.3337, 2]).reshape(3, 1, 1)), b.conv(codes(2, 3, 1, 1))),
        (1, 3, 2, 2),
        r"Conv_3 .*differ in scale or offset.*one scale for all channels",
    ),
    "float weights": (
        lambda b: (b.quant(), b.then("Conv", np.random.default_rng(0).normal(size=(2, 3, 3, 3)))),
        (1, 3, 4, 4),
        r"Conv_1 .*floats without a quantizer, or span more than 65535 .*; give the layer a weight quantizer",
    ),
    "weights of 18 bits": (
        lambda b: (b.quant(), b.node("Conv", b.last, b.weights([[[[70000.0]]]], bits=18))),
        (1, 1, 4, 4),
        r"Conv_2 .*weight codes up to 70000; supported are weights of 1 to 16 bits",
    ),
    "kernel beyond the map": (lambda b: (b.quant(), b.conv(codes(2, 3, 3, 3))), (1, 3, 2, 2), r"Conv_2 .*does not fit"),
    "attention": (
        lambda b: (b.quant(), b.node("MatMul", b.last, b.last)),
        (1, 4),
        r"MatMul_1 .*both factors are data",
    ),
    "constant on the left": (
        lambda b: (b.quant(), b.node("MatMul", np.float32(codes(2, 1)), b.last)),
        (1, 4),
        r"MatMul_1 .*on the right",
    ),
    "dense on a map": (
        lambda b: (b.quant(), b.conv(codes(3, 3, 1, 1)), b.quant(), b.node("MatMul", b.last, b.weights(codes(4, 2)))),
        (1, 3, 4, 4),
        r"flatten it to \(N, feat",
    ),
    "alpha": (
        lambda b: (b.quant(), b.node("Gemm", b.last, b.weights(codes(4, 2)), alpha=0.5)),
        (1, 4),
        r"alpha and beta",
    ),
    "average of an activation": (
        lambda b: (b.quant(signed=1), b.then("Relu"), b.then("GlobalAveragePool")),
        (1, 3, 4, 4),
        r"GlobalAveragePool_2 .*averages Relu_1 \(Relu\) without a quantizer; put one before",
    ),
    "re-ordered before a convolution": (
        lambda b: (
            b.quant(),
            b.conv(codes(3, 3, 1, 1)),
            b.quant(),
            b.then("Transpose", perm=[0, 1, 3, 2]),
            b.conv(codes(2, 3, 1, 1)),
        ),
        (1, 3, 4, 4),
        r"Conv_\d+ .*not re-ordered before",
    ),
}


@pytest.mark.parametrize("dense", [False, True])
def test_an_input_that_is_re_ordered_first_is_read_in_that_order(dense, build, prove):
    """What the host hands over is laid out as the first node reads it; inside a network the same is refused."""
    b = build((1, 3, 4, 4))
    b.quant()
    if dense:
        b.node("MatMul", b.last, b.weights(codes(4, 2)))
    else:
        b.then("Transpose", perm=[0, 1, 3, 2])
        b.conv(codes(2, 3, 1, 1))
    prove(b)


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_node_and_fix(case, build, save):
    fill, shape, message = REFUSED[case]
    b = build(shape)
    fill(b)
    with pytest.raises(MuxflowError, match=message):
        load(save(b))


def test_arg_max_on_chip_only_where_integers_order_like_logits(build, prove):
    """Scales and offsets on one grid for all classes; else the read-out stays on the host and says so."""
    for bias, scale, wrong in (
        (np.zeros(5), 0.1, ""),
        (np.full(5, 0.3), 0.1, ""),
        (np.full(5, 1e7), 0.1, ""),
        (0.1 * np.array([17, -4, 3, 0, 11]), 0.1, ""),  # whole steps of the sums, as Int32Bias has them
        (0.3 + 0.1 * np.array([17, -4, 3, 0, 11]), 0.1, ""),
        (np.zeros(5), np.float32([0.1, 0.2, 0.1, 0.1, 0.3]), ""),
        (np.arange(5.0) * 0.7, np.float32([0.1, 0.2, 0.1, 0.1, 0.1]), ""),
        (np.arange(5.0) / 3, 0.1, "offsets"),
        (np.zeros(5), np.float32([0.1, 0.2141, 0.1, 0.1, 0.1]), "scales"),
    ):
        b = build((1, 8))
        b.quant(bits=4)
        b.node("Gemm", b.last, b.weights(codes(8, 5), scale), bias)
        graph = prove(b)
        if not wrong:
            images = codes(20, 1, 1, 8, low=0, high=16)
            labels = append_arg_max(graph)(images).reshape(-1)
            assert labels.tolist() == graph.read_out(graph(images)).argmax(axis=1).tolist()
        else:
            with pytest.raises(GraphError, match=rf"the {wrong} of the classes .*keep the read-out on the host"):
                append_arg_max(graph)


def test_weights_with_the_noise_of_a_quantizer_stand_on_their_grid():
    """x + (q(x) - x) leaves values some 1e-7 beside the grid; the smallest are moved most, relatively."""
    generator = np.random.default_rng(0)
    codes = generator.integers(-7, 8, (16, 9))
    codes[0, :2] = 1, 7
    x = generator.normal(0, 0.3, codes.shape).astype(np.float32)
    noisy = x + ((codes * 0.75 / 8).astype(np.float32) - x)
    assert len(np.unique(noisy)) > 16
    step = _noisy_step(_sizes(noisy.astype(np.float64)))
    assert step is not None
    assert np.array_equal(np.rint(noisy / step).astype(int), codes)
    assert _noisy_step(_sizes(x.astype(np.float64))) is None
    assert _exact_step(_sizes(x.astype(np.float64))) is None
