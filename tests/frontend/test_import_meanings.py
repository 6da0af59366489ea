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
