"""Renderings of a report: golden text, and that every format says the same."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from muxflow.board.board import find_board
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit import folding
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.graph.graph import Graph
from muxflow.hls.kernels import KERNELS
from muxflow.reports.gather.report import make_report
from muxflow.reports.render import FORMATS, terminal, to_csv, to_html, to_json, to_latex, to_text, write_report
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.stages import Accuracy, Rung
from muxflow.reports.terminal import PlainConsole


@pytest.fixture(scope="module")
def design(residual: Graph) -> Design:
    board = find_board("pynq-z2")
    return folding.fit(residual, KERNELS, device=board.device, board=board.name, clock_mhz=board.clock_mhz)


@pytest.fixture(scope="module")
def report(design: Design) -> Report:
    ladder = (Rung("C simulation", "equal", 5, "7 tensors"), Rung("board", "not run", 0, "needs the board"))
    return make_report(design, ladder=ladder, accuracy=Accuracy("digits", "test", 8, 6), version="0")


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_rendering_is_as_recorded(report: Report, golden: Callable[[str, str], None], name: str) -> None:
    golden(f"report.{name}", FORMATS[name](report))


def test_totals_are_those_of_the_design(design: Design, report: Report) -> None:
    assert {**report.used, "URAM": 0} == dict(design.resources.items())  # a device without UltraRAM has no row for it
    assert sum(row.lut for row in report.nodes) <= report.used["LUT"]
    assert report.interval == max(row.cycles for row in report.nodes)
    assert report.latency > report.interval // 2
    bits = sum(sum(row.bits.values()) for row in report.nodes)
    # The FIFO after the host belongs to no node.
    assert bits + design.fifos[design.graph.inputs[0]].memory.bits == sum(report.memory_bits.values())
    assert report.frames_per_second == pytest.approx(100e6 / report.interval)
    assert report.latency_us == pytest.approx(report.latency / 100)


def test_margins_are_signed_and_say_what_they_are_for(design: Design, report: Report) -> None:
    assert "FIFO margins" not in to_text(report)
    bare = replace(design, fifos={name: replace(placed, lut=0) for name, placed in design.fifos.items()})
    margins = make_report(design, bare=bare).margins
    assert margins == {"LUT": sum(placed.lut for placed in design.fifos.values()), "FF": 0, "BRAM18": 0, "DSP": 0}
    found = replace(report, margins={"LUT": 1234, "FF": 0, "BRAM18": -2, "DSP": 0})
    wanted = "+1,234 LUT, +0 FF, -2 BRAM18 against none (estimate), for no deadlock at +8 stages and an interval within 1 % at +4"
    assert wanted in to_text(found)
    assert wanted in to_html(found)
    assert json.loads(to_json(found))["margins"]["BRAM18"] == -2


def test_json_carries_every_figure_and_what_it_is(report: Report) -> None:
    entry = json.loads(to_json(report))
    assert entry["interval"] == report.interval
    assert len(entry["nodes"]) == len(report.nodes)
    assert "estimate" in entry["figures"]


def test_csv_has_a_row_a_node_that_adds_up(design: Design, report: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert [row["name"] for row in rows] == [row.name for row in report.nodes]
    for kind, bits in report.memory_bits.items():
        host = design.fifos[design.graph.inputs[0]].memory.bits if kind == "fifo" else 0
        assert sum(int(row[f"{kind}_bits"]) for row in rows) + host == bits


def test_latex_escapes_names_and_balances_its_environments(report: Report) -> None:
    odd = replace(report, network="a_b%c&d#e")
    text = to_latex(odd)
    assert r"a\_b\%c\&d\#e" in text
    assert text.count(r"\begin{") == text.count(r"\end{") == 2
    table = text[text.index(r"\toprule") : text.index(r"\bottomrule")]
    for line in table.splitlines():
        if line.endswith(r"\\"):
            assert line.count("&") == 7


def test_html_is_well_formed_and_escapes(report: Report) -> None:
    text = to_html(replace(report, network="<script>"))
    assert "&lt;script&gt;" in text
    open_tags: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            if tag != "meta":
                open_tags.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Checker().feed(text)
    assert open_tags == []


def test_every_text_says_that_its_figures_are_estimates(report: Report) -> None:
    for text in (to_text(report), to_html(report), to_latex(report), to_json(report)):
        assert "estimate" in text


def test_a_short_report_lists_the_slowest_layers_and_how_many_there_are(report: Report) -> None:
    layers = [replace(report.layers[0], name=f"layer{cycles}", cycles=cycles) for cycles in (3, 9, 4, 8, 5, 7, 6)]
    console = PlainConsole(file=io.StringIO(), width=150, force_terminal=False)
    console.print(terminal(replace(report, layers=tuple(layers)), verbose=False))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert "the 5 slowest of 7 layers" in text
    assert re.findall(r"^layer(\d+)", text, re.MULTILINE) == ["9", "8", "7", "6", "5"]
    assert "memories in primitives" not in text and "shell and DMA" not in text


def test_every_node_is_in_one_layer_named_after_what_computes(report: Report) -> None:
    """Windows, weights and selects are of the layer that reads them, activations and plumbing of the one before."""
    layers = {layer.name: set(layer.nodes) for layer in report.layers}
    assert sorted(name for nodes in layers.values() for name in nodes) == sorted(row.name for row in report.nodes)
    assert list(layers) == ["conv", "mix", "join", "pool", "sum"]
    assert {"x_fork", "window", "weights", "conv", "act"} <= layers["conv"]
    assert {"cells", "mix", "act2"} <= layers["mix"]
    assert layers["join"] == {"select", "join"}
    for layer in report.layers:
        rows = [row for row in report.nodes if row.layer == layer.name]
        assert {row.name for row in rows} == set(layer.nodes)
        assert layer.cycles == max(row.cycles for row in rows)
        assert (layer.lut, layer.ff) == (sum(row.lut for row in rows), sum(row.ff for row in rows))
    conv = report.layers[0]
    (fold,) = (row.fold for row in report.nodes if row.name == "conv")
    assert (conv.title, conv.output, conv.fold) == ("conv 3x3, 2 groups", "6x6x6 uint3", fold)


def test_unknown_format_is_refused_and_nothing_is_written(report: Report, tmp_path: Path) -> None:
    with pytest.raises(MuxflowError, match="'docx'; supported: txt, html, json, csv, tex"):
        write_report(report, tmp_path, ("html", "docx"))
    assert list(tmp_path.iterdir()) == []


def test_written_twice_the_bytes_are_the_same(report: Report, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_report(report, tmp_path / "a")]
    second = [path.read_bytes() for path in write_report(report, tmp_path / "b")]
    assert first == second


def test_stages_stand_beside_the_estimates(report: Report) -> None:
    """What vendor tools said is in every format that people read, with the name of its tool."""
    rows = (("", "estimate", "synthesised with Vitis HLS 2022.2"), ("LUT", "1,234", "1,357"))
    shown = replace(report, stages=rows)
    for render in (to_text, to_html, to_latex, to_json):
        text = " ".join(render(shown).split())
        assert all(cell in text for row in rows for cell in row)
        assert "1,357" not in render(report)
    assert "none was synthesised" in to_html(report)
    assert "none was synthesised" not in to_html(shown)
