"""Energy of a frame and weights by kind: against counts by hand, and files of energies that are damaged."""

import os
from pathlib import Path

import numpy as np
import pytest

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.device import Device
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.lstm_cell import LstmCell
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.hls.kernels import KERNELS
from muxflow.reports.gather.energy import FILE, Energies, estimate_energy, published, read_energies
from muxflow.reports.gather.report import make_report
from muxflow.reports.gather.weights import weight_rows
from muxflow.reports.schema.rows import WeightKind

DEVICE = Device("xc7z020clg400-1", lut=10**6, ff=10**6, bram18=1000, dsp=1000)
SIMPLE = Energies("made up", {8: 1.0}, {8: 64.0}, {1: 64.0})
"""A picojoule a bit of memory and a product of one bit by one, an eighth a bit of an addition."""


def bank():
    """Four filters of 8 bits and eight ternary ones on six channels of 4 bits, for 10 pixels."""
    precise = np.full((4, 6), 127)
    ternary = np.tile([-1, 0, 1], (8, 2))
    nodes = [
        Node("wa", RomWeights(precise, 1, 10), (), ("wa",)),
        Node("a", MatrixVector(), ("x", "wa"), ("a",)),
        Node("wb", RomWeights(ternary, 1, 10), (), ("wb",)),
        Node("b", MatrixVector(), ("x", "wb"), ("b",)),
        Node("y", Concat(), ("a", "b"), ("y",)),
    ]
    graph = with_nodes(Graph("bank", (), {"x": Stream((2, 5, 6), 0, 15)}, ("x",), ("y",)), nodes)
    folds = {"a": Fold(4, 6), "b": Fold(4, 6), "y": Fold(4), "x_fork": Fold(6)}
    return build_design(insert_forks(graph), folds, KERNELS, device=DEVICE, board="b", clock_mhz=100)


def test_a_bank_is_one_layer_of_two_kinds():
    (row,) = weight_rows(bank())
    assert (row.layer, row.kinds) == ("y", (WeightKind(4, 6, 7), WeightKind(8, 6, 2)))
    assert (row.stored, row.uniform) == (4 * 6 * 7 + 8 * 6 * 2, 12 * 6 * 7)


def test_energy_is_counted_by_hand():
    design = bank()
    sums = [design.graph.streams[name].bits for name in ("a", "b")]
    parts = {part.kind: part for part in estimate_energy(design, SIMPLE)}
    assert (parts["products"].count, parts["products"].picojoules) == (240, 240 * 7 * 4)
    assert parts["additions"].count == 240 + 480
    assert parts["additions"].picojoules == 240 * sums[0] / 8 + 480 * sums[1] / 8
    # Rows of b in two parts: each beat of x is kept for the second.
    weights = 240 * 7 + 480 * 2
    assert (parts["weights, bits read"].count, parts["weights, bits read"].picojoules) == (weights, weights)
    assert parts["input buffers, bits"].count == 10 * 2 * 24
    fifos = sum(
        2 * design.graph.streams[name].elements * design.graph.streams[name].bits
        for node in design.graph.nodes
        for name in (*node.inputs, *(end for end in node.outputs if end in design.graph.outputs))
        if name in design.fifos
    )
    assert fifos == 4480 + 2 * 10 * 12 * 15, "what goes out waits in a FIFO too"
    assert parts["FIFOs, bits"].count == fifos
    report = make_report(design, energies=SIMPLE)
    assert report.energy_source == "made up"
    assert report.microjoules == pytest.approx(sum(part.picojoules for part in parts.values()) / 1e6)


def test_an_lstm_cell_is_counted_by_hand():
    """Two units, three steps: gates of 3 thresholds in 0..3 and -1..2, a state of 4 bits, binary weights."""
    op = LstmCell(np.tile([-1, 0, 1], (8, 1)), (0, 0, -1, 0), (1, 1), 1, (-7, 7), [[1], [2]])
    nodes = [
        Node("w", RomWeights(np.tile([-1, 1], (8, 1)), 1, 3), (), ("w",)),
        Node("h", op, ("x", "w"), ("h",)),
    ]
    graph = with_nodes(Graph("cell", (), {"x": Stream((3, 8), -2, 2)}, ("x",), ("h",)), nodes)
    design = build_design(graph, {"h": Fold(4, 2)}, KERNELS, device=DEVICE, board="b", clock_mhz=100)
    parts = {part.kind: part for part in estimate_energy(design, SIMPLE)}
    assert (parts["additions"].count, parts["weights, bits read"].count) == (3 * 16, 3 * 16)
    assert parts["additions"].picojoules == 3 * 16 * 3 / 8  # sums in -3..3
    # State by forget gate, input gate by cell gate, output gate by state: bits 4 x 2, 2 x 3, 2 x 4.
    assert (parts["products"].count, parts["products"].picojoules) == (3 * 2 * 3, 3 * 2 * (8 + 6 + 8))
    # Products of gate and state lie in -21..21.
    assert (parts["comparisons"].count, parts["comparisons"].picojoules) == (3 * 26, 3 * (24 * 3 + 2 * 6) / 8)


def test_published_energies():
    energies = published()
    assert energies.product(8, 8) == 0.2
    assert energies.product(8, 4) == pytest.approx(0.1)
    assert energies.product(32, 32) == 3.1
    assert energies.addition(8) == 0.03
    assert energies.addition(16) == pytest.approx(0.05)
    assert energies.addition(64) == pytest.approx(0.2)
    assert energies.access(64, 100) == energies.access(64, 8 * 8192) == 10
    assert energies.access(64, 8 * 8192 + 1) == 20
    assert energies.access(64, 10**9) == 100


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[add]", "[ad]", "lacks 'add'"),
        ("8 = 0.03", '8 = "x"', "picojoules are numbers from 0"),
        ("8 = 0.03", "8 = -1", "picojoules are numbers from 0"),
        ("8 = 0.03", "8 = nan", "picojoules are numbers from 0"),
        ("8 = 0.03", "8 = 1e308", "picojoules are numbers from 0 to 1e.12"),
        ("8 = 0.03", f"8 = 1{400 * '0'}", "picojoules are numbers from 0"),
        ("8 = 0.03", f"8 = {3_000 * '['}", "nested too deep"),
        ("8 = 0.03", "eight = 0.03", "sizes are whole numbers from 1"),
        ("8 = 0.03", "0 = 0.03", "sizes are whole numbers from 1"),
        ("8 = 0.03\n32 = 0.1", "", "expected picojoules by size"),
        ("8 = 0.03", "8 = ", "not a file of energies"),
        ('source = "45', 'source = 45 #"', "say in a line where the figures are from"),
    ],
)
def test_a_damaged_file_is_named(old, new, message, tmp_path: Path):
    file = tmp_path / "mine.toml"
    file.write_text(FILE.read_text().replace(old, new))
    with pytest.raises(MuxflowError, match=message) as error:
        read_energies(file)
    assert str(file) in str(error.value)


def test_a_file_that_is_absent_is_named(tmp_path: Path):
    with pytest.raises(MuxflowError, match=r"mine\.toml: not a file of energies"):
        read_energies(tmp_path / "mine.toml")
    os.mkfifo(tmp_path / "pipe.toml")
    with pytest.raises(MuxflowError, match=r"pipe\.toml: not a file of energies \(it is no file\)"):
        read_energies(tmp_path / "pipe.toml")
