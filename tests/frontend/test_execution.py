"""ONNX files run beside their graphs: whatever the importer accepts runs, or the node that does not is named."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from qonnx.core.datatype import DataType
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.core.onnx_exec import execute_onnx

import muxflow
from muxflow.dataflow.errors import ExecutionError, MismatchError, MuxflowError, UnsupportedError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.stream import random_codes
from muxflow.frontend.floats import float_inputs
from muxflow.frontend.qonnx.execution import QonnxExecution, QonnxModel
from muxflow.frontend.registry import load
from muxflow.proof.compare import Outcome, compare
from muxflow.proof.ladder import is_warning
from muxflow.proving import model_copy, prove, random_images

GENERAL = "qonnx.custom_op.general"


def agreed(path: Path, count: int = 7) -> tuple[Graph, Outcome]:
    graph = muxflow.load(path)
    codes = {name: random_codes(graph.streams[name], count, np.random.default_rng(0)) for name in graph.inputs}
    (outcome,) = compare(graph, [QonnxExecution(path, graph)], codes).outcomes
    assert outcome.images == count and outcome.codes
    return graph, outcome


@pytest.mark.parametrize("allowzero", [0, 1])
def test_reshapes_of_one_image_take_any_batch(build: Any, save: Callable[..., Path], allowzero: int) -> None:
    """As torch's exporter writes them, by default with allowzero=1."""
    made = build((1, 2, 4, 4))
    made.quant("x", 0.25, bits=4.0)
    made.then("Reshape", np.array([1, 32]), allowzero=allowzero)
    made.node("Gemm", made.last, made.weights(np.arange(-48, 48).reshape(32, 3) % 5 - 2))
    made.quant(scale=1.0, bits=8.0, signed=1)
    agreed(save(made))


SAME = pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])


def padded(build: Any, path: Path, op: str, kernel: tuple[int, ...], **options: Any) -> Path:
    made = build((1, 2, 9, 12))
    made.quant("x", 0.25, bits=4.0)
    if op == "Conv":
        made.conv(np.random.default_rng(0).integers(-3, 4, (3, 2, *kernel)), kernel_shape=kernel, **options)
    else:
        made.then(op, kernel_shape=kernel, **options)
    made.quant(scale=0.5, bits=4.0)
    onnx.save(made.model(), path)
    return path


@SAME
@pytest.mark.parametrize("said", [True, False])
def test_dilation_beside_same_padding(build: Any, tmp_path: Path, auto_pad: str, said: bool) -> None:
    """Of a convolution: as ONNX' text says, the runtime has no answer."""
    options = {"auto_pad": auto_pad, "dilations": [2, 3], "strides": [2, 1]}
    path = padded(build, tmp_path / "net.onnx", "Conv", (3, 2), **options)
    if not said:
        model = onnx.load(path)
        (node,) = (node for node in model.graph.node if node.op_type == "Conv")
        node.attribute.remove(next(entry for entry in node.attribute if entry.name == "kernel_shape"))
        onnx.save(model, path)
    graph, _ = agreed(path)
    assert graph.streams[graph.outputs[0]].shape[:2] == (5, 12)


@SAME
@pytest.mark.parametrize("op", ["Conv", "MaxPool", "AveragePool"])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_same_padding_under_any_stride(build: Any, tmp_path: Path, op: str, auto_pad: str, stride: int) -> None:
    """Windows of 1 and 2 columns: equal to the runtime, or refused where it crops the map in front."""
    for kernel in ((2, 1), (1, 2)):
        path = padded(build, tmp_path / "net.onnx", op, kernel, auto_pad=auto_pad, strides=[stride, stride])
        if stride < 3:
            agreed(path)
        else:
            with pytest.raises(
                UnsupportedError, match=rf"auto_pad {auto_pad} with strides .* write those that you mean"
            ):
                load(path)


