"""The driver on the stand-in for a board (standin/standin_pynq.py): answers, counters, seeds, and every way to fail."""

import re
import sys
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
from standin_pynq import Board, Monitor

import muxflow
from muxflow.board.deploy import write_driver
from muxflow.board.driver import Accelerator, AcceleratorError, pynq_backend
from muxflow.board.driver import registers as r
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import load_weights, writable_seeds
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.hls.vitis.writing import write_project


def generated(seed=0):
    """A dense layer with generated weights and a read-out."""
    nodes = [
        Node("cells", AutomatonWeights(5, 12, 40, seed=seed, burn_in=24), (), ("w",)),
        Node("fc", MatrixVector(), ("x", "w"), ("y",)),
    ]
    graph = with_nodes(Graph("generated", (), {"x": Stream((1, 1, 12), 0, 7)}, ("x",), ("y",)), nodes)
    readout = Readout((0.5, 0.25, 0.5, 0.5, 1.0), (0.0, 1.0, 0.0, -1.0, 0.0), (4, 3, 2, 1, 0), (5,))
    return writable_seeds(replace(graph, readouts={graph.outputs[0]: readout}))


@pytest.fixture(scope="module")
def project(device, tmp_path_factory):
    design = fit(generated(), KERNELS, device=device, board="pynq-z2", clock_mhz=100)
    return write_project(design, tmp_path_factory.mktemp("p") / "p", options=ProjectOptions(seeds="writable"))


@pytest.fixture(scope="module")
def started(device, tmp_path_factory):
    """The same, started over AXI-Lite."""
    design = fit(generated(), KERNELS, device=device, board="pynq-z2", clock_mhz=100)
    options = ProjectOptions(control="s_axilite", seeds="writable")
    return write_project(design, tmp_path_factory.mktemp("s") / "s", options=options)


def deployed(project, folder):
    write_driver(project, folder)
    for suffix in ("bit", "hwh"):
        (folder / f"accelerator.{suffix}").write_text("")
    return folder


@pytest.fixture
def board(project, monkeypatch):
    board = Board(project)
    monkeypatch.setitem(sys.modules, "pynq", board.module())
    yield board
    board.emulator.close()


@pytest.fixture
def folder(project, tmp_path):
    return deployed(project, tmp_path / "deploy")


@pytest.fixture
def images():
    return np.random.default_rng(3).integers(0, 8, (11, 1, 1, 12))


@pytest.mark.parametrize("batch", [1, 2, 4, 11, 64])
def test_predicts_what_the_graph_says(board, folder, images, batch):
    graph = generated()
    with Accelerator(folder, batch=batch) as accelerator:
        np.testing.assert_array_equal(accelerator.run(images), graph(images))
        np.testing.assert_array_equal(accelerator.predict(images), graph.read_out(graph(images)))
        np.testing.assert_array_equal(accelerator.classify(images), graph.read_out(graph(images)).argmax(axis=1))
        assert accelerator.self_test() == 16
        assert board.downloads == 2  # one for the stand-in itself
    assert not board.memory


def test_started_over_axi_lite(started, tmp_path, images, monkeypatch):
    board = Board(started)
    monkeypatch.setitem(sys.modules, "pynq", board.module())
    with Accelerator(deployed(started, tmp_path / "deploy")) as accelerator:
        np.testing.assert_array_equal(accelerator.run(images), generated()(images))
    board.emulator.close()


def test_counters_and_measurement(board, folder, images, monkeypatch):
    with Accelerator(folder, batch=4) as accelerator:
        assert accelerator.counters().inputs[0].frames == 0
        accelerator.run(images)
        met = accelerator.counters()
        (taken,), (given,) = met.inputs, met.outputs
        assert (taken.frames, given.frames, taken.beats, given.beats) == (11, 11, 22, 11)
        assert met.latency_cycles == board.entry["latency_cycles"]
        board.monitors[0].counters["cycles"] = 2**40 + 5
        assert accelerator.counters().cycles == 2**40 + 5
        accelerator.clear_counters()
        assert accelerator.counters().latency_cycles is None
        monkeypatch.setattr(Monitor, "clock_hz", 100e6)
        measured = accelerator.measure(10)
        assert (measured.images, measured.measured_on) == (10, "board")
        assert measured.accelerator_latency_seconds == board.entry["latency_cycles"] / 100e6
        assert min(measured.frames_per_second, measured.packed_frames_per_second) > 0
        assert "latency of one image, in the accelerator: " in str(measured)
        assert measured.clock_mhz == pytest.approx(100, rel=0.01)
        assert "MHz measured, 100 MHz asked for" in str(measured)
        assert "WARNING" not in str(measured)
        # The clock that the processing system gives is another one than the design's.
        monkeypatch.setattr(Monitor, "clock_hz", 50e6)
        measured = accelerator.measure(10)
        assert measured.accelerator_latency_seconds == pytest.approx(board.entry["latency_cycles"] / 50e6, rel=0.01)
        assert "WARNING: the clocks differ by more than 1%." in str(measured)


