"""Builds side by side: which is the best of each figure, and the page of a comparison in a browser."""

import re
from dataclasses import replace
from pathlib import Path

import browser
import pytest

from muxflow.reports.compare import COMPARISONS, to_entry
from muxflow.reports.html.comparison import to_html
from muxflow.reports.latex.tables import summary_tables
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.stages import IMPLEMENTED, Accuracy
from muxflow.reports.side_by_side import Contender, Row, rows


def found(*reports: Report | None) -> dict[str, Row]:
    contenders = [Contender(str(number), report) for number, report in enumerate(reports)]
    return {row.name: row for row in rows(contenders)}


def test_the_best_of_each_figure_is_known(report: Report) -> None:
    estimate = replace(report.stages[0], used={**report.used, "LUT": 10, "DSP": 3})
    other = replace(report, interval=2 * report.interval, stages=(estimate, *report.stages[1:]))
    made = found(report, other, None)
    best = {name: set(row.best) for name, row in made.items() if row.best}
    assert best == {
        "interval": {0}, "rate": {0}, "LUT": {1}, "DSP": {0}, "GOPS": {0}, "GOPS/kLUT": {1}, "frames/s/kLUT": {1},
        "efficiency": {0},
    }  # fmt: skip
    assert made["FF"].best == frozenset()  # both have as many
    assert made["LUT"].texts == (f"{report.used['LUT']:,}", "10", "not run")


def test_a_clock_is_what_it_was_set_to_and_a_part_without_a_resource_has_none(report: Report) -> None:
    bare = {name: used for name, used in report.used.items() if name != "URAM"}
    with_ultra = replace(report.stages[0], used={**bare, "URAM": 4})
    without = replace(report.stages[0], used=bare)
    first = replace(report, clock_mhz=250.5, stages=(with_ultra, *report.stages[1:]))
    made = found(first, replace(first, clock_mhz=100.0, stages=(without, *report.stages[1:])), None)
    assert made["clock"].texts == ("250.5 MHz", "100 MHz", "not run")
    assert made["URAM"].texts == ("4", "-", "not run") and not made["URAM"].best


def test_figures_of_different_kinds_have_no_best(report: Report, whole: Report) -> None:
    made = found(report, whole)
    assert made["LUT"].values == (report.used["LUT"], 2500)
    assert made["LUT"].best == frozenset()  # an estimate, and what was implemented
    right = replace(report, accuracy=Accuracy("digits", "test", 8, 7))
    assert made["accuracy"].texts[0] == "75.00 %"
    assert found(report, right)["accuracy"].best == {1}
    assert found(report, right)["accuracy of"].texts[0] == "digits, test split, 8 images"
    for other in (
        Accuracy("other", "test", 8, 7),
        Accuracy("digits", "train", 8, 7),
        Accuracy("digits", "test", 80, 70),
        Accuracy("digits", "test", 8, 7, "0123456789ab"),
    ):
        assert found(report, replace(report, accuracy=other))["accuracy"].best == frozenset()
    dearer = replace(report, energy=report.energy * 2)
    assert found(report, dearer)["energy a frame, counted"].best == {0}
    elsewhere = replace(dearer, energy_source="my own 7 nm")
    assert found(report, elsewhere)["energy a frame, counted"].best == frozenset()
    assert "my own 7 nm" in found(report, elsewhere)["energy a frame, counted"].bases[1]
    same = Accuracy("mine.npz", "", 8, 6, "0123456789ab")
    assert found(*(replace(report, accuracy=replace(same, correct=n)) for n in (6, 7)))["accuracy"].best == {1}
    assert same.basis == "mine.npz, 8 images, digest 0123456789ab"


@pytest.mark.parametrize("name", list(COMPARISONS))
def test_each_form_says_that_the_counted_energy_is_an_estimate(report: Report, name: str) -> None:
    dearer = replace(report, energy=report.energy * 2)
    text = " ".join(COMPARISONS[name]((Contender("a", report), Contender("b", dearer))).split())
    assert "estimate, no measurement" in text and text.count("doi") >= 2


def test_json_says_what_each_value_is(report: Report) -> None:
    figures = {one["name"]: one for one in to_entry((Contender("a", report), Contender("b", None)))["figures"]}
    assert figures["energy a frame, counted"]["is"] == [report.energy_is, ""]
    assert figures["LUT"]["is"] == [report.counted.title, ""] and figures["clock"]["is"] == ["", ""]


