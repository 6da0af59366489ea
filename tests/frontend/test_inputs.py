"""What the inputs of a model hold: order of the axes, integers, mean and standard deviation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper

import muxflow
from muxflow.dataflow.errors import UnsupportedError, UsageError
from muxflow.dataflow.graph.file import read_graph, write_graph
from muxflow.dataflow.graph.graph import Entry
from muxflow.frontend.floats import float_inputs, image_codes
from muxflow.frontend.model import ImportOptions
from muxflow.frontend.registry import load
from muxflow.frontend.training.datasets.digits import load_digits
from muxflow.proving import dataset_images

LAST = "qonnx.custom_op.channels_last"


def weights(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(-3, 4, shape).astype(np.float32)


def annotated(path: Path, kind: str) -> Path:
    """Write beside the input x of a file which data type it has, as FINN does."""
    model = ModelWrapper(str(path))
    model.set_tensor_datatype("x", DataType[kind])
    model.save(str(path))
    return path


def nhwc(b: Any, first: bool) -> None:
    """A channels-last input, moved to the front before its quantizer or behind it."""
    if first:
        b.then("Transpose", perm=[0, 3, 1, 2])
    b.quant(scale=1 / 16, signed=1)
    if not first:
        b.then("Transpose", perm=[0, 3, 1, 2])
    b.conv(weights(4, 3, 3, 3))


def reshaped(b: Any) -> None:
    """A flat input that a Reshape makes a map of, its target computed from the batch."""
    b.quant(bits=4)
    x = b.last
    b.node("Gather", b.node("Shape", x), np.array(0))
    b.node("Concat", b.then("Unsqueeze", np.array([0])), np.array([3, 6, 7]), axis=0)
    b.node("Reshape", x, b.last)
    b.conv(weights(4, 3, 3, 3))


def pooled_last(b: Any) -> None:
    b.quant(bits=4)
    b.node("MaxPoolNHWC", domain="qonnx.custom_op.general", kernel_shape=[2, 2], strides=[2, 2])


def channels_last(b: Any) -> None:
    """QONNX' channels-last form: operators of a domain of its own, weights with their channels last."""
    b.quant(bits=4)
    kernel = b.weights(weights(5, 3, 3, 3), np.float32([0.5, 1, 2, 1, 1]).reshape(5, 1, 1, 1))
    b.node("Conv", b.last, kernel, domain=LAST, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    parameters = (np.float32([1, -2, 1, 1, 3]), np.float32([0, 3, 1, 0, 2]), np.zeros(5), np.ones(5))
    b.node("BatchNormalization", b.last, *parameters, domain=LAST)
    b.quant(bits=3, scale=4.0)
    b.node("MaxPool", domain=LAST, kernel_shape=[2, 2], strides=[2, 2])
    b.then("Flatten")
    b.node("MatMul", b.last, b.weights(weights(45, 3)))


LAYOUTS: dict[str, tuple[tuple[int, ...], Any, tuple[int, ...], Entry | None]] = {
    "transposed after the quantizer": ((6, 7, 3), lambda b: nhwc(b, False), (6, 7, 3), Entry((0, 1, 2), (6, 7, 3))),
    "transposed before the quantizer": ((6, 7, 3), lambda b: nhwc(b, True), (6, 7, 3), Entry((0, 1, 2), (6, 7, 3))),
    "flat and reshaped": ((126,), reshaped, (6, 7, 3), Entry((2, 0, 1), (126,))),
    "read by a channel-last pool": ((6, 4, 3), pooled_last, (6, 4, 3), Entry((0, 1, 2), (6, 4, 3))),
    "QONNX' channels-last form": ((6, 7, 3), channels_last, (6, 7, 3), Entry((0, 1, 2), (6, 7, 3))),
    "pixel by pixel": (
        (6, 7, 3),
        lambda b: (b.quant(bits=4), b.node("MatMul", b.last, b.weights(weights(3, 2)))),
        (6, 7, 3),
        Entry((0, 1, 2), (6, 7, 3)),
    ),
    "height and width swapped": (
        (3, 7, 6),
        lambda b: (b.quant(bits=4), b.then("Transpose", perm=[0, 1, 3, 2]), b.conv(weights(4, 3, 3, 3))),
        (6, 7, 3),
        Entry((2, 1, 0), (3, 7, 6)),
    ),
    "channels first": ((3, 6, 7), lambda b: (b.quant(bits=4), b.conv(weights(4, 3, 3, 3))), (6, 7, 3), None),
    "one axis, channels last": (
        (8, 2),
        lambda b: (b.quant(bits=4), b.then("Transpose", perm=[0, 2, 1]), b.conv(weights(4, 2, 3))),
        (8, 2),
        Entry((0, 1), (8, 2)),
    ),
    "flattened only": (
        (2, 3, 4),
        lambda b: (b.quant(bits=4), b.then("Flatten"), b.node("MatMul", b.last, b.weights(weights(24, 3)))),
        (3, 4, 2),
        None,
    ),
}


@pytest.mark.filterwarnings("ignore:Output shapes disagree")  # QONNX does not infer a computed target
@pytest.mark.parametrize("case", LAYOUTS)
def test_the_first_node_that_reads_a_map_says_the_layout(case: str, build: Any, prove: Any, tmp_path: Path) -> None:
    shape, make, stream, entry = LAYOUTS[case]
    b = build((1, *shape))
    make(b)
    graph = prove(b, count=5)
    name = graph.inputs[0]
    assert graph.streams[name].shape == stream
    assert graph.entries == ({} if entry is None else {name: entry})
    write_graph(graph, tmp_path / "graph.npz")
    assert read_graph(tmp_path / "graph.npz").entries == graph.entries


def test_codes_go_into_the_models_input_by_the_entry(build: Any, save: Any) -> None:
    b = build((1, 6, 7, 3))
    nhwc(b, False)
    graph = load(save(b))
    codes = np.random.default_rng(0).integers(-128, 128, (2, 6, 7, 3))
    (values,) = float_inputs(graph, codes)
    assert np.array_equal(values, (codes / 16).astype(np.float32))


@pytest.mark.parametrize(("layout", "stream"), [("channels-last", (3, 4, 2)), ("channels-first", (4, 2, 3))])
def test_a_layout_that_no_node_says_is_given(layout: str, stream: Any, build: Any, prove: Any) -> None:
    b = build((1, 3, 4, 2))
    b.quant(bits=4)
    b.then("Flatten")
    b.node("MatMul", b.last, b.weights(weights(24, 3)))
    graph = prove(b, input_layout=layout)
    assert graph.streams[graph.inputs[0]].shape == stream


def test_finns_channels_last_input(build: Any, prove: Any, save: Any) -> None:
    """MakeInputChannelsLast: another Transpose before the one that makes the vectors of the convolution."""
    from qonnx.transformation.infer_data_layouts import InferDataLayouts
    from qonnx.transformation.make_input_chanlast import MakeInputChannelsLast

    domain = "qonnx.custom_op.general"
    b = build((1, 3, 6, 7), opset=13)
    b.then("Transpose", perm=[0, 2, 3, 1])
    table = np.sort(np.random.default_rng(0).integers(0, 15, (3, 7)), axis=1).astype(np.float32)
    b.node("MultiThreshold", b.last, table, domain=domain, out_dtype="UINT3", data_layout="NHWC")
    b.node("Im2Col", b.last, domain=domain, kernel_size=[3, 3], stride=[1, 1], pad_amount=[0, 0, 0, 0], input_shape="")
    b.node("MatMul", b.last, weights(27, 5))
    path = annotated(save(b), "UINT4")
    before = prove(path)
    ModelWrapper(str(path)).transform(MakeInputChannelsLast()).transform(InferDataLayouts()).save(str(path))
    graph = prove(path)
    entry = graph.entries[graph.inputs[0]]
    assert (entry.shape, graph.streams[graph.inputs[0]].shape) == ((6, 7, 3), (6, 7, 3))
    codes = np.random.default_rng(3).integers(0, 16, (4, 6, 7, 3))
    assert np.array_equal(graph(codes), before(codes))


def test_quantizers_without_a_domain(build: Any, prove: Any, save: Any) -> None:
    b = build((1, 2, 3, 3))
    b.quant(scale=1 / 16)
    b.conv(weights(3, 2, 1, 1))
    b.quant(scale=0.5, bits=3)
    for node in b.nodes:
        node.domain = ""
    assert len(prove(b).tensors) == 1


TYPES = {
    "BIPOLAR": (-1, 1, 1.0, True),
    "BINARY": (0, 1, 1.0, False),
    "TERNARY": (-1, 1, 1.0, False),
    "INT2": (-2, 1, 1.0, False),
    "UINT3": (0, 7, 1.0, False),
    "FIXED<6,2>": (-32, 31, 1 / 16, False),
}


@pytest.mark.parametrize("kind", TYPES)
def test_annotated_input_types(kind: str, build: Any, prove: Any, save: Any) -> None:
    lo, hi, scale, bipolar = TYPES[kind]
    b = build((1, 6))
    b.then("Add", np.float32(1))
    b.node("MatMul", b.last, weights(6, 4))
    path = annotated(save(b), kind)
    graph = load(path)
    stream = graph.streams[graph.inputs[0]]
    assert (stream.lo, stream.hi, stream.scale, stream.bipolar) == (lo, hi, (scale,), bipolar)
    if not bipolar:
        prove(path)


def test_an_input_that_nobody_describes(build: Any, save: Any) -> None:
    b = build((1, 6))
    b.node("MatMul", b.last, b.weights(weights(6, 4)))
    for kind in ("FLOAT32", "INT32", "FIXED<32,2>"):
        with pytest.raises(UnsupportedError, match=r"integer grid is unknown; .*--input-signed --input-scale 1/128"):
            load(annotated(save(b), kind))


def test_what_is_taken_for_granted_is_said(build: Any, save: Any) -> None:
    b = build((1, 6))
    b.node("MatMul", b.last, b.weights(weights(6, 4)))
    path = save(b)
    remark = muxflow.load(path, input_scale=0.5).notes["remarks"]
    assert remark.startswith("the input is taken to hold the integers 0 to 255, 0.5 a step; --input-bits")
    assert "0 to 15" in muxflow.load(path, input_scale=0.5, input_bits=4).notes["remarks"]
    assert "remarks" not in muxflow.load(path, input_scale=0.5, input_bits=4, input_signed=True).notes


@pytest.mark.parametrize("quantized", [True, False])
def test_mean_and_standard_deviation(quantized: bool, build: Any, prove: Any) -> None:
    """Pixels go in; what normalizes them is part of the thresholds behind them, or of the layer's offset."""
    b = build((1, 3, 5, 6))
    if quantized:
        b.quant(scale=1 / 32, signed=1, bits=8)
    b.conv(weights(4, 3, 3, 3))
    b.then("Relu")
    b.quant(scale=0.5, bits=4)
    mean, std = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if quantized else ((0.45,), (0.225,))
    options = {"input_scale": 1 / 255, "input_bits": 8, "input_signed": False, "input_mean": mean, "input_std": std}
    graph = prove(b, count=30, **options)
    codes = np.random.default_rng(0).integers(0, 256, (3, 5, 6, 3))
    (values,) = float_inputs(graph, codes)
    expected = ((codes / 255).astype(np.float32) - np.float32(mean)) / np.float32(std)
    assert np.array_equal(values, np.moveaxis(expected, -1, 1))
    with pytest.raises(UnsupportedError, match="2 numbers of the input's mean or standard deviation for 3 channels"):
        prove(b, **{**options, "input_mean": (0.1, 0.2)})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_signed": True}, "are said with its scale"),
        ({"input_mean": (0.5,)}, "are said with its scale"),
        ({"input_scale": 0.5, "input_std": (0.0,)}, "input standard deviation 0; it must be positive"),
        ({"input_scale": 0.5, "input_mean": (float("nan"),)}, "input mean nan; it must be finite"),
        ({"input_layout": "nhwc"}, "input layout 'nhwc'; supported are channels-first, channels-last"),
    ],
)
def test_descriptions_out_of_range(options: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        ImportOptions(**options)


def test_a_flat_input_of_any_other_order_stays_refused(build: Any, save: Any) -> None:
    b = build((1, 4, 36))
    b.quant(bits=4)
    b.then("Reshape", np.array([1, 2, 2, 6, 6]))
    b.then("Transpose", perm=[0, 2, 3, 1, 4])
    b.then("Reshape", np.array([1, 4, 6, 6]))
    b.conv(weights(4, 4, 3, 3))
    with pytest.raises(UnsupportedError, match=r"Conv_\d \(Conv\): its input is not a map in the order"):
        load(save(b))


def test_an_input_of_unknown_order_is_no_map(tmp_path: Path) -> None:
    """A Reshape whose target is data is refused, not guessed."""
    value = helper.make_tensor_value_info
    nodes = [
        helper.make_node("Quant", ["x", "s", "z", "b"], ["q"], "q", domain="qonnx.custom_op.general", signed=0),
        helper.make_node("Reshape", ["q", "x"], ["y"], "r"),
    ]
    constants = [helper.make_tensor(name, TensorProto.FLOAT, [], [one]) for name, one in (("s", 1), ("z", 0), ("b", 4))]
    graph = helper.make_graph(
        nodes, "n", [value("x", TensorProto.FLOAT, [1, 4])], [value("y", TensorProto.FLOAT, None)], constants
    )
    path = tmp_path / "m.onnx"
    path.write_bytes(helper.make_model(graph).SerializeToString())
    with pytest.raises(UnsupportedError, match=r"r \(Reshape\): input 1 .* must be constant"):
        load(path)


@pytest.mark.parametrize("form", ["transposed", "rows as channels", "axis added"])
def test_pixels_of_a_model_that_swaps_the_axes_of_its_input(form: str, build: Any, prove: Any) -> None:
    """The model's own input is the image, whatever the order of the stream: of a data set, a file, and pixels in Python."""
    b = build((1, 8, 8) if form == "axis added" else (1, 1, 8, 8))
    b.quant(scale=1 / 256, bits=8, signed=0)
    if form == "axis added":
        b.then("Unsqueeze", np.array([1]))
        b.conv(weights(4, 1, 3, 3))
    elif form == "transposed":
        b.then("Transpose", perm=[0, 1, 3, 2])
        b.conv(weights(4, 1, 3, 3))
    else:
        b.then("Squeeze", np.array([1]))
        b.conv(weights(4, 8, 3))
    graph = prove(b)
    swapped = "the model swaps the axes of " in graph.notes.get("remarks", "")
    assert swapped == (form == "transposed")
    digits = load_digits("test").images[:5]
    assert digits.shape == (5, 8, 8, 1)
    wanted = np.moveaxis(digits, -1, 1).astype(np.float32) / 256
    taken = dataset_images(graph, "digits", "test", None, 5).codes
    for codes in (image_codes(graph, digits), np.asarray(taken)):
        assert codes.shape == (5, *graph.streams[graph.inputs[0]].shape)
        (values,) = float_inputs(graph, codes)
        assert np.array_equal(values.reshape(wanted.shape), wanted)


def test_grey_images_of_a_data_set_for_a_model_of_vectors(build: Any, prove: Any) -> None:
    b = build((1, 64))
    b.quant(scale=1 / 256, bits=8, signed=0)
    b.node("MatMul", b.last, b.weights(weights(64, 10)))
    graph = prove(b)
    (values,) = float_inputs(graph, np.asarray(dataset_images(graph, "digits", "test", None, 5).codes))
    assert np.array_equal(values.reshape(5, 64), load_digits("test").images[:5].reshape(5, 64).astype(np.float32) / 256)
