"""Pipelines as a synthesis reported them, taken back into the timing model: `muxflow fit --from`."""

import json
import os
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import pytest

import muxflow
from muxflow.board.bitstream.feedback import reported_pipelines
from muxflow.board.bitstream.pipelines import pipelines_of
from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.fit.resizing import PipelineTiming, resized, with_pipelines
from muxflow.dataflow.fit.timing import simulate
from muxflow.hls.vitis.writing import write_project

REPORTS = Path(__file__).parent / "reports"

# What Vitis HLS 2022.2 and 2024.2 write for one function, and Vivado HLS 2019.2, cut to what is read.
REPORT = """<profile>

<ReportVersion>
<Version>{version}</Version>
</ReportVersion>

<UserAssignments>
<unit>ns</unit>
<ProductFamily>zynq</ProductFamily>
<Part>xc7z020-clg400-1</Part>
<TopModelName>{module}</TopModelName>
<TargetClockPeriod>10.00</TargetClockPeriod>
<ClockUncertainty>2.70</ClockUncertainty>
<FlowTarget>vivado</FlowTarget>
</UserAssignments>

<PerformanceEstimates>
<PipelineType>{kind}</PipelineType>
<SummaryOfTimingAnalysis>
<unit>ns</unit>
<EstimatedClockPeriod>6.912</EstimatedClockPeriod>
</SummaryOfTimingAnalysis>
<SummaryOfOverallLatency>
<unit>clock cycles</unit>
<Interval-min>{trips}</Interval-min>
<Interval-max>{trips}</Interval-max>
</SummaryOfOverallLatency>
<SummaryOfLoopLatency>
<VITIS_LOOP_41_1>
<TripCount>{trips}</TripCount>
<Latency>{trips}</Latency>
<AbsoluteTimeLatency>480</AbsoluteTimeLatency>
<PipelineII>{interval}</PipelineII>
<PipelineDepth>{depth}</PipelineDepth>
<InstanceList>
</InstanceList>
</VITIS_LOOP_41_1>
</SummaryOfLoopLatency>
</PerformanceEstimates>

</profile>
"""
FLUSHING = "loop auto-rewind flp (delay=0 clock cycles(s))"


def write_report(folder, module, trips, depth, interval=1, kind="no", version="2022.2"):
    text = REPORT.format(module=module, trips=trips, depth=depth, interval=interval, kind=kind, version=version)
    (folder / f"{module}_csynth.xml").write_text(text)


def write_reports(project, place, given):
    """Write the reports of all nodes, each pipeline at its estimate where none is given; gives their folder."""
    folder = project.path / place / "syn" / "report"
    folder.mkdir(parents=True)
    folded = project.design.folded
    for node in folded.processes:
        depth, interval = given.get(node.name, (folded.cost(node).depth, folded.cost(node).interval))
        module = project.names.functions[node.name]
        # Vitis HLS takes a loop out of a function that does something beside it.
        module += "_Pipeline_VITIS_LOOP_41_1" if node.name == "act" else ""
        write_report(folder, module, folded.access(node).trips, depth, interval)
    return folder


@pytest.fixture
def synthesised(make_project):
    """`synthesised(**depths)`: a project and its folder of reports, each node's pipeline at its estimate where none is given."""

    def make(place="bitstream/hls/solution", **given):
        project = make_project()
        folder = write_reports(project, place, given)
        write_report(folder, "axi_input_40_8_64_s", 5, 3)
        (folder / "dense_csynth.xml").write_text((REPORTS / "vivado_hls_2019.2_csynth.xml").read_text())
        (folder / "csynth.xml").write_text((REPORTS / "vitis_hls_2022.2_csynth.xml").read_text())
        return project, folder

    return make


