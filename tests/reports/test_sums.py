"""A reader of a report adds its rows up and divides its numbers: totals are sums, and efficiencies can be found again."""

import csv
import io
from collections.abc import Sequence

import numpy as np
import pytest
from networks import crossed, recurrent

from muxflow.board.board import find_board
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.resize import Resize
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.hls.kernels import KERNELS
from muxflow.reports import tables
from muxflow.reports.figures.data import load, memory
from muxflow.reports.gather.report import make_report
from muxflow.reports.latex.tables import layer_tables, memory_tables
from muxflow.reports.latex.tex import TexTable
from muxflow.reports.render import to_csv
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.rows import KIND_TITLES, KINDS


def report_of(graph: Graph, folds: dict[str, Fold]) -> Report:
    board = find_board("pynq-z2")
    forked = insert_forks(graph)
    every = {node.name: folds.get(node.name, Fold()) for node in forked.nodes if not node.op.folds_with_reader}
    return make_report(build_design(forked, every, KERNELS, device=board.device, board=board.name, clock_mhz=100))


def grouped() -> Graph:
    """A convolution in groups and one of three pixels side by side."""
    nodes = [
        Node("w1", SlidingWindow((1, 1), groups=2), ("x",), ("v1",)),
        Node("rom1", RomWeights(np.arange(8).reshape(4, 2) - 4, 2, 18), (), ("m1",)),
        Node("groups", MatrixVector(2, 1), ("v1", "m1"), ("a",)),
        Node("rom2", RomWeights(np.arange(12).reshape(3, 4) - 6, 1, 18), (), ("m2",)),
        Node("pixels", MatrixVector(), ("a", "m2"), ("y",)),
    ]
    return with_nodes(Graph("grouped", (), {"x": Stream((3, 6, 4), 0, 7)}, ("x",), ("y",)), nodes)


REPORTS = {
    "grouped": lambda: report_of(grouped(), {"groups": Fold(2, 2, 2), "pixels": Fold(1, 2, pixels=3)}),
    "crossed": lambda: report_of(crossed(), {}),
    "recurrent": lambda: report_of(recurrent(), {}),
}


@pytest.fixture(params=sorted(REPORTS))
def made(request: pytest.FixtureRequest) -> Report:
    return REPORTS[request.param]()


def column(table: TexTable, title: str) -> int:
    return next(n for n, one in enumerate(table.columns) if str(one.title).replace("\n", "") == title)


def summed(rows: Sequence[Sequence[object]], place: int) -> int:
    return sum(int(row[place]) for row in rows if row[place] is not None)  # type: ignore[call-overload]


def test_layers_and_nodes_add_up_to_what_the_design_takes(made: Report) -> None:
    for name, amount in made.used.items():
        for rows in (made.layers, made.nodes, made.functions):
            assert sum(getattr(row, name.lower()) for row in rows) == amount, name
    for kind, bits in made.memory_bits.items():
        assert sum((layer.bits or {}).get(kind, 0) for layer in made.layers) == bits
        assert sum(node.bits.get(kind, 0) for node in made.nodes) == bits
        for node in made.nodes:
            held = sum(row.bits for row in made.memory_plan.rows if row.node == node.name and row.kind == kind)
            assert held == node.bits.get(kind, 0)


def test_rows_of_the_tables_of_a_paper_add_up_to_their_totals(made: Report) -> None:
    for table in layer_tables(made):
        (total,) = table.totals
        for name in ("MAC", "MAC/cycle", "LUT", "BRAM18"):
            place = column(table, name)
            assert summed(table.rows, place) == total[place], name
    few, many = memory_tables(made)
    for table in (few, many):
        bits = {str(row[0]): row[column(table, "bits")] for row in table.rows}
        assert bits == {KIND_TITLES[kind]: found for kind, found in made.memory_bits.items() if found}


def test_figures_and_csv_add_up_to_the_design(made: Report) -> None:
    for kind in KINDS:
        assert sum(int(bits or 0) for bits in memory(made).column(kind)) == made.memory_bits[kind]
    for name in ("LUT", "BRAM18"):
        assert sum(int(amount or 0) for amount in load(made).column(name)) == made.used[name]
    rows = list(csv.DictReader(io.StringIO(to_csv(made))))
    for name, amount in made.used.items():
        assert sum(int(row[name.lower()]) for row in rows) == amount
    for kind, bits in made.memory_bits.items():
        assert sum(int(row[f"{kind}_bits"]) for row in rows) == bits


def test_the_terminal_adds_up_to_the_design(made: Report) -> None:
    held = tables.contents(tables.nodes(made).renderables[-1])  # type: ignore[arg-type]
    titles = [title for title, _ in held.columns]
    layers = [row for row in held.rows if not row[0].startswith("  ")]
    for name, amount in made.used.items():
        assert sum(int(row[titles.index(name)].replace(",", "")) for row in layers) == amount


def test_efficiency_can_be_found_again_from_each_row(made: Report) -> None:
    for table in layer_tables(made):
        macs, products, share = (column(table, name) for name in ("MAC", "MAC/cycle", "eff.(\\%)"))
        rows = [row for row in (*table.rows, *table.totals) if row[products] is not None]
        assert rows
        for row in rows:
            number, parallel, percent = row[macs], row[products], row[share]
            assert isinstance(number, int) and isinstance(parallel, int) and isinstance(percent, float)
            assert 100 * number / (made.interval * parallel) == pytest.approx(percent)
            assert percent <= 100
    held = tables.contents(tables.layers(made).renderables[-1])  # type: ignore[arg-type]
    titles = [title for title, _ in held.columns]
    for texts in held.rows:
        named = dict(zip(titles, texts, strict=True))
        number, parallel = (int(named[name].replace(",", "")) for name in ("MAC", "MAC a cycle"))
        assert f"{100 * number / (made.interval * parallel):.0f} %" == named["efficiency"]


def test_products_side_by_side_are_counted() -> None:
    rows = {layer.name: layer.matrix for layer in REPORTS["grouped"]().layers}
    groups, pixels = rows["groups"], rows["pixels"]
    assert groups is not None and pixels is not None
    assert (groups.pe, groups.simd, groups.parallel) == (2, 2, 8)
    assert (pixels.pe, pixels.simd, pixels.parallel) == (1, 2, 6)


def test_zeros_between_the_pixels_of_a_transposed_convolution_are_no_macs() -> None:
    """Kernel 2, stride 2 on 4 x 4 pixels of 8 channels: 16 products with each pixel's channel and filter, of 64 done."""
    nodes = [
        Node("up", Resize((2, 2), (), "insert"), ("x",), ("u",)),
        Node("window", SlidingWindow((2, 2), pads=(1, 1, 1, 1)), ("u",), ("a",)),
        Node("w", RomWeights(np.full((3, 32), 2), 1, 64), (), ("w",)),
        Node("conv", MatrixVector(pixels=4), ("a", "w"), ("y",)),
    ]
    graph = with_nodes(Graph("up", (), {"x": Stream((4, 4, 8), 0, 3)}, ("x",), ("y",)), nodes)
    made = report_of(graph, {"conv": Fold(3, 8)})
    useful = 4 * 4 * 8 * 3 * 4
    conv = next(layer for layer in made.layers if layer.name == "conv")
    assert conv.macs == made.operations == useful
    assert conv.efficiency(made.interval) == made.efficiency == useful / (24 * made.interval)
    assert made.efficiency is not None and made.efficiency <= 0.25
    products = next(part for part in made.energy if part.kind == "products")
    assert products.count == 4 * useful  # those with zeros take energy, too
