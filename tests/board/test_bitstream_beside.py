"""What happens to a project, and in it, while the vendor's tools run."""

import pytest
from standin_run import ALL, run

import muxflow
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.folded import unfolded
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.locking import locked
from muxflow.hls.vitis.writing import write_project


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        ("csim", "src/top.cpp"),
        ("cosim", "tb/input.dat"),
        ("block_design", "src/top.cpp"),
        ("implement", "run_hls.tcl"),
        ("deploy", "design.json"),
    ],
)
def test_a_project_that_is_edited_amid_a_stage(make_project, make_tools, stage, name):
    """Nothing is deployed, no figure kept, and the stage does not count as done."""
    project, tools = make_project(), make_tools("vivado", "vitis_hls")
    whole, digest = (project.path / name).read_text(), project.digest

    def edit(begun, activity):
        if (begun, activity) == (stage, ""):
            (project.path / name).write_text(whole + "\n")

    with pytest.raises(
        MuxflowError, match=r"dense was changed while the tools ran, perhaps by a build; run this again"
    ):
        run(project, tools, edit)
    assert not (project.path / "deploy").exists()
    folder = project.path / "bitstream"
    assert not (folder / "stamps" / f"{stage}.json").exists()
    assert (folder / "reports.json").exists() == (stage == "deploy")
    tools.calls()
    (project.path / name).write_text(whole)
    run(project, tools)
    left = {"csim": 2, "cosim": 4, "block_design": 6, "implement": 7, "deploy": 8}[stage]
    assert tools.calls() == ALL[left:]
    # What is edited between two runs is another matter.
    (project.path / "src" / "top.cpp").write_text("")
    assert run(project, tools, until="check").project.digest != digest


def test_a_build_does_not_replace_a_project_that_tools_run_on(make_project, make_tools):
    project, tools = make_project(), make_tools("vivado", "vitis_hls")
    refused = []

    def build(begun, activity):
        if not activity:
            with pytest.raises(MuxflowError, match=r"dense/bitstream: another `muxflow bitstream` runs here") as error:
                write_project(project.design, project.path)
            refused.append(error)

    assert run(project, tools, build).deploy is not None
    assert len(refused) == 8
    write_project(project.design, project.path)


def test_a_model_is_neither_fitted_nor_built_where_tools_run(make_project, tmp_path, call_muxflow, monkeypatch):
    project, model = make_project(), tmp_path / "model.npz"
    write_graph(unfolded(project.design.graph), model)
    before = project.hash_of("src", "design.json")
    monkeypatch.setattr(muxflow, "fit", None)
    with locked(project.path / "bitstream"):
        for command in ("build", "bitstream"):
            code, _, err = call_muxflow(command, model, "--output", project.path)
            assert code == 1
            assert "another `muxflow bitstream` runs here" in " ".join(err.split())
    assert project.hash_of("src", "design.json") == before


def test_a_run_that_is_refused_writes_nothing(make_project, make_tools):
    """Not even the scripts, which the other run reads."""
    project, tools = make_project(), make_tools("vivado", "vitis_hls")
    folder = project.path / "bitstream"
    with locked(folder), pytest.raises(MuxflowError, match="another `muxflow bitstream` runs here"):
        run(project, tools)
    assert [one.name for one in folder.iterdir()] == [".lock"]
    assert tools.calls() == []
