"""The report as a page: what is drawn, and what a browser makes of it."""

import base64
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import browser
import pytest

from muxflow.reports.html.cards import cards, gauges
from muxflow.reports.html.charts import charts
from muxflow.reports.html.dataflow import draw
from muxflow.reports.html.page import to_html
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.rows import FifoRow, LayerRow
from muxflow.reports.schema.stages import Rung

PDFTOTEXT = shutil.which("pdftotext")


def test_every_node_and_every_fifo_is_drawn(whole: Report) -> None:
    drawing = draw(whole)
    boxes = {box.number: box for band in drawing.bands for box in band.boxes}
    assert sorted(boxes) == list(range(len(whole.nodes)))
    wires = {wire.title for band in drawing.bands for wire in band.wires}
    assert len(wires) == len(whole.fifos)
    assert [box.name for box in boxes.values() if box.slow] == [whole.bottleneck]
    assert [band.name for band in drawing.bands if band.slow] == [
        layer.name for layer in whole.layers if whole.bottleneck in layer.nodes
    ]
    fifo = whole.fifos[0]
    (told,) = (wire for wire in wires if wire.startswith(f"{fifo.writer} to {fifo.reader}: "))
    assert f"{fifo.width:,} bit, depth {fifo.depth:,}, {fifo.beats:,} beats a frame" in told


def test_no_boxes_overlap_and_wires_end_at_them(whole: Report) -> None:
    drawing = draw(whole)
    boxes = [box for band in drawing.bands for box in band.boxes]
    for n, one in enumerate(boxes):
        assert all(abs(one.x - other.x) >= 104 or abs(one.y - other.y) >= 38 for other in boxes[:n])
    corners = {str(box.number): (box.x, box.y) for box in boxes}
    for wire in (wire for band in drawing.bands for wire in band.wires if wire.reader != "host"):
        x, y = map(float, wire.path.rpartition("L")[2].split())
        left, top = corners[wire.reader]
        assert x == left and top < y < top + 38
    for band, after in zip(drawing.bands, drawing.bands[1:], strict=False):
        assert band.top + band.height == after.top


def _line(whole: Report, ends: list[tuple[str, str]]) -> Report:
    """A design of three nodes, each a layer, with FIFOs of those ends."""
    nodes = tuple(replace(whole.nodes[0], name=name) for name in "abc")
    layers = tuple(replace(whole.layers[0], name=name, nodes=(name,)) for name in "abc")
    fifos = tuple(FifoRow(str(n), *pair, 8, 4, 2, "fifo", "register") for n, pair in enumerate(ends))
    return replace(whole, nodes=nodes, layers=layers, fifos=fifos, bottleneck="a")


@pytest.mark.parametrize(
    "ends",
    [
        [],
        [("a", "b"), ("b", "c"), ("a", "c"), ("a", "c")],
        [("c", "a"), ("a", "a")],
        [("host", "c"), ("a", "host"), ("host", "host"), ("gone", "a")],
    ],
)
def test_any_ends_of_fifos_can_be_drawn(whole: Report, ends: list[tuple[str, str]]) -> None:
    drawing = draw(_line(whole, ends))
    drawn = {wire.title for band in drawing.bands for wire in band.wires}
    assert len(drawn) == len({pair for pair in ends if pair != ("host", "host")})
    assert len(drawing.bands) == 4


def test_nodes_of_unknown_layers_leave_the_page_whole(whole: Report) -> None:
    layers: tuple[LayerRow, ...] = tuple(replace(layer, nodes=("gone",)) for layer in whole.layers)
    assert draw(replace(whole, layers=layers)).bands[0].boxes == ()
    assert 'id="node-0"' in to_html(replace(whole, layers=layers))


def test_what_did_not_run_says_so(report: Report, whole: Report) -> None:
    bare = replace(report, accuracy=None, ladder=())
    assert {card.title for card in cards(bare) if card.value == "not run"} == {
        "accuracy", "bit for bit", "power", "measured rate",
    }  # fmt: skip
    assert [chart.title for chart in charts(bare) if not chart.bars] == [
        "Occupancy, % of the cycles",
        "One frame, cycles",
    ]
    told = {card.title: card for card in cards(whole)}
    assert told["measured rate"].look == "warn" and "stale" in told["measured rate"].what
    assert told["power"].look == "" and told["LUT"].value == "2,500"
    assert "implemented with Vivado 2022.2" in told["LUT"].what
    for status, look in (("differs", "bad"), ("stale", "warn"), ("equal but for ties", "warn"), ("equal", "good")):
        ladder = (Rung("a", "equal", 8, ""), Rung("b", status, 8, ""), Rung("c", "not run", 0, ""))
        card = next(card for card in cards(replace(whole, ladder=ladder)) if card.title == "bit for bit")
        assert (card.value, card.look) == (status, look)


