"""`muxflow check`."""

import json
from pathlib import Path

import numpy as np
import onnx
from command_line import run
from onnx import TensorProto, helper, numpy_helper

PRETRAINED = Path(__file__).parents[3] / "frontend" / "training" / "pretrained"


def test_check_answers_node_by_node(tmp_path: Path) -> None:
    done = run("check", PRETRAINED / "mognet_digits.onnx", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    entry = json.loads(done.stdout)
    assert entry["supported"]
    assert {"Conv", "Quant", "MuxJoin", "AutomatonWeights"} <= {node["op"] for node in entry["nodes"]}


def two_mistakes(path: Path) -> Path:
    """Two convolutions on raw pixels, of which one has float weights; a node after them that nothing imports."""
    nodes = [
        helper.make_node("Conv", ["x", "integers"], ["a"], "first", kernel_shape=[1, 1]),
        helper.make_node("Relu", ["a"], ["b"], "relu"),
        helper.make_node("Conv", ["x", "floats"], ["c"], "second", kernel_shape=[2, 2]),
        helper.make_node("Relu", ["c"], ["d"], "after"),
        helper.make_node("LSTM", ["d"], ["e"], "memory"),
        helper.make_node("LSTM", ["e"], ["f"], "more_memory"),
    ]
    weights = {"integers": np.ones((2, 1, 1, 1)), "floats": np.random.default_rng(0).normal(size=(2, 1, 2, 2))}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 1, 4, 4))],
        [helper.make_tensor_value_info("f", TensorProto.FLOAT, (1, 2, 4, 4))],
        [numpy_helper.from_array(array.astype(np.float32), name) for name, array in weights.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), path)
    return path


def test_check_shows_all_that_is_in_the_way_at_once(tmp_path: Path) -> None:
    """Past a missing input quantizer too; what is alike once, with a count; no list of all operators."""
    two_mistakes(tmp_path / "model.onnx")
    done = run("check", "model.onnx", cwd=tmp_path)
    assert done.returncode == 3 and not done.stderr
    quantizer, weights, lstm, counts = done.stdout.splitlines()
    assert quantizer.startswith("no: first (Conv) reads the input before any quantizer")
    assert weights.startswith("no: second (Conv): its weights are floats")
    assert lstm.startswith("no: memory (LSTM): LSTM is not supported; its gates and state are floats")
    assert lstm.endswith("(and 1 node more: more_memory)")
    assert "Conv," not in lstm
    assert counts == "model.onnx: 1 of 6 nodes ok, 1 not reached"
    entry = json.loads(run("check", "model.onnx", "--json", cwd=tmp_path).stdout)
    assert [node["node"] for node in entry["nodes"] if node["supported"]] == ["relu"]
    assert set(entry["nodes"][0]) == {"node", "op", "supported", "message"}
    given = run("check", "model.onnx", "--input-scale", "1/255", cwd=tmp_path).stdout
    assert "reads the input" not in given and "2 of 6 nodes ok" in given


def test_check_counts_what_is_fine_and_names_the_next_command(tmp_path: Path) -> None:
    model = PRETRAINED / "mognet_digits.onnx"
    done = run("check", model, cwd=tmp_path)
    assert done.stdout.splitlines() == [
        f"{model}: 110 of 110 nodes ok",
        f"next: muxflow fit {model} --board pynq-z2",
    ]
    assert len(run("check", model, "--verbose", cwd=tmp_path).stdout.splitlines()) == 113


def test_check_says_which_nodes_the_host_computes(tmp_path: Path) -> None:
    """A last layer whose quantizer was forgotten runs, but not on the chip; the first names of many, and a count."""
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 4, 4)) for name in ("t0", "t10")]
    names = [f"tail_{place}" for place in range(10)]
    nodes = [helper.make_node("Sigmoid", [f"t{at}"], [f"t{at + 1}"], name) for at, name in enumerate(names)]
    nodes[0] = helper.make_node("Conv", ["t0", "w"], ["t1"], "only", kernel_shape=[1, 1])
    weights = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "model.onnx")
    done = run("check", "model.onnx", "--input-scale", "1/255", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    told = f"model.onnx: 10 of 10 nodes ok, of which the host computes {', '.join(names[1:9])} and 1 more"
    assert done.stdout.splitlines()[0] == told
    shown = run("check", "model.onnx", "--input-scale", "1/255", "--verbose", cwd=tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in shown if line.endswith("left to the host")] == names[1:]


def test_check_notes_a_quantizer_that_was_forgotten_between_two_layers(tmp_path: Path) -> None:
    """It is supported, and computes right, with products of so many bits."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"], "first", kernel_shape=[1, 1]),
        helper.make_node("MaxPool", ["a"], ["b"], "pool", kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["b", "w"], ["y"], "second", kernel_shape=[1, 1]),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, side, side))
        for name, side in (("x", 4), ("y", 2))
    ]
    weights = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "model.onnx")
    done = run("check", "model.onnx", "--input-scale", "1/255", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    note = (
        "second multiplies the sums of first, 10 bits each, for want of a quantizer between them; one (QuantReLU, "
        "QuantIdentity) makes the product smaller"
    )
    assert done.stdout.splitlines()[:2] == [f"note: {note}", "model.onnx: 3 of 3 nodes ok"]
    assert (
        f"{note}"
        in json.loads(run("fit", "model.onnx", "--input-scale", "1/255", "--json", cwd=tmp_path).stdout)["remarks"]
    )
    short = run("check", "model.onnx", "--input-scale", "1/255", "--input-bits", "6", cwd=tmp_path).stdout
    assert short.splitlines()[0] == "model.onnx: 3 of 3 nodes ok"  # 8 bits: as wide as networks are quantized to


def test_inputs_are_described_by_options(tmp_path: Path) -> None:
    """The same words go on to the next command; what is no number, or lacks the scale, is wrong use."""
    node = helper.make_node("Conv", ["x", "w"], ["y"], "only", kernel_shape=[1, 1])
    info = [helper.make_tensor_value_info(name, TensorProto.FLOAT, (1, 3, 4, 4)) for name in "xy"]
    weights = numpy_helper.from_array(np.ones((3, 3, 1, 1), np.float32), "w")
    graph = helper.make_graph([node], "g", info[:1], info[1:], [weights])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "model.onnx")
    words = "--input-scale 1/128 --input-bits 8 --input-signed --input-mean 0.5 --input-std 1/4"
    done = run("check", "model.onnx", *words.split(), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == f"next: muxflow fit model.onnx --board pynq-z2 {words}"
    for given, message in (
        (["--input-bits", "8"], "bits, sign, mean and standard deviation are said with its scale"),
        (["--input-scale", "1/0"], "input scale '1/0'; give a number or a fraction such as 1/255"),
        (["--input-scale", "1", "--input-mean", "a,b"], "input mean 'a,b'; give numbers or fractions with commas"),
        (["--input-layout", "nhwc"], "channels-last"),
    ):
        wrong = run("check", "model.onnx", *given, cwd=tmp_path)
        assert wrong.returncode == 2 and message in wrong.stderr
