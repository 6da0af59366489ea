"""Networks with several inputs or outputs: graph, projects, C simulation, driver emulation, cycle simulation."""

import re
from pathlib import Path

import numpy as np
import pytest
from networks import NETWORKS, batch, crossed, each

import muxflow
from muxflow.dataflow.errors import ToolError
from muxflow.dataflow.fit.design import build_design, with_depths
from muxflow.dataflow.fit.device import Device
from muxflow.dataflow.fit.timing import DeadlockError, simulate
from muxflow.dataflow.fit.timing_layout import SINK, SOURCE
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.window_pool import WindowPool
from muxflow.hls.kernels import KERNELS


def equal(met: IntArray | tuple[IntArray, ...], expected: IntArray | tuple[IntArray, ...]) -> None:
    assert isinstance(met, tuple) == isinstance(expected, tuple)
    for one, other in zip(each(met), each(expected), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture(scope="module", params=NETWORKS)
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Graph, muxflow.Project]:
    graph = NETWORKS[request.param]()
    return graph, muxflow.write(muxflow.fit(graph), tmp_path_factory.mktemp(request.param) / "project")


def test_the_graph_is_its_parts() -> None:
    """An output does not depend on what else leaves the graph, nor a branch on what enters beside it."""
    graph = crossed()
    codes = batch(graph, 5)
    pooled, marks = graph(codes)
    equal(graph((codes["spectrum"], codes["image"])), (pooled, marks))
    nodes = [node for node in graph.nodes if node.name != "pool"]
    equal(with_nodes(graph, nodes, outputs=("codes",))(codes), marks)
    np.testing.assert_array_equal(pooled, marks.reshape(5, 2, 2, 2, 2, 4).sum(axis=(2, 4)))
    sums = graph.run(codes, keep=("a", "b", "both"))
    np.testing.assert_array_equal(sums["a"] + sums["b"], sums["both"])


def test_every_way_to_run_a_network_gives_the_same(written: tuple[Graph, muxflow.Project]) -> None:
    graph, project = written
    codes = batch(graph, 7)
    expected = graph(codes)
    equal(project.design.graph(codes), expected)
    equal(project.csim(codes).outputs, expected)
    equal(project.csim(codes, bounded=True).outputs, expected)
    equal(project.csim(codes, bounded=True, verify=False, jobs=3).outputs, expected)
    arrays = tuple(codes.values())
    equal(project.csim(arrays if len(arrays) > 1 else arrays[0]).outputs, expected)


@pytest.mark.needs("hls4ml")
def test_with_the_types_of_the_vendor(written: tuple[Graph, muxflow.Project]) -> None:
    graph, project = written
    codes = batch(graph, 3)
    equal(project.csim(codes, "reference", bounded=True).outputs, graph(codes))


@pytest.mark.parametrize("size", [64, 3, 1])
def test_the_driver_gives_the_same(written: tuple[Graph, muxflow.Project], size: int) -> None:
    """In one transfer, in odd ones with a last one that is not full, and image by image."""
    graph, project = written
    codes = batch(graph, 7)
    expected = graph(codes)
    given = codes if len(codes) > 1 else codes[graph.inputs[0]]
    with project.emulate(batch=size) as accelerator:
        assert tuple(port.name for port in accelerator.interface.inputs) == graph.inputs
        assert tuple(port.name for port in accelerator.interface.outputs) == graph.outputs
        equal(accelerator.run(given), expected)
        equal(accelerator.predict(given), graph.read_out(expected))
        assert accelerator.self_test() > 0


def test_ports_are_named_in_a_simulation(written: tuple[Graph, muxflow.Project]) -> None:
    graph, project = written
    design = project.design
    timing = simulate(design.folded, design.depths, frames=4)
    hosts = [name for name in timing.nodes if name.startswith("host")]
    expected = {
        "fusion": [f"{SOURCE} image", f"{SOURCE} spectrum", SINK],
        "heads": [SOURCE, f"{SINK} logits", f"{SINK} labels"],
        "crossed": [f"{SOURCE} spectrum", f"{SOURCE} image", f"{SINK} pooled", f"{SINK} codes"],
    }[graph.name]
    # The host reads what a width converter makes of an output.
    assert [re.sub(r"_to\d+$", "", name) for name in hosts] == expected
    assert {*design.graph.inputs, *design.graph.outputs} <= set(timing.high_water)


def skip() -> Graph:
    """A map that meets its own pools, then a second input; two outputs."""
    nodes = [
        Node("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1), groups=2), ("x",), ("w",)),
        Node("pools", WindowPool(9, "max"), ("w",), ("p",)),
        Node("cat", Concat(), ("p", "x"), ("c",)),
        Node("add", AddJoin(), ("c", "u"), ("y",)),
        Node("label", ArgMax(), ("y",), ("z",)),
    ]
    inputs = {"x": Stream((6, 6, 2), 0, 3), "u": Stream((6, 6, 4), 0, 15)}
    return insert_forks(with_nodes(Graph("skip", (), inputs, ("x", "u"), ("z", "y")), nodes))


def test_a_deadlock_of_several_ports(tmp_path: Path, device: Device) -> None:
    """What all ports wait for is told, and with the depths that free the ring every frame leaves by both outputs."""
    graph = skip()
    folds = {node.name: Fold() for node in graph.nodes if not node.op.folds_with_reader}
    design = build_design(graph, folds, KERNELS, device=device, board="none", clock_mhz=100)
    straight = design.graph.producers()["c"].inputs[1]
    shallow = {**design.depths, straight: 2}
    with pytest.raises(DeadlockError, match=f"waits for room on {straight} \\(depth 2\\)") as caught:
        simulate(design.folded, shallow, frames=3)
    freed = {**shallow, **caught.value.depths}
    assert len(simulate(design.folded, freed, frames=3).completions) == 3
    codes = batch(graph, 3)
    project = muxflow.write(with_depths(design, shallow, None), tmp_path / "shallow")
    with pytest.raises(ToolError, match="deadlock with bounded FIFOs") as refused:
        project.csim(codes, bounded=True)
    for line in (
        "host_input_x waits for room on input_x (depth 2)",
        "host_input_u waits for room on input_u (depth 2)",
        "host_output_z waits for data on output_z (depth 2)",
        "host_output_y waits for data on output_y (depth 2)",
        f"x_fork waits for room on s_{straight} (depth 2)",
    ):
        assert line in str(refused.value)
    equal(project.csim(codes).outputs, graph(codes))  # unbounded it runs
    project = muxflow.write(with_depths(design, freed, None), tmp_path / "freed")
    equal(project.csim(codes, bounded=True).outputs, graph(codes))
