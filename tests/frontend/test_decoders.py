"""Segmentation and decoder networks from Brevitas to the C simulation."""

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas import quant
from torch import nn
from torch.nn import functional as F

import muxflow
from muxflow.dataflow.ops.resize import Resize
from muxflow.frontend.training.quantizers import PixelInput, unsigned_activation
from muxflow.proving import model_copy, prove, random_images

pytestmark = pytest.mark.filterwarnings("ignore")
WEIGHTS = {"weight_quant": quant.Int8WeightPerTensorFixedPoint, "weight_bit_width": 3, "bias": False}


def act():
    return qnn.QuantReLU(act_quant=unsigned_activation(3))


def double(inputs, outputs):
    return nn.Sequential(
        qnn.QuantConv2d(inputs, outputs, 3, padding=1, **WEIGHTS), nn.BatchNorm2d(outputs, momentum=None), act()
    )


class UNet(nn.Module):
    """Two levels: a transposed convolution and an upsampling on the way up, padded to the skip's size and joined with it."""

    def __init__(self):
        super().__init__()
        self.image = qnn.QuantIdentity(act_quant=PixelInput)
        self.down1, self.down2, self.bottom = double(3, 4), double(4, 6), double(6, 8)
        self.up1 = nn.Sequential(
            qnn.QuantConvTranspose2d(8, 6, 2, stride=2, **WEIGHTS), nn.BatchNorm2d(6, momentum=None)
        )
        self.up2 = nn.Upsample(scale_factor=2, mode="nearest")
        self.join1, self.join2 = act(), qnn.QuantIdentity(act_quant=unsigned_activation(3))
        self.mid, self.last = double(12, 4), double(8, 4)
        self.head = qnn.QuantConv2d(4, 2, 1, **WEIGHTS)

    def forward(self, x):
        first = self.down1(self.image(x))
        second = self.down2(F.max_pool2d(first, 2))
        x = self.bottom(F.max_pool2d(second, 2))
        x = F.pad(self.up1(x), (0, 1, 0, 0))  # 7 columns on the skip, 6 here
        x = self.mid(torch.cat((self.join1(x), second), 1))
        x = self.last(torch.cat((self.join2(self.up2(x)), first), 1))
        return self.head(x)


def test_u_net_from_brevitas_to_the_simulation(brevitas, against_torch, tmp_path):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = UNet()
        model.train()
        with torch.no_grad():
            for _ in range(4):
                model(torch.rand(8, 3, 8, 14))
    path = brevitas(model.eval(), (1, 3, 8, 14))
    graph = muxflow.load(path)
    modes = [(node.op.mode, node.op.factors) for node in graph.nodes if isinstance(node.op, Resize)]
    assert modes == [("insert", (2, 2)), ("insert", (1, 1)), ("repeat", (2, 2))]
    against_torch(model, graph)
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project", extra=model_copy(path))
    images = random_images(graph, 6)
    rungs, _, _ = prove(project, images, variants=("native",))
    equal = [rung.title for rung in rungs if rung.status == "equal"]
    assert {"QONNX execution", "C simulation, native integers"} <= set(equal), rungs
    streams = graph.evaluate(images.codes, graph.constants())
    assert all(len(np.unique(streams[output])) > 8 for output in graph.outputs)


def test_other_operators_up_to_the_simulation(build, save, tmp_path):
    """Pixels gathered into channels, averages that leave the padding out, padding of its own, vectors joined whole."""
    rng = np.random.default_rng(0)
    b = build((1, 2, 8, 6))
    b.quant(scale=0.25, bits=4)
    b.then("SpaceToDepth", blocksize=2)
    b.conv(rng.integers(-3, 4, (4, 8, 3, 3)), scale=0.25, pads=[1, 1, 1, 1])
    x = b.quant(scale=2.0, bits=4)
    b.then("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    b.quant(scale=2.0, bits=4)
    b.then("Pad", np.array([0, 0, 1, 0, 0, 0, 0, 2]), np.float32(4.0))
    whole = b.then("Flatten")
    b.node("Concat", whole, b.node("Flatten", b.node("GlobalMaxPool", x)), axis=1)
    b.then("MatMul", b.weights(rng.integers(-3, 4, (104, 3))))
    path = save(b)
    graph = muxflow.load(path)
    assert {"Resize", "Concat", "Scale"} <= {node.op.kind for node in graph.nodes}
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project", extra=model_copy(path))
    rungs, _, _ = prove(project, random_images(graph, 5), variants=("native",))
    equal = [rung.title for rung in rungs if rung.status == "equal"]
    assert {"QONNX execution", "C simulation, native integers"} <= set(equal), rungs
