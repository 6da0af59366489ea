"""Every failure is one message and a code: numbers out of range, streams that are closed, signals, mistakes of Muxflow."""

import errno
import importlib
import json
import os
import py_compile
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from muxflow.cli.failure import failure_of

Call = Callable[..., tuple[int, str, str]]

MAIN = "from muxflow.cli.main import main; main()"
USUAL_SIGNALS = "from signal import *; signal(SIGHUP, SIG_DFL); signal(SIGINT, default_int_handler); del signal\n"
"""The tests themselves may run in the background, where a shell has these ignored."""
SLOW_COMPILER = "#!/bin/sh\nsleep 300 &\necho $! >> $PIDS\necho $$ >> $PIDS\nwait\n"


def said_once(error: str) -> str:
    """The one message on standard error, on one line; titles of tasks come before it."""
    assert "Traceback" not in error and "\x1b" not in error
    lines = [line for line in error.splitlines() if not line.endswith(" ...")]
    assert sum(line.startswith("error: ") for line in lines) == 1, error
    return " ".join(" ".join(lines).split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "none.onnx", "--fps", "1e-300"], "a goal of 1e-300 frames a second; it must be positive"),
        (["fit", "none.onnx", "--fps", "0"], "a goal of 0 frames a second"),
        (["fit", "none.onnx", "--fps", "nan"], "a goal of nan frames a second"),
        (["build", "none.onnx", "--fps", "inf"], "a goal of inf frames a second"),
        (["fit", "none.onnx", "--latency-ms", "-1"], "seconds of latency; it must be positive"),
        (["fit", "none.onnx", "--latency-ms", "nan"], "seconds of latency"),
        (["fit", "none.onnx", "--latency-ms", "1e300"], "seconds of latency"),
        (["build", "none.onnx", "--clock", "inf"], "a clock of inf MHz"),
        (["fit", "none.onnx", "--clock", "0"], "a clock of 0 MHz; it must be positive, and at most 2000"),
        (["fit", "none.onnx", "--clock", "1e12"], "a clock of 1e+12 MHz"),
        (["fit", "none.onnx", "--clock", "1e-300"], "a clock of 1e-300 MHz"),
        (["sweep", "none.onnx", "--clock", "nan"], "a clock of nan MHz"),
        (["check", "none.onnx", "--input-scale", "1/2/3"], "input scale '1/2/3'; give a number or a fraction"),
        (["fit", "none.onnx", "--input-scale", "1/"], "input scale '1/'"),
        (["build", "none.onnx", "--input-scale", "1/0"], "input scale '1/0'"),
        (["check", "none.onnx", "--input-scale", "nan"], "input scale nan; it must be positive"),
        (["check", "none.onnx", "--input-scale", "1e-300"], "input scale 1e-300; it must be positive"),
        (["fit", "none.onnx", "--lut", "-1"], "a utilisation of -1 for lut"),
        (["build", "none.onnx", "--lut", "nan"], "a utilisation of nan for lut"),
        (["sweep", "none.onnx", "--bram", "nan"], "a utilisation of nan for bram18"),
        (["fit", "none.onnx", "--sure", "1"], "1 sure to fit; use a probability"),
        (["fit", "none.onnx", "--slowdown", "inf"], "a slowdown of inf %"),
        (["fit", "none.onnx", "--board", "PYNQ-Z2"], "Did you mean pynq-z2?"),
        (["build", "none.onnx", "--board", "pynqz2"], "Did you mean pynq-z2?"),
        (["bitstream", "none.onnx", "--timeout", "nan"], "a time-out of nan minutes"),
        (["fit", "none.onnx", "--bord", "pynq-z2"], "No such option"),
        (["csim", "none", "--count", "0"], "'--count'"),
        (["csim", "none", "--variant", "both of them"], "see `muxflow csim --help`"),
        (["fly"], "No such command 'fly'"),
    ],
)
def test_wrong_use_is_said_before_any_work_with_one_code(
    call_muxflow: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    code, said, error = call_muxflow(*arguments)
    assert code == 2 and said == ""
    assert message in said_once(error)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["fit", "none.onnx", "--json"], 1),
        (["fit", "--json"], 2),
        (["build", "--json"], 2),
        (["check", "none.onnx", "--input-scale", "x", "--json"], 2),
        (["csim", "nowhere", "--json"], 1),
        (["sweep", "small.npz", "--lut", "7", "--json"], 2),
        (["fit", "small.npz", "--lut", "0.0001", "--json"], 5),
        (["bitstream", "project", "--tools", "/nowhere", "--json"], 6),
        (["fly", "--json"], 2),
    ],
)
def test_with_json_an_error_is_an_object(
    call_muxflow: Call, monkeypatch: pytest.MonkeyPatch, workplace: Path, arguments: list[str], code: int
) -> None:
    monkeypatch.chdir(workplace)
    met, said, error = call_muxflow(*arguments)
    assert met == code
    entry = json.loads(said)
    assert sorted(entry) == ["error", "exit_code"] and entry["exit_code"] == code
    assert " ".join(entry["error"].split()) in said_once(error)


