"""A package beside Muxflow adds an op, its kernel, a reader and a target: nothing of Muxflow changes for it.

The package stands in `tests/plugin` with the entry points of an installed one; a process that has the folder on its
path finds them.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent / "plugin"
MODEL = {"shape": [3, 4], "lo": -7, "hi": 6, "limits": [5, 3]}


def run(*arguments: str, folder: Path, plugin: Path | None = PLUGIN) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if plugin is not None:
        environment["PYTHONPATH"] = str(plugin)
    command = [sys.executable, "-m", "muxflow", *arguments]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    file = tmp_path / "model.toy"
    file.write_text(json.dumps(MODEL))
    return file


@pytest.mark.needs("hls4ml")
def test_the_way_from_a_model_to_its_proof(model: Path, tmp_path: Path) -> None:
    """The reader reads and executes, the op is fitted, its kernel is simulated with both kinds of integers."""
    checked = run("check", "model.toy", folder=tmp_path)
    assert checked.returncode == 0 and "2 of 2 nodes ok" in checked.stdout, checked.stderr
    built = run("build", "model.toy", "--output", "project", folder=tmp_path)
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "project" / "include" / "muxflow" / "magnitude.hpp").exists()
    proved = run("csim", "project", "--count", "32", "--json", folder=tmp_path)
    assert proved.returncode == 0, proved.stderr
    rungs = {rung["title"]: rung["status"] for rung in json.loads(proved.stdout)["ladder"]}
    executed = ("toy", "C simulation, native integers", "C simulation, ap_int types")
    assert {title: rungs.get(title) for title in executed} == dict.fromkeys(executed, "equal")


def test_the_target_with_its_options(model: Path, tmp_path: Path) -> None:
    shown = run("build", "--help", folder=tmp_path).stdout
    assert "Options of target toy" in shown and "Nodes a line." in shown
    built = run(
        "build", "model.toy", "--target", "toy", "--columns", "2", "--output", "listed", "--json", folder=tmp_path
    )
    assert built.returncode == 0, built.stderr
    assert (tmp_path / "listed" / "nodes.txt").read_text() == "Magnitude Magnitude\n"
    assert json.loads(built.stdout)["nodes"] == "2"


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--columns", "2"], 2, "--columns 2 is no option of --target vitis but of toy"),
        (["--target", "toy", "--seeds", "fixed"], 2, "--seeds fixed is no option of --target toy but of vitis"),
        (["--target", "toy", "--columns", "0"], 1, "columns 0; supported: at least 1"),
    ],
)
def test_options_that_do_not_fit(model: Path, tmp_path: Path, options: list[str], code: int, message: str) -> None:
    done = run("build", "model.toy", *options, folder=tmp_path)
    assert done.returncode == code
    assert message in " ".join(done.stderr.split()) and "Traceback" not in done.stderr
    assert [file.name for file in tmp_path.iterdir()] == ["model.toy"]


def test_without_the_package_nothing_of_it_is_known(model: Path, tmp_path: Path) -> None:
    assert "toy" not in run("build", "--help", folder=tmp_path, plugin=None).stdout
    done = run("check", "model.toy", folder=tmp_path, plugin=None)
    assert done.returncode == 1 and "a file of type '.toy'; supported are" in " ".join(done.stderr.split())


def installed(folder: Path, group: str, source: str) -> Path:
    """A package `broken` whose entry point `broken:PART` of a group is what `source` makes."""
    information = folder / "muxflow_broken-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: muxflow-broken\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[muxflow.{group}]\nbroken = broken:PART\n")
    (folder / "broken.py").write_text(source)
    return folder


TARGET = """
from dataclasses import dataclass
from muxflow.hls.vitis.target import VitisTarget

@dataclass(frozen=True)
class Options:
    {option}

class Other(VitisTarget):
    name = "{name}"
    options = Options

PART = Other()
"""


FRONTEND = """
from muxflow.frontend.graph_file.frontend import GraphFile

class Reader(GraphFile):
    suffixes = ("{suffix}",)

PART = Reader()
"""

OP = """
from muxflow.dataflow.op import Op

class Fork(Op):
    def access(self, ports, fold): ...
    def compute(self, *inputs): ...
    def infer(self, *inputs): ...

PART = Fork
"""


@pytest.mark.parametrize(
    ("group", "source", "message"),
    [
        (
            "ops",
            "raise RuntimeError('half an op')",
            "muxflow-broken: its entry point broken = broken:PART of muxflow.ops",
        ),
        (
            "kernels",
            "import absent_library",
            "cannot be loaded (ModuleNotFoundError: No module named 'absent_library')",
        ),
        ("targets", "", "cannot be loaded (AttributeError: module 'broken' has no attribute 'PART')"),
        ("frontends", "1 / 0", "of muxflow.frontends cannot be loaded (ZeroDivisionError"),
        ("targets", "PART = 7", "builtins.int is no target of Muxflow: it lacks name, title, options"),
        (
            "targets",
            TARGET.format(name="other", option="pass") + "PART.options = 3",
            "its options are 3; expected a frozen",
        ),
        (
            "frontends",
            FRONTEND.format(suffix="toy"),
            "broken.Reader is no frontend of Muxflow: suffix 'toy' does not begin",
        ),
        ("ops", OP, "op Fork: it is defined in broken and muxflow.dataflow.ops.fork"),
        ("targets", TARGET.format(name="vitis", option="pass"), "target 'vitis': 2 have this name (broken.Other"),
        ("targets", TARGET.format(name="other", option="board: str = 'x'"), "target other: --board is another option"),
        ("targets", TARGET.format(name="other", option="tool: int = 3"), "target other: --tool is another option"),
        ("targets", TARGET.format(name="other", option="json: bool = True"), "target other: --json is another option"),
    ],
)
def test_a_package_that_does_not_fit_is_named(tmp_path: Path, group: str, source: str, message: str) -> None:
    plugin = installed(tmp_path, group, source)
    done = run("build", "absent.npz", folder=tmp_path, plugin=plugin)
    assert done.returncode == 1
    assert message in " ".join(done.stderr.split()) and "Traceback" not in done.stderr
