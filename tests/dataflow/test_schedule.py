"""Timing without RTL: the schedule against a cycle-by-cycle play, FIFO depths against a bounded simulation."""

from dataclasses import replace

import numpy as np
import pytest

import muxflow
from muxflow.dataflow.errors import MismatchError, ToolError
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.folded import Folded
from muxflow.dataflow.fit.schedule import fifo_depths, schedule
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.ops.window_pool import WindowPool
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.csim import run_csim
from muxflow.hls.vitis.writing import write_project


def play(design):
    """Write times of every stream, one cycle after the other: a node starts its next iteration when its beats are
    there and its initiation interval is over. A source of weights has been waiting for its reader."""
    graph, folded = design.graph, design.folded
    arrived = {name: [] for name in graph.streams}
    for name in graph.inputs:
        arrived[name] = list(range(graph.streams[name].beats))
    nodes = [node for node in graph.nodes if node.inputs]
    for node in graph.nodes:
        if not node.inputs:
            arrived[node.outputs[0]] = [0] * graph.streams[node.outputs[0]].beats
    loops = {node.name: folded.access(node) for node in nodes}
    costs = {node.name: folded.cost(node) for node in nodes}
    state = {node.name: {"iteration": 0, "free": 0, "read": [0] * len(node.inputs)} for node in nodes}
    masks = {name: ([p.mask() for p in loop.reads], [p.mask() for p in loop.writes]) for name, loop in loops.items()}
    cycle = 0
    while any(state[name]["iteration"] < loop.trips for name, loop in loops.items()):
        for node in nodes:
            own, loop = state[node.name], loops[node.name]
            step = own["iteration"]
            if step == loop.trips or cycle < own["free"]:
                continue
            reads, writes = masks[node.name]
            wanted = [i for i, mask in enumerate(reads) if mask[step]]
            times = [arrived[node.inputs[i]][own["read"][i] :][:1] for i in wanted]
            if any(not time or time[0] > cycle for time in times):
                continue
            for i in wanted:
                own["read"][i] += 1
            for name, mask in zip(node.outputs, writes, strict=True):
                if mask[step]:
                    arrived[name].append(cycle + costs[node.name].depth)
            own["iteration"] += 1
            own["free"] = cycle + costs[node.name].interval
        cycle += 1
        assert cycle < 100_000
    return arrived


@pytest.mark.parametrize("seed", range(9))
def test_schedule_is_the_play(make_random_design, seed):
    design = make_random_design(seed)
    times = schedule(design.folded, timed=True)
    played = play(design)
    sources = {node.outputs[0] for node in design.graph.nodes if not node.inputs}
    assert set(times.writes) == set(played) - sources
    for name, written in times.writes.items():
        assert written.tolist() == played[name], name
    assert design.latency == max(max(played[name]) for name in design.graph.outputs) + 1
    for name, read in times.reads.items():
        assert (read >= times.writes[name]).all()


def test_interval_of_the_slowest_node(make_random_design):
    design = make_random_design(0)
    assert design.interval == max(design.folded.access(node).trips for node in design.graph.nodes)
    assert design.cycles(design.bottleneck) == design.interval
    assert design.frames_per_second == pytest.approx(100e6 / design.interval)


def test_depth_of_a_chain_is_two(make_graph):
    graph = make_graph(Stream((2, 2, 4), 0, 3), Scale([2]), Scale([3]))
    streams = {name: stream.with_lanes(2) for name, stream in graph.streams.items()}
    folds = {"n0": Fold(2), "n1": Fold(2)}
    assert fifo_depths(Folded(replace(graph, streams=streams), folds, KERNELS)) == {"x": 2, "t0": 2, "t1": 2}


