"""Quantizers: levels, scales, gradients, and what QONNX executes."""

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx
from qonnx.util.cleanup import cleanup_model
from torch import nn

from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.training.quantizers import (
    BinaryTensorQuant,
    HEQTensorQuant,
    PixelInput,
    UnsignedTensorQuant,
    binary_weight,
    freeze_heq,
    heq_step,
    heq_weight,
    unsigned_activation,
    weight_quantizer,
)
from muxflow.frontend.training.scales import MOST_LEVELS, activation_scale, heq_bits, heq_scale

GAUSSIAN = torch.special.ndtri((torch.arange(99_999, dtype=torch.float64) + 1) / 100_000).float()


def conv(weight_quant, **options):
    torch.manual_seed(3)
    return qnn.QuantConv2d(3, 4, 3, bias=False, weight_quant=weight_quant, **options)


@pytest.mark.parametrize(("n", "step"), [(3, 0.8615), (5, 0.5556), (7, 0.412)])
def test_heq_step_of_a_unit_gaussian(n, step):
    assert heq_step(GAUSSIAN, n).item() == pytest.approx(step, abs=6e-4)
    assert heq_step(7 * GAUSSIAN, n).item() == pytest.approx(7 * step, abs=5e-3)


def test_ternary_levels_are_equally_populated():
    codes = torch.round(GAUSSIAN / heq_step(GAUSSIAN, 3)).clamp(-1, 1)
    for level in (-1, 0, 1):
        assert (codes == level).double().mean().item() == pytest.approx(1 / 3, abs=1e-3)


@pytest.mark.parametrize("n", [2, 1, 4, -3, 3.0])
def test_heq_needs_an_odd_number_of_levels(n):
    with pytest.raises(MuxflowError, match="odd number"):
        heq_step(GAUSSIAN, n)
    with pytest.raises(MuxflowError, match="odd number"):
        heq_weight(n)


@pytest.mark.parametrize("weights", [torch.ones(9), torch.zeros(2, 3), torch.tensor([1.0, float("nan"), 2.0])])
def test_heq_needs_weights_with_spread(weights):
    with pytest.raises(MuxflowError, match="positive and finite"):
        heq_step(weights, 3)


def test_heq_scales_and_bits():
    assert [heq_scale(n) for n in (3, 5, 7, 9)] == [1, 1 / 2, 1 / 4, 1 / 4]
    assert [heq_scale(n, "unit") for n in (3, 5, 7)] == [1, 1 / 2, 1 / 3]
    assert [heq_bits(n) for n in (3, 5, 7, 9)] == [2, 3, 3, 4]
    with pytest.raises(MuxflowError, match="power_of_two"):
        heq_scale(3, "float")