def call(program: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `muxflow` after a program that spoils something."""
    command = [sys.executable, "-c", f"{USUAL_SIGNALS}{program}\n{MAIN}", *arguments]
    environment = os.environ | {"TMPDIR": str(folder)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("error", ["ZeroDivisionError('so\\nbad')", "RecursionError('deep')", "AssertionError()"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_mistake_of_muxflow_leaves_a_log(tmp_path: Path, error: str, as_json: bool) -> None:
    spoil = f"import muxflow.doctor as d\ndef fail(): raise {error}\nd.findings = fail"
    done = call(spoil, tmp_path, "doctor", *["--json"][: int(as_json)])
    assert done.returncode == 8
    (log,) = tmp_path.glob("muxflow-*.log")
    said = said_once(done.stderr)
    assert error.split("(")[0] in said and f"log: {log}" in said and len(done.stderr.splitlines()) == 1
    assert "Traceback (most recent call last)" in log.read_text() and "muxflow doctor" in log.read_text()
    assert not as_json or json.loads(done.stdout)["exit_code"] == 8


def test_no_memory_and_no_package_are_named(tmp_path: Path) -> None:
    for error, words in (
        ("MemoryError()", "not enough memory"),
        ("ModuleNotFoundError('no', name='seaborn')", "the package seaborn is not installed"),
        ("PermissionError(13, 'Permission denied', 'here.txt')", "error: here.txt: Permission denied"),
    ):
        done = call(f"import muxflow.doctor as d\ndef fail(): raise {error}\nd.findings = fail", tmp_path, "doctor")
        assert done.returncode == 1 and words in said_once(done.stderr)


def test_no_folder_for_temporary_files_is_named(tmp_path: Path) -> None:
    """Libraries fail without one in ways of their own, which are no mistake of Muxflow."""
    limit = "import resource, signal as s; s.signal(s.SIGXFSZ, s.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    done = call(f"{limit}\nimport muxflow.doctor as d\ndef fail(): assert False\nd.findings = fail", tmp_path, "doctor")
    said = said_once(done.stderr)
    assert done.returncode == 1 and "No usable temporary directory" in said and "TMPDIR" in said


def test_a_full_disk_of_temporary_files_is_named(tmp_path: Path) -> None:
    for path, words in (
        (f"{tmp_path}/muxflow-1/a", f"a: No space left on device; the folder for temporary files, {tmp_path}, has"),
        ("/elsewhere/a", "error: /elsewhere/a: No space left on device"),
    ):
        error = f"OSError({errno.ENOSPC}, os.strerror({errno.ENOSPC}), {path!r})"
        done = call(f"import os, muxflow.doctor as d\ndef fail(): raise {error}\nd.findings = fail", tmp_path, "doctor")
        assert done.returncode == 1 and words in said_once(done.stderr)
        assert ("TMPDIR" in done.stderr) == (path != "/elsewhere/a")


def shell(command: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    program = f'muxflow() {{ "{sys.executable}" -m muxflow "$@"; }}; {command}'
    return subprocess.run(
        ["bash", "-c", program], cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False
    )


def test_a_current_folder_that_is_gone_is_named(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    program = f"import os; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\nfrom muxflow.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "build", "small.npz"], capture_output=True, text=True, check=False
    )
    said = "error: the current folder is gone (No such file or directory); change into one that is there\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


def test_a_standard_output_that_is_closed_or_full(workplace: Path) -> None:
    """Closed: the work is done; full: it is said; a reader that leaves: silence, as of any program."""
    for closed in (">&-", ">&- 2>&- <&-"):
        done = shell(f"muxflow fit small.npz --output closed.json {closed}", workplace)
        assert done.returncode == 0, done.stderr
        assert json.loads((workplace / "closed.json").read_text())["interval"]
    for arguments in ("boards", "boards --json", "--help", "--version", "check small.npz"):
        done = shell(f"muxflow {arguments} > /dev/full", workplace)
        assert done.returncode == 1 and "cannot be written (No space left on device)" in said_once(done.stderr)
    for arguments in ("boards", "boards --json", "--help"):
        done = shell(f"muxflow {arguments} | true; exit ${{PIPESTATUS[0]}}", workplace)
        assert done.returncode in (0, 141) and done.stderr == ""
    late = (
        "import sys, muxflow.cli.main as m\n"
        "def lost():\n    try: sys.stderr.write('half a line')\n    except OSError: pass\n"
        "m.leave_signals = lost\nm.main()"
    )
    with Path("/dev/full").open("w") as full:  # as a bar that is drawn at the end does
        options: Any = {
            "stdout": subprocess.PIPE,
            "stderr": full,
            "text": True,
            "env": os.environ | {"PYTHONUNBUFFERED": ""},
        }
        done = subprocess.run([sys.executable, "-c", late, "boards"], check=False, **options)
    assert done.returncode == 0 and "pynq-z2" in done.stdout
    done = shell("muxflow boards 2> /dev/full --bad", workplace)
    assert done.returncode == 2
    done = shell("muxflow fit small.npz 2> /dev/full", workplace)  # remarks on the way there are no part of the answer
    assert done.returncode == 0 and "cycles" in done.stdout


def test_a_terminal_of_ascii(workplace: Path) -> None:
    (workplace / "größe.npz").write_bytes((workplace / "small.npz").read_bytes())
    done = shell("muxflow fit größe.npz && muxflow check größe2.npz", workplace, PYTHONIOENCODING="ascii")
    assert done.returncode == 1 and "cycles" in done.stdout
    assert "no such file" in said_once(done.stderr)


def test_a_file_size_limit_is_a_message(workplace: Path) -> None:
    """As on a disk that fills: nothing half written stays."""
    before = sorted(path.name for path in workplace.iterdir())

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    command = [sys.executable, "-m", "muxflow", "build", "small.npz", "-o", "too_large"]
    done = subprocess.run(command, cwd=workplace, capture_output=True, text=True, check=False, preexec_fn=limit)
    assert done.returncode in (1, 6)
    said_once(done.stderr)
    assert sorted(path.name for path in workplace.iterdir()) == before


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
    done = call(INTERRUPTED.format(**(usual | parts)), tmp_path, "doctor", "--json")
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
    """As the import of a large package does, for which any error means that an option is not there."""
    done = call(SWALLOWED, tmp_path, "doctor")
    assert (done.returncode, done.stderr) == (130, "goes on\ncleaned up\ninterrupted\n")


@pytest.mark.parametrize(
    "end", ["raise AttributeError('half a module')", "raise ToolError('absent')", "raise SystemExit(0)", "return []"]
)
def test_what_ends_after_a_signal_that_somebody_caught_is_the_signal(tmp_path: Path, end: str) -> None:
    fail = SWALLOWED.partition("    print")[0].replace("1.5", "0")
    program = f"{fail}    from muxflow.dataflow.errors import ToolError\n    {end}\nd.findings = fail\n"
    done = call(program, tmp_path, "doctor")
    assert (done.returncode, done.stderr) == (130, "interrupted\n")
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


@pytest.mark.parametrize(("number", "whole_group"), [(signal.SIGTERM, False), (signal.SIGINT, True)])
@pytest.mark.parametrize("at_work", [False, True])
def test_a_sweep_ends_at_once_with_its_workers(
    tmp_path: Path, workplace: Path, number: int, whole_group: bool, at_work: bool
) -> None:
    """A signal to the sweep alone, as of a batch system, or to all of its processes, as of a terminal."""
    (tmp_path / "slow_fit.py").write_text(SWEPT)
    arguments = ["sweep", str(workplace / "small.npz"), "--lut", "0.6", "--lut", "0.7", "--lut", "0.8", "--jobs", "2"]
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
    assert process.returncode == 128 + number and "Traceback" not in error, error
    assert not list(tmp_path.glob("busy.*"))
    until = time.monotonic() + 5
    while not all(gone(int(worker)) for worker in workers):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_what_a_killed_simulation_left_goes_with_the_next(workplace: Path) -> None:
    csim = workplace / "project" / "csim"
    left = csim / ".run.left_8_c" / "0"
    left.mkdir(parents=True)
    command = [sys.executable, "-m", "muxflow", "csim", "project", "--variant", "native", "--count", "4"]
    subprocess.run(command, cwd=workplace, capture_output=True, check=True)
    assert not list(csim.glob(".*"))


LONG = "A" * 5000


@pytest.mark.parametrize(
    "arguments",
    [
        ["fit", LONG],
        ["fit", "small.npz", "--board", LONG],
        ["boards", LONG],
        ["boards", f"--{LONG}"],
        [LONG],
        ["boards", "A " * 2500],
        ["build", "small.npz", "--output", LONG],
    ],
)
def test_a_long_argument_is_shortened(
    call_muxflow: Call, monkeypatch: pytest.MonkeyPatch, workplace: Path, arguments: list[str]
) -> None:
    monkeypatch.chdir(workplace)
    code, said, error = call_muxflow(*arguments, "--json")
    assert code in (1, 2) and "AAA..." in error.replace("A ", "A") and len(error) < 2500
    assert json.loads(said)["exit_code"] == code and len(said) < 2500


def test_processes_have_a_limit(call_muxflow: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for command in ("csim", "sweep", "bitstream"):
        code, _, error = call_muxflow(command, "none.npz", "--jobs", "1025")
        assert code == 2 and "'--jobs'" in error


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_too_many_open_files_are_no_mistake_of_muxflow(number: int) -> None:
    failure = failure_of(OSError(number, os.strerror(number)), [])
    assert failure.code == 1
    assert failure.message == "too many files are open; raise the limit (ulimit -n), or use fewer --jobs"


def test_a_compiled_source_that_a_full_disk_cut_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "cut_short.py"
    source.write_text("VALUE = 'of a module'\n" * 40)
    compiled = Path(py_compile.compile(str(source), doraise=True))
    compiled.write_bytes(compiled.read_bytes()[:60])
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EOFError) as met:
        importlib.import_module("cut_short")
    failure = failure_of(met.value, [])
    assert failure.code == 1 and failure.message.startswith(f"{compiled} is damaged, as by a disk that was full")
    monkeypatch.setattr("muxflow.cli.failure.write_log", lambda *_: "no log")
    assert failure_of(EOFError("of something else"), []).code == 8


def test_a_name_of_bytes_that_are_no_text(call_muxflow: Call, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a file from a system of another encoding has: escapes stand for them where a command or a name is written."""
    monkeypatch.chdir(workplace)
    name = os.fsdecode(b"n\xff.npz")
    shutil.copy("small.npz", name)
    assert call_muxflow("build", name, "--output", "bytes")[0] == 0
    assert Path("bytes/build.txt").read_text().startswith(r"muxflow build 'n\udcff.npz' ")
    assert call_muxflow("report", "bytes", "--latex")[0] == 0
    assert call_muxflow("sweep", name, "--board", "pynq-z2", "--output", "points")[0] == 0
    assert r"n\udcff.npz," in Path("points/results.csv").read_text()
