"""Other tools' folds of a network, priced as Muxflow's own designs; FINN+ is played by its answers."""

import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from networks import recurrent
from onnx import helper

import muxflow
from muxflow.against import contenders, finn_designs
from muxflow.against.contenders import Entrant, ReusedLayer, against, check_against
from muxflow.against.finn_designs import LayerFolds, parse_designs, run_finn
from muxflow.dataflow.errors import ToolError, UsageError
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.fit.device import Utilisation
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.limits import MOST_BYTES
from muxflow.dataflow.op import Fold, Op
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.thermometer_encode import ThermometerEncode
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.hls.kernels import KERNELS


@pytest.fixture(scope="module")
def entrant(tmp_path_factory: pytest.TempPathFactory) -> Entrant:
    """Two dense layers on 32 inputs, and a file that stands for their model."""
    rng = np.random.default_rng(0)
    nodes = [
        Node("wa", RomWeights(rng.integers(-1, 2, (16, 32))), (), ("wa",)),
        Node("a", MatrixVector(), ("x", "wa"), ("a",)),
        Node("wb", RomWeights(rng.integers(-1, 2, (8, 16))), (), ("wb",)),
        Node("b", MatrixVector(), ("a", "wb"), ("y",)),
    ]
    graph = with_nodes(Graph("dense", (), {"x": Stream((1, 1, 32), 0, 3)}, ("x",), ("y",)), nodes)
    model = tmp_path_factory.mktemp("model") / "model.onnx"
    x, y = (helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1, 4]) for name in ("x", "y"))
    weights = onnx.numpy_helper.from_array(np.ones((1, 4), np.float32), "w")
    made = helper.make_graph([helper.make_node("Mul", ["x", "w"], ["y"])], "model", [x], [y], [weights])
    onnx.save(helper.make_model(made), model, save_as_external_data=True, location="x.data", size_threshold=0)
    return Entrant(muxflow.fit(graph, fps=100_000), model)


