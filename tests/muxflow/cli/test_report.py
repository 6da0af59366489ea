"""`muxflow report --latex --figures` and `muxflow compare`: the files, and what is said of what is missing."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from muxflow.cli.compare import build_title
from muxflow.dataflow.fit.timing import have_compiler

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def project(workplace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path(shutil.copytree(workplace / "untouched", tmp_path / "mine"))


@pytest.mark.needs("matplotlib")
def test_a_papers_tables_and_figures(call_muxflow: Call, project: Path) -> None:
    code, _, error = call_muxflow("report", "mine", "--format", "json")
    assert code == 0, error
    other = shutil.copy(project / "report" / "report.json", "other.json")
    Path("prior.toml").write_text('[[design]]\nname = "x"\nkey = "nobody2020"\nsource = "y"\n')
    options = ("--latex", "--figures", "--with", other, "--prior", "prior.toml", "--format", "txt", "--json")
    code, said, error = call_muxflow("report", "mine", *options)
    assert code == 0, error
    assert "warning: no entry 'nobody2020' in the bibliography" in " ".join(error.split())
    assert "warning: no figure of accuracy: not run" in " ".join(error.split())
    entry = json.loads(said)
    assert {Path(path).parent.name for path in entry["files"]} == {"report", "latex", "figures"}
    assert all(Path(path).stat().st_size for path in entry["files"])
    assert "no entry" in (project / "report" / "latex" / "prior.tex").read_text()
    assert entry["frontier"] and entry["layers"][0]["activity"]
    assert (entry["layers"][0]["activity"]["busy"] is None) is not have_compiler()
    assert entry["provenance"]["digest"] and entry["provenance"]["commands"][0].startswith(
        "muxflow build small.npz --board pynq-z2"
    )
    assert [stage["state"] for stage in entry["stages"]] == ["done", *["not run"] * 4]


def test_a_build_is_named_after_its_folder_or_its_file(tmp_path: Path) -> None:
    for name in ("a/report/report.json", "b/of_paper.json"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    paths = ("a", "a/report/report.json", "b/of_paper.json", "a/report/..")
    assert [build_title(tmp_path / path) for path in paths] == ["a", "a", "of_paper", "a"]


def test_builds_side_by_side(call_muxflow: Call, project: Path) -> None:
    assert call_muxflow("report", "mine", "--format", "json")[0] == 0
    options = ("--format", "txt,md,html,json,tex", "--output", "out", "--json")
    code, said, error = call_muxflow("compare", "mine", "mine/report/report.json", *options)
    assert code == 0, error
    entry = json.loads(said)
    assert [build["title"] for build in entry["builds"]] == ["mine", "mine"]
    assert sorted(path.name for path in Path("out").glob("[!.]*")) == [
        f"compare.{n}" for n in ("html", "json", "md", "tex", "txt")
    ]
    for row in entry["figures"]:
        assert len(row["values"]) == 2 and row["values"][0] == row["values"][1], row
    code, _, error = call_muxflow("compare", "mine", "mine", "--output", "nothing")
    assert code == 2 and "--output nothing without a file to write; name the formats: --format txt," in error
    code, said, _ = call_muxflow("compare", "mine", "mine")
    assert code == 0 and "builds side by side" in said and "cycle simulation" in said


def test_a_file_that_is_no_report_is_named(call_muxflow: Call, project: Path) -> None:
    Path("cut.json").write_text('{"schema": 2, "network": "x"')
    code, _, error = call_muxflow("compare", "mine", "cut.json")
    assert code == 1 and "cut.json: not a report of Muxflow" in " ".join(error.split())


def test_a_tool_that_cannot_take_the_network_says_why(call_muxflow: Call, project: Path) -> None:
    """The project keeps no model, because it was built from a graph; hls4ml has no MUX join."""
    code, said, error = call_muxflow("compare", "mine", "--against", "finn,hls4ml", "--json")
    assert code == 0, error
    finn, hls4ml = json.loads(said)["builds"][1:]
    assert finn["remark"] == "not run: the project keeps no QONNX file; FINN+ reads one"
    assert hls4ml["remark"].startswith("not run: ") and "of convolutions in groups hls4ml has" in hls4ml["remark"]


def test_a_file_in_the_way_is_said_before_any_is_written(call_muxflow: Call, project: Path) -> None:
    for name in ("out/report.html", "out/compare.html"):
        Path(name).mkdir(parents=True)
    Path("pipes").mkdir()
    os.mkfifo("pipes/latex")
    for options, said in (
        (("report", "mine", "--output", "out"), "out/report.html is a folder"),
        (("compare", "mine", "mine", "--format", "txt,html", "--output", "out"), "out/compare.html is a folder"),
        (("report", "mine", "--latex", "--output", "pipes"), "pipes/latex is no folder"),
    ):
        code, _, error = call_muxflow(*options)
        assert code == 1 and said in " ".join(error.split()), error
    assert sorted(path.name for path in (*Path("out").iterdir(), *Path("pipes").iterdir())) == [
        "compare.html",
        "latex",
        "report.html",
    ]
