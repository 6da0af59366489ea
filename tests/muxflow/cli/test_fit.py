"""`muxflow fit`."""

import json
from pathlib import Path

from command_line import run


def test_fit_prints_folds_budget_memory_plan_frontier_and_slowdown(workplace: Path) -> None:
    done = run("fit", "small.npz", "--frontier", "--slowdown", "10", "--output", "fit.json", cwd=workplace)
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
        "of 2 Mb",
        "fit.json",
    ):
        assert words in done.stdout, words
    entry = json.loads((workplace / "fit.json").read_text())
    assert entry["frontier"][0]["interval"] == entry["slowest_cycles"]
    assert entry["slowdown"][-1]["fifo_bits"] <= entry["slowdown"][0]["fifo_bits"]
    assert entry["memory_plan"]["rows"]
    assert set(entry["margins"]) == set(entry["used"])


def test_fit_reaches_a_rate_or_a_latency_and_build_does_the_same(workplace: Path) -> None:
    slow = json.loads(run("fit", "small.npz", "--fps", "20000", "--json", cwd=workplace).stdout)
    assert slow["frames_per_second"] >= 20000
    built = json.loads(run("build", "small.npz", "--fps", "20000", "--output", "slow", "--json", cwd=workplace).stdout)
    assert built["used"] == slow["used"]
    assert built["margins"] == slow["margins"]
    quick = json.loads(run("fit", "small.npz", "--latency-ms", "0.02", "--json", cwd=workplace).stdout)
    assert quick["latency_us"] <= 20
    assert quick["used"]["LUT"] > slow["used"]["LUT"]


def test_fit_draws_the_frontier(workplace: Path) -> None:
    for name in ("one.png", "two.png"):
        done = run("fit", "small.npz", "--plot", name, cwd=workplace)
        assert done.returncode == 0, done.stderr
    assert (workplace / "one.png").read_bytes() == (workplace / "two.png").read_bytes()
    assert (workplace / "one.png").read_bytes().startswith(b"\x89PNG")
