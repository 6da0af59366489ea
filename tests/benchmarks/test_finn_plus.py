"""The side-by-side benchmark, without FINN+: its JSON, its folds under our model, which nodes are compared."""

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import muxflow
from muxflow.board.board import find_board
from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.device import Resources, Utilisation
from muxflow.dataflow.fit.resource_model import ratio
from muxflow.dataflow.fit.timing import have_compiler
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training import zoo_bnn
from muxflow.hls.kernels import KERNELS

pytestmark = pytest.mark.filterwarnings("ignore")

FOLDER = Path(__file__).parents[2] / "benchmarks"

# As for a script in that folder.
sys.path.append(str(FOLDER))
NAMES = ("finn_plus", "muxflow.against.finn_designs", "side_by_side.nodes", "muxflow.against.pricing")
benchmark, finn_designs, nodes, same_model = map(import_module, NAMES)


def entry(target, cycles, lut, bram18, nodes=()):
    return {
        "target_fps": target,
        "wwidth_max": 256,
        "slowest_cycles": cycles,
        "frames_per_second": 1e8 / cycles,
        "lut": lut,
        "bram18": bram18,
        "dsp": 0,
        "seconds": 1.5,
        "converters": {"nodes": 2, "lut": 70},
        "nodes": list(nodes),
    }


def mvau(rows, columns, pe, simd):
    return {
        "name": "MVAU_hls_0",
        "op": "MVAU_hls",
        "cycles": rows * columns // pe // simd,
        "lut": 400,
        "bram18": 3,
        "dsp": 0,
        "PE": pe,
        "SIMD": simd,
        "MW": columns,
        "MH": rows,
        "mem_mode": "internal_decoupled",
        "weight_type": "BINARY",
    }


def designs(*entries):
    return finn_designs.parse_designs(json.dumps({"model": "net.onnx", "designs": entries}))


@pytest.fixture(scope="module")
def graph(tmp_path_factory):
    path = tmp_path_factory.mktemp("finn") / "net.onnx"
    return muxflow.load(export(zoo_bnn.randomise(zoo_bnn.build("tfc_w1a1")), path, (1, 1, 28, 28)))


SHAPES = ((64, 784), (64, 64), (64, 64), (10, 64))


def test_designs_are_parsed_with_their_nodes():
    window = {"name": "w", "op": "ConvolutionInputGenerator_rtl", "cycles": 9, "lut": 300, "bram18": 0, "dsp": 0}
    (design,) = designs(entry(3000, 33_020, 25_277, 142, [mvau(64, 784, 2, 49), {**window, "depthwise": 1, "SIMD": 4}]))
    assert (design.target_fps, design.resources, design.converter_lut) == (3000, Resources(25_277, 0, 142, 0), 70)
    matrix, pool = design.nodes
    assert (matrix.pe, matrix.simd, matrix.rows, matrix.columns, matrix.depthwise) == (2, 49, 64, 784, False)
    assert (pool.pe, pool.simd, pool.depthwise) == (1, 4, True)


def test_the_fastest_by_the_other_sides_estimates_is_inside_the_budget_with_its_converters():
    found = designs(
        entry(0, 1000, 1, 1),
        entry(1000, 98_304, 14_000, 124),
        entry(2000, 49_152, 30_000, 147),
        entry(2500, 49_152, 29_000, 147),
        entry(3000, 40_000, 37_200, 147),
        entry(6000, 16_412, 44_340, 213),
    )
    budget = Resources(37_240, 74_480, 252, 198)
    assert benchmark.fastest_by_own(found, budget).target_fps == 2500
    assert benchmark.over_budget(found[-1].resources, budget) == "LUT"
    assert benchmark.fastest_by_own(found[-1:], budget) is None


def test_published_folds_are_read_with_what_was_placed(tmp_path):
    file = tmp_path / "published.csv"
    file.write_text(
        "network,what,source,fold_PE_SIMD_per_layer,lut,ff,bram18,dsp\n"
        'CNV W1A1,one,there,"(16,3)(5,1)",10,20,3,0\n'
        "CNV W1A2,two,there,as above,11,21,4,1\n"
        "LFC W1A1,three,there,told elsewhere,11,21,4,1\n"
    )
    ((what, layers, placed),) = benchmark.published("cnv_w1a2", file)
    assert (what, layers.matrices, placed) == ("two", ((16, 3), (5, 1)), Resources(11, 21, 4, 1))
    assert not list(benchmark.published("lfc_w1a1", file))
    assert len(list(benchmark.published("cnv_w1a1"))) == 2


def network(folds, cycles=0):
    units = [mvau(*shape, *fold) for shape, fold in zip(SHAPES, folds, strict=True)]
    (design,) = designs(entry(1000, cycles or max(unit["cycles"] for unit in units), 1, 1, units))
    return design


