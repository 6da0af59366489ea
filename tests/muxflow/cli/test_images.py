"""`muxflow csim --images`: a user's own images, codes or floats, with or without labels."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import onnx
import pytest
from command_line import run
from onnx import TensorProto, helper, numpy_helper

import muxflow
from muxflow.dataflow.errors import GraphError, MuxflowError, UsageError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.graph import End, Entry, Graph, Readout
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import append_arg_max, append_top_k
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.frontend.floats import float_inputs
from muxflow.images import Images, file_images, labelled
from muxflow.proving import accuracy_of, images_for

COUNT = 6


@pytest.fixture(scope="module")
def graph(residual: Graph) -> Graph:
    return residual


def drawn(graph: Graph) -> np.ndarray:
    stream = graph.streams[graph.inputs[0]]
    return np.random.default_rng(3).integers(stream.lo, stream.hi + 1, (COUNT, *stream.shape))


def described(graph: Graph, entry: Entry) -> Graph:
    """The graph of a model whose input is made of codes as the entry says."""
    (name,) = graph.inputs
    streams = {**graph.streams, name: replace(graph.streams[name], scale=(1 / 15,))}
    return replace(graph, streams=streams, entries={name: entry})


def test_codes_with_labels_give_the_accuracy(workplace: Path, graph: Graph) -> None:
    """The accuracy is the share of images whose label is the answer of the graph, which gives codes."""
    codes = drawn(graph)
    labels = np.asarray(graph(codes)).reshape(COUNT, -1)[:, 0]
    labels[:2] += 1
    np.savez(workplace / "mine.npz", images=codes.astype(np.uint8), labels=labels)
    arguments = ("csim", "project", "--variant", "native", "--images", "mine.npz")
    done = run(*arguments, cwd=workplace)
    assert done.returncode == 0, done.stderr
    assert f"66.67 % on mine.npz, 4 of {COUNT} images" in done.stdout
    assert done.stdout.rstrip().endswith("next: muxflow report project")
    few = json.loads(run(*arguments, "--count", "2", "--json", cwd=workplace).stdout)
    assert (few["accuracy"]["correct"], few["accuracy"]["images"]) == (0, 2)
    both = run(*arguments, "--data", "digits", cwd=workplace)
    assert both.returncode == 2 and "both --data digits and --images mine.npz are given" in both.stderr
    lost = run(*arguments, "--data-folder", "digits", cwd=workplace)
    assert lost.returncode == 2 and "--data-folder digits is given without a data set" in lost.stderr


def test_files_of_one_name_are_told_apart_by_what_is_in_them(tmp_path: Path, graph: Graph) -> None:
    codes, labels = drawn(graph), np.zeros(len(drawn(graph)), np.int64)
    found = set()
    for number, (images, right) in enumerate(
        ((codes, labels), (codes, labels), (codes, labels + 1), (codes[::-1], labels))
    ):
        (tmp_path / str(number)).mkdir()
        file = tmp_path / str(number) / "mine.npz"
        np.savez(file, images=images, labels=right)
        given = file_images(graph, file, None)
        assert given.dataset == "mine.npz" and len(given.digest) == 12
        found.add(given.digest)
    assert len(found) == 3
    assert file_images(graph, file, 2).digest not in found
    assert images_for(graph, None, "test", None, 2).digest == ""


def test_the_digest_is_of_the_numbers_whatever_the_input_is_called(tmp_path: Path) -> None:
    codes, labels = np.random.default_rng(3).integers(0, 8, (5, 1, 1, 4)), np.arange(5)

    def digest(name: str, images: np.ndarray, right: np.ndarray) -> str:
        np.savez(tmp_path / "mine.npz", images=images, labels=right)
        graph = Graph("g", (), {name: Stream((1, 1, 4), 0, 255)}, (name,), (name,))
        return file_images(graph, tmp_path / "mine.npz", None).digest

    alike = {
        digest(name, codes.astype(of).reshape(5, *shape), labels.astype(label))
        for name, of, shape, label in (
            ("x", np.uint8, (1, 1, 4), np.uint8),
            ("input_1", np.int64, (4,), np.int64),
            ("labels", np.int16, (1, 4), np.int32),
        )
    }
    assert len(alike) == 1
    others = {digest("x", codes + 1, labels), digest("x", codes, labels + 1), digest("x", codes / 255.0, labels)}
    assert len(others | alike) == 4


def test_labels_that_are_no_class_name_the_output_before_width_converters(residual: Graph) -> None:
    folded = muxflow.fit(replace(residual, readouts={"g": Readout((1.0,), (0.0,), (0, 1, 2, 3), (1, 4))}), fps=10).graph
    assert folded.outputs[0] != "g"
    with pytest.raises(MuxflowError, match="labels up to 4, and the classes of g are 0 to 3; count"):
        labelled(folded, Images({}, np.array([4]), "mine.npz", ""), None)


def test_labels_that_are_no_class_are_refused_before_any_work(tmp_path: Path, graph: Graph) -> None:
    """Classes that are counted from 1 too; where the host decides the class none is counted."""
    (output,) = graph.outputs
    stream = graph.streams[output]
    labels = np.full(COUNT, stream.size)
    np.savez(tmp_path / "mine.npz", images=drawn(graph), labels=labels)
    told = Readout((1.0,), (0.0,), tuple(range(stream.size)), (1, stream.size))
    logits = replace(graph, readouts={output: told})
    with pytest.raises(
        MuxflowError,
        match=rf"mine\.npz: labels up to {stream.size}, and the classes of {output} are 0 to {stream.size - 1}; count",
    ):
        images_for(logits, None, "test", None, None, tmp_path / "mine.npz")
    with pytest.raises(MuxflowError, match=rf"the classes of {output} are 0 to {stream.hi}; count"):
        labelled(graph, Images({}, np.array([stream.hi + 1]), "mine.npz", ""), None)
    labelled(graph, Images({}, np.array([stream.hi]), "mine.npz", ""), None)
    opened = replace(logits, ends={output: End("logits", "head (Dense)", False)})
    assert images_for(opened, None, "test", None, None, tmp_path / "mine.npz").labels is not None


def test_integers_that_were_fractions_are_told(tmp_path: Path, graph: Graph) -> None:
    (name,) = graph.inputs
    most = graph.streams[name].hi
    for array in (drawn(graph) // (most + 1), drawn(graph) > 1):
        np.save(tmp_path / "x.npy", array)
        assert (
            file_images(graph, tmp_path / "x.npy", None).dataset
            == f"x.npy, no code above {int(array.max())}, of {most}"
        )


def test_labels_of_a_class_that_the_host_decides_are_warned_of(tmp_path: Path, graph: Graph) -> None:
    (output,) = graph.outputs
    muxflow.save(replace(graph, ends={output: End("logits", "head (Dense)", False)}), tmp_path / "open.npz")
    np.savez(tmp_path / "mine.npz", images=drawn(graph), labels=np.zeros(COUNT, int))
    assert run("build", "open.npz", "-o", "project", cwd=tmp_path).returncode == 0
    done = run("csim", "project", "--variant", "native", "--images", "mine.npz", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "warning: no accuracy: the host computes head (Dense), which decides the class" in done.stderr
    assert not any(line.startswith("accuracy") for line in done.stdout.splitlines())


@pytest.mark.parametrize(
    ("shape", "bits", "why"),
    [
        ((2, 2), 2, r"y is a map of shape \(2, 2\), not one value a class"),
        ((1, 4), 1, "y has elements of one bit, of which none is the largest"),
        ((1,), 2, "y is a single value, not one a class"),
    ],
)
def test_outputs_that_say_no_class(tmp_path: Path, shape: tuple[int, ...], bits: int, why: str) -> None:
    """Their labels are not counted, with a word; nothing orders them on the chip."""
    size = int(np.prod(shape))
    x, y = Stream((1, 1, size), 0, (1 << bits) - 1), Stream((1, 1, size), 0, (1 << bits) - 1)
    readout = Readout((1.0,), (0.0,), tuple(range(size)), shape)
    graph = Graph(
        "plain", (Node("n", Scale([1] * size), ("x",), ("y",)),), {"x": x, "y": y}, ("x",), ("y",), {"y": readout}
    )
    assert re.fullmatch(why, graph.why_no_class("y"))
    for append in (append_arg_max, partial(append_top_k, k=1)):
        with pytest.raises(GraphError, match=f"^plain: {why}, so there are no logits to order"):
            append(graph)
    muxflow.save(graph, tmp_path / "plain.npz")
    np.savez(tmp_path / "mine.npz", images=np.ones((COUNT, 1, 1, size), np.uint8), labels=np.zeros(COUNT, int))
    assert run("build", "plain.npz", "-o", "project", "--fps", "100", cwd=tmp_path).returncode == 0
    done = run("csim", "project", "--variant", "native", "--images", "mine.npz", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(f"warning: no accuracy: {why}", done.stderr) and json.loads(done.stdout)["accuracy"] is None


def test_of_several_outputs_that_say_a_class_the_counted_one_is_named() -> None:
    x = Stream((1, 1, 3), 0, 3)
    nodes = (Node("f", Fork(2), ("x",), ("a", "b")), Node("n", Scale([1, 2, 0]), ("b",), ("c",)))
    logits = Readout((1.0,), (0.0,), (0, 1, 2), (3,))
    streams = {"x": x, "a": x, "b": x, "c": Stream((1, 1, 3), 0, 6)}
    graph = Graph("two", nodes, streams, ("x",), ("a", "c"), {"a": logits, "c": logits})
    codes = np.array([[3, 2, 0], [0, 1, 3], [1, 0, 0]]).reshape(3, 1, 1, 3)
    images = Images({"x": codes}, np.array([1, 1, 0]), "mine.npz", "")
    outputs = graph.run(codes, keep=graph.outputs)
    for chosen, correct, named in ((None, 1, "a"), ("a", 1, "a"), ("c", 3, "c")):
        found = accuracy_of(graph, labelled(graph, images, chosen), outputs)
        assert found is not None and (found.correct, found.output) == (correct, named)
        assert found.source == f"mine.npz, output {named}"
    with pytest.raises(UsageError, match=r"^--labels-of 'x': no output of two that says a class; there is a, c$"):
        labelled(graph, images, "x")
    with pytest.raises(MuxflowError, match=r"labels up to 3, .* of a are 0 to 2; .* with --labels-of \(a, c\)"):
        labelled(graph, replace(images, labels=np.array([3])), None)
    graph = replace(graph, ends={"a": End("logits", "head (Dense)", False)})
    found = accuracy_of(graph, labelled(graph, images, None), outputs)
    assert found is not None and (found.correct, found.output) == (3, "")


def test_what_is_said_of_several_inputs_is_said_once(tmp_path: Path) -> None:
    streams = {"a": Stream((1, 1, 4), 0, 7), "b": Stream((1, 1, 4), 0, 7)}
    ends = [Node(f"only_{name}", Threshold([[3]], [0]), (name,), (f"{name}_out",)) for name in streams]
    graph = with_nodes(Graph("two", (), streams, tuple(streams), ("a_out", "b_out")), ends)
    np.savez(tmp_path / "x.npz", a=np.full((2, 4), 3.25), b=np.full((2, 4), 5.0))
    assert file_images(graph, tmp_path / "x.npz", None).dataset == "x.npz, floats rounded to codes"
    np.savez(tmp_path / "x.npz", a=np.full((2, 4), 3.25), b=np.full((2, 4), 9.0))
    said = "x.npz, floats rounded to codes, floats rounded to codes, 100 % of them clipped"
    assert file_images(graph, tmp_path / "x.npz", None).dataset == said


def test_floats_become_the_nearest_codes(tmp_path: Path, graph: Graph) -> None:
    codes = drawn(graph)
    (name,) = graph.inputs
    stream = graph.streams[name]
    scale = (*stream.scale, 1.0)[0]
    np.save(tmp_path / "x.npy", ((codes + 0.4) * scale).astype(np.float32))
    found = file_images(graph, tmp_path / "x.npy", None)
    assert np.array_equal(found.codes[name], codes) and found.labels is None  # type: ignore[index]
    assert found.dataset == "x.npy, floats rounded to codes"
    np.save(tmp_path / "far.npy", np.full(codes.shape, (stream.hi + 9.0) * scale))
    found = file_images(graph, tmp_path / "far.npy", 1)
    assert (found.codes[name] == stream.hi).all() and len(found.codes[name]) == 1  # type: ignore[index]
    assert found.dataset.endswith("100 % of them clipped")


def test_codes_as_floats_are_refused(tmp_path: Path, graph: Graph) -> None:
    (name,) = graph.inputs
    eighths = replace(graph, streams={**graph.streams, name: replace(graph.streams[name], scale=(1 / 8,))})
    np.save(tmp_path / "codes.npy", drawn(graph).astype(np.float32))
    with pytest.raises(
        MuxflowError, match=r"whole numbers up to 7 as floats, .* end at 0\.875; give codes as integers"
    ):
        file_images(eighths, tmp_path / "codes.npy", None)
    assert np.array_equal(file_images(graph, tmp_path / "codes.npy", None).codes[name], drawn(graph))  # type: ignore[index]
    np.save(tmp_path / "black_and_white.npy", (drawn(graph) > 3).astype(np.float32))
    assert "of them clipped" in file_images(eighths, tmp_path / "black_and_white.npy", None).dataset


def test_files_that_do_not_fit_are_named_and_channels_first_is_hinted(tmp_path: Path, graph: Graph) -> None:
    codes = drawn(graph)
    shape = ", ".join(map(str, codes.shape[1:]))
    for arrays, message in [
        ({"images": codes.transpose(0, 3, 1, 2)}, r"is channels first; .* save images.transpose\(0, 2, 3, 1\)"),
        ({"images": codes[:, :-1]}, rf"expected \(N, {shape}\), channels last"),
        ({"images": codes + 1000}, r"mine\.npz: .* the input holds"),
        ({"images": codes[:0]}, r"mine\.npz: .* no images; give at least one"),
        ({"images": codes / 0.0 if codes.all() else np.full(codes.shape, np.nan)}, "NaN or infinity"),
        ({"images": codes, "labels": np.zeros(COUNT - 1, int)}, rf"a class index for each of {COUNT} images"),
        ({"images": codes, "labels": np.zeros((COUNT, 4), int)}, "expected a class index"),
        ({"images": codes, "labels": np.full(COUNT, -1)}, "labels hold -1, which is no class"),
        (
            {"images": codes, "labels": np.full(COUNT, 1 << 63, np.uint64)},
            "labels hold 9223372036854775808, which is no class",
        ),
        (
            {"images": codes, graph.inputs[0]: codes},
            f"holds images and {graph.inputs[0]}, both for the one input; keep one",
        ),
        ({"a": codes, "b": codes}, "holds a, b; expected images, and labels for the accuracy"),
        ({"a\nerror: none": codes, "b\x1b[31m": codes}, r"holds a\?error: none, b\?\[31m; expected"),
        ({"a\nb": np.array(["c"])}, r"a\?b is 1-dimensional"),
        ({"images": codes.astype(str)}, "expected arrays of numbers"),
        ({"images": np.array([None])}, "cannot be read as arrays of NumPy"),
    ]:
        np.savez(tmp_path / "mine.npz", **arrays)
        with pytest.raises(MuxflowError, match=rf"mine.npz: .*{message}|{message}"):
            file_images(graph, tmp_path / "mine.npz", None)
    with pytest.raises(MuxflowError, match=r"none\.npz: no such file"):
        file_images(graph, tmp_path / "none.npz", None)
    (tmp_path / "text.npz").write_text("not a file of arrays")
    with pytest.raises(MuxflowError, match="cannot be read as arrays of NumPy"):
        file_images(graph, tmp_path / "text.npz", None)


def test_axes_of_one_element_need_not_be_there(tmp_path: Path) -> None:
    pretrained = Path(__file__).parents[3] / "frontend" / "training" / "pretrained"
    graph = muxflow.load(pretrained / "mognet_digits.onnx")
    grey = np.random.default_rng(0).integers(0, 256, (3, 8, 8))
    for shape in [(3, 8, 8), (3, 8, 8, 1), (3, 1, 8, 8)]:
        np.save(tmp_path / "grey.npy", grey.reshape(shape).astype(np.uint8))
        found = file_images(graph, tmp_path / "grey.npy", None)
        assert np.array_equal(found.codes[graph.inputs[0]], grey[..., None])  # type: ignore[index]


def test_floats_after_mean_and_standard_deviation_become_the_pixels(tmp_path: Path, graph: Graph) -> None:
    """The model's own input values: raw pixels come back, whatever is normalized behind them."""
    stream = graph.streams[graph.inputs[0]]
    mean, std = tuple(np.linspace(0.1, 0.5, stream.channels)), (0.25,)
    entry = Entry((2, 0, 1), (stream.channels, *stream.shape[:-1]), mean, std)
    normal = described(graph, entry)
    codes = drawn(normal)
    np.save(tmp_path / "x.npy", np.moveaxis(float_inputs(normal, codes)[0], 1, -1))
    found = file_images(normal, tmp_path / "x.npy", None)
    assert np.array_equal(found.codes[graph.inputs[0]], codes)  # type: ignore[index]
    assert found.dataset == "x.npy, floats after mean and standard deviation rounded to codes"


