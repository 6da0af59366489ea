"""The parts of a run that need no tool: what a tool's output says."""

import errno
import os
import sys
import time
from dataclasses import replace

import pytest

from muxflow.board.bitstream import output, runner
from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.locking import check_unlocked, locked


@pytest.mark.parametrize(
    ("line", "activity"),
    [
        ("INFO: [HLS 200-42] -- Implementing module 'fc'", "Implementing module 'fc'"),
        ("INFO: [HLS 200-10] Analyzing design file 'src/top.cpp' ...", "Analyzing design file 'src/top.cpp'"),
        ("INFO: [COSIM 212-302] *************** C TB simulation ***************", "C TB simulation"),
        ("Starting Placer Task", "Starting Placer Task"),
        ("Phase 1.2 IO Placement/ Clock Placement | Checksum: 1a2b", "1.2 IO Placement/ Clock Placement"),
        ("Start Technology Mapping", "Start Technology Mapping"),
        ("Command: route_design", "route_design"),
        ("[Tue Mar  7 11:00:00 2023] Launched synth_1...", "Launched synth_1"),
        ("[Tue Mar  7 11:00:00 2023] Waiting for impl_1 to finish (timeout: ...)...", "Waiting for impl_1"),
        ("INFO: [HLS 200-111] Finished Checking Pragmas: CPU user time: 0 seconds.", None),
        ("WARNING: [Place 30-568] A LUT drives a clock", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_activity_that_a_line_announces(line, activity):
    assert output.activity_of(line + "\r\n") == activity


def test_error_lines():
    text = "INFO: a\nERROR: [X 1-1] one\nWARNING: b\n  ERROR: two\n" + "INFO: end\n" * 30
    assert output.error_lines(text) == ["ERROR: [X 1-1] one", "  ERROR: two"]
    assert output.error_lines("a\n\nb\n") == ["a", "b"]
    assert len(output.error_lines("ERROR: x\n" * 9)) == 5


def test_a_child_that_holds_the_output_does_not_hold_the_flow(tmp_path):
    log = tmp_path / "logs" / "stage.log"
    stage = runner.Stage("stage", (("/bin/sh", "-c", "echo started; sleep 300 & exit 0"),))
    started = time.monotonic()
    outcome = runner.Runner(tmp_path, dict(os.environ), 60).run([stage], lambda _stage, _activity: None)[0]
    assert time.monotonic() - started < 20
    assert outcome.log == log
    assert "started" in log.read_text()


def test_a_child_that_goes_on_writing_does_not_hold_the_flow(tmp_path):
    """The tool's own output is whole; before the time is over the child has ended."""
    tool = "import time; print('#' * 300_000, flush=True)"
    child = "import time\nwhile True: print('Starting spam Task', flush=True); time.sleep(0.02)"
    script = f'{sys.executable} -c "$1" & {sys.executable} -c "$2"; echo all is done; exit 0'
    stage = runner.Stage("stage", (("/bin/sh", "-c", script, "sh", child, tool),), expects="all is done")
    assert not runner.Runner(tmp_path, dict(os.environ), 10).run([stage], lambda _stage, _activity: None)[0].kept
    log = (tmp_path / "logs" / "stage.log").read_text()
    assert log.count("#") == 1 + 300_000  # in the command, and in pieces: both write into one pipe


def told_of(folder, said):
    """What is told of the activities of a tool that says so, its pieces as they come."""
    told = []
    code = "import sys; [(sys.stdout.write(eval(piece)), sys.stdout.flush()) for piece in sys.argv[1:]]"
    stage = runner.Stage("stage", ((sys.executable, "-c", code, *said),))
    runner.Runner(folder, dict(os.environ), 60).run([stage], lambda _stage, activity: told.append(activity))
    return told[1:]


def test_of_a_line_without_end_no_more_than_its_beginning_is_looked_at(tmp_path):
    (long,) = told_of(tmp_path, ["'Start '", "'a' * 200_000", "'b' * 200_000 + '\\n'"])
    assert long == "Start " + "a" * (output.LONGEST_LINE - 6)
    assert (tmp_path / "logs" / "stage.log").stat().st_size > 400_000


def test_a_bar_that_is_drawn_anew_in_its_place_is_followed(tmp_path):
    assert told_of(tmp_path, ["'Phase 1 Placer | 10 %\\r'", "'Phase 2 Router'", "' | 20 %\\r\\n'"]) == [
        "1 Placer", "2 Router",
    ]  # fmt: skip


SAYS_DONE = runner.Stage("stage", (("/bin/sh", "-c", "echo first; echo all is done"),), expects=r"all .* done$")


def run_one(folder, stage):
    return runner.Runner(folder, dict(os.environ), 60).run([stage], lambda _stage, _activity: None)[0]


def test_what_stands_in_the_place_of_a_log_is_neither_waited_for_nor_written_through(tmp_path):
    log, mine = tmp_path / "logs" / "stage.log", tmp_path / "mine"
    log.parent.mkdir()
    mine.write_text("mine")
    for put in (os.mkfifo, lambda path: path.symlink_to(mine), lambda path: path.symlink_to("/dev/full")):
        put(log)
        runner.Runner(tmp_path, {}, 60).forget("stage")
        run_one(tmp_path, SAYS_DONE)
        assert log.is_file() and not log.is_symlink() and "all is done" in log.read_text()
        log.unlink()
    assert mine.read_text() == "mine"
    (log / "mine").mkdir(parents=True)
    runner.Runner(tmp_path, {}, 60).forget("stage")
    with pytest.raises(MuxflowError, match=r"stage\.log: stage stage cannot begin \(Is a directory\); remove it"):
        run_one(tmp_path, SAYS_DONE)
    assert (log / "mine").is_dir()


def test_what_a_log_must_hold_is_a_line_of_it(tmp_path):
    stage = runner.Stage("stage", (("/bin/sh", "-c", "echo one; echo two"),), expects="one\ntwo")
    with pytest.raises(ToolError, match="its log does not say"):
        run_one(tmp_path, stage)


def test_a_pipe_in_the_place_of_the_lock_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / ".lock")
    with (
        locked(tmp_path),
        pytest.raises(MuxflowError, match="another `muxflow bitstream`"),
        locked(tmp_path),
    ):
        pass
    (tmp_path / ".lock").unlink()
    (tmp_path / ".lock").mkdir()
    refusal = r"\.lock: cannot be opened \(Is a directory\); remove it"
    with pytest.raises(MuxflowError, match=refusal), locked(tmp_path):
        pass


def test_a_file_system_without_locks_holds_nobody_up(tmp_path, monkeypatch):
    def none(*_arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", none)
    with locked(tmp_path), locked(tmp_path):
        check_unlocked(tmp_path)


@pytest.mark.parametrize("name", ["logs", "stamps", "results"])
def test_a_folder_of_a_run_that_is_a_link_is_refused(tmp_path, name):
    """What is removed before a stage, and what is written after it, would be elsewhere."""
    folder, mine = tmp_path / "bitstream", tmp_path / "mine"
    for one in (folder, mine):
        one.mkdir()
    for file in ("stage.log", "stage.json", "old"):
        (mine / file).write_text("mine")
    (folder / name).symlink_to(mine)
    with pytest.raises(MuxflowError, match=rf"{name} is a link to .*mine, and links .* not followed"):
        run_one(folder, replace(SAYS_DONE, clean=(folder / "results" / "old",)))
    assert {path.read_text() for path in mine.iterdir()} == {"mine"}
