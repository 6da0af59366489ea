"""Commands that are interrupted, or whose tools hang: one message, no process and no folder left."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest
from command_line import MAIN, USUAL_SIGNALS, said_once, spoiled

SLOW_COMPILER = "#!/bin/sh\nsleep 300 &\necho $! >> $PIDS\necho $$ >> $PIDS\nwait\n"


def begun(arguments: Sequence[str], folder: Path, program: str = MAIN, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"{USUAL_SIGNALS}{program}", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=folder, text=True, env=os.environ | environment, **pipes)  # type: ignore[call-overload, no-any-return]


def wait_for(met: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    def is_met() -> bool:
        with suppress(FileNotFoundError):  # a folder may go while its files are looked for
            return met()
        return False

    until = time.monotonic() + 60
    while not is_met():
        assert process.poll() is None and time.monotonic() < until, process.communicate()
        time.sleep(0.02)


def gone(number: int) -> bool:
    """True once a process has ended, or only its exit code is left."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_ctrl_c_in_the_first_second(tmp_path: Path) -> None:
    """Nothing heavy is loaded outside of what handles it: the first import of a package is interrupted."""
    hook = (
        "import os, signal, sys\n"
        "class Hook:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == '{package}': os.kill(os.getpid(), signal.{number})\n"
        "from muxflow.cli.main import main\n"
        "heavy = {{'typer', 'rich', 'numpy', 'networkx', 'importlib.metadata'}} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "sys.meta_path.insert(0, Hook())\n"
        "main()\n"
    )
    for package in ("typer", "numpy", "networkx"):
        for number, code, word in (("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "ended by the signal 15")):
            process = begun(["boards", "--json"], tmp_path, hook.format(package=package, number=number))
            said, error = process.communicate(timeout=60)
            assert process.returncode == code, error
            assert json.loads(said) == {"error": word, "exit_code": code}
            assert error == f"{word}\n"


INTERRUPTED = """
import os, signal, sys, time
import muxflow.doctor as d
class Dropped:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)
def fail():
    try:
        {first}
        time.sleep(60)
    except KeyboardInterrupt:
        {second}
        raise {other}
    finally:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0)
        print("cleaned up", file=sys.stderr)
d.findings = fail
"""


@pytest.mark.parametrize(
    "parts",
    [
        {"first": "Dropped()"},
        {"second": "os.kill(os.getpid(), signal.SIGINT)"},
        {"second": "signal.raise_signal(signal.SIGHUP)"},
        {"other": "ImportError('somebody made another error of it')"},
        {"other": "SystemExit(0)"},
    ],
)
def test_a_signal_is_heeded_once_wherever_it_comes(tmp_path: Path, parts: dict[str, str]) -> None:
    """In a destructor, which drops it; again amid the cleaning up; where a library makes another error of it."""
    usual = {"first": "os.kill(os.getpid(), signal.SIGTERM)", "second": "pass", "other": ""}
    done = spoiled(INTERRUPTED.format(**(usual | parts)), tmp_path, "doctor", "--json")
    assert done.returncode == 143
    assert done.stderr == "cleaned up\nended by the signal 15\n"
    assert json.loads(done.stdout) == {"error": "ended by the signal 15", "exit_code": 143}
    assert list(tmp_path.iterdir()) == []


SWALLOWED = """
import os, signal, sys, time
import muxflow.doctor as d
def fail():
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            os.kill(os.getpid(), number)
            time.sleep(60)
        except BaseException:
            time.sleep(1.5)
    print("goes on", file=sys.stderr, flush=True)
    try:
        time.sleep(60)
    finally:
        time.sleep(1.5)
        print("cleaned up", file=sys.stderr)
d.findings = fail
"""


def test_a_signal_that_somebody_catches_comes_again(tmp_path: Path) -> None:
    """As the import of a large package does, for which any error means that an option is not there; the first one counts."""
    done = spoiled(SWALLOWED, tmp_path, "doctor")
    assert (done.returncode, done.stderr) == (143, "goes on\ncleaned up\nended by the signal 15\n")


@pytest.mark.parametrize(
    "end", ["raise AttributeError('half a module')", "raise ToolError('absent')", "raise SystemExit(0)", "return []"]
)
def test_what_ends_after_a_signal_that_somebody_caught_is_the_signal(tmp_path: Path, end: str) -> None:
    fail = SWALLOWED.partition("    print")[0].replace("1.5", "0")
    program = f"{fail}    from muxflow.dataflow.errors import ToolError\n    {end}\nd.findings = fail\n"
    done = spoiled(program, tmp_path, "doctor")
    assert (done.returncode, done.stderr) == (143, "ended by the signal 15\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_leaves_no_folder_and_no_process(workplace: Path, number: signal.Signals) -> None:
    csim = workplace / "project" / "csim"
    process = begun(["csim", "project", "--variant", "native", "--count", "200000", "--jobs", "2"], workplace)
    wait_for(lambda: any(csim.glob(".run.*/*/*")), process)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(number)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number and "Traceback" not in error
    assert not list(csim.glob(".*"))
    assert all(gone(int(child)) for child in children)


def slow_compiler(folder: Path) -> dict[str, str]:
    (folder / "bin").mkdir()
    compiler = folder / "bin" / "g++"
    compiler.write_text(SLOW_COMPILER)
    compiler.chmod(0o755)
    return {"PATH": f"{compiler.parent}{os.pathsep}{os.environ['PATH']}", "PIDS": str(folder / "pids")}


LIMITED = f"import muxflow.dataflow.processes as p; p.COMPILE_SECONDS = 0.5; {MAIN}"


@pytest.mark.parametrize("arguments", [["csim", "project", "--variant", "native"], ["fit", "small.npz"]])
def test_a_compiler_that_hangs_is_stopped_with_its_children(
    workplace: Path, tmp_path: Path, arguments: list[str]
) -> None:
    process = begun(arguments, workplace, LIMITED, **slow_compiler(tmp_path))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 6
    said = said_once(error)
    assert "g++ has not compiled" in said and "within 0.5 s (COMPILE_SECONDS)" in said
    assert all(gone(int(pid)) for pid in (tmp_path / "pids").read_text().split())
    assert not list((workplace / "project" / "csim").glob(".*"))


def test_a_signal_ends_the_compiler(workplace: Path, tmp_path: Path) -> None:
    process = begun(["csim", "project", "--variant", "native"], workplace, **slow_compiler(tmp_path))
    pids = tmp_path / "pids"
    wait_for(lambda: pids.exists() and len(pids.read_text().split()) == 2, process)
    process.send_signal(signal.SIGTERM)
    _, error = process.communicate(timeout=60)
    assert process.returncode == 143 and "Traceback" not in error
    assert all(gone(int(pid)) for pid in pids.read_text().split())


SWEPT = """
import os, sys, time
from pathlib import Path
import muxflow.sweep as s
from muxflow.dataflow.folders import scratch_folder
def slow(work):
    with scratch_folder(Path.cwd(), "busy."):
        time.sleep(300)
s.fit_point = slow
"""


@pytest.mark.parametrize(
    ("number", "whole_group"), [(signal.SIGTERM, False), (signal.SIGINT, True), (signal.SIGKILL, False)]
)
@pytest.mark.parametrize("at_work", [False, True])
def test_a_sweep_ends_at_once_with_its_workers(
    tmp_path: Path, workplace: Path, number: int, whole_group: bool, at_work: bool
) -> None:
    """A signal to the sweep alone, as of a batch system or of one that lacks memory, or to all of its processes."""
    (tmp_path / "slow_fit.py").write_text(SWEPT)
    shares = [f"--lut={percent / 100}" for percent in range(50, 80, 5)]  # more than the workers are given at once
    arguments = ["sweep", str(workplace / "small.npz"), *shares, "--jobs", "2"]
    session = f"import os; os.setsid(); import slow_fit\n{MAIN}"
    process = begun(arguments, tmp_path, session, PYTHONPATH=str(tmp_path))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")

    def reached() -> bool:
        tools = 3  # two workers, and the process in which Python counts what they share
        return len(list(tmp_path.glob("busy.*"))) == 2 if at_work else len(children.read_text().split()) == tools

    wait_for(reached, process)
    workers = children.read_text().split()
    (os.killpg if whole_group else os.kill)(process.pid, number)
    _, error = process.communicate(timeout=20)
    killed = number == signal.SIGKILL
    assert process.returncode == (-number if killed else 128 + number), error
    # Python itself complains where a sweep is killed before it has told a worker what to do.
    assert "Traceback" not in error or (killed and not at_work), error
    assert not list(tmp_path.glob("busy.*"))
    until = time.monotonic() + 5
    while not all(gone(int(worker)) for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.02)


STARTED = """
import os, signal, threading, time
from multiprocessing import util
import slow_fit
threading.Thread(target=time.sleep, args=(2,), daemon=True).start()
start = util.spawnv_passfds
def interrupted(path, arguments, descriptors):
    started = start(path, arguments, descriptors)
    if "--multiprocessing-fork" in arguments:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.2)
    return started
util.spawnv_passfds = interrupted
"""


def test_a_worker_that_is_started_is_told_what_to_do_though_a_signal_comes(tmp_path: Path, workplace: Path) -> None:
    """A signal reaches a process by any of its threads, whatever the one that starts the worker holds back."""
    (tmp_path / "slow_fit.py").write_text(SWEPT)
    arguments = ["sweep", str(workplace / "small.npz"), "--lut", "0.6", "--lut", "0.7", "--jobs", "2"]
    process = begun(arguments, tmp_path, f"{STARTED}{MAIN}", PYTHONPATH=str(tmp_path))
    _, error = process.communicate(timeout=60)
    assert process.returncode == 130 and "Traceback" not in error, error


def test_what_a_killed_simulation_left_goes_with_the_next(workplace: Path) -> None:
    csim = workplace / "project" / "csim"
    left = csim / ".run.left_8_c" / "0"
    left.mkdir(parents=True)
    command = [sys.executable, "-m", "muxflow", "csim", "project", "--variant", "native", "--count", "4"]
    subprocess.run(command, cwd=workplace, capture_output=True, check=True)
    assert not list(csim.glob(".*"))
