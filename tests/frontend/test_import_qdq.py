"""QuantizeLinear, Clip and DequantizeLinear: what Brevitas' QCDQ export and the ONNX runtime's static quantization write."""

import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from brevitas import nn as qnn
from brevitas.quant import Int8ActPerTensorFloat, Int8WeightPerChannelFloat, Int32Bias
from torch import nn

import muxflow
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.floats import float_inputs
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.registry import check, load
from muxflow.proof.compare import compare

pytestmark = pytest.mark.filterwarnings("ignore")


def numbers(*shape, low=-3, high=4, dtype=np.int8):
    return np.random.default_rng(len(shape)).integers(low, high, shape).astype(dtype)


UNSIGNED, SIGNED = np.uint8(0), np.int8(0)


def quantize(b, scale=0.125, zero=UNSIGNED, clip=None, axis=None, again=None):
    """A group; `zero` says the type, `again`: another scale or zero point for DequantizeLinear."""
    where = {} if axis is None else {"axis": axis}
    scale = np.float32(scale)
    b.then("QuantizeLinear", scale, zero, **where)
    if clip is not None:
        b.then("Clip", *(np.asarray(bound, np.asarray(zero).dtype) for bound in clip))
    return b.then("DequantizeLinear", *(again or (scale, zero)), **where)


def weights(b, codes, scale=0.5, zero=SIGNED, **where):
    last, name = b.last, b.node("DequantizeLinear", codes, np.float32(scale), zero, **where)
    b.last = last
    return name


def net(build, **options):
    """Input quantizer, convolution with bias, the quantizer at hand, convolution."""
    b = build((1, 2, 4, 4), opset=13)
    x = quantize(b, 1 / 64, np.int8(0))
    bias = weights(b, np.int32([40, -3, 7]), 1 / 128, np.int32(0))
    b.node("Conv", x, weights(b, numbers(3, 2, 3, 3)), bias, pads=[1, 1, 1, 1])
    quantize(b, **options)
    b.node("Conv", b.last, weights(b, numbers(2, 3, 3, 3)), pads=[1, 1, 1, 1])
    return b


OPTIONS = {
    "unsigned": {},
    "signed": {"zero": np.int8(0)},
    "clipped": {"zero": np.int8(0), "clip": (-7, 7)},
    "clipped below only to what it holds": {"zero": np.uint8(0), "clip": (0, 15)},
    "odd zero point": {"zero": np.uint8(3), "clip": (0, 15)},
    "zero point at the end": {"zero": np.int8(-128)},
    "a number of codes that no bit width has": {"zero": np.int8(1), "clip": (-2, 8)},
    "one scale a channel": {"scale": [0.25, 0.5, 0.11], "zero": np.uint8([0, 5, 255]), "axis": 1, "clip": (0, 200)},
    "a scale that is no power of two": {"scale": 0.0713, "zero": np.uint8(128)},
    "axis from the end": {"scale": [0.25, 0.5, 0.11], "zero": np.int8([0, 0, 0]), "axis": -3},
}


@pytest.mark.parametrize("form", OPTIONS)
def test_a_group_is_one_quantizer(form, build, prove):
    graph = prove(net(build, **OPTIONS[form]), count=8, tensors=2)
    assert sum(isinstance(node.op, Threshold) for node in graph.nodes) == 1
    if form != "one scale a channel":
        assert {node.op.pad_code for node in graph.nodes if isinstance(node.op, SlidingWindow)} == {0}


@pytest.mark.parametrize("zero", [0, 1, 2, 7])
def test_ties_go_to_the_even_integer_before_the_zero_point_is_added(zero, build, prove):
    b = build((1, 1, 1, 8), opset=13)
    quantize(b, 1.0, np.int8(0))
    quantize(b, 2.0, np.int8(zero), clip=(zero - 3, zero + 3))
    graph = prove(b)
    found = graph(np.arange(-4, 4).reshape(1, 1, 8, 1)).reshape(-1).tolist()
    assert found == [-2, -2, -1, 0, 0, 0, 1, 2]


def test_weights(build, prove, searched):
    """Per tensor and per output channel, with a zero point, quantized in the file, and clipped."""
    b = build((1, 4), opset=13)
    quantize(b, 1 / 16, np.uint8(9), clip=(2, 250))
    b.node("MatMul", b.last, weights(b, numbers(4, 5), np.linspace(0.1, 0.5, 5), np.int8([0, 1, 0, -2, 0]), axis=1))
    quantize(b, 0.25, np.int8(0), clip=(-8, 7))
    x = b.last
    floats = b.node("QuantizeLinear", np.float32(numbers(5, 3) / 4), np.float32(0.25), np.int8(0))
    clipped = b.node("Clip", floats, np.int8(-2), np.int8(2))
    b.node("Gemm", x, b.node("DequantizeLinear", clipped, np.float32(0.25), np.int8(0)))
    prove(b, count=8)
    assert not searched


@pytest.mark.parametrize(("opset", "domain"), [(10, ""), (13, "com.microsoft"), (19, ""), (21, "")])
def test_versions(opset, domain, build, save):
    """16-bit integers: in ONNX since opset 21, before in the runtime's own domain."""
    b = build((1, 4), opset)
    kind = np.int16 if opset == 21 or domain else np.int8
    b.then("QuantizeLinear", np.float32(1 / 16), kind(3), domain=domain)
    b.then("DequantizeLinear", np.float32(1 / 16), kind(3), domain=domain)
    b.node("MatMul", b.last, weights(b, numbers(4, 2)))
    model = b.model()
    if domain:
        model.opset_import.append(onnx.helper.make_opsetid(domain, 1))
    path = save(b)
    path.write_bytes(model.SerializeToString())
    graph = load(path)
    stream = graph.streams[graph.inputs[0]]
    assert stream.hi - stream.lo == np.iinfo(kind).max - np.iinfo(kind).min
    compare(graph, [QonnxExecution(path, graph)], random_codes(stream, 8, np.random.default_rng(0)))


