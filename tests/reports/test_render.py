"""Renderings of a report: golden text, and that every format says the same."""

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from itertools import takewhile
from pathlib import Path

import pytest
from rich.text import Text

from muxflow.board.driver import results as driver
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.design import Design, build_design
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS
from muxflow.reports.compare import COMPARISONS
from muxflow.reports.figures.data import OF_ONE, accuracy
from muxflow.reports.gather.report import make_report
from muxflow.reports.html.page import to_html
from muxflow.reports.latex.kit import kit, to_latex
from muxflow.reports.latex.prior import read_prior
from muxflow.reports.render import RENDERINGS, check_formats, terminal, to_csv, to_json, to_text, write_report
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.stages import CLOCK_TOLERANCE
from muxflow.reports.side_by_side import Contender
from muxflow.reports.terminal import PlainConsole


@pytest.mark.parametrize("name", sorted(RENDERINGS))
def test_rendering_is_as_recorded(whole: Report, golden: Callable[[str, str], None], name: str) -> None:
    golden(f"report.{name}", RENDERINGS[name](whole))


def test_tables_and_figures_of_a_paper_are_as_recorded(whole: Report, golden: Callable[[str, str], None]) -> None:
    files = kit([whole, replace(whole, network="other")], read_prior())
    golden("kit.tex", "".join(f"%% {name}\n{text}" for name, text in sorted(files.items())))
    figures = {name: make(whole) for name, make in OF_ONE.items()} | {"accuracy": accuracy([whole])}
    golden("figures.csv", "".join(f"# {name}: {data.note}\n{data.to_csv()}" for name, data in figures.items()))


@pytest.mark.parametrize("name", sorted(COMPARISONS))
def test_a_comparison_is_as_recorded(
    whole: Report, report: Report, golden: Callable[[str, str], None], name: str
) -> None:
    builds = [
        Contender("whole", whole),
        Contender("bare", report, "no tool has run"),
        Contender("none", None, "not run: x"),
    ]
    golden(f"compare.{name}", COMPARISONS[name](builds))


def test_before_any_tool_has_run_every_format_says_so(report: Report) -> None:
    for name, render in RENDERINGS.items():
        assert name == "csv" or "not run" in render(report), name


def test_every_format_takes_every_name(wild: Report) -> None:
    for name, render in RENDERINGS.items():
        text = render(wild)
        assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in text or name == "json", name
    assert "<k>" not in to_html(wild)


def test_totals_are_those_of_the_design(design: Design, report: Report) -> None:
    assert {**report.used, "URAM": 0} == dict(design.resources.items())  # a device without UltraRAM has no row for it
    assert sum(row.lut for row in report.nodes) <= report.used["LUT"]
    assert report.interval == max(row.cycles for row in report.nodes)
    assert report.latency > report.interval // 2
    bits = sum(sum(row.bits.values()) for row in report.nodes)
    assert bits == sum(report.memory_bits.values())
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


@pytest.mark.parametrize(
    ("shape", "noted", "said"),
    [
        ((16, 2, 2, 1), "", "a frame or image here is a clip of 16 pictures"),
        ((1, 2, 2, 1), "no softmax", "no softmax; a frame or image here is a clip of 1 picture"),
        ((16, 2, 1), "no softmax", "no softmax"),
        ((16, 2, 1), "", ""),
    ],
)
def test_frames_of_a_network_on_clips_are_clips(design: Design, shape: tuple[int, ...], noted: str, said: str) -> None:
    node = Node("y", Threshold([[1]], [0]), ("x",), ("y",))
    graph = with_nodes(Graph("one", (), {"x": Stream(shape, 0, 3)}, ("x",), ("y",), notes={"remarks": noted}), [node])
    small = build_design(graph, {"y": Fold(1)}, KERNELS, device=design.device, board="b", clock_mhz=100)
    report = make_report(small)
    assert report.remarks == said
    assert said in to_text(report)


def test_json_carries_every_figure_and_what_it_is(report: Report) -> None:
    entry = json.loads(to_json(report))
    assert entry["interval"] == report.interval
    assert len(entry["nodes"]) == len(report.nodes)
    assert "estimate" in entry["figures"]


def test_csv_has_a_row_a_node_that_adds_up(report: Report) -> None:
    rows = list(csv.DictReader(io.StringIO(to_csv(report))))
    assert [row["name"] for row in rows] == [row.name for row in report.nodes]
    for kind, bits in report.memory_bits.items():
        assert sum(int(row[f"{kind}_bits"]) for row in rows) == bits


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


@pytest.mark.parametrize("kind", [str, Text])
def test_a_text_is_one_line_however_long(kind: type) -> None:
    """A path is copied from there: pytest's own folder in CI was long enough to break one."""
    console = PlainConsole(file=io.StringIO(), width=60, force_terminal=False)
    path = "/".join(["a folder"] * 40)
    console.print(kind(f"written: {path}"))
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue() == f"written: {path}\n"


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
    with pytest.raises(MuxflowError, match="'docx'; supported: txt, md, html, json, csv, tex"):
        write_report(report, tmp_path, ("html", "docx"))
    assert list(tmp_path.iterdir()) == []


def test_written_twice_the_bytes_are_the_same(report: Report, tmp_path: Path) -> None:
    first = [path.read_bytes() for path in write_report(report, tmp_path / "a")]
    second = [path.read_bytes() for path in write_report(report, tmp_path / "b")]
    assert first == second


def test_no_format_at_all_is_refused() -> None:
    with pytest.raises(MuxflowError, match="report format ''; supported"):
        check_formats(["", " "])


def test_stages_stand_beside_the_estimates(whole: Report, report: Report) -> None:
    """What vendor tools said is in every format that people read, with the name of its tool, what it is, and the error."""
    for render, said in ((to_text, "4,000"), (to_html, "4,000"), (to_latex, "4000")):
        text = " ".join(render(whole).split())
        assert all(word in text for word in ("synthesised", "implemented", "stale", "unfinished", said)), render
    assert "Vitis HLS 2022.2" in to_html(whole)
    estimate = report.used["LUT"]
    assert f"2,500 (4.7 %; {100 * (estimate / 2500 - 1):+.0f} %)" in to_text(whole)
    assert "none was synthesised" in to_html(report)
    assert "none was synthesised" not in to_html(whole)
    assert "the run has not ended" in to_html(whole)


def test_a_measured_clock_that_is_another_is_warned_of(whole: Report) -> None:
    seen = whole.measured
    assert seen is not None and CLOCK_TOLERANCE == driver.CLOCK_TOLERANCE
    for clock, warned in ((99.9, False), (50.0, True), (None, False)):
        for place in ("board", "emulator"):
            one = replace(whole, measured=replace(seen, clock_mhz=clock, measured_on=place))
            text = to_text(one)
            assert ("WARNING: another clock" in text) == warned
            assert ("WARNING: at 50.00 MHz, not the 100 MHz asked for" in to_html(one)) == warned
            assert ("measured clock" in text) == (clock is not None)
            assert f"of one image as the host sees it, on the {place}, stale" in text


def test_markdown_tables_are_whole(whole: Report) -> None:
    lines = RENDERINGS["md"](whole).splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) > 100
    starts = [n for n, line in enumerate(lines) if line.startswith("|") and not lines[n - 1].startswith("|")]
    for start in starts:
        width = len(re.findall(r"(?<!\\)\|", lines[start]))
        for line in takewhile(lambda line: line.startswith("|"), lines[start:]):
            assert len(re.findall(r"(?<!\\)\|", line)) == width