@pytest.mark.parametrize("place", ["bitstream/hls/solution", "bitstream/hls/hls", "hls/solution"])
def test_pipelines_are_read_by_node(synthesised, place):
    project, _ = synthesised(place, fc=(9, 2), act=(7, 1))
    found = reported_pipelines(project)
    assert set(found) == {node.name for node in project.design.folded.processes}
    assert "rom" not in found, "the weights are read in place"
    assert (found["fc"], found["act"]) == (PipelineTiming(9, 2), PipelineTiming(7, 1))


def test_the_newest_synthesis_counts(synthesised):
    project, folder = synthesised("hls/solution")
    other = project.path / "bitstream" / "hls" / "solution" / "syn" / "report"
    other.mkdir(parents=True)
    for file in folder.iterdir():
        (other / file.name).write_text(file.read_text().replace("<PipelineDepth>", "<PipelineDepth>1"))
        os.utime(other / file.name, (1, 1))
    fc = next(node for node in project.design.graph.nodes if node.name == "fc")
    assert reported_pipelines(project)["fc"].depth == project.design.cost(fc).depth


def test_styles_are_read_where_a_report_says_them():
    def styles(kind):
        root = ElementTree.fromstring(
            REPORT.format(module="fc", trips=24, depth=5, interval=1, kind=kind, version="2024.2")
        )
        return [one.style for one in pipelines_of(root)]

    assert styles(FLUSHING) == ["flp"]
    assert styles("loop auto-rewind stp (delay=1 clock cycles(s))") == ["stp"]
    for kind in ("no", "yes", "none", "loop rewind(delay=0 clock cycles(s))"):
        assert styles(kind) == [""]


def test_fifos_are_sized_for_the_reported_pipelines(make_random_design):
    """With deeper pipelines than the margin covers the interval is kept again, by deeper FIFOs; folds stay."""
    design = make_random_design(1)
    sized = resized(design)
    deep = {node.name: PipelineTiming(sized.cost(node).depth + 30, 1) for node in design.graph.nodes}
    seen = replace(sized, folded=with_pipelines(sized.folded, deep))
    assert {seen.cost(node).depth for node in design.graph.nodes} == {one.depth for one in deep.values()}
    before = simulate(seen.folded, sized.depths, frames=len(sized.timing.completions))
    after = resized(seen)
    assert after.folds == design.folds
    assert after.interval <= before.interval
    assert sum(after.depths.values()) > sum(sized.depths.values())
    # A slower pipeline bounds the interval.
    node = sized.bottleneck
    slow = resized(replace(sized, folded=with_pipelines(sized.folded, {node.name: PipelineTiming(4, 2)})))
    assert slow.slowest_cycles == 2 * sized.slowest_cycles


def remove(folder, name):
    (folder / f"{name}_csynth.xml").unlink()


def alter(old, new, folder):
    file = folder / "fc_csynth.xml"
    file.write_text(file.read_text().replace(old, new))


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (
            lambda folder: remove(folder, "fc"),
            MuxflowError,
            r"no pipelined loop is reported for the node fc \(function fc\)",
        ),
        (lambda folder: write_report(folder, "conv9", 24, 5), MuxflowError, "the function conv9 is no node of dense"),
        (lambda folder: write_report(folder, "fc", 48, 5), MuxflowError, r"loop of fc .* has 48 iterations; .* has 24"),
        (
            lambda folder: write_report(folder, "fc", 24, 10**11),
            ToolError,
            r"loop of fc .* has a depth of 100000000000 and",
        ),
        (
            lambda folder: write_report(folder, "fc", 24, 5, 0),
            ToolError,
            r"fc .* an interval of 0 cycles; .*run the synth",
        ),
        (
            lambda folder: write_report(folder, "fc", 24, 5, 10**8),
            ToolError,
            r"loop of fc .* an interval of 100000000 cyc",
        ),
        (lambda folder: remove(folder, "dense"), MuxflowError, "no report of the top function dense, only of .*fc"),
        (
            lambda folder: (folder / "fc_csynth.xml").write_text("<profile>"),
            ToolError,
            r"fc_csynth\.xml: not a whole XML report",
        ),
        (
            lambda folder: (folder / "fc_csynth.xml").write_text("<profile/>"),
            ToolError,
            r"fc_csynth\.xml: the report lacks UserAssignments/TopModelName",
        ),
        (
            partial(alter, "xc7z020-clg400-1", "xczu3eg-sbva484-1-e"),
            MuxflowError,
            r"fc_csynth\.xml: for the part 'xczu3eg-sbva484-1-e', not xc7z020clg400-1: the reports are of another design",
        ),
        (
            partial(alter, ">10.00<", ">5.00<"),
            MuxflowError,
            r"fc_csynth\.xml: for a clock of 5\.00 ns, not 10\.00: the reports are of another design",
        ),
        (
            partial(alter, ">10.00<", ">fast<"),
            ToolError,
            r"fc_csynth\.xml: TargetClockPeriod is 'fast'; a number is expected",
        ),
    ],
)
def test_reports_of_another_design_are_refused_by_name(synthesised, spoil, error, message):
    project, folder = synthesised()
    spoil(folder)
    with pytest.raises(error, match=message):
        reported_pipelines(project)


