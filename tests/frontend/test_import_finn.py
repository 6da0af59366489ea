"""FINN-ONNX in: what FINN's own conversion and streamlining make of TFC and CNV, and what is refused."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

import muxflow
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.graph.stream import random_codes
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.frontend.brevitas.export import execute, export
from muxflow.frontend.training import zoo_bnn
from muxflow.proof.compare import compare

pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")

SHAPES = {"tfc": (1, 28, 28), "cnv": (3, 32, 32)}
GENERAL = "qonnx.custom_op.general"


@pytest.fixture(scope="module")
def streamlined(finn: None, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs FINN's first steps on a network of the zoo; gives the files after its conversion and its streamlining."""
    import finn.builder.build_dataflow_config as build_config
    import finn.builder.build_dataflow_steps as finn_steps

    folder = tmp_path_factory.mktemp("finn_onnx")
    config = build_config.DataflowBuildConfig(
        output_dir=str(folder), synth_clk_period_ns=10.0, generate_outputs=[], fpga_part="xc7z020clg400-1"
    )

    def make(name: str) -> dict[str, Path]:
        shape = SHAPES[name.split("_")[0]]
        exported = export(zoo_bnn.randomise(zoo_bnn.build(name)), folder / f"{name}.onnx", (1, *shape))
        model, files = ModelWrapper(str(exported)), {}
        for step in (finn_steps.step_qonnx_to_finn, finn_steps.step_tidy_up, finn_steps.step_streamline):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model = step(model, config)
            files[step.__name__] = folder / f"{name}_{step.__name__}.onnx"
            model.save(str(files[step.__name__]))
        return files

    return make


def check_outputs(path: Path, images: int) -> Any:
    """QONNX's execution of the file = the graph's readout, bit for bit, on random codes; returns the graph."""
    graph = muxflow.load(path)
    stream = graph.streams[graph.inputs[0]]
    codes = random_codes(stream, images, np.random.default_rng(0))
    values = (codes * stream.scale[0]).astype(np.float32).transpose(0, 3, 1, 2)
    (expected,) = execute(path, np.ascontiguousarray(values)).values()
    assert graph.readouts
    assert np.array_equal(graph.read_out(graph(codes)).astype(np.float32), expected)
    return graph


@pytest.mark.parametrize("name", ["tfc_w1a1", "tfc_w1a2", "tfc_w2a2", "cnv_w1a1", "cnv_w2a2"])
def test_converted_and_streamlined_networks(name: str, streamlined: Any, searched: list[str]) -> None:
    files = streamlined(name)
    graph = check_outputs(files["step_streamline"], 12 if name.startswith("tfc") else 2)
    assert not searched  # FINN says that its weights are integers
    products = [node for node in graph.nodes if isinstance(node.op, MatrixVector)]
    assert len(products) == (4 if name.startswith("tfc") else 9)
    if name.endswith("w1a1"):
        # Bits that FINN counts are signs again, so that a product of them is one bit wide.
        assert all(stream.bipolar for node in products[1:] for stream in graph.ports(node).inputs)
    if name.startswith("cnv"):
        windows = [node.op for node in graph.nodes if isinstance(node.op, SlidingWindow)]
        assert [window.kernel for window in windows] == [(3, 3)] * 6


def test_a_streamlined_network_goes_all_the_way(streamlined: Any, tmp_path: Path) -> None:
    """FINN-ONNX -> graph -> design -> C simulation, and back into FINN, whose execution is the graph's again."""
    from muxflow.hls.finn.dataflow import dataflow_model
    from muxflow.hls.finn.execution import FinnExecution

    graph = muxflow.load(streamlined("tfc_w1a1")["step_streamline"])
    design = muxflow.fit(graph, "pynq-z2")
    codes = random_codes(graph.streams[graph.inputs[0]], 4, np.random.default_rng(3))
    simulated = muxflow.write(design, tmp_path / "project").csim(codes)
    assert np.array_equal(simulated.outputs, graph(codes))
    model, _ = dataflow_model(design)
    assert len(model.get_nodes_by_op_type("MVAU")) == 3  # the last one's sums are read by no threshold
    compare(design.graph, [FinnExecution(model, design.graph)], codes[:1])


