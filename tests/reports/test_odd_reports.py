"""Reports of odd designs: every format and every figure's data renders, whatever the numbers and names are."""

import json
import re
from collections.abc import Callable
from dataclasses import replace

import pytest

from muxflow.dataflow.limits import MOST_FIGURE
from muxflow.reports.compare import COMPARISONS
from muxflow.reports.figures.data import OF_ONE, accuracy
from muxflow.reports.latex.kit import kit
from muxflow.reports.latex.prior import read_prior
from muxflow.reports.render import RENDERINGS
from muxflow.reports.schema.file import from_entry, to_entry
from muxflow.reports.schema.report import Report
from muxflow.reports.schema.stages import IMPLEMENTED, Accuracy, Measured, Power, Rung, Stage
from muxflow.reports.side_by_side import Contender


def of_cycles(report: Report, cycles: int) -> Report:
    nodes = tuple(replace(row, cycles=cycles) for row in report.nodes)
    layers = tuple(replace(row, cycles=cycles) for row in report.layers)
    return replace(report, slowest_cycles=cycles, nodes=nodes, layers=layers)


def of_amounts(report: Report, amount: int) -> Report:
    amounts = dict.fromkeys(report.used, amount)
    stages = (replace(report.stages[0], used=amounts),)
    more = {"used": amounts, "budget": amounts, "reserve": amounts, "available": amounts, "between": {}}
    return replace(report, stages=stages, **more)


def of_one_node(report: Report) -> Report:
    node = report.nodes[0]
    layer = replace(report.layers[0], name=node.name, nodes=(node.name,))
    empty = dict.fromkeys(("fifos", "functions", "frontier", "stages", "energy", "weights", "ladder"), ())
    return replace(report, nodes=(node,), layers=(layer,), bottleneck=node.name, **empty)


def of_many_nodes(report: Report) -> Report:
    node, layer = report.nodes[0], report.layers[0]
    names = [f"{node.name}{number}" for number in range(500)]
    nodes = tuple(replace(node, name=name, layer=name) for name in names)
    layers = tuple(replace(layer, name=name, nodes=(name,)) for name in names)
    ends = zip(["host", *names], [*names, "host"], strict=True)
    fifos = tuple(replace(report.fifos[0], writer=writer, reader=reader) for writer, reader in ends)
    return replace(report, nodes=nodes, layers=layers, fifos=fifos, bottleneck=names[0])


CASES: dict[str, Callable[[Report], Report]] = {
    "no cycles": lambda one: of_cycles(one, 0),
    "huge cycles": lambda one: replace(of_cycles(one, MOST_FIGURE), interval=MOST_FIGURE, latency=MOST_FIGURE),
    "no operations": lambda one: replace(
        one, operations=0, layers=tuple(replace(row, macs=0) for row in one.layers)
    ),
    "no resources": lambda one: of_amounts(one, 0),
    "huge resources": lambda one: of_amounts(one, MOST_FIGURE),
    "one node": of_one_node,
    "500 nodes": of_many_nodes,
    "no names": lambda one: replace(one, network="", board="", part="", version="", ceiling=""),
    "long names": lambda one: replace(one, network="n" * 5000, board="b" * 300, remarks="r" * 3000),
    "no images": lambda one: replace(one, accuracy=Accuracy("", "", 0, 0), ladder=(Rung("x", "equal", 0, ""),)),
    "nothing right, no power": lambda one: replace(
        one, accuracy=Accuracy("a", "", 9, 0), power=Power(0, 0, 0, "", "V"), measured=Measured("board", 1, 0, 0, 0, None, None)
    ),
    "half done": lambda one: replace(
        one, stages=(one.stages[0], Stage(IMPLEMENTED, "unfinished", detail="cut short"), Stage("co-simulated", "stale"))
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_odd_reports_render(case: str, whole: Report) -> None:
    odd = CASES[case](whole)
    assert from_entry(json.loads(json.dumps(to_entry(odd)))) == odd
    for name, render in RENDERINGS.items():
        assert not re.search(r">(nan|inf|None)<|[| &](nan|inf|None) ", render(odd)), name
    assert "summary.tex" in kit([odd, whole], read_prior())
    for make in OF_ONE.values():
        assert make(odd).to_csv()
    assert accuracy([odd]).to_csv()
    for name, render_pair in COMPARISONS.items():
        assert "nan" not in render_pair([Contender("odd", odd), Contender("other", whole)]), name


def test_a_layer_without_cycles_has_no_place_on_the_roofline(whole: Report) -> None:
    first = whole.layers[0]
    assert first.matrix is not None
    names = OF_ONE["roofline"](whole).column("layer")
    still = tuple(replace(row, cycles=0) if row.layer == first.name else row for row in whole.nodes)
    assert OF_ONE["roofline"](replace(whole, nodes=still)).column("layer") == names[1:]
