"""The side-by-side benchmark, without FINN+: its JSON, which designs are shown, which nodes are compared."""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

import muxflow
from muxflow.dataflow.fit.device import Resources
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.training import zoo_bnn

pytestmark = pytest.mark.filterwarnings("ignore")

FOLDER = Path(__file__).parents[2] / "benchmarks"


def script(path):
    """A script as a module; it is in no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


benchmark = script(FOLDER / "finn_plus.py")


def entry(target, cycles, lut, bram18, nodes=()):
    return {
        "target_fps": target,
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
    return benchmark.parse_designs(json.dumps({"model": "net.onnx", "designs": entries}))


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


def test_the_wanted_targets_and_the_fastest_inside_the_budget_are_shown_once():
    found = designs(
        entry(1000, 98_304, 14_000, 124),
        entry(2000, 49_152, 30_000, 147),
        entry(3000, 49_152, 30_000, 147),
        entry(6000, 16_412, 44_340, 213),
    )
    budget = Resources(37_240, 74_480, 252, 198)
    shown = benchmark.shown_designs(found, (1000, 6000), budget)
    assert [design.target_fps for design in shown] == [1000, 2000, 6000]
    assert benchmark.over_budget(shown[-1].resources, budget) == "LUT"


def test_nodes_are_compared_at_the_other_sides_fold(graph):
    folds = ((1, 56), (1, 8), (1, 8), (1, 1))
    (design,) = designs(entry(1, 1, 1, 1, [mvau(*shape, *fold) for shape, fold in zip(SHAPES, folds, strict=True)]))
    rows = list(benchmark.compare_nodes(graph, design))
    assert [row.fold for row in rows] == ["PE 1 SIMD 56", "PE 1 SIMD 8", "PE 1 SIMD 8", "PE 1 SIMD 1"]
    assert all(row.theirs == Resources(400, 0, 3, 0) and row.ours.lut > 0 for row in rows)
    # 784 * 64 weights of one bit, 56 a word: 896 words in four blocks of 1024 x 18.
    assert rows[0].ours.bram18 == 4
    assert rows[0].ratio == f"{rows[0].ours.lut / 400:.2f} / 1.33"


def test_a_fold_that_is_not_legal_here_has_an_estimate(graph):
    matrix = next(node for node in graph.nodes if isinstance(node.op, MatrixVector))
    weights = next(node for node in graph.nodes if isinstance(node.op, RomWeights))
    assert benchmark.formula(graph, matrix, Fold(3, 36)).lut > 0
    assert benchmark.formula(graph, weights, Fold(3, 36)).bram18 > 0


def test_other_matrices_are_refused(graph):
    (design,) = designs(entry(1, 1, 1, 1, [mvau(32, 784, 1, 1)]))
    with pytest.raises(SystemExit, match="other matrices"):
        list(benchmark.compare_nodes(graph, design))


def test_our_folds_are_handed_over_in_the_order_of_the_network(graph):
    design = muxflow.fit(graph, "pynq-z2")
    folds = benchmark.finn_folds(design)
    assert [len(folds[kind]) for kind in ("MVAU", "ConvolutionInputGenerator", "Pool")] == [4, 0, 0]
    for (rows, columns), (pe, simd) in zip(SHAPES, folds["MVAU"], strict=True):
        assert rows % pe == 0 and columns % simd == 0


def test_a_missing_environment_names_the_target_that_makes_it(graph, tmp_path):
    with pytest.raises(SystemExit, match="make benchmark-finn"):
        benchmark.run_finn(tmp_path / "python", tmp_path / "net.onnx", (1000,), muxflow.fit(graph, "pynq-z2"))


def test_the_figures_of_the_other_side_are_taken_from_its_standard_output(graph, tmp_path):
    design = muxflow.fit(graph, "pynq-z2")
    stand_in = tmp_path / "python"
    answer = json.dumps({"designs": [entry(1000, 784, 1917, 10)]})
    stand_in.write_text(f"#!/bin/sh\necho \"$@\" > {tmp_path}/arguments\necho '{answer}'\n")
    stand_in.chmod(0o755)
    model = tmp_path / "net.onnx"
    (found,) = benchmark.run_finn(stand_in, model, (1000, 2000), design)
    assert found.slowest_cycles == 784
    assert json.loads(model.with_suffix(".folds.json").read_text())["MVAU"]
    assert "--fps 1000 --fps 2000" in (tmp_path / "arguments").read_text()
    stand_in.write_text("#!/bin/sh\necho no such board >&2\nexit 3\n")
    with pytest.raises(SystemExit, match="no such board"):
        benchmark.run_finn(stand_in, model, (1000,), design)


def test_the_estimate_script_starts_without_finn():
    assert script(FOLDER / "finn_plus" / "estimate.py").ATTRIBUTES
