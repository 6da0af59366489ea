"""The stages with stand-ins of the vendor's programs: order, forms of the tools, resume, products."""

import json

import pytest
from standin_run import ALL, names, run

from muxflow.api import Project
from muxflow.board.bitstream.stages import BitstreamOptions
from muxflow.dataflow.errors import MuxflowError
from muxflow.proving import project_report, prove, random_images
from muxflow.reports.render import to_text


def test_the_whole_flow(make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    told = []
    made = run(project, tools, tell=lambda stage, step: told.append((stage, step)))
    assert tools.calls() == ALL
    bitstream = [f"accelerator.{suffix}" for suffix in ("bit", "hwh", "xsa")]
    assert names(made.deploy) == [".muxflow.json", *bitstream, "driver.py", "reports.json"]
    assert [outcome.name for outcome in made.outcomes] == [
        "check", "csim", "csynth", "cosim", "export", "block_design", "implement",
    ]  # fmt: skip
    for outcome in made.outcomes:
        assert outcome.log.read_text().startswith("$ ")
        assert not outcome.kept
    assert [stage for stage, step in told if not step] == [*(outcome.name for outcome in made.outcomes), "deploy"]
    assert ("csynth", "Implementing module 'dense'") in told
    figures = json.loads((made.deploy / "reports.json").read_text())
    assert (figures["hls"], figures["vivado"]) == ("Vitis HLS 2022.2", "Vivado 2022.2")
    assert figures["synthesised"]["resources"]["lut"] == 2310
    assert figures["cosimulated"] == {"passed": True, "latency": [311, 312, 315], "interval": [240, 241, 242]}
    assert figures["accelerator"]["lut"] == 1987
    assert figures["system"]["lut"] == 6120
    assert figures["estimate"]["resources"]["lut"] == project.design.resources.lut
    assert (figures["clock_hz"], figures["board_part"]) == (100_000_000, "tul.com.tw:pynq-z2:part0:1.0")
    assert made.notices == ()
    report = project_report(Project(project), "0")
    estimate, synthesised, simulated, accelerator, system = report.stages
    assert [stage.title for stage in report.stages] == [
        "estimate with Muxflow 0",
        "synthesised with Vitis HLS 2022.2",
        "co-simulated with Vitis HLS 2022.2",
        "implemented with Vivado 2022.2",
        "implemented with Vivado 2022.2: all",
    ]
    assert {stage.state for stage in report.stages} == {"done"}
    lut = project.design.resources.lut
    assert [stage.used.get("LUT") for stage in report.stages] == [lut, 2310, None, 1987, 6120]
    assert estimate.interval == (project.design.interval,) * 2
    assert (synthesised.interval, simulated.interval, accelerator.interval) == ((240, 240), (240, 242), None)
    assert (synthesised.period_ns, synthesised.slack_ns) == (7.302, pytest.approx(1.448))
    assert (system.period_ns, system.slack_ns) == (pytest.approx(8.716), 1.284)
    assert synthesised.pipelines == "1 style not given"
    assert report.error("LUT", accelerator) == pytest.approx(lut / 1987 - 1)
    assert report.counted == accelerator
    assert (report.watts, report.power.confidence, report.power.tool) == (1.693, "Medium", "Vivado 2022.2")
    assert report.provenance.tools["Vivado"] == "2022.2"


def test_power_is_no_condition_of_a_bitstream(make_project, make_tools):
    """A version that writes it in another way, or not at all: the bitstream is there and the report says that it is not."""
    tools = make_tools("vivado", "vitis_hls", reports={"power": "vivado_2022.2_utilization.rpt"})
    project = make_project()
    assert run(project, tools).deploy is not None
    report = project_report(Project(project), "0")
    assert report.power is None and report.implemented
    (line,) = (line for line in to_text(report).splitlines() if line.startswith("power "))
    assert line.split() == ["power", "not", "run"]


@pytest.mark.parametrize(
    ("version", "programs", "expected"),
    [
        ("2020.2", ("vitis_hls",), ALL),
        (
            "2024.2",
            ("vitis-run", "v++"),
            [(name.replace("vitis_hls", "vitis-run"), script) for name, script in ALL],
        ),
        (
            "2025.1",
            ("vitis-run", "v++"),
            [
                ("vitis-run", "check_hls.tcl"),
                ("vivado", "check.tcl"),
                ("vitis-run", "--csim"),
                ("v++", "-c"),
                ("vitis-run", "--cosim"),
                ("vitis-run", "--package"),
                ("vivado", "block_design.tcl"),
                ("vivado", "implement.tcl"),
            ],
        ),
    ],
)
def test_every_form_of_the_tools(make_project, make_tools, version, programs, expected):
    tools = make_tools("vivado", *programs, version=version)
    made = run(make_project(), tools)
    assert tools.calls() == expected
    assert made.figures.hls == f"Vitis HLS {version}"
    assert made.figures.cosimulated.passed
    assert (made.deploy / "accelerator.bit").exists()


def test_vivado_hls_2019_2(make_project, make_tools):
    reports = {
        "csynth.xml": "vivado_hls_2019.2_csynth.xml",
        "cosim.rpt": "vivado_hls_2019.2_cosim.rpt",
        "utilization": "vivado_2019.2_utilization.rpt",
        "timing_summary": "vivado_2019.2_timing_summary.rpt",
    }
    tools = make_tools("vivado", "vivado_hls", version="2019.2", reports=reports)
    made = run(make_project(tool="vivado_hls"), tools)
    assert made.figures.hls == "Vivado HLS 2019.2"
    assert made.figures.synthesised.version == "2019.2"
    assert made.figures.cosimulated.interval == (240, 241, 242)
    project = make_project(tool="vivado_hls")
    assert project_report(Project(project), "0").stage("co-simulated").interval == (240, 242)


def test_a_second_run_keeps_everything(make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    first = run(project, tools)
    content = {name: (first.deploy / name).read_bytes() for name in names(first.deploy)}
    tools.calls()
    again = run(project, tools, jobs=7)
    assert tools.calls() == []
    assert all(outcome.kept for outcome in again.outcomes)
    assert {name: (again.deploy / name).read_bytes() for name in names(again.deploy)} == content


def test_a_project_that_is_written_again_keeps_its_stages(make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls")
    run(make_project(), tools, until="export")
    tools.calls()
    assert all(outcome.kept for outcome in run(make_project(), tools, until="export").outcomes)
    # Other weights: everything that sees them runs again.
    run(make_project(seed=5), tools, until="export")
    assert tools.calls() == ALL[2:6]


def test_other_test_vectors_only_repeat_the_simulation(make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    run(project, tools, until="export")
    tools.calls()
    (project.path / "tb" / "input.dat").write_text("0\n" * 20)
    run(project, tools, until="export")
    assert tools.calls() == [ALL[2], ALL[4]]


def test_a_lost_product_is_made_again_with_what_follows_kept(make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    run(project, tools)
    tools.calls()
    (project.path / "bitstream" / "results" / "system.xsa").unlink()
    run(project, tools)
    assert tools.calls() == [ALL[-1]]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("hls/solution/syn/verilog/dense.v", "csynth.tcl"),
        ("hls/solution/sim/report/dense_cosim.rpt", "cosim.tcl"),
        ("results/system.hwh", "block_design.tcl"),
        ("results/timing_summary.rpt", "implement.tcl"),
        ("results/system.bit", "implement.tcl"),
        ("results/power.rpt", "implement.tcl"),
    ],
)
def test_a_result_that_is_changed_is_made_again_and_that_is_said(make_project, make_tools, name, call):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    first = run(project, tools)
    tools.calls()
    file = project.path / "bitstream" / name
    whole = file.read_bytes()
    file.write_bytes(whole[:5])
    told = []
    again = run(project, tools, lambda stage, step: told.append((stage, step)))
    assert tools.calls()[0][1] == call
    assert file.read_bytes() == whole
    assert again.figures == first.figures
    stage = call.removesuffix(".tcl")
    said = [notice for notice in again.notices if "ran again" in notice]
    assert said == [f"stage {stage} ran again: {name} is not as this stage left it"]
    assert told[:2] == [(stage, ""), (stage, f"{name} is not as this stage left it")]
    assert (again.deploy / "accelerator.bit").read_bytes() == (first.deploy / "accelerator.bit").read_bytes()


@pytest.mark.parametrize("spoil", [lambda file: file.write_bytes(file.read_bytes()[:700]), lambda file: file.unlink()])
def test_a_report_of_the_synthesis_that_cannot_be_read_is_made_again(make_project, make_tools, spoil):
    """It is not compared with what the stage left: later steps of a tool may write it anew."""
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    first = run(project, tools)
    for file in (project.path / "bitstream" / "hls" / "solution" / "syn" / "report").iterdir():
        spoil(file)
    tools.calls()
    again = run(project, tools)
    assert tools.calls()[0][1] == "csynth.tcl"
    assert again.figures == first.figures
    assert "stage csynth ran again: a report of this stage is gone, or not whole" in again.notices


def test_a_project_of_vivado_in_which_the_implementation_worked_is_no_changed_result(make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    run(project, tools)
    (project.path / "bitstream" / "vivado" / "system.xpr").write_text("implemented\n")
    assert all(outcome.kept for outcome in run(project, tools).outcomes)


def test_another_version_of_the_tools_runs_all_again(make_project, make_tools):
    project = make_project()
    run(project, make_tools("vivado", "vitis_hls"), until="export")
    newer = make_tools("vivado", "vitis_hls", version="2023.1")
    run(project, newer, until="export")
    assert newer.calls() == [ALL[0], *ALL[2:6]]


def test_until_and_cosim(make_project, make_tools):
    tools = make_tools("vitis_hls")
    project = make_project()
    # Up to the export no Vivado is needed.
    made = run(project, tools, until="csynth")
    assert tools.calls() == [ALL[0], ALL[2], ALL[3]]
    assert (made.deploy, made.figures.vivado, made.figures.timing) == (None, None, None)
    assert not (project.path / "deploy").exists()
    made = run(project, tools, until="export", cosim=False)
    assert tools.calls() == [("vitis_hls", "export.tcl")]
    assert (made.figures.cosimulated, made.notices) == (None, ())
    made = run(project, tools, until="cosim")
    assert tools.calls() == [("vitis_hls", "cosim.tcl")]
    assert made.figures.cosimulated.passed
    # What passed on the same sources is kept.
    assert run(project, tools, until="cosim").outcomes[-1].kept
    with pytest.raises(MuxflowError, match="--until cosim and --no-cosim exclude each other"):
        BitstreamOptions(until="cosim", cosim=False)
    with pytest.raises(MuxflowError, match=r"stage 'synth'; supported are check, csim"):
        BitstreamOptions(until="synth")
    with pytest.raises(MuxflowError, match="must be positive"):
        BitstreamOptions(timeout_minutes=0)


def test_a_shorter_run_keeps_the_figures_of_later_stages(make_project, make_tools):
    """As long as these are of the same sources, tools and scripts; without Vivado too, and without the co-simulation."""
    tools = make_tools("vivado", "vitis_hls")
    project = make_project()
    whole = run(project, tools)
    tools.calls()
    alone = make_tools("vitis_hls")
    for options in ({"until": "csynth"}, {"until": "check"}, {"until": "export", "cosim": False}):
        assert run(project, alone, **options).figures == whole.figures
        assert {call for call in alone.calls()} <= {ALL[0]}
    assert [stage.state for stage in project_report(Project(project), "0").stages] == ["done"] * 5
    # Nothing of the later stages was lost by that: the tools are checked again, and no more.
    assert run(project, tools).figures == whole.figures
    assert tools.calls() == ALL[:2]
    (project.path / "src" / "top.cpp").write_text("")
    other = run(project, alone, until="csynth").figures
    assert (other.vivado, other.cosimulated, other.accelerator, other.timing) == (None, None, None, None)
    assert other.synthesised == whole.figures.synthesised


def test_board_files_that_are_installed_later_are_used(make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls", board_parts=[])
    project = make_project()
    made = run(project, tools)
    assert len(made.notices) == 1
    assert "no board files for PYNQ-Z2 (tul.com.tw:pynq-z2:part0:*)" in made.notices[0]
    assert "xhub::install [xhub::get_xitems *pynq-z2*]" in made.notices[0]
    assert made.figures.board_part == ""
    tools.calls()
    tools.behave()
    made = run(project, tools)
    assert tools.calls() == [*ALL[:2], *ALL[-2:]]
    assert made.notices == ()


def test_the_report_shows_what_the_tools_said(make_project, make_tools):
    """Figures and the co-simulation rung, as long as the project's sources are those that the tools saw."""
    project = Project(make_project())
    prove(project, random_images(project.design.graph, 2), variants=("native",))
    before = project_report(project, "0")
    assert [stage.state for stage in before.stages] == ["done", *["not run"] * 4]
    assert [rung.status for rung in before.ladder] == ["equal", "not run", "not run"]
    run(project.hls, make_tools("vivado", "vitis_hls"))
    after = project_report(project, "0")
    assert (after.stages[1].title, after.stages[1].used["LUT"]) == ("synthesised with Vitis HLS 2022.2", 2310)
    cosimulation = after.ladder[1]
    assert (cosimulation.status, cosimulation.images) == ("equal", 4)
    assert "Vitis HLS 2022.2" in cosimulation.detail
    changed = project_report(Project(make_project(seed=5)), "0")
    assert [stage.state for stage in changed.stages] == ["done", *["stale"] * 4]
    assert changed.counted == changed.stages[0]
    file = project.path / "bitstream" / "reports.json"
    for text in ("{}", "", '{"digest": 3}', "[[[["):
        file.write_text(text)
        damaged = project_report(project, "0")
        assert [stage.state for stage in damaged.stages] == ["done", *["not run"] * 4]
        assert "not figures of Muxflow" in damaged.stage("synthesised").detail
        assert str(file) in damaged.stage("implemented").detail


def test_a_run_that_has_not_ended_shows_what_is_there(make_project, make_tools):
    """Without `reports.json` the tools' own files are read one by one; one that is cut short says so."""
    project = make_project()
    run(project, make_tools("vivado", "vitis_hls"))
    (project.path / "bitstream" / "reports.json").unlink()
    results = project.path / "bitstream" / "results"
    report = project_report(Project(project), "0")
    assert [stage.state for stage in report.stages] == ["done", *["unfinished"] * 4]
    assert report.stage("synthesised").used["LUT"] == 2310
    assert report.counted == report.stages[0]
    assert "not compared with the sources" in report.stage("implemented").detail
    whole = (results / "accelerator_utilization.rpt").read_text()
    (results / "accelerator_utilization.rpt").write_text(whole[: len(whole) // 4])
    (results / "utilization.rpt").unlink()
    report = project_report(Project(project), "0")
    assert [stage.state for stage in report.stages] == ["done", "unfinished", "unfinished", "not run", "not run"]
    assert "accelerator_utilization.rpt: the report lacks" in report.stage("implemented").detail
    assert "the report lacks" in to_text(report)
