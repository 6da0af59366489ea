"""The binary-network classics: export, import and agreement with QONNX; shapes; bad options."""

import numpy as np
import pytest
import torch
from brevitas.nn import QuantConv2d, QuantIdentity, QuantLinear

from muxflow import load
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.floats import float_inputs
from muxflow.frontend.qonnx.execution import QonnxExecution, QonnxModel
from muxflow.frontend.training.zoo_bnn import INPUT_SCALE, PRESETS, Bnn, BnnConfig, build, randomise
from muxflow.proof.compare import compare

pytestmark = pytest.mark.filterwarnings("ignore")

NODES = {"cnv": {SlidingWindow: 6, MatrixVector: 9, Threshold: 8, Pool: 2}, "tfc": {MatrixVector: 4, Threshold: 3}}


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_the_graph_of_the_exported_network_equals_qonnx(tmp_path, name):
    config = PRESETS[name]
    path = export(randomise(build(name), seed=1), tmp_path / "net.onnx", (1, *config.input_shape))
    graph = load(path)
    stream = graph.streams[graph.inputs[0]]
    assert (stream.lo, stream.hi, stream.scale[0]) == (-128, 127, INPUT_SCALE)
    codes = np.random.default_rng(0).integers(-128, 128, (2, *stream.shape))
    compare(graph, [QonnxExecution(path, graph)], codes)
    model = QonnxModel(path)
    logits = model.run(*float_inputs(graph, codes))[model.outputs[0]]
    outputs = graph(codes).reshape(2, -1) * graph.readouts[graph.outputs[0]].scale
    np.testing.assert_array_equal(outputs[:, np.argsort(graph.readouts[graph.outputs[0]].order)], logits)
    counts = {kind: sum(isinstance(node.op, kind) for node in graph.nodes) for kind in NODES[config.topology]}
    assert counts == NODES[config.topology]


@pytest.mark.parametrize("name", ["cnv_w1a1", "tfc_w2a2"])
def test_weights_and_activations_have_their_levels_and_every_layer_is_alive(name):
    model = randomise(build(name), seed=3)
    shares = []
    for layer in model.layers[1:]:
        if isinstance(layer, QuantIdentity):
            layer.register_forward_hook(lambda _m, _i, y: shares.append((y > 0).float().mean().item()))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        logits = model(torch.randint(-128, 128, (4, *model.config.input_shape), generator=generator) * INPUT_SCALE)
        levels = [
            set((layer.quant_weight().value / layer.quant_weight().scale).unique().tolist())
            for layer in model.modules()
            if isinstance(layer, QuantConv2d | QuantLinear)
        ]
    wanted = {-1.0, 1.0} if model.config.weight_bits == 1 else {-1.0, 0.0, 1.0}
    assert all(found == wanted for found in levels)
    assert all(0.1 < share < 0.9 for share in shares)
    assert (logits.std(0) > 0).all()


def test_same_seed_same_network_and_the_global_generator_stays():
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second, other = (randomise(build("tfc_w1a1", s), s).state_dict() for s in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(v, second[k]) for k, v in first.items())
    assert any(not torch.equal(v, other[k]) for k, v in first.items())


def test_the_published_sizes():
    def weights(model):
        return sum(m.weight.numel() for m in model.modules() if isinstance(m, QuantConv2d | QuantLinear))

    assert weights(build("cnv_w1a1")) == 1_542_848
    assert weights(build("tfc_w1a1")) == 59_008
    assert Bnn(BnnConfig("tfc", classes=4)).layers[-1].out_features == 4


def test_bad_options_are_named():
    with pytest.raises(MuxflowError, match="cnv_w1a1, cnv_w1a2"):
        build("cnv_w3a3")
    for fields, message in [
        ({"topology": "lfc"}, "choose cnv or tfc"),
        ({"topology": "tfc", "weight_bits": 3}, "weight_bits = 3"),
        ({"topology": "cnv", "activation_bits": 0}, "activation_bits = 0"),
        ({"topology": "cnv", "classes": 1}, "classes = 1"),
    ]:
        with pytest.raises(MuxflowError, match=message):
            BnnConfig(**fields)
