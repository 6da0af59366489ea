"""Nodes of ONNX files that say something else than the numbers alone would: refused by name, never read in silence."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import muxflow
from muxflow.dataflow.errors import UnsupportedError


def quantized(build: Any, shape: tuple[int, ...] = (1, 4, 6, 6), opset: int = 20) -> Any:
    made = build(shape, opset)
    made.quant("x", 0.25, bits=4.0)
    return made


def written(made: Any, folder: Path) -> Path:
    """A file whose last node goes into a quantizer."""
    made.quant(scale=0.5, bits=4.0, signed=1)
    onnx.save(made.model(), folder / "net.onnx")
    return folder / "net.onnx"


@pytest.mark.parametrize(
    ("op", "opset", "attribute", "value", "where"),
    [
        ("AveragePool", 11, "dilations", [2, 2], "opset 11; opsets 19 to"),
        ("AveragePool", 20, "storage_order", 0, "any opset: .*, so take it away"),
        ("MaxPool", 20, "count_include_pad", 1, "any opset"),
        ("MaxPool", 8, "ceil_mode", 1, "opset 8; opsets 10 to"),
        ("Relu", 20, "alpha", 0.5, "any opset"),
        ("Clip", 11, "min", 0.0, "opset 11; opsets 1 to 10 have it: .*, so export the model at one of those"),
        ("BatchNormalization", 9, "spatial", 1, "opset 9; opsets 1 to 8"),
    ],
)
def test_attributes_that_the_opset_has_not(
    build: Any, tmp_path: Path, op: str, opset: int, attribute: str, value: Any, where: str
) -> None:
    """The ONNX runtime refuses them; the import used some and passed over others."""
    made = quantized(build, opset=opset)
    window = {"kernel_shape": [2, 2], "strides": [2, 2]} if op.endswith("Pool") else {}
    more = [np.ones(4, np.float32)] * 4 if op == "BatchNormalization" else []
    made.then(op, *more, **window, **{attribute: value})
    path = written(made, tmp_path)
    for read in (muxflow.load, muxflow.check):
        with pytest.raises(UnsupportedError, match=rf"^{op}_1 \({op}\): {op} has no attribute {attribute} at {where}"):
            read(path)


@pytest.mark.parametrize(
    ("op", "opset", "where"),
    [("Gelu", 13, "20 to"), ("QuantizeLinear", 9, "10 to"), ("HardSwish", 13, "14 to"), ("Upsample", 20, "1 to 9")],
)
def test_operators_that_the_opset_has_not(build: Any, tmp_path: Path, op: str, opset: int, where: str) -> None:
    """The ONNX runtime, with which the import is compared, refuses the file."""
    made = quantized(build, opset=opset)
    made.then(op)
    path = written(made, tmp_path)
    for read in (muxflow.load, muxflow.check):
        with pytest.raises(
            UnsupportedError, match=rf"^{op}_1 \({op}\): there is no operator {op} at opset {opset}; opsets {where}"
        ):
            read(path)


def test_gemm_has_no_broadcast_any_more(build: Any, tmp_path: Path) -> None:
    made = quantized(build, (1, 4))
    data = made.last
    weights = made.weights(np.ones((4, 4)))
    made.node("Gemm", data, weights, np.ones(4, np.float32), broadcast=1)
    with pytest.raises(UnsupportedError, match=r"Gemm has no attribute broadcast at opset 20; opsets 1 to 6 have it"):
        muxflow.load(written(made, tmp_path))


def normalization(made: Any, outputs: int = 1, **attributes: Any) -> None:
    channels = [np.ones(4), np.zeros(4), np.full(4, 3.0), np.full(4, 9.0)]
    made.then("BatchNormalization", *(one.astype(np.float32) for one in channels), **attributes)
    made.nodes[-1].output.extend(f"statistics{number}" for number in range(1, outputs))


TRAINING = [
    (14, lambda made: normalization(made, training_mode=1), "training_mode is 1"),
    (20, lambda made: normalization(made, 3, training_mode=1), "training_mode is 1"),
    (9, lambda made: normalization(made, 5), "it has 5 outputs, among them statistics of the batch"),
    (6, lambda made: normalization(made, is_test=0), "is_test is 0"),
    (6, normalization, "is_test, which is 0 by default at opset 6, is left out"),
    (1, lambda made: normalization(made, is_test=0), "is_test is 0"),
    (20, lambda made: made.then("Dropout", np.float32(0.5), np.array(True)), "its input training_mode is True"),
    (20, lambda made: made.then("Dropout", np.float32(0.5), "x"), "training_mode, its input x, is computed or given"),
    (6, lambda made: made.then("Dropout", is_test=0), "is_test is 0"),
    (1, lambda made: made.then("Dropout", is_test=0), "is_test is 0"),
    (1, lambda made: made.then("Dropout"), "is_test, which is 0 by default at opset 1, is left out"),
]


@pytest.mark.parametrize(("opset", "node", "sign"), TRAINING)
def test_nodes_in_training_mode(build: Any, tmp_path: Path, opset: int, node: Any, sign: str) -> None:
    made = quantized(build, opset=opset)
    node(made)
    name = f"{made.nodes[-1].name} ({made.nodes[-1].op_type})"
    path = written(made, tmp_path)
    with pytest.raises(UnsupportedError) as met:
        muxflow.load(path)
    assert str(met.value).startswith(f"{name}: exported in training mode ({sign}")
    assert "call model.eval() and export the model again with training=TrainingMode.EVAL" in str(met.value)
    assert [(one.supported, one.reached) for one in muxflow.check(path)] == [
        (True, True),
        (False, True),
        (False, False),
    ]


def test_constants_of_training_and_of_chance(build: Any, tmp_path: Path) -> None:
    """They would be computed at import, to others each time."""
    for op, inputs, attributes, message in (
        ("Dropout", [np.ones((2, 4, 1, 1), np.float32), np.float32(0.5), np.array(True)], {}, "training mode"),
        ("Bernoulli", [np.full((2, 4, 1, 1), 0.5, np.float32)], {}, "it draws random numbers in every run"),
        ("RandomNormal", [""], {"shape": [2, 4, 1, 1]}, "it draws random numbers in every run"),
    ):
        made = quantized(build)
        data = made.last
        values = made.node(op, *inputs, **attributes)
        if op == "RandomNormal":
            del made.nodes[-1].input[:]
        made.node("Conv", data, values)
        with pytest.raises(UnsupportedError, match=rf"^{op}_1 \({op}\): .*{message}"):
            muxflow.load(written(made, tmp_path))


@pytest.mark.parametrize(
    ("opset", "node"),
    [
        (20, lambda made: normalization(made, training_mode=0)),
        (9, normalization),
        (7, lambda made: normalization(made, spatial=1)),
        (6, lambda made: normalization(made, is_test=1)),
        (20, lambda made: made.then("Dropout", np.float32(0.5), np.array(False))),
        (20, lambda made: made.then("Dropout", np.float32(0.5))),
        (7, lambda made: made.then("Dropout", ratio=0.5)),
    ],
)
def test_nodes_at_inference(build: Any, prove: Any, opset: int, node: Any) -> None:
    made = quantized(build, opset=opset)
    node(made)
    if opset > 6:  # the ONNX runtime, which computes thresholds, has no older normalization
        made.quant(scale=0.25, bits=4.0, signed=1)
    prove(made)


def test_normalization_pixel_by_pixel(build: Any, prove: Any, tmp_path: Path) -> None:
    """On vectors it is what any other is."""
    made = quantized(build, opset=8)
    normalization(made, spatial=0)
    with pytest.raises(UnsupportedError, match=r"^BatchNormalization_1 \(BatchNormalization\): spatial=0, which"):
        muxflow.load(written(made, tmp_path))
    made = quantized(build, (1, 4), 8)
    normalization(made, spatial=0)
    made.quant(scale=0.25, bits=4.0, signed=1)
    prove(made)


WINDOWED = ("MaxPool", "AveragePool", "Conv", "ConvTranspose")


def windowed(made: Any, op: str, size: int = 2, **attributes: Any) -> None:
    if op.startswith("Conv"):
        made.node(op, made.last, np.ones((4, 4, size, size), np.float32), **attributes)
    else:
        made.then(op, kernel_shape=[size, size], **attributes)


@pytest.mark.parametrize("auto", ["VALID", "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("op", WINDOWED)
def test_padding_that_is_said_twice(build: Any, prove: Any, tmp_path: Path, op: str, auto: str) -> None:
    """The ONNX runtime refuses such convolutions, and of pools leaves the pads out; its own inference of shapes heeds them."""
    made = quantized(build)
    windowed(made, op, auto_pad=auto, pads=[1, 1, 1, 1])
    message = rf"^{made.nodes[-1].name} \({op}\): auto_pad {auto} and pads \(1, 1, 1, 1\), of which ONNX allows one"
    with pytest.raises(UnsupportedError, match=message):
        muxflow.load(written(made, tmp_path))
    agreed = [[], [0, 0, 0, 0], {"VALID": [0, 0, 0, 0], "SAME_UPPER": [0, 0, 1, 1], "SAME_LOWER": [1, 1, 0, 0]}[auto]]
    for pads in agreed:
        made = quantized(build)
        windowed(made, op, auto_pad=auto, **({"pads": pads} if pads else {}))
        made.quant(scale=0.5, bits=4.0, signed=1)
        if op.startswith("Conv") and pads:
            with pytest.raises(UnsupportedError, match="of which ONNX allows one"):
                muxflow.load(written(made, tmp_path))
        else:
            prove(made)


def test_a_way_to_pad_that_onnx_has_not(build: Any, tmp_path: Path) -> None:
    for op in WINDOWED:
        made = quantized(build)
        windowed(made, op, auto_pad="SAME")
        with pytest.raises(UnsupportedError, match=rf"\({op}\): auto_pad 'SAME'; supported: NOTSET"):
            muxflow.load(written(made, tmp_path))


@pytest.mark.parametrize(
    ("attributes", "met"),
    [
        ({"strides": [2, 2], "pads": [1, 1, 1, 1], "output_padding": [0, 3]}, r"\(0, 3\) with strides \(2, 2\)"),
        ({"strides": [2, 2], "output_padding": [2, 0]}, r"\(2, 0\) with strides \(2, 2\)"),
        ({"dilations": [3, 3], "output_padding": [1, 0]}, r"\(1, 0\) with strides \(1, 1\)"),
        (
            {"strides": [2, 2], "output_shape": [15, 13]},
            r"\(2, 0\), which output_shape \(15, 13\) asks for, with strides \(2, 2\)",
        ),
    ],
)
def test_output_padding_of_a_stride_or_more(build: Any, tmp_path: Path, attributes: Any, met: str) -> None:
    """There the ONNX runtime reads a longer input, and ONNX' reference none."""
    made = quantized(build)
    windowed(made, "ConvTranspose", 3, **attributes)
    with pytest.raises(UnsupportedError, match=rf"^ConvTranspose_1 \(ConvTranspose\): output_padding {met}; supported"):
        muxflow.load(written(made, tmp_path))


