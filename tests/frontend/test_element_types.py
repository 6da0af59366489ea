"""Models in other numbers than float32: refused by the name of what holds them, since all is evaluated in float32."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from brevitas import nn as qnn
from onnx import TensorProto
from torch import nn

import muxflow
from muxflow.dataflow.errors import UnsupportedError
from muxflow.frontend.importer.walk import check_model, import_model
from muxflow.frontend.model import Constant, Model
from muxflow.frontend.registry import read

KINDS = (("float16", TensorProto.FLOAT16), ("bfloat16", TensorProto.BFLOAT16), ("float64", TensorProto.DOUBLE))


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float64"])
@pytest.mark.filterwarnings("ignore")
def test_a_brevitas_network_in_other_floats(kind: str, tmp_path: Path) -> None:
    from brevitas.export import export_qonnx  # it warns when it is imported

    torch.manual_seed(0)
    dtype = getattr(torch, kind)
    layers = (
        qnn.QuantIdentity(bit_width=8),
        qnn.QuantConv2d(3, 8, 3, bias=True, weight_bit_width=4),
        nn.BatchNorm2d(8),
        qnn.QuantReLU(bit_width=4),
    )
    network = nn.Sequential(*layers)
    network(torch.randn(8, 3, 10, 10))
    path = tmp_path / "net.onnx"
    given = torch.zeros(1, 3, 10, 10, dtype=dtype)
    export_qonnx(network.to(dtype).eval(), given, export_path=str(path), dynamo=False)
    with pytest.raises(UnsupportedError, match=rf"^input \S+ holds {kind} numbers; supported are float32 ones"):
        muxflow.load(path)
    with pytest.raises(UnsupportedError, match=f"holds {kind} numbers"):
        muxflow.check(path)
    export_qonnx(network.float().eval(), given.float(), export_path=str(path), dynamo=False)
    assert muxflow.load(path).nodes


def small(build: Any) -> Any:
    made = build((1, 2, 4, 4))
    made.quant("x", 0.25, bits=4.0)
    made.then("Mul", np.float32(0.3))
    made.quant(scale=0.25, bits=4.0)
    return made


@pytest.mark.parametrize(("kind", "number"), KINDS)
def test_inputs_of_other_types(build: Any, tmp_path: Path, kind: str, number: int) -> None:
    model = small(build).model()
    model.graph.input[0].type.tensor_type.elem_type = number
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match=f"^input x holds {kind} numbers"):
        muxflow.load(tmp_path / "net.onnx")


@pytest.mark.parametrize("number", [TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.FLOAT8E5M2, 99])
def test_inputs_that_are_no_floats(build: Any, tmp_path: Path, number: int) -> None:
    model = small(build).model()
    model.graph.input[0].type.tensor_type.elem_type = number
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match=r"^input x holds \S+.* numbers"):
        muxflow.load(tmp_path / "net.onnx")


def changed(build: Any, save: Any, dtype: Any) -> Model:
    """The model with the factor in another type, as no valid file has it."""
    model = read(save(small(build)))
    assert isinstance(model, Model)
    (name,) = (node.inputs[1] for node in model.nodes if node.op_type == "Mul")
    return replace(model, constants={**model.constants, name: Constant(np.asarray(0.3, dtype))})


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_constants_of_other_types(build: Any, save: Any, dtype: Any) -> None:
    message = rf"^Mul_1 \(Mul\): constant \S+ holds {np.dtype(dtype).name} numbers"
    with pytest.raises(UnsupportedError, match=message):
        import_model(changed(build, save, dtype))
    first = next(status for status in check_model(changed(build, save, dtype)) if not status.supported)
    assert first.node == "Mul_1" and "numbers; supported are float32 ones" in first.message


def test_constants_that_are_cast_to_float32_are_float32(build: Any, save: Any) -> None:
    made = build((1, 2, 4, 4))
    made.quant("x", 0.25, bits=4.0)
    made.constants.append(onnx.numpy_helper.from_array(np.float64(0.5), "half"))
    factor = made.node("Cast", "half", to=TensorProto.FLOAT)
    made.node("Mul", "t0", factor)
    made.quant(scale=0.25, bits=4.0)
    assert muxflow.load(save(made)).nodes
