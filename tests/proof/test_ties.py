"""Differences at near ties are followed, counted and allowed; others are not."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from muxflow.dataflow.errors import GraphError, MismatchError
from muxflow.dataflow.graph.edit import with_nodes
from muxflow.dataflow.graph.file import read_graph, write_graph
from muxflow.dataflow.graph.graph import EVERY, Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.passes import insert_forks, rising_thresholds
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.proof.compare import compare
from muxflow.proof.execution import Tensor
from muxflow.proof.ladder import EQUAL_BUT_TIES, is_warning, rung


@dataclass(frozen=True, eq=False)
class Exactly:
    """Floats that stand for whole codes, whatever is expected."""

    values: IntArray

    def codes(self, expected: IntArray, stream: str) -> IntArray:
        return self.values


@dataclass
class Model:
    """A float model: the graph with a change to the codes of one stream, which goes on from there."""

    graph: Graph
    shown: tuple[str, ...]
    change: Callable[[IntArray, IntArray], IntArray] = lambda x, y: y
    title: str = "a float model"
    name: str = "model"

    def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
        values: dict[str, IntArray] = dict(codes)
        for node in self.graph.nodes:
            (x,) = (values[name] for name in node.inputs)
            (values[node.outputs[0]],) = node.op.compute(x)
            if node.name == "act":
                values["y"] = self.change(x, values["y"].copy())
        return {name: Exactly(values[name]) for name in self.shown}


def network(thresholds: npt.ArrayLike, ties: tuple[tuple[int, ...], ...]) -> Graph:
    """Make x --> act (two rows of thresholds) --> y --> scale --> out."""
    nodes = (
        Node("act", Threshold(np.array(thresholds), np.zeros(2, np.int64)), ("x",), ("y",)),
        Node("scale", Scale((3,)), ("y",), ("out",)),
    )
    empty = Graph("net", (), {"x": Stream((2, 2, 2), 0, 15)}, ("x",), ("out",))
    return with_nodes(empty, nodes, ties={"act": ties})


@pytest.fixture(params=[((0, 4, 2), (1, 7, 1)), ((0, 4), (1, 7))], ids=["listed", "of an older file"])
def graph(request: pytest.FixtureRequest) -> Graph:
    """A network in which rounding decides at 4 in row 0, at 7 in row 1."""
    return network([[2, 5, 9], [3, 7, 11]], request.param)


def images(first: int = 0) -> IntArray:
    """Every code in both rows, and more ties in the last image."""
    codes = np.stack([np.full((2, 2, 2), value) for value in range(16)])
    codes[15] = [[[4, 7], [4, 4]], [[7, 7], [0, 7]]]
    return codes[first:]


def other(x: IntArray, y: IntArray) -> IntArray:
    """What rounding may also give: one more at 4 in row 0, one less at 7 in row 1."""
    y[..., 0] += x[..., 0] == 4
    y[..., 1] -= x[..., 1] == 7
    return y


def test_ties_are_counted_and_what_follows_from_them_is_none(graph: Graph) -> None:
    (outcome,) = compare(graph, [Model(graph, ("y", "out"), other)], images(), tolerant=True).outcomes
    assert outcome.ties is not None
    assert (outcome.ties.inside, outcome.ties.outside, outcome.ties.images) == (4 + 4 + 2 + 3, 0, 3)
    assert outcome.ties.first_inside == "y: image 4, index (0, 0, 0): 2, graph 1"
    assert outcome.codes == 2 * 16 * 8
    shown = rung(outcome)
    assert shown.status == EQUAL_BUT_TIES and is_warning(shown)
    assert shown.detail.startswith(
        "2 tensors, 256 codes, 13 of them in 3 images differ at near ties, where float rounding"
    )


def test_ties_of_a_shift_are_of_channels_or_of_all() -> None:
    """A shift by one bit, code 4 may be 3; in the second channel 7 may be 2."""
    shift = Node("act", ShiftClip([0], 1, 0, 7), ("x",), ("y",))
    empty = Graph("net", (), {"x": Stream((2, 2, 2), 0, 15)}, ("x",), ("y",))
    graph = with_nodes(empty, (shift,), ties={"act": ((EVERY, 4, 3), (1, 7, 2))})

    def change(x: IntArray, y: IntArray) -> IntArray:
        y[x == 4] = 3
        y[..., 1][x[..., 1] == 7] = 2
        return y

    (outcome,) = compare(graph, [Model(graph, ("y",), change)], images(), tolerant=True).outcomes
    assert outcome.ties is not None and (outcome.ties.inside, outcome.ties.outside) == (8 + 3 + 4 + 3, 0)
    with pytest.raises(MismatchError, match="and 5 elsewhere"):  # of the first channel at 7
        compare(graph, [Model(graph, ("y",), lambda x, y: np.where(x == 7, 2, y))], images(), tolerant=True)


def test_ties_of_other_nodes_excuse_nothing() -> None:
    """A file may list them, of nodes whose input has another shape than their output."""
    thresholds = network([[2, 5, 9], [3, 7, 11]], ())
    graph = with_nodes(thresholds, thresholds.nodes, ties={"scale": ((EVERY, 1, 6),)})

    @dataclass
    class Scaled(Model):
        def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
            out = self.graph(codes["x"])
            assert isinstance(out, np.ndarray)
            return {"out": Exactly(np.where(out == 3, 6, out))}

    with pytest.raises(MismatchError, match="0 codes differ where float rounding decides"):
        compare(graph, [Scaled(graph, ("out",))], images(), tolerant=True)


def test_ties_of_later_images_are_numbered_on(graph: Graph) -> None:
    many = np.concatenate([np.zeros((60, 2, 2, 2), np.int64), images(15)])
    (outcome,) = compare(graph, [Model(graph, ("out", "y"), other)], many, tolerant=True).outcomes
    assert outcome.ties is not None and outcome.ties.inside == 5
    assert outcome.ties.first_inside.startswith("y: image 60, index")


def test_a_tie_that_is_not_shown_explains_what_comes_after_it(graph: Graph) -> None:
    (outcome,) = compare(graph, [Model(graph, ("out",), other)], images(), tolerant=True).outcomes
    assert outcome.ties is not None and outcome.ties.inside == 13 and outcome.ties.images == 3
    assert outcome.ties.first_inside == "out: image 4, index (0, 0, 0): 6, graph 3"


def wrong_beside(x: IntArray, y: IntArray) -> IntArray:
    return y + (x == 6)


def wrong_way(x: IntArray, y: IntArray) -> IntArray:
    y[..., 0] -= x[..., 0] == 4
    return y


@pytest.mark.parametrize(("change", "inside", "outside"), [(wrong_beside, 0, 8), (wrong_way, 0, 6)])
def test_other_differences_are_errors_with_their_number(
    graph: Graph, change: Callable[..., Any], inside: int, outside: int
) -> None:
    message = (
        rf"first at .*; followed from tie to tie, {inside} codes differ where float rounding decides, and {outside} els"
    )
    with pytest.raises(MismatchError, match=message):
        compare(graph, [Model(graph, ("y", "out"), change)], images(), tolerant=True)


def test_both_kinds_are_counted(graph: Graph) -> None:
    both = Model(graph, ("y", "out"), lambda x, y: wrong_beside(x, other(x, y)))
    with pytest.raises(
        MismatchError, match=r"13 codes differ where float rounding decides, and 8 elsewhere, first at y"
    ):
        compare(graph, [both], images(), tolerant=True)


@pytest.mark.parametrize(("ties", "allowed"), [((0, 4, 2), {2}), ((0, 4, 2, 3), {2, 3}), ((0, 4), set())])
def test_only_codes_that_rounding_can_give_are_ties(ties: tuple[int, ...], allowed: set[int]) -> None:
    """At 4 the code is 1, at 5 it is 4: rounding moves it past some thresholds, not on to the next sum."""
    graph = network([[2, 5, 5, 5, 9], [3, 7, 7, 7, 11]], (ties,))
    for code in (0, 2, 3, 4, 5):

        def change(x: IntArray, y: IntArray, code: int = code) -> IntArray:
            return np.where((x == 4) & (np.arange(2) == 0), code, y)

        model = Model(graph, ("y", "out"), change)
        if code in allowed:
            (outcome,) = compare(graph, [model], images(), tolerant=True).outcomes
            assert outcome.ties is not None and (outcome.ties.inside, outcome.ties.outside) == (4 + 2, 0)
        else:
            with pytest.raises(MismatchError, match="and 6 elsewhere, first at y: image 4"):
                compare(graph, [model], images(), tolerant=True)


def test_ties_that_no_input_has_are_passed_over() -> None:
    graph = network([[2, 5, 9], [3, 7, 11]], ((0, 2**70, 1), (2**70, 4, 1), (-2, 4, 1), (0, -(2**63), 1)))
    with pytest.raises(MismatchError, match="0 codes differ where float rounding decides"):
        compare(graph, [Model(graph, ("y", "out"), other)], images(), tolerant=True)


def test_ties_are_errors_when_that_is_asked_for(graph: Graph) -> None:
    with pytest.raises(
        MismatchError,
        match=r'^model differs .*; all 13 codes that differ lie at near ties, .* model has y.*; see "Near ties" in docs/refe',
    ):
        compare(graph, [Model(graph, ("y", "out"), other)], images())


def test_integers_have_no_ties(graph: Graph) -> None:
    @dataclass
    class Integers(Model):
        def run(self, codes: Mapping[str, IntArray]) -> Mapping[str, Tensor]:
            return {name: value.values for name, value in super().run(codes).items()}  # type: ignore[union-attr]

    with pytest.raises(MismatchError, match=r"^model differs from the graph first at [^;]*$"):
        compare(graph, [Integers(graph, ("y", "out"), other)], images(), tolerant=True)


def test_equal_models_have_no_ties(graph: Graph) -> None:
    (outcome,) = compare(graph, [Model(graph, ("y", "out"))], images(), tolerant=True).outcomes
    assert outcome.ties is None and rung(outcome).status == "equal" and not is_warning(rung(outcome))


def test_ties_are_kept_in_files_and_by_passes(graph: Graph, tmp_path: Path) -> None:
    write_graph(graph, tmp_path / "graph.npz")
    assert read_graph(tmp_path / "graph.npz").ties == graph.ties
    assert insert_forks(graph).ties == graph.ties
    assert rising_thresholds(graph).ties == graph.ties
    assert with_nodes(graph, graph.nodes[:1], outputs=("y",)).ties == graph.ties
    with pytest.raises(GraphError, match="ties of none, which is no node"):
        with_nodes(graph, graph.nodes, ties={"none": ((0, 1),)})
    with pytest.raises(GraphError, match="a tie of act that names no row and input code"):
        with_nodes(graph, graph.nodes, ties={"act": ((0, 1), (1,))})
    assert replace(graph, ties={}).ties == {}
