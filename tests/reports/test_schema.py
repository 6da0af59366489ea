"""The file of a report: what is written is read again, older versions are, and whatever is edited is one message."""

import json
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from edited import BAD, places, put

from muxflow.dataflow.errors import MuxflowError
from muxflow.reports.render import RENDERINGS
from muxflow.reports.schema.derived import derived
from muxflow.reports.schema.file import DERIVED, VERSION, from_entry, read_report, to_entry, to_text
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.stages import IMPLEMENTED, STAGES, Accuracy, Stage

DOCS = Path(__file__).parents[2] / "docs" / "reference" / "reports.md"


def test_what_is_written_is_read_again(whole: Report, report: Report, tmp_path: Path) -> None:
    for one in (whole, report):
        file = tmp_path / "report.json"
        file.write_text(to_text(one))
        assert read_report(file) == one
        assert json.loads(file.read_text())["schema"] == VERSION


def test_every_field_of_the_schema_is_documented() -> None:
    text = DOCS.read_text()
    assert [field.name for field in fields(Report) if f"`{field.name}`" not in text] == []
    assert [name for name in DERIVED if f"`{name}`" not in text] == []
    assert f"version {VERSION}" in text


def version_1(report: Report) -> dict[str, Any]:
    """What Muxflow wrote before the schema had a number: none of the later fields, stages as a table of text."""
    later = {"available", "fifos", "functions", "activity_is", "frontier", "power", "measured", "provenance", "schema"}
    entry = {name: value for name, value in to_entry(report).items() if name not in later | {"derived"}}
    known = {"shape", "output_bits", "macs", "bits", "saved_bits", "matrix", "activity"}
    entry["layers"] = [{name: v for name, v in layer.items() if name not in known} for layer in entry["layers"]]
    titles = ["", "estimate", "synthesised with Vitis HLS 2022.2", "implemented with Vivado 2022.2: accelerator"]
    titles.append("implemented with Vivado 2022.2: all")
    rows = [
        ["LUT", "1,000", "1,357", "1,111", "7,000"],
        ["BRAM18", "3", "", "4", "8"],
        ["pipelines", "a", "1 flp", "", ""],
    ]
    return {**entry, "stages": [titles, *rows]}


def test_version_1_is_read(report: Report) -> None:
    found = from_entry(version_1(report))
    assert (found.interval, found.ladder, found.accuracy) == (report.interval, report.ladder, report.accuracy)
    names = [(stage.name, stage.tool, stage.used) for stage in found.stages]
    assert names[1] == ("synthesised", "Vitis HLS 2022.2", {"LUT": 1357})
    assert names[2] == ("implemented", "Vivado 2022.2", {"LUT": 1111, "BRAM18": 4})
    assert names[3][0] == "implemented, all"
    assert found.counted.name == IMPLEMENTED
    for render in RENDERINGS.values():
        assert render(found)
    assert from_entry({**version_1(report), "stages": []}).stages == ()


def test_what_a_command_says_beside_a_report_is_left_out(report: Report) -> None:
    assert from_entry({**to_entry(report), "files": ["a"], "slowdown": [{"interval": -1}], "seconds": -1}) == report


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("schema", VERSION + 1, f"schema: {VERSION + 1}; this version of Muxflow reads 1 to {VERSION}"),
        ("schema", "2", "schema: '2'"),
        ("schema", True, "schema: True"),
        ("clock_mhz", 0, "a clock of 0"),
        ("interval", 0, "interval: 0; expected cycles from 1"),
        ("interval", 1, r"interval: 1 cycles, of which the slowest node takes \d+"),
        ("latency", -1, "latency: -1; expected 0, or a number from 1e-12"),
        ("nodes", [], "nodes, layers: empty"),
        ("used", {"FF": 1, "BRAM18": 1, "DSP": 1}, "used: lacks LUT"),
        ("budget", {}, "budget: lacks BRAM18"),
        ("frontier", [{"interval": 0, "used": {}}], "frontier: a point of 0 cycles a frame; expected cycles from 1"),
        ("accuracy", {"dataset": "d", "split": "", "images": 2, "correct": 3}, "accuracy: 3 right of 2"),
        ("network", 3, "network: 3; expected str"),
        (
            "network",
            1_000_000 * "x",
            r"network: a text of 1,000,000 characters; expected at most 100,000 \(LONGEST_TEXT\)",
        ),
        ("budget", {1_000_000 * "x": 1}, "budget: a text of 1,000,000 characters"),
    ],
)
def test_what_is_wrong_is_named(report: Report, name: str, value: Any, message: str, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(json.dumps({**to_entry(report), name: value}))
    with pytest.raises(MuxflowError, match=message) as error:
        read_report(file)
    assert str(error.value).startswith(f"{file}: not a report of Muxflow")


def test_a_stage_and_a_layer_that_are_none_are_named(whole: Report) -> None:
    entry = to_entry(whole)
    entry["stages"][1]["name"] = "guessed"
    with pytest.raises(MuxflowError, match=f"stages: 'guessed'; supported: {', '.join(STAGES)}"):
        from_entry(entry)
    entry = to_entry(whole)
    entry["layers"][0]["nodes"] = ["nobody"]
    with pytest.raises(MuxflowError, match="no node 'nobody'"):
        from_entry(entry)
    entry = to_entry(whole)
    entry["layers"][0]["matrix"]["parallel"] = 0
    with pytest.raises(MuxflowError, match="a matrix without products a cycle"):
        from_entry(entry)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "[" * 100_000, '{"schema": 2}'])
