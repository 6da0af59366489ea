"""ONNX files that ask for too much or make no sense: one message that names the node and the limit."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import AttributeProto, TensorProto, helper

import muxflow
from muxflow.dataflow.errors import ExecutionError, MismatchError, MuxflowError, UnsupportedError
from muxflow.dataflow.limits import MOST_BYTES
from muxflow.frontend.floats import observed
from muxflow.frontend.importer.constants import KERNELS, fold
from muxflow.frontend.importer.quantizers import MOST_ZERO_POINT
from muxflow.frontend.importer.walk import LONGEST, import_model
from muxflow.frontend.model import Constant, Model, ModelInput, ModelNode
from muxflow.frontend.qonnx.execution import QonnxExecution

LIMIT = r"\(MOST_ELEMENTS\)"


def quantized(build: Any, shape: tuple[int, ...] = (1, 4, 8, 8)) -> Any:
    made = build(shape)
    made.quant("x", 0.25, bits=4.0)
    return made


@pytest.mark.parametrize(
    ("op", "sizes"),
    [
        ("ConstantOfShape", [np.array([1, 4, 100000, 100000])]),
        ("Range", [np.array(0), np.array(10**15), np.array(1)]),
        ("Expand", [np.ones(1, np.float32), np.array([1, 4, 100000, 100000])]),
        ("Tile", [np.ones((1, 4), np.float32), np.array([10**6, 10**6])]),
        ("Add", [np.ones((1 << 15, 1), np.float32), np.ones((1, 1 << 15), np.float32)]),
    ],
)
def test_constants_that_a_few_numbers_blow_up(build: Any, save: Any, op: str, sizes: list[Any]) -> None:
    made = quantized(build)
    value = made.node(op, *sizes)
    made.node("Add", "t0", value)
    with pytest.raises(UnsupportedError, match=rf"^{op}_1 \({op}\): its result: .*{LIMIT}"):
        muxflow.load(save(made))
    statuses = muxflow.check(save(made))
    assert [status.supported for status in statuses] == [True, False, False]


def test_constants_that_loop(build: Any, save: Any) -> None:
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), helper.make_node("Identity", ["s"], ["t"])],
        "body",
        [value("i", TensorProto.INT64, []), value("go", TensorProto.BOOL, []), value("s", TensorProto.FLOAT, [1])],
        [value("on", TensorProto.BOOL, []), value("t", TensorProto.FLOAT, [1])],
    )
    made = quantized(build)
    made.node("Loop", np.array(10**15), np.array(True), np.ones(1, np.float32), body=body)
    with pytest.raises(UnsupportedError, match=r"^Loop_1 \(Loop\): its attribute body is a graph"):
        muxflow.load(save(made))


@pytest.mark.parametrize("op", ["MaxPool", "Conv"])
def test_paddings_without_end(build: Any, save: Any, op: str) -> None:
    made = quantized(build)
    if op == "Conv":
        made.conv(np.ones((2, 4, 3, 3)), pads=[10**6] * 4)
    else:
        made.then(op, kernel_shape=[2, 2], pads=[10**6] * 4, strides=[2, 2])
    made.quant(scale=0.25, bits=4.0)
    with pytest.raises(UnsupportedError, match=rf"\({op}\): sliding window: a map with pads .*{LIMIT}"):
        muxflow.load(save(made))


@pytest.mark.parametrize("name", ["strides", "dilations"])
@pytest.mark.parametrize("op", ["MaxPool", "Conv"])
def test_steps_without_end(build: Any, save: Any, op: str, name: str) -> None:
    """Of a single window, or of one that reads a single pixel, they change nothing; hardware counts in 32 bits."""
    made = quantized(build)
    kernel = [1, 1] if name == "dilations" else [2, 2]
    if op == "Conv":
        made.conv(np.ones((2, 4, *kernel)), **{name: [1 << 40, 1]})
    else:
        made.then(op, kernel_shape=kernel, **{name: [1 << 40, 1]})
    made.quant(scale=0.25, bits=4.0)
    with pytest.raises(
        UnsupportedError, match=rf"\({op}\): sliding window: {name[:-1]} .*; at most 65,536 \(MOST_STEP\)"
    ):
        muxflow.load(save(made))


def test_inputs_without_end(build: Any, save: Any) -> None:
    with pytest.raises(MuxflowError, match=rf"^input x: 1 x 80000 x 80000 elements; .*{LIMIT}"):
        muxflow.load(save(quantized(build, (1, 1, 80000, 80000))))


def test_nodes_without_end(build: Any) -> None:
    nodes = tuple(ModelNode(f"n{i}", "Relu", (f"t{i}",), (f"t{i + 1}",)) for i in range((1 << 16) + 1))
    model = Model("long", nodes, (ModelInput("t0", (1, 2, 2)),), ("t1",), {"c": Constant(np.ones(1))})
    with pytest.raises(MuxflowError, match=r"^model long: 65,537 nodes; at most 65,536 \(MOST_NODES\)"):
        import_model(model)


@pytest.mark.parametrize(
    ("location", "more", "message"),
    [
        ("../beside.bin", {}, "points outside the directory"),
        ("/etc/passwd", {}, "points outside the directory"),
        ("linked/beside.bin", {"length": 288}, "external data cannot be read"),
        ("", {}, "a file without name"),
        ("absent.bin", {}, "absent.bin, which is not beside the model (No such file); put it there"),
        ("data.bin", {"length": 10**13}, "which gives 10,000,000,000,000 bytes for its 288; export the model again"),
        ("data.bin", {}, "which gives 1,000 bytes for its 288"),
        ("large.bin", {}, "which gives 2,147,479,552 bytes for its 288"),
        ("data.bin", {"offset": 900, "length": 288}, "up to byte 1,188, which has 1,000; the file is cut short"),
        ("data.bin", {"length": "many"}, "is no number"),
        ("data.bin", {"offset": -1}, "must be non-negative"),
        (
            "link.bin",
            {"length": 288},
            "link.bin, a symbolic link, which ONNX does not follow; put the file itself there",
        ),
        ("hard.bin", {"length": 288}, "hard.bin, a file of several names (hard links), which ONNX does not read"),
        ("pipe.bin", {"length": 288}, "is no file but a folder, a device or a pipe"),
    ],
)
def test_data_in_other_files(build: Any, tmp_path: Path, location: str, more: dict[str, Any], message: str) -> None:
    made = quantized(build)
    made.node("Conv", "t0", np.ones((2, 4, 3, 3), np.float32))
    model = made.model()
    tensor = next(one for one in model.graph.initializer if list(one.dims) == [2, 4, 3, 3])
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=str(value))
    (tmp_path / "beside.bin").write_bytes(bytes(1000))
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "data.bin").write_bytes(bytes(1000))
    (folder / "link.bin").symlink_to("data.bin")
    (folder / "linked").symlink_to("..")
    (folder / "two.bin").write_bytes(bytes(288))
    (folder / "hard.bin").hardlink_to(folder / "two.bin")
    os.mkfifo(folder / "pipe.bin")
    with (folder / "large.bin").open("wb") as file:
        file.truncate(MOST_BYTES - 4096)
    (folder / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(MuxflowError) as caught:
        muxflow.load(folder / "net.onnx")
    assert f"model {folder / 'net.onnx'}" in str(caught.value) and message in str(caught.value)


def test_a_link_to_a_model_whose_data_are_elsewhere(build: Any, tmp_path: Path) -> None:
    made = quantized(build)
    made.conv(np.ones((2, 4, 3, 3)))
    folder = tmp_path / "folder"
    folder.mkdir()
    onnx.save(made.model(), folder / "net.onnx", save_as_external_data=True, location="x.data", size_threshold=0)
    (tmp_path / "link.onnx").symlink_to(folder / "net.onnx")
    with pytest.raises(
        MuxflowError, match=rf"x\.data, which is not beside the model, itself a link; give {folder}/net\.onnx"
    ):
        muxflow.load(tmp_path / "link.onnx")


def test_a_sparse_constant(build: Any, tmp_path: Path) -> None:
    made = quantized(build)
    made.node("Conv", "t0", np.ones((2, 4, 3, 3), np.float32))
    model = made.model()
    dense = next(one for one in model.graph.initializer if list(one.dims) == [2, 4, 3, 3])
    places = onnx.numpy_helper.from_array(np.arange(72), "places")
    values = onnx.numpy_helper.from_array(np.ones(72, np.float32), dense.name)
    model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, places, [2, 4, 3, 3]))
    model.graph.initializer.remove(dense)
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(
        UnsupportedError, match=rf"net\.onnx: constant {dense.name} is a sparse initializer; supported are"
    ):
        muxflow.load(tmp_path / "net.onnx")


def test_a_file_larger_than_any_model(tmp_path: Path) -> None:
    with (tmp_path / "net.onnx").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(MuxflowError, match=r"net\.onnx: .*MOST_BYTES"):
        muxflow.load(tmp_path / "net.onnx")


def test_names_of_a_model_are_brought_into_shape(build: Any, save: Any) -> None:
    made = quantized(build)
    made.conv(np.ones((2, 4, 1, 1)))
    made.quant(scale=0.25, bits=4.0)
    made.nodes[0].name = "a\n\x1b[31m[/x]"
    made.nodes[-1].name = "n" * 10000
    graph = muxflow.load(save(made))
    assert all(name.isascii() and name.isidentifier() and len(name) <= LONGEST + 10 for name in graph.streams)


@pytest.mark.parametrize("place", ["name", "op_type", "domain", "output", "attribute", "constant"])
def test_names_that_are_no_text(build: Any, tmp_path: Path, place: str) -> None:
    made = quantized(build)
    made.then("Relu")
    made.quant(scale=0.25, bits=4.0)
    model = made.model()
    node = model.graph.node[1]
    if place == "output":
        node.output[0] = model.graph.node[2].input[0] = "abcdefgh"
    elif place == "attribute":
        node.attribute.append(helper.make_attribute("abcdefgh", 1))
    elif place == "constant":
        model.graph.initializer.append(helper.make_tensor("abcdefgh", TensorProto.FLOAT, [1], [1.0]))
    else:
        setattr(node, place, "abcdefgh")
    data = model.SerializeToString()
    (tmp_path / "net.onnx").write_bytes(data.replace(b"abcdefgh", b"ab\xff\xfeefgh"))
    if place == "attribute":
        with pytest.raises(
            UnsupportedError, match=r"^Relu_1 \(Relu\): Relu has no attribute ab\\xff\\xfeefgh at any opset"
        ):
            muxflow.check(tmp_path / "net.onnx")
        return
    found = muxflow.check(tmp_path / "net.onnx")
    assert all(isinstance(text, str) for one in found for text in (one.node, one.op_type, one.message))
    assert found[1].supported == (place not in ("op_type", "domain"))
    if found[1].supported:
        assert muxflow.load(tmp_path / "net.onnx").nodes


def test_every_text_of_a_file_may_be_no_utf_8(build: Any, save: Any, tmp_path: Path) -> None:
    """Of annotations, of metadata and of dimensions too; what is said of types that nobody knows is not read."""
    made = quantized(build)
    made.conv(np.ones((2, 4, 3, 3)))
    made.quant(scale=0.25, bits=4.0)
    model = onnx.load(save(made))
    annotation = model.graph.quantization_annotation.add(tensor_name=model.graph.initializer[0].name)
    annotation.quant_parameter_tensor_names.add(key="finn_datatype", value="abcdefgh")
    model.metadata_props.add(key="abcdefgh", value="abcdefgh")
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "abcdefgh"
    model.graph.doc_string = model.producer_name = "abcdefgh"
    data = model.SerializeToString()
    (tmp_path / "net.onnx").write_bytes(data)
    expected = muxflow.load(tmp_path / "net.onnx")
    (tmp_path / "net.onnx").write_bytes(data.replace(b"abcdefgh", b"ab\xff\xfeefgh"))
    assert muxflow.load(tmp_path / "net.onnx").nodes == expected.nodes
    assert all(status.supported for status in muxflow.check(tmp_path / "net.onnx"))


def test_names_in_messages_stay_in_their_line(build: Any, save: Any) -> None:
    made = quantized(build)
    made.then("Cos\nerror: none")
    made.nodes[-1].name = "a\n\x1b[2Jb" + "n" * 10000
    with pytest.raises(UnsupportedError, match=r"^a\?\?\[2Jbn+\.\.\. \(Cos\?error: none\): ") as caught:
        muxflow.load(save(made))
    assert len(str(caught.value)) < 3000


@pytest.mark.parametrize(
    ("op", "inputs", "attributes", "message"),
    [
        ("Unsqueeze", [np.array([10**18])], {}, "do not make sense"),
        ("Conv", [np.ones((2, 4, 3, 3), np.float32)], {"pads": "x"}, "do not make sense"),
        ("Conv", [np.ones((2, 4, 3, 3), np.float32)], {"strides": [0, 0]}, "must be at least 1"),
        ("Conv", [np.ones((2, 4, 3, 3), np.float32)], {"dilations": [10**4] * 2}, "does not fit a map"),
        ("Conv", [np.ones((2, 4, 3, 3), np.float32)], {"group": 10**18}, "input has 4"),
    ],
)
def test_attributes_that_make_no_sense(
    build: Any, tmp_path: Path, op: str, inputs: list[Any], attributes: dict[str, Any], message: str
) -> None:
    made = quantized(build)
    made.then(op, *inputs, **attributes)
    onnx.save(made.model(), tmp_path / "net.onnx")  # without shapes: ONNX itself divides by some of these
    with pytest.raises(UnsupportedError, match=rf"^{op}_1 \({op}\): .*{message}"):
        muxflow.load(tmp_path / "net.onnx")


def test_constants_that_divide_by_zero(build: Any, tmp_path: Path) -> None:
    made = quantized(build)
    value = made.node("MaxPool", np.ones((1, 4, 8, 8), np.float32), kernel_shape=[2, 2], strides=[0, 0])
    made.node("Add", "t0", value)
    onnx.save(made.model(), tmp_path / "net.onnx")
    with pytest.raises(UnsupportedError, match=r"^MaxPool_1 \(MaxPool\): strides \(0, 0\) must be at least 1"):
        muxflow.load(tmp_path / "net.onnx")


def test_a_node_without_outputs(build: Any, save: Any) -> None:
    made = quantized(build)
    made.nodes.append(helper.make_node("Identity", [made.last], [], "empty"))
    with pytest.raises(UnsupportedError, match=r"^empty \(Identity\) has no output"):
        muxflow.load(save(made))
    assert [status.supported for status in muxflow.check(save(made))] == [True, False]


def test_numbers_that_are_none(build: Any, save: Any) -> None:
    made = quantized(build)
    made.then("Sub", np.float32(2))
    made.then("Sqrt")
    made.quant(scale=0.25, bits=4.0)
    with pytest.raises(UnsupportedError, match=r"^Quant_3 \(Quant\): it gives NaN or numbers beyond 32 bits"):
        muxflow.load(save(made))
    made = quantized(build)
    made.quant(scale=0.25, zero=1e30, bits=4.0)
    with pytest.raises(UnsupportedError, match=rf"zero point 1e\+30; .* {MOST_ZERO_POINT} "):
        muxflow.load(save(made))


@pytest.mark.parametrize("opset", [10**6, 2**40, 0, -1])
def test_an_opset_that_onnx_does_not_know(opset: int, build: Any, save: Any) -> None:
    made = quantized(build)
    made.then("Relu")
    made.quant(scale=0.25, bits=4.0)
    model = made.model()
    model.opset_import[0].version = opset
    path = save(made)
    onnx.save(model, path)
    with pytest.raises(MuxflowError, match=rf"net\.onnx: operators of opset {opset}; supported are 1 to \d+"):
        muxflow.load(path)


ODD = [
    ("Conv", {"kernel_shape": [100000, 100000]}, r"kernel_shape \(100000, 100000\), and its weights have a kernel of"),
    ("Conv", {"kernel_shape": [3]}, r"kernel_shape \(3,\)"),
    ("Conv", {"strides": [0, 1]}, r"strides \(0, 1\); they must be at least 1"),
    ("Conv", {"pads": [0, 0, 0, -1]}, r"pads \(0, 0, 0, -1\); they must be at least 0"),
    ("ConvTranspose", {"kernel_shape": [1, 2]}, r"kernel_shape \(1, 2\)"),
    ("ConvTranspose", {"strides": [-(2**63), 1]}, r"strides .*; they must be at least 1"),
    ("ConvTranspose", {"strides": [0, 0]}, r"strides \(0, 0\); they must be at least 1"),
    ("ConvTranspose", {"output_padding": [-1, 0]}, r"output_padding \(-1, 0\); they must be at least 0"),
    ("ConvTranspose", {"strides": [2**31, 2**31]}, "MOST_ELEMENTS"),
]


@pytest.mark.parametrize(("operator", "attributes", "message"), ODD)
def test_attributes_that_no_operator_has(
    operator: str, attributes: dict[str, Any], message: str, build: Any, tmp_path: Path
) -> None:
    """Written without ONNX' inference of shapes, which divides by a stride of 0 and ends the process."""
    b = build((1, 2, 4, 4))
    x = b.quant(bits=4)
    b.node(operator, x, b.weights(np.ones((2, 2, 3, 3))), **attributes)
    onnx.save(b.model(), tmp_path / "net.onnx")
    with pytest.raises(MuxflowError, match=rf"{operator}.*{message}"):
        muxflow.load(tmp_path / "net.onnx")


