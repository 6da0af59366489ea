"""End to end on the digits: trained network = QONNX = graph = C simulation, every image of the held-out split."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch

import muxflow
from muxflow.dataflow.errors import MuxflowError, UsageError
from muxflow.dataflow.manifest import MANIFEST
from muxflow.demo import run_demo
from muxflow.frontend.brevitas.execution import TorchExecution
from muxflow.frontend.floats import image_codes
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.training.datasets.digits import load_digits
from muxflow.frontend.training.result import PRETRAINED, shipped
from muxflow.frontend.training.trained import export_trained, load_trained
from muxflow.frontend.training.trainer import file_name
from muxflow.hls.vitis.project import MARKER
from muxflow.proof.compare import compare
from muxflow.proving import Begin
from muxflow.reports.terminal import PlainConsole


def silent(_title: str, _total: int):  # type: ignore[no-untyped-def]
    return lambda _done, _count: None


BEGIN: Begin = silent
DIGITS = {select: file_name("mognet_digits", select) for select in ("channel", "channel-mean", "element", "always")}


def test_the_demo_proves_the_whole_ladder(tmp_path: Path) -> None:
    result = run_demo(tmp_path, board="pynq-z2", select="channel", begin=BEGIN)
    report = result.report
    outcome = {rung.title: (rung.status, rung.images) for rung in report.ladder}
    assert outcome == {
        "trained network (Brevitas, torch)": ("equal", 450),
        "QONNX execution": ("equal", 450),
        "C simulation, native integers": ("equal", 450),
        "C simulation, ap_int types": ("equal", 450),
        "Vitis HLS co-simulation": ("not run", 0),
        "board": ("not run", 0),
    }
    assert report.accuracy is not None
    assert set(report.margins) == {"LUT", "FF", "BRAM18", "DSP"}  # single-stage pipelines may ask for as much
    assert report.accuracy.share >= 0.97
    assert report.near_ties == 0
    assert report.simulated
    assert report.interval <= 1.001 * report.slowest_cycles
    assert not [name for name, used in report.used.items() if used > report.budget[name]]
    assert report.memory_bits["frame"] > 0
    assert (result.project / "model.onnx").read_bytes() == (PRETRAINED / "mognet_digits.onnx").read_bytes()
    written = io.StringIO()
    result.show(PlainConsole(width=120, file=written))
    met = [line.rstrip() for line in written.getvalue().splitlines()]
    page = (Path(__file__).parents[2] / "docs" / "results" / "demo.md").read_text()
    told = page.partition("```\n")[2].partition("```")[0].splitlines()
    places = ("project:", "report:", "done in")
    assert [line for line in told if not line.startswith(places)] == [
        line for line in met if not line.startswith(places)
    ]


def test_a_network_that_is_not_shipped_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        UsageError, match=r"network .mognet_digits_or. does not ship; choose from .*mognet_digits_element"
    ):
        run_demo(tmp_path, board="pynq-z2", select="or", begin=BEGIN)


def test_what_is_in_the_way_is_said_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "mognet_digits").mkdir()
    (tmp_path / "mognet_digits" / "thesis.txt").write_text("mine")
    with pytest.raises(MuxflowError, match="mognet_digits exists and is not a Muxflow project"):
        run_demo(tmp_path, board="pynq-z2", begin=BEGIN)
    (tmp_path / "mognet_digits.onnx").mkdir()
    with pytest.raises(MuxflowError, match=r"mognet_digits\.onnx is a folder"):
        run_demo(tmp_path, board="pynq-z2", begin=BEGIN)
    assert len(list(tmp_path.rglob("*"))) == 3


def test_another_model_and_another_project_stay(tmp_path: Path) -> None:
    model, project = tmp_path / "mognet_digits.onnx", tmp_path / "mognet_digits"
    model.write_bytes(b"hours of training")
    with pytest.raises(
        MuxflowError, match=r"mognet_digits\.onnx is another model than the one that ships; choose another"
    ):
        run_demo(tmp_path, board="pynq-z2", begin=BEGIN)
    project.mkdir()
    (project / "model.onnx").write_bytes(model.read_bytes())  # a project was made of it
    (project / MARKER).write_text("{}")
    with pytest.raises(MuxflowError, match=r"mognet_digits\.onnx is another model than the one that ships"):
        run_demo(tmp_path, board="pynq-z2", begin=BEGIN)
    assert model.read_bytes() == b"hours of training"
    model.unlink()
    for name, text in ((MARKER, "{}"), (MANIFEST, '{"files": [], "network": "mine"}')):
        (project / name).write_text(text)
    for _ in range(2):  # the second time the demo's own model is there
        with pytest.raises(
            MuxflowError, match=r"holds the project of mine, and this is .*; choose another folder, or remove it"
        ):
            run_demo(tmp_path, board="pynq-z2", begin=BEGIN)
    assert (project / MARKER).read_text() == "{}"


@pytest.mark.parametrize("name", shipped())
def test_the_shipped_models_are_what_their_weights_export_to(tmp_path: Path, name: str) -> None:
    """The export is reproducible across machines (docs/design/reproducibility.md)."""
    exported = export_trained(PRETRAINED / name, tmp_path / "model.onnx")
    assert exported.read_bytes() == (PRETRAINED / f"{name}.onnx").read_bytes()


@pytest.mark.parametrize("select", ["channel-mean", "element", "always"])
def test_every_select_mode_agrees_and_reaches_its_accuracy(select: str) -> None:
    torch.set_num_threads(1)
    base = PRETRAINED / DIGITS[select]
    graph = muxflow.load(base.with_suffix(".onnx"))
    digits = load_digits("test")
    codes = image_codes(graph, digits.images)
    executions = [TorchExecution(load_trained(base), graph), QonnxExecution(base.with_suffix(".onnx"), graph)]
    torch_agreed, qonnx_agreed = compare(graph, executions, codes).outcomes
    assert (torch_agreed.images, len(torch_agreed.streams)) == (450, 26)
    assert qonnx_agreed.images == 450
    assert graph.readouts
    predicted = graph.read_out(graph(codes)).argmax(axis=1)
    assert np.mean(predicted == digits.labels) >= 0.97


@pytest.mark.parametrize(
    "select",
    [
        "element",
        pytest.param("channel-mean", marks=pytest.mark.exhaustive),
        pytest.param("always", marks=pytest.mark.exhaustive),
    ],
)
def test_every_select_mode_in_simulation(tmp_path: Path, select: str) -> None:
    """The ladders of the joins and selects climb every mode; here the whole networks."""
    graph = muxflow.load(PRETRAINED / f"{DIGITS[select]}.onnx")
    codes = image_codes(graph, load_digits("test").images)
    project = muxflow.write(muxflow.fit(graph, "pynq-z2"), tmp_path / "project")
    assert len(project.csim(codes, verify=True).outputs) == 450


def test_a_frame_holding_select_shows_its_memory_and_element_shows_what_it_saves() -> None:
    bits = {}
    for select, name in DIGITS.items():
        design = muxflow.fit(muxflow.load(PRETRAINED / f"{name}.onnx"), "pynq-z2")
        bits[select] = sum(row.get("frame", 0) for row in design.memory_bits().values())
    assert bits["channel"] > 0
    assert bits["channel-mean"] > 0
    assert bits["element"] == bits["always"] == 0
