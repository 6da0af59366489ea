"""What a project keeps of proofs and vendor's tools, edited: one message that names the file, in every part of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from edited import BAD, places, put

import muxflow
from muxflow.board.bitstream.figures import FIGURES_FILE
from muxflow.board.driver.results import MEASURED_FILE
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.manifest import PROOF_FILE
from muxflow.proving import project_report
from muxflow.reports.latex.kit import to_latex
from muxflow.reports.render import RENDERINGS


@pytest.fixture(scope="module")
def folder(residual: Graph, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("edited") / "project"
    project = muxflow.write(muxflow.fit(residual), path)
    digest = project.hls.digest
    rung = {"title": "a", "status": "equal", "images": 1, "detail": "b"}
    accuracy = {"dataset": "digits", "split": "test", "images": 2, "correct": 1}
    (path / PROOF_FILE).write_text(json.dumps({"digest": digest, "rungs": [rung], "accuracy": accuracy}))
    (path / "bitstream").mkdir()
    figures = {
        "digest": digest,
        "hls": "Vitis HLS",
        "vivado": "Vivado",
        "cosimulated": {"passed": True, "latency": None, "interval": [1, 2, 3]},
        "accelerator": {"lut": 1, "ff": 2, "bram18": 3, "dsp": 4, "uram": 0},
        "timing": {"version": "", "setup_slack": -0.5, "hold_slack": 0.1, "failing_endpoints": 0},
        "power": {"version": "", "total": 1.5, "dynamic": 1.0, "static": 0.5, "confidence": "Low"},
        "clock_hz": 100000000,
    }
    (path / "bitstream" / FIGURES_FILE).write_text(json.dumps(figures))
    measured = {"images": 4, "frames_per_second": 1.0, "packed_frames_per_second": 1.0, "measured_on": "board"}
    measured |= {"one_image_latency_seconds": 1.0, "latency_cycles": 5, "nominal_clock_mhz": 100.0, "clock_mhz": 99.5}
    (path / MEASURED_FILE).write_text(json.dumps({"digest": digest, **measured}))
    report = project_report(muxflow.open_project(path), "1")
    assert report.ladder[0].title == "a" and report.accuracy is not None and report.watts == 1.5
    assert report.implemented and report.measured is not None and report.measured.state == "done"
    return path


@pytest.mark.parametrize("name", ["design.json", PROOF_FILE, f"bitstream/{FIGURES_FILE}", MEASURED_FILE])
def test_every_entry_may_be_anything(folder: Path, name: str) -> None:
    file = folder / name
    text = file.read_text()
    entry = json.loads(text)
    project = muxflow.open_project(folder)
    several = [to_latex, *[render for render in RENDERINGS.values() if render is not to_latex]]
    count = 0
    try:
        for place in places(entry):
            for bad in BAD:
                file.write_text(json.dumps(put(entry, place, bad)))
                try:
                    if name == "design.json":
                        project = muxflow.open_project(folder)
                    report = project_report(project, "1")
                    count += 1
                    made = [render(report) for render in (several if count % 10 == 1 else several[:1])]
                except MuxflowError as error:
                    made = [str(error)]
                assert all("\x1b" not in one and one.encode() for one in made)
    finally:
        file.write_text(text)


def test_a_measurement_of_other_sources_is_stale_and_a_damaged_one_is_none(folder: Path) -> None:
    file = folder / MEASURED_FILE
    text = file.read_text()
    try:
        for changed, state in (('"digest": "x"', "stale"), ('"digest": 3', "stale"), ("", None)):
            edited = text if not changed else text.replace(text[1 : text.index(",")], changed)
            file.write_text(edited if changed else text[:-5])
            found = project_report(muxflow.open_project(folder), "1").measured
            assert (None if found is None else found.state) == state
    finally:
        file.write_text(text)


def test_notes_of_a_graph_may_be_anything(residual: Graph) -> None:
    from muxflow.reports.gather.report import make_report

    design = muxflow.fit(replace(residual, notes={"near_ties": "many"}))
    with pytest.raises(MuxflowError, match="the graph's note 'near_ties' is 'many'; expected a count"):
        make_report(design, version="1")
