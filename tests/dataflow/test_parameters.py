"""What a network stores of parameters: the same under every fold, and never more than the narrowest memories hold."""

from collections.abc import Callable

import numpy as np
import pytest
from conftest import residual_graph
from loaded_networks import forked
from networks import fusion, recurrent

from muxflow.dataflow.fit.candidates import groups
from muxflow.dataflow.fit.design import Design, build_design
from muxflow.dataflow.fit.device import Device
from muxflow.dataflow.fit.memory import PARAMETERS
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS
from muxflow.reports.gather.report import make_report
from muxflow.reports.schema.report import Report


def bank() -> Graph:
    """Two filters of 3 bits beside four of 1 bit, and thresholds that all channels share."""
    nodes = [
        Node("rom1", RomWeights(np.arange(8).reshape(2, 4) - 4, 1, 16), (), ("w1",)),
        Node("rom2", RomWeights(np.arange(16).reshape(4, 4) % 2 * 2 - 1, 1, 16), (), ("w2",)),
        Node("wide", MatrixVector(), ("x", "w1"), ("a",)),
        Node("thin", MatrixVector(), ("x", "w2"), ("b",)),
        Node("both", Concat(), ("a", "b"), ("c",)),
        Node("act", Threshold([[-20, -3, 0, 4, 7, 9, 30]], [0]), ("c",), ("y",)),
    ]
    return with_nodes(Graph("bank", (), {"x": Stream((4, 4, 4), 0, 7)}, ("x",), ("y",)), nodes)


def folded(graph: Graph, device: Device, which: float | int) -> Design:
    """Build a graph with all of its leaders at a share of their folds, narrow ones first, or at random ones."""
    generator = np.random.default_rng(int(which))

    def chosen(count: int) -> int:
        return round(which * (count - 1)) if which <= 1 else int(generator.integers(count))

    rows = {}
    for group in groups(graph, KERNELS):
        ordered = sorted((one.fold for one in group.candidates), key=lambda fold: (fold.operations, str(fold)))
        rows[group.leader.name] = ordered[chosen(len(ordered))]
    return build_design(graph, rows, KERNELS, device=device, board="b", clock_mhz=100)


def held(report: Report) -> int:
    return sum(report.memory_bits[kind] for kind in PARAMETERS)


@pytest.mark.parametrize("make", [residual_graph, forked, fusion, recurrent, bank])
def test_parameters_are_of_the_network_whatever_its_folds(make: Callable[[], Graph], device: Device) -> None:
    graph = insert_forks(make())
    reports = [make_report(folded(graph, device, which)) for which in (0, 0.5, 1, 2, 3, 4)]
    first = reports[0]
    assert first.parameter_bits == held(first) > 0
    for one in reports:
        assert one.parameter_bits == first.parameter_bits
        assert one.saved_bits == first.saved_bits
        assert one.weight_bits == first.weight_bits
        assert one.memory_bits["rom"] + one.memory_bits["loaded"] == one.weight_bits[0], "loaded weights are stored too"
        assert one.memory_bits["rom"] + one.memory_bits["loaded"] < one.parameter_bits


def test_copies_are_memory_and_no_parameters(device: Device) -> None:
    """Six channels of seven thresholds; pixels side by side search in copies of them."""
    graph = insert_forks(residual_graph())
    wide = make_report(folded(graph, device, 1))
    assert held(wide) > wide.parameter_bits
