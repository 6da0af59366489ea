"""`muxflow csim` and `muxflow report`."""

import json
import shutil
from pathlib import Path

import pytest
from command_line import run

from muxflow.board.driver.accelerator import Accelerator
from muxflow.dataflow.errors import MuxflowWarning
from muxflow.hls.registry import TARGETS
from muxflow.reports.gather.energy import FILE


def test_csim_compares_every_node_and_report_shows_the_ladder(workplace: Path) -> None:
    done = run("csim", "project", "--count", "3", "--json", cwd=workplace)
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)
    steps = {rung["title"]: (rung["status"], rung["images"]) for rung in entry["ladder"]}
    assert steps["C simulation, native integers"] == ("equal", 3)
    assert steps["C simulation, ap_int types"] == ("equal", 3)
    assert steps["Vitis HLS co-simulation"][0] == "not run"
    done = run("csim", "project", "--variant", "native", "--bounded", "--count", "2", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "FIFOs at their depths" in done.stdout
    done = run("report", "project", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert "equal" in done.stdout
    written = sorted(path.name for path in (workplace / "project" / "report").iterdir())
    assert written == ["report.csv", "report.html", "report.json", "report.md", "report.tex", "report.txt"]


def test_energies_of_a_file_take_the_place_of_the_published_ones(workplace: Path) -> None:
    text = FILE.read_text().replace("= 10.0", "= 20.0")
    (workplace / "mine.toml").write_text(text.replace('source = "45 nm', 'source = "twice 45 nm'))
    entries = []
    for options in ([], ["--energy", "mine.toml"]):
        done = run("report", "project", "--json", *options, cwd=workplace)
        assert done.returncode == 0, done.stderr
        entries.append(json.loads(done.stdout))
    published, mine = entries
    assert mine["energy_source"].startswith("twice 45 nm")
    assert published["microjoules"] < mine["microjoules"] < 2 * published["microjoules"]
    done = run("report", "project", "--energy", "absent.toml", cwd=workplace)
    assert done.returncode == 1
    assert "absent.toml: not a file of energies" in done.stderr


def test_a_changed_source_makes_csim_fail_with_the_node_and_loses_its_proof(workplace: Path) -> None:
    done = run("build", "small.npz", "--output", "broken", cwd=workplace)
    assert done.returncode == 0, done.stderr
    tables = sorted((workplace / "broken" / "src" / "tables").glob("*.hpp"))
    table, text = next((file, text) for file in tables if "_weights[" in (text := file.read_text()))
    head, body = text.split("= {\n", 1)
    changed = body.replace("-1", "0", 1) if "-1" in body else body.replace("1", "0", 1)
    table.write_text(head + "= {\n" + changed)
    done = run("csim", "broken", "--variant", "native", cwd=workplace)
    assert done.returncode == 7, done.stdout
    assert "differs from the graph first at node" in done.stderr
    assert "Traceback" not in done.stderr
    assert [rung["status"] for rung in ladder_of("broken", workplace)] == ["differs"]
    table.write_text(text)
    assert [rung["status"] for rung in ladder_of("broken", workplace)] == ["stale"]
    top = workplace / "broken" / "src" / "top.cpp"
    top.unlink()
    done = run("report", "broken", cwd=workplace)
    assert done.returncode == 1
    assert f"{top} is gone; build the project again" in "".join(done.stderr.split("\n"))


def test_sources_that_were_edited_are_told(workplace: Path) -> None:
    """They may be right, and be proved; the figures stay those of the design, and the report says so."""
    assert run("build", "small.npz", "--output", "edited", cwd=workplace).returncode == 0
    top = workplace / "edited" / "src" / "top.cpp"
    text = top.read_text()
    top.write_text(text + "// mine\n")
    done = run("csim", "edited", "--variant", "native", "--json", cwd=workplace)
    assert done.returncode == 0, done.stderr
    told = "sources edited since they were written (src/top.cpp): cycles and resources are of the design"
    assert f"warning: edited: {told}; build the project again" in done.stderr
    with pytest.warns(MuxflowWarning, match=r"edited: sources edited since they were written \(src/top\.cpp\)"):
        Accelerator.emulate(workplace / "edited").close()
    entry = json.loads(done.stdout)
    assert entry["ladder"][0]["detail"].endswith(told)
    assert entry["remarks"] == told
    top.write_text(text)
    assert json.loads(run("report", "edited", "--json", cwd=workplace).stdout)["remarks"] == ""


def ladder_of(project: str, folder: Path) -> list[dict[str, str]]:
    done = run("report", project, "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    ladder: list[dict[str, str]] = json.loads(done.stdout)["ladder"]
    return ladder


@pytest.mark.parametrize("command", ["report", "bitstream"])
@pytest.mark.parametrize("name", sorted(target.name for target in TARGETS if target.name != "vitis"))
def test_the_project_of_another_target_is_named(tmp_path: Path, name: str, command: str) -> None:
    """It says what the folder is and what to do, and advises nothing that would be refused."""
    (target,) = (one for one in TARGETS if one.name == name)
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / target.marker).write_text("")
    done = run(command, "folder", cwd=tmp_path)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    said = " ".join(done.stderr.split())
    assert f"folder is {target.project}: {target.usage}; this command is for a Muxflow project" in said
    assert "`muxflow build MODEL --target vitis --output FOLDER` writes" in said
    assert [file.name for file in (tmp_path / "folder").iterdir()] == [target.marker]


def test_a_build_that_would_be_refused_is_not_advised(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for command in (["csim", "mine"], ["csim", "nowhere"]):
        done = run(*command, cwd=tmp_path)
        assert done.returncode == 1 and "`muxflow build MODEL --output" in " ".join(done.stderr.split())
    (tmp_path / "mine" / "thesis.tex").write_text("precious")
    for command in (["csim", "mine"], ["csim", "mine/thesis.tex"]):
        done = run(*command, cwd=tmp_path)
        said = " ".join(done.stderr.split())
        assert done.returncode == 1 and "design.json: no such file; give the folder of a project" in said


def test_a_source_that_was_added_is_told_and_compiled_each_time(workplace: Path) -> None:
    """It stands before the header of that name, and may include what no digest knows."""
    shutil.copytree(workplace / "untouched", workplace / "added")
    header = workplace / "added" / "include" / "muxflow" / "threshold.hpp"
    shadow = workplace / "added" / "src" / "muxflow" / "threshold.hpp"
    shadow.parent.mkdir()
    (workplace / "outside.hpp").write_text("// fine\n")
    shadow.write_text(f'#include "{workplace / "outside.hpp"}"\n' + header.read_text())
    csim = ("csim", "added", "--variant", "native", "--json")
    done = run(*csim, cwd=workplace)
    assert done.returncode == 0, done.stderr
    told = "warning: added: sources edited since they were written (src/muxflow/threshold.hpp)"
    assert told in done.stderr
    assert "src/muxflow/threshold.hpp" in json.loads(done.stdout)["remarks"]
    (workplace / "outside.hpp").write_text("#error changed\n")
    assert "changed" in run(*csim, cwd=workplace).stderr


def test_a_project_that_does_not_tell_how_it_was_written(workplace: Path) -> None:
    """As one that `cp -r project/* new/` copied: every command that reads it warns, and the report says so."""
    shutil.copytree(workplace / "untouched", workplace / "copied")
    shutil.copytree(workplace / "untouched", workplace / "listed")
    (workplace / "copied" / ".muxflow.json").unlink()
    manifest = workplace / "listed" / ".muxflow.json"
    entry = json.loads(manifest.read_text())
    manifest.write_text(json.dumps({**entry, "files": list(entry["files"])}))
    known = "how its files were written, so that it is not known whether sources and figures belong together"
    for name, why in (("copied", ".muxflow.json is missing, which tells"), ("listed", ".muxflow.json does not tell")):
        commands = [
            ("report", name, "--format", "csv", "--json"),
            ("csim", name, "--variant", "native", "--count", "1", "--json"),
            ("compare", name, "untouched", "--json"),
            ("fit", "--from", name),
            ("bitstream", name, "--until", "check"),
            ("weights", "small.npz", "--project", name),
        ]
        for command in commands[: None if name == "copied" else 1]:
            done = run(*command, cwd=workplace)
            warning = f"warning: {name}: {why} {known}; build the project again"
            assert done.stderr.count(warning) == 1, (command, done.stderr)
            if command[0] in ("report", "csim"):
                assert json.loads(done.stdout)["remarks"] == f"{why} {known}"
                assert command[0] == "report" or known in json.loads(done.stdout)["ladder"][0]["detail"]
    assert "belong together" not in run("report", "untouched", "--json", cwd=workplace).stderr