@pytest.mark.parametrize(
    ("axes", "swapped"), [((2, 0, 1), False), ((0, 1, 2), False), ((1, 2, 0), True), ((2, 1, 0), True)]
)
def test_images_in_the_order_of_a_flat_input(
    axes: tuple[int, ...], swapped: bool, tmp_path: Path, graph: Graph
) -> None:
    """As the model takes them, codes and floats: the same codes as channels last, which say nothing where it swaps axes."""
    (name,) = graph.inputs
    stream = graph.streams[name]
    flat = described(graph, Entry(axes, (stream.size,)))
    codes = drawn(flat)
    lined = codes.transpose(0, *(1 + axis for axis in axes)).reshape(COUNT, -1)
    for array in (*(() if swapped else (codes,)), lined, *float_inputs(flat, codes)):
        np.save(tmp_path / "x.npy", array)
        assert np.array_equal(file_images(flat, tmp_path / "x.npy", None).codes[name], codes)  # type: ignore[index]
    said = "give them as the model reads them" if swapped else "channels last, or as the model's input"
    for array in (lined[:, 1:], *((codes,) if swapped else ())):
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(MuxflowError, match=rf"{said}, \(N, {stream.size}\)"):
            file_images(flat, tmp_path / "x.npy", None)


def write_plain(path: Path) -> None:
    """A model that reads normalized floats (N, 3, 4, 5): 8 bits, a convolution of whole weights over all of the map, 4 bits."""
    weights = np.random.default_rng(1).integers(-3, 4, (6, 3, 4, 5)).astype(np.float32)
    constants = {"w": weights, "s": 1.0, "z": 0, "b": 4, "t": 1 / 32, "e": 8}
    domain = "qonnx.custom_op.general"
    nodes = [
        helper.make_node("Quant", ["x", "t", "z", "e"], ["i"], "first", domain=domain, signed=1, narrow=0),
        helper.make_node("Conv", ["i", "w"], ["y"], "conv"),
        helper.make_node("Quant", ["y", "s", "z", "b"], ["q"], "q", domain=domain, signed=0, narrow=0),
        helper.make_node("Flatten", ["q"], ["out"], "flat"),
    ]
    value = helper.make_tensor_value_info
    inputs, outputs = value("x", TensorProto.FLOAT, [1, 3, 4, 5]), value("out", TensorProto.FLOAT, [1, 6])
    held = [numpy_helper.from_array(np.asarray(array, np.float32), name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "m", [inputs], [outputs], held)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid(domain, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def test_described_inputs_from_the_command_line_to_the_accuracy(tmp_path: Path) -> None:
    """Bits, sign, scale, mean and deviation at `build`; normalized floats as torch has them, moved to the end, at `csim`."""
    pixels = np.random.default_rng(0).integers(0, 16, (COUNT, 4, 5, 3))
    mean, std = np.float32([0.4, 0.5, 0.3]), np.float32([0.25, 0.5, 0.2])
    values = (np.float32(pixels / 15) - mean) / std
    write_plain(tmp_path / "m.onnx")
    given = ("--input-scale", "1/15", "--input-bits", "4", "--input-unsigned")
    given += ("--input-mean", "0.4,0.5,0.3", "--input-std", "0.25,0.5,0.2")
    done = run("build", "m.onnx", "-o", "p", *given, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    graph = muxflow.open_project(tmp_path / "p").design.graph
    labels = np.asarray(graph(pixels)).reshape(COUNT, -1).argmax(1)
    assert len(set(labels.tolist())) > 1
    np.savez(tmp_path / "x.npz", images=values, labels=labels)
    done = run("csim", "p", "--variant", "native", "--images", "x.npz", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    accuracy = json.loads(done.stdout)["accuracy"]
    assert (accuracy["correct"], accuracy["images"]) == (COUNT, COUNT)
    assert accuracy["dataset"] == "x.npz, floats after mean and standard deviation rounded to codes"