def test_a_file_that_is_no_report_is_named(text: str, tmp_path: Path) -> None:
    file = tmp_path / "report.json"
    file.write_text(text)
    with pytest.raises(
        MuxflowError, match=r"report\.json: not a report of Muxflow .*`muxflow report PROJECT` writes one"
    ):
        read_report(file)
    with pytest.raises(MuxflowError, match=r"absent\.json: not a report"):
        read_report(tmp_path / "absent.json")


def test_every_part_may_be_anything(whole: Report) -> None:
    """Whatever stands in a file is refused by a message, or is a report that every format renders."""
    small = replace(
        whole, nodes=whole.nodes[:2], layers=whole.layers[:1], fifos=whole.fifos[:1], functions=whole.functions[:1]
    )
    first = replace(small.layers[0], nodes=tuple(row.name for row in small.nodes))
    plan = replace(whole.memory_plan, rows=whole.memory_plan.rows[:1], joins=whole.memory_plan.joins[:1])
    small = replace(small, layers=(first,), memory_plan=plan, energy=whole.energy[:1], weights=whole.weights[:1])
    entry = to_entry(small)
    assert from_entry(entry) == small
    read = 0
    for place in places(entry):
        for bad in BAD:
            try:
                found = from_entry(put(entry, place, bad))
            except MuxflowError:
                continue
            read += 1
            if read % 50 == 0:
                assert all(render(found) for render in RENDERINGS.values())
    assert read > 100


def test_derived_figures_by_hand(whole: Report) -> None:
    found = {one.name: one.value for one in derived(whole)}
    rate = 100e6 / whole.interval
    gops = 2 * whole.operations * rate / 1e9
    assert found["GOPS"] == pytest.approx(gops)
    assert found["GOPS/W"] == pytest.approx(gops / 1.5)
    assert found["GOPS/kLUT"] == pytest.approx(gops / 2.5)
    assert found["frames/s/kLUT"] == pytest.approx(rate / 2.5)
    assert found["energy a frame"] == pytest.approx(1.5e6 / rate)
    products = sum(layer.matrix.parallel for layer in whole.layers if layer.matrix is not None)
    assert found["efficiency"] == pytest.approx(whole.operations / products / whole.interval)
    assert found["energy a frame, counted"] == pytest.approx(whole.microjoules)


def test_what_did_not_run_is_no_figure(report: Report, whole: Report) -> None:
    for one in (report, replace(whole, power=replace(whole.power, state="stale"))):  # type: ignore[type-var]
        found = {figure.name: figure.value for figure in derived(one)}
        assert found["GOPS/W"] is None and found["energy a frame"] is None
    assert report.counted.name == "estimate" and whole.counted.name == IMPLEMENTED
    assert report.error("LUT", report.stage(IMPLEMENTED)) is None
    assert whole.error("LUT", whole.stage(IMPLEMENTED)) == pytest.approx(whole.used["LUT"] / 2500 - 1)
    assert whole.error("LUT", whole.stage("co-simulated")) is None
    stale = replace(whole, stages=tuple(replace(stage, state="stale") for stage in whole.stages[1:]))
    assert stale.counted == Stage("estimate", "done", used=whole.used)


def test_the_accuracy_of_a_rung_is_that_of_equal_codes(report: Report) -> None:
    equal, board = report.ladder
    assert report.accuracy_at(equal) == Accuracy("digits", "test", 8, 6)
    assert report.accuracy_at(board) is None
    assert report.accuracy_at(replace(equal, images=7)) is None
    assert report.accuracy_at(replace(equal, status="equal but for ties")) is None


def test_the_frontier_holds_no_point_that_another_beats(whole: Report) -> None:
    assert [point.interval for point in whole.frontier] == [100, 200, 400]


def test_layers_have_what_a_paper_says_of_them(whole: Report) -> None:
    conv = whole.layers[0]
    assert conv.matrix is not None and conv.activity is not None
    assert (conv.matrix.kernel, conv.matrix.groups, conv.matrix.generated, conv.matrix.loaded) == (
        "3x3",
        2,
        False,
        False,
    )
    assert conv.macs == conv.matrix.filters * conv.matrix.columns * 36
    assert conv.matrix.read_bits == conv.macs * conv.matrix.weight_bits // 3  # three pixels meet the same weights
    mix = next(layer for layer in whole.layers if layer.name == "mix")
    assert mix.matrix is not None and mix.matrix.generated and mix.saved_bits > 0
    assert sum(layer.macs for layer in whole.layers) == whole.operations
    assert sum(row.lut for row in whole.functions) == whole.used["LUT"]
    assert conv.activity.start < conv.activity.end <= whole.latency + 1
    for layer in whole.layers:
        shares = (layer.activity.busy, layer.activity.starved, layer.activity.blocked) if layer.activity else ()
        assert all(share is None or 0 <= share <= 1 for share in shares)
        assert layer.efficiency(whole.interval) is None or 0 < layer.efficiency(whole.interval) <= 1  # type: ignore[operator]
