"""What happens to a project, and in it, while the vendor's tools run."""

import os
import signal
import subprocess
import sys
import time

import pytest
from standin_run import ALL, run

import muxflow
from muxflow.board.bitstream.runner import Runner, Stage
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.locking import locked
from muxflow.hls.vitis.writing import write_project


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("csim", "src/top.cpp"),
        ("cosim", "tb/input.dat"),
        ("block_design", "src/top.cpp"),
        ("implement", "run_hls.tcl"),
        ("deploy", "design.json"),
    ],
)
def test_a_project_that_is_edited_amid_a_stage(make_project, make_tools, stage, name):
    """Nothing is deployed, no figure kept, and the stage does not count as done."""
    project, tools = make_project(), make_tools("vivado", "vitis_hls")
    whole, digest = (project.path / name).read_text(), project.digest

    def edit(begun, activity):
        if (begun, activity) == (stage, ""):
            (project.path / name).write_text(whole + "\n")

    with pytest.raises(
        MuxflowError, match=r"dense was changed while the tools ran, perhaps by a build; run this again"
    ):
        run(project, tools, edit)
    assert not (project.path / "deploy").exists()
    folder = project.path / "bitstream"
    assert not (folder / "stamps" / f"{stage}.json").exists()
    assert (folder / "reports.json").exists() == (stage == "deploy")
    tools.calls()
    (project.path / name).write_text(whole)
    run(project, tools)
    left = {"csim": 2, "cosim": 4, "block_design": 6, "implement": 7, "deploy": 8}[stage]
    assert tools.calls() == ALL[left:]
    # What is edited between two runs is another matter.
    (project.path / "src" / "top.cpp").write_text("")
    assert run(project, tools, until="check").project.digest != digest


def test_a_build_does_not_replace_a_project_that_tools_run_on(make_project, make_tools):
    project, tools = make_project(), make_tools("vivado", "vitis_hls")
    refused = []

    def build(begun, activity):
        if not activity:
            with pytest.raises(MuxflowError, match=r"dense/bitstream: another `muxflow bitstream` runs here") as error:
                write_project(project.design, project.path)
            refused.append(error)

    assert run(project, tools, build).deploy is not None
    assert len(refused) == 8
    write_project(project.design, project.path)


def test_a_model_is_neither_fitted_nor_built_where_tools_run(make_project, tmp_path, call_muxflow, monkeypatch):
    project, model = make_project(), tmp_path / "model.npz"
    write_graph(unfolded(project.design.graph), model)
    before = project.hash_of("src", "design.json")
    monkeypatch.setattr(muxflow, "fit", None)
    with locked(project.path / "bitstream"):
        for command in ("build", "bitstream"):
            code, _, err = call_muxflow(command, model, "--output", project.path)
            assert code == 1
            assert "another `muxflow bitstream` runs here" in " ".join(err.split())
    assert project.hash_of("src", "design.json") == before


def test_a_run_that_is_refused_writes_nothing(make_project, make_tools):
    """Not even the scripts, which the other run reads."""
    project, tools = make_project(), make_tools("vivado", "vitis_hls")
    folder = project.path / "bitstream"
    with locked(folder), pytest.raises(MuxflowError, match="another `muxflow bitstream` runs here"):
        run(project, tools)
    assert [one.name for one in folder.iterdir()] == [".lock"]
    assert tools.calls() == []


def test_a_tool_that_a_killed_run_left_holds_the_folder(make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls", commands={"csynth_design": "hang"})
    project = make_project()
    command = [sys.executable, "-c", "from muxflow.cli.main import main; main()", "bitstream", str(project.path)]
    with subprocess.Popen([*command, "--tools", str(tools.folder)], stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 60
        while not tools.pids.exists() or len(tools.pids.read_text().split()) < 2:
            assert process.poll() is None and time.monotonic() < until
            time.sleep(0.05)
        process.kill()
    left = sorted(int(pid) for pid in tools.pids.read_text().split())
    tools.behave()
    try:
        with pytest.raises(
            MuxflowError, match=rf"or a tool that a killed one left \(process {left[0]}\b.*; wait for it"
        ):
            run(project, tools)
    finally:
        os.killpg(os.getpgid(left[0]), signal.SIGKILL)
    until = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{pid}/fd/1") for pid in left):
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not run(project, tools, until="csynth").outcomes[-1].kept


def test_what_a_tool_leaves_in_the_background_does_not_hold_the_folder(tmp_path):
    """As a licence server in a session of its own."""
    server = "setsid sh -c 'echo $$ > server; exec sleep 300' >/dev/null 2>&1 &"
    stage = Stage("stage", (("/bin/sh", "-c", f"{server} until [ -s server ]; do sleep 0.05; done"),))
    with locked(tmp_path) as lock:
        Runner(tmp_path, dict(os.environ), 60, (lock,)).run([stage], lambda *_: None)
    left = int((tmp_path / "server").read_text())
    try:
        with locked(tmp_path):
            os.kill(left, 0)
    finally:
        os.kill(left, signal.SIGKILL)
