"""`muxflow build`: the native project."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from command_line import run

import muxflow
from muxflow.cli.fit import floor
from muxflow.dataflow.fit.goal import Goal
from muxflow.dataflow.fit.timing import Simulator, simulate
from muxflow.dataflow.graph.graph import Graph
from muxflow.hls.vitis.project import load_project

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


def test_what_binds_a_project_is_what_bound_its_fit(workplace: Path) -> None:
    """A project keeps what its fit was asked for, so that its report names no option that was not given."""
    for asked in ((), ("--fps", "1000")):
        fitted = json.loads(run("fit", "small.npz", *asked, "--json", cwd=workplace).stdout)
        run("build", "small.npz", *asked, "--output", "bound", "--force", cwd=workplace)
        told = json.loads(run("report", "bound", "--json", cwd=workplace).stdout)
        assert told["ceiling"] == fitted["ceiling"]
    assert "what was asked for" in told["ceiling"] and told["ceiling"].endswith("a higher --fps")


def test_the_same_design_keeps_its_proofs_whatever_was_asked_for(workplace: Path) -> None:
    run("build", "small.npz", "--fps", "100", "--output", "asked", cwd=workplace)
    run("csim", "asked", "--count", "2", "--variant", "native", cwd=workplace)
    before, ladder = (
        (workplace / "asked" / "design.json").read_bytes(),
        (workplace / "asked" / "proof.json").read_bytes(),
    )
    run("build", "small.npz", "--fps", "101", "--output", "asked", cwd=workplace)
    assert (workplace / "asked" / "design.json").read_bytes() == before
    assert (workplace / "asked" / "proof.json").read_bytes() == ladder
    told = json.loads(run("report", "asked", "--json", cwd=workplace).stdout)
    assert {rung["status"] for rung in told["ladder"] if rung["images"]} == {"equal"}
    asked = json.loads((workplace / "asked" / "asked.json").read_text())
    assert asked["goal"]["fps"] == 101
    (workplace / "asked" / "asked.json").write_text(json.dumps({**asked, "slowdown": 1e9}))
    done = run("report", "asked", cwd=workplace)
    assert done.returncode == 1 and "asked.json: a slowdown of 1e+09 %" in done.stderr


def test_a_rate_is_kept_where_frames_do_not_overlap(workplace: Path) -> None:
    """Started over AXI-Lite with loaded weights, a frame begins when the one before has ended: the rate asks for a latency."""
    alone = ("--control", "s_axilite", "--weights", "loaded", "--json")
    fastest = json.loads(run("build", "small.npz", *alone, "--output", "fastest", cwd=workplace).stdout)
    assert fastest["one_at_a_time"] and fastest["interval"] >= fastest["latency"]
    assert fastest["ceiling"].startswith("frames: each begins when the one before has ended")
    for share in (0.3, 0.8):
        asked = share * fastest["frames_per_second"]
        done = run("build", "small.npz", *alone, "--fps", str(asked), "--output", "apart", cwd=workplace)
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        assert asked <= made["frames_per_second"] <= fastest["frames_per_second"]
    told = json.loads(run("report", "apart", "--figures", "--json", cwd=workplace).stdout)
    assert told["interval"] == made["interval"] and told["frontier"] == []
    assert told["activity_is"].startswith("shares: cycle simulation of one frame")
    shares = [layer["activity"]["busy"] for layer in told["layers"]]
    slowest = max(node["cycles"] for node in told["nodes"])
    assert 0 < max(shares) <= 1.05 * slowest / made["interval"]
    asked = 2 * fastest["frames_per_second"]
    done = run("build", "small.npz", *alone, "--fps", str(asked), "--output", "never", cwd=workplace)
    assert done.returncode == 5
    least = re.search(r"frames do not overlap, as they are .* found does ([\d,]+) frames/s \(cycle", done.stderr)
    assert least and int(least[1].replace(",", "")) == round(fastest["frames_per_second"])
    assert not (workplace / "never").exists()


def test_a_goal_that_a_project_falls_short_of_is_said(workplace: Path) -> None:
    design = load_project(workplace / "project").design
    said = floor({"fps": 1000.0, "latency": None}, design, 990.0)
    assert said == "short of --fps: 1,000 frames/s were asked for, the project does 990 frames/s; ask for more"
    assert floor({"fps": 1000.0, "latency": None}, design, 1000.0) == ""
    exact = float(design.clock_mhz) * 1e6 / design.interval
    for off in (-1, 0, 1):  # what was printed, or computed in another order, is no other goal
        asked = exact * (1 + off * 2**-52)
        assert floor({"fps": asked, "latency": None}, design, design.frames_per_second) == ""
        assert Goal(asked).interval(design.clock_mhz) == design.interval
    assert "short of --latency-ms: " in floor({"fps": None, "latency": design.latency_seconds / 2}, design, 990.0)


def test_a_goal_is_reached_by_the_project(workplace: Path) -> None:
    """The fit is of pipelines that flush; where those of the tool take longer a faster design is fitted."""
    latency = 9.0
    for goal in (("--latency-ms", str(latency / 1000)), ("--fps", "140000")):
        done = run("build", "small.npz", "--tool", "vivado_hls", *goal, "--output", "goal", "--json", cwd=workplace)
        assert done.returncode == 0, done.stderr
        made = json.loads(done.stdout)
        assert made["latency_us"] <= latency if goal[0] == "--latency-ms" else made["frames_per_second"] >= 140_000


def test_figures_are_those_of_the_tools_pipelines(workplace: Path) -> None:
    """Pipelines of Vivado HLS drain at the end of each frame: the same design takes other cycles."""
    asked = ("--fps", "100000", "--json", "--output")
    flushing = json.loads(run("build", "small.npz", *asked, "flushing", cwd=workplace).stdout)
    done = run("build", "small.npz", "--tool", "vivado_hls", *asked, "drained", cwd=workplace)
    drained = json.loads(done.stdout)
    design = load_project(workplace / "flushing").design
    found = Simulator.of(design.folded, "drained").run(design.depths, len(design.timing.completions))  # type: ignore[union-attr]
    assert (drained["interval"], drained["latency"]) == (found.interval, found.latency)
    assert drained["latency"] != flushing["latency"] and drained["used"] == flushing["used"]
    told = json.loads(run("report", "drained", "--json", cwd=workplace).stdout)
    assert (told["interval"], told["latency"]) == (drained["interval"], drained["latency"])
    # So are the shares of the layers' time.
    assert load_project(workplace / "drained").design.timing.style == "drained"  # type: ignore[union-attr]
    few, many = (simulate(design.folded, design.depths, frames=frames, style="drained") for frames in (8, 16))
    slowest = told["bottleneck"]
    busy = many.cycles * many.nodes[slowest].busy - few.cycles * few.nodes[slowest].busy
    (share,) = (layer["activity"]["busy"] for layer in told["layers"] if slowest in layer["nodes"])
    assert share == pytest.approx(busy / (many.cycles - few.cycles), abs=1e-5)


@pytest.mark.parametrize("command", [("build",), ("bitstream", "--until", "csim")])
def test_a_model_that_is_replaced_while_it_is_read_makes_no_project_of_two(
    call_muxflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    """As by a link that moves on, or a training that writes its next model."""
    first, second = (PRETRAINED / f"{name}.onnx" for name in ("mognet_digits", "mognet_digits_element"))
    model, load = tmp_path / "m.onnx", muxflow.load
    model.symlink_to(first)

    def moved_on(path: Path, **options: Any) -> Graph:
        graph = load(path, **options)
        model.unlink()
        model.symlink_to(second)
        return graph

    monkeypatch.setattr(muxflow, "load", moved_on)
    code, _, error = call_muxflow(*command, model, "--output", tmp_path / "p")
    assert code == 1 and "m.onnx: changed while it was read; try again" in " ".join(error.split())
    assert not (tmp_path / "p").exists()
