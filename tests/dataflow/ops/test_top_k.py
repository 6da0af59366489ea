"""Top-k."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

import muxflow
from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.graph import Readout
from muxflow.dataflow.graph.passes import append_top_k
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.top_k import TopK
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.writing import write_project


def slow(k):
    """Picks the largest that is left, k times; the first of equals."""

    def indices(x):
        y = np.zeros((*x.shape[:2], k), np.int64)
        for i in range(x.shape[0]):
            for j in range(x.shape[1]):
                left = list(range(x.shape[2]))
                for place in range(k):
                    best = left[0]
                    for c in left:
                        if x[i, j, c] > x[i, j, best]:
                            best = c
                    y[i, j, place] = best
                    left.remove(best)
        return (y,)

    return indices


def test_ladder(ladder):
    streams = [((1, 1, 1), 0, 1), ((2, 3, 5), -3, 3), ((1, 1, 10), -(2**35), 2**35), ((1, 2, 3), -9, -4)]
    kernels = 0
    for shape, lo, hi in [*streams, ((1, 1, 4), -(2**61), 2**61 - 1)]:
        for k in range(1, min(shape[2], 5) + 1):
            ladder.add(TopK(k), [Stream(shape, lo, hi)], slow(k), frames=8)
            kernels += 1
    # Every vector of four codes in -1..1: ties in every place.
    every = np.array(list(itertools.product(range(-1, 2), repeat=4))).reshape(1, 81, 1, 4)
    for k in (2, 4):
        ladder.add(TopK(k), [Stream((81, 1, 4), -1, 1)], slow(k), values=[every], tight=True)
    assert ladder.climb() == kernels + 2


def test_lower_index_wins_a_tie():
    assert TopK(3).compute(np.array([[[[3, 7, 7, 1]]], [[[-2, -2, -2, -2]]]]))[0].tolist() == [
        [[[1, 2, 0]]],
        [[[0, 1, 2]]],
    ]


def test_first_is_arg_max():
    x = np.random.default_rng(0).integers(-3, 4, (50, 2, 1, 7))
    np.testing.assert_array_equal(TopK(2).compute(x)[0][..., :1], ArgMax().compute(x)[0])


@pytest.mark.parametrize("k", [0, -1, 6])
def test_bad_k(k):
    with pytest.raises(GraphError, match=rf"k is {k}, the input has 5 channels; use 1\.\.5"):
        TopK(k).infer(Stream((1, 1, 5), 0, 3))


def test_pass(make_graph):
    graph = make_graph(Stream((1, 1, 5), -3, 3), TopK(5))
    logits = append_top_k(with_readout(graph, 0.5), 2)
    assert (logits.outputs, dict(logits.readouts), logits.streams["labels"].shape) == (("labels",), {}, (1, 1, 2))
    x = np.random.default_rng(0).integers(-3, 4, (9, 1, 1, 5))
    np.testing.assert_array_equal(logits(x), TopK(2).compute(graph(x))[0])
    with pytest.raises(GraphError, match="the input has 5 channels"):
        append_top_k(graph, 6)
    falling = append_top_k(with_readout(graph, -0.5), 2)
    codes = np.arange(-2, 3).reshape(1, 1, 1, 5)
    assert falling(codes).ravel().tolist() == append_top_k(graph, 5)(codes).ravel().tolist()[:2:-1]


def with_readout(graph, scale):
    return replace(graph, readouts={graph.outputs[0]: Readout((scale,) * 5, (0.0,) * 5, tuple(range(5)), (5,))})


def test_whole_project(make_graph, device, tmp_path):
    """Beats of k indices meet AXI words that k does not divide."""
    graph = append_top_k(make_graph(Stream((2, 2, 5), -3, 3), Scale([1, -2, 3, -1, 2])), 3)
    project = write_project(fit(graph, KERNELS, device=device, board="b", clock_mhz=100), tmp_path / "p")
    muxflow.Project(project).csim(np.random.default_rng(0).integers(-3, 4, (9, 2, 2, 5)), bounded=True)
