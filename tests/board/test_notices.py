"""What a user is told though all stages went through; and what holds of a design that is started frame by frame."""

from dataclasses import replace

import pytest
from standin_run import run

from muxflow.api import Project
from muxflow.board.bitstream.notices import cosimulation_refusal, notices_of
from muxflow.board.board import find_board
from muxflow.board.deploy import interface_entry
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.folding import fit
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import writable_seeds
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.hls.kernels import KERNELS
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.hls.vitis.writing import write_project
from muxflow.proving import project_report
from muxflow.reports.summary import summary


def test_slack_and_pipelines_that_stall_are_told(make_project, make_tools):
    tools = make_tools("vivado", "vitis_hls", reports={"csynth.xml": "vitis_hls_2024.2_csynth.xml"})
    project = make_project()
    made = run(project, tools)
    slack, stalling = made.notices
    assert slack.startswith(
        "the synthesis expects a slack of -0.820 ns: 8.120 ns estimated and 2.700 ns kept for placement"
    )
    assert stalling.startswith("1 of 3 pipelines stand still while a beat is missing (style stp)")
    assert "act/VITIS_LOOP_41_1" in stalling
    report = project_report(Project(project), "0")
    assert report.stage("synthesised").pipelines == "1 flp, 1 stp, 1 style not given"


def test_a_style_that_the_tool_withdrew_is_told(make_project, make_tools):
    project = make_project()
    made = run(project, make_tools("vitis_hls"), until="csynth")
    assert made.notices == ()
    with made.outcomes[-1].log.open("a") as log:
        log.write("WARNING: [HLS 200-1553] another style for pipeline 'VITIS_LOOP_41_1' in module 'fc'\n" * 2)
    (told,) = notices_of(project, find_board("pynq-z2"), made.figures, made.folder)
    assert told.startswith("the tool withdrew a pipeline's style: WARNING: [HLS 200-1553]")


@pytest.fixture
def make_seeds(tmp_path):
    """`make_seeds(control)`: a project whose seeds are registers."""

    def make(control):
        nodes = [Node("cells", AutomatonWeights(4, 8, 16), (), ("w",)), Node("fc", MatrixVector(), ("x", "w"), ("y",))]
        graph = with_nodes(Graph("seeded", (), {"x": Stream((1, 1, 8), 0, 7)}, ("x",), ("y",)), nodes)
        board = find_board("pynq-z2")
        design = fit(writable_seeds(graph), KERNELS, device=board.device, board=board.name, clock_mhz=100)
        return write_project(design, tmp_path / control, options=ProjectOptions(control=control, seeds="writable"))

    return make


def test_a_cosimulation_that_the_tools_refuse_is_left_out(make_seeds, make_tools):
    project = make_seeds("ap_ctrl_none")
    tools = make_tools("vitis_hls")
    made = run(project, tools, until="export")
    assert ("vitis_hls", "cosim.tcl") not in tools.calls()
    assert made.notices[0].startswith("co-simulation left out: the tools co-simulate a free-running region")
    assert run(project, tools, until="export", cosim=False).notices == ()
    assert run(project, tools, until="csynth").notices == ()
    with pytest.raises(MuxflowError, match="writable seeds are registers"):
        run(project, tools, until="cosim")
    assert cosimulation_refusal(make_seeds("s_axilite")) == ""


def test_a_started_design_without_weight_generators_keeps_its_interval(make_project):
    project = make_project(control="s_axilite")
    report = project_report(Project(project), "0")
    assert report.interval == project.design.interval < project.design.latency
    assert "one frame" not in dict(summary(report))["interval"]


def test_a_started_design_with_weight_generators_has_one_frame_at_a_time(make_seeds, make_tools):
    project = make_seeds("s_axilite")
    design = project.design
    assert design.slowest_cycles < design.latency == design.interval == design.apart
    entry = interface_entry(project)
    assert entry["interval_cycles"] == entry["latency_cycles"] == design.latency
    assert entry["interval_source"] == "estimate, one frame at a time"
    report = project_report(Project(project), "0")
    assert report.frames_per_second == pytest.approx(1e8 / design.latency)
    rows = dict(summary(report))
    assert rows["interval"].startswith(f"{design.latency:,} cycles between frames")
    assert "one frame at a time" in rows["interval"]
    assert "one frame at a time" in rows["pipelined rate"]
    run(project, make_tools("vivado", "vitis_hls"), until="csynth")
    assert project_report(Project(project), "0").stages[0].interval == (design.latency,) * 2
    options = ProjectOptions(seeds="writable")
    free = project_report(Project(replace(project, options=options, design=options.as_built(design))), "0")
    assert free.interval == design.slowest_cycles
    assert "one frame" not in dict(summary(free))["interval"]
