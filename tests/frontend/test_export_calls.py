"""Modules that a model calls more than once: each call's quantizer is compared with its own node."""

from collections import Counter

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant import Int8Bias, Int8BiasPerTensorFloatInternalScaling
from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint, Uint8ActPerTensorFixedPoint
from torch import nn

import muxflow
from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.brevitas import equality, steps
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.brevitas.export import export, to_qonnx
from muxflow.frontend.brevitas.names import module_path
from muxflow.frontend.training.quantizers import PixelInput, heq_weight
from muxflow.proof.compare import compare

SHAPE = (3, 8, 8)


class Net(nn.Module):
    """A convolution of weights that are powers of two and its quantizer, called so often, `between` before the last of them."""

    def __init__(self, calls, between=None, **bias):
        super().__init__()
        self.calls, self.between = calls, between or nn.Identity()
        self.pixels = qnn.QuantIdentity(act_quant=PixelInput, return_quant_tensor=True)
        self.stem = qnn.QuantConv2d(3, 8, 3, padding=1, bias=False, weight_bit_width=4)
        self.first = qnn.QuantReLU(bit_width=4, return_quant_tensor=True)
        self.conv = qnn.QuantConv2d(
            8, 8, 3, padding=1, groups=8, **(bias or {"bias": False}), weight_quant=heq_weight(5)
        )
        self.act = qnn.QuantReLU(bit_width=4, return_quant_tensor=True)

    def forward(self, x):
        x = self.first(self.stem(self.pixels(x)))
        for call in range(self.calls):
            x = self.conv(x)
            x = self.act(self.between(x) if call == self.calls - 1 else x)
        return x.value


def built(seed, *options, **more):
    torch.manual_seed(seed)
    model = Net(*options, **more)
    for _ in range(4):
        model(torch.rand(4, *SHAPE))
    return model.eval()


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_quantizer_may_be_called_more_than_once(calls, tmp_path, monkeypatch):
    """Ties that float rounding decides are no difference, whichever call has them, and every node's steps are looked at."""
    looked = Counter()
    check = steps._check
    monkeypatch.setattr(
        steps, "_check", lambda proxy, node, *rest: (looked.update([node.name]), check(proxy, node, *rest))
    )
    path = tmp_path / "net.onnx"
    for seed in range(4):
        looked.clear()
        export(built(seed, calls), path, (1, *SHAPE))
        assert looked == Counter(["pixels", "first", "act", *(f"act_{call}" for call in range(1, calls))])
    codes = np.random.default_rng(0).integers(0, 256, (4, *SHAPE[1:], 3))
    assert muxflow.load(path)(codes).shape == (4, 8, 8, 8)


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_a_call_that_the_file_computes_another_way_is_refused(calls, tmp_path):
    model = built(0, calls, nn.AvgPool2d(2, divisor_override=3))
    node = "act" if calls == 1 else rf"act_{calls - 1}"
    with pytest.raises(
        UnsupportedError, match=rf"something else than the model: {node} quantizes values that differ by"
    ):
        export(model, tmp_path / "net.onnx", (1, *SHAPE))
    assert list(tmp_path.iterdir()) == []


def test_a_bias_whose_scale_is_another_in_each_call_is_refused_with_what_to_use(tmp_path):
    """Brevitas writes one scale for both, that of the last call."""
    path = tmp_path / "net.onnx"
    with pytest.raises(
        UnsupportedError, match=r"quantizer conv.bias_quant .* Brevitas writes the last call's; call it on"
    ):
        export(built(0, 2, bias=True, bias_quant=Int8Bias), path, (1, *SHAPE))
    export(built(0, 1, bias=True, bias_quant=Int8Bias), path, (1, *SHAPE))
    model = built(0, 2, bias=True, bias_quant=Int8Bias)
    model.first = model.act
    export(model, path, (1, *SHAPE))
    export(built(0, 2, bias=True, bias_quant=Int8BiasPerTensorFloatInternalScaling), path, (1, *SHAPE))


