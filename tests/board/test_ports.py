"""Designs of several inputs and outputs from the graph to the board: emulator, deploy folder, driver, block design."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from standin_hls import component
from standin_pynq import Board
from standin_tcl import run_script
from standin_vivado import Vivado

from muxflow.board.bitstream import vendor_tcl
from muxflow.board.bitstream.vendor_tcl import write_scripts
from muxflow.board.board import find_board
from muxflow.board.deploy import write_driver
from muxflow.board.driver import Accelerator, AcceleratorError
from muxflow.board.driver.interface import read_interface
from muxflow.board.execution import DriverExecution
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.hls.vitis.writing import write_project
from muxflow.proof.compare import compare

READOUT = Readout((0.5,) * 5, (0.0, 1.0, 0.0, -1.0, 0.0), (4, 3, 2, 1, 0), (5,))
LEFT, RIGHT = Stream((1, 1, 12), 0, 7), Stream((1, 1, 12), -300, 100)


def dense(name, source, target, rows, columns):
    weights = np.random.default_rng(rows).integers(-2, 2, (rows, columns))
    return [
        Node(f"{name}_rom", RomWeights(weights), (), (f"{name}_w",)),
        Node(name, MatrixVector(), (source, f"{name}_w"), (target,)),
    ]


def two_inputs():
    """Late fusion: the sum of two inputs through a dense layer."""
    nodes = [Node("join", AddJoin(), ("left", "right"), ("sum",)), *dense("fc", "sum", "logits", 5, 12)]
    graph = with_nodes(Graph("fusion", (), {"left": LEFT, "right": RIGHT}, ("left", "right"), ("logits",)), nodes)
    return replace(graph, readouts={"logits": READOUT})


def two_outputs():
    """Two heads: logits that the host reads, and a class that leaves the chip."""
    nodes = [*dense("a", "left", "logits", 5, 12), *dense("b", "left", "scores", 3, 12)]
    nodes.append(Node("arg_max", ArgMax(), ("scores",), ("head/class",)))
    graph = with_nodes(Graph("heads", (), {"left": LEFT}, ("left",), ("logits", "head/class")), nodes)
    return replace(graph, readouts={"logits": READOUT})


GRAPHS = {"two inputs": two_inputs, "two outputs": two_outputs}
PORTS = {
    "two inputs": (["input_left", "input_right"], ["output"]),
    "two outputs": (["input"], ["output_logits", "output_head_class"]),
}


@pytest.fixture(scope="module")
def projects(device, tmp_path_factory):
    folder = tmp_path_factory.mktemp("projects")
    made = {}
    for name, graph in GRAPHS.items():
        design = fit(graph(), KERNELS, device=device, board="pynq-z2", clock_mhz=100)
        options = ProjectOptions(control="s_axilite")
        made[name] = write_project(design, folder / name.replace(" ", "_"), options=options)
    return made


def batch(graph, count=9):
    generator = np.random.default_rng(3)
    streams = {name: graph.streams[name] for name in graph.inputs}
    return {
        name: generator.integers(one.lo, one.hi, (count, *one.shape), endpoint=True) for name, one in streams.items()
    }


def as_tuple(codes):
    return codes if isinstance(codes, tuple) else (codes,)


@pytest.mark.parametrize("name", GRAPHS)
def test_emulator_equals_the_graph(projects, name):
    graph = GRAPHS[name]()
    images = batch(graph)
    expected = graph(images)
    with Accelerator.emulate(projects[name].path, batch=4) as accelerator:
        for met, wanted in zip(as_tuple(accelerator.run(images)), as_tuple(expected), strict=True):
            np.testing.assert_array_equal(met, wanted)
        for met, wanted in zip(as_tuple(accelerator.predict(images)), as_tuple(graph.read_out(expected)), strict=True):
            np.testing.assert_array_equal(met, wanted)
        assert accelerator.self_test() == 16
        (outcome,) = compare(graph, [DriverExecution(accelerator, graph, "emulator")], images).outcomes
        assert (outcome.images, outcome.codes) == (9, sum(codes.size for codes in as_tuple(expected)))
        counters = accelerator.counters()
        assert {one.frames for one in (*counters.inputs, *counters.outputs)} == {9 + 9 + 16 + 9}


def test_a_wrong_batch_is_named(projects):
    images = batch(two_inputs())
    with Accelerator.emulate(projects["two inputs"].path) as accelerator:
        with pytest.raises(AcceleratorError, match=r"fusion: batches of different sizes \(9 of left, 8 of right\)"):
            accelerator.run({**images, "right": images["right"][:8]})
        with pytest.raises(AcceleratorError, match=r"fusion: one array for 2 inputs"):
            accelerator.run(images["left"])


def test_classes(projects):
    graph = two_outputs()
    images = batch(graph)["left"]
    logits, label = graph(images)
    with Accelerator.emulate(projects["two outputs"].path) as accelerator:
        first, second = accelerator.classify(images)
        np.testing.assert_array_equal(first, READOUT(logits).argmax(axis=1))
        np.testing.assert_array_equal(second, label.reshape(-1))
        np.testing.assert_array_equal(accelerator.classify(images, output="head/class"), second)


@pytest.mark.parametrize("name", GRAPHS)
def test_deploy_folder_on_a_board(projects, monkeypatch, tmp_path, name):
    graph = GRAPHS[name]()
    images = batch(graph)
    write_driver(projects[name], tmp_path)
    for suffix in ("bit", "hwh"):
        (tmp_path / f"accelerator.{suffix}").write_text("")
    interface = read_interface(tmp_path)
    assert [port.name for port in interface.ports] == [*graph.inputs, *graph.outputs]
    inputs, outputs = PORTS[name]
    assert [port.port for port in interface.ports] == [*inputs, *outputs]
    assert [port.answer for port in interface.outputs] == ["logits", "label"][: len(outputs)]
    board = Board(projects[name])
    monkeypatch.setitem(sys.modules, "pynq", board.module())
    with Accelerator(tmp_path, batch=4) as accelerator:
        for met, wanted in zip(as_tuple(accelerator.run(images)), as_tuple(graph(images)), strict=True):
            np.testing.assert_array_equal(met, wanted)
        assert accelerator.self_test() == 16
    board.emulator.close()


@pytest.mark.parametrize("name", GRAPHS)
def test_block_design(projects, tmp_path, name):
    """The scripts of a real project: its ports, its test vectors, its registers."""
    project = projects[name]
    inputs, outputs = PORTS[name]
    write_scripts(project, find_board("pynq-z2"), tmp_path)
    ip = tmp_path / vendor_tcl.hls_results("script") / "impl" / "ip" / "component.xml"
    ip.parent.mkdir(parents=True)
    pins = [[f"{port}_r" if len(ports) == 1 else port for port in ports] for ports in (inputs, outputs)]
    ip.write_text(component("muxflow", "hls", project.names.top, "1.0", True, *pins))
    vivado = Vivado()
    assert run_script(tmp_path / "block_design.tcl", vivado.commands()) == 0
    assert {"dma", "dma_1", "monitor", "monitor_1"} < set(vivado.cells)
    assert vivado.links["/accelerator/s_axi_control"] == "/control/M04_AXI"
    config = (tmp_path / "hls_config.cfg").read_text()
    for line in config.splitlines():
        if line.startswith("tb.file="):
            assert (project.path / "bitstream" / line.partition("=")[2]).resolve().is_file()
    assert config.count("tb.file=../tb/") == 1 + len(inputs) + len(outputs)
