"""One accelerator for two tasks: classes and codes of an encoder, in every execution and by the driver."""

from __future__ import annotations

import numpy as np
import pytest

import muxflow
from muxflow.board.deploy import interface_entry
from muxflow.board.driver import AcceleratorError
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training.configuration import randomise, seeded
from muxflow.frontend.training.zoo_encoder import Encoder, EncoderConfig

CONFIG = EncoderConfig(widths=(4, 8, 8, 8), groups=2, levels=(5,), classes=3, code=16)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> muxflow.Project:
    folder = tmp_path_factory.mktemp("tasks")
    path = export(randomise(seeded(Encoder, CONFIG, 2)), folder / "encoder.onnx", (1, *CONFIG.input_shape))
    return muxflow.write(muxflow.fit(muxflow.load(path), "pynq-z2"), folder / "project")


def test_the_driver_classifies_and_encodes(project: muxflow.Project) -> None:
    graph = project.design.graph
    images = np.random.default_rng(0).integers(0, 256, (7, 32, 32, 1))
    logits, code = graph(images)
    simulated = project.csim(images).outputs
    assert isinstance(simulated, tuple)
    assert all(np.array_equal(met, wanted) for met, wanted in zip(simulated, (logits, code), strict=True))
    assert [one["answer"] for one in interface_entry(project.hls)["outputs"]] == ["logits", "values"]
    with project.emulate(batch=4) as accelerator:
        values = graph.read_out((logits, code))
        np.testing.assert_array_equal(accelerator.classify(images), values[0].argmax(axis=1))
        met = accelerator.encode(images)
        assert isinstance(met, np.ndarray) and met.shape == (7, 2, 2, 16)
        np.testing.assert_array_equal(met, code)
        names = [port.name for port in accelerator.interface.outputs]
        with pytest.raises(AcceleratorError, match="is values, not classes"):
            accelerator.classify(images, output=names[1])
        with pytest.raises(AcceleratorError, match="says the class, it is no code"):
            accelerator.encode(images, output=names[0])
