"""Periods of the cycle simulation that are skipped, against the simulation of every cycle."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from muxflow.dataflow.access import Pattern
from muxflow.dataflow.fit import timing_layout
from muxflow.dataflow.fit.folded import fold_graph
from muxflow.dataflow.fit.timing import Simulator
from muxflow.dataflow.fit.timing_layout import STYLES
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.hls.kernels import KERNELS


@pytest.fixture(scope="module")
def often():
    """Look for a recurring state more often than is worth it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing_layout, "FEWEST_CYCLES", 64)
        yield


def plain(simulator):
    return dataclasses.replace(simulator, skipping=False)


@pytest.mark.usefixtures("often")
@hypothesis_settings(max_examples=60)
@given(st.data())
def test_skipped_periods_change_nothing(make_random_design, data):
    """Long maps, any style, host, depths (deadlocks among them), and limits of the interval."""
    design = make_random_design(data.draw(st.integers(0, 60)), data.draw(st.integers(5, 200)))
    simulator = Simulator.of(design.folded, data.draw(st.sampled_from(STYLES)), data.draw(st.integers(0, 5)))
    nodes = simulator.layout.nodes.copy()
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    nodes[:, 1] += rng.integers(0, 4, len(nodes)) // 3
    simulator = dataclasses.replace(simulator, layout=dataclasses.replace(simulator.layout, nodes=nodes))
    if data.draw(st.booleans()):
        simulator = simulator.paced(int(simulator.slowest_cycles * data.draw(st.floats(1, 2))))
    kind = data.draw(st.sampled_from(["free", "given", "random", "random"]))
    depths = {
        "free": None,
        "given": design.depths,
        "random": {name: int(rng.integers(1, 2 + rng.choice([1, 2 * depth]))) for name, depth in design.depths.items()},
    }[kind]
    frames = data.draw(st.integers(1, 8))
    slowest = data.draw(st.none() | st.floats(0.9, 1.3).map(lambda share: share * simulator.slowest_cycles))
    every = plain(simulator).attempt(depths, frames, slowest=slowest, to_end=True)
    assert simulator.attempt(depths, frames, slowest=slowest, to_end=True) == every
    timing, waits = simulator.attempt(depths, frames, slowest=slowest)
    assert (waits is None) == (every[1] is None)
    if waits is None:
        assert (timing.completions, timing.high_water) == (every[0].completions, every[0].high_water)


@pytest.mark.parametrize("style", STYLES)
def test_time_does_not_grow_with_the_map(make_graph, style):
    """Ten million cycles a frame: every cycle of them would take seconds, and all patterns of them gigabytes."""
    rows = 200_000
    weights = Node("weights", RomWeights(np.ones((2, 18), int), 1, 4 * rows), (), ("w",))
    steps = [SlidingWindow((3, 3), pads=(1, 1, 1, 1)), weights, Node("sums", MatrixVector(1, 9), ("t0", "w"), ("s",))]
    graph = insert_forks(make_graph(Stream((rows, 4, 2), 0, 3), *steps, Pool((2, 2), "sum")))
    leaders = {node.name: Fold() for node in graph.nodes if not node.op.folds_with_reader}
    simulator = Simulator.of(fold_graph(graph, leaders, KERNELS), style)
    assert simulator.slowest_cycles > 10_000_000
    assert len(simulator.layout.runs) < 100
    bounded = dict.fromkeys(simulator.graph.streams, 2)
    for one, depths in ((simulator, None), (simulator, bounded), (simulator.paced(2 * simulator.slowest_cycles), None)):
        assert one.run(depths, 3).interval >= one.slowest_cycles


def test_a_pattern_in_the_place_of_a_run_is_played_there():
    inner = Pattern(((1, True), (2, False)), 4)
    pattern = Pattern(((3, False), inner, (5, True), (0, False), (2, True)))
    assert pattern.parts == ((((3, False),), 1), (((1, True), (2, False)), 4), (((7, True),), 1))
    assert (pattern.trips, pattern.beats, pattern.longest) == (22, 11, 7)
    assert pattern.mask().tolist() == [False] * 3 + [True, False, False] * 4 + [True] * 7
    twice = Pattern((inner, (1, False)), 2)
    assert len(twice.parts) == 1
    assert twice.mask().tolist() == ([True, False, False] * 4 + [False]) * 2
    assert Pattern(((3, True),), 5).parts == ((((15, True),), 1),)
    assert Pattern((inner,), 0).mask().tolist() == []
