"""The command line as a user meets it: a process, its output, its exit code."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph

PRETRAINED = Path(__file__).parents[2] / "frontend" / "training" / "pretrained"


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from muxflow.cli.main import main; main()", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory, residual: Graph) -> Path:
    """A folder with a small graph and the project that `muxflow build` made of it."""
    folder = tmp_path_factory.mktemp("cli")
    write_graph(residual, folder / "small.npz")
    done = run("build", "small.npz", "--output", "project", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "interval" in done.stdout
    assert "slowest node" in done.stdout
    assert "cycle simulation" in done.stdout
    return folder


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


def test_fit_prints_folds_budget_memory_plan_frontier_and_slowdown(workplace: Path) -> None:
    done = run("fit", "small.npz", "--frontier", "--slowdown", "10", "--output", "fit.json", cwd=workplace)
    assert done.returncode == 0, done.stderr
    for words in (
        "slowest node",
        "cycle simulation",
        "budgeted",
        "PE ",
        "memories in primitives",
        "buffers of the joins",
        "frontier",
        "may slow the pipeline",
        "of 2 Mb",
        "fit.json",
    ):
        assert words in done.stdout, words
    entry = json.loads((workplace / "fit.json").read_text())
    assert entry["frontier"][0]["interval"] == entry["slowest_cycles"]
    assert entry["slowdown"][-1]["fifo_bits"] <= entry["slowdown"][0]["fifo_bits"]
    assert entry["memory_plan"]["rows"]


def test_fit_reaches_a_rate_or_a_latency_and_build_does_the_same(workplace: Path) -> None:
    slow = json.loads(run("fit", "small.npz", "--fps", "20000", "--json", cwd=workplace).stdout)
    assert slow["frames_per_second"] >= 20000
    built = json.loads(run("build", "small.npz", "--fps", "20000", "--output", "slow", "--json", cwd=workplace).stdout)
    assert built["used"] == slow["used"]
    quick = json.loads(run("fit", "small.npz", "--latency-ms", "0.02", "--json", cwd=workplace).stdout)
    assert quick["latency_us"] <= 20
    assert quick["used"]["LUT"] > slow["used"]["LUT"]


def test_fit_draws_the_frontier(workplace: Path) -> None:
    for name in ("one.png", "two.png"):
        done = run("fit", "small.npz", "--plot", name, cwd=workplace)
        assert done.returncode == 0, done.stderr
    assert (workplace / "one.png").read_bytes() == (workplace / "two.png").read_bytes()
    assert (workplace / "one.png").read_bytes().startswith(b"\x89PNG")


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


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["build", "none.onnx"], 1, "none.onnx: no such file"),
        (["build", "empty.onnx"], 1, "empty.onnx: the file is empty"),
        (["build", "text.onnx"], 1, "text.onnx"),
        (["build", "model.pt"], 1, "supported are .onnx"),
        (["build", "small.npz", "--board", "pynq-z9", "--output", "no"], 1, "'pynq-z9' is not known"),
        (["build", "small.npz", "--lut", "0", "--output", "no"], 5, "a utilisation of 0"),
        (["build", "small.npz", "--lut", "0.0001", "--output", "no"], 5, "LUT"),
        (["build", "small.npz", "--clock", "0", "--output", "no"], 1, "must be positive"),
        (["build", "small.npz", "--fps", "0", "--output", "no"], 1, "a target of 0 frames a second"),
        (["fit", "small.npz", "--fps", "-3"], 1, "it must be positive"),
        (["fit", "small.npz", "--latency-ms", "0"], 1, "seconds of latency; it must be positive"),
        (["fit", "small.npz", "--fps", "9", "--latency-ms", "9"], 1, "give one of them"),
        (["fit", "small.npz", "--fps", "1e12"], 5, "the nearest point that fits is"),
        (["fit", "small.npz", "--slowdown", "-1"], 1, "a slowdown of -1 %"),
        (["fit", "small.npz", "--board", "pynq-z9"], 1, "'pynq-z9' is not known"),
        (["fit", "small.npz", "--bram", "0"], 5, "a utilisation of 0"),
        (["fit", "small.npz", "--plot", "nowhere/plot.png"], 6, "the plot cannot be written"),
        (["build", "small.npz", "--output", "foreign"], 1, "is not a Muxflow project"),
        (["csim", "foreign"], 1, "design.json: no such file"),
        (["csim", "project", "--data", "cifar10", "--data-folder", "nowhere"], 1, "nowhere"),
        (["csim", "project", "--data", "imagenet"], 1, "imagenet"),
        (["report", "project", "--format", "docx"], 1, "'docx'"),
        (["train", "resnet"], 1, "resnet"),
        (["demo", "--select", "best"], 1, "no shipped model with select 'best'"),
        (["check", "text.onnx"], 1, "text.onnx"),
        (["build"], 2, "MODEL"),
    ],
)
def test_bad_input_is_one_message_a_code_and_nothing_left(
    workplace: Path, arguments: list[str], code: int, message: str
) -> None:
    (workplace / "empty.onnx").write_bytes(b"")
    (workplace / "text.onnx").write_text("not a model")
    (workplace / "model.h5").write_text("not a model")
    (workplace / "foreign").mkdir(exist_ok=True)
    (workplace / "foreign" / "thesis.tex").write_text("precious")
    before = sorted(path.name for path in workplace.iterdir())
    done = run(*arguments, cwd=workplace)
    assert done.returncode == code, done.stderr
    assert message in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in workplace.iterdir()) == before
    assert [path.name for path in (workplace / "foreign").iterdir()] == ["thesis.tex"]


def test_check_answers_node_by_node(tmp_path: Path) -> None:
    done = run("check", PRETRAINED / "mognet_digits.onnx", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)
    assert entry["supported"]
    assert {"Conv", "Quant", "MuxJoin", "AutomatonWeights"} <= {node["op"] for node in entry["nodes"]}


def test_boards_doctor_and_help_answer(tmp_path: Path) -> None:
    listed = json.loads(run("boards", "--json", cwd=tmp_path).stdout)
    assert listed["pynq-z2"]["lut"] == 53200
    found = json.loads(run("doctor", "--json", cwd=tmp_path).stdout)
    assert found["g++"]["found"]
    assert "run_hls" not in found
    assert not found["Vivado HLS"]["found"]
    assert "settings64.sh" in found["Vivado HLS"]["remedy"]
    text = run("--help", cwd=tmp_path).stdout
    commands = ("train", "check", "fit", "build", "sweep", "csim", "report", "bitstream", "boards", "doctor", "demo")
    for word in (*commands, "Exit codes"):
        assert word in text
    assert run("--version", cwd=tmp_path).stdout.startswith("muxflow ")


def test_an_arg_max_is_appended_only_where_it_is_valid(tmp_path: Path, residual: Graph) -> None:
    done = run("build", PRETRAINED / "mognet_digits.onnx", "--arg-max", cwd=tmp_path)
    assert done.returncode == 4, done.stdout
    assert "differ in scale or offset" in done.stderr


def test_top_k_and_writable_seeds_reach_the_project(workplace: Path) -> None:
    done = run("build", "small.npz", "--top-k", "2", "--seeds", "writable", "--output", "both", cwd=workplace)
    assert done.returncode == 0, done.stderr
    text = (workplace / "both" / "src" / "top.cpp").read_text()
    assert "muxflow::top_k<" in text
    assert "s_axilite" in text
    done = run("csim", "both", "--count", "3", "--variant", "native", cwd=workplace)
    assert done.returncode == 0, done.stderr
    both = run("build", "small.npz", "--top-k", "2", "--arg-max", cwd=workplace)
    assert both.returncode == 1
    assert "give one of them" in both.stderr


def test_the_project_is_the_same_bytes_twice(workplace: Path) -> None:
    for name in ("one", "two"):
        assert run("build", "small.npz", "--output", name, cwd=workplace).returncode == 0
    files = [sorted((workplace / name).rglob("*")) for name in ("one", "two")]
    contents = [[p.read_bytes() for p in listing if p.is_file()] for listing in files]
    assert contents[0] == contents[1]


def test_the_api_has_the_shape_of_the_documentation(workplace: Path) -> None:
    import muxflow

    graph = muxflow.load(workplace / "small.npz")
    design = muxflow.fit(graph, board="pynq-z2")
    project = design.write(workplace / "api")
    stream = graph.streams[graph.inputs[0]]
    images = np.random.default_rng(1).integers(stream.lo, stream.hi + 1, (2, *stream.shape))
    result = project.csim(images)
    assert np.array_equal(result.outputs, graph(images))
    with muxflow.Accelerator.emulate(project.path) as accelerator:
        assert np.array_equal(accelerator.run(images), graph(images))
    assert muxflow.open_project(workplace / "api").design.interval == design.interval


def test_without_a_compiler_the_fit_is_an_estimate_and_says_so(
    workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import muxflow
    from muxflow import api
    from muxflow.reports.render import to_text
    from muxflow.reports.report import make_report

    monkeypatch.setattr(api, "have_compiler", lambda: False)
    design = muxflow.fit(muxflow.load(workplace / "small.npz"))
    assert design.timing is None
    assert "estimate, stalls on FIFOs not counted" in to_text(make_report(design))
