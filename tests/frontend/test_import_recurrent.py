"""Recurrent layers: the operator by hand, its import, what is refused."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import muxflow
from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.dataflow.ops.lstm_cell import LstmCell
from muxflow.frontend.qonnx.execution import QonnxExecution
from muxflow.frontend.qonnx.recurrent import DOMAIN, lstm_cell
from muxflow.frontend.recurrent import CellArithmetic
from muxflow.frontend.registry import load
from muxflow.proof.compare import compare

ATTRIBUTES = {
    "gate_bits": 3,
    "cell_bits": 6,
    "fraction_bits": 1,
    "scale": 1.0,
    "weight_scale": 0.25,
    "last": 0,
}

BITS = {"io": 4, "cell_state": 5, "sigmoid": 4, "tanh": 4, "weight": 3, "gate_acc": 6}
"""Of the quantizers of Brevitas' QuantLSTM; 8 each where they are left out."""


def constants(rng, features, units):
    return {
        "W": rng.integers(-1, 2, (4 * units, features)) * 0.25,
        "U": (2 * rng.integers(0, 2, (4 * units, units)) - 1) * 0.25,
        "b": rng.normal(1, 1, 4 * units),
        "theta": rng.integers(1, 8, units),
    }


def write(path, given, steps, features, *, classes=0, pooled=None, **changed):
    """A file of a 1-bit quantizer, the layer, and a classifier of each step; `pooled`: size of maps before them."""
    attributes = ATTRIBUTES | changed
    units = given["theta"].size
    shape = [1, features, steps, *pooled] if pooled else [1, steps, features]
    nodes = [helper.make_node("Quant", ["x", "one", "zero", "bits"], ["q"], "quantize", "", "qonnx.custom_op.general")]
    nodes[0].attribute.extend(
        helper.make_attribute(*one) for one in (("signed", 0), ("narrow", 0), ("rounding_mode", "ROUND"))
    )
    stored = {"one": 1.0, "zero": 0.0, "bits": 1.0, **given}
    sequence = "q"
    if pooled:
        stored["axes"] = np.array([3, 4])
        nodes.append(helper.make_node("ReduceMax", ["q", "axes"], ["seen"], "pool", keepdims=0))
        nodes.append(helper.make_node("Transpose", ["seen"], ["sequence"], "turn", perm=(0, 2, 1)))
        sequence = "sequence"
    nodes.append(
        helper.make_node("LstmCell", [sequence, *given], ["h"], "lstm", domain=DOMAIN, **attributes),
    )
    output, channels = "h", units
    if classes:
        stored["classifier"] = np.random.default_rng(classes).integers(-1, 2, (units, classes)).astype(float)
        nodes.append(helper.make_node("MatMul", ["h", "classifier"], ["y"], "classify"))
        output, channels = "y", classes
    made = [1, channels] if attributes["last"] else [1, steps, channels]
    initializers = [
        numpy_helper.from_array(np.asarray(value, np.int64 if name == "axes" else np.float32), name)
        for name, value in stored.items()
    ]
    graph = helper.make_graph(
        nodes,
        "recurrent",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, made)],
        initializers,
    )
    opsets = [
        helper.make_opsetid("", 20),
        helper.make_opsetid(DOMAIN, 1),
        helper.make_opsetid("qonnx.custom_op.general", 1),
    ]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=10).SerializeToString())
    return path


def test_two_steps_by_hand():
    """One unit of 3-bit gates: sums of 0, 4 and 8 are z = 0, 1 and 2."""
    arithmetic = CellArithmetic(3, 6, 0, np.float32(0.25))
    bias = np.zeros(4, np.float32)
    of_input, recurrent = np.array([[4], [8], [4], [0]]), np.array([[0], [0], [-4], [8]])
    # Step 1: i = rint(4 * 8 / 6) = 5, f = rint(5 * 8 / 6) = 7, g = clip(4) = 3, o = 4; c = 5 * 3 >> 3 = 1, o c = 4.
    # Step 2: g = 0 where h was 1, o = 7: c = 7 * 1 >> 3 = 0, o c = 0.
    x = np.ones((1, 2, 1), np.int64)
    assert lstm_cell(x, (of_input, recurrent), bias, np.array([4]), arithmetic).tolist() == [[[1], [0]]]
    # Where h was 0, g stays 3: c = (7 * 1 + 5 * 3) >> 3 = 2, o = 4, o c = 8.
    assert lstm_cell(x, (of_input, recurrent), bias, np.array([5]), arithmetic).tolist() == [[[0], [1]]]


