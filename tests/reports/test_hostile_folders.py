"""What a project keeps of proofs and vendor's tools, edited: one message that names the file, in every part of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from edited import BAD, places, put

import muxflow
from muxflow.board.bitstream.figures import FIGURES_FILE
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.graph import Graph
from muxflow.proof.ladder import PROOF_FILE
from muxflow.proving import project_report
from muxflow.reports.render import FORMATS


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
        "cosimulated": True,
        "hls": "Vitis HLS",
        "comparison": [["", "estimate"], ["LUT", "1"]],
    }
    (path / "bitstream" / FIGURES_FILE).write_text(json.dumps(figures))
    report = project_report(muxflow.open_project(path), "1")
    assert report.ladder[0].title == "a" and report.stages[1] == ("LUT", "1") and report.accuracy is not None
    return path


@pytest.mark.parametrize("name", ["design.json", PROOF_FILE, f"bitstream/{FIGURES_FILE}"])
def test_every_entry_may_be_anything(folder: Path, name: str) -> None:
    file = folder / name
    text = file.read_text()
    entry = json.loads(text)
    try:
        for place in places(entry):
            for bad in BAD:
                file.write_text(json.dumps(put(entry, place, bad)))
                try:
                    report = project_report(muxflow.open_project(folder), "1")
                    made = [render(report) for render in FORMATS.values()]
                except MuxflowError as error:
                    made = [str(error)]
                assert all("\x1b" not in one and one.encode() for one in made)
    finally:
        file.write_text(text)


def test_notes_of_a_graph_may_be_anything(residual: Graph) -> None:
    from muxflow.reports.gather.report import make_report

    design = muxflow.fit(replace(residual, notes={"near_ties": "many"}))
    with pytest.raises(MuxflowError, match="the graph's note 'near_ties' is 'many'; expected a count"):
        make_report(design, version="1")
