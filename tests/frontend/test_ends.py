"""What ends a network: the choice of a class, and layers that the host computes."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import muxflow
from muxflow.board.deploy import interface_entry
from muxflow.board.driver import Accelerator, AcceleratorError
from muxflow.dataflow.errors import GraphError, MuxflowError, UnsupportedError
from muxflow.dataflow.graph.passes import append_arg_max, append_top_k
from muxflow.dataflow.graph.stream import random_codes
from muxflow.frontend.model import HOST, ImportOptions
from muxflow.frontend.qonnx.execution import QonnxModel
from muxflow.frontend.registry import check, load


def codes(*shape: int, span: int = 3, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(-span, span + 1, shape).astype(np.float32)


def classifier(build: Any, classes: int = 4, scale: Any = 0.5) -> Any:
    b = build((1, 6))
    b.quant(bits=4)
    b.node("MatMul", b.last, b.weights(codes(6, classes), scale))
    return b


def ending(b: Any, op: str, **attributes: Any) -> Any:
    """Append ArgMax, or TopK whose indices are the model's output."""
    if op == "ArgMax":
        b.then(op, **attributes)
        return b
    logits, k = b.last, b.constant(np.array([attributes.pop("k")]))
    b.nodes.append(onnx.helper.make_node(op, [logits, k], ["largest", "indices"], "TopK_9", **attributes))
    b.last = "indices"
    return b


def model_output(path: Path, graph: Any, given: Any) -> Any:
    """Return what the ONNX runtime makes of the whole file, its last nodes included."""
    model = QonnxModel(path)
    values = given.reshape(len(given), -1).astype(np.float32) * np.float32(graph.streams[graph.inputs[0]].scale[0])
    return model.run(values)[model.outputs[0]]


CHOICES: dict[str, tuple[str, dict[str, Any]]] = {
    "arg-max": ("ArgMax", {"axis": 1}),
    "arg-max without its axis": ("ArgMax", {"axis": -1, "keepdims": 0}),
    "top-1": ("TopK", {"k": 1}),
    "top-3": ("TopK", {"k": 3, "axis": 1, "sorted": 1}),
}


@pytest.mark.parametrize("softmax", [False, True])
@pytest.mark.parametrize("case", CHOICES)
def test_choices_are_made_on_the_chip(case: str, softmax: bool, build: Any, save: Any, prove: Any) -> None:
    """Same meaning as --arg-max and --top-k: the same graph, and the model's own indices, ties included."""
    op, attributes = CHOICES[case]
    b = classifier(build)
    plain = load(save(b, "logits.onnx"))
    if softmax:
        b.then("Softmax", axis=-1)
    path = save(ending(b, op, **attributes))
    graph = load(path)
    given = random_codes(graph.streams[graph.inputs[0]], 60, np.random.default_rng(2))
    given[0] = 0  # four equal logits
    found = graph(given)
    asked = append_arg_max(plain) if op == "ArgMax" else append_top_k(plain, attributes["k"])
    assert np.array_equal(found, asked(given))
    assert not graph.readouts and "remarks" not in graph.notes
    expected = model_output(path, graph, given)
    assert np.array_equal(found.reshape(expected.shape), expected)
    prove(path)
    with pytest.raises(GraphError, match="gives the class index itself; leave the option out"):
        append_arg_max(graph)


ALIGNED = {
    "a falling scale": lambda b: b.then("Neg"),
    "whole steps of the sums": lambda b: b.then("Add", np.float32([0, 0.5, -1.5, 2])),
    "scales on one grid": lambda b: b.then("Mul", np.float32([1, 0.5, -1.5, 2])),
}


@pytest.mark.parametrize("case", ALIGNED)
def test_classes_are_brought_onto_one_grid_before_the_choice(case: str, build: Any, save: Any, prove: Any) -> None:
    b = classifier(build)
    ALIGNED[case](b)
    path = save(ending(b, "TopK", k=3))
    graph = load(path)
    given = random_codes(graph.streams[graph.inputs[0]], 60, np.random.default_rng(2))
    assert not graph.readouts and "remarks" not in graph.notes
    expected = model_output(path, graph, given)
    assert np.array_equal(graph(given).reshape(expected.shape), expected)