@SAME
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_pools_that_the_runtime_pads_otherwise_are_refused(build: Any, tmp_path: Path, op: str, auto_pad: str) -> None:
    """It leaves their dilation out; in the comparison the padding would be Muxflow's own on both sides."""
    options = {"auto_pad": auto_pad, "dilations": [1, 2]}
    with pytest.raises(UnsupportedError, match=rf"auto_pad {auto_pad} with dilations \(1, 2\) is padded in one way"):
        load(padded(build, tmp_path / "net.onnx", op, (1, 2), **options))


def finn_file(path: Path, *, pool: bool, pads: tuple[int, ...] = (0, 0, 0, 0)) -> ModelWrapper:
    """A channel-last model as FINN's lowering leaves it, for one image."""
    r = np.random.default_rng(0)
    height, width = 4 + pads[0] + pads[2], 5 + pads[1] + pads[3]
    info = lambda name, shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)  # noqa: E731
    nodes = [
        helper.make_node("Transpose", ["image"], ["x"], "turn", perm=[0, 2, 3, 1]),
        helper.make_node(
            "Im2Col", ["x"], ["cols"], "lower", domain=GENERAL, kernel_size=[3, 2], stride=[1, 1],
            pad_amount=list(pads), input_shape="(1, 6, 6, 2)", depthwise=0, dilations=[1, 1],
        ),
        helper.make_node("MatMul", ["cols", "w"], ["sums"], "product"),
        helper.make_node("MultiThreshold", ["sums", "t"], ["y"], "act", domain=GENERAL, data_layout="NHWC", out_dtype="UINT2"),
    ]  # fmt: skip
    shape = [1, height, width, 4]
    if pool:
        options = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0]}
        nodes.append(helper.make_node("MaxPoolNHWC", ["y"], ["z"], "pool", domain=GENERAL, **options))
    values = {"x": [1, 6, 6, 2], "cols": [1, height, width, 12], "sums": shape, "y": shape, "w": [12, 4], "t": [4, 3]}
    out = info("z", [1, height // 2, width // 2, 4]) if pool else info("y", shape)
    inner = [info(name, sizes) for name, sizes in values.items() if name != out.name]
    graph = helper.make_graph(nodes, "net", [info("image", [1, 2, 6, 6])], [out], value_info=inner)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(GENERAL, 1)]
    model = ModelWrapper(helper.make_model(graph, opset_imports=opsets))
    model.set_initializer("w", r.integers(-3, 4, (12, 4)).astype(np.float32))
    model.set_initializer("t", np.sort(r.integers(-60, 90, (4, 3)), 1).astype(np.float32))
    types = {"image": "UINT4", "x": "UINT4", "cols": "UINT4", "w": "INT3", "t": "INT8", "y": "UINT2"}
    for name, kind in types.items():
        model.set_tensor_datatype(name, DataType[kind])
    model.save(str(path))
    return model


@pytest.mark.parametrize("pads", [(0, 0, 0, 0), (1, 0, 2, 1)])
@pytest.mark.parametrize("pool", [False, True])
def test_channel_last_operators_of_finn(tmp_path: Path, pool: bool, pads: tuple[int, ...]) -> None:
    """In a batch as QONNX itself runs them, image by image."""
    path = tmp_path / "net.onnx"
    model = finn_file(path, pool=pool, pads=pads)
    graph, _ = agreed(path)
    codes = {name: random_codes(graph.streams[name], 5, np.random.default_rng(1)) for name in graph.inputs}
    (given,) = float_inputs(graph, codes)
    found = QonnxModel(path).run(given)
    for name in ("cols", "y", *(["z"] if pool else [])):
        alone = [execute_onnx(model, {"image": one[None]}, return_full_exec_context=True)[name] for one in given]
        np.testing.assert_array_equal(found[name], np.concatenate(alone))


def refuse(self: object, *_: object) -> None:
    raise RuntimeError("no kernel\nfor this")


def test_a_node_that_no_library_runs_is_named(
    build: Any, save: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made = build((1, 2, 4, 4))
    made.quant("x", 0.25, bits=4.0)
    made.then("MaxPool", kernel_shape=[2, 2])
    path = save(made)
    graph = muxflow.load(path)
    project = muxflow.write(muxflow.fit(graph), tmp_path / "project", extra=model_copy(path))
    monkeypatch.setattr("muxflow.frontend.qonnx.execution._Node.run", refuse)
    message = r"^MaxPool_1 \(MaxPool\): QONNX execution cannot run it \(RuntimeError: no kernel for this\)$"
    images = random_images(graph, 3)
    with pytest.raises(ExecutionError, match=message):
        compare(graph, [QonnxExecution(path, graph)], images.codes)
    rungs, _, _ = prove(project, images, variants=("native",))
    first, second = rungs[:2]
    assert (first.title, first.status, first.images) == ("QONNX execution", "not run", 0)
    assert "MaxPool_1 (MaxPool)" in first.detail and is_warning(first)
    assert (second.title, second.status, second.images) == ("C simulation, native integers", "equal", 3)
    with pytest.raises(ExecutionError, match=message):
        prove(project, images, variants=("native",), strict=True)


def pooled_file(made: Any, save: Callable[..., Path]) -> Path:
    """A convolution with its quantizers, and a pool."""
    made.quant("x", 0.25, bits=4.0)
    made.conv(np.arange(-9, 9).reshape(1, 2, 3, 3) % 4 - 1, kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    made.quant(scale=0.5, bits=4.0)
    made.then("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
    return save(made)


def test_a_project_keeps_a_model_and_its_data_in_one_file(build: Any, tmp_path: Path) -> None:
    """As torch's newer exporter writes it, x.onnx and x.onnx.data: the proof needs both, and is tied to both."""
    made = build((1, 2, 4, 4))
    made.quant("x", 0.25, bits=4.0)
    made.conv(np.arange(-9, 9).reshape(1, 2, 3, 3) % 4 - 1, kernel_shape=[3, 3])
    made.quant(scale=0.5, bits=4.0)
    path = tmp_path / "x.onnx"
    onnx.save(made.model(), path, save_as_external_data=True, location="x.onnx.data", size_threshold=0)
    graph = muxflow.load(path)
    project = muxflow.write(muxflow.fit(graph), tmp_path / "project", extra=model_copy(path))
    kept = project.path / "model.onnx"
    shutil.move(path.with_name("x.onnx.data"), project.path)  # beside a copy as older versions kept it
    images = random_images(graph, 3)
    rungs, _, _ = prove(project, images, variants=("native",))
    assert [(one.title, one.status) for one in rungs[:1]] == [("QONNX execution", "equal")]
    shutil.copy(path, kept)
    with pytest.raises(
        MuxflowError, match=r"model\.onnx has constants in files beside it, to which no proof is tied; build"
    ):
        prove(project, images, variants=("native",))
    (project.path / "x.onnx.data").unlink()
    with pytest.raises(MuxflowError, match=r"stands in x\.onnx\.data, which is not beside the model"):
        prove(project, images, variants=("native",))


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ("smaller", r"was not imported from it: its input x has 32 values, the graph's 128"),
        ("renamed", r"was not imported from it: it has no tensor "),
        ("outputs", r"was not imported from it: it has 2 outputs, the graph 1"),
    ],
)
def test_the_file_of_another_network_is_named(
    build: Any, save: Callable[..., Path], tmp_path: Path, other: str, message: str
) -> None:
    """As where a project's model file was replaced by another one's."""
    graph = muxflow.load(pooled_file(build((1, 2, 8, 8)), save))
    file = tmp_path / "other.onnx"
    model = onnx.load(pooled_file(build((1, 2, 4, 4) if other == "smaller" else (1, 2, 8, 8)), save))
    if other == "outputs":
        model.graph.output.append(helper.make_tensor_value_info(model.graph.node[0].output[0], TensorProto.FLOAT, None))
    if other == "renamed":
        inner = next(iter(graph.tensors.values()))
        for node in model.graph.node:
            for names in (node.input, node.output):
                names[:] = ["elsewhere" if name == inner else name for name in names]
    onnx.save(model, file)
    with pytest.raises(MismatchError, match=message) as raised:
        compare(graph, [QonnxExecution(file, graph)], {"x": np.zeros((1, 8, 8, 2), np.int64)})
    assert raised.value.execution == QonnxExecution.name and str(file) in str(raised.value)
