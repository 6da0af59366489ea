"""`muxflow doctor`."""

import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from command_line import run

from muxflow import doctor, provenance
from muxflow.cli.doctor import doctor as command


def test_what_is_there_is_found_and_what_is_absent_has_a_remedy(tmp_path: Path) -> None:
    found = json.loads(run("doctor", "--json", cwd=tmp_path).stdout)
    assert found["g++"]["found"]
    assert "run_hls" not in found
    assert not found["Vivado HLS"]["found"]
    assert "settings64.sh" in found["Vivado HLS"]["remedy"]


def test_the_extra_to_install_is_shown(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Square brackets in a remedy are no markup."""
    absent = doctor.Finding("torch", False, "", "training", "pip install 'muxflow[train]'")
    monkeypatch.setattr(doctor, "findings", lambda: [absent])
    command()
    assert "pip install 'muxflow[train]'" in capsys.readouterr().out


def test_a_tool_that_says_its_version_in_no_text(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    tool = tmp_path / "g++"
    tool.write_text("#!/bin/sh\nprintf '9 \\377\\n'\n")
    tool.chmod(0o755)
    assert doctor._tool_version(str(tool)) == "9 \ufffd"
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert provenance.compiler.__wrapped__() == {"g++": "9 \ufffd"}


def test_a_temporary_folder_from_which_no_program_may_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = next(one for one in doctor.findings() if one.name == "temporary folder")
    assert (before.found, before.version, before.remedy) == (True, str(tmp_path), "")
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=os.ST_NOEXEC))
    found = next(one for one in doctor.findings() if one.name == "temporary folder")
    assert not found.found
    assert found.remedy == (
        f"no program may run from {tmp_path} (its file system is mounted noexec); name another in TMPDIR"
    )


def test_hints_install_into_this_environment() -> None:
    hints = [one.remedy for one in doctor.findings() if "pip install" in one.remedy]
    assert hints
    assert [hint for hint in hints if not hint.startswith(shlex.quote(sys.executable))] == []


def test_the_revision_is_that_of_muxflow_in_a_hook_of_another_project(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = provenance.revision.__wrapped__()
    subprocess.run(["git", "init", "--quiet", "other"], cwd=tmp_path, check=True)
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    assert provenance.revision.__wrapped__() == before
    assert before == "" or re.fullmatch(r"[0-9a-f]{40}", before)