def test_bars_of_the_device_are_shares_of_it(whole: Report) -> None:
    lut = next(gauge for gauge in gauges(whole) if gauge.name == "LUT")
    assert lut.used == pytest.approx(100 * whole.used["LUT"] / whole.available["LUT"], abs=0.01)
    assert lut.low < lut.used < lut.high < 100 and [mark.text for mark in lut.marks] == ["4,000", "2,500"]
    older = replace(whole, available={})
    assert [gauge.name for gauge in gauges(older)] == list(whole.used)
    assert list(gauges(replace(older, budget=dict.fromkeys(whole.used, 0), reserve={}))) == []


def test_bars_of_charts_add_up(whole: Report) -> None:
    found = {chart.anchor: chart for chart in charts(whole)}
    for layer, bar in zip(whole.layers, found["budget"].bars, strict=True):
        assert bar.value == f"{sum((layer.bits or {}).values()):,}"
        assert any(part.look == "generated" for part in bar.parts) == (layer.saved_bits > 0)
    assert [bar.value for bar in found["cycles"].bars] == [f"{layer.cycles:,}" for layer in whole.layers]
    assert max(part.x + part.length for bar in found["timeline"].bars for part in bar.parts) == pytest.approx(240)
    assert [bar.name for bar in found["cycles"].bars if bar.look == "marked"] == [
        layer.name for layer in whole.layers if whole.bottleneck in layer.nodes
    ]


def test_names_stay_text_in_every_place(wild: Report) -> None:
    text = to_html(wild)
    assert len(re.findall(r"<script", text)) == 1 and "<k" not in text and '|l"m' not in text and "\x1b" not in text
    orders = '"><img src=x onerror=alert(1)></title></text></script><!-- \x1b[31m [bold]red[/bold] {{ 7 * 7 }}'
    nodes = tuple(replace(row, name=f"{orders}{n}", kind=orders, parallel=orders) for n, row in enumerate(wild.nodes))
    names = {row.name: node.name for row, node in zip(wild.nodes, nodes, strict=True)}
    layers = tuple(replace(one, nodes=tuple(names[name] for name in one.nodes)) for one in wild.layers)
    fifos = tuple(
        replace(row, writer=names.get(row.writer, "host"), reader=names.get(row.reader, "host"), placement=orders)
        for row in wild.fifos
    )
    text = to_html(replace(wild, nodes=nodes, layers=layers, fifos=fifos))
    assert "<img" not in text and "\x1b" not in text and text.count("</script>") == 1 and "[bold]red" in text
    assert "{{ 7 * 7 }}" in text