HOST_CHOOSES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "an offset a class": (lambda b: b.then("Add", np.float32([0, 1, 0.3, 2])), "ArgMax", {"axis": 1}),
    "the smallest": (lambda b: None, "TopK", {"k": 2, "largest": 0}),
    "the last of equals": (lambda b: None, "ArgMax", {"axis": 1, "select_last_index": 1}),
    "relu": (lambda b: b.then("Relu"), "ArgMax", {"axis": 1}),
    "along the batch": (lambda b: None, "ArgMax", {"axis": 0}),
}


@pytest.mark.parametrize("case", HOST_CHOOSES)
def test_choices_that_integers_cannot_make_are_the_hosts(case: str, build: Any, save: Any, prove: Any) -> None:
    more, op, attributes = HOST_CHOOSES[case]
    b = classifier(build)
    more(b)
    graph = prove(ending(b, op, **attributes))
    assert f"({op}) is left to the host" in graph.notes["remarks"]
    (end,) = graph.ends.values()
    assert not end.ordered and graph.readouts
    b.quant(scale=1.0)
    with pytest.raises(UnsupportedError, match=rf"\({op}\).*the host chooses where it is the last.*; Quant_"):
        load(save(b))


@pytest.mark.parametrize(("axis", "cast"), [(0, 1), (-2, 1), (1, 6), (1, 9)])
def test_choices_after_what_changes_the_order(axis: int, cast: int, build: Any, prove: Any) -> None:
    """A softmax along the batch compares images; integers and booleans make equals of unlike classes."""
    b = classifier(build)
    b.then("Softmax", axis=axis)
    b.then("Cast", to=cast)
    b.then("Cast", to=1)
    graph = prove(ending(b, "ArgMax", axis=1))
    (end,) = graph.ends.values()
    assert not end.ordered and graph.readouts


@pytest.mark.parametrize("kind", ["Softmax", "LogSoftmax"])
def test_softmax_at_the_end_is_left_to_the_host(kind: str, build: Any, prove: Any, save: Any) -> None:
    b = classifier(build)
    b.then(kind, axis=-1)
    graph = prove(b)
    assert "left to the host: the outputs are logits" in graph.notes["remarks"]
    assert np.array_equal(append_arg_max(graph).nodes[-1].inputs, graph.outputs)
    b.quant(scale=0.1)
    with pytest.raises(MuxflowError, match=rf"{kind}_\d .*only as the last node"):
        load(save(b))


def test_a_layer_of_several_nodes_is_named_once(build: Any, save: Any) -> None:
    b = classifier(build)
    for _ in range(2):
        b.then("Sigmoid")
        b.nodes[-1].name = "head"
    (end,) = load(save(b)).ends.values()
    assert end.rest == "head (Sigmoid)"
    b.then("MatMul", b.weights(codes(4, 4)))
    with pytest.raises(UnsupportedError, match=r"its input passes head \(Sigmoid\) after the last integer stream"):
        load(save(b))


TAILS = {
    "float layer": lambda b: b.then("MatMul", np.random.default_rng(1).standard_normal((4, 3))),
    "with bias and softmax": lambda b: (
        b.then("Gemm", np.random.default_rng(1).standard_normal((3, 4)), np.ones(3), transB=1),
        b.then("Softmax", axis=-1),
    ),
    "behind an activation that no quantizer follows": lambda b: (
        b.then("Sigmoid"),
        b.then("Mul", np.float32(3)),
        b.then("MatMul", np.random.default_rng(1).standard_normal((4, 3))),
    ),
    "sigmoid": lambda b: b.then("Sigmoid"),
    "skip inside the host's part": lambda b: (
        b.then("MatMul", np.random.default_rng(1).standard_normal((4, 4))),
        b.node("Add", b.last, b.then("Sin")),
    ),
    "two outputs of one node": lambda b: (
        b.then("MatMul", np.random.default_rng(1).standard_normal((4, 4))),
        b.nodes.append(onnx.helper.make_node("Split", [b.last], ["left", "right"], "halves", axis=1, num_outputs=2)),
        b.node("Mul", "left", "right"),
    ),
}


