"""C simulation of MOGNET n=64 g=4 on 32x32x3 (random weights): Muxflow's own, Muxflow's layers in hls4ml, hls4ml alone.

    make benchmark-hls4ml     or    .venv/bin/python benchmarks/hls4ml_csim.py [--images N]

hls4ml alone has no grouped convolutions, no generated weights and no MUX joins, so it gets the nearest network that it
has layers for: every group as a block of a dense convolution (zeros between), stored weights in place of generated ones,
an addition with a quantizer in place of a MUX join (nothing where the widths differ), no average pool at the end.
Prints one table; ratios are against hls4ml alone in the same run, one process on one core.
"""

from __future__ import annotations

import io
import tempfile
import time
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import hls4ml
import numpy as np
import numpy.typing as npt
import onnx
import torch
import typer
from onnx import helper, numpy_helper
from qonnx.core.modelwrapper import ModelWrapper
from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
from qonnx.util.basic import get_by_name
from qonnx.util.cleanup import cleanup_model
from rich.console import Console
from rich.table import Table

import muxflow
from muxflow import prepare_for_hls4ml
from muxflow.dataflow.automaton import Automaton
from muxflow.dataflow.graph.graph import Graph
from muxflow.frontend.brevitas.export import to_qonnx
from muxflow.frontend.training import zoo
from muxflow.hls.vitis.csim import compile_csim, run_csim

SHAPE = (3, 32, 32)
QONNX = "qonnx.custom_op.general"


@dataclass(frozen=True)
class Row:
    """One simulation: seconds to compile, images a second, the project's source files and their bytes."""

    name: str
    compile_seconds: float
    rate: float
    files: int
    size: int


class Plain:
    """A MOGNET's QONNX file with what hls4ml has no layer for replaced by what is nearest."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.graph = model.graph
        self.values = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.shapes = {
            info.name: [d.dim_value for d in info.type.tensor_type.shape.dim] for info in model.graph.value_info
        }
        self.quantizers = {node.output[0]: node for node in model.graph.node if node.op_type == "Quant"}
        self.factors: dict[str, tuple[str, str]] = {}
        nodes: list[onnx.NodeProto] = []
        for node in model.graph.node:
            nodes += getattr(self, f"_{node.op_type}", lambda kept: [kept])(node)
        last = next(node for node in nodes if node.op_type == "GlobalAveragePool")
        end = last.input[0]
        nodes = nodes[: nodes.index(last)]
        output = helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, self.shapes[end])
        tensors = [numpy_helper.from_array(value.astype(np.float32), name) for name, value in self.values.items()]
        used = {name for node in nodes for name in node.input}
        kept = [tensor for tensor in tensors if tensor.name in used]
        graph = helper.make_graph(nodes, "plain", list(model.graph.input), [output], kept)
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(QONNX, 1)]
        self.model = ModelWrapper(helper.make_model(graph, opset_imports=opsets))

    def _add(self, name: str, value: npt.ArrayLike) -> str:
        self.values[name] = np.asarray(value, np.float32)
        return name

    def _Conv(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        group = get_by_name(node.attribute, "group")
        if group is None or group.i == 1:
            return [node]
        source = self.quantizers[node.input[1]].input[0]
        weights = self.values[source]
        rows, columns = len(weights) // group.i, weights.shape[1]
        dense = np.zeros((len(weights), columns * group.i, *weights.shape[2:]), np.float32)
        for index in range(group.i):
            part = slice(index * rows, (index + 1) * rows)
            dense[part, index * columns : (index + 1) * columns] = weights[part]
        self.values[source] = dense
        group.i = 1
        return [node]

    def _Mul(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        self.factors[node.output[0]] = (node.input[0], node.input[1])
        return []

    def _Add(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        """Write a factor and an offset a channel as a batch norm."""
        source, factor = self.factors[node.input[0]]
        name = node.output[0]
        channels = self.values[factor].size
        given = (
            self.values[factor].reshape(-1),
            self.values[node.input[1]].reshape(-1),
            np.zeros(channels),
            np.ones(channels),
        )
        inputs = [self._add(f"{name}_{part}", values) for part, values in zip("sbmv", given, strict=True)]
        return [helper.make_node("BatchNormalization", [source, *inputs], [name], f"{name}_norm", epsilon=0.0)]

    def _AutomatonWeights(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        given: dict[str, Any] = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
        recipe = Automaton(given["ring"], given["rule"], given["seed"], given["burn_in"], given["alphabet"].decode())
        values = recipe.weights(given["rows"], given["columns"])[:, :, None, None] * given["scale"]
        name = node.output[0]
        inputs = [
            self._add(f"{name}_{part}", v) for part, v in (("w", values), ("s", given["scale"]), ("z", 0), ("b", 2))
        ]
        options = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
        return [helper.make_node("Quant", inputs, [name], f"{name}_quant", domain=QONNX, **options)]

    def _MuxJoin(self, node: onnx.NodeProto) -> list[onnx.NodeProto]:
        x, f, name = node.input[0], node.input[1], node.output[0]
        if self.shapes[x] != self.shapes[f]:
            return [helper.make_node("Identity", [f], [name], f"{name}_pass")]
        parts = (("s", 0.125), ("z", 0), ("b", 3))
        inputs = [f"{name}_sum", *(self._add(f"{name}_{part}", value) for part, value in parts)]
        options = {"signed": 0, "narrow": 0, "rounding_mode": "ROUND"}
        return [
            helper.make_node("Add", [x, f], [f"{name}_sum"], f"{name}_add"),
            helper.make_node("Quant", inputs, [name], f"{name}_quant", domain=QONNX, **options),
        ]


def channels_last(model: ModelWrapper) -> ModelWrapper:
    """Convert to channels last, as hls4ml's users do by hand."""
    return cleanup_model(cleanup_model(model).transform(ConvertToChannelsLastAndClean(make_input_channels_last=True)))


