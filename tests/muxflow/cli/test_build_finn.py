"""`muxflow build --target finn`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import muxflow
from muxflow.cli.app import app
from muxflow.dataflow import packages
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Op
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.scale import Scale
from muxflow.hls import finn

DIGITS = Path(muxflow.__file__).parent.parent / "frontend" / "training" / "pretrained" / "mognet_digits.onnx"


def test_writes_the_whole_project_and_says_what_finn_estimates(tmp_path: Path) -> None:
    target = tmp_path / "digits"
    arguments = ["build", str(DIGITS), "--target", "finn", "--fps", "2000", "-o", str(target), "--json"]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    entry = json.loads(done.output)
    assert entry["FINN_execution"] == "every tensor equals the integer graph on 4 random frames"
    assert "cycles (estimate)" in entry["FINN_slowest_node"] and "LUT" in entry["FINN_resources"]
    assert {file.name for file in target.iterdir()} >= {"model.onnx", "dataflow.onnx", "build.py", "code", "report"}
    slowest = max(row.finn_cycles for row in finn.estimates(target))
    assert slowest <= 100e6 / 2000
    with pytest.raises(MuxflowError, match=r"digits is a FINN project of Muxflow: `finn run build\.py` in it"):
        CliRunner().invoke(app, ["report", str(target)], catch_exceptions=False)
    done = CliRunner().invoke(app, ["csim", str(target), "--count", "2", "--json"], catch_exceptions=False)
    rung = json.loads(done.output)
    assert (rung["title"], rung["status"], rung["images"]) == ("FINN execution", "equal", 2)
    model = target / "model.onnx"
    for damaged, said in ((b"", "not a model that Muxflow wrote"), (b"\xff" * 99, "not a model of FINN")):
        model.write_bytes(damaged)
        with pytest.raises(MuxflowError, match=rf"model\.onnx: {said}.*build the project again"):
            CliRunner().invoke(app, ["csim", str(target), "--count", "2"], catch_exceptions=False)
    model.unlink()
    os.mkfifo(model)
    with pytest.raises(MuxflowError, match=r"model\.onnx is gone; build the project again"):
        CliRunner().invoke(app, ["csim", str(target), "--count", "2"], catch_exceptions=False)


@pytest.mark.parametrize(
    ("op", "stream", "message"),
    [
        (Pool((2,), "max"), Stream((4, 2), 0, 3), "a window of 1 axes; FINN's nodes take maps of height and width"),
        (Scale(np.array([1])), Stream((1, 1, 2), 0, 2**25), "float32 tensors are exact up to 16777216"),
    ],
)
def test_what_finn_cannot_carry_is_said_before_the_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, op: Op, stream: Stream, message: str
) -> None:
    write_graph(
        with_nodes(Graph("g", (), {"x": stream}, ("x",), ("y",)), [Node("n", op, ("x",), ("y",))]), tmp_path / "g.npz"
    )
    monkeypatch.setattr(muxflow, "fit", None)
    arguments = ["build", str(tmp_path / "g.npz"), "--target", "finn", "-o", str(tmp_path / "out")]
    with pytest.raises(MuxflowError, match=f"{message}.*use target vitis"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--seeds", "writable"], "--seeds writable is no option of --target finn"),
        (["--tool", "vivado_hls"], "--tool vivado_hls is no option of --target finn"),
        (["--backend", "Vitis"], "--backend Vitis is no option of --target finn"),
    ],
)
def test_options_of_other_targets_are_refused(options: list[str], message: str, tmp_path: Path) -> None:
    with pytest.raises(MuxflowError, match=message):
        CliRunner().invoke(
            app,
            ["build", str(DIGITS), "--target", "finn", "-o", str(tmp_path / "out"), *options],
            catch_exceptions=False,
        )
    assert list(tmp_path.iterdir()) == []


def test_finn_absent_is_said_before_any_work(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(packages, "version", lambda name: "1.3.0")
    with pytest.raises(
        MuxflowError, match=r"finn-plus 1\.3\.0 is installed; supported: 1\.6\.1: .* -m pip install --no-deps"
    ):
        CliRunner().invoke(
            app, ["build", str(DIGITS), "--target", "finn", "-o", str(tmp_path / "out")], catch_exceptions=False
        )
    assert list(tmp_path.iterdir()) == []