def test_seeds(board, folder, images):
    """Weights are made ahead: the first frames after a write still come from the old start, and are not given back."""
    other = generated(seed=5)
    start = other.nodes[0].op.automaton.first_row()
    with Accelerator(folder, batch=4) as accelerator:
        stored = accelerator.seeds
        accelerator.write_seeds({"cells": start})
        assert accelerator.seeds == {"cells": tuple(start)}
        np.testing.assert_array_equal(accelerator.run(images), other(images))
        with pytest.raises(AcceleratorError, match=r"write_seeds\(\{\}\) brings them back"):
            accelerator.self_test()
        board.inject = "hang"
        accelerator._timeout = 0.05
        with pytest.raises(AcceleratorError, match="no answer"):
            accelerator.run(images)
        accelerator._timeout = 10.0
        np.testing.assert_array_equal(accelerator.run(images), other(images))
        accelerator.write_seeds({})
        assert accelerator.seeds == stored
        accelerator.self_test()


FAILURES = {
    "DMASlvErr": ((r.DMA_SEND, 1 << 5 | r.DMA_HALTED), r"DMA send \(MM2S\) status 0x00000021: DMASlvErr.*halted"),
    "DMADecErr": ((r.DMA_RECEIVE, 1 << 6 | r.DMA_HALTED), r"DMA receive \(S2MM\) status 0x00000041: DMADecErr"),
    "DMAIntErr": ((r.DMA_RECEIVE, 1 << 4 | r.DMA_HALTED), r"DMAIntErr \(internal error"),
    "halted": ((r.DMA_SEND, r.DMA_HALTED), r"DMA send \(MM2S\) status 0x00000001: halted"),
    "hang": (
        "hang",
        r"no answer within 0\.05 s(.|\n)*still running(.|\n)*took 0 words and gave 0; this transfer has 8 in",
    ),
    "truncated": ("truncated", r"cut short: 24 of 32 bytes came"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failed_transfer(board, folder, images, name):
    """Named by its status bits; the overlay is loaded anew and the next images are right."""
    inject, message = FAILURES[name]
    with Accelerator(folder, batch=4, timeout=0.05) as accelerator:
        before = board.downloads
        board.inject = inject
        with pytest.raises(AcceleratorError, match=message) as caught:
            accelerator.run(images)
        assert str(caught.value).startswith("generated: ") and "the overlay is loaded anew" in str(caught.value)
        assert board.downloads == before + 1
        np.testing.assert_array_equal(accelerator.run(images), generated()(images))


def test_interrupted_transfer(board, folder, images, monkeypatch):
    with Accelerator(folder, batch=4) as accelerator:

        def interrupt():
            raise KeyboardInterrupt

        monkeypatch.setattr(board, "transfer", interrupt)
        with pytest.raises(KeyboardInterrupt):
            accelerator.run(images)
        monkeypatch.undo()
        monkeypatch.setitem(sys.modules, "pynq", board.module())
        np.testing.assert_array_equal(accelerator.run(images), generated()(images))


def test_self_test_names_the_difference(board, folder, images):
    with np.load(folder / "self_test.npz") as arrays:
        stored = dict(arrays)
    stored["output"][3, 0, 0, 2] += 1
    np.savez(folder / "self_test.npz", **stored)
    with (
        Accelerator(folder) as accelerator,
        pytest.raises(AcceleratorError, match=r"1 of 16 images differ, first image 3 at \(0, 0, 2\): met"),
    ):
        accelerator.self_test()


def test_reset_that_does_not_end(board, folder, monkeypatch):
    monkeypatch.setattr(import_module("muxflow.board.driver.pynq_backend"), "RESET_SECONDS", 0.01)
    board.inject = "no reset"
    with pytest.raises(AcceleratorError, match="does not come out of reset"):
        Accelerator(folder)
    assert not board.memory


def test_bitstream_of_another_version(board, folder, monkeypatch):
    monkeypatch.setattr(r, "MONITOR_VERSION", 7)
    values = iter([r.MONITOR_IDENTIFICATION, 1])
    monkeypatch.setattr(Monitor, "read", lambda self, offset: next(values))
    with pytest.raises(AcceleratorError, match=r"0x4d58464d version 1; expected 0x4d58464d version 7"):
        Accelerator(folder)


def test_overlay_without_a_dma(board, folder, monkeypatch):
    monkeypatch.setattr(sys.modules["pynq"], "Overlay", lambda path: object())
    with pytest.raises(AcceleratorError, match="the overlay has no 'dma'"):
        Accelerator(folder)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Root permissions required."),
        SyntaxError("not well-formed (invalid token): line 1, column 0"),
        ValueError("Bitstream file is not for this device"),
        OSError(2, "No such file or directory", "/dev/xdevcfg"),
        MemoryError(),
    ],
)
def test_what_pynq_raises_is_an_error_of_the_driver(board, folder, monkeypatch, error):
    """Whatever of Python's it takes: where it loads, where it finds memory, and where it loads anew."""

    def refuse(*_, **__):
        raise error

    kind = re.escape(f"({type(error).__name__}: {error}); ")
    pynq = sys.modules["pynq"]
    for name, text in (
        ("Overlay", rf"cannot be loaded {kind}run as root"),
        ("allocate", rf"no contig.*{kind}use a sm"),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(pynq, name, refuse)
            with pytest.raises(AcceleratorError, match=text):
                Accelerator(folder)
    assert not board.memory
    with Accelerator(folder) as accelerator:
        monkeypatch.setattr(type(accelerator._backend._overlay), "download", refuse)
        with pytest.raises(AcceleratorError, match=rf"the overlay cannot be loaded anew {kind}restart the board"):
            accelerator._backend.reset()


@pytest.mark.parametrize(("name", "what"), [("dma", "DMAs cannot be set up"), ("monitor", "monitor cannot be read")])
def test_an_overlay_with_something_else_of_that_name(board, folder, monkeypatch, name, what):
    """As a hierarchy of another's block design, which has no registers."""
    usual = sys.modules["pynq"].Overlay

    def other(path):
        overlay = usual(path)
        setattr(overlay, name, object())
        return overlay

    monkeypatch.setattr(sys.modules["pynq"], "Overlay", other)
    with pytest.raises(AcceleratorError, match=rf"{what} \(AttributeError: .*; copy the whole deploy folder again"):
        Accelerator(folder)


@pytest.mark.parametrize("name", ["accelerator.bit", "accelerator.hwh"])
def test_missing_bit_file(board, folder, name):
    (folder / name).unlink()
    with pytest.raises(AcceleratorError, match=rf"{name}: no such file; `muxflow bitstream` makes it"):
        Accelerator(folder)


def test_without_pynq(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "pynq", None)
    with pytest.raises(AcceleratorError, match=r"pynq is not installed.*Accelerator\.emulate"):
        Accelerator(folder)


def stored(seed=0):
    rng = np.random.default_rng(seed)
    nodes = [
        Node("rom", RomWeights(2 * rng.integers(0, 2, (5, 12)) - 1), (), ("w",)),
        Node("fc", MatrixVector(), ("x", "w"), ("a",)),
        Node("rom2", RomWeights(np.append(rng.integers(-3, 4, (3, 5)), [[-3, 3, 0, 0, 0]], axis=0)), (), ("w2",)),
        Node("out", MatrixVector(), ("a", "w2"), ("y",)),
    ]
    return with_nodes(Graph("stored", (), {"x": Stream((1, 1, 12), 0, 7)}, ("x",), ("y",)), nodes)


@pytest.fixture(scope="module")
def loaded(device, tmp_path_factory):
    """A project whose weights are loaded."""
    design = fit(load_weights(stored()), KERNELS, device=device, board="pynq-z2", clock_mhz=100)
    return write_project(design, tmp_path_factory.mktemp("l") / "l", options=ProjectOptions(weights="loaded"))


@pytest.mark.parametrize("bytes_at_once", [8, 1 << 20])
def test_loads_weights(loaded, tmp_path, images, monkeypatch, bytes_at_once):
    """The built ones at first, others later, and again after the overlay was loaded anew."""
    monkeypatch.setattr(pynq_backend, "LOADED_BYTES", bytes_at_once)
    board = Board(loaded)
    monkeypatch.setitem(sys.modules, "pynq", board.module())
    folder, other = deployed(loaded, tmp_path / "deploy"), tmp_path / "other.weights"
    muxflow.Project(loaded).write_weights(stored(1), other)
    with Accelerator(folder) as accelerator:
        np.testing.assert_array_equal(accelerator.run(images), stored(0)(images))
        assert accelerator.self_test() == 16
        accelerator.load_weights(other)
        np.testing.assert_array_equal(accelerator.run(images), stored(1)(images))
        board.inject = "hang"
        accelerator._timeout = 0.01
        with pytest.raises(AcceleratorError, match="the overlay is loaded anew"):
            accelerator.run(images)
        assert not board.loaded
        accelerator._timeout = 10
        np.testing.assert_array_equal(accelerator.run(images), stored(1)(images))
    with Accelerator(folder, weights=other) as accelerator:
        np.testing.assert_array_equal(accelerator.run(images), stored(1)(images))
    assert not board.memory
    board.emulator.close()


def test_weights_that_do_not_arrive(loaded, tmp_path, images, monkeypatch):
    board = Board(loaded)
    monkeypatch.setitem(sys.modules, "pynq", board.module())
    folder = deployed(loaded, tmp_path / "deploy")
    board.inject = "weights spoilt"
    with pytest.raises(AcceleratorError, match="the checksum of the loaded weights is 0x"):
        Accelerator(folder)
    board.inject = None
    with Accelerator(folder, timeout=0.01) as accelerator:
        board.inject = "weights hang"
        with pytest.raises(AcceleratorError, match=r"stored: weights: no answer in time; .*\n  DMA dma_weights send"):
            accelerator.load_weights()
        board.inject = None
        accelerator._timeout = 10
        np.testing.assert_array_equal(accelerator.run(images), stored(0)(images))
    (folder / "weights.bin").unlink()
    with pytest.raises(AcceleratorError, match=r"weights\.bin: cannot be read"):
        Accelerator(folder)
    assert not board.memory
    board.emulator.close()
