"""Recurrent layers that go on from frame to frame: the driver begins them anew, whenever the hardware reads its register."""

import sys

import numpy as np
import pytest
from standin_pynq import Board

from muxflow.board.deploy import write_driver
from muxflow.board.driver import Accelerator, AcceleratorError
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import carry_state, load_weights
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.lstm_cell import LstmCell
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.csim import run_csim
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.hls.vitis.writing import write_project

SHAPE = (2, 1, 8)


def counting(seed):
    """Two cells of two units side by side, whose states change slowly."""
    rng = np.random.default_rng(seed)
    nodes = [Node("fork", Fork(2), ("x",), ("left", "right"))]
    for name in ("left", "right"):
        thresholds = np.sort(rng.integers(-4, 5, (8, 3)), axis=1)
        cell = LstmCell(thresholds, (0, 2, -1, 1), (2, 3), 2, (-60, 60), np.sort(rng.integers(-9, 30, (2, 3)), axis=1))
        nodes += [
            Node(f"{name} weights", RomWeights(rng.integers(-1, 2, (8, 2)), 1, 2), (), (f"{name}_w",)),
            Node(f"{name} cell", cell, (name, f"{name}_w"), (f"{name}_y",)),
        ]
    streams = {"x": Stream(SHAPE, -3, 3)}
    return carry_state(with_nodes(Graph("counting", (), streams, ("x",), ("left_y", "right_y")), nodes))


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).integers(-3, 4, (6, *SHAPE))


@pytest.fixture(scope="module", params=["stored", "loaded"])
def project(request, device, tmp_path_factory):
    weights = request.param
    graph = counting(0) if weights == "stored" else load_weights(counting(0))
    design = fit(graph, KERNELS, device=device, board="pynq-z2", clock_mhz=100)
    folder = tmp_path_factory.mktemp(weights) / "project"
    return write_project(design, folder, options=ProjectOptions(weights=weights))


@pytest.fixture(params=["early", "late", "emulator"])
def accelerator(request, project, tmp_path, monkeypatch):
    if request.param == "emulator":
        with Accelerator.emulate(project.path, batch=2) as accelerator:
            yield accelerator
        return
    board = Board(project)
    board.early = request.param == "early"
    monkeypatch.setitem(sys.modules, "pynq", board.module())
    write_driver(project, tmp_path / "deploy")
    for suffix in ("bit", "hwh"):
        (tmp_path / "deploy" / f"accelerator.{suffix}").write_text("")
    with Accelerator(tmp_path / "deploy", batch=2) as accelerator:
        accelerator.board = board
        yield accelerator
    board.emulator.close()


def check(accelerator, graph, images, before=()):
    """The answer is that of a sequence that has had so many images before."""
    count = len(images)
    whole = graph(np.concatenate([*before, images]))
    for met, expected in zip(accelerator.run(images), whole, strict=True):
        np.testing.assert_array_equal(met, expected[-count:])


def test_sequences(accelerator, images):
    graph = counting(0)
    assert any((graph(images)[i][1] != graph(images[1:])[i][0]).any() for i in range(2))
    check(accelerator, graph, images[:3])
    check(accelerator, graph, images[3:5], [images[:3]])
    for count in (1, 2, 1, 1, 4):  # frames of either number, odd and even
        accelerator.reset_state()
        check(accelerator, graph, images[:count])
    check(accelerator, graph, images[4:], [images[:4]])
    accelerator.reset_state()
    accelerator.reset_state()
    check(accelerator, graph, images)
    assert accelerator.self_test() > 1
    check(accelerator, graph, images[1:2])
    accelerator.measure(3)
    check(accelerator, graph, images[2:])
    check(accelerator, graph, images[:1], [images[2:]])
    if accelerator.interface.weights is not None:
        for again in range(2):
            accelerator.load_weights()
            accelerator.reset_state()
            check(accelerator, graph, images[again:])


def test_an_error_begins_a_sequence(accelerator, images):
    graph = counting(0)
    check(accelerator, graph, images[:3])
    accelerator.reset_state()
    check(accelerator, graph, images[:2])
    accelerator._timeout = 1e-9
    if hasattr(accelerator, "board"):
        accelerator.board.inject = "hang"
    with pytest.raises(AcceleratorError, match="no answer"):
        accelerator.run(images)
    accelerator._timeout = 10.0
    check(accelerator, graph, images[1:])
    accelerator.reset_state()
    check(accelerator, graph, images)


@pytest.mark.parametrize("variant", ["native", pytest.param("reference", marks=pytest.mark.needs("hls4ml"))])
def test_the_frame_that_the_register_names(project, images, variant):
    """Bit 0: whether its number is odd; bit 1: whether there is one. It holds its value, and only one frame begins anew."""
    graph = counting(0)
    nodes = [state.node for state in project.states]
    for cells in [(0, 0), (1, 0), (0, 1), (1, 1)]:
        met = run_csim(project, images, variant, seeds=dict.fromkeys(nodes, cells)).outputs
        named = 1 if cells == (1, 1) else 0
        parts = zip(*(graph(part) for part in (images[:named], images[named:]) if len(part)), strict=True)
        for one, expected in zip(met, map(np.concatenate, parts), strict=True):
            np.testing.assert_array_equal(one, expected)


def test_registers(project):
    assert [(state.node, state.text, state.offset, state.frames_ahead) for state in project.states] == [
        ("left cell", "00", 0x20, 1),
        ("right cell", "00", 0x28, 1),
    ]
    assert project.seeds == ()
    with pytest.raises(MuxflowError, match="no weights are generated"):
        write_project(project.design, project.path.parent / "other", options=ProjectOptions(seeds="writable"))