@pytest.mark.parametrize("case", TAILS)
def test_layers_at_the_end_are_left_to_the_host(case: str, build: Any, prove: Any, save: Any) -> None:
    b = classifier(build, scale=[0.5, 0.25, 1.0, 2.0])
    before = b.last
    TAILS[case](b)
    graph = prove(b)
    assert graph.ends == load(save(b)).ends
    (end,) = graph.ends.values()
    assert end.tensor == before and end.rest.count("(") == len(b.nodes) - 3
    assert f"{end.rest} is left to the host" in graph.notes["remarks"]
    statuses = check(save(b))
    assert {one.node for one in statuses if one.message == HOST} == {label.split()[0] for label in end.rest.split(", ")}
    assert all(one.supported and one.message in ("", HOST) for one in statuses)
    if not end.ordered:
        with pytest.raises(GraphError, match=r"the host computes .* so there are no logits on the chip"):
            append_arg_max(graph)


def test_what_the_host_cannot_take_over(build: Any, save: Any) -> None:
    floats = np.random.default_rng(1).standard_normal((6, 6))
    first = build((1, 6))
    first.quant(bits=4)
    first.then("MatMul", floats)
    with pytest.raises(UnsupportedError, match=r"MatMul_1 .*floats without a quantizer.*weight quantizer of 1 to"):
        load(save(first))  # nothing would be left
    for after in (lambda b: b.quant(scale=0.5), lambda b: b.then("MatMul", floats)):
        b = classifier(build, 6)
        b.then("MatMul", floats)
        after(b)
        message = r"MatMul_3 .*floats without a quantizer.*; (Quant|MatMul)_4 \(\w+\) comes after it"
        with pytest.raises(UnsupportedError, match=message):
            load(save(b))
        assert [status.node for status in check(save(b)) if not status.supported] == ["MatMul_3", b.nodes[-1].name]
    raw = classifier(build)
    raw.node("Concat", raw.last, raw.node("MatMul", "x", floats), axis=1)
    with pytest.raises(UnsupportedError, match=r"MatMul_3 .*floats without a quantizer"):
        load(save(raw), ImportOptions(1.0, 4, False))  # it reads the input itself
    b = classifier(build, 6)
    logits = b.last
    b.quant(logits, scale=0.5, signed=1)
    other = b.node("MatMul", b.last, b.weights(codes(6, 6)))
    b.node("Add", b.node("MatMul", logits, floats), other)
    with pytest.raises(UnsupportedError, match=r"the host would compute it from t\d, t\d; end the model before it"):
        load(save(b))


def test_a_project_of_a_network_with_a_float_end(build: Any, save: Any, tmp_path: Path) -> None:
    """The values that leave the chip are proven and read by the driver, which says what is left for the host."""
    from muxflow.proving import model_copy, prove, random_images

    b = classifier(build)
    b.then("Relu")
    b.quant(scale=0.25, bits=4)
    b.then("Gemm", np.random.default_rng(1).standard_normal((3, 4)), transB=1)
    path = save(b)
    graph = muxflow.load(path)
    project = muxflow.write(muxflow.fit(graph), tmp_path / "p", extra=model_copy(path))
    images = random_images(graph, 5)
    labelled = type(images)(images.codes, np.zeros(5, np.int64), "digits", "test")
    rungs, accuracy, _ = prove(project, labelled, variants=("native",))
    assert [one.status for one in rungs[:2]] == ["equal", "equal"]
    assert f"up to {b.nodes[-1].name} (Gemm), which the host computes" in rungs[0].detail
    assert accuracy is None and "which decides the class" in graph.why_no_class(graph.outputs[0])
    (output,) = interface_entry(project.hls)["outputs"]
    assert (output["answer"], output["rest"]) == ("values", f"{b.nodes[-1].name} (Gemm)")
    with Accelerator.emulate(tmp_path / "p") as accelerator:
        given = images.codes[graph.inputs[0]]
        assert np.array_equal(accelerator.predict(given), graph.read_out(graph(given)))
        with pytest.raises(AcceleratorError, match=r"the host computes Gemm_\d \(Gemm\); give it what predict"):
            accelerator.classify(given)


