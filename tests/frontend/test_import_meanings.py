"""Nodes of ONNX files that say something else than the numbers alone would: refused by name, never read in silence."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import muxflow
from muxflow.dataflow.errors import UnsupportedError


def quantized(build: Any, shape: tuple[int, ...] = (1, 4, 6, 6), opset: int = 20) -> Any:
    made = build(shape, opset)
    made.quant("x", 0.25, bits=4.0)
    return made


def written(made: Any, folder: Path) -> Path:
    """A file whose last node goes into a quantizer."""
    made.quant(scale=0.5, bits=4.0, signed=1)
    onnx.save(made.model(), folder / "net.onnx")
    return folder / "net.onnx"


@pytest.mark.parametrize(
    ("op", "opset", "attribute", "value", "where"),
    [
        ("AveragePool", 11, "dilations", [2, 2], "opset 11; opsets 19 to"),
        ("AveragePool", 20, "storage_order", 0, "any opset: .*, so take it away"),
        ("MaxPool", 20, "count_include_pad", 1, "any opset"),
        ("MaxPool", 8, "ceil_mode", 1, "opset 8; opsets 10 to"),
        ("Relu", 20, "alpha", 0.5, "any opset"),
        ("Clip", 11, "min", 0.0, "opset 11; opsets 1 to 10 have it: .*, so export the model at one of those"),
        ("BatchNormalization", 9, "spatial", 1, "opset 9; opsets 1 to 8"),
    ],
)
def test_attributes_that_the_opset_has_not(
    build: Any, tmp_path: Path, op: str, opset: int, attribute: str, value: Any, where: str
) -> None:
    """The ONNX runtime refuses them; the import used some and passed over others."""
    made = quantized(build, opset=opset)
    window = {"kernel_shape": [2, 2], "strides": [2, 2]} if op.endswith("Pool") else {}
    more = [np.ones(4, np.float32)] * 4 if op == "BatchNormalization" else []
    made.then(op, *more, **window, **{attribute: value})
    path = written(made, tmp_path)
    for read in (muxflow.load, muxflow.check):
        with pytest.raises(UnsupportedError, match=rf"^{op}_1 \({op}\): {op} has no attribute {attribute} at {where}"):
            read(path)


def test_gemm_has_no_broadcast_any_more(build: Any, tmp_path: Path) -> None:
    made = quantized(build, (1, 4))
    data = made.last
    weights = made.weights(np.ones((4, 4)))
    made.node("Gemm", data, weights, np.ones(4, np.float32), broadcast=1)
    with pytest.raises(UnsupportedError, match=r"Gemm has no attribute broadcast at opset 20; opsets 1 to 6 have it"):
        muxflow.load(written(made, tmp_path))


def normalization(made: Any, outputs: int = 1, **attributes: Any) -> None:
    channels = [np.ones(4), np.zeros(4), np.full(4, 3.0), np.full(4, 9.0)]
    made.then("BatchNormalization", *(one.astype(np.float32) for one in channels), **attributes)
    made.nodes[-1].output.extend(f"statistics{number}" for number in range(1, outputs))


TRAINING = [
    (14, lambda made: normalization(made, training_mode=1), "training_mode is 1"),
    (20, lambda made: normalization(made, 3, training_mode=1), "training_mode is 1"),
    (9, lambda made: normalization(made, 5), "it has 5 outputs, among them statistics of the batch"),
    (6, lambda made: normalization(made, is_test=0), "is_test is 0"),
    (6, normalization, "is_test, which is 0 by default at opset 6, is left out"),
    (1, lambda made: normalization(made, is_test=0), "is_test is 0"),
    (20, lambda made: made.then("Dropout", np.float32(0.5), np.array(True)), "its input training_mode is True"),
    (20, lambda made: made.then("Dropout", np.float32(0.5), "x"), "training_mode, its input x, is computed or given"),
    (6, lambda made: made.then("Dropout", is_test=0), "is_test is 0"),
    (1, lambda made: made.then("Dropout", is_test=0), "is_test is 0"),
    (1, lambda made: made.then("Dropout"), "is_test, which is 0 by default at opset 1, is left out"),
]


@pytest.mark.parametrize(("opset", "node", "sign"), TRAINING)
def test_nodes_in_training_mode(build: Any, tmp_path: Path, opset: int, node: Any, sign: str) -> None:
    made = quantized(build, opset=opset)
    node(made)
    name = f"{made.nodes[-1].name} ({made.nodes[-1].op_type})"
    path = written(made, tmp_path)
    with pytest.raises(UnsupportedError) as met:
        muxflow.load(path)
    assert str(met.value).startswith(f"{name}: exported in training mode ({sign}")
    assert "call model.eval() and export the model again with training=TrainingMode.EVAL" in str(met.value)
    assert [(one.supported, one.reached) for one in muxflow.check(path)] == [
        (True, True),
        (False, True),
        (False, False),
    ]


def test_constants_of_training_and_of_chance(build: Any, tmp_path: Path) -> None:
    """They would be computed at import, to others each time."""
    for op, inputs, attributes, message in (
        ("Dropout", [np.ones((2, 4, 1, 1), np.float32), np.float32(0.5), np.array(True)], {}, "training mode"),
        ("Bernoulli", [np.full((2, 4, 1, 1), 0.5, np.float32)], {}, "it draws random numbers in every run"),
        ("RandomNormal", [""], {"shape": [2, 4, 1, 1]}, "it draws random numbers in every run"),
    ):
        made = quantized(build)
        data = made.last
        values = made.node(op, *inputs, **attributes)
        if op == "RandomNormal":
            del made.nodes[-1].input[:]
        made.node("Conv", data, values)
        with pytest.raises(UnsupportedError, match=rf"^{op}_1 \({op}\): .*{message}"):
            muxflow.load(written(made, tmp_path))


@pytest.mark.parametrize(
    ("opset", "node"),
    [
        (20, lambda made: normalization(made, training_mode=0)),
        (9, normalization),
        (7, lambda made: normalization(made, spatial=1)),
        (6, lambda made: normalization(made, is_test=1)),
        (20, lambda made: made.then("Dropout", np.float32(0.5), np.array(False))),
        (20, lambda made: made.then("Dropout", np.float32(0.5))),
        (7, lambda made: made.then("Dropout", ratio=0.5)),
    ],
)
def test_nodes_at_inference(build: Any, prove: Any, opset: int, node: Any) -> None:
    made = quantized(build, opset=opset)
    node(made)
    if opset > 6:  # the ONNX runtime, which computes thresholds, has no older normalization
        made.quant(scale=0.25, bits=4.0, signed=1)
    prove(made)


def test_normalization_pixel_by_pixel(build: Any, prove: Any, tmp_path: Path) -> None:
    """On vectors it is what any other is."""
    made = quantized(build, opset=8)
    normalization(made, spatial=0)
    with pytest.raises(UnsupportedError, match=r"^BatchNormalization_1 \(BatchNormalization\): spatial=0, which"):
        muxflow.load(written(made, tmp_path))
    made = quantized(build, (1, 4), 8)
    normalization(made, spatial=0)
    made.quant(scale=0.25, bits=4.0, signed=1)
    prove(made)
