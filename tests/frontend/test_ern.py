"""ERN: thermometer layer, half-wave activation, published weight counts, and a network from torch to the graph."""

import numpy as np
import pytest
import torch

import muxflow
from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.thermometer_encode import ThermometerEncode
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.training import zoo_ern
from muxflow.frontend.training.configuration import randomise, seeded
from muxflow.frontend.training.quantizers import UnsignedTensorQuant
from muxflow.frontend.training.scales import half_wave_step
from muxflow.frontend.training.thermometer import ThermometerEncoder
from muxflow.frontend.training.zoo_ern import Ern, ErnConfig
from muxflow.proof.compare import compare

SMALL = ErnConfig(widths=(4, 6), blocks=(1, 2), stem=(2, 1), stem_width=4, classes=3, input_shape=(2, 8, 8))


@pytest.mark.parametrize(
    ("name", "bits"),
    [
        ("ern18_075", 8_216_448),
        ("ern18", 11_768_704),
        ("ern34", 21_869_440),
        ("ern50", 25_588_608),
        ("ern101", 44_528_512),
    ],
)
def test_weight_counts_are_the_published_ones(name, bits):
    assert zoo_ern.weight_bits(zoo_ern.PRESETS[name]) == bits


def test_the_layer_encodes_as_the_op():
    pixels = np.arange(256)
    for codes, bits in [(10, 2), (7, 1), (3, 4), (255, 1)]:
        layer = ThermometerEncoder(codes, bits, scale=0.25)
        x = torch.arange(256).view(64, 1, 2, 2) / 256
        y = (layer(x) / 0.25).numpy()
        expected = ThermometerEncode(codes, bits).encoded(pixels).reshape(64, 2, 2, codes)
        assert np.array_equal(y.transpose(0, 2, 3, 1), expected)


def test_half_wave_rounds_half_up_at_the_published_thresholds():
    step = half_wave_step(2, "unit")
    assert step == pytest.approx(2 / 3)
    quantizer = UnsignedTensorQuant(2, 0.5, "HALF_UP")
    x = torch.tensor([-1.0, 0.2, 0.25, 0.5, 0.7, 0.75, 1.2, 1.25, 9.0])
    assert (quantizer(x)[0] / 0.5).tolist() == [0, 0, 1, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("config", [SMALL, ErnConfig((2, 3), (2, 1), True, (1,), 3, 4, 1, 1, 4, (1, 4, 6))])
def test_torch_qonnx_and_graph_agree(tmp_path, config):
    model = randomise(seeded(Ern, config, 1))
    path = export(model, tmp_path / "ern.onnx", (1, *config.input_shape))
    graph = muxflow.load(path)
    kinds = [node.op.kind for node in graph.nodes]
    assert kinds.count("ThermometerEncode") == 1
    assert sum(isinstance(node.op, AddJoin) for node in graph.nodes) == sum(config.blocks)
    channels, height, width = config.input_shape
    codes = np.random.default_rng(0).integers(0, 256, (12, height, width, channels))
    comparison = compare(graph, [TorchExecution(model, graph), QonnxExecution(path, graph)], codes)
    torch_rung, qonnx_rung = comparison.outcomes  # every quantizer, the encoder and the logits, bit for bit
    assert min(len(torch_rung.streams), len(qonnx_rung.streams)) > kinds.count("Threshold") > 3


def test_bad_choices_are_named():
    with pytest.raises(MuxflowError, match="divisible by 32"):
        ErnConfig(input_shape=(3, 224 + 16, 256))
    with pytest.raises(MuxflowError, match="2 widths, 1 number of blocks"):
        ErnConfig(widths=(4, 8), blocks=(1,))
    with pytest.raises(MuxflowError, match="ern: classes = 0; use 1 to 65,536"):
        ErnConfig(classes=0)
    with pytest.raises(UsageError, match="ern18_075"):
        zoo_ern.build("ern17")
    with pytest.raises(MuxflowError, match="0 codes of 2 bits"):
        ThermometerEncoder(codes=0)