def test_a_long_end_is_named_in_short(build: Any, save: Any) -> None:
    b = classifier(build)
    for _ in range(300):
        b.then("Relu")
    (end,) = load(save(b)).ends.values()
    assert end.rest.startswith("Relu_3 (Relu), ") and end.rest.endswith(", 292 more")


@pytest.mark.filterwarnings("ignore")
def test_finns_tfc_ends_in_top_k(finn: None, tmp_path: Path) -> None:
    """FINN's tutorial network as its notebook makes it: ToTensor before, TopK after, streamlined; from file to csim."""
    files = finn_tfc(tmp_path)
    for path in files:
        graph = muxflow.load(path)
        stream = graph.streams[graph.inputs[0]]
        given = random_codes(stream, 20, np.random.default_rng(4))
        model = QonnxModel(path)
        pixels = np.moveaxis(given, -1, 1).astype(np.float32)
        expected = model.run(pixels)[model.outputs[0]]
        assert (stream.shape, stream.lo, stream.hi) == ((28, 28, 1), 0, 255)
        assert np.array_equal(graph(given).reshape(20, 1), expected)
    assert len(np.unique(expected)) > 2
    project = muxflow.write(muxflow.fit(graph), tmp_path / "project")
    assert np.array_equal(project.csim(given).outputs.reshape(20, 1), expected)


def finn_tfc(folder: Path) -> list[Path]:
    """Write FINN's TFC before and after its streamlining, as the notebook tfc_end2end_example does."""
    import finn.transformation.streamline.absorb as absorb
    import torch
    from brevitas.export import export_qonnx
    from brevitas_examples.bnn_pynq.models.FC import FC
    from finn.transformation.qonnx.convert_qonnx_to_finn import ConvertQONNXtoFINN
    from finn.transformation.streamline import Streamline
    from finn.transformation.streamline.reorder import MoveScalarLinearPastInvariants
    from finn.transformation.streamline.round_thresholds import RoundAndClipThresholds
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.bipolar_to_xnor import ConvertBipolarMatMulToXnorPopcount
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.insert_topk import InsertTopK
    from qonnx.transformation.merge_onnx_models import MergeONNXModels
    from qonnx.util.cleanup import cleanup_model

    class ToTensor(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x / 255

    def exported(network: Any, name: str) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            export_qonnx(network.eval(), torch.zeros(1, 1, 28, 28), export_path=str(folder / name), dynamo=False)
        return cleanup_model(ModelWrapper(str(folder / name))).transform(ConvertQONNXtoFINN())

    torch.manual_seed(0)
    network = FC(10, 1, 1, 1, 1, [64, 64, 64], (28, 28))
    for norm in (one for one in network.modules() if isinstance(one, torch.nn.BatchNorm1d)):
        norm.running_mean.uniform_(-5, 5)
        norm.running_var.uniform_(1, 30)
    model = exported(network, "tfc.onnx").transform(MergeONNXModels(exported(ToTensor(), "to_tensor.onnx")))
    model.set_tensor_datatype(model.graph.input[0].name, DataType["UINT8"])
    model = cleanup_model(model.transform(InsertTopK(k=1))).transform(InferDataTypes())
    tidy, ready = folder / "tidy.onnx", folder / "ready.onnx"
    model.save(str(tidy))
    steps = (
        MoveScalarLinearPastInvariants(),
        Streamline(),
        ConvertBipolarMatMulToXnorPopcount(),
        absorb.AbsorbAddIntoMultiThreshold(),
        absorb.AbsorbMulIntoMultiThreshold(),
        absorb.AbsorbScalarMulAddIntoTopK(),
        RoundAndClipThresholds(),
    )
    for step in steps:
        model = model.transform(step)
    model.save(str(ready))
    return [tidy, ready]
