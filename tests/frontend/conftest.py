"""Shared by the importer's tests: models from Brevitas and from onnx.helper, and their proof against QONNX."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from muxflow.dataflow.graph.graph import Graph
from muxflow.frontend.floats import float_inputs
from muxflow.frontend.importer import products
from muxflow.frontend.model import Constant, ImportOptions, Model, ModelNode
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.registry import check, load
from muxflow.proof.compare import compare

QONNX_DOMAIN = "qonnx.custom_op.general"


class Builder:
    """A small QONNX model, node by node; names count up, `x` is the input."""

    def __init__(self, shape: tuple[int, ...], opset: int = 20, qonnx: int = 1) -> None:
        self.shape, self.opset, self.qonnx = shape, opset, qonnx
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.last = "x"

    def constant(self, value: Any, name: str = "") -> str:
        name = name or f"c{len(self.constants)}"
        array = np.asarray(value)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, op: str, *inputs: Any, domain: str = "", **attributes: Any) -> str:
        """Adds a node; inputs are names, or arrays that become constants; without inputs it reads the last output."""
        names = [i if isinstance(i, str) else self.constant(i) for i in inputs] or [self.last]
        self.last = f"t{len(self.nodes)}"
        name = f"{op}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, names, [self.last], name, domain=domain, **attributes))
        return self.last

    def then(self, op: str, *inputs: Any, **attributes: Any) -> str:
        """A node on the last output."""
        return self.node(op, self.last, *inputs, **attributes)

    def quant(
        self,
        x: Any = None,
        scale: Any = 1.0,
        zero: Any = 0.0,
        bits: Any = 8.0,
        signed: int = 0,
        narrow: int = 0,
        rounding: str = "ROUND",
    ) -> str:
        x = self.last if x is None else x
        constants = [np.asarray(value, np.float32) for value in (scale, zero, bits)]
        return self.node(
            "Quant", x, *constants, domain=QONNX_DOMAIN, signed=signed, narrow=narrow, rounding_mode=rounding
        )

    def weights(self, codes: Any, scale: Any = 1.0, bits: float = 8.0) -> str:
        last = self.last
        name = self.quant(np.asarray(codes, np.float32) * np.asarray(scale, np.float32), scale, bits=bits, signed=1)
        self.last = last
        return name

    def conv(self, codes: Any, *bias: Any, scale: Any = 1.0, x: str = "", **attributes: Any) -> str:
        weights = self.weights(codes, scale)
        return self.node("Conv", x or self.last, weights, *bias, **attributes)

    def model(self) -> onnx.ModelProto:
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "net",
            [value("x", TensorProto.FLOAT, self.shape)],
            [value(self.last, TensorProto.FLOAT, None)],
            self.constants,
        )
        domains = [("", self.opset), (QONNX_DOMAIN, self.qonnx), ("muxflow", 1)]
        return helper.make_model(graph, opset_imports=[helper.make_opsetid(*d) for d in domains], ir_version=10)


@pytest.fixture
def build() -> type[Builder]:
    """See `Builder`."""
    return Builder


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """`save(builder)`: its model as a file with inferred shapes."""

    def write(builder: Builder, name: str = "net.onnx") -> Path:
        from qonnx.core.modelwrapper import ModelWrapper
        from qonnx.transformation.infer_shapes import InferShapes

        model = builder.model()
        try:
            model = ModelWrapper(model).transform(InferShapes()).model
        except Exception:
            model = builder.model()
        path = tmp_path / name
        path.write_bytes(model.SerializeToString())
        return path

    return write


@pytest.fixture
def searched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The nodes for whose weights the importer has searched a grid since the test began."""
    names: list[str] = []
    search = products._recover

    def noted(values: Any, node: ModelNode) -> Any:
        names.append(node.name)
        return search(values, node)

    monkeypatch.setattr(products, "_recover", noted)
    return names


@pytest.fixture
def without_codes() -> Callable[[Model], Model]:
    """`without_codes(model)`: the same with constants that are nothing but floats."""
    return lambda model: replace(model, constants={name: Constant(one.value) for name, one in model.constants.items()})


def random_codes(graph: Graph, count: int = 4, seed: int = 0) -> Any:
    stream = graph.streams[graph.inputs[0]]
    codes = np.random.default_rng(seed).integers(stream.lo, stream.hi + 1, (count, *stream.shape))
    codes[0], codes[-1] = stream.lo, stream.hi
    return codes


@pytest.fixture
def prove(save: Callable[..., Path]) -> Callable[..., Graph]:
    """`prove(model)`: imports a Builder or a file, compares all codes with QONNX on random images, returns the graph."""

    def run(model: Builder | Path, count: int = 4, tensors: int | None = None, **options: Any) -> Graph:
        path = save(model) if isinstance(model, Builder) else model
        given = ImportOptions(**options)
        graph = load(path, given)
        (outcome,) = compare(graph, [QonnxExecution(path, graph)], random_codes(graph, count)).outcomes
        assert set(outcome.streams) == {*graph.tensors, *graph.outputs}
        if tensors is not None:
            # One stream is both where a quantizer or a join is the last.
            assert len(graph.tensors) + len(graph.outputs) == tensors
        assert all(status.supported for status in check(path, given))
        return graph

    return run


@pytest.fixture
def brevitas(tmp_path: Path) -> Callable[..., Path]:
    """`brevitas(model, shape)`: a torch model as QONNX, by our export or (`stock`) as a stranger would write it."""
    import torch

    torch.set_num_threads(1)

    def write(model: Any, shape: tuple[int, ...], stock: bool = False) -> Path:
        from muxflow.frontend.brevitas.export import export

        model.eval()
        path = tmp_path / "brevitas.onnx"
        if not stock:
            return export(model, path, shape)
        import warnings

        from brevitas.export import export_qonnx
        from qonnx.util.cleanup import cleanup

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            export_qonnx(model, args=torch.zeros(shape), export_path=str(path), dynamo=False)
        cleanup(str(path), out_file=str(path))
        return path

    return write


@pytest.fixture
def against_torch() -> Callable[..., None]:
    """`against_torch(model, graph)`: the graph read out by the host equals the torch model on random images."""
    import torch

    def run(model: Any, graph: Graph, count: int = 8) -> None:
        codes = random_codes(graph, count, 1)
        images = (torch.from_numpy(values) for values in float_inputs(graph, codes))
        with torch.no_grad():
            expected = model(*images)
        expected = getattr(expected, "value", expected).numpy()
        assert graph.readouts
        np.testing.assert_allclose(graph.read_out(graph(codes)), expected, rtol=1e-4, atol=1e-5)

    return run