@pytest.mark.parametrize(
    ("steps", "features", "units", "options"),
    [
        (5, 6, 4, {}),
        (1, 3, 2, {}),
        (7, 2, 3, {"last": 1, "classes": 4}),
        (4, 5, 6, {"classes": 3, "gate_bits": 5, "cell_bits": 9, "fraction_bits": 3, "weight_scale": 0.3}),
        (3, 4, 2, {"pooled": (3, 5), "classes": 2}),
    ],
)
def test_graph_equals_the_file(tmp_path, steps, features, units, options):
    rng = np.random.default_rng([steps, features, units])
    given = constants(rng, features, units)
    for name in "WU":
        given[name] = given[name] / 0.25 * options.get("weight_scale", 0.25)
    if options.get("pooled"):
        given["theta"] += 9
    path = write(tmp_path / "model.onnx", given, steps, features, **options)
    graph = load(path)
    (cell,) = (node.op for node in graph.nodes if isinstance(node.op, LstmCell))
    assert cell.units == units
    (x,) = graph.inputs
    share = 0.05 if options.get("pooled") else 0.5
    codes = {x: (rng.random((40, *graph.streams[x].shape)) < share).astype(np.int64)}
    (outcome,) = compare(graph, [QonnxExecution(path, graph)], codes).outcomes
    assert graph.outputs[0] in outcome.streams
    (h,) = (node.outputs[0] for node in graph.nodes if isinstance(node.op, LstmCell))
    met = graph.run(codes)[h]
    assert 0 < met.mean() < 1, "the outputs never change"


def test_gates_that_never_leave_a_code(tmp_path):
    """Biases so large that gates are constant: thresholds out of reach."""
    rng = np.random.default_rng(3)
    given = constants(rng, 3, 2)
    given["b"] = np.array([50.0, 50, -50, -50, 3, 2, 1, 50])
    path = write(tmp_path / "model.onnx", given, 6, 3)
    graph = load(path)
    codes = {graph.inputs[0]: rng.integers(0, 2, (20, 6, 1, 3)).reshape(20, *graph.streams[graph.inputs[0]].shape)}
    (outcome,) = compare(graph, [QonnxExecution(path, graph)], codes).outcomes
    assert not outcome.failed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"gate_bits": 9}, "gate_bits 9; supported are 2 to 8"),
        ({"cell_bits": 1}, "cell_bits 1; supported are 2 to 16"),
        ({"fraction_bits": -1}, "fraction_bits -1; supported are 0 to 8"),
        ({"scale": 0.5}, "has scale 1 or a sign, the node scale 0.5 and none"),
        ({"weight_scale": 0.2}, "weights have a scale of 0.25, the node says 0.2"),
        ({"scale": float("nan")}, "scale nan; it must be positive"),
        ({"last": 2}, "last is 2, expected 0 or 1"),
        ({"cell_bits": 16, "fraction_bits": 8, "gate_bits": 8}, None),
    ],
)
def test_hostile_attributes(tmp_path, changed, message):
    given = constants(np.random.default_rng(1), 3, 2)
    path = write(tmp_path / "model.onnx", given, 4, 3, **changed)
    if message is None:
        load(path)
        return
    with pytest.raises(MuxflowError, match=message):
        load(path)


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("W", np.ones((8, 2)), r"weights of shapes \(8, 2\) and \(8, 2\) for 3 features"),
        ("U", np.ones((4, 2)), r"weights of shapes \(8, 3\) and \(4, 2\)"),
        ("U", np.ones(8), r"weights of shapes .*\(8,\)"),
        ("b", np.zeros(4), r"input 3 has shape \(4,\); expected \(8,\)"),
        ("b", np.zeros((2, 4)), r"input 3 has shape \(2, 4\); expected \(8,\)"),
        ("theta", np.ones((2, 1)), r"input 4 has shape \(2, 1\); expected \(2,\)"),
        ("U", np.ones((0, 2)), r"lstm \(LstmCell\): its weights are empty"),
        ("b", np.full(8, np.nan), "NaN|finite"),
        ("theta", [1.5, 2], "theta that are not integers"),
        ("theta", [1e30, 2], "theta that are not integers of 32 bits"),
    ],
)
def test_hostile_constants(tmp_path, name, values, message):
    given = constants(np.random.default_rng(1), 3, 2) | {"theta": np.array([2, 3])}
    given[name] = np.asarray(values)
    path = write(tmp_path / "model.onnx", given, 4, 3)
    with pytest.raises(MuxflowError, match=message):
        load(path)


