"""Tools in processes of their own."""

from pathlib import Path

import pytest

from muxflow.dataflow.processes import completed, python

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("arguments", [["-c", "import json; json.loads('1')"], ["-m", "json.tool", "--help"]])
def test_no_module_of_the_current_folder_is_run(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('run')")
    done = completed(python(*arguments), folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("package", ["board", "dataflow", "frontend", "hls", "muxflow", "proof", "reports"])
def test_no_other_module_starts_a_python_by_itself(package: str) -> None:
    starting = sorted(path.name for path in (ROOT / package).rglob("*.py") if "[sys.executable" in path.read_text())
    assert starting == (["packages.py", "processes.py"] if package == "dataflow" else [])
