"""Every failure is one message and a code: numbers out of range, streams that are closed, mistakes of Muxflow."""

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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import said_once, spoiled

from muxflow.cli.failure import failure_of

Call = Callable[..., tuple[int, str, str]]
LONG = "A" * 5000


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


@pytest.mark.parametrize("error", ["ZeroDivisionError('so\\nbad')", "RecursionError('deep')", "AssertionError()"])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_mistake_of_muxflow_leaves_a_log(tmp_path: Path, error: str, as_json: bool) -> None:
    spoil = f"import muxflow.doctor as d\ndef fail(): raise {error}\nd.findings = fail"
    done = spoiled(spoil, tmp_path, "doctor", *["--json"][: int(as_json)])
    assert done.returncode == 8
    (log,) = tmp_path.glob("muxflow-*.log")
    said = said_once(done.stderr)
    assert error.split("(")[0] in said and f"log: {log}" in said and len(done.stderr.splitlines()) == 1
    assert "Traceback (most recent call last)" in log.read_text() and "muxflow doctor" in log.read_text()
    assert not as_json or json.loads(done.stdout)["exit_code"] == 8


def test_no_memory_and_no_package_are_named(tmp_path: Path) -> None:
    for error, words in (
        ("MemoryError()", "not enough memory"),
        ("RuntimeError('std::bad_alloc')", "not enough memory"),
        (
            "ImportError('libtorch_cpu.so: failed to map segment from shared object')",
            "a library cannot be loaded (libtorch_cpu.so: failed to map segment from shared object); free memory, or raise",
        ),
        (
            "ImportError('libgomp.so.1: cannot open shared object file: No such file or directory')",
            "cannot open shared object file: No such file or directory); `muxflow doctor` says how its package is installed",
        ),
        ("ModuleNotFoundError('no', name='seaborn')", "the package seaborn is not installed"),
        ("PermissionError(13, 'Permission denied', 'here.txt')", "error: here.txt: Permission denied"),
    ):
        done = spoiled(f"import muxflow.doctor as d\ndef fail(): raise {error}\nd.findings = fail", tmp_path, "doctor")
        assert done.returncode == 1 and words in said_once(done.stderr)


def test_no_folder_for_temporary_files_is_named(tmp_path: Path) -> None:
    """Libraries fail without one in ways of their own, which are no mistake of Muxflow."""
    limit = "import resource, signal as s; s.signal(s.SIGXFSZ, s.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"
    done = spoiled(
        f"{limit}\nimport muxflow.doctor as d\ndef fail(): assert False\nd.findings = fail", tmp_path, "doctor"
    )
    said = said_once(done.stderr)
    assert done.returncode == 1 and "No usable temporary directory" in said and "TMPDIR" in said


def test_a_full_disk_of_temporary_files_is_named(tmp_path: Path) -> None:
    for path, words in (
        (f"{tmp_path}/muxflow-1/a", f"a: No space left on device; the folder for temporary files, {tmp_path}, has"),
        ("/elsewhere/a", "error: /elsewhere/a: No space left on device"),
    ):
        error = f"OSError({errno.ENOSPC}, os.strerror({errno.ENOSPC}), {path!r})"
        done = spoiled(
            f"import os, muxflow.doctor as d\ndef fail(): raise {error}\nd.findings = fail", tmp_path, "doctor"
        )
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
    for command in (
        "fit small.npz",
        "sweep small.npz --jobs 1 -o swept",
    ):  # remarks on the way are no part of the answer
        done = shell(f"muxflow {command} 2> /dev/full", workplace)
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


@pytest.mark.parametrize(
    "error", [OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)), RuntimeError("can't start new thread")]
)
def test_a_limit_of_processes_is_no_mistake_of_muxflow(error: Exception) -> None:
    failure = failure_of(error, [])
    assert failure.code == 1 and failure.message.startswith(
        "no more processes or threads can be started; raise the limit"
    )


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
