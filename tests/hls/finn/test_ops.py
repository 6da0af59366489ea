"""Our nodes inside FINN: what FINN asks of each, its Python execution and FINN's C++ simulation of it.

Every case: an independent slow reference written here = FINN's Python execution = (those in SIMULATED) the C++ that
FINN generates, compiled by FINN's CompileCppSim.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from muxflow.dataflow.errors import GraphError, MuxflowError, UnsupportedError
from muxflow.dataflow.graph.codec import to_json
from muxflow.dataflow.ops.lstm_cell import LstmCell

# FINN leaves the files that it generates to the garbage collector.
pytestmark = [
    pytest.mark.usefixtures("finn"),
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"),
]

Codes = npt.NDArray[np.int64]
PART = "xc7z020clg400-1"


@dataclass(frozen=True)
class Case:
    """A node with its input tensors and what a slow reference makes of them."""

    kind: str
    attributes: dict[str, Any]
    reference: Callable[..., Codes]
    inputs: tuple[tuple[str, tuple[int, ...]], ...]
    output: tuple[str, tuple[int, ...]]
    given: dict[int, Codes] = field(default_factory=dict)


def convolution(x: Codes, weights: Codes, kernel: int, stride: int, pad: int, groups: int) -> Codes:
    """Grouped convolution, one sum at a time; weights (out, row x column x channel of the group)."""
    _, height, width, channels = x.shape
    rows, group = len(weights), channels // groups
    out = [(size + 2 * pad - kernel) // stride + 1 for size in (height, width)]
    y = np.zeros((1, *out, rows), np.int64)
    for r, c, row in itertools.product(range(out[0]), range(out[1]), range(rows)):
        first = row // (rows // groups) * group
        for i, j, channel in itertools.product(range(kernel), range(kernel), range(group)):
            a, b = r * stride + i - pad, c * stride + j - pad
            if 0 <= a < height and 0 <= b < width:
                y[0, r, c, row] += weights[row, (i * kernel + j) * group + channel] * x[0, a, b, first + channel]
    return y


def mux(x: Codes, f: Codes, chosen: Callable[[int, int, int], bool]) -> Codes:
    """y = S ? (x + f) >> 1 : f on the channels that meet, f beyond."""
    y = f.copy()
    for h, w, c in itertools.product(*map(range, (*x.shape[1:3], min(x.shape[3], f.shape[3])))):
        if chosen(h, w, c):
            y[0, h, w, c] = (int(x[0, h, w, c]) + int(f[0, h, w, c])) // 2
    return y


def automaton_matrix(rows: int, columns: int, ring: list[int], rule: int, cells: int) -> Codes:
    """Row after row of an elementary automaton from the ring of row 0; (columns, rows) as FINN wants it."""
    found = np.zeros((columns, rows), np.int64)
    for row in range(rows):
        for column in range(columns):
            here = ring[column * cells : column * cells + cells]
            found[column, row] = 2 * here[0] - 1 if cells == 1 else here[0] - here[1]
        size = len(ring)
        ring = [(rule >> (4 * ring[i - 1] + 2 * ring[i] + ring[(i + 1) % size])) & 1 for i in range(size)]
    return found


def product(x: Codes, weights: Codes) -> Codes:
    """Every pixel's vector with every column of the weights, one sum at a time."""
    y = np.zeros((*x.shape[:3], weights.shape[1]), np.int64)
    for h, w, row, column in itertools.product(*map(range, (*x.shape[1:3], weights.shape[1], weights.shape[0]))):
        y[0, h, w, row] += x[0, h, w, column] * weights[column, row]
    return y