def attribute(name: str, **fields: Any) -> AttributeProto:
    return AttributeProto(name=name, **fields)


INT = AttributeProto.INT
OTHER_TYPES = [
    ("Conv", [helper.make_attribute("group", "1")], "group holds a text, expected an integer"),
    ("Conv", [helper.make_attribute("group", [1])], "group holds integers, expected an integer"),
    ("Conv", [helper.make_attribute("strides", "11")], "strides holds a text, expected integers"),
    ("Conv", [helper.make_attribute("pads", 1)], "pads holds an integer, expected integers"),
    ("Conv", [attribute("group", i=1)], "group holds nothing, expected an integer"),
    ("Conv", [attribute("group", type=INT, ref_attr_name="g")], "group stands for an attribute of a function"),
    ("Conv", [attribute("group", type=INT, i=n) for n in (1, 2)], "group is there twice"),
    ("Quant", [helper.make_attribute("signed", "0")], "signed holds a text, expected an integer"),
    ("Quant", [helper.make_attribute("narrow", 1.0)], "narrow holds a float, expected an integer"),
    ("ThermometerEncode", [helper.make_attribute("scale", 1)], "scale holds an integer, expected a float"),
    ("ThermometerEncode", [helper.make_attribute("codes", "3")], "codes holds a text, expected an integer"),
    ("MaxPool", [helper.make_attribute("ceil_mode", "0")], "ceil_mode holds a text, expected an integer"),
]


