"""The Python API."""

from pathlib import Path

import numpy as np
import pytest

import muxflow
from muxflow import api
from muxflow.dataflow.errors import MuxflowError, ToolError, UsageError
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.reports.gather.report import make_report
from muxflow.reports.render import to_text


@pytest.fixture
def model(tmp_path: Path, residual: Graph) -> Path:
    """A graph saved by Muxflow."""
    write_graph(residual, tmp_path / "small.npz")
    return tmp_path / "small.npz"


def test_the_api_has_the_shape_of_the_documentation(model: Path, tmp_path: Path) -> None:
    graph = muxflow.load(model)
    design = muxflow.fit(graph, board="pynq-z2")
    project = muxflow.write(design, tmp_path / "api")
    stream = graph.streams[graph.inputs[0]]
    images = np.random.default_rng(1).integers(stream.lo, stream.hi + 1, (2, *stream.shape))
    result = project.csim(images)
    assert np.array_equal(result.outputs, graph(images))
    with muxflow.Accelerator.emulate(project.path) as accelerator:
        assert np.array_equal(accelerator.run(images), graph(images))
    assert muxflow.open_project(tmp_path / "api").design.interval == design.interval


def test_a_saved_graph_is_loaded_again(residual: Graph, tmp_path: Path) -> None:
    muxflow.save(residual, tmp_path / "again.npz")
    assert muxflow.load(tmp_path / "again.npz") == residual
    with pytest.raises(MuxflowError, match=r"a graph is saved as \.npz"):
        muxflow.save(residual, tmp_path / "again.onnx")


def test_arguments_of_the_wrong_kind(residual: Graph, tmp_path: Path) -> None:
    with pytest.raises(MuxflowError, match=r"muxflow\.fit: a NoneType; expected a Graph \(muxflow\.load gives one\)"):
        muxflow.fit(None)  # type: ignore[arg-type]
    with pytest.raises(MuxflowError, match=r"muxflow\.write: a Graph; expected a Design \(muxflow\.fit gives one\)"):
        muxflow.write(residual, tmp_path / "p")  # type: ignore[arg-type]
    with pytest.raises(MuxflowError, match=r"muxflow\.save: a str; expected a Graph"):
        muxflow.save("model.onnx", tmp_path / "p.npz")  # type: ignore[arg-type]
    for clock in (0, -1, float("nan"), float("inf"), 1e12):
        with pytest.raises(MuxflowError, match=r"a clock of .* MHz; it must be positive, and at most 2000"):
            muxflow.fit(residual, clock_mhz=clock)
    empty = np.zeros((0, *residual.streams[residual.inputs[0]].shape), np.int64)
    with pytest.raises(MuxflowError, match="a batch of no images"):
        muxflow.write(muxflow.fit(residual), tmp_path / "p", vectors=empty)
    with pytest.raises(MuxflowError, match="a folder; expected a model file"):
        muxflow.load(tmp_path)


def test_without_a_compiler_the_fit_is_an_estimate_and_says_so(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "have_compiler", lambda: False)
    design = muxflow.fit(muxflow.load(model))
    assert design.timing is None
    assert "estimate, stalls on FIFOs not counted" in to_text(make_report(design))
    with pytest.raises(ToolError, match=r"no g\+\+ on PATH: what a slowdown saves is found by simulations"):
        muxflow.fit(muxflow.load(model), slowdown=5)


def test_one_name_of_loaded_weights_is_no_list(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="loaded='fc'; give a list of names"):
        muxflow.load(tmp_path / "a.npz", loaded="fc")
