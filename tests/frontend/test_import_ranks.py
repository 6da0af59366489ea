"""Maps of one and three spatial axes, networks of several inputs and outputs: graph, QONNX, torch and accelerator agree."""

import brevitas.nn as qnn
import numpy as np
import pytest
import torch
from brevitas.quant.solver import ActQuantSolver
from torch import nn

import muxflow
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.window_pool import WindowPool
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.registry import check, load
from muxflow.frontend.training import zoo_radio
from muxflow.frontend.training.configuration import seeded as seeded_network
from muxflow.frontend.training.layers import BatchNorm1d, BatchNorm2d
from muxflow.frontend.training.presets import export_untrained
from muxflow.frontend.training.quantizers import unsigned_activation, weight_quantizer
from muxflow.frontend.training.zoo_bnn import INPUT_SCALE, randomise, signed_quantizer
from muxflow.proof.compare import compare

pytestmark = pytest.mark.filterwarnings("ignore")


def codes(*shape, low=-3, high=4, seed=0):
    return np.random.default_rng(seed).integers(low, high, shape)


def random_batch(graph, count=3, seed=0):
    rng = np.random.default_rng(seed)
    return {name: random_codes(graph.streams[name], count, rng) for name in graph.inputs}


SIZES = {1: (9,), 3: (5, 4, 6)}


