"""Names that end comments, go on in the next line, or are no file names: the project compiles and means the same."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command_line import run
from edited import as_written

import muxflow
from muxflow.dataflow.graph.graph import Graph
from muxflow.hls.finn.model import ModelBuilder
from muxflow.hls.names import LONGEST_IDENTIFIER, comment, identifier, identifiers

WILD = (
    "ends in \\",
    "ends in ??/",
    "*/ int main() { return 1; } /*",
    '"; system("touch ran"); //',
    "../../up",
    "n" * 900,
    "$[exec touch ran]",
    "é ${x}",
)


def renamed(graph: Graph, names: dict[str, str]) -> Graph:
    nodes = tuple(replace(node, name=names.get(node.name, node.name)) for node in graph.nodes)
    return replace(graph, nodes=nodes)


def test_a_project_of_wild_names_is_the_same_project(residual: Graph, tmp_path: Path) -> None:
    wild = dict(zip((node.name for node in residual.nodes), WILD, strict=False))
    graph = replace(renamed(residual, wild), name="top \\ ??/ é")
    project = muxflow.write(muxflow.fit(graph), tmp_path / "project")
    images = np.random.default_rng(0).integers(0, 8, (2, *graph.streams[graph.inputs[0]].shape))
    np.testing.assert_array_equal(project.csim(images).outputs, residual(images))
    sources = [file for file in project.path.rglob("*") if file.suffix in (".cpp", ".hpp", ".tcl")]
    own = [file for file in sources if "include" not in file.relative_to(project.path).parts]
    for file in own:
        for line in file.read_text(encoding="ascii").splitlines():
            if line.startswith("//"):
                assert "\\" not in line and "??/" not in line, file
    assert not list(tmp_path.rglob("ran")) and not list(Path.cwd().glob("ran"))


def test_a_name_with_a_line_end_reaches_no_source(residual: Graph) -> None:
    with pytest.raises(muxflow.MuxflowError, match="control characters"):
        renamed(residual, {residual.nodes[0].name: 'a\n#include "/etc/passwd"'})


def test_comments_hold_printable_ascii_on_one_line() -> None:
    assert comment("a\nb\x1b\\ ??/ \u2028é") == "a_b__ __/ __"


def test_identifiers_are_short_enough_for_files_and_differ() -> None:
    long = ["x" * 5000 + "a", "x" * 5000 + "b"]
    found = identifiers(long)
    assert len(set(found.values())) == 2
    assert all(len(name) <= LONGEST_IDENTIFIER + 8 for name in found.values())
    assert identifier("../../etc/passwd") == "etc_passwd"


def test_finn_gets_identifiers_for_its_cpp_tcl_and_paths() -> None:
    builder = ModelBuilder("net")
    found = [builder._node_name(name) for name in (*WILD, *WILD, "plain", "int_")]
    assert len(set(found)) == len(found)
    assert all(name.isidentifier() and name.isascii() and len(name) <= LONGEST_IDENTIFIER + 8 for name in found)
    assert found[-2:] == ["plain", "int_"]


def test_a_board_file_that_a_project_names_is_not_run(residual: Graph, tmp_path: Path) -> None:
    project = muxflow.write(muxflow.fit(residual), tmp_path / "project")
    (tmp_path / "board.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    file = project.path / "design.json"
    entry = json.loads(file.read_text())
    file.write_text(json.dumps({**entry, "board": str(tmp_path / "board.py")}))
    as_written(project.path)
    done = run("bitstream", "project", cwd=tmp_path)
    assert done.returncode == 1 and "is for a board of your own: give its file" in " ".join(done.stderr.split())
    assert not (tmp_path / "ran").exists()