def test_the_other_sides_folds_become_ours(graph):
    """A fold that divides is taken as it is, the nearest one that is fast enough stands for any other."""
    pricing = same_model.Pricing(graph, Utilisation(sure=0.8))
    legal = network(((1, 56), (1, 8), (1, 8), (1, 1)))
    folds, adapted = pricing.leaders(legal.layers)
    assert not adapted
    matrices = [folds[node.name] for node in pricing.graph.nodes if isinstance(node.op, MatrixVector)]
    assert matrices == [Fold(1, 56), Fold(1, 8), Fold(1, 8), Fold(1, 1)]
    thresholds = [folds[node.name] for node in pricing.graph.nodes if isinstance(node.op, Threshold)]
    assert thresholds == [Fold(1)] * 3
    # 10 divides no row of 64 columns: 8 is nearer than 16, and too slow only where the network has no time for it.
    for slowest, wanted in ((900, Fold(1, 8)), (400, Fold(1, 16))):
        folds, adapted = pricing.leaders(network(((1, 56), (1, 10), (1, 8), (1, 1)), slowest).layers)
        (note,) = adapted
        assert note.endswith(f": PE 1 SIMD 10 -> {wanted}")
        assert wanted in folds.values()
    with pytest.raises(MuxflowError, match="3 folds for 4 matrices"):
        pricing.leaders(finn_designs.LayerFolds(((1, 1),) * 3))


@pytest.mark.skipif(not have_compiler(), reason="needs a C++ compiler")
def test_the_fastest_design_inside_the_allowance_is_found_and_priced(graph):
    slow, fast = network(((1, 16), (1, 2), (1, 2), (1, 1))), network(((2, 56), (2, 16), (2, 16), (1, 4)))
    huge = network(((64, 56), (64, 64), (64, 64), (10, 64)))
    best = same_model.Pricing(graph, Utilisation(sure=0.8)).fastest([slow, huge, fast])
    assert best.theirs is fast
    assert best.ours.timing is not None
    assert not best.ours.resources.exceeds(best.ours.allowance)
    assert best.ours.interval <= 1.01 * fast.slowest_cycles


def test_estimates_count_as_they_are_where_nothing_is_to_be_sure():
    assert ratio("lut", same_model.unscaled()) == pytest.approx(1)
    device = find_board("pynq-z2").device
    shares = Utilisation(sure=same_model.unscaled())
    assert device.budget(shares).lut - device.allowance(shares).lut in (0, 1)


def test_nodes_are_compared_at_the_other_sides_fold(graph):
    folds = ((1, 56), (1, 8), (1, 8), (1, 1))
    (design,) = designs(entry(1, 1, 1, 1, [mvau(*shape, *fold) for shape, fold in zip(SHAPES, folds, strict=True)]))
    rows = list(nodes.compare_nodes(graph, design))
    assert [row.fold for row in rows] == ["PE 1 SIMD 56", "PE 1 SIMD 8", "PE 1 SIMD 8", "PE 1 SIMD 1"]
    assert all(row.theirs == Resources(400, 0, 3, 0) and row.ours.lut > 0 for row in rows)
    # 784 * 64 weights of one bit, 56 a word: 896 words in four blocks of 1024 x 18.
    assert rows[0].ours.bram18 == 4
    assert rows[0].ratio == f"{rows[0].ours.lut / 400:.2f} / 1.33"


def test_a_fold_that_is_not_legal_here_has_an_estimate(graph):
    matrix = next(node for node in graph.nodes if isinstance(node.op, MatrixVector))
    weights = next(node for node in graph.nodes if isinstance(node.op, RomWeights))
    assert nodes.formula(graph, matrix, Fold(3, 36)).lut > 0
    assert nodes.formula(graph, weights, Fold(3, 36)).bram18 > 0


def test_other_matrices_are_refused(graph):
    (design,) = designs(entry(1, 1, 1, 1, [mvau(32, 784, 1, 1)]))
    with pytest.raises(SystemExit, match="other matrices"):
        list(nodes.compare_nodes(graph, design))


def test_our_folds_are_handed_over_in_the_order_of_the_network(graph):
    design = muxflow.fit(graph, "pynq-z2")
    folds = finn_designs.finn_folds(design)
    assert [len(folds[kind]) for kind in ("MVAU", "ConvolutionInputGenerator", "Pool")] == [4, 0, 0]
    for (rows, columns), (pe, simd, whole) in zip(SHAPES, folds["MVAU"], strict=True):
        assert rows % pe == 0 and columns % simd == 0 and whole == 0


@pytest.mark.parametrize(
    ("fold", "expected"),
    [
        (Fold(2, 1), {"MVAU": [(2, 1, 0)], "ConvolutionInputGenerator": [(1, 1, 0)], "Pool": []}),
        (Fold(2, 2 * 4), {"MVAU": [(2, 8, 0)], "ConvolutionInputGenerator": [(1, 2, 1)], "Pool": []}),  # whole windows
        (Fold(2, 2 * 2), None),  # half a window
        (Fold(2, 2, 1, 2), None),  # two pixels
    ],
)
def test_folds_of_windows_that_finn_has(fold, expected):
    board = find_board("pynq-z2")
    design = build_design(convolution(), {"conv": fold}, KERNELS, device=board.device, board=board.name, clock_mhz=100)
    assert finn_designs.finn_folds(design) == expected