def test_the_quantizers_of_each_call_of_brevitas_lstm_are_compared(monkeypatch):
    four = Int8ActPerTensorFixedPoint.let(bit_width=4)
    kinds = {f"{name}_quant": four for name in ("io", "gate_acc", "cell_state", "tanh")}
    lstm = qnn.QuantLSTM(
        5, 5, batch_first=True, weight_bit_width=4, bias_quant=None, **kinds,
        sigmoid_quant=Uint8ActPerTensorFixedPoint.let(bit_width=4),
    )  # fmt: skip

    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.input, self.lstm = qnn.QuantIdentity(act_quant=four), lstm

        def forward(self, x):
            return self.lstm(self.lstm(self.input(x))[0])[0]

    model = Twice()
    for _ in range(3):
        model(torch.randn(8, 7, 5))
    looked = Counter()
    check = steps._check
    monkeypatch.setattr(steps, "_check", lambda _, node, *rest: (looked.update([node.name]), check(_, node, *rest)))
    proto = to_qonnx(model, (1, 7, 5))
    cells = [node.name for node in proto.graph.node if node.op_type == equality.CELL]
    assert cells == ["lstm.layers.0.0.QuantLSTMCell", "lstm.layers.0.0.QuantLSTMCell_1"]
    assert {name.partition(".QuantLSTMCell")[2].partition(".")[0] for name in looked if "LSTM" in name} == {"", "_1"}
    assert all(count == 1 for count in looked.values())


def test_modules_may_be_called_as_what_brevitas_writes_quantizers_with():
    known = {"a", "a.act_quant", "export_handler", "export_handler_1", "export_handler_1.act_quant"}
    for scopes, path in {
        ("a", "act_quant", "export_handler"): "a.act_quant",
        ("a", "act_quant", "export_handler_12"): "a.act_quant",
        ("export_handler",): "export_handler",
        ("export_handler_2",): "export_handler",
        ("export_handler_1", "act_quant", "export_handler_1"): "export_handler_1.act_quant",
    }.items():
        assert module_path(scopes, known) == path


def test_names_of_nodes_are_those_of_modules():
    """Of a truncating pool, too, whose quantizer is no layer of its own."""
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=PixelInput, return_quant_tensor=True),
        qnn.QuantReLU(bit_width=6, return_quant_tensor=True),
        qnn.TruncAvgPool2d(2, bit_width=6, float_to_int_impl_type="floor"),
        qnn.QuantConv2d(3, 2, 1, bias=False),
    )
    for _ in range(4):
        model(torch.rand(4, *SHAPE))
    nodes = to_qonnx(model.eval(), (1, *SHAPE)).graph.node
    assert not any("export_handler" in node.name for node in nodes)


class Handed(nn.Module):
    """Quantizers that hand their scale on to each other."""

    def __init__(self):
        super().__init__()
        self.pixels = qnn.QuantIdentity(act_quant=PixelInput, return_quant_tensor=True)
        self.conv = qnn.QuantConv2d(3, 4, 3, bias=False, weight_bit_width=4)
        self.act = qnn.QuantReLU(bit_width=4, act_quant=Uint8ActPerTensorFixedPoint, return_quant_tensor=True)
        self.last = qnn.QuantIdentity(bit_width=3, act_quant=Uint8ActPerTensorFixedPoint)

    def forward(self, x):
        return self.last(self.act(self.conv(self.pixels(x))))


def test_torch_runs_beside_the_graph_where_quantizers_read_tensors_of_brevitas(tmp_path):
    torch.manual_seed(0)
    model = Handed()
    for _ in range(4):
        model(torch.rand(4, *SHAPE))
    export(model.eval(), tmp_path / "net.onnx", (1, *SHAPE))
    graph = muxflow.load(tmp_path / "net.onnx")
    codes = np.random.default_rng(0).integers(0, 256, (20, 8, 8, 3))
    (outcome,) = compare(graph, [TorchExecution(model, graph)], codes).outcomes
    assert set(graph.outputs) <= set(outcome.streams)
