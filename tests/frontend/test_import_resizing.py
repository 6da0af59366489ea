"""Import of nodes that change the size of maps: padding, upsampling, transposed convolutions, blocks of pixels; averages that
leave the padding out; joins of vectors."""

import numpy as np
import pytest

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.registry import load

RNG = np.random.default_rng(0)
PADS = np.array([0, 0, 1, 0, 0, 0, 2, 3])


def kinds(graph):
    return [node.op.kind for node in graph.nodes]


def conv(b, rows, columns, size=3, **attributes):
    return b.conv(RNG.integers(-7, 8, (rows, columns, size, size)), scale=0.25, **attributes)


# ------------------------------------------------------------------------------------------- padding


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_padding_goes_into_the_window_after_it(value, build, prove):
    b = build((1, 2, 5, 6))
    b.quant(scale=0.25, bits=4)
    b.then("Pad", PADS, np.float32(value))
    conv(b, 3, 2)
    graph = prove(b)
    assert kinds(graph) == ["SlidingWindow", "RomWeights", "MatrixVector"]
    assert graph.nodes[0].op.pad_code == 4 * value


@pytest.mark.parametrize("value", [0.0, 1.5])
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool"])
def test_padding_goes_into_a_pool(kind, value, build, prove):
    b = build((1, 2, 5, 6))
    b.quant(scale=0.25, bits=4, signed=1)
    b.then("Pad", PADS, np.float32(value))
    b.then(kind, kernel_shape=[3, 2], strides=[1, 2])
    assert kinds(prove(b)) == ["SlidingWindow", "WindowPool"]


