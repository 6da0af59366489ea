"""A design with every kind of figure, and its report: what did not run, what did, and what is stale."""

from collections.abc import Iterator
from dataclasses import replace

import browser
import pytest

from muxflow.board.board import find_board
from muxflow.dataflow.fit import folding
from muxflow.dataflow.fit.curves import FrontierPoint
from muxflow.dataflow.fit.design import Design
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.graph.graph import Graph
from muxflow.hls.kernels import KERNELS
from muxflow.reports.gather.pipeline import watch
from muxflow.reports.gather.report import make_report
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.stages import (
    COSIMULATED,
    IMPLEMENTED,
    SYNTHESISED,
    SYSTEM,
    Accuracy,
    Measured,
    Power,
    Provenance,
    Rung,
    Stage,
)

WILD = 'a_b%c&d#e$f{g}~h^i\\j<k>|l"m`n[o]*p--q µ×é 語 \N{RIGHT-TO-LEFT OVERRIDE}r'
"""A name of every character that gives LaTeX, HTML, Markdown or a terminal orders."""


@pytest.fixture(scope="session")
def design(residual: Graph) -> Design:
    board = find_board("pynq-z2")
    return folding.fit(residual, KERNELS, device=board.device, board=board.name, clock_mhz=board.clock_mhz)


@pytest.fixture(scope="session")
def report(design: Design) -> Report:
    """What is known before any vendor tool has run."""
    ladder = (Rung("C simulation", "equal", 8, "7 tensors"), Rung("board", "not run", 0, "needs the board"))
    return make_report(design, ladder=ladder, accuracy=Accuracy("digits", "test", 8, 6), version="0")


POINTS = tuple(
    FrontierPoint(*point)
    for point in (
        (100, Resources(900, 800, 4, 0)),
        (200, Resources(700, 700, 5, 0)),
        (300, Resources(700, 700, 5, 0)),  # no better than the one before
        (400, Resources(500, 600, 3, 0)),
    )
)


@pytest.fixture(scope="session")
def whole(design: Design, report: Report) -> Report:
    """What is known after all stages, some of them of other sources."""
    resources = {"LUT": 4000, "FF": 3000, "BRAM18": 12, "DSP": 1}
    stages = (
        Stage(SYNTHESISED, "done", "Vitis HLS 2022.2", resources, (64, 66), (200, 300), 7.3, 1.4, "9 flp"),
        Stage(COSIMULATED, "stale", "Vitis HLS 2022.2", {}, (64, 70), (210, 310)),
        Stage(IMPLEMENTED, "done", "Vivado 2022.2", {**resources, "LUT": 2500}, None, None, 8.7, 1.3),
        Stage(SYSTEM, "unfinished", "Vivado 2022.2", {**resources, "LUT": 8900}, detail="the run has not ended"),
    )
    return make_report(
        design,
        ladder=report.ladder,
        accuracy=report.accuracy,
        version="0",
        stages=stages,
        pipeline=watch(design),
        frontier=POINTS,
        power=Power(1.5, 1.3, 0.2, "Low", "Vivado 2022.2"),
        measured=Measured("board", 256, 9e5, 1e4, 5e-5, 420, 99.9, "stale"),
        provenance=Provenance("Linux x86_64", {"Muxflow": "0", "Vivado": "2022.2"}, "abc", "def", ("muxflow build m",)),
    )


@pytest.fixture(scope="session")
def wild(whole: Report) -> Report:
    """The same with names that give orders, everywhere."""
    names = {layer.name: f"{WILD}{n}" for n, layer in enumerate(whole.layers)}
    layers = tuple(replace(layer, name=names[layer.name]) for layer in whole.layers)
    nodes = tuple(replace(node, layer=names[node.layer]) for node in whole.nodes)
    stages = tuple(replace(stage, tool=WILD, detail=WILD) for stage in whole.stages)
    rows = tuple(replace(row, function=f"{WILD}{n}") for n, row in enumerate(whole.functions))
    more = {"network": WILD, "board": WILD, "part": WILD, "remarks": WILD, "version": WILD, "activity_is": WILD}
    accuracy = Accuracy(WILD, WILD, 8, 6)
    return replace(whole, layers=layers, nodes=nodes, stages=stages, functions=rows, accuracy=accuracy, **more)


@pytest.fixture(scope="session")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    """A browser; a test that asks for it is left out where there is none."""
    if browser.EXECUTABLE is None:
        pytest.skip(browser.NO_BROWSER)
    with browser.running(browser.EXECUTABLE, tmp_path_factory.mktemp("profile")) as started:
        yield started
