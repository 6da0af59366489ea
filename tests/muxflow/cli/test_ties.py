"""`muxflow csim` of a network that differs from its file at near ties only."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from command_line import run
from onnx import TensorProto, helper, numpy_helper

import muxflow
from muxflow.proof.ladder import EQUAL_BUT_TIES


def quant(x: str, scale: str, bits: str, y: str, signed: int) -> onnx.NodeProto:
    return helper.make_node(
        "Quant", [x, scale, "zero", bits], [y], y, domain="qonnx.custom_op.general", signed=signed, narrow=0,
        rounding_mode="ROUND",
    )  # fmt: skip


def built(folder: Path, nodes: list[onnx.NodeProto], values: dict[str, npt.ArrayLike]) -> None:
    """Build a project of a network from x (4, 8, 8) to o (3, 4, 4), whose nodes have such constants."""
    parts = [numpy_helper.from_array(np.asarray(value, np.float32), name) for name, value in values.items()]
    ends = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", [1, 4, 8, 8]), ("o", [1, 3, 4, 4]))
    ]
    graph = helper.make_graph(nodes, "net", ends[:1], ends[1:], parts)
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("qonnx.custom_op.general", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), folder / "net.onnx")
    done = run("build", "net.onnx", "--output", "project", cwd=folder)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An average pool between two uses of one float-scale quantizer, where torch and QONNX differ too."""
    folder = tmp_path_factory.mktemp("ties")
    values = {"s": 1 / 15, "zero": 0, "four": 4, "eight": 8, "one": 1, "w": np.arange(12).reshape(3, 4, 1, 1) % 5 - 2}
    nodes = [
        quant("x", "s", "four", "a", 0),
        helper.make_node("AveragePool", ["a"], ["p"], "p", kernel_shape=[2, 2], strides=[2, 2]),
        quant("p", "s", "four", "act", 0),
        quant("w", "one", "eight", "wq", 1),
        helper.make_node("Conv", ["act", "wq"], ["o"], "conv"),
    ]
    built(folder, nodes, values)
    return folder


def test_ties_end_in_success_with_a_warning(folder: Path) -> None:
    assert int(muxflow.load(folder / "net.onnx").notes["near_ties"]) > 0
    done = run("csim", "project", "--variant", "native", "--json", cwd=folder)
    assert done.returncode == 0, done.stderr
    ladder = {row["title"]: row for row in json.loads(done.stdout)["ladder"]}
    assert ladder["QONNX execution"]["status"] == EQUAL_BUT_TIES
    assert ladder["C simulation, native integers"]["status"] == "equal"
    said = " ".join(done.stderr.split())
    assert (
        "warning: QONNX execution: 2 tensors" in said
        and "differ at near ties, where float rounding decides; first act" in said
    )
    done = run("report", "project", cwd=folder)
    assert done.returncode == 0 and EQUAL_BUT_TIES in done.stdout


def test_ties_are_errors_with_strict(folder: Path) -> None:
    done = run("csim", "project", "--variant", "native", "--strict", cwd=folder)
    assert done.returncode == 7 and "Traceback" not in done.stderr
    said = " ".join(done.stderr.split())
    assert (
        "QONNX execution differs from the graph first at act: image" in said
        and "codes that differ lie at near ties" in said
    )


def test_a_step_of_the_sum_may_be_several_codes(tmp_path: Path) -> None:
    """Sums in steps of 2.1 codes: float rounding moves those of 10.5 and 31.5 by one code, not by a step of the sum."""
    weights = np.random.default_rng(0).choice([-2.1, 2.1], (3, 4, 3, 3))
    values = {
        "zero": 0,
        "three": 3,
        "six": 6,
        "eight": 8,
        "one": 1,
        "s": 2.1,
        "w": weights,
        "v": np.eye(3)[..., None, None],
    }
    nodes = [
        quant("x", "one", "three", "a", 1),
        quant("w", "s", "three", "wq", 1),
        helper.make_node("Conv", ["a", "wq"], ["p"], "p", kernel_shape=[3, 3], pads=[0, 0, 1, 1], strides=[2, 2]),
        quant("p", "one", "six", "act", 1),
        quant("v", "one", "eight", "vq", 1),
        helper.make_node("Conv", ["act", "vq"], ["o"], "conv"),
    ]
    built(tmp_path, nodes, values)
    done = run("csim", "project", "--variant", "native", "--count", "64", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    ladder = {row["title"]: row["status"] for row in json.loads(done.stdout)["ladder"]}
    assert ladder["QONNX execution"] == EQUAL_BUT_TIES
