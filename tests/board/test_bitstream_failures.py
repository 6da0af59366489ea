"""What fails on the way to the bitstream: tools that are absent, fail, hang, leave something out; full disks; interruptions."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from standin_run import ALL, driver, names, run

from muxflow.board.bitstream import toolchain
from muxflow.board.bitstream.stages import make_bitstream
from muxflow.board.board import find_board
from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.locking import locked
from muxflow.hls.vitis.writing import write_project


def test_no_tool_at_all_leaves_every_script_ready(make_project, tmp_path, monkeypatch):
    monkeypatch.setattr(toolchain, "USUAL_FOLDERS", (tmp_path / "usual",))
    monkeypatch.setenv("PATH", "/usr/bin")
    project = make_project()
    with pytest.raises(
        ToolError, match=r"Vivado is not installed(?s:.*)Ready on disk: the HLS project .*dense"
    ) as error:
        make_bitstream(project, find_board("pynq-z2"), write_driver=driver)
    assert error.value.exit_code == 6
    assert {"csim.tcl", "csynth.tcl", "export.tcl", "hls_config.cfg", "check.tcl", "block_design.tcl"} <= set(
        names(project.path / "bitstream")
    )


def test_a_path_that_the_tools_split_is_refused_before_a_stage_runs(make_project, make_tools, tmp_path):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    spaced = replace(project, path=shutil.copytree(project.path, tmp_path / "my nets" / "dense"))
    with pytest.raises(MuxflowError, match=r"my nets/dense: a path with spaces, at which vitis_hls splits"):
        run(spaced, tools)
    assert not (spaced.path / "bitstream" / "csim.log").exists()


@pytest.mark.parametrize("name", ["zcu104", "arty-z7-20"])
def test_another_board_than_the_design_is_refused(make_project, name):
    """One of the same part too: its memory and its clocks are others, and all that is kept names the design's."""
    with pytest.raises(MuxflowError, match=rf"designed for pynq-z2 .*, not for {name} .*muxflow build MODEL --board"):
        make_bitstream(make_project(), find_board(name), write_driver=driver)


@pytest.mark.parametrize(
    ("command", "stage", "before"),
    [
        ("set_part", "check", ALL[:1]),
        ("csim_design", "csim", ALL[:3]),
        ("csynth_design", "csynth", ALL[:4]),
        ("cosim_design", "cosim", ALL[:5]),
        ("export_design", "export", ALL[:6]),
        ("validate_bd_design", "block_design", ALL[:7]),
        ("launch_runs", "implement", ALL),
    ],
)
def test_a_stage_that_fails_is_named_and_the_next_run_goes_on_there(make_project, make_tools, command, stage, before):
    tools = make_tools("vivado", "vitis_hls", commands={command: "[Tool 1-2] it does not work"})
    project = make_project()
    with pytest.raises(ToolError) as error:
        run(project, tools)
    log = project.path / "bitstream" / "logs" / f"{stage}.log"
    assert str(error.value).startswith(f"stage {stage}: ")
    assert "failed with exit code 1" in str(error.value)
    assert f"log: {log}\n  ERROR: [Tool 1-2] it does not work" in str(error.value)
    assert "it does not work" in log.read_text()
    assert not (project.path / "deploy").exists()
    assert tools.calls() == before
    tools.behave()
    run(project, tools)
    first = 0 if stage == "check" else before.index(before[-1])
    assert tools.calls() == ALL[first:]


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ({"commands": {"csim_design": "nothing"}}, r"stage csim: .* its log does not say"),
        ({"commands": {"csynth_design": "nothing"}}, r"stage csynth: .* did not make .*dense\.v"),
        ({"commands": {"export_design": "nothing"}}, r"stage export: .* did not make .*component\.xml"),
        ({"commands": {"report_timing_summary": "nothing"}}, r"stage implement: .* did not make .*timing_summary\.rpt"),
        ({"commands": {"write_hw_platform": "nothing"}}, r"stage implement: .* did not make .*system\.xsa"),
        ({"bitstream": False}, r"(?s)stage implement: .*there is no bitstream .*system_wrapper\.bit"),
        ({"implemented": False}, r"(?s)stage implement: .*requires more LUTs.*implementation: place_design ERROR"),
        (
            {"implemented": False, "version": "2021.1"},
            r"(?s)stage implement: .*requires more LUTs.*implementation: place_design ERROR",
        ),
        ({"parts": ["xc7z010clg400-1"]}, r"(?s)stage check: .*Part 'xc7z020clg400-1' is not installed"),
        ({"ips": []}, r"(?s)stage check: .*this Vivado has no IP named processing_system7"),
        (
            {"commands": {"export_design": "'2301010101' is an invalid argument. Please specify an integer value."}},
            r"(?s)stage export: .*hint: .*answer record 76960",
        ),
        ({"commands": {"launch_runs": "write failed: No space left on device"}}, r"(?s)hint: the disk is full"),
        ({"reports": {"utilization": "vivado_2022.2_timing_summary.rpt"}}, r"utilization\.rpt: the report lacks LUTs"),
        ({"reports": {"csynth.xml": "vitis_hls_2022.2_csynth.rpt"}}, r"csynth\.xml: not a whole XML report"),
    ],
)  # fmt: skip
def test_what_a_tool_leaves_out_is_named(make_project, make_tools, behaviour, message):
    project = make_project()
    with pytest.raises(ToolError, match=message):
        run(project, make_tools("vivado", "vitis_hls", **behaviour))
    assert not (project.path / "deploy").exists()


