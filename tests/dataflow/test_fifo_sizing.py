"""FIFO depths by cycle simulation."""

import numpy as np
import pytest

from muxflow.dataflow.design import build_design, with_depths
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fifo_sizing import SHALLOW, SLACK, size_fifos, steady_state
from muxflow.dataflow.folding import fit
from muxflow.dataflow.timing import DeadlockError, simulate
from muxflow.hls.csim import verify
from muxflow.hls.project import load_project, write_project


@pytest.mark.parametrize("seed", range(10))
def test_sized_fifos_keep_the_interval_of_unbounded_ones(make_random_design, seed):
    design = make_random_design(seed)
    sized = size_fifos(design.graph, design.folds, simulations=30)
    frames = len(sized.timing.completions)
    free = simulate(design.graph, design.folds, None, frames=frames)
    assert sized.best_interval == free.interval
    proof = simulate(design.graph, design.folds, sized.depths, frames=frames)
    assert proof.interval <= free.interval * SLACK
    assert proof.completions == sized.timing.completions
    assert set(sized.depths) == set(design.graph.streams)
    assert min(sized.depths.values()) >= SHALLOW
    assert sized.simulations <= 30


def test_with_runs_enough_no_deep_fifo_can_be_much_smaller(residual, device):
    design = fit(residual, device=device, board="b", clock_mhz=100)
    sized = size_fifos(design.graph, design.folds, simulations=500)
    frames = len(sized.timing.completions)
    deep = {name: depth for name, depth in sized.depths.items() if depth > 2 * SHALLOW}
    assert deep
    for name, depth in deep.items():
        # Bisection stops at a sixteenth: an eighth less must be too little.
        try:
            shallower = simulate(
                design.graph, design.folds, {**sized.depths, name: depth - max(2, depth // 8)}, frames=frames
            )
        except DeadlockError:
            continue
        else:
            assert shallower.interval > sized.best_interval * SLACK, name
    more = size_fifos(design.graph, design.folds, simulations=10)
    bits = {
        label: sum(depth * design.graph.streams[name].beat_bits for name, depth in one.depths.items())
        for label, one in (("many", sized), ("few", more))
    }
    assert bits["many"] <= bits["few"]


def test_a_sized_design_is_faster_than_a_conservative_one_and_still_right(residual, device, tmp_path):
    design = fit(residual, device=device, board="b", clock_mhz=100)
    assert design.timing is None
    assert design.interval == design.slowest_cycles
    before = steady_state(design.graph, design.folds, design.depths)
    sized = size_fifos(design.graph, design.folds)
    after = with_depths(design, sized.depths, sized.timing)
    assert after.interval <= before.interval
    assert after.latency == sized.timing.latency
    project = write_project(after, tmp_path / "project")
    again = load_project(tmp_path / "project")
    assert dict(again.design.depths) == dict(sized.depths)
    assert (again.design.interval, again.design.latency) == (after.interval, after.latency)
    assert again.design.resources == after.resources
    stream = residual.streams[residual.input]
    images = np.random.default_rng(0).integers(stream.lo, stream.hi + 1, (3, *stream.shape))
    assert len(verify(project, images, bounded=True).outputs) == 3


def test_depths_of_other_streams_are_refused(residual, device):
    design = fit(residual, device=device, board="b", clock_mhz=100)
    leaders = {node.name: design.folds[node.name] for node in design.graph.nodes if not node.op.follows}
    graph = design.graph
    with pytest.raises(GraphError, match=r"FIFO depths for other streams .*nothing"):
        build_design(graph, leaders, device=device, board="b", clock_mhz=100, depths={**design.depths, "nothing": 2})
