"""What a synthesis made of each node's pipeline, read back from the reports beside a project."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Mapping
from pathlib import Path

from muxflow.board.bitstream.pipelines import Pipeline, pipelines_of
from muxflow.board.bitstream.vendor_reports import number, read_xml
from muxflow.dataflow.errors import MuxflowError, ToolError
from muxflow.dataflow.fit.resizing import PipelineTiming
from muxflow.dataflow.text import command_line, shown
from muxflow.hls.vitis.project import Project

RESULTS = ("bitstream/hls/solution", "bitstream/hls/hls", "hls/solution", "hls/hls")
"""Where a synthesis may be: of `muxflow bitstream`, or of run_hls.tcl run by hand."""

SUFFIX = "_csynth.xml"
OUTLINED = "_Pipeline_"
"""How Vitis HLS names the module of a loop that it took out of a function: <function>_Pipeline_<loop>."""

MOST_CYCLES = 10_000
"""No pipeline of a kernel is as deep, and none begins its iterations so far apart (decision): a figure beyond it is damage."""

ROUNDED_NS = 0.011
"""By how much a clock's period differs that a report gives with two digits, a script with three."""

AXI = ("axi_input", "axi_output")
"""The functions at the ports, which are no nodes."""


def reported_pipelines(project: Project) -> dict[str, PipelineTiming]:
    """Give depth and interval of each node's pipeline by the newest synthesis of the project, by node name.

    Read are the reports of the single functions (`<function>_csynth.xml`), which every version writes.
    Raises MuxflowError where there is none, or where it is of another design: another part, clock or top function, a function
    that is no node, a node without a report, another number of iterations. Raises ToolError for a report that is not whole, or
    whose depth or interval no pipeline has.
    """
    folder = _folder(project)
    top = project.names.top
    if not (folder / f"{top}{SUFFIX}").is_file():
        others = ", ".join(sorted(file.name.removesuffix(SUFFIX) for file in folder.glob(f"*{SUFFIX}")))
        raise MuxflowError(f"{folder}: no report of the top function {top}, only of {others}: {_other(project)}")
    functions = project.names.functions
    nodes = {functions[node.name]: node.name for node in project.design.folded.processes}
    found: dict[str, list[Pipeline]] = {}
    for pipeline in _pipelines(project, folder):
        node = _node(pipeline.module, nodes)
        if node is not None:
            found.setdefault(node, []).append(pipeline)
        elif not pipeline.module.startswith(AXI):
            raise MuxflowError(f"{folder}: the function {pipeline.module} is no node of {top}: {_other(project)}")
    return {node: _timing(project, folder, node, found.get(node, [])) for node in nodes.values()}


def _folder(project: Project) -> Path:
    """Find the newest folder of reports."""
    places = [project.path / place / "syn" / "report" for place in RESULTS]
    there = [place for place in places if any(place.glob(f"*{SUFFIX}"))]
    if not there:
        raise MuxflowError(
            f"{project.path}: no synthesis has run here, so there are no reports (<function>{SUFFIX}); "
            f"`{_synthesis(project)}` runs one with your own tools"
        )
    return max(there, key=lambda place: max(file.stat().st_mtime for file in place.glob(f"*{SUFFIX}")))


def _pipelines(project: Project, folder: Path) -> Iterator[Pipeline]:
    for file in sorted(folder.glob(f"*{SUFFIX}")):
        report = read_xml(file)
        if report.findtext("UserAssignments/TopModelName") is None:
            raise ToolError(f"{file}: the report lacks UserAssignments/TopModelName; run the synthesis again")
        _check_target(project, file, report)
        yield from pipelines_of(report)


def _check_target(project: Project, file: Path, report: ElementTree.Element) -> None:
    """Raise MuxflowError where a function was synthesised for another part or clock than the design's."""
    part, clock = (report.findtext(f"UserAssignments/{name}", "").strip() for name in ("Part", "TargetClockPeriod"))
    design = project.design
    if part and _plain_part(part) != _plain_part(design.device.part):
        raise MuxflowError(f"{file}: for the part {shown(part)}, not {design.device.part}: {_other(project)}")
    period = 1000 / design.clock_mhz
    if clock and abs(number(file, "TargetClockPeriod", clock) - period) > ROUNDED_NS:
        raise MuxflowError(f"{file}: for a clock of {clock} ns, not {period:.2f}: {_other(project)}")


def _plain_part(part: str) -> str:
    """Give a part's name without hyphens: a report has one more than the tools take."""
    return part.replace("-", "").lower()


def _node(module: str, nodes: Mapping[str, str]) -> str | None:
    """Find the node of a module: a function of that name, or one that a loop was taken out of."""
    return nodes.get(module) or nodes.get(module.partition(OUTLINED)[0])


def _timing(project: Project, folder: Path, node: str, pipelines: list[Pipeline]) -> PipelineTiming:
    """Take the pipeline of a node's loop; raises MuxflowError where it is not the one of this design."""
    function = project.names.functions[node]
    if not pipelines:
        raise MuxflowError(
            f"{folder}: no pipelined loop is reported for the node {node} (function {function}): {_other(project)}"
        )
    folded = project.design.folded
    wanted = folded.access(next(one for one in folded.graph.nodes if one.name == node)).trips
    main = max(pipelines, key=lambda one: (one.trips or 0, one.depth))
    if main.trips is not None and main.trips != wanted:
        raise MuxflowError(
            f"{folder}: the loop of {node} (function {function}) has {main.trips} iterations; the design's has {wanted}: "
            f"{_other(project)}"
        )
    made = PipelineTiming(max(one.depth for one in pipelines), main.interval)
    if made.depth > MOST_CYCLES or not 1 <= made.interval <= MOST_CYCLES:
        raise ToolError(
            f"{folder}: the loop of {node} (function {function}) has a depth of {made.depth} and an interval of "
            f"{made.interval} cycles; expected up to {MOST_CYCLES}, the interval from 1: run the synthesis again"
        )
    return made


def _other(project: Project) -> str:
    return f"the reports are of another design, or of other folds; synthesise this one: `{_synthesis(project)}`"


def _synthesis(project: Project) -> str:
    return command_line("bitstream", project.path, "--until", "csynth")