def test_check_names_every_node(streamlined: Any) -> None:
    statuses = muxflow.check(streamlined("tfc_w2a2")["step_streamline"])
    assert all(status.supported for status in statuses)
    assert {status.op_type for status in statuses} >= {"MultiThreshold", "MatMul"}


def model_file(
    path: Path,
    nodes: list[Any],
    constants: dict[str, Any],
    shape: tuple[int, ...],
    kind: str = "",
    shapes: dict[str, tuple[int, ...]] | None = None,
) -> Path:
    """A file with input x, output y and an annotated input type; `shapes`: of the other tensors, y's is x's if absent."""
    found = {"x": shape, "y": shape, **(shapes or {})}
    infos = {name: helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, *sizes]) for name, sizes in found.items()}
    tensors = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in constants.items()]
    inner = [info for name, info in infos.items() if name not in ("x", "y")]
    graph = helper.make_graph(nodes, "m", [infos["x"]], [infos["y"]], tensors, value_info=inner)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(GENERAL, 1)]
    model = ModelWrapper(helper.make_model(graph, opset_imports=opsets))
    for node in nodes:
        types = [helper.get_attribute_value(entry).decode() for entry in node.attribute if entry.name == "out_dtype"]
        if types:
            model.set_tensor_datatype(node.output[0], DataType[types[0]])
    if kind:
        model.set_tensor_datatype("x", DataType[kind])
    model.save(str(path))
    return path


