"""`muxflow build --target finn`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import muxflow
from muxflow.cli.app import app
from muxflow.dataflow.errors import MuxflowError
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
    monkeypatch.setattr(finn, "package_version", lambda name: "1.3.0")
    with pytest.raises(
        MuxflowError, match=r"finn-plus 1\.3\.0 is installed; supported: 1\.6\.1: pip install --no-deps"
    ):
        CliRunner().invoke(
            app, ["build", str(DIGITS), "--target", "finn", "-o", str(tmp_path / "out")], catch_exceptions=False
        )
    assert list(tmp_path.iterdir()) == []