@pytest.mark.parametrize(("operator", "given", "message"), OTHER_TYPES)
def test_attributes_of_another_type(
    operator: str, given: list[AttributeProto], message: str, build: Any, tmp_path: Path
) -> None:
    """A text "0" is no 0: other libraries read nothing, or another number, where Python would make sense of it."""
    made = build((1, 2, 4, 4))
    made.node(operator, "x", domain={"Quant": "onnx.brevitas", "ThermometerEncode": "muxflow"}.get(operator, ""))
    made.nodes[-1].attribute.extend(given)
    onnx.save(made.model(), tmp_path / "net.onnx")
    for read in (muxflow.load, muxflow.check):
        with pytest.raises(UnsupportedError, match=rf"^{operator}_0 \({operator}\): .*\({message}\); export"):
            read(tmp_path / "net.onnx")


OWN = {
    "MuxJoin": {"select": "always", "scale": 0.25, "bits": 4},
    "OrJoin": {"scale": 0.25, "bits": 4},
    "ThermometerEncode": {"codes": 3, "bits": 2, "input_scale": 0.25, "scale": 0.5},
    "AutomatonWeights": {
        "rule": 30,
        "ring": 8,
        "seed": 3,
        "burn_in": 0,
        "rows": 2,
        "columns": 4,
        "alphabet": "binary",
        "scale": 1.0,
    },
}
LEFT_OUT = [(operator, {name: None}, f"no attribute {name}") for operator, given in OWN.items() for name in given]
OUT_OF_RANGE = [
    *[
        (operator, {name: value}, rf"{name} .*; it must be positive, .*\(LEAST_SCALE, LARGEST_SCALE\)")
        for operator, given in OWN.items()
        for name in given
        if "scale" in name
        for value in (0.0, -1.0, 1e-45, 3e38, float("nan"), float("inf"))
    ],
    *[
        (operator, {"bits": value}, rf"codes of {value} bits; supported are 1 to 16 \(MOST_BITS\)")
        for operator in ("MuxJoin", "OrJoin")
        for value in (0, -(2**63), 17, 2**31, 2**63 - 1)
    ],
    *[
        ("ThermometerEncode", {name: value}, r"codes of .* bits; supported are 1 to 255 codes of 1 to 4 bits")
        for name in ("codes", "bits")
        for value in (0, -1, 256, 2**63 - 1)
    ],
]