def test_depth_covers_what_a_window_holds_back():
    """The window's first output needs two rows and two pixels of the map: the straight branch holds as much."""
    nodes = [
        Node("fork", Fork(2), ("x",), ("a", "b")),
        Node("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1)), ("a",), ("w",)),
        Node("pool", WindowPool(9, "max"), ("w",), ("p",)),
        Node("add", AddJoin(), ("p", "b"), ("y",)),
    ]
    graph = with_nodes(Graph("g", (), {"x": Stream((5, 6, 1), 0, 3)}, ("x",), ("y",)), nodes)
    streams = {name: stream.with_lanes(1) for name, stream in graph.streams.items()}
    depths = fifo_depths(
        Folded(replace(graph, streams=streams), dict.fromkeys(["fork", "window", "pool", "add"], Fold()), KERNELS)
    )
    assert depths["b"] >= 2 * 6 + 1
    assert depths["p"] >= 2
    assert (depths["x"], depths["a"], depths["w"], depths["y"]) == (2, 2, 2, 2)


SEEDS = [4, 7, 13, 15, 18, 21]


@pytest.mark.parametrize("seed", SEEDS)
def test_depths_suffice(make_random_design, tmp_path, seed):
    """Three frames with exactly the depths: no deadlock, and every stream equals the graph's."""
    design = make_random_design(seed)
    project = write_project(design, tmp_path / "p")
    rng = np.random.default_rng(seed)
    images = {name: random_codes(design.graph.streams[name], 3, rng) for name in design.graph.inputs}
    muxflow.Project(project).csim(images, bounded=True)


def test_seeds_cover_the_joins(make_random_design):
    kinds = {node.op.kind for seed in SEEDS for node in make_random_design(seed).graph.nodes}
    assert {"ChannelSelect", "MuxJoin", "AddJoin", "OrJoin", "Concat", "Fork", "WidthConverter", "Pool"} <= kinds


@pytest.mark.parametrize("bounded", [False, True])
def test_a_kernel_that_swallows_data_is_no_deadlock_of_fifos(device, tmp_path, bounded):
    nodes = [Node("act", Threshold([[1]], [0]), ("x",), ("y",))]
    graph = with_nodes(Graph("g", (), {"x": Stream((6, 6, 2), 0, 3)}, ("x",), ("y",)), nodes)
    folds = {node.name: Fold() for node in graph.nodes}
    design = build_design(graph, folds, KERNELS, device=device, board="none", clock_mhz=100)
    project = write_project(design, tmp_path / "p")
    top = project.path / "src" / "top.cpp"
    text = top.read_text()
    assert "/*PIXELS*/ 72, /*CHANNEL_FOLD*/ 1" in text
    top.write_text(text.replace("/*PIXELS*/ 72, /*CHANNEL_FOLD*/ 1", "/*PIXELS*/ 71, /*CHANNEL_FOLD*/ 1"))
    with pytest.raises(MismatchError, match=r"not for want of room in FIFOs: .* waits for data on") as caught:
        muxflow.Project(project).csim(np.ones((2, 6, 6, 2), int), bounded=bounded)
    assert "bounded" not in str(caught.value) and "depth" not in str(caught.value)
    assert caught.value.execution == "csim (native)"


def test_too_shallow_is_a_named_deadlock(make_graph, device, tmp_path):
    nodes = [
        Node("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1), groups=2), ("x",), ("w",)),
        Node("pool", WindowPool(9, "max"), ("w",), ("p",)),
        Node("cat", Concat(), ("p", "x"), ("y",)),
    ]
    graph = insert_forks(with_nodes(Graph("g", (), {"x": Stream((6, 6, 2), 0, 3)}, ("x",), ("y",)), nodes))
    folds = {node.name: Fold() for node in graph.nodes if not node.op.folds_with_reader}
    design = build_design(graph, folds, KERNELS, device=device, board="none", clock_mhz=100)
    straight = design.graph.producers()["y"].inputs[1]
    images = np.ones((2, 6, 6, 2), int)
    shallow = replace(design, folded=replace(design.folded, depths={**design.depths, straight: 3}))
    project = write_project(shallow, tmp_path / "p")
    with pytest.raises(ToolError) as caught:
        run_csim(project, images, bounded=True)
    text = str(caught.value)
    assert "deadlock with bounded FIFOs" in text
    assert f"x_fork waits for room on s_{straight} (depth 3)" in text
    assert "cat waits for data on s_p (depth" in text
    np.testing.assert_array_equal(run_csim(project, images).outputs, graph(images))  # unbounded it runs
    muxflow.Project(write_project(design, tmp_path / "p")).csim(images, bounded=True)
