"""Tools in processes of their own."""

import re
import signal
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from muxflow.dataflow import space
from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.processes import MOST_SAID, completed, ending, first_errors, python

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("arguments", [["-c", "import json; json.loads('1')"], ["-m", "json.tool", "--help"]])
def test_no_module_of_the_current_folder_is_run(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('run')")
    done = completed(python(*arguments), folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("PYTHONIOENCODING", "utf-16"), ("PYTHONWARNINGS", "error"), ("PYTHONOPTIMIZE", "2"), ("PYTHONINSPECT", "1")),
        *(("PYTHONVERBOSE", "1"), ("PYTHONPROFILEIMPORTTIME", "1"), ("PYTHONDEVMODE", "1")),
    ],
)
def test_no_variable_changes_what_another_python_says(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import warnings; warnings.warn('x', DeprecationWarning); assert __doc__ is None; print(__debug__, 'said')"
    )
    monkeypatch.setenv(name, value)
    done = completed(python("-W", "ignore::UserWarning", "-c", program), X="1")
    assert (done.returncode, done.stdout) == (0, "True said\n")
    assert len(done.stderr.splitlines()) <= 2, done.stderr


def test_another_python_finds_what_this_one_finds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a cluster, whose packages stand in PYTHONPATH; a tool that is no Python gets every variable."""
    (tmp_path / "mine.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    assert completed(python("-c", "import mine")).returncode == 0
    assert completed(["sh", "-c", "echo $PYTHONWARNINGS"]).stdout == "error\n"


@pytest.mark.parametrize("package", ["board", "dataflow", "frontend", "hls", "muxflow", "proof", "reports"])
def test_no_other_module_starts_a_python_by_itself(package: str) -> None:
    starting = sorted(path.name for path in (ROOT / package).rglob("*.py") if "[sys.executable" in path.read_text())
    assert starting == (["packages.py", "processes.py"] if package == "dataflow" else [])


def test_of_what_a_tool_says_the_beginning_and_the_end_are_kept() -> None:
    program = (
        "import sys\n"
        "for stream in (sys.stdout, sys.stderr):\n"
        "    print('begun\\r', file=stream)\n"
        "    for _ in range(100): stream.write('0123456789abcdef' * 4096)\n"
        "    print('\\nended', file=stream)\n"
        "sys.exit(3)\n"
    )
    done = completed(python("-c", program))
    assert done.returncode == 3 and done.stdout == done.stderr
    assert len(done.stdout) == MOST_SAID - 1 and done.stdout[:6] == "begun\n" and done.stdout[-7:] == "\nended\n"
    assert (completed(["true"]).stdout, completed(["true"]).returncode) == ("", 0)


@pytest.mark.parametrize("command", [["yes"], ["sh", "-c", "sleep 60 & exit 0"], ["sleep", "60"]])
def test_a_tool_that_has_no_end_is_not_waited_for(command: list[str]) -> None:
    """Whether it says something or nothing, or has left another process that may."""
    began = time.monotonic()
    with pytest.raises(subprocess.TimeoutExpired):
        completed(command, seconds=0.5, group=True)
    assert time.monotonic() - began < 30


def test_what_the_linker_says_is_told() -> None:
    said = "a.cpp: note: x\n/usr/bin/ld: cannot open output file x.so: No such file\ncollect2: error: ld returned 1 exit status"
    assert first_errors(said) == said.partition("\n")[2]


def test_a_full_disk_of_temporary_files_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(space.tempfile, "gettempdir", lambda: str(tmp_path))
    said = "a.cpp: fatal error: error writing to /tmp/a.s: No space left on device\n"
    hint = rf"\nthe folder for temporary files, {tmp_path}, has [0-9,.]+ MiB left; free space there, or name another .* TMPDIR"
    assert re.fullmatch(f"{re.escape(said.strip())}{hint}", first_errors(said))
    assert re.fullmatch(f"code 1: {re.escape(said.strip())}{hint}", ending(1, said))
    assert (ending(-9), ending(1, "no"), first_errors("error: no")) == (
        "the signal 9 (Killed)",
        "code 1: no",
        "error: no",
    )
    monkeypatch.setattr(space.shutil, "disk_usage", lambda _: SimpleNamespace(free=4096))
    assert re.fullmatch(rf"the signal 9 \(Killed\){hint}", ending(-9)), "it could not even say so"


def test_a_process_that_ignores_its_children_starts_no_tool() -> None:
    """Python takes whatever has ended meanwhile for success: `false` would be true."""
    former = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        with pytest.raises(ToolError, match=r"^false: this process ignores SIGCHLD"):
            completed(["false"])
    finally:
        signal.signal(signal.SIGCHLD, former)
    assert completed(["false"]).returncode == 1
