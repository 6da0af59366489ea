"""Each quantizer of an exported model against its node: one bit of any kind, thresholds that no random image comes to."""

from contextlib import nullcontext

import brevitas.nn as qnn
import numpy as np
import onnx
import pytest
import torch
from brevitas.inject.enum import QuantType, ScalingImplType
from brevitas.quant import (
    Int8ActPerTensorFixedPoint,
    Int32Bias,
    ShiftedUint8ActPerTensorFloat,
    ShiftedUint8WeightPerTensorFloat,
    SignedBinaryActPerTensorConst,
    Uint8ActPerTensorFixedPoint,
)
from torch import nn

import muxflow
from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training.quantizers import PixelInput, UnsignedTensorQuant, unsigned_activation

FEATURES = 16


def network(act, hidden=4):
    """Brightness detectors, whose sums random pixels leave on one side of a threshold, and a quantizer after them."""
    torch.manual_seed(0)
    norm = nn.BatchNorm1d(hidden)
    first, last = (
        qnn.QuantLinear(*sizes, bias=False, weight_bit_width=4) for sizes in ((FEATURES, hidden), (hidden, 3))
    )
    with torch.no_grad():
        first.weight.abs_()
    model = nn.Sequential(qnn.QuantIdentity(act_quant=PixelInput), first, norm, act, last)
    for _ in range(50):
        model(torch.rand(64, FEATURES) * torch.rand(64, 1))
    return model.eval()


def difference(model, path):
    """The largest difference of the logits of dark and bright images, of the graph and of torch."""
    graph = muxflow.load(path)
    generator = np.random.default_rng(0)
    codes = (generator.integers(0, 256, (200, 1, 1, FEATURES)) * generator.random((200, 1, 1, 1))).astype(int)
    expected = model(torch.from_numpy(codes.reshape(200, FEATURES) / 256).float()).detach().numpy()
    return np.abs(np.asarray(graph.read_out(graph(codes))) - expected).max()


ONE_BIT = {
    "relu": (lambda: qnn.QuantReLU(bit_width=1), "Quant"),
    "fixed": (lambda: qnn.QuantReLU(bit_width=1, act_quant=Uint8ActPerTensorFixedPoint), "Quant"),
    "sigmoid": (lambda: qnn.QuantSigmoid(bit_width=1), "Quant"),
    "shifted": (lambda: qnn.QuantIdentity(bit_width=1, act_quant=ShiftedUint8ActPerTensorFloat), "Quant"),
    "own": (lambda: qnn.QuantIdentity(act_quant=unsigned_activation(1)), "Quant"),
    "binary": (lambda: qnn.QuantIdentity(act_quant=SignedBinaryActPerTensorConst), "BipolarQuant"),
    "hard": (lambda: qnn.QuantHardTanh(min_val=-0.5, max_val=0.5, bit_width=1, quant_type=QuantType.BINARY,
                                       scaling_impl_type=ScalingImplType.CONST), "BipolarQuant"),
}  # fmt: skip


@pytest.mark.parametrize(("act", "written"), ONE_BIT.values(), ids=ONE_BIT)
def test_one_bit_is_written_as_what_it_is(act, written, tmp_path):
    model = network(act())
    path = export(model, tmp_path / "net.onnx", (1, FEATURES))
    nodes = [node.op_type for node in onnx.load(str(path)).graph.node if "Quant" in node.op_type]
    assert nodes.count("BipolarQuant") == (written == "BipolarQuant")
    assert difference(model, path) < 1e-5


SIGNED = {
    "identity": lambda: qnn.QuantIdentity(bit_width=1),
    "tanh": lambda: qnn.QuantTanh(bit_width=1),
    "fixed": lambda: qnn.QuantIdentity(bit_width=1, act_quant=Int8ActPerTensorFixedPoint),
    "narrow": lambda: qnn.QuantIdentity(bit_width=1, narrow_range=True),
    "narrow unsigned": lambda: qnn.QuantReLU(bit_width=1, narrow_range=True),
}


@pytest.mark.parametrize("act", SIGNED.values(), ids=SIGNED)
def test_one_bit_that_qonnx_has_not_is_refused_with_what_to_use(act, tmp_path):
    message = r"quantizer 3\.act_quant \(U?[Ii]nt8Act.*\) has no form in QONNX \(.*use qnn.QuantReLU\(bit_width=1\)"
    with pytest.raises(UnsupportedError, match=message):
        export(network(act()), tmp_path / "net.onnx", (1, FEATURES))
    assert list(tmp_path.iterdir()) == []