@pytest.mark.parametrize("rank", SIZES)
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(
    "window",
    [
        {},
        {"strides": 2, "pads": 1},
        {"dilations": 2, "pads": 2},
        {"auto_pad": "SAME_UPPER", "strides": 2},
        {"auto_pad": "SAME_LOWER", "strides": 3},
    ],
)
def test_convolution_of_any_rank(rank, groups, window, build, prove):
    b = build((1, 4, *SIZES[rank]))
    b.quant(scale=1 / 256)
    counts = {"pads": 2 * rank, "strides": rank, "dilations": rank}
    attributes = {name: [value] * counts[name] if name in counts else value for name, value in window.items()}
    b.conv(codes(8, 4 // groups, *(2,) * rank), np.arange(8) / 256, group=groups, **attributes)
    b.quant(scale=1 / 8, bits=4)
    graph = prove(b, tensors=2)
    assert len(graph.streams[graph.outputs[0]].shape) == rank + 1


@pytest.mark.parametrize("rank", SIZES)
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool", "overlapping", "GlobalAveragePool", "ReduceMax"])
def test_pools_of_any_rank(rank, kind, build, prove):
    b = build((1, 3, *SIZES[rank]))
    b.quant(scale=1 / 256)
    b.conv(codes(4, 3, *(1,) * rank))
    b.then("BatchNormalization", *np.float32([[0.5, -0.7, -1, 0], [0.1, 0.2, 0.3, 0.4], [0, 1, 0, 0], [1, 2, 0.5, 1]]))
    if kind == "overlapping":
        b.then("MaxPool", kernel_shape=[3] * rank, strides=[2] * rank, pads=[1] * (2 * rank), ceil_mode=1)
    elif kind in ("MaxPool", "AveragePool"):
        b.then(kind, kernel_shape=[2] * rank, strides=[2] * rank)
    elif kind == "ReduceMax":
        b.then(kind, np.arange(2, rank + 2), keepdims=0)
    else:
        b.then(kind)
    b.quant(scale=1 / 4, bits=4, signed=1)
    graph = prove(b)
    pools = WindowPool if kind == "overlapping" else Pool
    assert any(isinstance(node.op, pools) for node in graph.nodes)


@pytest.mark.parametrize("rank", SIZES)
def test_dense_behind_a_map_and_pixel_by_pixel(rank, build, prove):
    b = build((1, 3, *SIZES[rank]))
    b.quant(scale=1 / 256, signed=1)
    b.then("Transpose", perm=[0, *range(2, rank + 2), 1])
    b.node("MatMul", b.last, b.weights(codes(3, 5)))
    b.then("Transpose", perm=[0, rank + 1, *range(1, rank + 1)])
    b.quant(scale=1 / 16, bits=4)
    b.then("Flatten")
    b.node("MatMul", b.last, b.weights(codes(5 * int(np.prod(SIZES[rank])), 6)))
    graph = prove(b)
    assert graph.streams[graph.outputs[0]].shape == (*(1,) * rank, 6)


@pytest.mark.parametrize(
    ("shape", "kernel", "attributes", "message"),
    [
        ((3, 8), (3, 3), {}, r"Conv_2 .*for a map of 1 spatial axes; supported is a kernel with the same"),
        ((3, 8), (3,), {"strides": [1, 1]}, r"Conv_2 .*strides \(1, 1\); they must be 1 numbers"),
        ((3, 2, 2, 2, 2), (1,), {}, r"input x has shape \(N, 3, 2, 2, 2, 2\); supported are maps \(C, L\), "),
    ],
)
def test_other_ranks_are_refused(shape, kernel, attributes, message, build, tmp_path):
    b = build((1, *shape))
    b.quant()
    b.conv(codes(2, 3, *kernel), **attributes)
    path = tmp_path / "net.onnx"
    path.write_bytes(b.model().SerializeToString())
    with pytest.raises(MuxflowError, match=message):
        load(path)


# Networks of Brevitas.


def activation(bits=4):
    return qnn.QuantIdentity(act_quant=unsigned_activation(bits))


def signal():
    return qnn.QuantIdentity(act_quant=signed_quantizer(ActQuantSolver, 8, INPUT_SCALE, narrow=False))


def dense(inputs, outputs):
    return qnn.QuantLinear(inputs, outputs, bias=False, weight_quant=weight_quantizer(15))


def branch(channels, width, size):
    """A convolution over images, a pool, a dense layer: (N, channels, size, size) -> (N, width) codes."""
    convolution = qnn.QuantConv2d(channels, 6, 3, padding=1, bias=False, weight_quant=weight_quantizer(7))
    layers = [signal(), convolution, BatchNorm2d(6), activation(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Sequential(*layers, dense(6 * (size // 2) ** 2, width), BatchNorm1d(width), activation())


class Fusion(nn.Module):
    """Two branches, one joined code, a dense layer."""

    def __init__(self, join):
        super().__init__()
        self.join = join
        self.image, self.depth = branch(3, 10, 6), branch(1, 10, 4)
        self.head = dense(20 if join == "concat" else 10, 5)

    def forward(self, image, depth):
        a, b = self.image(image), self.depth(depth)
        return self.head(torch.cat([a, b], 1) if self.join == "concat" else a + b)


class Heads(nn.Module):
    """One body, two classifiers."""

    def __init__(self):
        super().__init__()
        self.body = branch(3, 12, 6)
        self.coarse, self.fine = dense(12, 3), dense(12, 7)

    def forward(self, x):
        y = self.body(x)
        return self.coarse(y), self.fine(y)


def settled(model, *shapes):
    """The network with statistics of random inputs."""
    generator = torch.Generator().manual_seed(0)
    model.train()
    with torch.no_grad():
        for _ in range(3):
            model(*(torch.randint(-128, 128, (16, *shape), generator=generator) * INPUT_SCALE for shape in shapes))
    return model.eval()


@pytest.fixture(autouse=True)
def seeded():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        yield


def proved(model, path, shapes):
    """The graph of a network's export, equal to QONNX and to torch on random codes."""
    graph = load(export(model, path, shapes))
    assert all(status.supported for status in check(path))
    batch = random_batch(graph, 6)
    agreed = compare(graph, [QonnxExecution(path, graph), TorchExecution(model, graph)], batch)
    assert all(outcome.images == 6 for outcome in agreed.outcomes)
    return graph, batch


def simulate(graph, batch, folder):
    """Take a graph to the C simulation, and through the driver to its emulation."""
    project = muxflow.write(muxflow.fit(graph, "zcu104"), folder)
    project.csim(batch, bounded=True)  # every stream is compared; raises at the first difference
    expected, logits = graph(batch), graph.read_out(graph(batch))
    with project.emulate(batch=4) as accelerator:
        met, values = accelerator.run(batch), accelerator.predict(batch)
    for found, wanted in zip((met, values), (expected, logits), strict=True):
        pairs = zip(found, wanted, strict=True) if isinstance(wanted, tuple) else [(found, wanted)]
        for one, other in pairs:
            np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("join", ["concat", "add"])
def test_two_inputs(join, tmp_path):
    shapes = (3, 6, 6), (1, 4, 4)
    model = settled(Fusion(join), *shapes)
    graph, batch = proved(model, tmp_path / "fusion.onnx", tuple((1, *shape) for shape in shapes))
    assert [graph.streams[name].shape for name in graph.inputs] == [(6, 6, 3), (4, 4, 1)]
    assert len(graph.outputs) == 1
    assert (join == "concat") == any(isinstance(node.op, Concat) for node in graph.nodes)
    assert len(np.unique(graph(batch))) > 5
    simulate(graph, batch, tmp_path / "project")


def test_two_outputs(tmp_path):
    model = settled(Heads(), (3, 6, 6))
    graph, batch = proved(model, tmp_path / "heads.onnx", (1, 3, 6, 6))
    coarse, fine = graph.read_out(graph(batch))
    assert coarse.shape == (6, 3)
    assert fine.shape == (6, 7)
    simulate(graph, batch, tmp_path / "project")


def test_vectors(tmp_path):
    model = settled(nn.Sequential(signal(), dense(9, 8), BatchNorm1d(8), activation(), dense(8, 3)), (9,))
    graph, _ = proved(model, tmp_path / "dense.onnx", (1, 9))
    assert graph.streams[graph.inputs[0]].shape == (1, 1, 9)


def test_an_input_that_no_output_needs_and_one_output_twice(build, tmp_path):
    from onnx import TensorProto, helper

    b = build((1, 3, 4, 4))
    b.quant(scale=1 / 256)
    b.conv(codes(2, 3, 1, 1))
    for change, message in (
        (lambda graph: graph.input.append(value("z")), r"does not depend on the input z; export the model without"),
        (lambda graph: graph.output.append(graph.output[0]), r"two of its outputs t2, t2 are one stream; keep one"),
    ):

        def value(name):
            return helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 2])

        model = b.model()
        change(model.graph)
        path = tmp_path / "net.onnx"
        path.write_bytes(model.SerializeToString())
        with pytest.raises(UnsupportedError, match=message):
            load(path)


# The radio network.


def test_a_small_radio_network(tmp_path):
    """As vgg10_radio, with fewer samples and channels."""
    config = zoo_radio.RadioConfig(samples=128, channels=16, dense=32)
    model = randomise(seeded_network(zoo_radio.RadioVgg, config, 0), 1)
    graph, batch = proved(model, tmp_path / "radio.onnx", (1, *config.input_shape))
    assert graph.streams[graph.inputs[0]].shape == (128, 2)
    assert len(np.unique(graph(batch))) > 10
    simulate(graph, batch, tmp_path / "project")


def test_the_radio_network_equals_qonnx(tmp_path):
    path = export_untrained("vgg10_radio", tmp_path / "vgg10_radio.onnx")
    graph = load(path)
    assert graph.streams[graph.inputs[0]].shape == (1024, 2)
    assert graph.streams[graph.outputs[0]].shape == (1, 24)
    compare(graph, [QonnxExecution(path, graph)], random_batch(graph, 2))


def test_bad_radio_options_are_named():
    with pytest.raises(MuxflowError, match="vgg10_radio"):
        zoo_radio.build("vgg11_radio")
    with pytest.raises(MuxflowError, match="samples = 0; use 1 to 65,536"):
        zoo_radio.RadioConfig(samples=0)
    with pytest.raises(MuxflowError, match="100 samples do not divide by two 7 times; use a multiple of 128"):
        zoo_radio.RadioConfig(samples=100)