@pytest.mark.parametrize(
    ("size", "attributes"),
    [
        (1, {"strides": [2, 1], "pads": [0, 0, 1, 1]}),
        (2, {"strides": [2, 2], "pads": [2, 0, 0, 0]}),
        (2, {"strides": [1, 1], "pads": [2, 2, 2, 2]}),
        (2, {"dilations": [7, 1], "pads": [1, 0, 1, 0]}),
    ],
)
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "counted"])
def test_windows_of_padding_alone(build: Any, tmp_path: Path, op: str, size: int, attributes: Any) -> None:
    """The runtime refuses most of them, others call their maximum 0, and the least code is it in no library."""
    counted = {"count_include_pad": 1} if op == "counted" else {}
    op = "AveragePool" if counted else op
    made = quantized(build)
    windowed(made, op, size, **attributes, **counted)
    with pytest.raises(UnsupportedError, match=rf"^{op}_1 \({op}\): a window lies in the padding whole"):
        muxflow.load(written(made, tmp_path))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_windows_with_a_pixel_each(build: Any, prove: Any, op: str) -> None:
    """As much padding as leaves one, and windows that dilation spreads over the whole map."""
    for size, attributes in (
        (3, {"pads": [2, 2, 2, 2]}),
        (2, {"pads": [1, 0, 1, 0], "strides": [3, 1]}),
        (2, {"pads": [1, 1, 1, 1], "dilations": [6, 5]}),
        (3, {"pads": [0, 1, 2, 0], "strides": [2, 3], "ceil_mode": 1}),
    ):
        made = quantized(build)
        windowed(made, op, size, **attributes)
        made.quant(scale=0.5, bits=4.0, signed=1)
        prove(made)