@pytest.mark.parametrize(("operator", "changed", "message"), [*LEFT_OUT, *OUT_OF_RANGE])
def test_attributes_of_own_operators(
    operator: str, changed: dict[str, Any], message: str, build: Any, tmp_path: Path
) -> None:
    made = quantized(build)
    given = {name: value for name, value in {**OWN[operator], **changed}.items() if value is not None}
    inputs = ["t0"] * (2 if operator.endswith("Join") else 1)
    made.node(operator, *inputs, domain="muxflow", **given)
    if operator == "AutomatonWeights":
        made.node("Conv", "t0", made.last)
    onnx.save(made.model(), tmp_path / "net.onnx")
    with pytest.raises(MuxflowError, match=rf"^{operator}_1 \({operator}\): .*{message}"):
        muxflow.load(tmp_path / "net.onnx")


AXES = [
    ("ArgMax", {"axis": 2}, [], 2),
    ("ArgMax", {"axis": -3}, [], 2),
    ("TopK", {"axis": 5}, [np.array([1])], 2),
    ("Softmax", {"axis": 7}, [], 2),
    ("Concat", {"axis": 5}, ["t0"], 4),
    ("Flatten", {"axis": 5}, [], 4),
    ("ReduceMean", {}, [np.array([2, 7])], 4),
    ("Pad", {}, [np.zeros(2, np.int64), np.float32(0), np.array([9])], 4),
    ("Resize", {"axes": [6, 7]}, ["", np.float32([2, 2])], 4),
]


