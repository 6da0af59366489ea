"""ONNX files whose nodes and tensors do not fit together: refused by name, or run all the same."""

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import muxflow
from muxflow.dataflow.errors import ExecutionError, MuxflowError, UnsupportedError
from muxflow.frontend.qonnx import execution
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.proof.compare import compare


def quantized(build: Any) -> Any:
    made = build((1, 4, 8, 8))
    made.quant("x", 0.25, bits=4.0)
    return made


@pytest.mark.parametrize(
    ("op", "more", "message"),
    [
        ("MaxPool", ["t0"], "2 inputs, where the operator has 1 at most"),
        ("Relu", ["t0"], "2 inputs, where the operator has 1 at most"),
        ("Identity", ["t0"], "2 inputs, where the operator has 1 at most"),
        ("Conv", [np.ones((2, 4, 1, 1)), np.zeros(2), "t0"], "4 inputs, where the operator has 3 at most"),
    ],
)
def test_more_inputs_than_the_operator_has(build: Any, tmp_path: Path, op: str, more: list[Any], message: str) -> None:
    """Other libraries refuse such a node, or compute something else than from the first ones."""
    made = quantized(build)
    made.then(op, *more, **({"kernel_shape": [2, 2]} if op == "MaxPool" else {}))
    onnx.save(made.model(), tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match=rf"^{op}_1 \({op}\): {message}"):
        muxflow.load(tmp_path / "net.onnx")


def test_parameters_of_channels_keep_no_map(build: Any, tmp_path: Path) -> None:
    """Each is brought into the order of a map of 1 MiB, of which a number a channel is kept."""
    made = build((1, 4, 256, 256))
    made.quant("x", 0.25, bits=4.0)
    for _ in range(40):
        made.then("Mul", np.array([1, 2, 0.5, 1], np.float32).reshape(4, 1, 1))
    made.quant(scale=0.5, bits=2.0)
    onnx.save(made.model(), tmp_path / "net.onnx")
    tracemalloc.start()
    try:
        muxflow.load(tmp_path / "net.onnx")
        assert tracemalloc.get_traced_memory()[1] < 32 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("limit", "most"), [("MOST_FRAME", 4 * 20 * 20 - 1), ("MOST_OUTPUT", 2 * 20 * 20 - 1)])
def test_maps_that_are_small_one_by_one(
    build: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    """Four maps of 20 x 20 pixels, padding around the input's 8 x 8 included, of which the last one is the output."""
    made = build((1, 1, 8, 8))
    made.quant("x", 0.25, bits=4.0)
    made.conv(np.ones((1, 1, 3, 3)), pads=[7] * 4)
    made.quant(scale=8.0, bits=2.0)
    made.conv(np.ones((2, 1, 1, 1)))
    onnx.save(made.model(), tmp_path / "net.onnx")
    assert sum(stream.size for stream in muxflow.load(tmp_path / "net.onnx").streams.values()) > most
    monkeypatch.setattr(f"muxflow.dataflow.limits.{limit}", most + 1)
    muxflow.load(tmp_path / "net.onnx")
    monkeypatch.setattr(f"muxflow.dataflow.limits.{limit}", most)
    with pytest.raises(MuxflowError, match=rf"{most + 1:,} elements.*; at most {most:,} \({limit}\)"):
        muxflow.load(tmp_path / "net.onnx")


@pytest.mark.parametrize("again", ["t0", "x", "c0"])
def test_a_tensor_that_is_written_twice(build: Any, tmp_path: Path, again: str) -> None:
    made = quantized(build)
    made.then("Relu")
    made.nodes[-1].output[0] = again
    onnx.save(made.model(), tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match=rf"^Relu_1 \(Relu\) writes {again}, which is there before"):
        muxflow.load(tmp_path / "net.onnx")


def test_a_node_that_writes_a_tensor_twice(build: Any, tmp_path: Path) -> None:
    made = quantized(build)
    made.nodes[-1].output.append(made.nodes[-1].output[0])
    onnx.save(made.model(), tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match=r"^Quant_0 \(Quant\) writes t0, which is there before"):
        muxflow.load(tmp_path / "net.onnx")


@pytest.mark.parametrize(("what", "field"), [("inputs", "input"), ("constants", "initializer")])
def test_two_of_one_name(build: Any, tmp_path: Path, what: str, field: str) -> None:
    model = quantized(build).model()
    entries = getattr(model.graph, field)
    entries.add().CopyFrom(entries[0])
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(MuxflowError, match=rf"net\.onnx: two of its {what} have one name"):
        muxflow.load(tmp_path / "net.onnx")


def test_an_inner_tensor_that_is_an_output_too(build: Any, save: Any) -> None:
    """QONNX knows a tensor once: the file lists it as an inner one, with its shape, and as an output."""
    made = quantized(build)
    made.then("Relu")
    made.quant(scale=0.5, bits=3.0)
    path = save(made)
    model = onnx.load(path)
    model.graph.output.add().CopyFrom(helper.make_tensor_value_info("t0", TensorProto.FLOAT, [1, 4, 8, 8]))
    model.graph.value_info.extend([one for one in model.graph.output if one.name == "t0"])
    onnx.save(model, path)
    graph = muxflow.load(path)
    codes = np.random.default_rng(0).integers(0, 16, (2, 8, 8, 4))
    (outcome,) = compare(graph, [QonnxExecution(path, graph)], codes).outcomes
    assert not outcome.failed and set(graph.outputs) <= set(outcome.streams)


def test_a_file_that_qonnx_cannot_hold(build: Any, save: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    made = quantized(build)
    path = save(made)
    graph = muxflow.load(path)
    codes = {graph.inputs[0]: np.zeros((1, 8, 8, 4), np.int64)}

    def fails(_: onnx.ModelProto) -> None:
        raise AssertionError("no\nshape")

    monkeypatch.setattr(execution, "ModelWrapper", fails)
    with pytest.raises(ExecutionError, match=r"net\.onnx: QONNX execution cannot run it \(AssertionError: no shape\)"):
        QonnxExecution(path, graph).run(codes)