@pytest.mark.parametrize("reader", ["input", "data", "constant", "padded"])
@pytest.mark.parametrize(
    ("what", "position", "shape"),
    [
        ("scale", 1, (2,)),
        ("scale", 1, (1, 4, 1)),
        ("zero point", 2, (1, 5, 1, 1)),
        ("zero point", 2, (3, 1, 1, 1)),
        ("bit width", 3, (1, 1, 1, 1, 1)),
    ],
)
def test_parameters_that_do_not_broadcast(
    build: Any, tmp_path: Path, reader: str, what: str, position: int, shape: tuple[int, ...]
) -> None:
    """Equal numbers count as one only where QONNX takes them."""
    if what == "scale" and len(shape) == 3:
        shape = (1, 5, 1) if reader == "input" else (4, 2, 1)
    made = build((1, 4, 6, 6))
    if reader != "input":
        made.quant("x", 0.25, bits=4.0)
    if reader == "padded":
        made.then("Pad", np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    data = made.last
    made.quant(np.ones((7, 4, 6, 6)) if reader == "constant" else data, 0.5, bits=4.0, signed=1)
    node = made.nodes[-1]
    values = {"scale": 0.5, "zero point": 0.0, "bit width": 4.0}
    node.input[position] = made.constant(np.full(shape, values[what], np.float32))
    if reader == "constant":
        made.node("Add", data, made.last)
    with pytest.raises(UnsupportedError, match=rf"^{node.name} \(Quant\): a {what} of shape .* does not broadcast"):
        muxflow.load(written(made, tmp_path))


@pytest.mark.parametrize("position", [1, 3, 4])
def test_parameters_of_trunc_that_do_not_broadcast(build: Any, tmp_path: Path, position: int) -> None:
    made = quantized(build, (1, 4))
    values = [np.float32(one) for one in (0.25, 0.0, 4.0, 3.0)]
    values[position - 1] = values[position - 1].reshape(1, 1, 1)
    made.node("Trunc", made.last, *values, domain="qonnx.custom_op.general", rounding_mode="FLOOR")
    with pytest.raises(UnsupportedError, match=r"^Trunc_1 \(Trunc\): a parameter c\d of shape \(1, 1, 1\) does not"):
        muxflow.load(written(made, tmp_path))


@pytest.mark.parametrize("places", [("QuantizeLinear",), ("DequantizeLinear",)])
def test_linear_parameters_that_are_no_vectors(build: Any, tmp_path: Path, places: tuple[str, ...]) -> None:
    made = build((1, 4, 6, 6))
    for op in ("QuantizeLinear", "DequantizeLinear"):
        scale = np.full((1, 1) if op in places else (), 0.5, np.float32)
        made.then(op, scale, np.zeros(scale.shape, np.uint8))
    onnx.save(made.model(), tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match=r"scales or zero points of shape \(1, 1\) on axis 1 of 4"):
        muxflow.load(tmp_path / "net.onnx")


def test_linear_scales_for_other_channels(build: Any, tmp_path: Path) -> None:
    made = quantized(build)
    data = made.last
    integers = np.ones((2, 1, 1, 1), np.int8)
    weights = made.node("DequantizeLinear", integers, np.full(4, 0.5, np.float32), np.zeros(4, np.int8), axis=1)
    made.node("Conv", data, weights)
    with pytest.raises(UnsupportedError, match=r"for 4 channels of integers of shape \(2, 1, 1, 1\)"):
        muxflow.load(written(made, tmp_path))


def test_quantizers_that_leave_their_attributes_out(build: Any, prove: Any, tmp_path: Path) -> None:
    """They are signed and not narrow, as QONNX' documentation says; its code does not run such nodes."""
    made = build((1, 4))
    data = made.quant("x", 0.25, bits=4.0, signed=1)
    weights = made.weights(np.arange(-8, 8).reshape(4, 4), bits=4.0)
    made.node("MatMul", data, weights)
    made.quant(scale=1.0, bits=6.0, signed=1)
    made.node("Trunc", made.last, *map(np.float32, (1, 0, 6, 3)), domain="qonnx.custom_op.general")
    for node in made.nodes:
        del node.attribute[:]
    graph = prove(made)
    assert (graph.streams[graph.inputs[0]].lo, graph.streams[graph.inputs[0]].hi) == (-8, 7)
    onnx.save(made.model(), tmp_path / "net.onnx")
    assert all(one.supported for one in muxflow.check(tmp_path / "net.onnx"))


@pytest.mark.parametrize(
    ("op", "opset", "attributes", "message"),
    [
        ("BatchNormalization", 9, {}, "which mixes statistics of its input in at opset 9; export at opset 14 or later"),
        ("Conv", 20, {"auto_pad": "VALID"}, "which reads auto_pad VALID in a way of its own; write pads in numbers"),
        ("MaxPool", 20, {"auto_pad": "SAME_LOWER", "kernel_shape": [2, 2]}, "which reads auto_pad SAME_LOWER"),
        ("BatchNormalization", 14, {}, ""),
        ("Conv", 20, {"auto_pad": "NOTSET"}, ""),
    ],
)
def test_constants_that_the_reference_computes_otherwise(
    build: Any, prove: Any, tmp_path: Path, op: str, opset: int, attributes: Any, message: str
) -> None:
    """The runtime, by which the file is executed, gives other numbers than what the import computed."""
    made = quantized(build, opset=opset)
    data = made.last
    more = {"BatchNormalization": [np.float32([1, 2, 1, 2])] * 4, "Conv": [np.ones((4, 4, 1, 1), np.float32)]}
    made.node(op, np.arange(4 * 36, dtype=np.float32).reshape(1, 4, 6, 6) / 8, *more.get(op, []), **attributes)
    made.node("Add", data, made.last)
    made.quant(scale=0.5, bits=4.0, signed=1)
    if not message:
        prove(made)
        return
    onnx.save(made.model(), tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match=rf"^{op}_1 \({op}\): all its inputs are constants, .*{message}"):
        muxflow.load(tmp_path / "net.onnx")