def test_one_bit_weights_of_0_and_1_are_written_as_they_are(tmp_path):
    model = network(qnn.QuantReLU(bit_width=2))
    model[4] = qnn.QuantLinear(4, 3, bias=False, weight_bit_width=1, weight_quant=ShiftedUint8WeightPerTensorFloat)
    path = export(model.eval(), tmp_path / "net.onnx", (1, FEATURES))
    assert difference(model, path) < 1e-5


def test_a_bias_of_one_bit_is_refused(tmp_path):
    model = network(qnn.QuantReLU(bit_width=2, return_quant_tensor=True))
    model[4] = qnn.QuantLinear(4, 3, bias=True, weight_bit_width=4, bias_quant=Int32Bias, bias_bit_width=1)
    with pytest.raises(UnsupportedError, match=r"quantizer Quant_4\.bias_quant \(Int32Bias\) .*; use two bits"):
        export(model.eval(), tmp_path / "net.onnx", (1, FEATURES))


def test_one_bit_weights_that_are_not_binary_are_refused(tmp_path):
    model = network(qnn.QuantReLU(bit_width=2))
    model[4] = qnn.QuantLinear(4, 3, bias=False, weight_bit_width=1)
    with pytest.raises(UnsupportedError, match=r"4\.weight_quant .*SignedBinaryWeightPerTensorConst of brevitas.quant"):
        export(model.eval(), tmp_path / "net.onnx", (1, FEATURES))


def test_a_threshold_that_random_images_do_not_come_to_is_found(tmp_path):
    """A scale far above the sums: every image gives code 0 but the bright ones, which a random one is not."""
    options = {"quant_type": QuantType.TERNARY, "scaling_impl_type": "const", "narrow_range": True}
    model = network(qnn.QuantIdentity(**options, scaling_init=64.0, threshold=0.4))
    with pytest.raises(UnsupportedError, match=r"Quant_3 .* becomes -?64 in the model, 0 in the file"):
        export(model, tmp_path / "net.onnx", (1, FEATURES))


@pytest.mark.parametrize("options", [{}, {"float_to_int_impl_type": "floor"}, {"signed": False}], ids=str)
def test_ternary_activations_are_narrow_whatever_their_settings(options, tmp_path):
    """Brevitas' settings of an ordinary QuantIdentity allow -2, which sums that are far below zero would become."""
    ternary = {"quant_type": QuantType.TERNARY, "scaling_impl_type": "const", "scaling_init": 0.25, "threshold": 0.5}
    model = network(qnn.QuantIdentity(**ternary, **options))
    assert difference(model, export(model, tmp_path / "net.onnx", (1, FEATURES))) < 1e-5


class Odd(UnsignedTensorQuant):
    """Two bits that turn below zero, which the file cannot say."""

    def forward(self, x):
        return (super().forward(x.abs())[0], *super().forward(x)[1:])


def test_values_that_the_function_before_a_quantizer_never_gives_are_no_difference(tmp_path):
    odd = PixelInput.let(tensor_quant=Odd, activation_bits=2, activation_step=0.5)
    model = network(qnn.QuantReLU(act_quant=odd))
    path = export(model, tmp_path / "net.onnx", (1, FEATURES))
    assert difference(model, path) < 1e-5
    with pytest.raises(UnsupportedError, match=r"quantizer Quant_3 .* becomes .* in the model, 0 in the file"):
        export(network(qnn.QuantIdentity(act_quant=odd)), tmp_path / "other.onnx", (1, FEATURES))


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_quantizers_inside_brevitas_lstm_are_compared(threshold, tmp_path):
    """A ternary quantizer of other thresholds than those of two bits, narrow."""
    four = Int8ActPerTensorFixedPoint.let(bit_width=4)
    ternary = Int8ActPerTensorFixedPoint.let(
        quant_type=QuantType.TERNARY,
        threshold=threshold,
        narrow_range=True,
        scaling_impl_type="const",
        scaling_init=0.5,
    )
    lstm = qnn.QuantLSTM(
        5, 6, batch_first=True, weight_bit_width=4, io_quant=four, gate_acc_quant=four, cell_state_quant=four,
        sigmoid_quant=Uint8ActPerTensorFixedPoint.let(bit_width=4), tanh_quant=ternary, bias_quant=None,
    )  # fmt: skip

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.input, self.lstm = qnn.QuantIdentity(act_quant=four), lstm

        def forward(self, x):
            return self.lstm(self.input(x))[0]

    model = Net()
    for _ in range(3):
        model(torch.randn(8, 7, 5))
    message = r"quantizer lstm\.layers.*\.(cell|hidden_state)_tanh .* other codes"
    with nullcontext() if threshold == 0.5 else pytest.raises(UnsupportedError, match=message):
        export(model.eval(), tmp_path / "net.onnx", (1, 7, 5))
