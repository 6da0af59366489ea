"""Rungs, predictions, and the ladder that a project keeps until its sources change."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from muxflow.dataflow.errors import MismatchError, MuxflowError
from muxflow.dataflow.graph.graph import Graph, Readout
from muxflow.dataflow.graph.passes import append_arg_max
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.manifest import PROOF_FILE
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.scale import Scale
from muxflow.proof.compare import Outcome
from muxflow.proof.ladder import Ladder, differs, keep_ladder, kept_ladder, model_digest, predictions, rung, stale
from muxflow.reports.schema.stages import Accuracy, Rung

OUTCOME = Outcome("QONNX execution", ("a", "b", "c"), 450, 12_345, 1.5)


def test_a_rung_says_what_was_compared() -> None:
    assert rung(OUTCOME) == Rung("QONNX execution", "equal", 450, "3 tensors, 12,345 codes")
    assert rung(OUTCOME, "FIFOs at their depths").detail == "3 tensors, 12,345 codes, FIFOs at their depths"


def test_a_ladder_is_stale_when_the_sources_have_changed(tmp_path: Path) -> None:
    assert kept_ladder(tmp_path, "d") == Ladder()
    for ladder in (Ladder((rung(OUTCOME),), Accuracy("digits", "test", 450, 440)), Ladder((rung(OUTCOME),))):
        keep_ladder(tmp_path, "d", model_digest(tmp_path), ladder)
        assert kept_ladder(tmp_path, "d") == ladder
        changed = kept_ladder(tmp_path, "e")
        assert changed.accuracy is None
        assert changed.rungs == (stale(rung(OUTCOME)),)
        assert changed.rungs[0].status == "stale"
        assert "the sources have changed since" in changed.rungs[0].detail
    unrun = Rung("board", "not run", 0, "needs a board")
    keep_ladder(tmp_path, "d", model_digest(tmp_path), Ladder((unrun,)))
    assert kept_ladder(tmp_path, "e") == Ladder((unrun,))


def test_a_ladder_is_stale_when_the_model_file_is_another(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"one")
    ladder = Ladder((rung(OUTCOME),), Accuracy("digits", "test", 450, 440))
    keep_ladder(tmp_path, "d", model_digest(tmp_path), ladder)
    assert kept_ladder(tmp_path, "d") == ladder
    (tmp_path / "model.onnx").write_bytes(b"two")
    assert kept_ladder(tmp_path, "d") == Ladder((stale(rung(OUTCOME)),))
    (tmp_path / "model.onnx").unlink()
    assert kept_ladder(tmp_path, "d").accuracy is None


def test_a_difference_is_kept(tmp_path: Path) -> None:
    executions = [SimpleNamespace(title="QONNX execution", name="QONNX"), SimpleNamespace(title="csim", name="csim")]
    ladder = differs(executions, MismatchError("csim differs first at node a", "csim"))
    assert [(one.title, one.status) for one in ladder.rungs] == [("QONNX execution", "not run"), ("csim", "differs")]
    assert ladder.rungs[1].detail == "csim differs first at node a"
    keep_ladder(tmp_path, "d", model_digest(tmp_path), ladder)
    assert kept_ladder(tmp_path, "d") == ladder


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"digest": "d", "rungs": [{"height": 3}], "accuracy": null}'])
def test_a_damaged_ladder_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / PROOF_FILE).write_text(text)
    with pytest.raises(MuxflowError, match=r"proof\.json: not a proof of Muxflow .*run `muxflow csim` again"):
        kept_ladder(tmp_path, "d")


def test_what_a_ladder_lacks_is_said(tmp_path: Path) -> None:
    (tmp_path / PROOF_FILE).write_text('{"digest": "d"}')
    with pytest.raises(MuxflowError, match=r"not a proof of Muxflow \(it lacks 'rungs'\)"):
        kept_ladder(tmp_path, "d")


def classes_of(graph: Graph, codes: IntArray) -> IntArray:
    (output,) = graph.outputs
    return predictions(graph, output, graph.run(codes)[output])


def test_predictions_are_the_largest_logits_or_the_class_itself(make_graph: Callable[..., Graph]) -> None:
    readout = Readout((0.5,) * 3, (0.25,) * 3, (2, 0, 1), (3,))
    plain = make_graph(Stream((1, 1, 3), 0, 3), Scale([2, 2, 2]))
    graph = replace(plain, readouts={plain.outputs[0]: replace(readout, order=(0, 1, 2))})
    codes = np.array([[3, 0, 1], [0, 3, 1], [1, 0, 3], [0, 1, 2]]).reshape(4, 1, 1, 3)
    classes = [0, 1, 2, 2]
    np.testing.assert_array_equal(classes_of(graph, codes), classes)
    moved = replace(plain, readouts={plain.outputs[0]: readout})
    np.testing.assert_array_equal(np.array([2, 0, 1])[classes_of(moved, codes)], classes)
    on_chip = append_arg_max(graph)
    np.testing.assert_array_equal(classes_of(on_chip, codes), classes)
