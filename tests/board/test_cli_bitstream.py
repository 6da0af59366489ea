"""`muxflow bitstream` as a user runs it, with stand-ins of the vendor's programs."""

import io
import json
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from muxflow.board.bitstream import toolchain
from muxflow.cli import bitstream as cli_bitstream
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.graph.file import write_graph


@pytest.fixture
def muxflow(monkeypatch, call_muxflow, tmp_path):
    """`muxflow(*arguments)`: exit code, standard output, standard error of `muxflow bitstream`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(toolchain, "USUAL_FOLDERS", (tmp_path / "usual",))
    return partial(call_muxflow, "bitstream")


def test_a_project(muxflow, make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    code, out, err = muxflow(project.path, "--tools", tools.folder)
    assert code == 0, err
    for text in (
        "synthesised with",
        "Vitis HLS 2022.2",
        "implemented with",
        "Vivado 2022.2",
        "build/dense/deploy",
        "estimate",
    ):
        assert text in out
    assert "loop fc/VITIS_LOOP_41_1: initiation interval 2, 1 was expected" in out
    assert [line for line in err.splitlines() if line.endswith("...")] == [
        f"{stage} ..."
        for stage in ("check", "csim", "csynth", "cosim", "export", "block_design", "implement", "deploy")
    ]
    code, out, err = muxflow(project.path, "--tools", tools.folder, "--json")
    assert (code, err) == (0, "")
    entry = json.loads(out)
    assert all(stage["kept"] for stage in entry["stages"])
    assert entry["figures"]["timing"]["setup_slack"] == 1.284
    deploy = Path(entry["deploy"])
    assert deploy == project.path / "deploy"
    # The driver loads the file that is there.
    assert (deploy / json.loads((deploy / "interface.json").read_text())["bitstream"]).stat().st_size
    assert {"accelerator.hwh", "accelerator.xsa", "muxflow_driver", "reports.json"} <= {
        one.name for one in deploy.iterdir()
    }


def test_a_model_is_built_first(muxflow, make_project, make_tools, tmp_path):
    tools = make_tools("vitis_hls")
    model = tmp_path / "model.npz"
    write_graph(unfolded(make_project().design.graph), model)
    code, _, err = muxflow(model, "--board", "zedboard", "--tools", tools.folder, "--until", "csynth")
    assert code == 0, err
    assert json.loads((tmp_path / "build" / "model" / "design.json").read_text())["board"] == "zedboard"
    assert (tmp_path / "build" / "model" / "bitstream" / "logs" / "csynth.log").exists()


def test_a_board_of_ones_own(muxflow, make_project, make_tools, tmp_path):
    project = make_project()
    file = tmp_path / "mine.py"
    file.write_text(
        "from muxflow.board.board import Board\nfrom muxflow.dataflow.fit.device import Device\n\n\n"
        "class Mine(Board):\n    name = 'mine'\n    title = 'Mine'\n"
        "    device = Device('xc7z020clg400-1', lut=53200, ff=106400, bram18=280, dsp=220)\n"
        "    clock_mhz = 50.0\n    tools = 'any'\n    products = 'bit'\n    ps_clock_mhz = 50.0\n"
    )
    tools = make_tools("vivado", "vitis_hls")
    model = tmp_path / "model.npz"
    write_graph(unfolded(project.design.graph), model)
    code, out, err = muxflow(model, "--board", file, "--tools", tools.folder)
    assert code == 0, err
    assert "notice" not in out
    # The project knows the board by its name only.
    code, _, err = muxflow(tmp_path / "build" / "model", "--tools", tools.folder)
    assert code == 1
    assert "is for a board of your own: give its file, --board path/to/board.py" in err
    assert muxflow(tmp_path / "build" / "model", "--board", file, "--tools", tools.folder)[0] == 0


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--board", "pynq-z9"), 2, "board 'pynq-z9' is not known"),
        (("--board", "zcu104"), 1, "designed for pynq-z2"),
        (("--until", "synthesis"), 2, "stage 'synthesis'; supported are check, csim"),
        (("--tools", "/nowhere"), 6, "Vivado is not installed"),
        (("--timeout", "-1"), 2, "must be positive"),
    ],
)
def test_bad_input(muxflow, make_project, arguments, code, message):
    met, out, err = muxflow(make_project().path, *arguments)
    assert (met, out) == (code, "")
    assert message in err.replace("\n", " ")
    assert "Traceback" not in err


def test_a_folder_without_a_project(muxflow, tmp_path):
    code, _, err = muxflow(tmp_path)
    assert code == 1
    assert "muxflow build MODEL" in err


def test_timing_that_is_not_met(muxflow, make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls", reports={"timing_summary": "vivado_2022.2_timing_summary_not_met.rpt"})
    project = make_project()
    code, _, err = muxflow(project.path, "--tools", tools.folder)
    assert code == 6
    assert "timing is not met" in err
    assert muxflow(project.path, "--tools", tools.folder, "--allow-timing-failure")[0] == 0


def test_a_step_of_a_tool_is_shown_as_it_is(muxflow, make_project, make_tools):
    """Square brackets in a tool's output are no markup."""
    tools = make_tools("vivado", "vitis_hls", commands={"csynth_design": "[HLS 200-70] [/bold] unsupported"})
    code, _, err = muxflow(make_project().path, "--tools", tools.folder)
    assert code == 6
    assert "[HLS 200-70] [/bold] unsupported" in err


def test_help():
    done = subprocess.run(
        [sys.executable, "-c", "from muxflow.cli.main import main; main()", "bitstream", "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--allow-timing-failure" in done.stdout


def test_the_stage_its_step_and_its_time_are_shown(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(cli_bitstream, "err", Console(file=shown, force_terminal=True, width=100))
    monkeypatch.setattr(cli_bitstream, "LIVE", True)  # as on a terminal
    with cli_bitstream._progress(False) as tell:
        tell("csynth", "")
        tell("csynth", "Implementing module 'fc[0]'")
        tell("implement", "Starting Placer Task")
        tell("implement", "route_design [1/2]")
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", shown.getvalue())
    assert re.search(r"implement: route_design \[1/2\] +0:00:00", text), text
