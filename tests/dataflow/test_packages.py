"""Packages that a part of Muxflow needs: whether they are there, and whether they are of a supported release."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy
import pytest

from muxflow.dataflow import packages
from muxflow.dataflow.errors import ToolError


def test_a_package_says_its_version_or_that_it_is_absent() -> None:
    assert packages.package("numpy", "arrays", "pip install numpy").find() == numpy.__version__
    assert packages.package("numpy", "arrays", "pip install numpy", "no-such-distribution").find() == ""
    assert packages.package("no_such_package", "nothing", "pip install nothing").find() is None


@pytest.mark.parametrize(
    ("found", "supported", "fits"),
    [
        ("1.6.1", "1.6.1", True),
        ("1.6.10", "1.6.1", False),
        ("1.6.1.post1", "1.6.1", False),
        ("1.3.0", "1.3.*", True),
        ("1.3.0rc1", "1.3.*", True),
        ("1.30.0", "1.3.*", False),
        ("1.2.9", "1.3.*", False),
    ],
)
def test_a_release_is_supported_or_named(
    monkeypatch: pytest.MonkeyPatch, found: str, supported: str, fits: bool
) -> None:
    monkeypatch.setattr(packages, "version", lambda name: found)
    if fits:
        packages.require("tool", supported, "pip install tool")
        return
    with pytest.raises(ToolError) as refused:
        packages.require("tool", supported, "pip install tool")
    assert str(refused.value) == f"tool {found} is installed; supported: {supported}: pip install tool"


def test_an_absent_package_is_named() -> None:
    with pytest.raises(ToolError, match=r"^no-such-tool is not installed: pip install no-such-tool$"):
        packages.require("no-such-tool", "1.0", "pip install no-such-tool")


def test_an_extra_is_installed_from_the_checkout_or_the_wheel_or_by_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A checkout brings its pins; the command is for this environment, and for any folder."""
    here = Path(__file__).parents[2]
    monkeypatch.setattr(packages, "CHECKOUT", here)
    pip = [sys.executable, "-m", "pip", "install"]
    assert shlex.split(packages.install_extra("hgq")) == [*pip, "-c", f"{here}/constraints.txt", "-e", f"{here}[hgq]"]
    monkeypatch.setattr(packages, "CHECKOUT", tmp_path)
    record = {"url": ""}
    requires = ["numpy>=2", 'onnx ; extra == "onnx"', 'torch; extra == "train"', 'muxflow[onnx] ; extra == "train"']
    installed = SimpleNamespace(read_text=lambda name: json.dumps(record), requires=requires)
    monkeypatch.setattr(packages, "distribution", lambda name: installed)
    assert shlex.split(packages.install_extra("train")) == [*pip, "torch", "onnx"]
    wheel = tmp_path / "my wheels" / "muxflow-1.0-py3-none-any.whl"
    record["url"] = wheel.as_uri()
    assert shlex.split(packages.install_extra("train")) == [*pip, "torch", "onnx"]
    wheel.parent.mkdir()
    wheel.touch()
    assert shlex.split(packages.install_extra("train")) == [*pip, f"{wheel}[train]"]
