"""`muxflow fit`."""

import json
import re
from pathlib import Path

import numpy as np
from command_line import run

from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.lstm_cell import LstmCell
from muxflow.dataflow.ops.rom_weights import RomWeights


def test_fit_prints_folds_budget_memory_plan_frontier_and_slowdown(workplace: Path) -> None:
    options = ("--frontier", "--slowdown", "10", "--output", "fit.json", "--verbose")
    done = run("fit", "small.npz", *options, cwd=workplace)
    assert done.returncode == 0, done.stderr
    for words in (
        "slowest node",
        "cycle simulation",
        "budgeted",
        "PE ",
        "memories in primitives",
        "FIFO margins",
        "buffers of the joins",
        "frontier",
        "may slow the pipeline",
        "stored parameters",
        "layers and their nodes",
        "written: fit.json",
    ):
        assert words in done.stdout, words
    entry = json.loads((workplace / "fit.json").read_text())
    assert entry["frontier"][0]["interval"] == entry["slowest_cycles"]
    assert entry["slowdown"][-1]["fifo_bits"] <= entry["slowdown"][0]["fifo_bits"]
    assert entry["memory_plan"]["rows"]
    assert set(entry["margins"]) == set(entry["used"])


def test_fit_is_short_and_names_the_next_command(workplace: Path) -> None:
    """Summary, slowest layers, next command with the options that hold there too; the rest with --verbose."""
    done = run("fit", "small.npz", "--lut", "0.65", "--frontier", cwd=workplace)
    assert done.returncode == 0, done.stderr
    lines = [line.rstrip() for line in done.stdout.splitlines()]
    short = lines[: lines.index("frontier: the cheapest folds of each rate (estimate)")]
    assert len(short) <= 22
    head = short.index("layers, the slowest first (estimate)") + 1
    assert short[head].split() == ["layer", "type", "output", "fold", "cycles", "LUT", "FF", "BRAM18", "DSP"]
    cycles = [int(re.split(r"\s{2,}", line)[4].replace(",", "")) for line in short[head + 1 : -1]]
    assert len(cycles) == 5 and cycles == sorted(cycles, reverse=True)
    assert lines[-1] == "next: muxflow build small.npz --board pynq-z2 --lut 0.65"
    again = run(*lines[-1].removeprefix("next: muxflow ").split(), "--output", "next", cwd=workplace)
    assert again.returncode == 0, again.stderr
    assert again.stdout.rstrip().endswith("next: muxflow csim next")


def test_fit_reaches_a_rate_or_a_latency_and_build_does_the_same(workplace: Path) -> None:
    slow = json.loads(run("fit", "small.npz", "--fps", "20000", "--json", cwd=workplace).stdout)
    assert slow["frames_per_second"] >= 20000
    built = json.loads(run("build", "small.npz", "--fps", "20000", "--output", "slow", "--json", cwd=workplace).stdout)
    assert built["used"] == slow["used"]
    assert built["margins"] == slow["margins"]
    quick = json.loads(run("fit", "small.npz", "--latency-ms", "0.02", "--json", cwd=workplace).stdout)
    assert quick["latency_us"] <= 22
    assert quick["used"]["LUT"] > slow["used"]["LUT"]


def test_a_goal_that_the_cheapest_design_surpasses_is_said_to_be_a_floor(workplace: Path) -> None:
    slowest = run("fit", "small.npz", "--fps", "1", cwd=workplace).stdout
    reached = re.search(r"^pipelined rate +(\S+ frames/s)", slowest, re.MULTILINE)
    assert reached
    assert f"--fps is a floor: of the designs that reach 1 frames/s the cheapest one does {reached[1]}\n" in slowest
    late = run("build", "small.npz", "--latency-ms", "100", "--output", "late", cwd=workplace).stdout
    assert "--latency-ms is a ceiling: of the designs within 100 ms the cheapest one takes" in late
    near = str(0.95 * float(reached[1].split()[0].replace(",", "")))
    assert "is a floor" not in run("fit", "small.npz", "--fps", near, cwd=workplace).stdout


def test_fit_draws_the_frontier(workplace: Path) -> None:
    for name in ("one.png", "two.png"):
        done = run("fit", "small.npz", "--plot", name, cwd=workplace)
        assert done.returncode == 0, done.stderr
    assert (workplace / "one.png").read_bytes() == (workplace / "two.png").read_bytes()
    assert (workplace / "one.png").read_bytes().startswith(b"\x89PNG")


def recurrent(path: Path) -> Path:
    """A graph file of one recurrent layer of two units."""
    rng = np.random.default_rng(0)
    cell = LstmCell(np.sort(rng.integers(-3, 4, (8, 3))), (0, 0, -1, 0), (1, 2), 2, (-7, 7), [[1], [2]])
    nodes = [
        Node("weights", RomWeights(rng.integers(-1, 2, (8, 2)), repeats=4), (), ("w",)),
        Node("cell", cell, ("x", "w"), ("y",)),
    ]
    write_graph(with_nodes(Graph("recurrent", (), {"x": Stream((4, 8), -3, 3)}, ("x",), ("y",)), nodes), path)
    return path


def test_a_stateful_fit_leads_to_a_stateful_build(tmp_path: Path, workplace: Path) -> None:
    model = recurrent(tmp_path / "recurrent.npz")
    done = run("fit", model, "--stateful", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "--stateful" in done.stdout.splitlines()[-1]
    done = run("build", model, "--stateful", "--output", "project", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "static muxflow::lstm_cell<" in (tmp_path / "project" / "src" / "top.cpp").read_text()
    refused = run("build", model, "--stateful", "--target", "hls4ml", "--output", "other", cwd=tmp_path)
    assert refused.returncode == 3
    assert "cell (LstmCell): a state that goes on from frame to frame" in refused.stderr
    without = run("fit", "small.npz", "--stateful", cwd=workplace)
    assert without.returncode == 4
    assert "no layer is recurrent, so there is no state to carry on; leave stateful out" in without.stderr
