"""`muxflow csim` and `muxflow report`."""

import json
from pathlib import Path

from command_line import run


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
    assert written == ["report.csv", "report.html", "report.json", "report.tex", "report.txt"]


def test_a_changed_source_makes_csim_fail_with_the_node_and_loses_its_proof(workplace: Path) -> None:
    done = run("build", "small.npz", "--output", "broken", cwd=workplace)
    assert done.returncode == 0, done.stderr
    table = next((workplace / "broken" / "src" / "tables").glob("*weights*.hpp"))
    text = table.read_text()
    head, body = text.split("= {\n", 1)
    changed = body.replace("-1", "0", 1) if "-1" in body else body.replace("1", "0", 1)
    table.write_text(head + "= {\n" + changed)
    done = run("csim", "broken", "--variant", "native", cwd=workplace)
    assert done.returncode == 7, done.stdout
    assert "differs from the graph first at node" in done.stderr
    assert "Traceback" not in done.stderr
