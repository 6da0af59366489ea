"""FIFO depths by cycle simulation."""

import numpy as np
import pytest

import muxflow
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit import fifo_sizing
from muxflow.dataflow.fit.deadlock import SINGLE_STAGE, rings, without_deadlock
from muxflow.dataflow.fit.design import build_design, with_depths
from muxflow.dataflow.fit.fifo_sizing import (
    MARGIN,
    MARGIN_SLACK,
    SLACK,
    cut_fifos,
    size_fifos,
)
from muxflow.dataflow.fit.folded import FIFO_DEPTH
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.fit.goal import Goal
from muxflow.dataflow.fit.memory import full_depth
from muxflow.dataflow.fit.resizing import without_margins
from muxflow.dataflow.fit.timing import DeadlockError, Simulator, simulate
from muxflow.dataflow.fit.timing_layout import STYLES
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.project import load_project
from muxflow.hls.vitis.writing import write_project


@pytest.mark.parametrize("seed", range(16))
def test_sized_fifos_keep_the_interval_of_unbounded_ones(make_random_design, seed):
    design = make_random_design(seed)
    sized = size_fifos(design.folded)
    frames = len(sized.timing.completions)
    free = simulate(design.folded, None, frames=frames)
    proof = simulate(design.folded, sized.depths, frames=frames)
    # Frames of a few beats: the fill of the pipeline moves the mean of so few of them by some cycles.
    assert proof.interval <= max(free.interval, design.slowest_cycles) * SLACK + 8
    assert proof.completions == sized.timing.completions
    assert set(sized.depths) == set(design.graph.streams)
    assert min(sized.depths.values()) >= FIFO_DEPTH
    cut = cut_fifos(design.folded, sized, cuts=30)
    assert cut.timing.interval <= sized.allowed_interval
    assert all(cut.depths[name] <= depth for name, depth in sized.depths.items())
    assert simulate(design.folded, cut.depths, frames=frames).completions == cut.timing.completions


@pytest.mark.parametrize("seed", range(9))
def test_deeper_pipelines_keep_the_interval(make_random_design, seed):
    design = make_random_design(seed)
    sized = size_fifos(design.folded)
    frames = len(sized.timing.completions)
    late = Simulator.of(design.folded, deeper=MARGIN)
    free = late.run(None, frames)
    kept = late.run(sized.depths, frames)
    assert kept.interval <= max(free.interval, design.slowest_cycles) * MARGIN_SLACK + 8


@pytest.mark.parametrize("seed", range(9))
def test_no_pipelines_wait_for_each_other_for_ever(make_random_design, seed):
    """Whatever their style and however deep up to 8 deeper beyond the estimate, those between the tried ones included."""
    design = make_random_design(seed)
    sized = size_fifos(design.folded)
    safe = without_deadlock(design.folded, sized.depths)
    assert all(safe[name] >= depth for name, depth in sized.depths.items())
    for style in STYLES:
        for deeper in range(9):
            _, waits = Simulator.of(design.folded, style, deeper).attempt(safe, 6)
            assert waits is None, (style, deeper)


def test_parts_deadlock_where_the_whole_graph_does(make_random_design):
    """Pipelines that stall, drain or have one stage: what happens does not depend on when, nor on what lies around."""
    stopped = []
    for seed in range(40):
        design = make_random_design(seed)
        rng = np.random.default_rng(seed)
        parts = rings(design.graph)
        assert all(part < design.graph.streams.keys() for part in parts)
        for deepest in (1, 1, 2, 8, 64):
            depths = {name: int(rng.integers(1, 2 + deepest)) for name in design.graph.streams}
            for style, deeper in (("stalling", 0), ("stalling", 5), ("drained", 2), ("flushing", SINGLE_STAGE)):
                whole = Simulator.of(design.folded, style, deeper).attempt(depths, 4)[1] is not None
                alone = [Simulator.of(design.folded, style, deeper, streams=part) for part in parts]
                assert any(one.attempt(depths, 5)[1] is not None for one in alone) == whole, (seed, style, deeper)
                stopped.append(whole)
    assert 50 < sum(stopped) < len(stopped) - 50


def test_the_margin_is_needed_and_a_fit_has_it(residual, device):
    """Depths that are just enough for flushing pipelines block stalling ones; those of a fit do not."""
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100, simulated=True)
    bare = size_fifos(design.folded, margin=0)
    runs = [
        (style, deeper, Simulator.of(design.folded, style, deeper)) for style in STYLES for deeper in (0, 1, 2, 4, 8)
    ]
    assert any(simulator.attempt(bare.depths, 6)[1] is not None for _, _, simulator in runs)
    for style, deeper, simulator in runs:
        timing, waits = simulator.attempt(design.depths, 6)
        assert waits is None, (style, deeper)
        if style == "flushing" and deeper <= MARGIN:
            assert timing.interval <= design.slowest_cycles * MARGIN_SLACK


def test_what_the_margins_cost_is_the_same_design_without_them(residual, device):
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100, simulated=True)
    bare = without_margins(design)
    assert bare.folds == design.folds
    assert bare.interval <= design.slowest_cycles * SLACK
    assert all(bare.depths[name] <= depth for name, depth in design.depths.items())
    assert sum(bare.depths.values()) < sum(design.depths.values())
    again = simulate(bare.folded, bare.depths, frames=len(bare.timing.completions))
    assert (again.completions, again.high_water) == (bare.timing.completions, bare.timing.high_water)
    load = [
        one.resources.lut / one.allowance.lut + one.resources.bram18 / one.allowance.bram18 for one in (bare, design)
    ]
    assert load[0] <= load[1]
    conservative = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    assert without_margins(conservative) is conservative