@pytest.mark.parametrize(("operator", "attributes", "inputs", "rank"), AXES)
def test_axes_that_a_tensor_does_not_have(
    operator: str, attributes: dict[str, Any], inputs: list[Any], rank: int, build: Any, tmp_path: Path
) -> None:
    made = quantized(build, (1, 2, 4, 4) if rank == 4 else (1, 6))
    made.then(operator, *inputs, **attributes)
    onnx.save(made.model(), tmp_path / "net.onnx")
    named = rf"^{operator}_1 \({operator}\): axis -?\d of a tensor of {rank} axes"
    with pytest.raises(UnsupportedError, match=named):
        muxflow.load(tmp_path / "net.onnx")


def test_no_module_is_imported_because_a_file_names_it(
    build: Any, save: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """QONNX imports the module that a domain is called by; at the end of a model the host may compute anything."""
    (tmp_path / "evil_module.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    made = quantized(build, (1, 6))
    made.then("MatMul", made.weights(np.eye(6)))
    made.then("Softmax", axis=-1)
    made.then("Identity", domain="evil_module")
    onnx.save(made.model(), tmp_path / "net.onnx")
    graph = muxflow.load(tmp_path / "net.onnx")
    with pytest.raises(ExecutionError, match=r"^Identity_4 \(Identity\): QONNX execution cannot run it"):
        QonnxExecution(tmp_path / "net.onnx", graph).run({"x": np.zeros((1, 1, 1, 6), np.int64)})
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("op", KERNELS)
def test_a_convolution_of_constants_of_unequal_axes(op: str) -> None:
    """The library that infers its shape would end the process."""
    values = [np.ones((4, 5), np.float32), *[np.ones((2, 4, 1, 1), np.float32)] * KERNELS[op]]
    names = tuple(f"c{i}" for i in range(len(values)))
    with pytest.raises(UnsupportedError, match=rf"^n \({op}\): a convolution of \[2, 4\] axes"):
        fold(ModelNode("n", op, names, ("y",)), [Constant(value) for value in values], 20)


@pytest.mark.parametrize(("op", "flag"), [("MaxPool", "ceil_mode"), ("Quant", "signed")])
def test_a_flag_is_0_or_1(build: Any, save: Any, op: str, flag: str) -> None:
    made = quantized(build)
    options: dict[str, Any] = {flag: 4}
    if op == "MaxPool":
        made.then(op, kernel_shape=[3, 3], strides=[2, 2], **options)
    else:
        made.quant(scale=0.5, bits=4.0, **options)
    with pytest.raises(UnsupportedError, match=rf"{flag} is 4, expected 0 or 1"):
        muxflow.load(save(made))


def test_a_bias_that_a_convolution_would_read_beyond(build: Any, save: Any) -> None:
    made = quantized(build)
    made.conv(np.ones((2, 4, 1, 1)), np.float32([1]))
    with pytest.raises(UnsupportedError, match=r"\(Conv\): a bias of 1 values for 2 outputs"):
        muxflow.load(save(made))


@pytest.mark.parametrize("kind", ["uint8", "int8", "bool"])
def test_parameters_in_which_a_quantizer_overflows(build: Any, save: Any, kind: str) -> None:
    made = quantized(build)
    scale, zero = np.float32(0.5), np.float32(0)
    made.then("Quant", scale, zero, np.array(1, kind), domain="qonnx.custom_op.general", signed=1, narrow=0)
    with pytest.raises(
        UnsupportedError, match=rf"\(Quant\): input 3 \(.*\) is of type {kind}; .* export it as float32"
    ):
        muxflow.load(save(made))


def test_an_output_of_another_size_than_the_graph_s_differs(build: Any, save: Any) -> None:
    made = quantized(build)
    made.conv(np.ones((2, 4, 1, 1)))
    graph = muxflow.load(save(made))
    with pytest.raises(MismatchError, match="the model gives 3 values, the graph 128"):
        observed(graph, {graph.outputs[0]: np.zeros((1, 3))}, {})


@pytest.mark.parametrize("end", ["input", "output"])
def test_an_end_without_a_name(build: Any, tmp_path: Path, end: str) -> None:
    """Names of no letters are those of outputs that a node leaves out."""
    model = quantized(build).model()
    getattr(model.graph, end)[0].name = ""
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(MuxflowError, match=r"net\.onnx: an input or output has no name"):
        muxflow.load(tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("kind", "message"), [(99, "has elements of type 99, which ONNX has not"), (0, "cannot be read")]
)
def test_constants_of_no_type(build: Any, tmp_path: Path, kind: int, message: str) -> None:
    made = quantized(build)
    made.conv(np.ones((2, 4, 3, 3)))
    proto = made.model()
    proto.graph.initializer[-1].data_type = kind
    path = tmp_path / "net.onnx"
    path.write_bytes(proto.SerializeToString())
    name = proto.graph.initializer[-1].name
    with pytest.raises(MuxflowError, match=rf"^constant {name} {message}"):
        muxflow.load(path)
