"""What binds: more of the resources that are named lets a faster design fit, and more of no other does."""

from dataclasses import replace

import numpy as np
import pytest

from muxflow.dataflow.errors import BudgetError
from muxflow.dataflow.fit.binding import find_binding
from muxflow.dataflow.fit.ceiling import find_ceiling
from muxflow.dataflow.fit.device import AMOUNTS, MOST_AMOUNT, Device, Resources, Utilisation
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.fit.goal import Goal
from muxflow.dataflow.fit.solver import Solver
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS


def convolution(most):
    """A convolution of codes of 8 bits: products in LUTs too where weights have 4 bits at most."""
    rng = np.random.default_rng(0)
    nodes = [
        Node("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1)), ("x",), ("v",)),
        Node("rom", RomWeights(rng.integers(-most, most + 1, (8, 9)), 1, 64), (), ("w",)),
        Node("conv", MatrixVector(1, 9), ("v", "w"), ("y",)),
        Node("act", Threshold([[0]], [0]), ("y",), ("z",)),
    ]
    return with_nodes(Graph("wide", (), {"x": Stream((8, 8, 1), 0, 255)}, ("x",), ("z",)), nodes)


@pytest.fixture(scope="module")
def graph():
    return convolution(7)


def fitted(graph, device, shares=None, **changes):
    return fit(graph, KERNELS, device=device, board="b", clock_mhz=100, utilisation=shares, **changes)


@pytest.mark.parametrize(
    ("most", "budget", "names", "together"),
    [
        (7, Resources(3000, 10**5, 100, 30), ("LUT", "DSP"), False),
        (7, Resources(3000, 3000, 100, 30), ("LUT", "FF"), True),
        (7, Resources(2500, 3000, 100, 30), ("LUT", "FF"), True),
        (100, Resources(2500, 10**5, 100, 30), ("LUT", "DSP"), True),
        (7, Resources(2500, 10**5, 100, 10**4), ("LUT",), False),
        (7, Resources(10**5, 3000, 100, 0), ("FF",), False),
        (7, Resources(10**5, 10**5, 100, 100), (), False),
    ],
)
def test_more_of_what_is_named_suffices_and_of_nothing_else(most, budget, names, together):
    solver = Solver(insert_forks(convolution(most)), KERNELS, {})
    cycles = solver.least()
    found = find_binding(solver, cycles, budget, budget)

    def fits(*lifted):
        more = {name.lower(): MOST_AMOUNT for name in lifted}
        return solver.solve(cycles, replace(budget, **more)) is not None

    if not names:
        assert found is None and fits()
        return
    assert (found.names, found.together, found.options) == (names, together, ())
    alone = [name.upper() for name in AMOUNTS if fits(name)]
    if together:
        assert not alone and fits(*names)
        assert not any(fits(*(set(names) - {name})) for name in names)
    else:
        assert alone == list(names)


@pytest.mark.parametrize(
    "device",
    [Device("p", luts, 10**5, 100, blocks) for luts, blocks in ((5000, 100), (5000, 300), (7000, 300), (9000, 300))],
)
def test_a_larger_share_that_is_named_makes_a_faster_design(graph, device):
    shares = Utilisation(0.5, 0.5, 0.1, 0.1, 0.1)
    design = fitted(graph, device, shares)
    told = find_ceiling(design)
    assert told.where == "budget", told
    for option, names in (("--lut", ("lut", "ff")), ("--bram", ("bram18", "dsp", "uram"))):
        larger = fitted(graph, device, replace(shares, **dict.fromkeys(names, 1.0)))
        assert (option in told.lifts) == (larger.slowest_cycles < design.slowest_cycles), (option, told)


def test_a_rate_beyond_all_folds_says_how_fast_any_are_and_what_faster_takes(graph):
    device = Device("p", 7000, 10**5, 100, 30)
    best = fitted(graph, Device("p", 10**6, 10**6, 1000, 1000))
    near = fitted(graph, device)
    assert best.slowest_cycles < near.slowest_cycles
    with pytest.raises(BudgetError) as met:
        fitted(graph, device, goal=Goal(fps=1e9))
    message = str(met.value)
    assert f"No folds reach it, whatever they take: the fastest do {best.frames_per_second:,.0f} frames/s" in message
    assert "LUT or DSP binds: faster takes more, such as" in message
    assert f"towards {best.frames_per_second:,.0f} frames/s choose a larger board" in message
    assert "does not help" not in message