def test_a_slower_goal_is_kept_without_margins(residual, device):
    """FIFOs that may slow a design down are compared with ones that may slow it down as much."""
    goal = Goal(fps=2.3e6)  # a faster design waits for the ports, whatever its FIFOs hold
    fast = fit(residual, KERNELS, device=device, board="b", clock_mhz=100, simulated=True, goal=goal)
    found = cut_fifos(fast.folded, size_fifos(fast.folded, interval=1.5 * fast.slowest_cycles), cuts=100)
    slow = with_depths(fast, found.depths, found.timing)
    assert slow.timing.interval > fast.slowest_cycles * SLACK
    assert without_margins(slow).timing.interval <= slow.timing.interval


def test_a_fit_fills_the_primitives_of_its_fifos(residual, device):
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100, simulated=True)
    for name, placed in design.fifos.items():
        assert full_depth(placed) == design.depths[name], name


def test_with_runs_enough_no_deep_fifo_can_be_much_smaller(residual, device):
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    sized = cut_fifos(design.folded, size_fifos(design.folded, margin=0), cuts=500, margin=0)
    frames = len(sized.timing.completions)
    deep = {name: depth for name, depth in sized.depths.items() if depth > 2 * FIFO_DEPTH}
    assert deep
    for name, depth in deep.items():
        # Bisection stops at a sixteenth: an eighth less must be too little.
        try:
            shallower = simulate(design.folded, {**sized.depths, name: depth - max(2, depth // 8)}, frames=frames)
        except DeadlockError:
            continue
        else:
            assert shallower.interval > sized.allowed_interval, name
    few = cut_fifos(design.folded, size_fifos(design.folded), cuts=5)
    bits = [
        sum(depth * design.graph.streams[name].beat_bits for name, depth in one.depths.items()) for one in (sized, few)
    ]
    assert bits[0] <= bits[1]


def test_a_longer_interval_needs_no_deeper_fifos(residual, device):
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    bits = []
    for factor in (1, 1.5, 4):
        sized = size_fifos(design.folded, interval=factor * design.slowest_cycles)
        assert sized.timing.interval <= sized.allowed_interval
        bits.append(sum(depth * design.graph.streams[name].beat_bits for name, depth in sized.depths.items()))
    assert bits[-1] <= bits[0]


def test_a_sized_design_is_faster_than_a_conservative_one_and_still_right(residual, device, tmp_path):
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    assert design.timing is None
    assert design.interval == design.slowest_cycles
    sized = size_fifos(design.folded)
    depths, frames = without_deadlock(design.folded, sized.depths), len(sized.timing.completions)
    before, timing = (simulate(design.folded, one, frames=frames) for one in (design.depths, depths))
    after = with_depths(design, depths, timing)
    assert after.interval <= before.interval
    assert after.latency == timing.latency
    project = write_project(after, tmp_path / "project")
    again = load_project(tmp_path / "project")
    assert dict(again.design.depths) == {**depths, **dict.fromkeys(design.folded.in_place, 0)}
    assert (again.design.interval, again.design.latency) == (after.interval, after.latency)
    assert again.design.resources == after.resources
    assert dict(again.design.memories) == dict(after.memories)
    images = random_codes(residual.streams[residual.inputs[0]], 3, np.random.default_rng(0))
    assert len(muxflow.Project(project).csim(images, bounded=True).outputs) == 3


def test_depths_of_other_streams_are_refused(residual, device):
    design = fit(residual, KERNELS, device=device, board="b", clock_mhz=100)
    leaders = {node.name: design.folds[node.name] for node in design.graph.nodes if not node.op.folds_with_reader}
    graph = design.graph
    with pytest.raises(GraphError, match=r"FIFO depths for other streams .*nothing"):
        build_design(
            graph, leaders, KERNELS, device=device, board="b", clock_mhz=100, depths={**design.depths, "nothing": 2}
        )


def test_depths_that_hold_nobody_up_free_pipelines_as_estimated_and_deeper_ones(device, monkeypatch):
    """A residual whose select bits come with the end of a frame: what its branch's pipelines do not hold its FIFO must."""
    rng = np.random.default_rng(0)
    nodes, last = [Node("select", ChannelSelect("max", [1] * 8), ("x",), ("s",))], "x"
    for number in range(3):
        w, sums, codes = (f"{name}{number}" for name in "wab")
        nodes += [
            Node(f"weights{number}", RomWeights(2 * rng.integers(0, 2, (8, 8)) - 1, 1, 60), (), (w,)),
            Node(f"conv{number}", MatrixVector(), (last, w), (sums,)),
            Node(f"step{number}", Threshold([[0]] * 8, [0] * 8), (sums,), (codes,)),
        ]
        last = codes
    nodes.append(Node("join", MuxJoin("stream", mix="or"), ("x", last, "s"), ("y",)))
    graph = with_nodes(Graph("late", (), {"x": Stream((6, 10, 8), 0, 1)}, ("x",), ("y",)), nodes)
    folds = {name: Fold(8, 8) for name in ("conv0", "conv1", "conv2")}
    folds |= {name: Fold(8) for name in ("step0", "step1", "step2", "select", "join", "x_fork")}
    design = build_design(insert_forks(graph), folds, KERNELS, device=device, board="b", clock_mhz=100)
    # As where the interval of the slowest node cannot be kept: frames of few beats.
    monkeypatch.setattr(fifo_sizing, "AHEAD", ())
    sized = size_fifos(design.folded)
    for deeper in (0, MARGIN):
        met = Simulator.of(design.folded, deeper=deeper).run(sized.depths, len(sized.timing.completions))
        assert met.interval <= sized.allowed_interval
