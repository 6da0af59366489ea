"""Layers: generated weights, joins against their integer definition, gradients, bad input."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from muxflow.dataflow.automaton import Automaton
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.frontend.qonnx.ops import MIXES, mux_join, or_join
from muxflow.frontend.training.joins import MRB, MuxJoin
from muxflow.frontend.training.layers import (
    CFLOG,
    BatchNorm2d,
    CellularAutomatonConv2d,
    conv_bn_act,
    quant_conv,
)


def codes(shape, bits, seed):
    return torch.randint(0, 2**bits, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("alphabet", ["binary", "ternary"])
def test_generated_weights_are_the_automaton_and_are_not_stored(alphabet):
    layer = CellularAutomatonConv2d(32, 20, rule=45, seed=7, burn_in=3, alphabet=alphabet)
    ring = 32 if alphabet == "binary" else 64
    expected = Automaton(ring=ring, rule=45, seed=7, burn_in=3, alphabet=alphabet).weights(20, 32) / 8
    assert np.array_equal(layer.weight[:, :, 0, 0].numpy(), expected)
    assert not list(layer.parameters())
    assert not layer.state_dict()
    x = codes((2, 32, 3, 3), 3, 0) / 8
    assert torch.equal(layer(x), torch.einsum("oc,nchw->nohw", torch.tensor(expected).float(), x))


@pytest.mark.parametrize("channels", [24, 32, 48, 64, 100, 256])
def test_generated_scale_is_a_power_of_two_near_the_root(channels):
    scale = CellularAutomatonConv2d(channels, 4).scale
    assert math.log2(scale).is_integer()
    assert 0.7 < scale * math.sqrt(channels) < 1.42


def test_short_ring_warns_and_too_short_ring_fails():
    with pytest.warns(UserWarning, match="ring of 8 cells"):
        CellularAutomatonConv2d(8, 4)
    CellularAutomatonConv2d(8, 4, ring=24)
    with pytest.raises(MuxflowError, match="use ring >= 64"):
        CellularAutomatonConv2d(32, 4, ring=40, alphabet="ternary")


def test_batch_norm_trains_as_torch_and_evaluates_in_two_roundings():
    ours, torchs = BatchNorm2d(5), nn.BatchNorm2d(5)
    x = torch.randn(4, 5, 3, 3, generator=torch.Generator().manual_seed(0)) * 3 + 1
    assert torch.equal(ours(x), torchs(x))
    ours.eval(), torchs.eval()
    torch.testing.assert_close(ours(x), torchs(x))
    a, b = (t.detach().numpy().reshape(1, -1, 1, 1) for t in ours.factors())
    assert np.array_equal(ours(x).detach().numpy(), x.numpy() * a + b)


def test_batch_norm_folds_in_double_precision_and_rounds_once():
    layer = BatchNorm2d(64)
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for tensor in (layer.weight, layer.bias, layer.running_mean):
            tensor.normal_(generator=generator)
        layer.running_var.uniform_(0.01, 3, generator=generator)
    layer.eval()
    expected_a, expected_b = [], []
    for channel in range(64):
        # Python's floats are IEEE doubles: the same numbers on every machine.
        weight, bias, mean, variance = (
            t[channel].item() for t in (layer.weight, layer.bias, layer.running_mean, layer.running_var)
        )
        a = weight / math.sqrt(variance + layer.eps)
        expected_a.append(np.float32(a))
        expected_b.append(np.float32(bias - mean * a))
    with torch.no_grad():
        a, b = layer.factors()
    assert a.tolist() == expected_a
    assert b.tolist() == expected_b
    # With gradients the values are the same, and the gradients are torch's own.
    a, b = layer.factors()
    assert a.tolist() == expected_a
    assert b.tolist() == expected_b
    (a.sum() + b.sum()).backward()
    torch.testing.assert_close(layer.bias.grad, torch.ones(64))
    slope = (1 - layer.running_mean) / torch.sqrt(layer.running_var + layer.eps)
    torch.testing.assert_close(layer.weight.grad, slope)


def test_first_batch_norm_keeps_gradients_inside_the_activation():
    block = conv_bn_act(quant_conv(3, 16, 3), 16, bits=3)
    x = torch.rand(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    share = ((block[:2](x) > 0) & (block[:2](x) < 15 / 16)).float().mean()
    assert share > 0.8
    values = block(x) * 8
    assert torch.equal(values, values.round())
    assert (values.min(), values.max()) == (0, 7)


def test_cflog_stores_what_the_paper_counts():
    block = CFLOG(16, 40, 32, 4)
    convs = [p for name, p in block.named_parameters() if p.dim() == 4]
    assert sum(p.numel() for p in convs) == 16 * 32 + 9 * 32 * 32 // 4
    y = block(codes((2, 16, 4, 4), 3, 1) / 8)
    assert y.shape == (2, 40, 4, 4)
    assert set((y * 8).unique().tolist()) <= set(range(8))


def test_groups_must_divide():
    with pytest.raises(MuxflowError, match="5 groups"):
        CFLOG(16, 32, 32, 5)


@given(
    select=st.sampled_from(["channel", "channel-mean", "element", "always"]),
    mix=st.sampled_from(MIXES),
    scale=st.sampled_from(["power_of_two", "unit"]),
    bits=st.integers(1, 4),
    c_x=st.integers(1, 4),
    c_f=st.integers(1, 4),
    size=st.lists(st.integers(1, 4), min_size=2, max_size=3),
    seed=st.integers(0, 99),
)
@settings(max_examples=120, deadline=None)
def test_mux_join_equals_its_integer_definition(select, mix, scale, bits, c_x, c_f, size, seed):
    x, f = codes((2, c_x, *size), bits, seed), codes((2, c_f, *size), bits, seed + 1)
    join = MuxJoin(c_x, c_f, select, mix=mix, bits=bits, scale=scale)
    if join.threshold is not None:
        with torch.no_grad():
            join.threshold.uniform_(-0.5, 2**bits, generator=torch.Generator().manual_seed(seed))
    thresholds = np.array(join.integer_thresholds(*size), np.int64)
    expected = mux_join(x.numpy(), f.numpy(), thresholds, select, mix)
    result = join(x * join.scale, f * join.scale)
    assert np.array_equal((result / join.scale).round().detach().numpy(), expected)
    assert torch.equal(result.detach(), torch.tensor(expected) * join.scale)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("select", ["channel", "channel-mean", "element"])
def test_thresholds_and_inputs_train(select, mix):
    join = MuxJoin(4, 4, select, mix=mix)
    x, f = (codes((2, 4, 3, 3), 3, s) / 8 for s in (0, 1))
    x.requires_grad_(), f.requires_grad_()
    (join(x, f) ** 2).sum().backward()
    for tensor in (join.threshold, x, f):
        assert torch.isfinite(tensor.grad).all()
        assert (tensor.grad != 0).any()


def test_integer_thresholds_are_the_ceiling():
    join = MuxJoin(2, 2, "channel")
    with torch.no_grad():
        join.threshold.copy_(torch.tensor([2.0, 2.25]))
    assert join.integer_thresholds(4, 4) == [2, 3]
    mean = MuxJoin(2, 2, "channel-mean")
    mean.load_state_dict(join.state_dict())
    assert mean.integer_thresholds(4, 4) == [32, 36]
    assert MuxJoin(2, 2, "always").integer_thresholds(4, 4) == []


@pytest.mark.parametrize(("c_x", "c_f"), [(3, 3), (2, 5), (5, 2)])
@pytest.mark.parametrize("bits", [1, 3])
def test_an_or_that_is_always_on_equals_its_integer_definition(c_x, c_f, bits):
    x, f = codes((2, c_x, 3, 3), bits, 0), codes((2, c_f, 3, 3), bits, 1)
    join = MuxJoin(c_x, c_f, "always", mix="or", bits=bits)
    result = join(x * join.scale, f * join.scale) / join.scale
    assert np.array_equal(result.numpy(), or_join(x.numpy(), f.numpy()))


def test_one_bit_or_has_the_gradient_of_its_twin():
    x, f = (codes((1, 2, 3, 3), 1, s).float().requires_grad_() for s in (0, 1))
    join = MuxJoin(2, 2, "always", mix="or", bits=1, scale="unit")
    (join(x, f) * torch.arange(18.0).view(1, 2, 3, 3)).sum().backward()
    gradients = x.grad.clone(), f.grad.clone()
    x.grad = f.grad = None
    twin = x + f - x * f
    assert torch.equal(twin, join(x, f))
    (twin * torch.arange(18.0).view(1, 2, 3, 3)).sum().backward()
    assert torch.equal(gradients[0], x.grad)
    assert torch.equal(gradients[1], f.grad)


def test_bad_joins_are_named():
    with pytest.raises(UnsupportedError, match="channel, channel-mean, element, always"):
        MuxJoin(2, 2, "row")
    with pytest.raises(UnsupportedError, match="always, or"):
        MRB(nn.Identity(), 2, 2, "add")
    with pytest.raises(MuxflowError, match="stride at 1"):
        MuxJoin(2, 2)(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 2, 2))
    with pytest.raises(UnsupportedError, match="mix 'and'; supported: mean, or"):
        MuxJoin(2, 2, mix="and")
    with pytest.raises(MuxflowError, match="stride at 1"):
        MuxJoin(2, 2)(torch.zeros(1, 2, 4, 4), torch.zeros(2, 2, 4, 4))


@pytest.mark.parametrize("select", ["channel", "or"])
def test_mrb_joins_its_input_with_its_body(select):
    block = MRB(nn.Identity(), 3, 3, select)
    x = codes((1, 3, 4, 4), 3, 0) / 8
    assert torch.equal(block(x), x)  # x = f: (x + x) >> 1 = x | x = x