def source_size(folder: Path) -> tuple[int, int]:
    """Count the files of a project and their bytes, the vendor's type headers aside."""
    files = [
        file for file in folder.rglob("*") if file.is_file() and "ap_types" not in file.parts and file.suffix != ".so"
    ]
    return len(files), sum(file.stat().st_size for file in files)


def through_hls4ml(
    name: str, model: ModelWrapper, folder: Path, images: npt.NDArray[np.float64], reuse: int
) -> tuple[Row, npt.NDArray[np.float64]]:
    """Convert, compile and predict as hls4ml's users do."""
    options = {"backend": "Vitis"}
    with redirect_stdout(io.StringIO()):
        config = hls4ml.utils.config_from_onnx_model(model, granularity="name", default_reuse_factor=reuse, **options)
        converted = hls4ml.converters.convert_from_onnx_model(
            model, hls_config=config, io_type="io_stream", output_dir=str(folder), **options
        )
        converted.write()
        files, size = source_size(folder)
        started = time.perf_counter()
        converted.compile()
        compiled = time.perf_counter()
        outputs = converted.predict(np.ascontiguousarray(images))
        rate = len(images) / (time.perf_counter() - compiled)
    return Row(name, compiled - started, rate, files, size), outputs


def native(graph: Graph, folder: Path, codes: npt.NDArray[np.int64], fps: float | None) -> tuple[Row, Any]:
    """Run Muxflow's own project and native C simulation."""
    project = muxflow.write(muxflow.fit(graph, "pynq-z2", fps=fps), folder)
    files, size = source_size(project.path)
    _, seconds = compile_csim(project.hls, "native")
    result = run_csim(project.hls, codes, "native")
    return Row("Muxflow, native csim", seconds, result.images_per_second, files, size), result.outputs


def main(
    images: Annotated[int, typer.Option(min=1, help="Images for Muxflow's own simulation.")] = 256,
    few: Annotated[int, typer.Option(min=1, help="Images for the simulations through hls4ml.")] = 4,
    reuse: Annotated[int, typer.Option(min=1, help="hls4ml's ReuseFactor, for both.")] = 64,
    fps: Annotated[float | None, typer.Option(help="Frames a second to fit for; as fast as fits when absent.")] = None,
) -> None:
    """Run the benchmark."""
    torch.set_num_threads(1)
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 256, (images, SHAPE[1], SHAPE[2], SHAPE[0]))
    pixels = codes[:few] / 256
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        network = zoo.randomise(zoo.build("mognet_cifar10", n=64, g=4), seed=0)
        qonnx = to_qonnx(network, (1, *SHAPE))
        onnx.save(qonnx, folder / "mognet.onnx")
        graph = muxflow.load(folder / "mognet.onnx")
        expected = graph(codes[: max(few, 8)])
        ours, outputs = native(graph, folder / "native", codes, fps)
        if not np.array_equal(outputs[: len(expected)], expected):
            raise SystemExit("the native simulation differs from the graph")
        mixed, logits = through_hls4ml(
            "Muxflow's layers in hls4ml", prepare_for_hls4ml(graph), folder / "mixed", pixels, reuse
        )
        assert graph.readouts
        if not np.array_equal(logits.reshape(few, -1), graph.read_out(expected[:few])):
            raise SystemExit("the simulation through hls4ml differs from the graph")
        whole, logits_whole = through_hls4ml(
            "Muxflow's layers only, in hls4ml",
            prepare_for_hls4ml(graph, standard_layers=False),
            folder / "whole",
            pixels,
            reuse,
        )
        if not np.array_equal(logits_whole, logits):
            raise SystemExit("without standard layers the simulation through hls4ml differs")
        alone, _ = through_hls4ml(
            "hls4ml alone, nearest network", channels_last(Plain(qonnx).model), folder / "alone", pixels, reuse
        )
    table = Table(title="C simulation of MOGNET n=64 g=4, 32x32x3, random weights", title_justify="left")
    for column in ("simulation", "compile, s", "images/s", "against hls4ml", "source files", "source bytes"):
        table.add_column(column, justify="left" if column == "simulation" else "right")
    for row in (ours, whole, mixed, alone):
        ratio = f"{row.rate / alone.rate:.2g}x"
        table.add_row(row.name, f"{row.compile_seconds:.1f}", f"{row.rate:.3g}", ratio, str(row.files), f"{row.size:,}")
    console = Console(width=120)
    console.print(table)
    console.print(
        f"g++, one process on one core; {images} images for the first row, {few} for the others, ReuseFactor {reuse}"
    )


if __name__ == "__main__":
    typer.run(main)