@pytest.mark.parametrize("value", [0.0, 1.5])
def test_padding_beside_that_of_the_layer(value, build, prove):
    b = build((1, 2, 5, 6))
    b.quant(scale=0.25, bits=4)
    b.then("Pad", PADS, np.float32(value))
    conv(b, 3, 2, pads=[1, 1, 1, 1])
    assert ("Resize" in kinds(prove(b))) == (value != 0)
    b.then("MaxPool", kernel_shape=[2, 2])
    b.quant(scale=8.0, bits=4, signed=1)
    b.then("Pad", PADS)
    b.then("MaxPool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    prove(b)


def test_padding_before_a_quantizer_goes_through_it(build, prove):
    b = build((1, 2, 5, 6))
    b.quant(scale=0.25, bits=4)
    conv(b, 3, 2)
    b.then("Add", np.float32([0.3]))
    b.then("Pad", PADS)  # zero is no code here, and one behind the quantizer
    b.then("Relu")
    b.then("Mul", RNG.uniform(0.1, 0.4, (1, 3, 1, 1)))
    b.quant(scale=0.5, bits=4)
    conv(b, 2, 3)
    assert "Resize" not in kinds(prove(b))


def test_padding_of_padding(build, prove):
    b = build((1, 2, 5, 6))
    b.quant(scale=0.25, bits=4)
    b.then("Pad", PADS)
    b.then("Pad", PADS)
    b.then("Pad", PADS * 0)
    conv(b, 2, 2)
    graph = prove(b)
    assert graph.nodes[0].op.pads == (2, 0, 4, 6)
    b = build((1, 2, 5, 6))
    b.quant(scale=0.25, bits=4)
    b.then("Pad", PADS)
    b.then("Pad", PADS, np.float32(0.5))
    b.then("Pad", -PADS)
    conv(b, 2, 2)
    prove(b)


def test_padding_before_the_input_quantizer(build, prove):
    b = build((1, 2, 5, 6))
    b.then("Pad", PADS)
    b.quant(scale=0.25, bits=4)
    conv(b, 2, 2)
    assert "Resize" not in kinds(prove(b))


def test_padding_of_its_own(build, prove):
    """Where the next node has no window, or differs from pixel to pixel or channel to channel."""
    for then in (
        lambda b: b.then("Add", RNG.integers(-3, 4, (1, 2, 8, 9)) * 0.25),
        lambda b: b.then("Add", np.array([0.25, 0.5]).reshape(1, 2, 1, 1)),
        lambda b: b.then("Flatten"),
    ):
        b = build((1, 2, 5, 6))
        b.quant(scale=0.25, bits=4)
        b.then("Pad", PADS)
        then(b)
        b.quant(scale=0.25, bits=5, signed=1)
        assert "Resize" in kinds(prove(b))


def test_padding_at_the_end_or_of_nothing(build, prove):
    b = build((1, 2, 5, 6))
    b.quant(scale=0.25, bits=4)
    b.then("Pad", PADS * 0)
    b.then("Pad", np.array([1, 0, 1, 2]), "", np.array([2, 3]))
    prove(b)
    b.then("Pad", np.array([-1, -2, -1, 3]), "", np.array([2, 3]))  # cropped, too
    prove(b)


def test_padding_of_a_channel_last_map(build, prove):
    b = build((1, 2, 5, 6))
    b.quant(scale=0.25, bits=4)
    b.then("Transpose", perm=[0, 2, 3, 1])
    b.then("Pad", np.array([0, 1, 0, 0, 0, 2, 3, 0]))
    b.then("Transpose", perm=[0, 3, 1, 2])
    conv(b, 2, 2)
    prove(b)


@pytest.mark.parametrize("mode", ["reflect", "edge"])
def test_padding_with_what_is_no_constant(mode, build, prove):
    b = build((1, 2, 5, 6))
    b.quant()
    b.then("Pad", PADS, mode=mode)
    with pytest.raises(MuxflowError, match=rf"Pad_1 .*mode '{mode}'; supported is padding with a constant"):
        prove(b)


def test_padding_that_is_no_code(build, prove):
    b = build((1, 2, 5, 6))
    b.quant(scale=0.25)
    b.then("Pad", PADS, np.float32(0.3))
    conv(b, 2, 2)
    with pytest.raises(MuxflowError, match=r"Pad_1 .*pads with 0\.3, which is no code"):
        prove(b)
    b = build((1, 2, 5, 6))
    b.quant()
    b.then("Pad", np.array([0, 1, 0, 0, 0, 1, 0, 0]))
    with pytest.raises(MuxflowError, match=r"Pad_1 .*pads images or channels"):
        prove(b)


# ------------------------------------------------------------------------------------------ averages


@pytest.mark.parametrize(("size", "pads"), [(3, [1, 1, 1, 1]), (3, [0, 1, 2, 0]), (5, [2, 2, 2, 2]), (2, [1, 0, 0, 1])])
@pytest.mark.parametrize("stride", [1, 2])
def test_average_that_leaves_the_padding_out(size, pads, stride, build, prove):
    b = build((1, 3, 6, 7))
    b.quant(scale=0.25, bits=4, signed=1)
    b.then("AveragePool", kernel_shape=[size, size], strides=[stride, stride], pads=pads)
    prove(b)
    b.quant(scale=0.125, bits=5, signed=1)
    graph = prove(b)
    (thresholds,) = (node.op.thresholds for node in graph.nodes if node.op.kind == "Threshold")
    assert len(thresholds) == 1  # not one for each pixel


@pytest.mark.parametrize("auto", ["SAME_UPPER", "SAME_LOWER"])
def test_average_of_same_size(auto, build, prove):
    b = build((1, 2, 6, 7))
    b.quant(scale=0.25, bits=4)
    b.then("AveragePool", kernel_shape=[3, 2], strides=[2, 2], auto_pad=auto)
    b.quant(scale=0.3, bits=4)
    prove(b)


def test_average_of_too_many_counts(build, prove):
    b = build((1, 1, 12, 12))
    b.quant()
    b.then("AveragePool", kernel_shape=[11, 11], pads=[5, 5, 5, 5])
    with pytest.raises(MuxflowError, match=r"AveragePool_1 .*different counts of elements, too many"):
        prove(b)


def test_average_with_nothing_in_a_window(build, prove):
    b = build((1, 1, 4, 4))
    b.quant()
    b.then("AveragePool", kernel_shape=[2, 2], pads=[2, 0, 0, 0])
    with pytest.raises(
        MuxflowError, match=r"AveragePool_1 .*a window lies in the padding whole .* and has no average; pad less"
    ):
        prove(b)


# --------------------------------------------------------------------------------------- upsampling


@pytest.mark.parametrize("factors", [(2, 2), (1, 3)])
@pytest.mark.parametrize(
    "attributes",
    [
        {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"},
        {"coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_floor"},
        {"coordinate_transformation_mode": "pytorch_half_pixel", "nearest_mode": "round_prefer_ceil"},
    ],
)
def test_nearest_upsampling(attributes, factors, build, prove):
    b = build((1, 2, 3, 4))
    b.quant(scale=0.25, bits=4)
    b.then("Resize", "", np.float32([1, 1, *factors]), **attributes)
    conv(b, 3, 2, pads=[1, 1, 1, 1])
    b.quant(scale=2.0, bits=4)
    prove(b)


def test_upsampling_by_sizes_and_of_older_files(build, prove):
    b = build((1, 2, 3, 4))
    b.quant(scale=0.25, bits=4)
    b.then("Resize", "", "", np.array([1, 2, 6, 4]), coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    prove(b)
    b = build((1, 2, 3, 4), opset=9)
    b.quant(scale=0.25, bits=4)
    b.then("Upsample", np.float32([1, 1, 2, 2]))
    prove(b)
    b = build((1, 2, 3, 4), opset=10)
    b.quant(scale=0.25, bits=4)
    b.then("Resize", np.float32([1, 1, 2, 2]))
    prove(b)
    b = build((1, 2, 3, 4), opset=13)  # where the second input is a region
    b.quant(scale=0.25, bits=4)
    b.then("Resize", np.float32([1, 1, 2, 2]))
    with pytest.raises(MuxflowError, match=r"\(Resize\): 0 scales for 4 axes"):
        prove(b)


def test_upsampling_of_a_sequence_and_a_volume(build, prove):
    for shape, scales in [((1, 2, 5), [1, 1, 3]), ((1, 2, 2, 3, 2), [1, 1, 2, 1, 2])]:
        b = build(shape)
        b.quant(scale=0.25, bits=4)
        b.then("Resize", "", np.float32(scales), coordinate_transformation_mode="asymmetric", nearest_mode="floor")
        prove(b)


@pytest.mark.parametrize(
    ("scales", "attributes", "message"),
    [
        ([1, 1, 2, 2], {"mode": "linear"}, "mode 'linear'; supported is 'nearest'"),
        ([1, 1, 1.5, 2], {}, r"scales 1, 1, 1\.5, 2; supported are whole factors"),
        ([1, 1, 0.5, 0.5], {}, "pools or strides to make maps smaller"),
        ([1, 1, 3, 3], {"coordinate_transformation_mode": "align_corners"}, "align_corners coordinates do not repeat"),
        (
            [1, 1, 2, 2],
            {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"},
            "asymmetric coordinates do not repeat",
        ),
    ],
)
def test_other_scaling_is_refused_by_name(scales, attributes, message, build, prove):
    b = build((1, 2, 4, 4))
    b.quant()
    b.then("Resize", "", np.float32(scales), **attributes)
    with pytest.raises(MuxflowError, match=rf"Resize_1 .*{message}"):
        prove(b)


# ------------------------------------------------------------------------------ transposed convolutions


@pytest.mark.parametrize(
    ("size", "attributes"),
    [
        (2, {"strides": [2, 2]}),
        (3, {"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [1, 1]}),
        (3, {}),
        (4, {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
        (3, {"strides": [2, 3], "dilations": [2, 1], "pads": [0, 1, 2, 0]}),
        (1, {"strides": [2, 2], "output_padding": [1, 1]}),  # wider steps than the kernel
        (2, {"pads": [2, 1, 1, 2]}),  # a crop
        (3, {"strides": [2, 2], "auto_pad": "SAME_UPPER"}),
        (2, {"strides": [3, 3], "auto_pad": "SAME_LOWER"}),
        (3, {"strides": [2, 2], "output_shape": [9, 8]}),
    ],
)
def test_transposed_convolution(size, attributes, build, prove):
    b = build((1, 3, 4, 4))
    b.quant(scale=0.25, bits=4)
    weights = b.weights(RNG.integers(-7, 8, (3, 2, size, size)) * 1.0, scale=np.array([0.25, 0.5]).reshape(1, 2, 1, 1))
    b.then("ConvTranspose", weights, RNG.integers(-9, 9, 2) / 16, **attributes)
    prove(b)
    b.quant(scale=1.0, bits=4)
    prove(b)


@pytest.mark.parametrize("groups", [2, 4])
def test_grouped_transposed_convolution(groups, build, prove):
    b = build((1, 4, 3, 4))
    b.quant(scale=0.25, bits=4, signed=1)
    weights = b.weights(RNG.integers(-7, 8, (4, 3, 3, 2)), scale=0.25)
    b.then("ConvTranspose", weights, strides=[2, 2], group=groups)
    prove(b)


def test_transposed_convolution_of_a_sequence(build, prove):
    b = build((1, 3, 5))
    b.quant(scale=0.25, bits=4, zero=8.0)  # zero is a code of its own
    b.then("ConvTranspose", b.weights(RNG.integers(-7, 8, (3, 2, 3))), strides=[2])
    prove(b)


# ------------------------------------------------------------------------------------ blocks of pixels


def gather(b, channels, height, width, block):
    """As PyTorch exports PixelUnshuffle."""
    b.then("Reshape", np.array([1, channels, height // block, block, width // block, block]))
    b.then("Transpose", perm=[0, 1, 3, 5, 2, 4])
    b.then("Reshape", np.array([1, channels * block**2, height // block, width // block]))


def test_pixels_gathered_into_channels(build, prove):
    for pixel_unshuffle in (True, False):
        b = build((1, 3, 4, 6))
        b.quant(scale=0.25, bits=4)
        b.then("Mul", np.array([0.5, 0.25, 1.0]).reshape(1, 3, 1, 1))
        if pixel_unshuffle:
            gather(b, 3, 4, 6, 2)
        else:
            b.then("SpaceToDepth", blocksize=2)
        conv(b, 2, 12, pads=[1, 1, 1, 1])
        b.quant(scale=1.0, bits=4)
        prove(b)


def test_blocks_that_do_not_divide(build, prove):
    b = build((1, 3, 4, 5))
    b.quant()
    b.then("SpaceToDepth", blocksize=2)
    with pytest.raises(MuxflowError, match="blocks that divide height and width"):
        prove(b)


# --------------------------------------------------------------------------------------------- joins


def test_vectors_joined(build, prove):
    b = build((1, 4, 4, 4))
    x = b.quant(scale=0.25, bits=4)
    small = b.then("MaxPool", kernel_shape=[4, 4])
    first = b.node("Flatten", x)
    second = b.node("Flatten", small)
    b.node("Mul", second, np.float32([0.5]))
    b.node("Concat", first, b.last, first, axis=1)
    prove(b)
    b.then("MatMul", b.weights(RNG.integers(-7, 8, (132, 3))))
    prove(b)


def test_a_constant_for_each_channel_before_a_layer(build, prove):
    b = build((1, 3, 4, 4))
    b.quant(scale=0.25, bits=4, signed=1)
    b.then("Add", np.array([0.25, -1.0, 0.5]).reshape(1, 3, 1, 1))
    conv(b, 2, 3, pads=[1, 1, 1, 1])
    assert "ShiftClip" in kinds(prove(b))
    b = build((1, 3, 4, 4))
    b.quant(scale=0.25, bits=4, signed=1)
    b.then("Add", np.array([0.25, -1.0, 0.3]).reshape(1, 3, 1, 1))
    conv(b, 2, 3)
    with pytest.raises(MuxflowError, match="the channels of its input differ in scale or offset"):
        prove(b)


# ------------------------------------------------------------------------------------------- pixels of channels


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
@pytest.mark.parametrize("quantized", [False, True])
def test_pixels_made_of_channels_at_the_end(mode, quantized, build, prove):
    """Super-resolution: only the order of the output."""
    b = build((1, 2, 3, 4))
    b.quant(scale=0.25, bits=4)
    conv(b, 8, 2, pads=[1, 1, 1, 1])
    b.then("DepthToSpace", blocksize=2, mode=mode)
    if quantized:
        b.then("Mul", RNG.uniform(0.1, 0.4, (1, 2, 1, 1)))
        b.quant(scale=0.5, bits=5, signed=1)
    graph = prove(b)
    assert len(graph.nodes) == 3 + quantized
    (readout,) = graph.readouts.values()
    assert readout.shape == (2, 6, 8)


def unfolded(b):
    conv(b, 8, 2)
    b.then("DepthToSpace", blocksize=2, mode="CRD")


@pytest.mark.parametrize(
    ("fill", "message"),
    [
        (
            lambda b: (unfolded(b), conv(b, 2, 2)),
            r"Conv_\d+ .*made of channels, as by PixelShuffle .* use ConvTranspose",
        ),
        (
            lambda b: (unfolded(b), b.then("MaxPool", kernel_shape=[3, 3])),
            r"MaxPool_\d+ .*made of channels, as by Pixel",
        ),
        (
            lambda b: b.then("DepthToSpace", blocksize=2),
            r"DepthToSpace_\d+ .*blocks of 2 by 2 pixels, mode DCR, of \(N, 2",
        ),
        (lambda b: b.then("DepthToSpace", blocksize=0), r"DepthToSpace_\d+ .*blocks of 0 by 0 pixels"),
    ],
)
def test_pixels_made_of_channels_elsewhere_are_refused(fill, message, build, save):
    b = build((1, 2, 5, 6))
    b.quant(scale=0.25, bits=4)
    fill(b)
    with pytest.raises(MuxflowError, match=message):
        load(save(b))