def answer(pe: int) -> str:
    def mvau(rows: int, columns: int) -> dict[str, object]:
        fold = {"PE": pe, "SIMD": columns, "MH": rows, "MW": columns}
        return {"name": "m", "op": "MVAU_hls", "cycles": rows // pe, "lut": 7, "bram18": 1, "dsp": 0, **fold}

    entry = {"target_fps": 5000, "wwidth_max": 36, "slowest_cycles": 16 // pe, "frames_per_second": 1e8, "seconds": 1}
    entry |= {"lut": 14, "bram18": 2, "dsp": 0, "converters": {"nodes": 1, "lut": 3}}
    return json.dumps({"designs": [{**entry, "nodes": [mvau(16, 32), mvau(8, 16)]}]})


def test_finns_fastest_design_is_priced_by_our_model(entrant: Entrant, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {}

    def run(
        python: Path, model: Path, targets: list[int], ours: object, widths: object, tell: object, **more: object
    ) -> object:
        asked.update(more, model=model.read_bytes(), targets=targets)
        return parse_designs(answer(4)), ()

    monkeypatch.setattr(contenders, "run_finn", run)
    found = against("finn", entrant)
    assert found.report is not None and "14 + 3 LUT, 2 BRAM18" in found.remark and "folds adapted: none" in found.remark
    assert {layer.name: layer.fold for layer in found.report.layers} == {"a": "PE 4 SIMD 32", "b": "PE 4 SIMD 16"}
    assert onnx.load_from_string(asked["model"]).graph.initializer[0].raw_data == np.ones(4, np.float32).tobytes()
    assert asked["part"] == "xc7z020clg400-1"
    rate = entrant.design.frames_per_second
    assert min(asked["targets"]) == pytest.approx(rate / 8, rel=0.01) and max(asked["targets"]) == pytest.approx(
        2 * rate, rel=0.01
    )


def test_a_budget_without_block_ram_has_a_fastest_design(entrant: Entrant) -> None:
    pricing = replace(entrant, design=replace(entrant.design, utilisation=Utilisation(bram18=1e-3))).pricing
    best = pricing.fastest(parse_designs(answer(4)) + parse_designs(answer(4)))
    assert best is not None and best.ours.allowance.bram18 == best.ours.resources.bram18 == 0


def test_what_finn_says_is_the_reason(entrant: Entrant, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*_: object, **__: object) -> object:
        raise ToolError("FINN+ failed on model.onnx:\nTraceback\nException: no such op\n")

    monkeypatch.setattr(contenders, "run_finn", run)
    found = against("finn", entrant)
    assert (found.report, found.remark) == (None, "not run: FINN+ failed on model.onnx: Exception: no such op")
    assert found.title == "FINN+"


def test_hls4ml_takes_the_smallest_reuse_factor_inside_the_budget(entrant: Entrant) -> None:
    found = against("hls4ml", entrant)
    assert found.report is not None and found.remark.startswith("ReuseFactor 1 for all layers, priced by")
    assert {layer.name: layer.fold for layer in found.report.layers} == {"a": "PE 16 SIMD 32", "b": "PE 8 SIMD 16"}
    small = replace(entrant, design=replace(entrant.design, utilisation=Utilisation(lut=0.165)))
    tight = against("hls4ml", small)
    assert tight.report is not None and int(tight.remark.split()[1]) > 1
    none = against("hls4ml", replace(entrant, design=replace(entrant.design, utilisation=Utilisation(lut=0.125))))
    assert none.remark == "not run: no ReuseFactor is inside the budget with its FIFOs"


def four_bits(rows: int, columns: int) -> Graph:
    """A dense layer of codes of four bits on both sides: several products fit a DSP block."""
    weights = np.random.default_rng(0).integers(-8, 8, (rows, columns))
    nodes = [Node("w", RomWeights(weights), (), ("w",)), Node("m", MatrixVector(), ("x", "w"), ("y",))]
    return with_nodes(Graph("four", (), {"x": Stream((1, 1, columns), 0, 15)}, ("x",), ("y",)), nodes)


@pytest.mark.parametrize("any_split", [False, True])
def test_others_folds_have_the_forms_that_muxflow_would_choose(any_split: bool) -> None:
    """With too few LUTs for them the products stand in DSP blocks, as those of Muxflow's own design do."""
    design = muxflow.fit(four_bits(64, 64), fps=1)
    pricing = Entrant(replace(design, utilisation=Utilisation(lut=0.25)), None).pricing
    folds = LayerFolds(((16, 32),), (), 16, any_split)
    named, adapted = pricing.leaders(folds)
    assert named["m"] == Fold(16, 32) and not adapted
    shown = {"device": design.device, "board": design.board, "clock_mhz": 100.0}
    in_luts = build_design(pricing.graph, named, KERNELS, utilisation=pricing.utilisation, **shown)  # type: ignore[arg-type]
    assert in_luts.resources.exceeds(in_luts.allowance) == ["LUT"] and in_luts.resources.dsp == 0
    built, adapted = pricing.price(folds)
    assert not adapted and not built.resources.exceeds(built.allowance) and built.slowest_cycles == 16
    fold = built.folds["m"]
    assert fold.dsp and fold.packed and fold.parallel == 512 and built.resources.dsp > 0


def test_hls4ml_takes_what_its_own_rule_says() -> None:
    backends = pytest.importorskip("hls4ml.backends")
    own = backends.get_backend("Vitis")
    for rows, columns in ((16, 9), (32, 144), (10, 12), (1, 7), (6, 1)):
        layer = ReusedLayer("a", rows, columns, 1, depthwise=False)
        legal = own.get_valid_reuse_factors(columns, rows)
        assert list(layer.legal) == legal
        assert list(ReusedLayer("a", rows, columns, 1, True).legal) == own.get_valid_reuse_factors(rows * columns, rows)
        for reuse in range(1, rows * columns + 1):
            assert layer.closest(reuse) == own.get_closest_reuse_factor(legal, reuse)
    # Products of a pixel are one for each weight, and more cycles than those a depthwise layer does not take.
    assert ReusedLayer("d", 4, 9, 1, True).cycles(72) == 36 and ReusedLayer("d", 4, 9, 1, True).fold(72) == (1, 1)


def filters(groups: int, channels: int, rows: int) -> Graph:
    """A convolution of 3 x 3 on a map of 4 x 4."""
    columns = 9 * channels // groups
    nodes = [
        Node("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1), groups=groups), ("x",), ("a",)),
        Node("w", RomWeights(np.ones((rows, columns), np.int64), groups, 16), (), ("w",)),
        Node("b", MatrixVector(groups, 9), ("a", "w"), ("y",)),
    ]
    return with_nodes(Graph("grouped", (), {"x": Stream((4, 4, channels), 0, 3)}, ("x",), ("y",)), nodes)


def test_hls4ml_has_depthwise_layers_and_no_other_groups() -> None:
    found = against("hls4ml", Entrant(muxflow.fit(filters(4, 4, 4), fps=1000), None))
    assert found.report is not None and found.remark.startswith("ReuseFactor 1 for all layers, priced by")
    (layer,) = (layer for layer in found.report.layers if layer.matrix is not None)
    assert layer.matrix is not None and layer.matrix.parallel == 36  # all products of a pixel in a cycle
    for graph, groups in (
        (filters(2, 4, 4), "2 groups with 2 filters of 2 channels"),
        (filters(4, 4, 8), "4 groups with 2 filters of 1 channel"),
    ):
        found = against("hls4ml", Entrant(muxflow.fit(graph, fps=1000), None))
        assert found.remark == (
            "not run: b: of convolutions in groups hls4ml has those of one filter of one channel each (depthwise), not "
            f"{groups} each"
        )


def begun_by(first: Op, x: Stream, columns: int, pixels: int) -> Graph:
    nodes = [
        Node("first", first, ("x",), ("a",)),
        Node("w", RomWeights(np.ones((2, columns), np.int64), 1, pixels), (), ("w",)),
        Node("b", MatrixVector(), ("a", "w"), ("y",)),
    ]
    return with_nodes(Graph("begun", (), {"x": x}, ("x",), ("y",)), nodes)


@pytest.mark.parametrize(
    ("graph", "why"),
    [
        (recurrent(), "cell (LstmCell): hls4ml has no such layer"),
        (
            begun_by(SlidingWindow((2, 2, 2)), Stream((3, 3, 3, 1), 0, 3), 8, 8),
            "first: hls4ml has no windows of three axes",
        ),
        (
            begun_by(ThermometerEncode(4, 2), Stream((2, 2, 1), 0, 255), 4, 4),
            "first (ThermometerEncode): hls4ml has no such layer",
        ),
    ],
    ids=["recurrent", "clip", "thermometer"],
)
def test_a_layer_that_hls4ml_has_not_is_named(graph: Graph, why: str) -> None:
    """Its products would be folded alone, and the column be of another network."""
    found = against("hls4ml", Entrant(muxflow.fit(graph, "zcu104", fps=1000), None))
    assert (found.report, found.remark) == (None, f"not run: {why}")


def test_a_network_without_layers_of_weights_is_named() -> None:
    graph = with_nodes(
        Graph("still", (), {"x": Stream((1, 1, 8), 0, 3)}, ("x",), ("y",)),
        [Node("t", Threshold(np.ones((8, 1), np.int64), np.zeros(8, np.int64)), ("x",), ("y",))],
    )
    found = against("hls4ml", Entrant(muxflow.fit(graph, fps=1000), None))
    assert (found.report, found.remark) == (None, "not run: still: no layer with weights, so no ReuseFactor")


def test_what_stands_in_the_place_of_the_model_is_not_copied(entrant: Entrant, tmp_path: Path) -> None:
    model = tmp_path / "model.onnx"
    for put, said in (
        (model.mkdir, "a folder"),
        (lambda: os.mkfifo(model), "a device or a pipe"),
        (lambda: model.symlink_to("/dev/zero"), "a device or a pipe"),
        (lambda: model.symlink_to("absent"), "no such file"),
    ):
        put()
        found = against("finn", replace(entrant, model=model))
        assert found.report is None and f"{model}: {said}" in found.remark and "build the project again" in found.remark
        model.rmdir() if model.is_dir() else model.unlink()
    with model.open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    assert "(MOST_BYTES)" in against("finn", replace(entrant, model=model)).remark


def test_finn_ends_with_what_waits_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal comes while FINN+ works: it is not waited for, and what it leaves where temporary files go is removed."""
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr(tempfile, "tempdir", None)
    program = tmp_path / "estimate.py"
    program.write_text(
        "import sys, tempfile, time\ntempfile.mkdtemp()\n"
        "print('progress: folding', file=sys.stderr, flush=True)\ntime.sleep(300)\n"
    )
    monkeypatch.setattr(finn_designs, "ESTIMATE", program)

    def interrupted(told: str) -> None:
        assert told == "folding"
        raise KeyboardInterrupt

    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_finn(Path(sys.executable), tmp_path / "model.onnx", [1], (), (36,), interrupted)
    assert time.monotonic() - started < 60
    assert not list((tmp_path / "temporary").iterdir())


def test_names_are_checked() -> None:
    assert check_against("") == () and check_against(" finn , hls4ml ") == ("finn", "hls4ml")
    with pytest.raises(UsageError, match="--against 'tvm'; supported: finn, hls4ml"):
        check_against("finn,tvm")
