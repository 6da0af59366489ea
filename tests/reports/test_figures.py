"""Figures for papers: what they show, fonts that publishers take, no titles, and the same bytes each time."""

import csv
import io
import re
import sys
import xml.etree.ElementTree as ElementTree
import zlib
from dataclasses import replace
from pathlib import Path

import pytest

from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.processes import completed, python
from muxflow.reports.figures.data import OF_ONE, accuracy, frontier, memory, occupancy, roofline, timeline
from muxflow.reports.figures.draw import DRAWINGS
from muxflow.reports.figures.files import draw_figures, plot_frontier
from muxflow.reports.figures.style import COLOURS, VECTOR, WIDTHS, Data, check_ending, drawn, short
from muxflow.reports.schema.report import Report


def test_the_data_are_those_of_the_report(whole: Report) -> None:
    bits = memory(whole)
    assert bits.column("layer") == [layer.name for layer in whole.layers]
    assert sum(bits.column("generated")) == whole.saved_bits
    assert sum(bits.column("rom")) == whole.memory_bits["rom"]
    for row, layer in zip(occupancy(whole).rows, whole.layers, strict=True):
        assert layer.activity is not None
        assert row[1:] == (layer.activity.busy, layer.activity.starved, layer.activity.blocked)
    assert max(timeline(whole).column("end")) <= whole.latency + 1
    rows = frontier(whole).rows
    assert [row[0] for row in rows] == ["frontier"] * 3 + ["this design", "budget"]
    assert rows[0][1:] == (1e6, 900, 4)
    cycles = {row.name: row.cycles for row in whole.nodes}
    for name, weight_bits, bandwidth, possible, read, done in roofline(whole).rows:
        layer = next(one for one in whole.layers if one.name == name)
        assert layer.matrix is not None and name in cycles, "the layers of this network are called as what computes"
        assert done <= possible and possible <= bandwidth / weight_bits * 16  # several pixels meet the same weights
        assert bandwidth == layer.matrix.read_bits / cycles[name], "not of a converter or a window that is slower"
        assert read == layer.matrix.read_bits / whole.interval and done == layer.macs / whole.interval
    (row,) = accuracy([whole, replace(whole, accuracy=None)]).rows
    assert row[:4] == ("residual", 75.0, whole.parameter_bits, 2500)


def test_csv_says_what_is_not_known_by_an_empty_cell() -> None:
    text = Data(("a", "b"), (("=1+1", None), ("x\x1b", 2.5))).to_csv()
    assert list(csv.reader(io.StringIO(text))) == [["a", "b"], ["'=1+1", ""], ["x?", "2.5"]]


def fonts_of(pdf: bytes) -> set[bytes]:
    """The kinds of fonts in a PDF, those in compressed objects too."""
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", pdf, re.DOTALL)
    inflated = []
    for stream in streams:
        try:
            inflated.append(zlib.decompress(stream))
        except zlib.error:
            continue
    return set(re.findall(rb"/Subtype\s*/(Type\d|TrueType|CIDFontType\d)", b"".join([pdf, *inflated])))


