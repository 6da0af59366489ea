"""A design as a FINN project: what FINN computes and writes, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from finn_graphs import CODES, GRAPHS, chain, steps, weights
from networks import NETWORKS, batch
from typer.testing import CliRunner

import muxflow
from muxflow.cli.app import app
from muxflow.dataflow import packages
from muxflow.dataflow.errors import MismatchError, MuxflowError, ToolError, UnsupportedError
from muxflow.dataflow.fit.design import build_design
from muxflow.dataflow.graph.file import write_graph
from muxflow.dataflow.graph.passes import rising_thresholds, writable_seeds
from muxflow.dataflow.graph.stream import Stream, random_codes
from muxflow.dataflow.op import Fold
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.brevitas.export import export
from muxflow.frontend.floats import image_codes
from muxflow.frontend.training.configuration import randomise, seeded
from muxflow.frontend.training.datasets.registry import load
from muxflow.frontend.training.zoo_encoder import Encoder, EncoderConfig
from muxflow.frontend.training.zoo_mobilenet import Mobilenet, MobilenetConfig
from muxflow.hls import finn as finn_flow
from muxflow.hls.design_file import load_design
from muxflow.hls.finn.support import IMPLEMENTATIONS
from muxflow.hls.kernels import KERNELS
from muxflow.proof.compare import compare as prove

# FINN leaves the files that it generates to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

DIGITS = Path(muxflow.__file__).parent.parent / "frontend" / "training" / "pretrained" / "mognet_digits.onnx"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits MOGNET on a Pynq-Z2 as a FINN project."""
    design = muxflow.fit(rising_thresholds(muxflow.load(DIGITS)), "pynq-z2", implementations=IMPLEMENTATIONS)
    told: list[str] = []
    path = finn_flow.write(design, tmp_path_factory.mktemp("finn_flow") / "digits", progress=told.append)
    assert told[0] == "FINN model" and told[-1] == "code"
    return path


@pytest.fixture(scope="module")
def crossed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A network of two inputs and two outputs as a FINN project, by the command."""
    folder = tmp_path_factory.mktemp("finn_crossed")
    write_graph(NETWORKS["crossed"](), folder / "crossed.npz")
    arguments = ["build", str(folder / "crossed.npz"), "--target", "finn", "--fps", "2000", "-o", str(folder / "out")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "every tensor equals the integer graph on 4 random frames" in " ".join(done.output.split())
    return folder / "out"


@pytest.mark.usefixtures("finn")
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("fps", [None, 2e5], ids=["fastest", "slow"])
def test_finns_execution_and_its_steps(name: str, fps: float | None, tmp_path: Path) -> None:
    """Every tensor of FINN's execution equals the graph, and FINN specialises, inserts FIFOs and writes code."""
    import finn.builder.build_dataflow_config as build_config
    import finn.builder.build_dataflow_steps as finn_steps
    from finn.transformation.fpgadataflow.insert_iodma import InsertIODMA
    from qonnx.custom_op.registry import getCustomOp
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes

    from muxflow.hls.finn.comparison import compare
    from muxflow.hls.finn.dataflow import dataflow_model
    from muxflow.hls.finn.execution import FinnExecution
    from muxflow.hls.finn.flow import insert_fifos

    graph = rising_thresholds(GRAPHS[name]())
    design = muxflow.fit(graph, "pynq-z2", fps=fps, implementations=IMPLEMENTATIONS)
    model, owners = dataflow_model(design)
    types = {name: model.get_tensor_datatype(name) for name in owners}
    model = model.transform(InferShapes()).transform(InferDataTypes())
    assert {name: model.get_tensor_datatype(name) for name in owners} == types
    (outcome,) = prove(design.graph, [FinnExecution(model, design.graph)], batch(graph, 5)).outcomes
    assert {*design.graph.outputs} <= {*outcome.streams}
    config = build_config.DataflowBuildConfig(
        output_dir=str(tmp_path), synth_clk_period_ns=10.0, generate_outputs=[], fpga_part=design.device.part
    )
    model = finn_steps.step_specialize_layers(finn_steps.step_create_dataflow_partition(model, config), config)
    model = insert_fifos(model, design.device.part)
    rows = {row.node: row for row in compare(design, model, owners)}
    computing = {node.name for node in design.graph.nodes if node.inputs}
    assert set(rows) - {"FIFOs"} <= {node.name for node in design.graph.nodes}
    assert computing - set(rows) <= {part for parts in owners.values() for part in parts[:-1]}
    for row in rows.values():
        if {"GroupedConvolution_hls", "MVAU_hls"} & set(row.finn_nodes):
            assert abs(row.cycles - row.finn_cycles) <= 64
    # What reads and writes a board's memory, one an end, as FINN's shell for Zynq has it.
    ends = model.transform(InsertIODMA(64))
    dma = {name for node in ends.get_nodes_by_op_type("IODMA_hls") for name in (*node.input, *node.output)}
    assert {entry.name for entry in (*ends.graph.input, *ends.graph.output)} <= dma
    model = finn_steps.step_hw_codegen(model, config)
    for node in model.graph.node:
        assert any(Path(getCustomOp(node).get_nodeattr("code_gen_dir_ipgen")).iterdir())


