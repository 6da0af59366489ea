"""Names, paths and numbers that a terminal, a report or the memory would suffer from."""

import csv
import html
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import run
from onnx import TensorProto, helper, numpy_helper

from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph

WILD = (
    "[/x]",
    "[bold]a[/bold]",
    "*a_b%c&d#e$f{g}h^i~j\\k[l]",
    ":warning:",
    "<script>1</script>",
    "=1+1",
    "*",
    r"\input{x}",
)
"""Names of the first nodes; the third is a matrix, by whose name tables call its layer."""


def wild(graph: Graph) -> Graph:
    names = dict(zip((node.name for node in graph.nodes), WILD, strict=False))
    return replace(graph, nodes=tuple(replace(node, name=names.get(node.name, node.name)) for node in graph.nodes))


@pytest.fixture
def reported(residual: Graph, tmp_path: Path) -> Path:
    """A project in a folder with a name like markup, and its report."""
    write_graph(replace(wild(residual), notes={"remarks": "\x1b[2Jgone [/y]"}), tmp_path / "[red].npz")
    done = run("build", "[red].npz", "--output", "[name]", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "project: [name]" in done.stdout and "import [red].npz ..." in done.stderr
    (tmp_path / "[name]" / "model.$(x)").touch()
    done = run("report", "[name]", "--verbose", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[name]/report/report.tex" in done.stdout
    assert "\x1b" not in done.stdout and "?[2Jgone [/y]" in done.stdout
    for name in WILD:
        assert name in done.stdout
    return tmp_path / "[name]" / "report"


def test_reports_show_names_as_they_are(reported: Path) -> None:
    plain = (reported / "report.txt").read_text()
    assert "\x1b" not in plain and all(name in plain for name in WILD)
    page = (reported / "report.html").read_text()
    assert page.count("<script") == 1 and html.escape("<script>1</script>") in page
    paper = (reported / "report.tex").read_text().replace(r"\allowbreak{}", "")
    assert r"{*}a\_b\%c\&d\#e\$f\{g\}h\textasciicircum{}i\textasciitilde{}j\textbackslash{}k{[}l{]}" in paper
    table = list(csv.reader(next(reported.glob("*.csv")).read_text().splitlines()))
    assert "'=1+1" in [row[0] for row in table] and len({len(row) for row in table}) == 1
    entry = json.loads((reported / "report.json").read_text())
    assert set(WILD) <= {row["name"] for row in entry["nodes"]}
    assert entry["provenance"]["commands"][0].startswith("muxflow build '[red].npz' --board")


def test_names_in_a_model_are_shown_not_obeyed(tmp_path: Path) -> None:
    domain = "qonnx.custom_op.general"
    parts = [numpy_helper.from_array(np.float32(value), name) for value, name in ((0.25, "s"), (0, "z"), (4, "b"))]
    nodes = [
        helper.make_node("Quant", ["x", "s", "z", "b"], ["y"], "[/x]", domain=domain),
        helper.make_node("LSTM", ["y"], ["o"], "a\x1b[31mred\x1b]0;title\x07[bold][/x]", direction="forward"),
    ]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 4, 8, 8]) for name in ("x", "o")]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], parts)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(domain, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "net.onnx")
    done = run("check", "net.onnx", cwd=tmp_path)
    assert done.returncode == 3 and "Traceback" not in done.stderr
    assert "a?[31mred?]0;title?[bold][/x]" in "".join(done.stdout.split("\n"))
    for command in ("fit", "build"):
        done = run(command, "net.onnx", cwd=tmp_path)
        assert done.returncode == 3 and "Traceback" not in done.stderr
        assert "\x1b" not in done.stderr and "a?[31mred?]0;title?[bold][/x] (LSTM)" in done.stderr


def test_a_count_without_end_is_refused_by_its_limit(workplace: Path) -> None:
    done = run("csim", "project", "--count", "1000000000", "--variant", "native", cwd=workplace)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    said = " ".join(done.stderr.split())
    assert "--count 1000000000: codes of" in said and "(MOST_ELEMENTS)" in said


def test_a_line_of_progress_stays_one_line_whatever_a_file_is_called(residual: Graph, tmp_path: Path) -> None:
    write_graph(residual, tmp_path / "two\nlines.npz")
    done = run("sweep", "two\nlines.npz", "--jobs", "1", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines() == ["sweep of 1 point ...", "1/1 two?lines on pynq-z2: fitted"]
    done = run("build", "two\nlines.npz", "--output", "project", cwd=tmp_path)
    assert done.returncode == 0 and "import two?lines.npz ..." in done.stderr.splitlines()