def test_a_float_lstm_is_refused_by_name(tmp_path):
    shapes = {"W": (1, 8, 3), "R": (1, 8, 2)}
    nodes = [helper.make_node("LSTM", ["x", "W", "R"], ["y"], "recurrent", hidden_size=2)]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 1, 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 1, 1, 2])],
        [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in shapes.items()],
    )
    path = tmp_path / "model.onnx"
    path.write_bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10).SerializeToString()
    )
    with pytest.raises(
        UnsupportedError, match=r"recurrent \(LSTM\): LSTM is not supported; its gates and state are floats"
    ):
        load(path)


def brevitas_file(tmp_path, bits=None, *, quantizers=None, taken=lambda sequences, states: sequences, **options):
    """(a file of Brevitas' QuantLSTM, what torch makes of sequences, the sequences); quantizers of powers of two."""
    import torch
    from brevitas.nn import QuantLSTM
    from brevitas.quant import fixed_point

    from muxflow.frontend.brevitas.export import export

    torch.manual_seed(3)
    signed, unsigned = fixed_point.Int8ActPerTensorFixedPoint, fixed_point.Uint8ActPerTensorFixedPoint
    exact = {name: signed for name in ("io_quant", "gate_acc_quant", "tanh_quant", "cell_state_quant")}
    exact |= {"sigmoid_quant": unsigned, "weight_quant": fixed_point.Int8WeightPerTensorFixedPoint}
    widths = {f"{name}_bit_width": width for name, width in (BITS if bits is None else bits).items()}
    model = QuantLSTM(3, 4, **{"batch_first": True, **exact} | (quantizers or {}) | widths | options)
    x = torch.randn(64, 6, 3)
    model(x)  # its quantizers take their scales from what they see
    model.eval()

    class Outputs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = model

        def forward(self, given):
            return taken(*self.layer(given))

    whole = Outputs().eval()
    with torch.no_grad():
        answers = whole(x).numpy()
    return export(whole, tmp_path / "model.onnx", (1, 6, 3)), answers, x.numpy()


def per_channel():
    from brevitas.quant import fixed_point

    return {"weight_quant": fixed_point.Int8WeightPerChannelFixedPoint}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("bits", "options"),
    [
        ({}, {}),
        (BITS, {}),
        (BITS, {"num_layers": 2}),
        (BITS, {"bias": False, "bias_quant": None}),
        (BITS, {"shared_intra_layer_weight_quant": True, "shared_intra_layer_gate_acc_quant": True}),
        ({**BITS, "cell_state": 16}, {}),
        ({**BITS, "sigmoid": 2, "tanh": 2}, {}),
        (BITS, {"quantizers": per_channel}),
        (BITS, {"num_layers": 2, "taken": lambda sequences, _: sequences[:, -1]}),
        (BITS, {"taken": lambda sequences, _: sequences[:, [5]]}),
        (BITS, {"taken": lambda sequences, _: sequences[:, [[5]]].transpose(2, 3)}),
    ],
    ids="8-bits 4-bits two-layers no-bias shared 16-bit-cell 2-bit-gates per-channel last listed nested".split(),
)
def test_the_lstm_of_brevitas_with_power_of_two_scales_is_exact(tmp_path, bits, options):
    """Torch = graph on what it was made for, QONNX' execution of its operator = graph on random codes."""
    options = options | {name: make() for name, make in options.items() if name == "quantizers"}
    path, answers, x = brevitas_file(tmp_path, bits, **options)
    graph = load(path)
    cells = [node.op for node in graph.nodes if isinstance(node.op, LstmCell)]
    assert len(cells) == options.get("num_layers", 1) and all(cell.each for cell in cells)
    (stream,) = (graph.streams[name] for name in graph.inputs)
    codes = np.clip(np.rint(x / stream.scale[0]), stream.lo, stream.hi).astype(np.int64)
    met = graph.read_out(graph(codes))
    assert len(np.unique(answers)) > 1, "the outputs never change"
    np.testing.assert_array_equal(np.asarray(met).reshape(answers.shape), answers)
    given = np.random.default_rng(5).integers(stream.lo, stream.hi + 1, (40, *stream.shape))
    (outcome,) = compare(graph, [QonnxExecution(path, graph)], {graph.inputs[0]: given}).outcomes
    assert set(graph.outputs) <= set(outcome.streams)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("asked", ["when read", "in the file"])
