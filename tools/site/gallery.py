"""Build the report of every shipped system, and the table of the page docs/results/gallery.md.

    .venv/bin/python tools/site/gallery.py build/gallery

`make docs` runs it. Each project is made by the commands that its reader would give: `muxflow build`, `muxflow report`. The
folder then holds a project a system, `table.md`, and in `pages/reports/` the reports themselves.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from muxflow.dataflow.quantities import count, percent, rate, share, si
from muxflow.frontend.training.result import PRETRAINED
from muxflow.reports.schema.stages import WORST_FIRST

BOARD = "pynq-z2"
COLUMNS = (
    "network",
    "right of the images held out",
    "stored weights and thresholds",
    "pipelined rate",
    "one-image latency",
    "LUT, of the budget",
    "BRAM18, of the budget",
    "C simulation",
)


def systems(names: list[str]) -> list[str]:
    """Leave out the variants among shipped networks: those whose name is another's with something after it."""
    return sorted(name for name in names if not any(name.startswith(f"{other}_") for other in names))


def proof(report: dict[str, Any]) -> str:
    """Say what the C simulations of a report came to, the worst where they differ."""
    found = {rung["status"]: rung["images"] for rung in report["ladder"] if rung["title"].startswith("C simulation")}
    worst = next((status for status in WORST_FIRST if status in found), None)
    return f"{worst}, {count(found[worst])} images" if worst else "not run"


def card(name: str, facts: dict[str, Any], report: dict[str, Any]) -> str:
    """Write a system's row of the table, its name a link to its report."""
    used, budget = report["used"], report["budget"]
    resources = (f"{count(used[kind])}, {share(used[kind], budget[kind])}" for kind in ("LUT", "BRAM18"))
    cells = (
        f'<a href="../reports/{name}.html"><code>{name}</code></a>',
        f"{percent(facts['accuracy'])} of {count(facts['images'])} ({facts['dataset']})",
        si(report["parameter_bits"], "bit"),
        rate(report["frames_per_second"]),
        si(report["latency_us"] * 1e-6, "s"),
        *resources,
        proof(report),
    )
    return f"| {' | '.join(cells)} |"


def table(rows: list[str], figures: str, board: str) -> str:
    """Write the table of all systems, and what its figures are."""
    head = [f"| {' | '.join(COLUMNS)} |", f"|{'---|' * len(COLUMNS)}"]
    return "\n".join([f"{board}; {figures}.", "", *head, *rows, ""])


def make_report(name: str, folder: Path) -> dict[str, Any]:
    """Fit a shipped network, write its project and its report, and give what the report says."""
    project = str(folder / name)
    model = os.path.relpath(PRETRAINED / f"{name}.onnx")
    for words in (
        ("build", model, "--board", BOARD, "--output", project),
        ("report", project, "--format", "html,json"),
    ):
        print(f"  muxflow {' '.join(words)}", flush=True)
        subprocess.run([sys.executable, "-m", "muxflow", *words], check=True, stdout=subprocess.DEVNULL)
    report: dict[str, Any] = json.loads((folder / name / "report" / "report.json").read_text(encoding="utf-8"))
    return report


def make_gallery(folder: Path) -> None:
    """Make all reports, then the table: a run that ends early leaves no table."""
    pages = folder / "pages" / "reports"
    shutil.rmtree(pages, ignore_errors=True)
    pages.mkdir(parents=True)
    names = systems([path.stem for path in PRETRAINED.glob("*.onnx")])
    rows, report = [], {}
    for number, name in enumerate(names, 1):
        print(f"gallery: {name}, {number} of {len(names)}", flush=True)
        facts = json.loads((PRETRAINED / f"{name}.json").read_text(encoding="utf-8"))
        report = make_report(name, folder)
        shutil.copy(folder / name / "report" / "report.html", pages / f"{name}.html")
        rows.append(card(name, facts, report))
    board = f"{report['board']} ({report['part']}) at {report['clock_mhz']:g} MHz"
    (folder / "table.md").write_text(table(rows, report["figures"], board), encoding="utf-8")


if __name__ == "__main__":
    make_gallery(Path(sys.argv[1]))