def test_without_a_synthesis(make_project, tmp_path):
    """The command in the message is one that a shell takes, whatever the folder is called."""
    project = make_project()
    moved = project.path.rename(tmp_path / "um ö")
    with pytest.raises(MuxflowError, match=r"no synthesis has run here.*--until csynth") as raised:
        reported_pipelines(replace(project, path=moved))
    assert f"`muxflow bitstream '{moved}' --until csynth`" in str(raised.value)


@pytest.fixture
def call(call_muxflow):
    """`call(*arguments)`: exit code, standard output, standard error of `muxflow fit`."""
    return partial(call_muxflow, "fit")


def test_command(synthesised, call):
    project, _ = synthesised(fc=(40, 1))
    code, out, err = call("--from", project.path)
    assert code == 0, err
    assert "40 / 1" in out
    for title in ("as fitted", "pipelines as reported", "FIFOs sized anew"):
        assert title in out
    code, out, err = call("--from", project.path, "--json")
    assert code == 0, err
    entry = json.loads(out)
    fc = next(row for row in entry["pipelines"] if row["node"] == "fc")
    assert (fc["reported"], fc["estimated"]["interval"]) == ({"depth": 40, "interval": 1}, 1)
    assert entry["designs"]["as fitted"]["interval"] == project.design.interval
    assert {row["node"] for row in entry["pipelines"]} == {node.name for node in project.design.folded.processes}
    code, _, err = call(project.path / "model.npz", "--from", project.path)
    assert (code, "both the model" in err) == (2, True)
    code, _, err = call()
    assert (code, "give a model, or a synthesised project: --from PROJECT" in err) == (2, True)
    code, _, err = call("--from", project.path, "--fps", "10", "--output", "x.json")
    assert code == 2
    assert "keeps the project's own fit; leave out --fps, --output" in " ".join(err.split())


def test_a_design_that_deadlocks_is_told_by_process_and_stream(residual, tmp_path, call):
    """Deeper pipelines on one branch than its margins cover: named by style, and freed by the FIFOs sized anew."""
    design = muxflow.fit(residual, "pynq-z2")
    project = write_project(design, tmp_path / "project")
    folder = write_reports(project, "hls/hls", {name: (400, 1) for name in ("act", "act2", "mix")})
    top = (REPORTS / "vivado_hls_2019.2_csynth.xml").read_text()
    (folder / f"{project.names.top}_csynth.xml").write_text(top)
    code, out, err = call("--from", project.path, "--json")
    assert code == 0, err
    entry = json.loads(out)
    (told, *_) = entry["deadlocks"]["stalling"]
    assert re.fullmatch(r"\w+ waits for (room|data) on \w+ \(depth \d+\)", told)
    assert entry["designs"]["FIFOs sized anew"]["interval"] is not None
    code, out, _ = call("--from", project.path)
    assert f"deadlocks where pipelines are stalling: {told}" in " ".join(out.split())