def custom(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(kind, inputs, [output], name=f"{kind}_{output}", domain=GENERAL, **attributes)


TO_LAST = helper.make_node("Transpose", ["x"], ["t"], perm=[0, 2, 3, 1])
TO_FIRST = helper.make_node("Transpose", ["z"], ["y"], perm=[0, 3, 1, 2])


def evaluate(path: Path, graph: Any, images: int = 6) -> None:
    """QONNX's execution of a file whose input is integer = the graph."""
    codes = random_codes(graph.streams[graph.inputs[0]], images, np.random.default_rng(1))
    values = codes.astype(np.float32) * np.float32(graph.streams[graph.inputs[0]].scale[0])
    feed = values.transpose(0, 3, 1, 2) if codes.shape[1:3] != (1, 1) else values.reshape(images, -1)
    found = graph.read_out(graph(codes)).astype(np.float32)
    for image, values in enumerate(np.ascontiguousarray(feed)):
        expected = execute_onnx(ModelWrapper(str(path)), {"x": values[None]})["y"]
        assert np.array_equal(found[image : image + 1], expected)


def test_a_constant_that_is_not_of_its_type(tmp_path: Path) -> None:
    """QONNX's execution rounds 1 + 1/256 to the integer of the annotation, which the file does not hold."""
    nodes = [helper.make_node("MatMul", ["x", "W"], ["y"], name="dense")]
    path = model_file(tmp_path / "m.onnx", nodes, {"W": [[1, 0], [1 + 1 / 256, -1]]}, (2,), "UINT4")
    assert muxflow.load(path)(np.ones((1, 1, 1, 2), np.int64)).shape == (1, 1, 1, 2)
    model = ModelWrapper(str(path))
    model.set_tensor_datatype("W", DataType["INT2"])
    model.save(str(path))
    with pytest.raises(
        UnsupportedError, match=r"^constant W: annotated as INT2, and holds 1\.00391, which is no integer"
    ):
        muxflow.load(path)


@pytest.mark.parametrize("bias", [-4.0, 0.0])
@pytest.mark.parametrize(("stride", "pads"), [([1, 1], [0, 0, 0, 0]), ([2, 1], [1, 1, 1, 1]), ([1, 2], [1, 0, 0, 2])])
def test_lowered_convolution_with_annotated_input(
    stride: list[int], pads: list[int], bias: float, tmp_path: Path
) -> None:
    """UINT4 input --> MultiThreshold (NHWC, per channel) --> Im2Col, MatMul, MaxPoolNHWC."""
    generator = np.random.default_rng(7)
    nodes = [
        TO_LAST,
        custom("MultiThreshold", ["t", "T"], "a", out_dtype="INT4", data_layout="NHWC", out_bias=bias),
        custom("Im2Col", ["a"], "v", kernel_size=[3, 3], stride=stride, pad_amount=pads, input_shape="(1,7,6,3)"),
        helper.make_node("MatMul", ["v", "W"], ["m"], name="product"),
        custom("MaxPoolNHWC", ["m"], "z", kernel_shape=[2, 2], strides=[2, 2], pads=[0, 0, 0, 0]),
        TO_FIRST,
    ]
    constants = {"T": np.sort(generator.integers(0, 15, (3, 7)), axis=1), "W": generator.integers(-3, 4, (27, 5))}
    height, width = ((size + pads[i] + pads[i + 2] - 3) // stride[i] + 1 for i, size in enumerate((7, 6)))
    shapes = {
        "t": (7, 6, 3),
        "a": (7, 6, 3),
        "v": (height, width, 27),
        "m": (height, width, 5),
        "z": (height // 2, width // 2, 5),
        "y": (5, height // 2, width // 2),
    }
    path = model_file(tmp_path / "m.onnx", nodes, constants, (3, 7, 6), "UINT4", shapes)
    graph = muxflow.load(path)
    assert (graph.streams[graph.inputs[0]].lo, graph.streams[graph.inputs[0]].hi) == (0, 15)
    evaluate(path, graph)


@pytest.mark.parametrize("pads", [[0, 0, 0, 0], [1, 1, 1, 1]])
def test_counted_signs_with_padding(pads: list[int], tmp_path: Path) -> None:
    """Padding of bits with 0 is padding of signs with -1."""
    generator = np.random.default_rng(8)
    nodes = [
        TO_LAST,
        custom("MultiThreshold", ["t", "T"], "a", out_dtype="BINARY", data_layout="NHWC"),
        custom("Im2Col", ["a"], "v", kernel_size=[3, 3], stride=[1, 1], pad_amount=pads, input_shape="(1,5,5,2)"),
        custom("XnorPopcountMatMul", ["v", "W"], "m"),
        custom("MultiThreshold", ["m", "U"], "z", out_dtype="UINT2", data_layout="NHWC"),
        TO_FIRST,
    ]
    constants = {
        "T": generator.integers(2, 6, (2, 1)),
        "W": generator.integers(0, 2, (18, 4)),
        "U": np.sort(generator.integers(4, 14, (4, 3)), axis=1),
    }
    size = 3 + 2 * pads[0]
    maps = {"v": 18, "m": 4, "z": 4}
    shapes = {name: (size, size, channels) for name, channels in maps.items()}
    shapes |= {"t": (5, 5, 2), "a": (5, 5, 2), "y": (4, size, size)}
    path = model_file(tmp_path / "m.onnx", nodes, constants, (2, 5, 5), "UINT3", shapes)
    graph = muxflow.load(path)
    (product,) = (node for node in graph.nodes if isinstance(node.op, MatrixVector))
    assert all(stream.bipolar for stream in graph.ports(product).inputs)
    evaluate(path, graph, 20)


def test_bipolar_levels(tmp_path: Path) -> None:
    """out_scale 2 and out_bias -1: levels of -1 and +1, one bit."""
    nodes = [
        custom("MultiThreshold", ["x", "T"], "y", out_dtype="BIPOLAR", data_layout="NC", out_scale=2.0, out_bias=-1.0)
    ]
    path = model_file(tmp_path / "m.onnx", nodes, {"T": [[3], [-2], [0]]}, (3,), "INT4")
    graph = muxflow.load(path)
    assert graph.streams[graph.outputs[0]].bipolar
    evaluate(path, graph, 40)


def test_an_input_that_thresholds_make(tmp_path: Path) -> None:
    """Without a data type the input's step is the distance of the thresholds."""
    nodes = [custom("MultiThreshold", ["x", "T"], "y", out_dtype="UINT2", data_layout="NC", out_bias=0.0)]
    path = model_file(tmp_path / "m.onnx", nodes, {"T": [[0.25, 0.75, 1.25]]}, (4,))
    graph = muxflow.load(path)
    stream = graph.streams[graph.inputs[0]]
    assert (stream.lo, stream.hi, stream.scale) == (0, 3, (0.5,))
    evaluate(path, graph)


REFUSED = {
    "uneven": ([custom("MultiThreshold", ["x", "T"], "y")], {"T": [[0.5, 1.5, 4.0]]}, "", "not evenly spaced"),
    "channels": ([custom("MultiThreshold", ["x", "T"], "y")], {"T": [[0.5], [1.5]]}, "", "one row of thresholds a channel"),
    "descending": (
        [custom("MultiThreshold", ["x", "T"], "y")],
        {"T": [[2, 1]]},
        "INT4",
        r"MultiThreshold_y \(MultiThreshold\): a row of thresholds descends",
    ),
    "bias": ([custom("MultiThreshold", ["x", "T"], "y", out_bias=0.3)], {"T": [[1, 2]]}, "INT4", "out_bias 0.3"),
    "layout": (
        [custom("MultiThreshold", ["x", "T"], "y", data_layout="CHWN")],
        {"T": [[1, 2]]},
        "INT4",
        "data_layout 'CHWN'; supported: NCHW, NHWC, NC",
    ),
    "bits": ([custom("XnorPopcountMatMul", ["x", "W"], "y")], {"W": [[-1], [1]]}, "INT4", "weights other than 0 and 1"),
    "depthwise": (
        [TO_LAST, custom("Im2Col", ["t"], "y", kernel_size=[2, 2], stride=[1, 1], depthwise=1, input_shape="(1,2,2,2)")],
        {},
        "UINT2",
        "lowered for a depthwise convolution; import the file from before",
    ),
    "channel-first": (
        [
            helper.make_node("MaxPool", ["x"], ["t"], kernel_shape=[1, 1]),
            custom("Im2Col", ["t"], "y", kernel_size=[2, 2], stride=[1, 1], input_shape="(1,2,2,2)"),
        ],
        {},
        "UINT2",
        "not a channel-last image",
    ),
    "hardware of an older FINN": (
        [helper.make_node("StreamingFCLayer_Batch", ["x", "W"], ["y"], "fc", domain="finn", backend="fpgadataflow")],
        {"W": [[1], [1]]},
        "INT4",
        r"fc \(StreamingFCLayer_Batch\): .*import the file from before FINN's conversion to hardware layers",
    ),
    "forks of hardware": (
        [helper.make_node("DuplicateStreams_Batch", ["x"], ["y", "z"], "d", domain="finn.custom_op.fpgadataflow")],
        {},
        "INT4",
        r"d \(DuplicateStreams_Batch\): .*import the file from before FINN's conversion to hardware layers",
    ),
    "hardware": (
        [helper.make_node("MVAU", ["x", "W"], ["y"], name="MVAU_0", domain="finn.custom_op.fpgadataflow")],
        {"W": [[1], [1]]},
        "INT4",
        r"MVAU of domain finn.custom_op.fpgadataflow is not supported; import the file from before FINN's conversion",
    ),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:Some old-style domain")
@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_a_way_out(name: str, tmp_path: Path) -> None:
    nodes, constants, kind, message = REFUSED[name]
    shape = (2, 2, 2) if name in ("depthwise", "channel-first") else (2,)
    path = model_file(tmp_path / "m.onnx", nodes, constants, shape, kind)
    with pytest.raises(MuxflowError, match=message):
        muxflow.load(path)
    statuses = [status for status in muxflow.check(path) if not status.supported]
    assert statuses and isinstance(statuses[0].message, str)
    assert issubclass(UnsupportedError, MuxflowError)