@pytest.mark.parametrize("n", [3, 5, 7])
def test_heq_layer_has_n_levels_and_a_gradient_everywhere(n):
    layer = conv(heq_weight(n))
    value = layer.quant_weight().value
    codes = value / heq_scale(n)
    assert set(codes.flatten().tolist()) == set(range(-(n // 2), n // 2 + 1))
    value.sum().backward()
    assert (layer.weight.grad > 0).all()


def test_heq_step_follows_the_weights_until_frozen():
    layer = conv(heq_weight(3))
    quantizer = next(m for m in layer.modules() if isinstance(m, HEQTensorQuant))
    first = quantizer.step.clone()
    with torch.no_grad():
        layer.weight.mul_(2)
    layer.quant_weight()
    assert quantizer.step.item() == pytest.approx(1.1 * first.item(), rel=1e-5)
    before = quantizer.step.clone()
    assert freeze_heq(layer) == 1
    layer.quant_weight()
    assert quantizer.step == before
    freeze_heq(layer, frozen=False)
    layer.eval()
    layer.quant_weight()
    assert quantizer.step == before


def test_heq_step_is_saved_and_restored():
    source, target = conv(heq_weight(3)), conv(heq_weight(3))
    with torch.no_grad():
        source.weight.mul_(3)
    source.quant_weight()
    target.load_state_dict(source.state_dict())
    source.eval(), target.eval()
    assert torch.equal(source.quant_weight().value, target.quant_weight().value)


def test_binary_sign_of_zero_is_plus_one_and_scales():
    weights = torch.tensor([[-2.0, 0.0, 1.0], [4.0, -0.0, -5.0]])
    value, scale, _, bits = BinaryTensorQuant(1 / 32)(weights)
    assert value.tolist() == [[-1 / 32, 1 / 32, 1 / 32], [1 / 32, 1 / 32, -1 / 32]]
    assert (scale, bits) == (1 / 32, 1)
    value, scale, _, _ = BinaryTensorQuant("channel_mean")(weights)
    assert value.tolist() == [[-1, 1, 1], [3, 3, -3]]
    assert scale.tolist() == [[1], [3]]


@pytest.mark.parametrize("scale", [0.3, 0.0, -0.5, "tensor_mean"])
def test_binary_scale_must_be_a_power_of_two(scale):
    with pytest.raises(MuxflowError, match="power of two"):
        binary_weight(scale)


def test_weight_quantizer_by_name():
    assert weight_quantizer("binary").binary_scale == 1 / 32
    assert weight_quantizer(5).levels == 5
    with pytest.raises(MuxflowError, match="odd number"):
        weight_quantizer("ternary")


@pytest.mark.parametrize("scale", ["power_of_two", "unit"])
@pytest.mark.parametrize("bits", [2, 3, 4])
@given(x=st.floats(-2, 2, width=32))
@settings(max_examples=60, deadline=None)
def test_unsigned_activation_is_round_half_even_and_clip(bits, scale, x):
    step = np.float32(activation_scale(bits, scale))
    expected = np.clip(np.round(np.float32(x) / step), 0, 2**bits - 1) * step
    assert UnsignedTensorQuant(bits, float(step))(torch.tensor(x))[0].item() == expected


def test_halves_round_to_even():
    x = torch.tensor([0.5, 1.5, 2.5, 6.5, 7.5]) / 8
    assert (UnsignedTensorQuant(3, 1 / 8)(x)[0] * 8).tolist() == [0, 2, 2, 6, 7]


def test_one_bit_is_strictly_positive():
    x = torch.tensor([-1.0, -0.0, 0.0, 1.2e-38, 1e-30, 0.5, 9.0], requires_grad=True)
    value = UnsignedTensorQuant(1, 0.5)(x)[0]
    assert (2 * value).tolist() == [0, 0, 0, 1, 1, 1, 1]
    value.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 1, 1, 0]


@pytest.mark.parametrize("bits", [0, 5, 2.5])
def test_activation_bits_are_limited(bits):
    with pytest.raises(MuxflowError, match="1, 2, 3, 4"):
        unsigned_activation(bits)


def test_activation_scale_is_known():
    with pytest.raises(MuxflowError, match="power_of_two"):
        unsigned_activation(3, "float")


def test_every_pixel_is_exact():
    pixels = torch.arange(256.0) / 256
    assert torch.equal(qnn.QuantIdentity(act_quant=PixelInput)(pixels), pixels)


@pytest.mark.parametrize(
    ("weights", "op", "bits", "scale", "rounding"),
    [
        (heq_weight(3), "Quant", 3, "power_of_two", "ROUND"),
        (heq_weight(5), "Quant", 1, "power_of_two", "CEIL"),
        (heq_weight(7), "Quant", 2, "unit", "ROUND"),
        (binary_weight(), "BipolarQuant", 1, "unit", "CEIL"),
        (binary_weight("channel_mean"), "BipolarQuant", 4, "power_of_two", "ROUND"),
    ],
)
def test_brevitas_exporter_writes_what_the_model_computes(weights, op, bits, scale, rounding):
    from brevitas.export import (
        export_qonnx,  # after muxflow.frontend.training.quantizers, which quiets its import warnings
    )

    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=PixelInput),
        conv(weights),
        qnn.QuantIdentity(act_quant=unsigned_activation(bits, scale)),
    ).eval()
    x = torch.randint(0, 256, (2, 3, 6, 6), generator=torch.Generator().manual_seed(1)) / 256
    file = cleanup_model(ModelWrapper(export_qonnx(model, args=x, dynamo=False)))
    nodes = list(file.graph.node)
    assert [n.op_type for n in nodes] == ["Quant", op, "Conv", "Quant"]
    assert next(a.s for a in nodes[3].attribute if a.name == "rounding_mode").decode() == rounding
    stored = file.get_initializer(nodes[1].input[0])
    assert np.array_equal(stored, model[1].quant_weight().value.detach().numpy())
    (result,) = execute_onnx(file, {file.graph.input[0].name: x.numpy()}).values()
    expected = model(x).detach().numpy()
    assert len(np.unique(expected)) > 1
    assert np.array_equal(result, expected)


@pytest.mark.parametrize("levels", [1, 2, 4, -3, MOST_LEVELS + 2, 10**9 + 1, 10**400 + 1, 3.0, "3", None])
def test_levels_of_weights_are_odd_and_few(levels):
    """Each is a quantile that is looked for: a billion of them would take the memory, or years."""
    with pytest.raises(MuxflowError, match=rf"HEQ: .* levels; .* odd number from 3 .* up to {MOST_LEVELS}") as caught:
        heq_weight(levels)
    assert len(str(caught.value)) < 300