def test_the_page_names_nothing_elsewhere(whole: Report) -> None:
    text = to_html(whole)
    assert not re.search(r"https?://|@import|url\((?!#)|<link|<img|src=", text)
    anchors = set(re.findall(r'\bid="([^"]+)"', text))
    assert len(anchors) == len(re.findall(r'\bid="', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= anchors


def _file(report: Report, folder: Path) -> Path:
    file = folder / "report.html"
    file.write_text(to_html(report), encoding="utf-8")
    return file


def _column(page: browser.Page, table: str, column: int) -> list[str]:
    rows = f"[...document.querySelectorAll('#{table} ~ .scroll')][0].querySelectorAll('tbody tr:not([hidden])')"
    found: list[str] = page.evaluate(f"[...{rows}].map(row => row.cells[{column}].textContent)")
    return found


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("name", ["report", "whole", "wild"])
def test_a_browser_shows_the_page(
    name: str, width: int, opened: browser.Browser, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    file = _file(request.getfixturevalue(name), tmp_path)
    with opened.open(file.as_uri(), width) as page:
        assert page.complaints == []
        assert page.requests == [file.as_uri()]
        assert page.overflow() == 0


def _filter_nodes(page: browser.Page, words: str) -> None:
    one = "document.querySelector('#nodes ~ .filter')"
    page.evaluate(f"{one}.value = '{words}'; {one}.dispatchEvent(new Event('input'))")


def test_tables_sort_and_filter(whole: Report, opened: browser.Browser, tmp_path: Path) -> None:
    with opened.open(_file(whole, tmp_path).as_uri()) as page:
        title = "document.querySelectorAll('#nodes ~ .scroll')[0].querySelectorAll('th [role=button]')[{}].click()"
        page.evaluate(title.format(5))
        cycles = [int(text.replace(",", "")) for text in _column(page, "nodes", 5)]
        assert len(set(cycles)) > 1 and cycles == sorted(cycles, reverse=True)
        page.evaluate(title.format(5))
        assert [int(text.replace(",", "")) for text in _column(page, "nodes", 5)] == cycles[::-1]
        page.evaluate(title.format(0))
        assert _column(page, "nodes", 0) == sorted((row.name for row in whole.nodes), key=str.lower)
        kind = whole.nodes[0].kind
        _filter_nodes(page, kind.upper())
        assert set(_column(page, "nodes", 2)) == {kind}
        assert page.complaints == []


def test_the_theme_switches_and_follows_the_system(whole: Report, opened: browser.Browser, tmp_path: Path) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    light, dark = "rgb(255, 255, 255)", "rgb(20, 23, 27)"
    with opened.open(_file(whole, tmp_path).as_uri()) as page:
        for scheme, wanted in (("dark", dark), ("light", light)):
            page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
            assert page.evaluate(colour) == wanted
        for wanted in (dark, light):
            page.evaluate("document.querySelector('.switch').click()")
            assert page.evaluate(colour) == wanted
        page.evaluate("localStorage.clear()")


def test_a_click_on_a_node_shows_it(whole: Report, opened: browser.Browser, tmp_path: Path) -> None:
    number = next(n for n, row in enumerate(whole.nodes) if row.name == whole.bottleneck)
    row = whole.nodes[number]
    with opened.open(_file(whole, tmp_path).as_uri()) as page:
        shown = "document.getElementById('details').hidden ? '' : document.getElementById('details').innerText"
        assert page.evaluate(shown) == ""
        click = "new MouseEvent('click', {bubbles: true, cancelable: true})"
        page.evaluate(f"document.querySelector('.node[data-node=\"{number}\"]').dispatchEvent({click})")
        text = page.evaluate(shown)
        assert all(word in text for word in (row.name, row.kind, row.parallel, f"{row.cycles:,}"))
        ends = [fifo for fifo in whole.fifos if row.name in (fifo.writer, fifo.reader)]
        assert text.count(" beats a frame") == len(ends) > 0
        assert page.evaluate("document.querySelectorAll('tr.chosen').length") == 1
        page.evaluate("document.querySelector('#details .close').click()")
        assert page.evaluate(shown) == "" and page.complaints == []


@pytest.mark.skipif(PDFTOTEXT is None, reason="no pdftotext here (Debian: apt-get install poppler-utils)")
def test_printed_pages_hold_every_column(whole: Report, opened: browser.Browser, tmp_path: Path) -> None:
    """Also where the reader filtered a table and chose dark."""
    with opened.open(_file(whole, tmp_path).as_uri()) as page:
        page.evaluate("document.querySelector('.switch').click()")
        _filter_nodes(page, "no such node")
        assert _column(page, "nodes", 0) == []
        cells = page.evaluate("[...document.querySelectorAll('th, td')].map(cell => cell.textContent)")
        page.send("Emulation.setEmulatedMedia", media="print")
        # A landscape A4 page less its margins is 1031 pixels wide.
        page.send("Emulation.setDeviceMetricsOverride", width=1031, height=700, deviceScaleFactor=1, mobile=False)
        wide = "[...document.querySelectorAll('table')].filter(one => one.getBoundingClientRect().right > innerWidth).length"
        assert page.evaluate(wide) == 0 and page.overflow() == 0
        made = page.send("Page.printToPDF", preferCSSPageSize=True, printBackground=True)["data"]
        page.evaluate("localStorage.clear()")
    file = tmp_path / "report.pdf"
    file.write_bytes(base64.b64decode(made))
    assert PDFTOTEXT is not None
    done = subprocess.run([PDFTOTEXT, "-raw", str(file), "-"], capture_output=True, text=True, check=True)
    text = re.sub(r"\s", "", done.stdout)
    assert {
        cell for cell in cells if re.sub(r"\s", "", cell) not in text and "█" not in cell and "░" not in cell
    } == set()