def grouped(
    seed: int, shape: tuple[int, int, int], rows: int, groups: int, kernel: int, stride: int, pad: int, **fold: int
) -> Case:
    height, width, channels = shape
    weights = np.random.default_rng(seed).integers(-1, 2, (rows, channels // groups * kernel * kernel))
    weights[0, 0], weights[-1, -1] = -1, 1
    out = [(size + 2 * pad - kernel) // stride + 1 for size in (height, width)]
    highest = 7 * int(np.maximum(weights, 0).sum(axis=1).max())
    lowest = 7 * int(np.minimum(weights, 0).sum(axis=1).min())
    bits = next(bits for bits in range(2, 16) if -(2 ** (bits - 1)) <= lowest and highest < 2 ** (bits - 1))
    attributes = {
        "Weights": weights,
        "Groups": groups,
        "ConvKernelDim": [kernel, kernel],
        "Stride": [stride, stride],
        "Padding": [pad] * 4,
        "numInputVectors": [1, height, width],
        "NumChannels": [channels],
        "inputDataTypes": ["UINT3"],
        **fold,
    }
    return Case(
        "GroupedConvolution",
        attributes,
        lambda x: convolution(x, weights, kernel, stride, pad, groups),
        (("UINT3", (1, *shape)),),
        (f"INT{bits}", (1, *out, rows)),
    )


def join(kind: str, x_channels: int, f_channels: int, pe: int, **more: Any) -> dict[str, Any]:
    return {
        "PE": pe,
        "numInputVectors": [1, 3, 2],
        "NumChannels": [x_channels, f_channels],
        "inputDataTypes": ["UINT3", "UINT3"],
        **more,
    }


def automaton(rows: int, columns: int, alphabet: str, pe: int, simd: int, seed: int) -> Case:
    from muxflow.dataflow.automaton import Automaton

    cells = 2 if alphabet == "ternary" else 1
    ring = 31 if cells * columns <= 31 else cells * columns
    start = [int(cell) for cell in Automaton(ring, 30, seed, 5, alphabet).first_row()]  # type: ignore[arg-type]
    matrix = {"MW": columns, "MH": rows, "PE": pe, "SIMD": simd, "numInputVectors": [1, 2, 2]}
    return Case(
        "AutomatonWeights",
        {**matrix, "ring": ring, "rule": 30, "seed": seed, "burn_in": 5, "alphabet": alphabet},
        lambda: automaton_matrix(rows, columns, start, 30, cells),
        (),
        ("BIPOLAR" if cells == 1 else "TERNARY", (columns, rows)),
    )


def recurrent(x: Codes) -> Codes:
    """The outputs of `CELL`, unit by unit, of the sums (steps, 4 units) of its input."""
    c, h, sent = [0] * 3, [0] * 3, []
    for given in x.tolist():
        sums = [
            one + sum(w * o for w, o in zip(row, h, strict=True)) for one, row in zip(given, RECURRENT, strict=True)
        ]
        codes = [CELL.bases[r % 4] + sum(t <= sums[r] for t in row) for r, row in enumerate(CELL.thresholds.tolist())]
        for unit in range(3):
            i, f, g, _ = codes[4 * unit : 4 * unit + 4]
            c[unit] = max(-7, min(7, (f * c[unit] + 4 * i * g) // 4))
        h = [int(codes[4 * unit + 3] * c[unit] >= CELL.outputs[unit, 0]) for unit in range(3)]
        sent.append(h)
    return np.array(sent)


SIMULATED = {
    "any-op-with-weights",
    "grouped-3x3",
    "grouped-parallel",
    "mux-element",
    "mux-stream",
    "or",
    "select-max",
    "shift",
    "automaton-binary",
    "automaton-ternary",
    "streamed-product",
    "any-op",
}
"""Cases that are compiled as well: every kind of node, and every way in which beats are laid out (some seconds each)."""
THRESHOLDS = np.array([2, 0, 7, 5])
BITS = np.array([0, 1, 1, 0])
GENERATOR = np.random.default_rng(36)
GATES, RECURRENT = np.sort(GENERATOR.integers(-9, 10, (12, 3)), axis=1), GENERATOR.integers(-2, 3, (12, 3)).tolist()
CELL = LstmCell(GATES, (0, 0, -1, 0), (1, 4), 2, (-7, 7), [[0], [1], [2]])
CASES = {
    "grouped-3x3": grouped(0, (4, 5, 6), 8, 2, 3, 1, 1, PE=2, SIMD=3),
    "grouped-parallel": grouped(1, (4, 4, 6), 6, 3, 3, 1, 1, PE=2, SIMD=2, ParallelGroups=3),
    "grouped-stride": grouped(2, (5, 6, 4), 4, 2, 3, 2, 0, PE=1, SIMD=1),
    "grouped-1x1": grouped(3, (3, 3, 6), 9, 3, 1, 1, 0, PE=3, SIMD=2),
    "depthwise": grouped(4, (4, 4, 3), 3, 3, 3, 1, 1, PE=1, SIMD=1, ParallelGroups=3),
    "one-pixel": grouped(5, (1, 1, 4), 4, 2, 1, 1, 0, PE=1, SIMD=2),
    "mux-always": Case(
        "MuxJoin",
        join("MuxJoin", 4, 4, 2, select="always"),
        lambda x, f: mux(x, f, lambda h, w, c: True),
        (("UINT3", (1, 3, 2, 4)), ("UINT3", (1, 3, 2, 4))),
        ("UINT3", (1, 3, 2, 4)),
    ),
    "mux-element": Case(
        "MuxJoin",
        join("MuxJoin", 4, 6, 1, select="element", thresholds=THRESHOLDS),
        lambda x, f: mux(x, f, lambda h, w, c: bool(x[0, h, w, c] >= THRESHOLDS[c])),
        (("UINT3", (1, 3, 2, 4)), ("UINT3", (1, 3, 2, 6))),
        ("UINT3", (1, 3, 2, 6)),
    ),
    "mux-stream": Case(
        "MuxJoin",
        join("MuxJoin", 4, 4, 2, select="stream")
        | {"NumChannels": [4, 4, 4], "inputDataTypes": ["UINT3", "UINT3", "BINARY"]},
        lambda x, f, s: mux(x, f, lambda h, w, c: bool(s[0, 0, 0, c])),
        (("UINT3", (1, 3, 2, 4)), ("UINT3", (1, 3, 2, 4)), ("BINARY", (1, 1, 1, 4))),
        ("UINT3", (1, 3, 2, 4)),
        {2: BITS.reshape(1, 1, 1, 4)},
    ),
    "or": Case(
        "OrJoin",
        join("OrJoin", 3, 5, 1),
        lambda x, f: np.concatenate([x | f[..., :3], f[..., 3:]], axis=-1),
        (("UINT3", (1, 3, 2, 3)), ("UINT3", (1, 3, 2, 5))),
        ("UINT3", (1, 3, 2, 5)),
    ),
    "select-max": Case(
        "ChannelSelect",
        {**join("", 4, 4, 2), "NumChannels": [4], "inputDataTypes": ["UINT3"], "statistic": "max", "thresholds": THRESHOLDS},
        lambda x: (x.max(axis=(1, 2), keepdims=True) >= THRESHOLDS).astype(np.int64),
        (("UINT3", (1, 3, 2, 4)),),
        ("BINARY", (1, 1, 1, 4)),
    ),
    "select-sum": Case(
        "ChannelSelect",
        {**join("", 4, 4, 1), "NumChannels": [4], "inputDataTypes": ["UINT3"], "statistic": "sum", "thresholds": 5 * THRESHOLDS},
        lambda x: (x.sum(axis=(1, 2), keepdims=True) >= 5 * THRESHOLDS).astype(np.int64),
        (("UINT3", (1, 3, 2, 4)),),
        ("BINARY", (1, 1, 1, 4)),
    ),
    "shift": Case(
        "ShiftClip",
        {
            **join("", 4, 4, 2),
            "NumChannels": [4],
            "inputDataTypes": ["INT7"],
            "bias": np.array([3, -9, 0, 40]),
            "shift": 2,
            "lowest": -4,
            "highest": 3,
        },
        lambda x: np.minimum(np.maximum((x + np.array([3, -9, 0, 40])) // 4, -4), 3),
        (("INT7", (1, 3, 2, 4)),),
        ("INT3", (1, 3, 2, 4)),
    ),
    "shift-even": Case(
        "ShiftClip",
        {
            **join("", 4, 4, 2),
            "NumChannels": [4],
            "inputDataTypes": ["INT7"],
            "bias": np.full(4, 4),
            "shift": 3,
            "lowest": -4,
            "highest": 3,
            "even": 1,
        },
        lambda x: np.clip(np.rint(x / 8), -4, 3).astype(np.int64),
        (("INT7", (1, 3, 2, 4)),),
        ("INT3", (1, 3, 2, 4)),
    ),
    "automaton-binary": automaton(6, 10, "binary", 3, 5, 7),
    "automaton-ternary": automaton(4, 9, "ternary", 2, 3, 1),
    "automaton-whole": automaton(4, 4, "binary", 4, 4, 3),
    "streamed-product": Case(
        "StreamedMVAU",
        {
            "MW": 6,
            "MH": 4,
            "PE": 2,
            "SIMD": 3,
            "numInputVectors": [1, 2, 2],
            "NumChannels": [6],
            "inputDataTypes": ["BINARY"],
            "weightDataType": "BIPOLAR",
            "outputDataType": "INT4",
        },
        lambda x, w: product(x, w),
        (("BINARY", (1, 2, 2, 6)), ("BIPOLAR", (6, 4))),
        ("INT4", (1, 2, 2, 4)),
    ),
    "any-op": Case(
        "MuxflowOp",
        {
            "PE": 2,
            "numInputVectors": [1, 3, 2],
            "NumChannels": [4, 2],
            "inputDataTypes": ["INT4", "UINT2"],
            "shapes": ["3x2x4", "3x2x2"],
            "op": "Concat",
            "attributes": "{}",
        },
        lambda a, b: np.concatenate([a, b], axis=-1),
        (("INT4", (1, 3, 2, 4)), ("UINT2", (1, 3, 2, 2))),
        ("INT4", (1, 3, 2, 6)),
    ),
    "any-op-with-weights": Case(
        "MuxflowOp",
        {
            "PE": 4,
            "SIMD": 3,
            "numInputVectors": [1, 5],
            "NumChannels": [12],
            "inputDataTypes": ["INT4"],
            "shapes": ["5x12"],
            "op": "LstmCell",
            "attributes": json.dumps(to_json(CELL)),
            "Weights": np.array(RECURRENT),
        },
        lambda x: recurrent(x[0])[None],
        (("INT4", (1, 5, 12)),),
        ("BINARY", (1, 5, 3)),
    ),
}  # fmt: skip


def model_of(case: Case) -> Any:
    from onnx import TensorProto, helper, numpy_helper
    from qonnx.core.datatype import DataType
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.util.basic import qonnx_make_model

    names = [f"x{i}" for i in range(len(case.inputs))]
    attributes = {
        key: numpy_helper.from_array(value) if isinstance(value, np.ndarray) else value
        for key, value in case.attributes.items()
    }
    domain = "finn.custom_op.fpgadataflow"
    node = helper.make_node(case.kind, names, ["y"], name="node", domain=domain, backend="fpgadataflow", **attributes)
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
        for name, (_, shape) in zip(names, case.inputs, strict=True)
    ]
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, list(case.output[1]))
    model = ModelWrapper(qonnx_make_model(helper.make_graph([node], case.kind, infos, [y])))
    for name, (kind, _) in zip(names, case.inputs, strict=True):
        model.set_tensor_datatype(name, DataType[kind])
    return model


def random_inputs(case: Case, seed: int) -> list[Codes]:
    from muxflow.dataflow.graph.stream import random_codes
    from muxflow.hls.finn.streams import stream

    generator = np.random.default_rng(seed)
    return [
        case.given.get(i, random_codes(stream(shape[1:] or (1,), kind), shape[0], generator).reshape(shape))
        for i, (kind, shape) in enumerate(case.inputs)
    ]


def execute(model: Any, inputs: list[Codes]) -> Codes:
    from qonnx.core.onnx_exec import execute_onnx

    found = execute_onnx(model, {f"x{i}": values.astype(np.float32) for i, values in enumerate(inputs)})["y"]
    codes = found.astype(np.int64)
    assert np.array_equal(codes, found)
    return np.asarray(codes)


@pytest.mark.parametrize("name", CASES)
def test_node_is_what_finn_asks_for_and_computes_the_reference(name: str) -> None:
    from finn.transformation.fpgadataflow.compile_cppsim import CompileCppSim
    from finn.transformation.fpgadataflow.prepare_cppsim import PrepareCppSim
    from finn.transformation.fpgadataflow.prepare_ip import PrepareIP
    from finn.transformation.fpgadataflow.set_exec_mode import SetExecMode
    from finn.transformation.fpgadataflow.specialize_layers import SpecializeLayers
    from qonnx.custom_op.registry import getCustomOp
    from qonnx.transformation.infer_datatypes import InferDataTypes
    from qonnx.transformation.infer_shapes import InferShapes

    case = CASES[name]
    model = model_of(case).transform(InferShapes()).transform(InferDataTypes())
    assert (model.get_tensor_datatype("y").name, tuple(model.get_tensor_shape("y"))) == case.output
    batches = [random_inputs(case, seed) for seed in range(8)]
    for inputs in batches:
        assert np.array_equal(execute(model, inputs), case.reference(*inputs))

    model = model.transform(SpecializeLayers(PART))
    node = getCustomOp(model.graph.node[0])
    assert node.onnx_node.op_type == f"{case.kind}_hls"
    for index in range(len(case.inputs)):
        folded, bits = node.get_folded_input_shape(index), node.get_input_datatype(index).bitwidth()
        assert node.get_instream_width(index) == folded[-1] * bits
    folded = node.get_folded_output_shape()
    assert node.get_outstream_width() == folded[-1] * node.get_output_datatype().bitwidth()
    beats = [folded, *(node.get_folded_input_shape(index) for index in range(len(case.inputs)))]
    assert node.get_exp_cycles() >= max(int(np.prod(shape[:-1])) for shape in beats)
    estimate = node.node_res_estimation(PART)
    assert estimate["LUT"] > 0 and set(estimate) >= {"BRAM_18K", "URAM", "DSP"}

    model = model.transform(PrepareIP(PART, 10.0))
    folder = getCustomOp(model.graph.node[0]).get_nodeattr("code_gen_dir_ipgen")
    top = Path(folder, f"top_{model.graph.node[0].name}.cpp").read_text()
    ports = [f"in{i}_V" for i in range(len(case.inputs))] + ["out0_V"]
    assert all(f"axis port={port}" in top for port in ports)

    if name not in SIMULATED:
        return
    model = model.transform(PrepareCppSim()).transform(CompileCppSim()).transform(SetExecMode("cppsim"))
    for inputs in batches[:2]:
        assert np.array_equal(execute(model, inputs), case.reference(*inputs))


def test_a_generated_matrix_feeds_finns_own_unit() -> None:
    """AutomatonWeights --> MVAU(external): shapes meet, and FINN's execution multiplies with the matrix."""
    from qonnx.core.datatype import DataType
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.custom_op.registry import getCustomOp

    from muxflow.hls.finn.model import ModelBuilder

    case = CASES["automaton-binary"]
    builder = ModelBuilder("pair")
    builder.tensor("x", (1, 2, 2, 10), "UINT3")
    builder.add("AutomatonWeights", "source", [], ["w"], case.attributes)
    matrix = {key: case.attributes[key] for key in ("MW", "MH", "PE", "SIMD", "numInputVectors")}
    types = {"inputDataType": "UINT3", "weightDataType": "BIPOLAR", "outputDataType": "INT8", "accDataType": "INT8"}
    unit = {**matrix, **types, "noActivation": 1, "mem_mode": "external"}
    builder.add("MVAU", "unit", ["x", "w"], ["y"], unit, ((2, 2), (2,)))
    model = builder.model("x", "y")
    source, sink = (getCustomOp(node) for node in model.graph.node)
    assert source.get_folded_output_shape() == sink.get_folded_input_shape(1)
    assert source.get_outstream_width() == sink.get_instream_width(1)
    assert model.get_tensor_datatype("w") == DataType["BIPOLAR"]
    x = np.random.default_rng(0).integers(0, 8, (1, 2, 2, 10))
    found = execute_onnx(model, {"x": x.astype(np.float32)})["y"]
    assert np.array_equal(found, x @ case.reference())


def test_generated_weights_come_in_the_order_of_finns_weight_files() -> None:
    """The beats are those that FINN itself writes for an MVAU with the same matrix."""
    from qonnx.custom_op.registry import getCustomOp

    from muxflow.hls.finn.model import ModelBuilder

    case = CASES["automaton-binary"]
    weights = case.reference()
    builder = ModelBuilder("pair")
    builder.tensor("x", (1, 2, 2, 10), "UINT3")
    builder.constant("w", weights, "BIPOLAR")
    matrix = {key: case.attributes[key] for key in ("MW", "MH", "PE", "SIMD", "numInputVectors")}
    types = {"inputDataType": "UINT3", "weightDataType": "BIPOLAR", "outputDataType": "INT8", "accDataType": "INT8"}
    builder.add("MVAU", "unit", ["x", "w"], ["y"], {**matrix, **types, "noActivation": 1, "mem_mode": "external"})
    (node,) = builder.nodes
    finns = getCustomOp(node).get_hw_compatible_weight_tensor(weights.astype(np.float32))
    # (1, PE, beats, SIMD) with SIMD reversed --> (beats, PE * SIMD) and -1, +1.
    written = np.flip(finns, axis=-1).transpose(0, 2, 1, 3).reshape(-1, case.attributes["PE"] * case.attributes["SIMD"])
    model = model_of(case)
    ours = getCustomOp(model.graph.node[0]).tiles(weights)[0]
    assert np.array_equal(ours, 2 * written - 1)


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("grouped-3x3", {"PE": 3}, "node .GroupedConvolution.: .*does not divide"),
        ("mux-always", {"PE": 3}, "node .MuxJoin.: .*does not divide"),
        ("automaton-binary", {"SIMD": 4}, "node .AutomatonWeights.: the fold 'PE 3 SIMD 4' does not divide a matrix"),
        ("mux-element", {"thresholds": np.array([1])}, "1 thresholds for 4 channels"),
        ("or", {"NumChannels": [3]}, "1 channel counts and 2 data types"),
        ("grouped-3x3", {"Groups": 4}, "4 groups do not divide 6 channels"),
    ],
)
def test_attributes_that_do_not_fit_are_refused_by_the_nodes_name(
    name: str, change: dict[str, Any], message: str
) -> None:
    from qonnx.custom_op.registry import getCustomOp

    case = CASES[name]
    bad = Case(case.kind, {**case.attributes, **change}, case.reference, case.inputs, case.output)
    with pytest.raises(GraphError, match=message):
        getCustomOp(model_of(bad).graph.node[0]).get_folded_output_shape()


def test_a_float_input_is_refused() -> None:
    from qonnx.custom_op.registry import getCustomOp

    case = CASES["or"]
    bad = Case(
        case.kind, {**case.attributes, "inputDataTypes": ["FLOAT32", "UINT3"]}, case.reference, case.inputs, case.output
    )
    with pytest.raises(UnsupportedError, match="data type FLOAT32; supported: integers"):
        getCustomOp(model_of(bad).graph.node[0]).get_normal_output_shape()


def test_values_outside_their_type_are_refused_in_execution() -> None:
    case = CASES["or"]
    x, f = random_inputs(case, 0)
    x[0, 0, 0, 0] = 8
    with pytest.warns(UserWarning, match="x0"), pytest.raises(MuxflowError, match="input x0 is not of type UINT3"):
        execute(model_of(case), [x, f])
