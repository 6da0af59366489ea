"""Exported files compute what torch does, or are refused: roundings of stock Brevitas weights, options that ONNX has not."""

import brevitas.nn as qnn
import numpy as np
import onnx
import pytest
import torch
from brevitas.inject.enum import FloatToIntImplType, LearnedRoundImplType, QuantType
from brevitas.quant import scaled_int
from brevitas.quant.fixed_point import Int8ActPerTensorFixedPoint
from onnx import numpy_helper
from qonnx.util.cleanup import cleanup
from torch import nn

import muxflow
from muxflow.dataflow.errors import MuxflowWarning, UnsupportedError
from muxflow.frontend.brevitas.export import execute, export
from muxflow.frontend.training.quantizers import PixelInput

LEARNED = {
    "weight_float_to_int_impl_type": FloatToIntImplType.LEARNED_ROUND,
    "weight_learned_round_impl_type": LearnedRoundImplType.HARD_SIGMOID,
    "weight_learned_round_init": torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(3)),
}
WEIGHTS = {
    "round": {"weight_bit_width": 4},
    "ceil": {"weight_bit_width": 4, "weight_float_to_int_impl_type": FloatToIntImplType.CEIL},
    "floor": {"weight_bit_width": 4, "weight_float_to_int_impl_type": FloatToIntImplType.FLOOR},
    "zero": {"weight_bit_width": 4, "weight_float_to_int_impl_type": FloatToIntImplType.ROUND_TO_ZERO},
    "learned": {"weight_bit_width": 3, **LEARNED},
    "ternary": {"weight_quant_type": QuantType.TERNARY, "weight_threshold": 0.3},
    "a2q": {"weight_bit_width": 4, "weight_quant": scaled_int.Int8AccumulatorAwareWeightQuant},
    "a2q+": {"weight_bit_width": 4, "weight_quant": scaled_int.Int8AccumulatorAwareZeroCenterWeightQuant},
    "normed": {"weight_bit_width": 4, "weight_quant": scaled_int.Int8WeightPerChannelFloatDecoupled},
}
SHAPE = (3, 6, 6)


def built(*layers, **weights):
    """A convolution of pixels with such weights, calibrated, and what comes after it."""
    torch.manual_seed(0)
    pixels = qnn.QuantIdentity(act_quant=PixelInput, return_quant_tensor=True)
    conv = qnn.QuantConv2d(3, 4, 3, bias=False, **(weights or {"weight_bit_width": 4}))
    model = nn.Sequential(pixels, conv, *layers)
    for _ in range(4):
        model(torch.rand(4, *SHAPE))
    return model.eval()


def values(answer):
    return values_of(answer).detach().numpy()


@pytest.mark.parametrize("weights", WEIGHTS.values(), ids=WEIGHTS)
def test_weights_of_any_rounding_keep_their_codes(weights, tmp_path):
    model = built(nn.Flatten(), **weights)
    path = export(model, tmp_path / "net.onnx", (1, *SHAPE))
    codes = np.random.default_rng(1).integers(0, 256, (3, 6, 6, 3))
    x = (codes.transpose(0, 3, 1, 2) / 256).astype(np.float32)
    expected = values(model(torch.from_numpy(x)))
    np.testing.assert_allclose(execute(path, x)["global_out"], expected, atol=1e-6)
    graph = muxflow.load(path)
    np.testing.assert_allclose(graph.read_out(graph(codes)), expected, atol=1e-6)


@pytest.mark.parametrize("rounding", ["round", "ceil"])
def test_weights_that_the_file_rounds_as_torch_does_are_stored_as_they_are(rounding, tmp_path):
    model = built(**WEIGHTS[rounding])
    stored = onnx.load(str(export(model, tmp_path / "net.onnx", (1, *SHAPE)))).graph.initializer
    (weight,) = (numpy_helper.to_array(tensor) for tensor in stored if len(tensor.dims) == 4 and tensor.dims[1] == 3)
    assert np.array_equal(weight, model[1].weight.detach().numpy()) == (rounding == "round")