def test_no_fold_of_several_pixels_stands_for_one_that_is_not_legal_here():
    # PE 1 SIMD 2 with four pixels would be nearest of those with 64 cycles.
    layers = finn_designs.LayerFolds(((1, 3),), slowest_cycles=64)
    folds, adapted = same_model.Pricing(convolution(), Utilisation(sure=0.8)).leaders(layers)
    assert folds["conv"] in (Fold(1, 8), Fold(2, 4))
    assert len(adapted) == 1


def convolution():
    weights = np.arange(32).reshape(4, 8) % 3 - 1
    nodes = (
        Node("window", SlidingWindow((2, 2)), ("x",), ("v",)),
        Node("rom", RomWeights(weights, 1, 16), (), ("w",)),
        Node("conv", MatrixVector(1, 4), ("v", "w"), ("y",)),
    )
    return with_nodes(Graph("net", (), {"x": Stream((5, 5, 2), 0, 3)}, ("x",), ("y",)), nodes)


STAND_IN = """#!{python}
import json, sys
sys.stderr.write("progress: 1 of 2 tried\\n")
shapes = {shapes}
(given,) = [json.load(open(after)) for flag, after in zip(sys.argv, sys.argv[1:]) if flag == "--folds"]
designs = []
for number, folds in enumerate([{{"MVAU": [[1, 1, 0]] * len(shapes)}}, *given]):
    nodes = [
        dict(name="m", op="MVAU_hls", cycles=h * w // pe // simd, lut=9, bram18=1, dsp=0, PE=pe, SIMD=simd, MH=h, MW=w)
        for (h, w), (pe, simd, _) in zip(shapes, folds["MVAU"], strict=True)
    ]
    slowest = max(node["cycles"] for node in nodes)
    head = dict(target_fps=0 if number else 1000, wwidth_max=36, slowest_cycles=slowest, frames_per_second=1e8 / slowest)
    designs.append(dict(head, lut=9, bram18=1, dsp=0, seconds=1, converters=dict(nodes=0, lut=0), nodes=nodes))
print(json.dumps(dict(designs=designs)))
"""


@pytest.mark.skipif(not have_compiler(), reason="needs a C++ compiler")
@pytest.mark.parametrize("name", ["tfc_w1a2", "tfc_w2a2"])
def test_networks_of_other_widths_run_through(tmp_path, name, capsys):
    """The whole of one network but FINN+ itself, for which a stand-in gives the slowest design and that of our folds."""
    stand_in = tmp_path / "python"
    stand_in.write_text(STAND_IN.format(python=sys.executable, shapes=list(SHAPES)))
    stand_in.chmod(0o755)
    totals = benchmark.total_table()
    details = benchmark.Benchmark(name, tmp_path).run(stand_in, totals)
    # Both sides at both levels, and what FINN+ takes for its best.
    assert totals.row_count >= 5
    assert details is not None and details.row_count >= len(SHAPES)
    assert f"{name}: 1 of 2 tried" in capsys.readouterr().err


def test_a_missing_environment_names_the_target_that_makes_it(graph, tmp_path):
    with pytest.raises(MuxflowError, match="make benchmark-finn"):
        finn_designs.run_finn(tmp_path / "python", tmp_path / "net.onnx", (1000,), [])


def test_the_figures_of_the_other_side_are_taken_from_its_standard_output(graph, tmp_path):
    design = muxflow.fit(graph, "pynq-z2")
    stand_in = tmp_path / "python"
    answer = json.dumps({"designs": [entry(1000, 784, 1917, 10), entry(0, 98, 1917, 10)]})
    stand_in.write_text(
        f"#!/bin/sh\necho \"$@\" > {tmp_path}/arguments\necho noise >&2\necho progress: 7 of 9 tried >&2\necho '{answer}'\n"
    )
    stand_in.chmod(0o755)
    model = tmp_path / "net.onnx"
    told: list[str] = []
    (found,), (same,) = finn_designs.run_finn(stand_in, model, (1000, 2000), [design], (36, 512), told.append)
    assert told == ["7 of 9 tried"]
    assert (found.slowest_cycles, same.slowest_cycles) == (784, 98)
    (folds,) = json.loads(model.with_suffix(".folds.json").read_text())
    assert folds["MVAU"]
    assert "--fps 1000 2000 --mvau-wwidth-max 36 512" in (tmp_path / "arguments").read_text()
    stand_in.write_text("#!/bin/sh\necho no such board >&2\nexit 3\n")
    with pytest.raises(MuxflowError, match="no such board"):
        finn_designs.run_finn(stand_in, model, (1000,), [design])


def test_the_estimate_script_starts_without_finn():
    ran = subprocess.run(
        [sys.executable, finn_designs.ESTIMATE, "--help"], capture_output=True, text=True, timeout=60, check=True
    )
    assert "limits on stream widths" in ran.stdout
