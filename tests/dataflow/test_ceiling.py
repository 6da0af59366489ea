"""What stops a design from being faster: each cause on a network made for it."""

from dataclasses import replace

import numpy as np
import pytest
from networks import recurrent

from muxflow.dataflow.fit.ceiling import find_ceiling
from muxflow.dataflow.fit.device import Device
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.fit.goal import Asked, Goal
from muxflow.dataflow.fit.timing import Timing
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import load_weights
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS


def convolution(size=12, channels=1, rows=4, bits=1):
    rng = np.random.default_rng(0)
    op = SlidingWindow((3, 3), pads=(1, 1, 1, 1))
    nodes = [
        Node("window", op, ("x",), ("v",)),
        Node("rom", RomWeights(rng.integers(-1, 2, (rows, 9 * channels)), 1, size * size), (), ("w",)),
        Node("conv", MatrixVector(1, 9), ("v", "w"), ("y",)),
        Node("act", Threshold([[0]], [0]), ("y",), ("z",)),
    ]
    x = Stream((size, size, channels), 0, (1 << bits) - 1)
    return with_nodes(Graph("convolution", (), {"x": x}, ("x",), ("z",)), nodes)


def dense(rows, columns, *more):
    weights = np.random.default_rng(0).integers(-1, 2, (rows, columns))
    nodes = [Node("rom", RomWeights(weights), (), ("w",)), Node("fc", MatrixVector(), ("x", "w"), ("y",)), *more]
    graph = Graph("dense", (), {"x": Stream((1, 1, columns), 0, 1)}, ("x",), (nodes[-1].outputs[0],))
    return with_nodes(graph, nodes)


def ceiling(graph, device, goal=None):
    return find_ceiling(fit(graph, KERNELS, device=device, board="b", clock_mhz=100, goal=goal))


@pytest.mark.parametrize(
    ("graph", "luts", "where", "why"),
    [
        (convolution(17, rows=1), 10**6, "window", "a window takes a pixel of its groups a cycle, 289 a frame"),
        (
            convolution(rows=1),
            10**6,
            "input port x",
            "8 elements of 8 bits a cycle of a port of 64 bits, 18 cycles a frame",
        ),
        (convolution(channels=8, rows=32), 5000, "budget", " LUT that an estimate may come to, and less than"),
        (dense(1, 64), 10**6, "input port x", "8 elements of 8 bits a cycle of a port of 64 bits, 8 cycles a frame"),
        (dense(1024, 8), 10**6, "output port y", "8 elements of 8 bits a cycle"),
        (dense(30, 8, Node("top", ArgMax(), ("y",), ("z",))), 10**6, "top", "its parallelism is exhausted"),
        (convolution(5, 512, 64, 8), 10**6, "conv", "a stream of 12,288 bits, and the tools allow 4,096"),
        (
            convolution(4, 512, 64, 8),
            10**6,
            "conv",
            "(PE 8 SIMD 128 pixels 4) is at the limit of 4,096 unrolled operations",
        ),
    ],
)
def test_causes(graph, luts, where, why):
    device = Device("part", luts, 4 * luts, 1000, 1000)
    found = ceiling(graph, device)
    assert found.where == where, found
    assert why in found.why
    assert found.lifts


@pytest.mark.parametrize(
    ("columns", "why", "lifts"),
    [
        (
            64,
            "8 elements of 8 bits a cycle of a port of 64 bits, 8 cycles a frame",
            "a smaller input of a multiple of 8",
        ),
        (
            63,
            "1 element of 8 bits a cycle of a port of 64 bits (at most 8, and only as many as divide the 63 elements of a "
            "frame), 63 cycles a frame",
            "an input of a multiple of 8",
        ),
        (60, "4 elements of 8 bits a cycle of a port of 64 bits (at most 8", "an input of a multiple of 8"),
    ],
)
def test_a_port_says_which_sizes_are_faster(columns, why, lifts):
    """A smaller input whose elements eight do not divide is slower: 63 take longer than 64."""
    found = ceiling(dense(1, columns), Device("part", 10**6, 4 * 10**6, 1000, 1000))
    assert found.where == "input port x" and found.why.startswith(why)
    assert found.lifts == f"a faster clock, or {lifts} elements"
    longer = ceiling(dense(1, 64 if columns < 64 else 56), Device("part", 10**6, 4 * 10**6, 1000, 1000))
    cycles = [int(one.why.rpartition(", ")[2].split()[0]) for one in (longer, found)]
    assert cycles[0] < cycles[1]


