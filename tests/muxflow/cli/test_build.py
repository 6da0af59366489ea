"""`muxflow build`: the native project."""

import json
from pathlib import Path

from command_line import run

from muxflow.dataflow.graph.graph import Graph

PRETRAINED = Path(__file__).parents[3] / "frontend" / "training" / "pretrained"


def test_build_writes_a_project_that_a_user_can_open(workplace: Path) -> None:
    project = workplace / "project"
    for name in ("src/top.cpp", "src/top.hpp", "run_hls.tcl", "tb/testbench.cpp", "graph.npz", "design.json"):
        assert (project / name).is_file(), name


def test_build_sizes_the_fifos_so_that_the_full_rate_is_reached(workplace: Path) -> None:
    done = run("build", "small.npz", "--output", "sized", "--json", cwd=workplace)
    assert done.returncode == 0, done.stderr
    sized = json.loads(done.stdout)
    assert sized["simulated"]
    assert sized["slowest_cycles"] <= sized["interval"] <= 1.05 * sized["slowest_cycles"]
    done = run("csim", "sized", "--variant", "native", "--bounded", "--count", "3", cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert json.loads(run("report", "sized", "--json", cwd=workplace).stdout)["interval"] == sized["interval"]


def test_an_arg_max_is_appended_only_where_it_is_valid(tmp_path: Path, residual: Graph) -> None:
    done = run("build", PRETRAINED / "mognet_digits.onnx", "--arg-max", cwd=tmp_path)
    assert done.returncode == 4, done.stdout
    assert "of the classes have no common integer grid" in done.stderr


def test_top_k_and_writable_seeds_reach_the_project(workplace: Path) -> None:
    done = run("build", "small.npz", "--top-k", "2", "--seeds", "writable", "--output", "both", cwd=workplace)
    assert done.returncode == 0, done.stderr
    text = (workplace / "both" / "src" / "top.cpp").read_text()
    assert "muxflow::top_k<" in text
    assert "s_axilite" in text
    done = run("csim", "both", "--count", "3", "--variant", "native", cwd=workplace)
    assert done.returncode == 0, done.stderr
    both = run("build", "small.npz", "--top-k", "2", "--arg-max", cwd=workplace)
    assert both.returncode == 2
    assert "give one of them" in both.stderr


def test_the_project_is_the_same_bytes_twice(workplace: Path) -> None:
    for name in ("one", "two"):
        assert run("build", "small.npz", "--output", name, cwd=workplace).returncode == 0
    files = [sorted((workplace / name).rglob("*")) for name in ("one", "two")]
    contents = [[p.read_bytes() for p in listing if p.is_file()] for listing in files]
    assert contents[0] == contents[1]