def test_watts_of_a_simulated_rate_and_of_an_estimate_have_no_best(whole: Report) -> None:
    hotter = replace(whole, power=replace(whole.power, total=3.0))  # type: ignore[type-var]
    assert found(whole, hotter)["GOPS/W"].best == {0}
    assert found(whole, replace(hotter, simulated=not whole.simulated))["GOPS/W"].best == frozenset()


def test_what_was_implemented_of_other_sources_has_no_slack_here(report: Report, whole: Report) -> None:
    stages = tuple(replace(stage, state="stale") if stage.used else stage for stage in whole.stages)
    changed = replace(whole, stages=(whole.stages[0], *stages[1:]))
    slack = whole.stage(IMPLEMENTED).slack_ns
    assert slack is not None and changed.stage(IMPLEMENTED).slack_ns == slack
    assert found(whole, changed, report)["slack"].values == (slack, None, None)
    summary = {str(row[0]): row[1:] for row in summary_tables(changed)[0].rows}
    assert summary["slack"] == ("not run", "implementation not run")


def page(*reports: Report | None, remark: str = "") -> str:
    return to_html([Contender(f"build {n}", report, remark) for n, report in enumerate(reports)])


def test_every_build_has_cards_bars_and_a_column(report: Report, whole: Report) -> None:
    text = page(whole, report, None, remark="not run: reasons")
    assert text.count('class="cards compared"') == 2
    assert text.count('class="gauge"') == 2 * len(report.used)
    for one in ("build 0", "build 1", "build 2"):
        assert f'<th class="number">{one}</th>' in text
    assert "not run: reasons" in text and "implemented 2,500" in text


def test_a_figure_that_no_build_has_is_not_drawn(report: Report) -> None:
    bare = replace(report, accuracy=None)
    figure = re.search(r'<figure id="chart-0">.*?</figure>', page(bare, bare), re.DOTALL)
    assert figure and "accuracy" in figure[0] and "not run" in figure[0] and "<svg" not in figure[0]


def test_a_name_of_lines_is_one_line(report: Report) -> None:
    odd = replace(report, network="net\nLUT   1")
    contenders = tuple(Contender(name, one) for name, one in (("a", report), ("b", odd)))
    lines = COMPARISONS["txt"](contenders).splitlines()
    assert [line.split()[0] for line in lines if "net LUT   1" in line] == ["network"]
    assert not any(line.startswith("LUT   1") for line in lines)


def test_the_page_names_nothing_elsewhere(whole: Report, report: Report, wild: Report) -> None:
    text = page(whole, report, wild, remark='<img src="x"> & {{ 7 * 7 }}')
    assert not re.search(r"https?://|@import|url\((?!#)|<link|<img|<k", text)
    anchors = set(re.findall(r'\bid="([^"]+)"', text))
    assert len(anchors) == len(re.findall(r'\bid="', text))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= anchors


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_a_browser_shows_the_page(
    width: int, opened: browser.Browser, whole: Report, report: Report, wild: Report, tmp_path: Path
) -> None:
    file = tmp_path / "compare.html"
    builds = [
        Contender("a", whole),
        Contender("b" * 80, report, "r" * 300),
        Contender(wild.network, wild, wild.network),
        Contender("none", None, "not run: no such layer"),
    ]
    file.write_text(to_html(builds), encoding="utf-8")
    with opened.open(file.as_uri(), width) as shown:
        assert shown.complaints == []
        assert shown.requests == [file.as_uri()]
        assert shown.overflow() == 0
        shown.evaluate("document.querySelector('.switch').click()")
        shown.evaluate("dispatchEvent(new KeyboardEvent('keydown', {key: 'Escape'}))")
        assert shown.complaints == []
        shown.evaluate("localStorage.clear()")
        shown.send("Emulation.setEmulatedMedia", media="print")
        # A landscape A4 page less its margins is 1031 pixels wide.
        shown.send("Emulation.setDeviceMetricsOverride", width=1031, height=700, deviceScaleFactor=1, mobile=False)
        right = "Math.max(...[...document.querySelectorAll('th, td')].map(one => one.getBoundingClientRect().right))"
        assert shown.evaluate(right) <= 1031