def test_the_state_of_the_lstm_of_brevitas_goes_on(tmp_path, layers, asked):
    """A batch is one sequence for a graph that carries its state, and for the execution of its file."""
    path, _, _ = brevitas_file(tmp_path, BITS, num_layers=layers)
    anew, graph, own = load(path), muxflow.load(path, stateful=True), path
    if asked == "in the file":
        model = onnx.load(path)
        for node in model.graph.node:
            if node.op_type == "QuantLSTMCell":
                node.attribute.append(onnx.helper.make_attribute("stateful", 1))
        own = tmp_path / "stateful.onnx"
        onnx.save(model, own)
        graph = load(own)
    (stream,) = (graph.streams[name] for name in graph.inputs)
    codes = np.random.default_rng(5).integers(stream.lo, stream.hi + 1, (40, *stream.shape))
    (outcome,) = compare(graph, [QonnxExecution(own, graph)], {graph.inputs[0]: codes}).outcomes
    assert set(graph.outputs) <= set(outcome.streams)
    assert (np.asarray(graph(codes)) != np.asarray(anew(codes))).any(), "the state of the last frame does nothing"
    compare(anew, [QonnxExecution(path, anew)], {anew.inputs[0]: codes})


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("message", "options"),
    [
        (r"\(QuantLSTMCell\): reverse_input is 1; supported is 0", {"bidirectional": True}),
        (r"\(QuantLSTMCell\): cifg is 1; supported is 0", {"coupled_input_forget_gates": True}),
        (r"\(QuantLSTMCell\): batch_first is 0; supported is 1", {"batch_first": False}),
        (r"\(QuantLSTMCell\): a bias is not made of steps of its sums", {"bias_quant": None}),
        (r"a further output of .* \(QuantLSTMCell\), which is not supported", {"taken": lambda _, states: states[0]}),
        (r"a further output of .* \(QuantLSTMCell\), which is not supported", {"taken": lambda _, states: states[1]}),
        (
            r"Gather\): Gather of data is not supported but of the last",
            {"taken": lambda sequences, _: sequences[:, -2]},
        ),
    ],
)
def test_other_lstms_of_brevitas_are_refused_by_name(tmp_path, message, options):
    path, _, _ = brevitas_file(tmp_path, **options)
    with pytest.raises(UnsupportedError, match=message):
        load(path)


@pytest.mark.filterwarnings("ignore")
def test_the_lstm_of_brevitas_with_other_scales_is_refused_by_name(tmp_path):
    from brevitas.quant import Int8ActPerTensorFloat

    path, _, _ = brevitas_file(tmp_path, quantizers={"io_quant": Int8ActPerTensorFloat})
    with pytest.raises(UnsupportedError, match=r"\(QuantLSTMCell\): .* has a scale of .* use quantizers of brevitas"):
        load(path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("flag", ["cell_tanh_signed", "output_narrow", "output_sigmoid_narrow_range"])
def test_a_flag_of_the_quantizers_of_brevitas_is_0_or_1(tmp_path, flag):
    path, _, _ = brevitas_file(tmp_path)
    model = onnx.load(path)
    (node,) = (one for one in model.graph.node if one.op_type == "QuantLSTMCell")
    others = [entry for entry in node.attribute if entry.name != flag]
    del node.attribute[:]
    node.attribute.extend([*others, helper.make_attribute(flag, 2)])
    onnx.save(model, path)
    with pytest.raises(UnsupportedError, match=rf"\(QuantLSTMCell\): .*{flag} is 2, expected 0 or 1"):
        load(path)
