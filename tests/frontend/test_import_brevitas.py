"""Brevitas models through our export and through the stock one: QONNX, torch and the graph agree."""

import time

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas import quant
from brevitas.core.restrict_val import RestrictValueType
from brevitas.inject.enum import ScalingImplType
from torch import nn

from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.registry import check, load
from muxflow.frontend.training import zoo
from muxflow.frontend.training.joins import MRB, MuxJoin
from muxflow.frontend.training.layers import CFLOG, BatchNorm2d, CellularAutomatonConv2d, conv_bn_act
from muxflow.frontend.training.quantizers import PixelInput, binary_weight, heq_weight, unsigned_activation
from muxflow.proof.compare import compare

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def trained(model, shape, low=0.0, high=1.0):
    """Statistics of a few random batches; batch norms get factors of both signs."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    model.train()
    with torch.no_grad():
        for _ in range(4):
            model(torch.rand(8, *shape) * (high - low) + low)
    return model.eval()


WEIGHTS = [
    quant.Int8WeightPerTensorFloat,
    quant.Int8WeightPerChannelFloat,
    quant.Int8WeightPerTensorFixedPoint,
    quant.ShiftedUint8WeightPerTensorFloat,
    quant.SignedBinaryWeightPerTensorConst,
    quant.SignedTernaryWeightPerTensorConst,
    heq_weight(3),
    heq_weight(7, "unit"),
    binary_weight(),
    binary_weight("channel_mean"),
]


@pytest.mark.parametrize("weight_quant", WEIGHTS, ids=lambda w: w.__name__)
@pytest.mark.parametrize("stock", [False, True])
def test_weight_quantizers(weight_quant, stock, brevitas, prove, against_torch):
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=PixelInput),
        qnn.QuantConv2d(3, 4, 3, padding=1, bias=True, weight_quant=weight_quant),
        nn.BatchNorm2d(4),
        qnn.QuantReLU(act_quant=quant.Uint8ActPerTensorFloat, bit_width=3),
        nn.Flatten(),
        qnn.QuantLinear(64, 5, bias=True, weight_quant=quant.Int8WeightPerTensorFloat),
    )
    trained(model, (3, 4, 4))
    graph = prove(brevitas(model, (1, 3, 4, 4), stock), tensors=2)
    against_torch(model, graph)


ACTIVATIONS = [
    quant.Uint8ActPerTensorFloat,
    quant.Int8ActPerTensorFloat,
    quant.Uint8ActPerTensorFixedPoint,
    quant.Int8ActPerTensorFixedPoint,
    quant.ShiftedUint8ActPerTensorFloat,
    quant.SignedBinaryActPerTensorConst,
    quant.SignedTernaryActPerTensorConst,
    unsigned_activation(1),
    unsigned_activation(3),
    unsigned_activation(2, "unit"),
]


@pytest.mark.parametrize("act_quant", ACTIVATIONS, ids=lambda a: f"{a.__name__}")
@pytest.mark.parametrize("bits", [None, 2, 4])
def test_activation_quantizers(act_quant, bits, brevitas, prove, against_torch):
    if bits and ("8" not in act_quant.__name__):
        return
    width = {"bit_width": bits} if bits else {}
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFloat),
        qnn.QuantConv2d(2, 4, 1, bias=False, weight_quant=quant.Int8WeightPerTensorFixedPoint, weight_bit_width=4),
        nn.BatchNorm2d(4),
        qnn.QuantIdentity(act_quant=act_quant, **width),
        qnn.QuantConv2d(4, 3, 3, padding=1, bias=False, weight_quant=quant.Int8WeightPerTensorFloat),
    )
    trained(model, (2, 4, 5), -1, 1)
    against_torch(model, prove(brevitas(model, (1, 2, 4, 5)), tensors=2))


@pytest.mark.parametrize("mode", ["ROUND", "FLOOR", "CEIL", "ROUND_TO_ZERO"])
def test_rounding_modes_on_ties(mode, brevitas, prove, against_torch):
    """Power-of-two scales and batch-norm factors, pixels that are multiples of 1/4: sums lie between two codes often."""
    act = quant.Int8ActPerTensorFixedPoint.let(
        float_to_int_impl_type=mode,
        scaling_impl_type=ScalingImplType.CONST,
        restrict_scaling_type=RestrictValueType.POWER_OF_TWO,
        min_val=-8.0,
        max_val=8.0,
    )
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=PixelInput.let(activation_bits=4, activation_step=0.25)),
        qnn.QuantConv2d(2, 6, 1, bias=False, weight_quant=heq_weight(5)),
        BatchNorm2d(6),
        qnn.QuantIdentity(act_quant=act, bit_width=4),
        qnn.QuantConv2d(6, 3, 1, bias=False, weight_quant=heq_weight(3)),
    )
    with torch.no_grad():
        model[2].running_var.fill_(1 - model[2].eps)
        model[2].weight.copy_(torch.tensor([2.0, 4, -2, -4, 8, 1]))
    model.eval()
    graph = prove(brevitas(model, (1, 2, 8, 8)), count=16)
    against_torch(model, graph, 16)
    assert graph.notes["near_ties"] == "0"


@pytest.mark.parametrize("bias_quant", [None, quant.Int8Bias, quant.Int16Bias, quant.Int32Bias])
@pytest.mark.parametrize("stock", [False, True])
def test_bias(bias_quant, stock, brevitas, prove, against_torch):
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=PixelInput, return_quant_tensor=True),
        qnn.QuantConv2d(
            3, 4, 2, weight_quant=quant.Int8WeightPerChannelFloat, bias_quant=bias_quant, weight_bit_width=3
        ),
        qnn.QuantReLU(act_quant=quant.Uint8ActPerTensorFloat, bit_width=4, return_quant_tensor=True),
        nn.Flatten(),
        qnn.QuantLinear(36, 2, True, weight_quant=quant.Int8WeightPerTensorFloat, bias_quant=bias_quant),
    )
    trained(model, (3, 4, 4))
    against_torch(model, prove(brevitas(model, (1, 3, 4, 4), stock)))


class Net(nn.Module):
    """A stem and whatever stands in `body`."""

    def __init__(self, body, channels=4):
        super().__init__()
        self.pixels = qnn.QuantIdentity(act_quant=PixelInput)
        conv = qnn.QuantConv2d(3, channels, 3, padding=1, bias=False, weight_quant=heq_weight(3))
        self.stem = conv_bn_act(conv, channels, 3)
        self.body = body

    def forward(self, x):
        return self.body(self.stem(self.pixels(x)))


class Residual(nn.Module):
    """`kind`: shared quantizer, power-of-two scales, or sums before quantisation."""

    def __init__(self, kind, channels=4):
        super().__init__()
        fixed = {"weight_quant": quant.Int8WeightPerTensorFixedPoint, "weight_bit_width": 3, "bias": False}
        self.kind = kind
        self.a = qnn.QuantConv2d(channels, channels, 3, padding=1, **fixed)
        self.b = qnn.QuantConv2d(channels, channels, 1, **fixed)
        self.shared = qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFloat, bit_width=4)
        self.one = qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFixedPoint, bit_width=4)
        self.two = qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFixedPoint, bit_width=3)
        self.out = qnn.QuantReLU(act_quant=quant.Uint8ActPerTensorFloat, bit_width=3)

    def forward(self, x):
        a, b = self.a(x), self.b(x)
        if self.kind == "shared":
            a, b = self.shared(a), self.shared(b)
        elif self.kind == "power of two":
            a, b = self.one(a), self.two(b)
        elif self.kind == "concat":
            return torch.cat([self.shared(a), self.shared(b), x], 1)
        return self.out(a + b)


@pytest.mark.parametrize("kind", ["shared", "power of two", "sums", "concat"])
def test_joins(kind, brevitas, prove, against_torch):
    model = trained(Net(Residual(kind)), (3, 5, 4))
    against_torch(model, prove(brevitas(model, (1, 3, 5, 4))))


class Shuffle(nn.Module):
    """Channel shuffle of two groups."""

    def forward(self, x):
        n, c, h, w = x.shape
        return x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)


POOLED = {
    "max": [nn.MaxPool2d(2)],
    "max overlapping": [nn.MaxPool2d(3, 2, 1)],
    "max ceil": [nn.MaxPool2d(2, ceil_mode=True)],
    "average": [nn.AvgPool2d(2), qnn.QuantIdentity(act_quant=unsigned_activation(3))],
    "average padded": [nn.AvgPool2d(3, 1, 1), qnn.QuantIdentity(act_quant=unsigned_activation(4))],
    "global": [nn.AdaptiveAvgPool2d(1), nn.Flatten()],
    "global quantized": [nn.AdaptiveAvgPool2d(1), nn.Flatten(), qnn.QuantIdentity(act_quant=unsigned_activation(4))],
    "adaptive": [nn.AdaptiveMaxPool2d(1)],
    "softmax": [nn.Flatten(), qnn.QuantLinear(100, 3, False, weight_quant=heq_weight(3))],
    "shuffle": [Shuffle(), nn.Flatten(), qnn.QuantLinear(100, 3, False, weight_quant=heq_weight(3))],
    "squeeze": [nn.AdaptiveAvgPool2d(1), nn.Flatten(2), nn.Flatten(1)],
    "or": [MRB(conv_bn_act(qnn.QuantConv2d(4, 4, 1, bias=False, weight_quant=heq_weight(3)), 4, 3), 4, 4, "or")],
    "quantizer last": [qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFloat)],
    "hardtanh": [
        qnn.QuantConv2d(4, 4, 1, bias=False, weight_quant=heq_weight(3)),
        qnn.QuantHardTanh(act_quant=quant.Int8ActPerTensorFloat, min_val=-1, max_val=1, bit_width=4),
    ],
    "sigmoid": [qnn.QuantConv2d(4, 4, 1, bias=False, weight_quant=heq_weight(3)), qnn.QuantSigmoid(bit_width=4)],
    "tanh": [qnn.QuantConv2d(4, 4, 1, bias=False, weight_quant=heq_weight(3)), qnn.QuantTanh(bit_width=4)],
    "leaky": [
        qnn.QuantConv2d(4, 4, 1, bias=False, weight_quant=heq_weight(3)),
        nn.LeakyReLU(0.1),
        qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFloat, bit_width=4),
    ],
    "groups": [
        qnn.QuantConv2d(4, 6, 3, groups=2, dilation=2, bias=False, weight_quant=heq_weight(3)),
        qnn.QuantReLU(act_quant=quant.Uint8ActPerTensorFloat, bit_width=2),
        qnn.QuantConv2d(6, 12, 1, stride=2, groups=6, bias=False, weight_quant=quant.Int8WeightPerChannelFloat),
    ],
}


@pytest.mark.parametrize("case", POOLED)
@pytest.mark.parametrize("stock", [False, True])
def test_bodies(case, stock, brevitas, prove, against_torch):
    if stock and case == "or":
        return
    model = trained(Net(nn.Sequential(*POOLED[case])), (3, 5, 5))
    against_torch(model, prove(brevitas(model, (1, 3, 5, 5), stock)))


def test_view_with_the_batch_size(brevitas, prove, against_torch):
    class View(nn.Module):
        def forward(self, x):
            return x.view(x.shape[0], -1)

    model = Net(nn.Sequential(View(), qnn.QuantLinear(36, 3, False, weight_quant=heq_weight(3))))
    trained(model, (3, 3, 3))
    against_torch(model, prove(brevitas(model, (1, 3, 3, 3), stock=True)))


@pytest.mark.parametrize("mode", ["floor", "round"])
def test_trunc_average_pool(mode, brevitas, prove, against_torch):
    model = nn.Sequential(
        qnn.QuantIdentity(act_quant=quant.Uint8ActPerTensorFixedPoint, return_quant_tensor=True),
        qnn.QuantConv2d(3, 4, 1, bias=False, weight_quant=quant.Int8WeightPerTensorFixedPoint, weight_bit_width=3),
        qnn.QuantReLU(act_quant=quant.Uint8ActPerTensorFixedPoint, bit_width=4, return_quant_tensor=True),
        qnn.TruncAvgPool2d(2, bit_width=4, float_to_int_impl_type=mode),
        qnn.QuantConv2d(4, 2, 1, bias=False, weight_quant=heq_weight(3)),
    )
    trained(model, (3, 4, 4))
    against_torch(model, prove(brevitas(model, (1, 3, 4, 4)), tensors=3))


def test_mlp(brevitas, prove, against_torch):
    model = nn.Sequential(
        nn.Flatten(),
        qnn.QuantIdentity(act_quant=PixelInput),
        qnn.QuantLinear(48, 16, True, weight_quant=quant.Int8WeightPerTensorFloat, weight_bit_width=2),
        nn.BatchNorm1d(16),
        qnn.QuantReLU(act_quant=quant.Uint8ActPerTensorFloat, bit_width=2),
        nn.Dropout(0.5),
        qnn.QuantLinear(16, 10, True, weight_quant=quant.Int8WeightPerChannelFloat),
    )
    trained(model, (3, 4, 4))
    against_torch(model, prove(brevitas(model, (1, 3, 4, 4))))


def test_pixels_without_a_quantizer(brevitas, prove, against_torch):
    model = nn.Sequential(
        qnn.QuantConv2d(3, 4, 3, bias=True, weight_quant=heq_weight(3)),
        nn.BatchNorm2d(4),
        qnn.QuantReLU(act_quant=quant.Uint8ActPerTensorFloat, bit_width=3),
        qnn.QuantConv2d(4, 2, 1, bias=False, weight_quant=heq_weight(3)),
    )
    trained(model, (3, 5, 5))
    against_torch(model, prove(brevitas(model, (1, 3, 5, 5)), input_scale=1 / 255))


@pytest.mark.parametrize("select", ["channel", "channel-mean", "element", "always"])
@pytest.mark.parametrize("channels", [(4, 4), (4, 6), (6, 4)])
def test_mux_join(select, channels, brevitas, prove, against_torch):
    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            conv = qnn.QuantConv2d(channels[0], channels[1], 3, padding=1, bias=False, weight_quant=heq_weight(5))
            self.f = conv_bn_act(conv, channels[1], 3)
            self.join = MuxJoin(*channels, select, bits=3)

        def forward(self, x):
            return self.join(x, self.f(x))

    model = trained(Net(Block(), channels[0]), (3, 4, 4))
    against_torch(model, prove(brevitas(model, (1, 3, 4, 4)), tensors=4))


@pytest.mark.parametrize("automaton", [{}, {"rule": 45, "seed": 5}, {"ring": 37, "burn_in": 3}])
@pytest.mark.parametrize("alphabet", ["binary", "ternary"])
def test_generated_weights(automaton, alphabet, brevitas, prove, against_torch):
    model = Net(conv_bn_act(CellularAutomatonConv2d(12, 5, alphabet=alphabet, **automaton), 5, 2), 12)
    trained(model, (3, 3, 3))
    graph = prove(brevitas(model, (1, 3, 3, 3)))
    against_torch(model, graph)
    assert any(isinstance(node.op, AutomatonWeights) for node in graph.nodes)


def test_blocks_of_one_bit(brevitas, prove, against_torch):
    class Or(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = conv_bn_act(qnn.QuantConv2d(4, 4, 1, bias=False, weight_quant=binary_weight()), 4, 1)
            self.second = CFLOG(4, 4, 4, 2, bits=1, weight_levels="binary", automaton={"ring": 32})
            self.join = MuxJoin(4, 4, "always", mix="or", bits=1)

        def forward(self, x):
            x = self.first(x)
            return self.join(x, self.second(x))

    model = trained(Net(Or()), (3, 4, 4))
    against_torch(model, prove(brevitas(model, (1, 3, 4, 4)), tensors=7))


def test_full_size_mognet_imports_in_seconds(brevitas):
    model = zoo.randomise(zoo.build("mognet_cifar10", n=64, g=4), batches=1)
    path = brevitas(model, (1, 3, 32, 32))
    start = time.perf_counter()
    graph = load(path)
    assert time.perf_counter() - start < 3
    assert all(status.supported for status in check(path))
    assert graph.notes["near_ties"] == "0"
    assert sum(isinstance(node.op, Threshold) for node in graph.nodes) == 19
    codes = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3))
    assert len(compare(graph, [QonnxExecution(path, graph)], codes).outcomes[0].streams) == 28