def test_a_cosimulation_that_fails_is_an_error(make_project, make_tools):
    tools = make_tools("vitis_hls", reports={"cosim.rpt": "vitis_hls_2022.2_cosim_failed.rpt"})
    for _ in range(2):
        with pytest.raises(ToolError, match=r"dense_cosim\.rpt: the co-simulation did not pass"):
            run(make_project(), tools, until="cosim")


def test_timing_that_is_not_met(make_project, make_tools):
    reports = {"timing_summary": "vivado_2022.2_timing_summary_not_met.rpt"}
    tools = make_tools("vivado", "vitis_hls", reports=reports)
    project = make_project()
    with pytest.raises(ToolError) as error:
        run(project, tools)
    for part in ("not met at 100 MHz", "worst slack -0.512 ns", "37 failing endpoints", "--clock 95", "--allow-timing"):
        assert part in str(error.value)
    assert not (project.path / "deploy").exists()
    tools.calls()
    made = run(project, tools, allow_timing_failure=True)
    # The hours of implementation are not spent again.
    assert tools.calls() == []
    assert (made.deploy / "accelerator.bit").exists()
    assert not made.figures.timing.met


def ended(number):
    """True once a process is gone (or only its exit code is left)."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize(("command", "stage"), [("csynth_design", "csynth"), ("launch_runs", "implement")])
def test_a_stage_that_takes_too_long_is_stopped_with_its_children(make_project, make_tools, command, stage):
    tools = make_tools("vivado", "vitis_hls", commands={command: "hang"})
    project = make_project()
    run(project, tools, until="csim")
    with pytest.raises(
        ToolError, match=rf"stage {stage}: stopped after 0\.05 minutes \(--timeout\); log: .*{stage}\.log"
    ):
        run(project, tools, timeout_minutes=0.05)
    assert all(ended(int(number)) for number in tools.pids.read_text().split())
    tools.behave()
    assert run(project, tools).deploy is not None


INTERRUPTED = [
    (command, signal.SIGINT)
    for command in ("set_part", "csim_design", "csynth_design", "export_design", "create_bd_design", "launch_runs")
]


@pytest.mark.parametrize(("command", "number"), [*INTERRUPTED, ("csynth_design", signal.SIGTERM)])
def test_an_interruption_ends_the_whole_process_group(make_project, make_tools, command, number):
    tools = make_tools("vivado", "vitis_hls", commands={command: "hang"})
    project = make_project()
    command_line = [sys.executable, "-c", "from muxflow.cli.main import main; main()"]
    process = subprocess.Popen(
        [*command_line, "bitstream", str(project.path), "--tools", str(tools.folder)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while not tools.pids.exists() or len(tools.pids.read_text().split()) < 2:
            assert process.poll() is None and time.monotonic() < until, process.communicate()
            time.sleep(0.05)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 128 + number
    assert "Traceback" not in said
    assert all(ended(int(pid)) for pid in tools.pids.read_text().split())
    assert not (project.path / "deploy").exists()
    assert not list(project.path.glob(".deploy*"))
    tools.behave()
    assert run(project, tools).deploy is not None


def test_a_full_disk_stops_the_tool_and_is_named(make_project, make_tools, monkeypatch):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    opened = Path.open

    def full(path, *arguments, **options):
        return opened(Path("/dev/full") if path.name == "csynth.log" else path, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", full)
        with pytest.raises(ToolError, match=r"stage csynth: stopped, .*csynth\.log: No space left on device"):
            run(project, tools)
    assert run(project, tools).deploy is not None


@pytest.mark.parametrize("place", ["driver", "copy", "rename"])
def test_a_disk_that_fills_leaves_the_former_deploy_folder_whole(make_project, make_tools, monkeypatch, place):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    made = run(project, tools)
    before = {name: (made.deploy / name).read_bytes() for name in names(made.deploy)}

    def full(*_args, **_options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if place == "copy":
        monkeypatch.setattr("muxflow.board.bitstream.stages.shutil.copyfile", full)
    if place == "rename":
        real, calls = Path.rename, []

        def second_fails(path, target):
            if path.name.startswith((".deploy", "deploy")):
                calls.append(path)
                if len(calls) == 2:
                    full()
            return real(path, target)

        monkeypatch.setattr(Path, "rename", second_fails)
    with pytest.raises(MuxflowError, match=r"deploy: cannot be written \(No space left on device\)"):
        run(project, tools, write_driver=full if place == "driver" else driver)
    monkeypatch.undo()
    assert {name: (made.deploy / name).read_bytes() for name in names(made.deploy)} == before
    assert not list(project.path.glob(".deploy*"))


def test_what_a_user_changed_in_the_deploy_folder_is_not_replaced(make_project, make_tools):
    """That is said before any stage, and where it is changed meanwhile at the end."""
    project, tools = make_project(), make_tools("vivado", "vitis_hls")
    mine = run(project, tools).deploy / "driver.py"
    (mine.parent / "notes").write_text("mine")
    tools.calls()
    refusal = r"deploy: driver\.py changed since Muxflow wrote it, and would be replaced; give it a name of your own"

    def edit(stage, _activity):
        if stage == "deploy":
            mine.write_text("# mine\n")

    with pytest.raises(MuxflowError, match=refusal):
        run(project, tools, edit)
    (project.path / "src" / "top.cpp").write_text("")
    with pytest.raises(MuxflowError, match=refusal):
        run(project, tools)
    mine.unlink()
    (mine / "mine").mkdir(parents=True)  # in its place
    with pytest.raises(MuxflowError, match=refusal):
        run(project, tools)
    shutil.rmtree(mine)
    mine.write_text("# mine\n")
    assert tools.calls() == []
    assert run(project, tools, until="check").deploy is None
    assert mine.read_text() == "# mine\n"
    mine.rename(mine.with_name("my_driver.py"))
    assert run(project, tools).deploy == mine.parent
    assert (mine.parent / "my_driver.py").read_text() == "# mine\n"
    assert (mine.parent / "notes").read_text() == "mine"
    assert mine.read_text() != "# mine\n"
    tools.calls()
    (mine.parent / ".muxflow.json").unlink()
    with pytest.raises(MuxflowError, match=r"deploy: \.muxflow\.json is missing or damaged, .*; move the folder away"):
        run(project, tools)
    assert tools.calls() == []


@pytest.mark.parametrize("name", ["bitstream", "deploy"])
def test_a_file_in_the_place_of_a_folder_is_refused_before_a_stage_runs(make_project, make_tools, name):
    project, tools = make_project(), make_tools("vivado", "vitis_hls")
    (project.path / name).write_text("in the way")
    with pytest.raises(MuxflowError, match=rf"{name} is no folder, .*; remove it, or move it away"):
        run(project, tools)
    assert tools.calls() == []
    assert (project.path / name).read_text() == "in the way"


@pytest.mark.parametrize("text", ['{"key": ', '{"key": KEY}', '{"key": KEY, "results": [[1, 2], ["a", 3]]}'])
def test_a_stamp_that_is_damaged_only_repeats_its_stage(make_project, make_tools, text):
    """So does one of an older version, which did not say what the stage left."""
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    run(project, tools, until="export")
    tools.calls()
    stamp = project.path / "bitstream" / "stamps" / "export.json"
    stamp.write_text(text.replace("KEY", json.dumps(json.loads(stamp.read_text())["key"])))
    run(project, tools, until="export")
    assert tools.calls() == [ALL[5]]


def test_writing_over_a_project_with_stages_that_is_interrupted(make_project, make_tools, monkeypatch):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    run(project, tools, until="csynth")

    def fails(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("muxflow.hls.vitis.writing.save_design", fails)
    with pytest.raises(MuxflowError, match="cannot be written"):
        write_project(project.design, project.path)
    monkeypatch.undo()
    tools.calls()
    assert all(outcome.kept for outcome in run(project, tools, until="csynth").outcomes)


def test_a_second_flow_in_the_same_folder_waits_outside(make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    run(project, tools, until="check")
    with locked(project.path / "bitstream"), pytest.raises(MuxflowError, match="another `muxflow bitstream` runs here"):
        run(project, tools)
    assert run(project, tools).deploy is not None


@pytest.mark.parametrize(
    "text", ["", "clock_hz unknown", "clock_hz inf", "clock_hz -1e8", "clock_hz 0", "clock_hz 1e300"]
)
def test_a_clock_that_is_no_number_is_named(make_project, make_tools, text):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()

    def damage(stage, _activity):
        if stage == "implement":
            (project.path / "bitstream" / "results" / "block_design.txt").write_text(text or " ")

    with pytest.raises(ToolError, match=r"block_design\.txt: clock_hz is"):
        run(project, tools, damage)