@pytest.mark.needs("matplotlib")
@pytest.mark.parametrize("name", sorted(DRAWINGS))
@pytest.mark.parametrize("width", WIDTHS.values())
def test_a_figure_is_vector_of_its_width_with_type_42_fonts_and_no_title(
    name: str, width: float, whole: Report, wild: Report
) -> None:
    for one in (whole, wild) if width < 5 else (whole,):
        data = accuracy([one, replace(one, network="other")]) if name == "accuracy" else OF_ONE[name](one)
        made = drawn(DRAWINGS[name], data, width, VECTOR)
        assert b"Type3" not in fonts_of(made[".pdf"])
        assert fonts_of(made[".pdf"]) & {b"CIDFontType2", b"TrueType"}
        box = re.search(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", made[".pdf"])
        assert box is not None and float(box[1]) == pytest.approx(72 * width, abs=1)
        assert float(box[2]) < 72 * 9, "no higher than a page"
        root = ElementTree.fromstring(made[".svg"])
        texts = ["".join(element.itertext()) for element in root.iter() if element.tag.endswith("text")]
        assert texts and not any("mathdefault" in text for text in texts)
        assert not any(one.network == text for text in texts if name != "accuracy")


@pytest.mark.needs("matplotlib")
@pytest.mark.needs("matplotlib")
def test_settings_of_the_user_change_no_figure(whole: Report) -> None:
    import matplotlib

    name, draw = next(iter(DRAWINGS.items()))
    data = OF_ONE[name](whole)
    usual = drawn(draw, data, 3.5, VECTOR)
    with matplotlib.rc_context({"text.usetex": True, "axes.facecolor": "red", "savefig.bbox": "tight"}):
        assert drawn(draw, data, 3.5, VECTOR) == usual
        assert matplotlib.rcParams["text.usetex"]


@pytest.mark.needs("matplotlib")
def test_settings_that_matplotlib_cannot_read(tmp_path: Path) -> None:
    (tmp_path / "matplotlibrc").write_bytes(b"\xff: 1")
    program = "from muxflow.reports.figures.style import check_matplotlib as check; check()"
    done = completed(python("-c", program), folder=tmp_path)
    assert re.search(
        r"ToolError: matplotlib cannot be loaded \(.*\); mend its file of settings, matplotlibrc", done.stderr
    )


def test_digits_are_grouped(whole: Report) -> None:
    layers = tuple(replace(layer, cycles=1234567 * (n + 1)) for n, layer in enumerate(whole.layers))
    made = drawn(DRAWINGS["load"], OF_ONE["load"](replace(whole, layers=layers)), WIDTHS["-wide"], (".svg",))
    assert re.search(rb">\d,000,000<", made[".svg"])


def test_colours_differ_in_grey() -> None:
    """The first ones, which most figures have, differ in brightness by a tenth at least."""
    grey = [sum(w * int(c[i : i + 2], 16) for w, i in ((0.299, 1), (0.587, 3), (0.114, 5))) / 255 for c in COLOURS[:3]]
    assert all(abs(a - b) > 0.1 for n, a in enumerate(grey) for b in grey[:n])


@pytest.mark.needs("matplotlib")
def test_files_of_all_figures(whole: Report, report: Report, tmp_path: Path) -> None:
    made = draw_figures([whole])
    assert made.left_out == ()
    assert draw_figures([whole]).files == made.files, "the same data, the same bytes"
    assert set(made.files) == {
        f"{name}{suffix}" for name in DRAWINGS for suffix in (".csv", ".pdf", ".svg", "-wide.pdf", "-wide.svg")
    }
    bare = draw_figures([replace(report, accuracy=None)])
    assert [text.partition(":")[0] for text in bare.left_out] == ["occupancy", "timeline", "frontier", "accuracy"]
    assert all(text.endswith(": not run") for text in bare.left_out)


@pytest.mark.needs("matplotlib")
def test_a_plot_needs_matplotlib_and_a_folder(whole: Report, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib", None)
        with pytest.raises(ToolError, match=r"figures need matplotlib: .* -m pip install .*\[report\]"):
            plot_frontier(whole, tmp_path / "plot.png")
        with pytest.raises(ToolError, match="figures need matplotlib"):
            draw_figures([whole])
    assert list(tmp_path.iterdir()) == []
    for ending in ("png", "svg", "pdf"):
        assert plot_frontier(whole, tmp_path / f"plot.{ending}").stat().st_size > 1000
    assert plot_frontier(whole, tmp_path / "absent" / "plot.pdf").exists()
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(MuxflowError, match=r"folder\.png: cannot be written"):
        plot_frontier(whole, tmp_path / "folder.png")
    with pytest.raises(MuxflowError, match=r"plot\.docx: a plot ends in \.pdf, \.svg, \.png"):
        check_ending(tmp_path / "plot.docx")


def test_a_long_name_loses_its_middle() -> None:
    assert short("a" * 26) == "a" * 26
    assert short("begin" + "x" * 40 + "end").startswith("begin") and len(short("x" * 99)) <= 26
    assert short("a\n\x1b") == "a ?"
