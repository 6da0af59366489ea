"""Models and arguments that cannot be exported: one message that names the cause, and a model left as it was."""

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant.mx_quant_ocp import MXInt8Weight
from torch import nn

import muxflow
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training.quantizers import PixelInput

SHAPE = (1, 3, 6, 6)


def built(*layers, **weights):
    conv = qnn.QuantConv2d(3, 4, 3, bias=False, **(weights or {"weight_bit_width": 4}))
    return nn.Sequential(qnn.QuantIdentity(act_quant=PixelInput), nn.Sequential(*layers), conv).eval()


def test_sizes_may_be_numpys(tmp_path):
    model, shape = built(), (1, 3, np.int64(6), np.int32(6))
    assert (
        export(model, tmp_path / "a.onnx", shape).read_bytes() == export(model, tmp_path / "b.onnx", SHAPE).read_bytes()
    )
    for bad in [(1, 3, 6.0, 6), (1, 3, np.float32(6), 6), (1, 3, None, 6)]:
        with pytest.raises(MuxflowError, match=r"input shape \(1, 3, .*; give \(N, C, H, W\)"):
            export(built(), tmp_path / "c.onnx", bad)


def test_shapes_may_be_lists(tmp_path):
    model = built()
    written = [export(model, tmp_path / f"{name}.onnx", shape) for name, shape in (("a", list(SHAPE)), ("b", [SHAPE]))]
    assert written[0].read_bytes() == written[1].read_bytes() == export(model, tmp_path / "c.onnx", SHAPE).read_bytes()
    for bad in ([1, [3, 6, 6]], [], ["1366"], "1366"):
        with pytest.raises(MuxflowError, match=r"export: input shape .*; give \(N, C, H, W\)"):
            export(model, tmp_path / "d.onnx", bad)


@pytest.mark.parametrize("name", ["x.pt", "x", "x.onnx.txt", ".onnx"])
def test_a_name_that_load_does_not_know_is_refused_before_anything(name, tmp_path):
    with pytest.raises(MuxflowError, match=r"export: .*: a network is written as \.onnx"):
        export(None, tmp_path / name, SHAPE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16], ids=str)
def test_a_model_of_other_floats_is_told_to_take_float32(dtype, tmp_path):
    with pytest.raises(MuxflowError, match=rf"does not run on .*; 2.weight is of type {dtype}, .*: model.float\(\)$"):
        export(built().to(dtype), tmp_path / "net.onnx", SHAPE)


@pytest.mark.parametrize("metadata", [{"epochs": 3}, {3: "epochs"}, {"accuracy": None}], ids=str)
def test_metadata_are_texts(metadata, tmp_path):
    with pytest.raises(MuxflowError, match=r"export: metadata .*; keys and values are texts"):
        export(built(), tmp_path / "net.onnx", SHAPE, metadata)
    assert list(tmp_path.iterdir()) == []


def test_an_operator_that_torch_cannot_write_is_named_with_its_module(tmp_path, capfd):
    model = built(nn.ReLU(), nn.AdaptiveAvgPool2d(4)).train()
    model[0].eval()
    before = [module.training for module in model.modules()]
    message = (
        r"torch cannot write 1\.1 \(adaptive_avg_pool2d\) as ONNX \(SymbolicValueError: .*operators of docs/reference"
    )
    for _ in range(2):  # the second time the model is one whose export has failed
        with pytest.raises(UnsupportedError, match=message):
            export(model, tmp_path / "net.onnx", SHAPE)
        assert [module.training for module in model.modules()] == before
        assert not any(getattr(module, "export_mode", False) for module in model.modules())
        assert not any(hasattr(module, "cache_inference_quant_act_backup") for module in model.modules())
    assert capfd.readouterr().out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_quantizer_that_brevitas_cannot_write_is_named(tmp_path):
    message = r"the quantizer 2\.weight_quant \(MXInt8Weight\) has no form in QONNX \(Brevitas writes no Groupwise.*supported are"
    with pytest.raises(UnsupportedError, match=message):
        export(built(weight_quant=MXInt8Weight), tmp_path / "net.onnx", SHAPE)


def test_modules_keep_their_modes(tmp_path):
    model = built(nn.BatchNorm2d(3), nn.Dropout()).train()
    model[1][0].eval()  # a frozen batch norm
    before = [module.training for module in model.modules()]
    export(model, tmp_path / "net.onnx", SHAPE)
    assert [module.training for module in model.modules()] == before


def test_layers_that_no_file_can_say_are_refused_by_name(tmp_path):
    for layer in (qnn.QuantMultiheadAttention(8, 2), nn.MultiheadAttention(8, 2)):
        kind = type(layer).__name__
        with pytest.raises(UnsupportedError, match=rf"^export: 1\.0 \({kind}\): attention is not supported; use conv"):
            export(built(layer), tmp_path / "net.onnx", SHAPE)
    with pytest.raises(UnsupportedError, match=r"^export: 1\.0 \(ChannelShuffle\): channels .*a convolution of size 1"):
        export(built(nn.ChannelShuffle(3)), tmp_path / "net.onnx", SHAPE)
    assert list(tmp_path.iterdir()) == []


class Shuffle(nn.Module):
    def forward(self, x):
        return x.view(1, 2, 2, *x.shape[2:]).transpose(1, 2).reshape(x.shape)


@pytest.mark.parametrize("groups", [1, 4])
def test_a_shuffle_of_channels_is_named(groups, tmp_path):
    torch.manual_seed(0)
    last = qnn.QuantConv2d(4, 4, 3, groups=groups, bias=False, weight_bit_width=4)
    model = nn.Sequential(built(), qnn.QuantReLU(bit_width=4), Shuffle(), last)
    for _ in range(3):
        model(torch.rand(1, 3, 8, 8))
    path = export(model, tmp_path / "net.onnx", (1, 3, 8, 8))
    with pytest.raises(
        UnsupportedError, match=r"Conv_3 \(Conv\): channels of maps in another order, as after a channel sh"
    ):
        muxflow.load(path)