def test_a_rate_that_was_asked_for_is_no_ceiling():
    graph, device = convolution(channels=4, rows=8), Device("part", 10**6, 10**6, 100, 100)
    rate, latency = (ceiling(graph, device, goal) for goal in (Goal(fps=1000), Goal(latency=1e-3)))
    assert rate.where == latency.where == "what was asked for"
    assert rate.lifts == "a higher --fps"
    assert latency.lifts == "a shorter --latency-ms"


def waiting(asked, style="flushing"):
    """A design whose interval is longer than its slowest node."""
    device = Device("part", 10**6, 10**6, 100, 100)
    design = fit(convolution(channels=4, rows=8), KERNELS, device=device, board="b", clock_mhz=100)
    slow = 2 * design.slowest_cycles
    completions = tuple(slow * frame for frame in range(1, 9))
    timing = Timing(completions, {}, {}, completions[-1], style)
    found = find_ceiling(replace(design, timing=timing, asked=asked))
    assert f"{slow:,} cycles a frame where the slowest node takes {design.slowest_cycles:,}" in found.why
    return found


def test_fifos_that_make_nodes_wait_are_what_was_asked_for():
    """And nothing is advised that was not asked for; of a project of an older version it is not known what was."""
    assert waiting(Asked(Goal(fps=1000))).lifts == "a higher --fps"
    assert waiting(Asked(Goal(), 10)).lifts == "a smaller --slowdown"
    assert waiting(Asked(Goal())).where == "fill of the pipelines"
    assert waiting(None).lifts == "a higher --fps or a smaller --slowdown, where one was given"
    assert waiting(Asked(Goal()), "drained").where == "pipelines of the tool"


def test_of_a_project_of_an_older_version_both_are_named():
    device = Device("part", 10**6, 10**6, 100, 100)
    design = fit(convolution(channels=4, rows=8), KERNELS, device=device, board="b", clock_mhz=100, goal=Goal(fps=1000))
    found = find_ceiling(replace(design, asked=None))
    assert found.where == "what was asked for, or FIFOs"
    assert "where one was given, else more room for FIFOs" in found.lifts
    assert find_ceiling(replace(design, asked=Asked(Goal()))).where == "FIFOs"


def test_what_no_map_makes_faster_is_lifted_by_fewer_elements():
    graph = dense(30, 8, Node("top", ArgMax(), ("y",), ("z",)))
    assert ceiling(graph, Device("part", 10**6, 10**6, 10, 10)).lifts == "a faster clock, or fewer elements"


def test_what_computes_on_the_steps_of_an_lstm_is_lifted_by_fewer_steps():
    """No pool or stride stands before a recurrent layer: a sequence of fewer steps is what is shorter."""
    found = ceiling(recurrent(), Device("part", 10**6, 10**6, 10, 10))
    assert (found.where, found.lifts) == ("cell", "a faster clock, or fewer steps")


def test_a_flattened_map_of_one_channel_comes_as_fast_as_the_port():
    """28 x 28 pixels behind a quantizer: the port's 98 cycles, not one value a cycle."""
    rng = np.random.default_rng(0)
    nodes = [
        Node("act", Threshold([[100, 100]], [0], -1), ("x",), ("c",)),
        Node("rom", RomWeights(rng.choice([-1, 1], (64, 784))), (), ("w",)),
        Node("fc", MatrixVector(), ("c", "w"), ("y",)),
        Node("act2", Threshold([[0]], [0]), ("y",), ("z",)),
    ]
    graph = with_nodes(Graph("tfc", (), {"x": Stream((28, 28, 1), 0, 255)}, ("x",), ("z",)), nodes)
    design = fit(graph, KERNELS, device=Device("part", 10**5, 10**6, 280, 220), board="b", clock_mhz=100)
    assert design.slowest_cycles == 98
    assert find_ceiling(design).where == "input port x"


def test_weights_in_ultra_ram_lift_what_block_ram_binds():
    graph = dense(512, 512)
    without, beside = (Device("part", 11_000, 10**5, 34, 100, uram=uram) for uram in (0, 16))
    found = [ceiling(graph, device) for device in (without, beside)]
    assert all("BRAM18 that an estimate may come to" in one.why for one in found), found
    assert [one.lifts.endswith("weights in UltraRAM, loaded at run time (--weights loaded)") for one in found] == [
        False,
        True,
    ]
    loaded = ceiling(load_weights(graph), beside)
    assert "--weights" not in loaded.lifts
