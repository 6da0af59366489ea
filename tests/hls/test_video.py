"""A video network of three axes and a recurrent layer, as BILLNET's: file, graph, accelerator, with and without a state that
goes on from clip to clip."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

import muxflow
from muxflow.board.driver import Accelerator, AcceleratorError
from muxflow.dataflow.errors import GraphError, UnsupportedError
from muxflow.dataflow.graph.passes import carry_state
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.qonnx.recurrent import DOMAIN
from muxflow.hls.finn.support import check_graph
from muxflow.hls.registry import check_stored
from muxflow.hls.vitis.csim import run_csim
from muxflow.hls.vitis.execution import CsimExecution
from muxflow.hls.vitis.project import ProjectOptions
from muxflow.proof.compare import compare
from muxflow.reports.gather.report import make_report

QONNX = "qonnx.custom_op.general"
STEPS, SIZE, CHANNELS, UNITS, CLASSES = 4, (5, 7), 4, 3, 3


class Video:
    """A file of a small video network, node by node."""

    def __init__(self):
        self.rng = np.random.default_rng(8)
        self.nodes, self.constants = [], []

    def constant(self, value):
        name = f"c{len(self.constants)}"
        array = np.asarray(value)
        self.constants.append(
            numpy_helper.from_array(array.astype(np.int64 if array.dtype.kind == "i" else np.float32), name)
        )
        return name

    def node(self, op, *inputs, domain="", **attributes):
        names = [one if isinstance(one, str) else self.constant(one) for one in inputs]
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [name], name, domain=domain, **attributes))
        return name

    def quant(self, x, bits=1.0, scale=1.0):
        return self.node("Quant", x, scale, 0.0, bits, domain=QONNX, signed=0, narrow=0, rounding_mode="ROUND")

    def convolution(self, x, rows, columns, kernel, groups=1):
        weights = 2.0 * self.rng.integers(0, 2, (rows, columns // groups, *(kernel,) * 3)) - 1
        y = self.node("Conv", x, weights, group=groups, pads=[kernel // 2] * 6)
        return self.quant(self.node("Add", y, 0.5))

    def factorised(self, x):
        """1x1x1, grouped 3x3x3, 1x1x1."""
        y = self.convolution(x, CHANNELS, CHANNELS, 1)
        y = self.convolution(y, CHANNELS, CHANNELS, 3, 2)
        return self.convolution(y, CHANNELS, CHANNELS, 1)

    def residual(self, x, select):
        thresholds = [np.full(CHANNELS, 1.0)]
        f = self.factorised(x)
        return self.node("MuxJoin", x, f, *thresholds, domain=DOMAIN, select=select, mix="or", scale=1.0, bits=1)

    def model(self):
        x = self.convolution(self.quant("x", 4.0, 1 / 16), CHANNELS, 2, 3)
        x = self.residual(x, "channel")
        x = self.node("MaxPool", x, kernel_shape=[1, 2, 2], strides=[1, 2, 2])
        x = self.residual(x, "element")
        x = self.node("ReduceMean", x, np.array([3, 4]), keepdims=0)
        x = self.node("Transpose", self.quant(x, 2.0, 0.25), perm=[0, 2, 1])
        of_input, recurrent = (self.rng.integers(-1, 2, (4 * UNITS, columns)) / 4.0 for columns in (CHANNELS, UNITS))
        bias, theta = self.rng.normal(1, 1, 4 * UNITS), self.rng.integers(1, 9, UNITS).astype(float)
        x = self.node(
            "LstmCell",
            x,
            of_input,
            recurrent,
            bias,
            theta,
            domain=DOMAIN,
            gate_bits=3,
            cell_bits=6,
            fraction_bits=1,
            scale=0.25,
            weight_scale=0.25,
            last=0,
        )
        y = self.node("MatMul", x, self.rng.integers(-1, 2, (UNITS, CLASSES)).astype(float))
        graph = helper.make_graph(
            self.nodes,
            "video",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, STEPS, *SIZE])],
            [helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, STEPS, CLASSES])],
            self.constants,
        )
        opsets = [helper.make_opsetid(*one) for one in (("", 20), (DOMAIN, 1), (QONNX, 1))]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "video.onnx"
    path.write_bytes(Video().model().SerializeToString())
    return path


def clips(graph, count):
    rng = np.random.default_rng(count)
    return {name: rng.integers(0, 16, (count, *graph.streams[name].shape)) for name in graph.inputs}


def test_a_video_network_equals_its_accelerator(video, tmp_path):
    graph = muxflow.load(video)
    design = muxflow.fit(graph, "pynq-z2", fps=1000)
    project = muxflow.write(design, tmp_path / "video").hls
    batch = clips(graph, 9)
    (outputs,) = compare(graph, [QonnxExecution(video, graph)], batch).outputs.values()
    found = compare(design.graph, [CsimExecution(project, one) for one in ("native", "reference")], batch)
    np.testing.assert_array_equal(*found.outputs.values(), outputs)
    assert len(np.unique(outputs)) > 2
    run_csim(project, batch, bounded=True)
    # Two frames of the map and what a window reaches of a third: the temporal line buffer.
    rows = [one.memory for placed in design.memories.values() for one in placed if one.memory.kind == "line"]
    assert max(one.bits for one in rows) >= 2 * SIZE[0] * SIZE[1] * CHANNELS


def test_a_state_that_goes_on(video, tmp_path):
    """Graph, QONNX and accelerator run clips as one sequence; the driver begins it anew."""
    begun = muxflow.load(video)
    graph = muxflow.load(video, stateful=True)
    project = muxflow.write(muxflow.fit(graph, "pynq-z2", fps=1000), tmp_path / "video").hls
    batch = clips(graph, 70)  # more than any batch that a comparison or a simulation takes at once
    (outputs,) = compare(graph, [QonnxExecution(video, graph)], batch).outputs.values()
    executions = [CsimExecution(project, one, jobs=2) for one in ("native", "reference")]
    np.testing.assert_array_equal(*compare(project.design.graph, executions, batch).outputs.values(), outputs)
    assert "recurrent layers go on from frame to frame" in make_report(project.design).remarks
    anew = begun(batch)
    assert (outputs != anew).any()
    np.testing.assert_array_equal(outputs[:1], anew[:1])
    (codes,) = batch.values()
    with Accelerator.emulate(project.path, batch=4) as accelerator:
        np.testing.assert_array_equal(accelerator.run(codes[:5]).reshape(5, -1), outputs[:5].reshape(5, -1))
        np.testing.assert_array_equal(accelerator.run(codes[5:7]).reshape(2, -1), outputs[5:7].reshape(2, -1))
        accelerator.reset_state()
        np.testing.assert_array_equal(accelerator.run(codes[:6]).reshape(6, -1), outputs[:6].reshape(6, -1))
        assert accelerator.self_test() > 0
        with pytest.raises(AcceleratorError, match=r"is values, not classes; use predict\(\) and read them"):
            accelerator.classify(codes)  # logits of each step
        np.testing.assert_array_equal(accelerator.run(codes[:1]).reshape(1, -1), outputs[:1].reshape(1, -1))


def test_recurrent_weights_that_are_loaded(video, tmp_path):
    """Thresholds and intervals hold for any weights of as many bits; those of the file give the same as stored ones."""
    graph = muxflow.load(video, loaded=())
    design = muxflow.fit(graph, "pynq-z2", fps=1000)
    project = muxflow.write(design, tmp_path / "video", options=ProjectOptions(weights="loaded")).hls
    batch = clips(graph, 5)
    (outputs,) = compare(design.graph, [CsimExecution(project)], batch).outputs.values()
    np.testing.assert_array_equal(outputs, muxflow.load(video)(batch))


def test_clips_that_begin_anew_have_no_state_to_reset(video, tmp_path):
    project = muxflow.write(muxflow.fit(muxflow.load(video), "pynq-z2", fps=10), tmp_path / "video").hls
    refused = pytest.raises(AcceleratorError, match="every frame begins anew; build it with --stateful")
    with Accelerator.emulate(project.path) as accelerator, refused:
        accelerator.reset_state()


def test_other_targets_refuse_by_name(video):
    graph = muxflow.load(video, stateful=True)
    with pytest.raises(UnsupportedError, match=r"LstmCell_\d+ \(LstmCell\): a state that goes on .* hls4ml's projects"):
        check_stored(graph, "hls4ml")
    with pytest.raises(UnsupportedError, match="FINN's nodes take maps of height and width"):
        check_graph(muxflow.load(video))


def test_no_state_to_carry(residual):
    with pytest.raises(GraphError, match="no layer is recurrent, so there is no state to carry on; leave stateful out"):
        carry_state(residual)