def test_a_quantizer_that_is_dequantized_twice_is_one(build, prove):
    b = net(build)
    dequantized = b.nodes[-3]
    assert dequantized.op_type == "DequantizeLinear"
    other = b.node("DequantizeLinear", *dequantized.input)
    b.node("MaxPool", other, kernel_shape=[2, 2])
    b.node("Conv", b.last, weights(b, numbers(2, 3, 1, 1)))
    graph = prove(b)
    assert sum(isinstance(node.op, Threshold) for node in graph.nodes) == 1


REFUSED = {
    "DequantizeLinear differ in scale or zero point": {"again": (np.float32(0.5), np.uint8(0))},
    "integers from -2147483648 to 2147483647; supported are 1 to": {"zero": np.int32(0)},
    "integers from 0 to 0; supported are 1 to": {"clip": (0, 0)},
    r"shape \(2,\) on axis 1 of 4|does not broadcast": {"scale": [0.5, 0.25], "zero": np.uint8([0, 0]), "axis": 1},
    "a scale of -1; scales must be positive": {"scale": -1.0},
    "zero points of shape .* on axis 7 of 4": {"scale": [1, 2, 3], "zero": np.uint8([0, 0, 0]), "axis": 7},
}


@pytest.mark.parametrize("message", REFUSED)
def test_refused_by_name(message, build, save):
    with pytest.raises(UnsupportedError, match=f"QuantizeLinear_.*({message})"):
        load(save(net(build, **REFUSED[message])))


def test_integers_that_leave_the_model_are_refused(build, save):
    b = build((1, 4), opset=13)
    quantize(b)
    b.node("MatMul", b.last, weights(b, numbers(4, 2)))
    b.then("QuantizeLinear", np.float32(1), np.uint8(0))
    (status,) = [status for status in check(save(b)) if not status.supported]
    assert "put a DequantizeLinear after it" in status.message


def test_damaged_groups_are_refused(build, tmp_path):
    for broken in ([], ["q"], ["q", "s", "z", "more"]):
        b = build((1, 4), opset=13)
        quantize(b)
        model = b.model()
        del model.graph.node[-1].input[:]
        model.graph.node[-1].input.extend(broken)
        path = tmp_path / "damaged.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(MuxflowError, match=r"DequantizeLinear|QuantizeLinear"):
            load(path)


class Lenet(nn.Module):
    """Brevitas' LeNet: stock quantizers, 4-bit weights and activations, integer biases."""

    def __init__(self):
        super().__init__()
        layer = {"weight_bit_width": 4, "bias": True, "bias_quant": Int32Bias}
        act = {"bit_width": 4, "return_quant_tensor": True}
        self.layers = nn.Sequential(
            qnn.QuantIdentity(bit_width=8, act_quant=Int8ActPerTensorFloat, return_quant_tensor=True),
            qnn.QuantConv2d(1, 6, 5, padding=2, **layer),
            qnn.QuantReLU(**act),
            nn.MaxPool2d(2),
            qnn.QuantConv2d(6, 16, 5, **layer, weight_quant=Int8WeightPerChannelFloat),
            qnn.QuantReLU(**act),
            nn.MaxPool2d(2),
            nn.Flatten(),
            qnn.QuantLinear(400, 120, **layer),
            qnn.QuantReLU(**act),
            qnn.QuantLinear(120, 84, **layer),
            qnn.QuantReLU(**act),
            qnn.QuantLinear(84, 10, **layer),
        )

    def forward(self, x):
        return self.layers(x)


def test_a_qcdq_lenet_goes_from_file_to_csim(tmp_path: Path) -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = Lenet()
    for _ in range(3):
        model(torch.rand(8, 1, 28, 28))
    model.eval()
    path = tmp_path / "lenet.onnx"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from brevitas.export import export_onnx_qcdq

        export_onnx_qcdq(model, torch.zeros(1, 1, 28, 28), export_path=str(path), dynamo=False, opset_version=13)
    graph = load(path)
    codes = random_codes(graph.streams[graph.inputs[0]], 4, np.random.default_rng(0))
    compare(graph, [QonnxExecution(path, graph)], codes)
    with torch.no_grad():
        logits = model(torch.from_numpy(float_inputs(graph, codes)[0])).numpy()
    np.testing.assert_allclose(graph.read_out(graph(codes)), logits, rtol=1e-4, atol=1e-5)
    result = muxflow.write(muxflow.fit(graph), tmp_path / "lenet").csim(codes)
    np.testing.assert_allclose(graph.read_out(result.outputs), logits, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", ["QInt8", "QUInt8"])
def test_static_quantization(per_channel, kind, tmp_path, prove):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Images(CalibrationDataReader):
        def __init__(self):
            random = np.random.default_rng(0)
            self.left = iter([{"x": random.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(4)])

        def get_next(self):
            return next(self.left, None)

    torch.manual_seed(1)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, groups=8), nn.Flatten())
    model = nn.Sequential(*layers, nn.Linear(32, 10)).eval()
    source, path = tmp_path / "float.onnx", tmp_path / "net.onnx"
    torch.onnx.export(model, torch.zeros(1, 3, 8, 8), str(source), dynamo=False, opset_version=13, input_names=["x"])
    quantize_static(
        str(source),
        str(path),
        Images(),
        quant_format=QuantFormat.QDQ,
        per_channel=per_channel,
        weight_type=QuantType.QInt8,
        activation_type=getattr(QuantType, kind),
    )
    prove(path)