@pytest.mark.parametrize("count", [50, pytest.param(450, marks=pytest.mark.exhaustive)])
def test_held_out_digits_are_equal_in_every_tensor(project: Path, count: int) -> None:
    """FINN's Python execution of the whole digits MOGNET = graph; all 450 images at length."""
    images = load("digits", "test").images[:count]
    codes = image_codes(load_design(project)[0].graph, images)
    assert len(codes) == count
    assert finn_flow.check(project, codes) == count


def test_two_inputs_and_two_outputs_are_equal_in_every_tensor(crossed: Path) -> None:
    """FINN's model has the ends of the graph, in their order."""
    import onnx

    graph = load_design(crossed)[0].graph
    model = onnx.load(str(crossed / "model.onnx")).graph
    assert tuple(entry.name for entry in model.input) == graph.inputs == ("spectrum", "image")
    assert tuple(entry.name for entry in model.output) == graph.outputs
    codes = batch(graph, 6)
    assert finn_flow.check(crossed, codes) == 6
    with pytest.raises(MuxflowError, match="different numbers of images"):
        finn_flow.check(crossed, {**codes, "image": codes["image"][:5]})


def test_an_encoder_is_carried_with_both_outputs(tmp_path: Path) -> None:
    """Bit shifts, quinary weights in groups, classes and codes: every tensor of FINN's execution equals the graph."""
    config = EncoderConfig(widths=(4, 8, 8, 8), groups=2, levels=(5,), classes=3, code=16)
    model = export(randomise(seeded(Encoder, config, 2)), tmp_path / "encoder.onnx", (1, *config.input_shape))
    arguments = ["build", str(model), "--target", "finn", "--fps", "1000", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "every tensor equals the integer graph on 4 random frames" in " ".join(done.output.split())


@pytest.mark.parametrize("banks", ["pointwise", "all"])
def test_hybrid_filter_banks_are_carried(banks: str, tmp_path: Path) -> None:
    """Two products of one input, joined: of a pointwise layer, with "all" of a window and of a classifier too."""
    config = MobilenetConfig((32, 32), (2, 1), banks=banks, classes=12, input_shape=(2, 8, 8))
    model = export(randomise(seeded(Mobilenet, config, 1)), tmp_path / "bank.onnx", (1, *config.input_shape))
    arguments = ["build", str(model), "--target", "finn", "--fps", "20000", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "every tensor equals the integer graph on 4 random frames" in " ".join(done.output.split())
    design = load_design(tmp_path / "out")[0]
    assert sum(node.op.kind == "Concat" for node in design.graph.nodes) == (3 if banks == "all" else 1)


def test_project_is_the_same_every_time_and_holds_no_path_of_this_machine(project: Path, tmp_path: Path) -> None:
    again = finn_flow.write(load_design(project)[0], tmp_path / "again")
    files = sorted(file.relative_to(project) for file in project.rglob("*") if file.is_file())
    assert files == sorted(file.relative_to(again) for file in again.rglob("*") if file.is_file())
    for file in files:
        data = (project / file).read_bytes()
        assert data == (again / file).read_bytes(), file
        assert str(tmp_path.parent).encode() not in data and b"muxflow_finn_" not in data, file


def test_what_stands_in_a_project(project: Path) -> None:
    nodes = [folder.name for folder in (project / "code").iterdir()]
    assert sum(name.startswith("GroupedConvolution_hls") for name in nodes) == 6
    assert sum(name.startswith("AutomatonWeights_hls") for name in nodes) == 6
    assert sum(name.startswith("MVAU_hls") for name in nodes) == 14
    assert sum(name.startswith("MuxJoin_hls") for name in nodes) == 6
    performance = json.loads((project / "report" / "estimate_network_performance.json").read_text())
    design = json.loads((project / "design.json").read_text())
    interval = design["completions"][-1] - design["completions"][-2]
    assert performance["max_cycles"] <= interval * 1.05
    rows = finn_flow.estimates(project)
    assert rows[-1].node == "FIFOs" and rows[-1].finn_lut > 0
    assert all(row.finn_cycles == row.cycles for row in rows if row.finn_nodes == ("MVAU_hls",))
    with pytest.raises(MuxflowError, match="no FINN project"):
        finn_flow.estimates(project / "code")


def test_depths_are_the_designs(project: Path) -> None:
    """Every FIFO that FINN inserted has the depth of the design's stream, 2 at least."""
    from qonnx.core.modelwrapper import ModelWrapper

    model = ModelWrapper(str(project / "model.onnx"))
    depths = load_design(project)[0].depths
    seen = 0
    for node in model.graph.node:
        attributes = {entry.name: list(entry.ints) for entry in node.attribute if entry.name.endswith("FIFODepths")}
        for name, depth in zip(node.output, attributes["outFIFODepths"], strict=False):
            if name in depths:
                assert depth == depths[name], name
                seen += 1
    assert seen > 90


def test_what_waits_for_a_select_bit_holds_a_whole_frame(project: Path) -> None:
    """FINN's nodes have other latencies than ours, so nothing less is free of deadlocks there."""
    import onnx

    design = load_design(project)[0]
    joins = [node for node in onnx.load(str(project / "model.onnx")).graph.node if node.op_type == "MuxJoin"]
    assert len(joins) == 6
    for join in joins:
        (depths,) = (list(entry.ints) for entry in join.attribute if entry.name == "inFIFODepths")
        for name, depth in list(zip(join.input, depths, strict=True))[:2]:
            assert depth >= design.graph.streams[name].beats


def test_build_script_runs_in_finn_up_to_the_vendors_tools(project: Path, crossed: Path, tmp_path: Path) -> None:
    """FINN's own builder takes build.py through every step before Vitis HLS."""
    scratch = tmp_path / "finn"
    scratch.mkdir()
    code = (
        "import runpy, sys\n"
        "from muxflow.hls.finn.process import prepare_finn\n"
        "prepare_finn()\n"
        "for project, output in zip(sys.argv[1::2], sys.argv[2::2]):\n"
        "    space = runpy.run_path(f'{project}/build.py')\n"
        "    settings = space['settings']\n"
        "    settings.output_dir, settings.stop_step = output, 'step_hw_codegen'\n"
        "    assert not space['build'].build_dataflow_cfg(f'{project}/model.onnx', settings)\n"
    )
    outputs = {project: tmp_path / "output", crossed: tmp_path / "crossed"}
    environment = {**os.environ, "HOME": str(scratch), "FINN_BUILD_DIR": str(scratch), "XILINX_VIVADO": "/none/2022.2"}
    environment.pop("PYTEST_CURRENT_TEST", None)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *(str(path) for pair in outputs.items() for path in pair)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert done.stdout.count("Running step: step_hw_codegen [5/") == len(outputs)
    for written, output in outputs.items():
        made = ModelNodes(output / "intermediate_models" / "step_hw_codegen.onnx")
        assert made.kinds == ModelNodes(written / "dataflow.onnx").kinds


class ModelNodes:
    """The kinds of the nodes of a written model."""

    def __init__(self, path: Path) -> None:
        import onnx

        self.kinds = [node.op_type for node in onnx.load(str(path)).graph.node]


@pytest.mark.usefixtures("finn")
def test_more_columns_than_finns_unit_takes() -> None:
    """FINN's HLS unit asks for SIMD >= MW / 1024; with less the product is ours."""
    from muxflow.hls.finn.dataflow import dataflow_model

    graph = chain(
        Stream((1, 1, 1500), 0, 3),
        ("w0", RomWeights(weights(2, 1500, 5)), (), ("w",)),
        ("fc", MatrixVector(), ("x", "w"), ("y",)),
    )
    device = muxflow.fit(graph, "pynq-z2", implementations=IMPLEMENTATIONS).device
    slow, fast = (
        dataflow_model(
            build_design(graph, {"fc": Fold(2, simd)}, KERNELS, device=device, board="pynq-z2", clock_mhz=100)
        )[0]
        for simd in (1, 2)
    )
    assert slow.get_nodes_by_op_type("GroupedConvolution") and not slow.get_nodes_by_op_type("MVAU")
    assert fast.get_nodes_by_op_type("MVAU") and not fast.get_nodes_by_op_type("GroupedConvolution")


@pytest.mark.usefixtures("finn")
@pytest.mark.parametrize(("positions", "finns"), [(1, True), (3, False), (9, True)])
def test_parallel_windows_are_finns_where_it_has_them(positions: int, finns: bool) -> None:
    """FINN sends one kernel position at once, or all; a kernel row is Muxflow's. Every tensor equals the graph."""
    from qonnx.custom_op.registry import getCustomOp

    from muxflow.hls.finn.dataflow import dataflow_model
    from muxflow.hls.finn.execution import FinnExecution

    graph = chain(
        Stream((6, 5, 2), 0, 7),
        ("window", SlidingWindow((3, 3), pads=(1, 1, 1, 1)), ("x",), ("v",)),
        ("w0", RomWeights(weights(4, 18, 0), repeats=30), (), ("w",)),
        ("conv", MatrixVector(1, 9), ("v", "w"), ("y",)),
    )
    device = muxflow.fit(graph, "pynq-z2", implementations=IMPLEMENTATIONS).device
    folds = {"conv": Fold(2, 2 * positions)}
    design = build_design(graph, folds, KERNELS, device=device, board="pynq-z2", clock_mhz=100)
    model, _ = dataflow_model(design)
    generators = [getCustomOp(node) for node in model.get_nodes_by_op_type("ConvolutionInputGenerator")]
    assert [one.get_nodeattr("parallel_window") for one in generators] == ([int(positions > 1)] if finns else [])
    (outcome,) = prove(design.graph, [FinnExecution(model, design.graph)], batch(graph, 4)).outcomes
    assert {*design.graph.outputs} <= {*outcome.streams}


@pytest.mark.usefixtures("finn")
def test_a_difference_is_named() -> None:
    from muxflow.hls.finn.dataflow import dataflow_model
    from muxflow.hls.finn.execution import FinnExecution

    graph = GRAPHS["residual"]()
    design = muxflow.fit(graph, "pynq-z2", implementations=IMPLEMENTATIONS)
    model, _ = dataflow_model(design)
    (product,) = model.get_nodes_by_op_type("MVAU")
    changed = model.get_initializer(product.input[1]).copy()
    changed[0, 2] = 1 if changed[0, 2] <= 0 else 0
    model.set_initializer(product.input[1], changed)
    codes = random_codes(graph.streams["x"], 1, np.random.default_rng(1))
    place = r"FINN differs from the graph first at node conv, stream \w+: image 0, index \([\d, ]+\): FINN -?\d"
    with pytest.raises(MismatchError, match=place):
        prove(design.graph, [FinnExecution(model, design.graph)], codes)


@pytest.mark.usefixtures("finn")
def test_what_finn_cannot_express_is_refused() -> None:
    from muxflow.hls.finn.dataflow import dataflow_model

    graph = writable_seeds(GRAPHS["bits-generated"]())
    with pytest.raises(UnsupportedError, match="w0: seeds that are written at run time"):
        dataflow_model(muxflow.fit(graph, "pynq-z2", implementations=IMPLEMENTATIONS))
    wide = chain(Stream((1, 1, 2), 0, 2**25), ("two", Scale(np.array([1, 1])), ("x",), ("y",)))
    with pytest.raises(UnsupportedError, match="float32 tensors are exact up to 16777216"):
        dataflow_model(muxflow.fit(wide, "pynq-z2", implementations=IMPLEMENTATIONS))


@pytest.mark.parametrize("name", ["falling", "residual"])
def test_rising_thresholds_keeps_the_function(name: str) -> None:
    graph = GRAPHS[name]()
    rising = rising_thresholds(graph)
    assert not any(isinstance(node.op, Threshold) and node.op.falling.any() for node in rising.nodes)
    codes = random_codes(graph.streams["x"], 20, np.random.default_rng(0))
    assert np.array_equal(rising(codes), graph(codes))


def test_rising_thresholds_keeps_near_ties() -> None:
    """Of a row that falls they lie at the negative sums; their codes are the same ones."""
    graph = replace(GRAPHS["falling"](), ties={"act": ((0, 5, 1), (1, 3, -1, 0), (2, -4))})
    assert rising_thresholds(graph).ties == {"act": ((0, 5, 1), (1, -3, -1, 0), (2, 4))}


@pytest.mark.parametrize(("weight", "threshold"), [(-(2**63), 0), (1, -(2**63)), (1, 1 - 2**63)])
def test_rising_thresholds_leaves_what_64_bits_do_not_hold(weight: int, threshold: int) -> None:
    graph = chain(
        Stream((1, 1, 2), 0, 1),
        ("w0", RomWeights(np.array([[weight, 2]])), (), ("w",)),
        ("fc", MatrixVector(), ("x", "w"), ("a",)),
        ("act", Threshold(np.array([[threshold, 1]]), np.array([1])), ("a",), ("y",)),
    )
    assert rising_thresholds(graph).nodes == graph.nodes


def test_rising_thresholds_leaves_what_the_host_reads() -> None:
    graph = GRAPHS["falling"]()
    (product,) = [node.outputs[0] for node in graph.nodes if isinstance(node.op, MatrixVector)][:1]
    both = replace(graph, outputs=(*graph.outputs, product))
    codes = random_codes(graph.streams["x"], 20, np.random.default_rng(0))
    for one, other in zip(rising_thresholds(both)(codes), both(codes), strict=True):
        assert np.array_equal(one, other)


def test_rising_thresholds_leaves_what_it_cannot_turn() -> None:
    graph = GRAPHS["falling-generated"]()
    assert rising_thresholds(graph).nodes == graph.nodes
    lopsided = chain(
        CODES,
        ("w0", RomWeights(np.array([[-2, 1, 0, 1]] * 4), repeats=16), (), ("w",)),
        ("conv", MatrixVector(), ("x", "w"), ("a",)),
        ("act", Threshold(steps(4, 3, 12, 3), np.array([0, 1, 1, 0])), ("a",), ("y",)),
    )
    assert rising_thresholds(lopsided).nodes == lopsided.nodes


def test_finn_absent_or_of_another_release(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from importlib.metadata import PackageNotFoundError

    design = muxflow.fit(GRAPHS["class"](), "pynq-z2", implementations=IMPLEMENTATIONS)

    def absent(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(packages, "version", absent)
    with pytest.raises(
        ToolError, match=r"finn-plus is not installed: .* -m pip install --no-deps -r .*requirements\.txt"
    ):
        finn_flow.write(design, tmp_path / "out")
    monkeypatch.setattr(packages, "version", lambda name: "1.4.0")
    with pytest.raises(ToolError, match=r"finn-plus 1\.4\.0 is installed; supported: 1\.6\.1"):
        finn_flow.register()
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(MuxflowError, match="is not a FINN project"):
        finn_flow.write(muxflow.fit(GRAPHS["class"](), "pynq-z2", implementations=IMPLEMENTATIONS), tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_child_that_dies_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(ToolError, match="FINN ended without an answer"):
        finn_flow.write(muxflow.fit(GRAPHS["class"](), "pynq-z2", implementations=IMPLEMENTATIONS), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_a_child_that_ends_by_itself_says_how(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """It may close what it answers on before it has ended; a full disk is named with what to do."""
    child = tmp_path / "python"
    child.write_text("#!/bin/sh\nexec >&-\necho 'OSError: No space left on device' >&2\nsleep 0.5\nexit 3\n")
    child.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(child))
    design = muxflow.fit(GRAPHS["class"](), "pynq-z2", implementations=IMPLEMENTATIONS)
    with pytest.raises(ToolError, match=r"(?s)with code 3:.*No space left.*temporary files, .* left; .* in TMPDIR"):
        finn_flow.write(design, tmp_path / "out")


def test_errors_of_the_child_come_through(tmp_path: Path) -> None:
    graph = writable_seeds(GRAPHS["bits-generated"]())
    with pytest.raises(UnsupportedError, match="w0: seeds"):
        finn_flow.write(muxflow.fit(graph, "pynq-z2", implementations=IMPLEMENTATIONS), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_another_board_ends_in_a_stitched_ip(tmp_path: Path) -> None:
    design = replace(muxflow.fit(GRAPHS["class"](), "pynq-z2", implementations=IMPLEMENTATIONS), board="arty-z7-20")
    script = (finn_flow.write(design, tmp_path / "out") / "build.py").read_text()
    assert 'fpga_part="xc7z020' in script and "STITCHED_IP" in script and "BITFILE" not in script
    compile(script, "build.py", "exec")
