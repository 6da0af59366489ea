"""Bad input: each error names file or node, what was met, what is supported and what to do."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from muxflow.dataflow.errors import MuxflowError, UnsupportedError
from muxflow.frontend.model import ImportOptions
from muxflow.frontend.registry import check, load


def small(build):
    b = build((1, 2, 3, 3))
    b.quant(scale=1 / 256)
    b.conv(np.ones((3, 2, 1, 1)))
    b.then("Relu")
    b.quant(scale=1 / 8, bits=3)
    return b


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file; give a QONNX file"),
        (b"", "no model but an empty file; export the model again"),
        (b"hello, this is no model\n", "export the model again"),
        (b"\x00" * 100, "export the model again"),
        (bytes(np.random.default_rng(0).integers(0, 256, 4000).astype(np.uint8)), "export the model again"),
    ],
    ids=["missing", "empty", "text", "zeros", "random"],
)
@pytest.mark.parametrize("read", [load, check])
def test_files_that_are_no_models(content, message, read, tmp_path):
    path = tmp_path / "net.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(MuxflowError, match=rf"net.onnx.*{message}"):
        read(path)


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(MuxflowError, match="a folder; expected a model file"):
        load(tmp_path)
    (tmp_path / "net.onnx").mkdir()
    with pytest.raises(MuxflowError, match="a folder; expected a model file"):
        load(tmp_path / "net.onnx")


@given(part=st.floats(0, 1, exclude_max=True), flips=st.lists(st.integers(0, 10**6), max_size=3))
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_raise_nothing_but_our_error(part, flips, build, tmp_path):
    """A file cut anywhere, or with bytes turned over, gives a graph or a MuxflowError."""
    data = bytearray(small(build).model().SerializeToString())
    for flip in flips:
        data[flip % len(data)] ^= 1 << flip % 8
    path = tmp_path / "net.onnx"
    path.write_bytes(bytes(data[: int(part * len(data))] if not flips else data))
    for read in (load, check):
        try:
            read(path)
        except MuxflowError as error:
            assert len(str(error)) > 20  # noqa: PT017  (it may also succeed)


def test_weights_in_a_missing_file(build, tmp_path):
    model = small(build).model()
    onnx.save(model, tmp_path / "net.onnx", save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert load(tmp_path / "net.onnx").nodes
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(MuxflowError, match=r"net.onnx: .*"):
        load(tmp_path / "net.onnx")


UNSUPPORTED = {
    "Split": (lambda b: b.then("Split", num_outputs=2, axis=1), "Split is not supported; use one convolution a part"),
    "LSTM": (
        lambda b: b.then("LSTM", np.ones((1, 4, 2)), np.ones((1, 4, 1)), hidden_size=1),
        "QuantLstm, which exports as",
    ),
    "LayerNormalization": (lambda b: b.then("LayerNormalization", np.ones(3)), "use batch normalisation"),
    "Cos": (lambda b: b.then("Cos"), "replace it, or move it after the output"),
    "FloatQuant": (lambda b: b.then("FloatQuant", domain="qonnx.custom_op.general"), "use an integer quantizer"),
    "foreign domain": (lambda b: b.node("Relu", b.last, domain="com.example"), "Relu of domain com.example is not sup"),
    "another domain": (lambda b: b.node("Relu", b.last, domain="muxflow"), "Relu of domain muxflow is not supported"),
    "Max of three": (lambda b: b.then("Max", np.float32(1), np.float32(2)), "3 inputs; supported are two"),
}


@pytest.mark.parametrize("case", UNSUPPORTED)
def test_unsupported_operators(case, build, tmp_path):
    add, message = UNSUPPORTED[case]
    b = small(build)
    add(b)
    node = b.nodes[-1]
    path = tmp_path / "net.onnx"
    path.write_bytes(b.model().SerializeToString())
    with pytest.raises(UnsupportedError, match=message) as caught:
        load(path)
    assert f"{node.name} ({node.op_type})" in str(caught.value)
    assert caught.value.exit_code == 3
    assert [status.node for status in check(path) if not status.supported] == [node.name]


def test_check_lists_every_bad_node_and_what_lies_behind(build, tmp_path):
    b = small(build)
    x = b.last
    first = b.node("Cos", x)
    b.node("Relu", first)
    b.quant(scale=-1.0)
    good = b.conv(np.ones((2, 3, 1, 1)), x=x)
    b.node("MatMul", good, good)
    second = b.quant(good, scale=0.5, bits=17)
    b.node("Add", b.last, second)
    path = tmp_path / "net.onnx"
    path.write_bytes(b.model().SerializeToString())
    statuses = check(path)
    assert len(statuses) == len(b.nodes)
    bad = {s.op_type + s.node[-3:]: s.message for s in statuses if not s.supported}
    kinds = [s.op_type for s in statuses if not s.supported]
    assert kinds == ["Cos", "Relu", "Quant", "MatMul", "Quant", "Add"]
    messages = list(bad.values())
    assert "Cos is not supported" in messages[0]
    assert messages[1].startswith("not reached: its input comes from Cos_")
    assert messages[2].startswith("not reached: its input comes from Relu_")
    assert "both factors are data" in messages[3]
    assert "bit width 17" in messages[4]
    assert "not reached: its input comes from Quant_" in messages[5]
    with pytest.raises(UnsupportedError, match="Cos_"):
        load(path)


def test_check_says_what_is_wrong_with_the_output(build, save):
    b = small(build)
    b.then("Mul", np.float32(np.arange(1, 28)).reshape(1, 3, 3, 3))
    path = save(b)
    (bad,) = [status for status in check(path) if not status.supported]
    assert bad.node == "output"
    assert "scaled pixel by pixel; scale it on the host" in bad.message
    with pytest.raises(UnsupportedError, match="scaled pixel by pixel"):
        load(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["weight", "bias", "scale", "node"])
def test_constants_that_are_not_finite(value, where, build, tmp_path):
    b = build((1, 2, 3, 3))
    b.quant(scale=1 / 256)
    weights, bias = np.ones((3, 2, 1, 1), np.float32), np.zeros(3, np.float32)
    if where == "weight":
        weights[0, 0] = value
    elif where == "bias":
        bias[0] = value
    b.conv(weights, bias)
    if where == "scale":
        b.quant(scale=value)
    elif where == "node":
        x = b.last
        tensor = helper.make_tensor("v", TensorProto.FLOAT, [1], [value])
        b.nodes.append(helper.make_node("Constant", [], ["k"], "Constant_9", value=tensor))
        b.node("Mul", x, "k")
    path = tmp_path / "net.onnx"
    path.write_bytes(b.model().SerializeToString())
    with pytest.raises(MuxflowError, match=r"constant \w+ holds NaN or infinity; .*export it again"):
        load(path)


def with_inputs(build, tmp_path, change):
    model = small(build).model()
    change(model.graph)
    path = tmp_path / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def test_an_input_and_an_output_that_nothing_connects(build, tmp_path):
    extra = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 2])
    path = with_inputs(build, tmp_path, lambda graph: graph.input.append(extra))
    with pytest.raises(
        UnsupportedError, match=r"the output t\d+ does not depend on the input z; export the model without"
    ):
        load(path)
    path = with_inputs(build, tmp_path, lambda graph: graph.output.append(extra))
    (bad,) = [status for status in check(path) if not status.supported]
    assert bad.message.startswith(
        "net: the output z does not depend on the input; export the model without that output"
    )


@pytest.mark.parametrize("shape", [["N", 2, "H", "W"], [1], [], [1, 0, 3, 3]])
def test_input_without_a_fixed_shape(shape, build, tmp_path):
    def change(graph):
        del graph.input[:]
        graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, shape))

    with pytest.raises(UnsupportedError, match=r"input x has no fixed shape.*example input of fixed size"):
        load(with_inputs(build, tmp_path, change))


def test_batch_may_be_of_any_size(build, tmp_path, prove):
    def change(graph):
        graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"

    assert load(with_inputs(build, tmp_path, change)).nodes


def test_weights_listed_as_inputs(build, tmp_path):
    def change(graph):
        for tensor in graph.initializer:
            graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))

    assert load(with_inputs(build, tmp_path, change)).nodes


def test_nodes_out_of_order_and_missing(build, tmp_path):
    def turn(graph):
        nodes = list(graph.node)
        del graph.node[:]
        graph.node.extend(nodes[::-1])

    with pytest.raises(MuxflowError, match=r"reads \w+, which nothing before it writes; the file is not a valid model"):
        load(with_inputs(build, tmp_path, turn))


def test_output_that_nobody_writes_or_that_is_constant(build, tmp_path):
    for name in ("elsewhere", "c0"):

        def change(graph, name=name):
            graph.output[0].name = name

        with pytest.raises(MuxflowError, match=f"the output {name} does not depend on the input"):
            load(with_inputs(build, tmp_path, change))


def test_malformed_nodes(build, tmp_path):
    def no_inputs(graph):
        del graph.node[2].input[1:]

    def scalar_strides(graph):
        graph.node[2].attribute.append(helper.make_attribute("strides", 3))

    wrong = {
        no_inputs: "inputs or attributes",
        scalar_strides: "attributes .*strides holds an integer, expected integers",
    }
    for change, what in wrong.items():
        with pytest.raises(MuxflowError, match=rf"Conv_2 \(Conv\): its {what}.*export"):
            load(with_inputs(build, tmp_path, change))


def test_second_outputs_are_named(build, tmp_path):
    b = small(build)
    x = b.last
    b.nodes.append(helper.make_node("MaxPool", [x], ["pooled", "indices"], "MaxPool_9", kernel_shape=[2, 2]))
    b.node("Relu", "indices")
    path = tmp_path / "net.onnx"
    path.write_bytes(b.model().SerializeToString())
    with pytest.raises(MuxflowError, match=r"a further output of MaxPool_9 \(MaxPool\), which is not supported"):
        load(path)


def test_branches_that_end_nowhere_are_dropped(build, prove):
    b = small(build)
    x = b.last
    b.conv(np.ones((2, 3, 1, 1)))
    b.node("MaxPool", x, kernel_shape=[2, 2])
    graph = prove(b)
    assert sum(node.op.kind == "MatrixVector" for node in graph.nodes) == 1


def test_input_read_by_two_quantizers(build, save):
    b = build((1, 2, 3, 3))
    b.node("Add", b.quant("x", scale=0.25), b.quant("x", scale=0.25))
    assert load(save(b)).nodes
    b.node("Add", b.last, b.quant("x", scale=0.5))
    with pytest.raises(UnsupportedError, match="input x goes into two different quantizers; quantize it once"):
        load(save(b))


@pytest.mark.parametrize(
    "options", [{"input_scale": 0.0}, {"input_scale": -1.0}, {"input_scale": float("nan")}, {"input_bits": 17}]
)
def test_options(options):
    with pytest.raises(MuxflowError, match=r"must be positive|supported are 1 to 16"):
        ImportOptions(**options)


@pytest.mark.parametrize(("bits", "signed"), [(8, False), (8, True), (4, False), (12, True)])
def test_input_options(bits, signed, build, prove):
    b = build((1, 2, 3, 3))
    b.conv(np.ones((3, 2, 2, 2)))
    graph = prove(b, input_scale=0.5, input_bits=bits, input_signed=signed)
    stream = graph.streams[graph.inputs[0]]
    assert (stream.bits, stream.signed) == (bits, signed)


def test_importing_needs_no_torch():
    code = (
        "import sys, muxflow.frontend.qonnx.reader, muxflow.frontend.qonnx.execution; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_names_become_identifiers(build, tmp_path):
    b = small(build)
    for number, node in enumerate(b.nodes):
        node.name = ["9/conv.1", "9-conv.1", "", "été", "9_conv_1"][number]
    path = tmp_path / "1 net.onnx"
    path.write_bytes(b.model().SerializeToString())
    graph = load(path)
    names = [node.name for node in graph.nodes]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and name.isascii() for name in names)