def test_what_onnx_cannot_say_is_refused_by_name_before_anything_is_written(tmp_path):
    act = qnn.QuantIdentity(act_quant=Int8ActPerTensorFixedPoint, bit_width=3)
    model = built(act, nn.AvgPool2d(2, divisor_override=3), nn.Flatten())
    with pytest.raises(
        UnsupportedError, match=r"output global_out holds values that differ by 33.3% .*One of AveragePool_3"
    ):
        export(model, tmp_path / "net.onnx", (1, *SHAPE))
    model = built(act, nn.AvgPool2d(2, divisor_override=3), qnn.QuantReLU(bit_width=4), nn.Flatten())
    with pytest.raises(
        UnsupportedError, match=r"Quant_4 quantizes values that differ by .*AveragePool_3, Relu_4 has what"
    ):
        export(model, tmp_path / "net.onnx", (1, *SHAPE))
    assert list(tmp_path.iterdir()) == []


def test_quantizers_of_other_codes_than_the_files_are_refused(tmp_path):
    options = {
        "quant_type": QuantType.TERNARY,
        "scaling_impl_type": "const",
        "scaling_init": 0.25,
        "narrow_range": True,
    }
    export(built(qnn.QuantIdentity(**options, threshold=0.5)), tmp_path / "half.onnx", (1, *SHAPE))
    with pytest.raises(
        UnsupportedError,
        match=r"quantizer Quant_2 \(Int8Act.* other codes than the Quant .*: -0.12\d+ becomes -0.25 in .*, 0 in the file",
    ):
        export(built(qnn.QuantIdentity(**options, threshold=0.3)), tmp_path / "net.onnx", (1, *SHAPE))
    assert [path.name for path in tmp_path.iterdir()] == ["half.onnx"]


def test_a_file_that_cannot_be_executed_is_written_with_a_warning(tmp_path):
    model = built(qnn.QuantIdentity(float_to_int_impl_type=FloatToIntImplType.STOCHASTIC_ROUND))
    with pytest.warns(
        MuxflowWarning, match=r"not compared with the model.*Quant_2 .*STOCHASTIC_ROUND.*; muxflow check says"
    ):
        path = export(model, tmp_path / "net.onnx", (1, *SHAPE))
    with pytest.raises(UnsupportedError, match="STOCHASTIC_ROUND"):
        muxflow.load(path)


def test_codes_that_float_rounding_decides_are_no_difference(tmp_path):
    """A mean of two codes lies on a tie of the same quantizer: torch and the ONNX runtime round it as they like."""
    again = qnn.QuantIdentity(bit_width=4, scaling_impl_type="const", scaling_init=0.7, return_quant_tensor=False)
    model = built(again, nn.AvgPool2d(2, 1), again, nn.AvgPool2d(3, 1), again, nn.Flatten())
    assert export(model, tmp_path / "net.onnx", (1, *SHAPE)).exists()


class Calls(nn.Module):
    """A quantizer that is called three times, of which one is used twice and one not at all, and an input that is not read."""

    def __init__(self):
        super().__init__()
        self.conv = built()
        self.act = qnn.QuantReLU(bit_width=3)

    def forward(self, unread, x):
        x = values_of(self.conv(x))
        self.act(x * 3)
        return self.act(x) + self.act(x) + self.act(x * 2)


def values_of(x):
    return getattr(x, "value", x)


def test_calls_and_inputs_that_the_file_has_no_use_for_are_no_difference(tmp_path):
    model = Calls().eval()
    path = export(model, tmp_path / "net.onnx", ((1, 7), (1, *SHAPE)))
    x = np.random.default_rng(0).integers(0, 256, (1, *SHAPE)).astype(np.float32) / 256
    expected = model(None, torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(execute(path, x)["global_out"], expected, atol=1e-6)


def test_brevitas_rounding_to_zero_is_executed_under_qonnx_name(tmp_path):
    from brevitas.export import export_qonnx  # it warns when it is imported

    model = built(qnn.QuantIdentity(bit_width=4, float_to_int_impl_type=FloatToIntImplType.ROUND_TO_ZERO))
    x = np.random.default_rng(0).integers(0, 256, (2, *SHAPE)).astype(np.float32) / 256
    expected = values(model(torch.from_numpy(x)))
    ours = export(model, tmp_path / "ours.onnx", (1, *SHAPE))
    assert b"ROUND_TO_ZERO" not in ours.read_bytes()
    theirs = tmp_path / "theirs.onnx"
    export_qonnx(model, torch.zeros(1, *SHAPE), export_path=str(theirs), dynamo=False)
    cleanup(str(theirs), out_file=str(theirs))
    for path in (ours, theirs):
        (found,) = execute(path, x).values()
        np.testing.assert_allclose(found, expected, atol=1e-6)
