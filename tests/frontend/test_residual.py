"""Gated residual networks: torch = QONNX = graph with every join, and what each join is in hardware."""

from dataclasses import replace

import numpy as np
import pytest

import muxflow
from muxflow.dataflow.errors import MuxflowError
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.training import zoo_residual
from muxflow.frontend.training.configuration import randomise, seeded
from muxflow.frontend.training.zoo_residual import GatedResNet, ResidualConfig
from muxflow.proof.compare import compare

SMALL = ResidualConfig(widths=(4, 6), blocks=2, classes=3, input_shape=(1, 8, 12))


@pytest.mark.parametrize(
    ("join", "kind"), [("or", "MuxJoin"), ("channel", "MuxJoin"), ("element", "MuxJoin"), ("add", "AddJoin")]
)
def test_torch_qonnx_and_graph_agree(tmp_path, join, kind):
    config = replace(SMALL, join=join)
    model = randomise(seeded(GatedResNet, config, 1))
    path = export(model, tmp_path / "net.onnx", (1, *config.input_shape))
    graph = muxflow.load(path)
    joins = [node.op.kind for node in graph.nodes if node.op.kind.endswith("Join")]
    assert joins == [kind] * 4
    codes = np.random.default_rng(0).integers(0, 256, (8, 8, 12, 1))
    comparison = compare(graph, [TorchExecution(model, graph), QonnxExecution(path, graph)], codes)
    assert all(len(one.streams) > 10 for one in comparison.outcomes)


def test_the_ready_made_ones_differ_in_their_join_only():
    configs = {replace(config, join="or") for config in zoo_residual.PRESETS.values()}
    assert len(configs) == 1 and len(zoo_residual.PRESETS) == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"join": "xor"}, "join 'xor'; supported: channel, .*, or, add"),
        ({"widths": ()}, "no width"),
        ({"blocks": 0}, "blocks = 0; use 1 to 65,536"),
        ({"input_shape": (1, 30, 28)}, "divisible by 4"),
    ],
)
def test_bad_choices_are_named(options, message):
    with pytest.raises(MuxflowError, match=message):
        replace(SMALL, **options)
