"""The comparison: it names the first difference, evaluates the graph once, and lets go of what it has compared."""

import gc
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from muxflow.dataflow.errors import MismatchError, MuxflowError
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.op import IntArray, Op
from muxflow.proof import compare as comparing
from muxflow.proof.compare import BATCH, compare


@dataclass
class Fake:
    """Runs the graph itself, and changes what it gives."""

    graph: Graph
    names: tuple[str, ...] = ()
    change: Callable[[dict[str, IntArray]], None] = lambda _: None
    name: str = "fake"
    title: str = "a fake execution"
    batches: list[int] = field(default_factory=list)

    def run(self, codes: Mapping[str, IntArray]) -> dict[str, IntArray]:
        self.batches.append(len(next(iter(codes.values()))))
        values = self.graph.run(codes, keep=(*self.names, *self.graph.outputs))
        found = {name: array.copy() for name, array in values.items()}
        self.change(found)
        return found


def images(count: int) -> IntArray:
    return np.random.default_rng(0).integers(0, 8, (count, 6, 6, 4))


def adds(name: str, image: int, index: tuple[int, ...]) -> Callable[[dict[str, IntArray]], None]:
    """One code of a stream one too large, counted from the start of the batch."""

    def change(found: dict[str, IntArray]) -> None:
        if image < len(found[name]):
            found[name][(image, *index)] += 1

    return change


def test_what_was_compared_is_told(residual: Graph) -> None:
    told: list[tuple[int, int]] = []
    executions = [Fake(residual, ("codes", "sums")), Fake(residual, title="another")]
    agreed = compare(residual, executions, images(120), lambda done, total: told.append((done, total)))
    sizes = {name: stream.size for name, stream in residual.streams.items()}
    first, second = agreed.outcomes
    assert (first.title, first.streams, first.images) == ("a fake execution", ("codes", "sums", "g"), 120)
    assert first.codes == 120 * (sizes["codes"] + sizes["sums"] + sizes["g"])
    assert (second.title, second.streams, second.codes) == ("another", ("g",), 120 * sizes["g"])
    assert 0 < first.seconds == pytest.approx(120 / first.images_per_second)
    assert told == [(64, 120), (120, 120)]
    assert executions[0].batches == executions[1].batches == [64, 56]
    np.testing.assert_array_equal(agreed.outputs["g"], residual(images(120)))


def test_the_first_difference_is_named_in_topological_order(residual: Graph) -> None:
    """Of several, the one nearest to the input, whichever order the execution gives them in."""

    def change(found: dict[str, IntArray]) -> None:
        for name in ("y", "codes", "sums"):
            adds(name, 3, (1, 2, 0))(found)

    wanted = residual.run(images(4), keep=("sums",))["sums"][3, 1, 2, 0]
    message = r"^fake differs from the graph first at node conv, stream sums: image 3, index \(1, 2, 0\): "
    message += rf"fake {wanted + 1}, graph {wanted}$"
    with pytest.raises(MismatchError, match=message):
        compare(residual, [Fake(residual), Fake(residual, ("y", "codes", "sums"), change)], images(4))


def test_the_input_is_named(residual: Graph) -> None:
    with pytest.raises(MismatchError, match=r"first at node input, stream x: image 0, index \(0, 0, 3\)"):
        compare(residual, [Fake(residual, ("x",), adds("x", 0, (0, 0, 3)))], images(1))


def test_an_execution_without_an_output_is_named(residual: Graph) -> None:
    def change(found: dict[str, IntArray]) -> None:
        del found["g"]

    with pytest.raises(MismatchError, match="fake gives no output g of residual"):
        compare(residual, [Fake(residual, ("codes",), change)], images(2))


def test_images_are_counted_through_all_batches(residual: Graph) -> None:
    (output,) = residual.outputs
    index = (0,) * len(residual.streams[output].shape)
    seen: list[int] = []

    def change(found: dict[str, IntArray]) -> None:
        seen.append(len(found[output]))
        if len(seen) == 3:
            adds(output, 7, index)(found)

    with pytest.raises(MismatchError, match=f"image {2 * BATCH + 7}, index"):
        compare(residual, [Fake(residual, (), change)], images(3 * BATCH))


def test_other_shapes_are_named(residual: Graph) -> None:
    def change(found: dict[str, IntArray]) -> None:
        found["codes"] = found["codes"][:, :1]

    def regroup(found: dict[str, IntArray]) -> None:
        found["codes"] = found["codes"].reshape(1, -1)

    for one in (change, regroup):
        with pytest.raises(MismatchError, match=r"^fake differs from the graph at node act, stream codes: shapes \("):
            compare(residual, [Fake(residual, ("codes",), one)], images(2))


def test_unknown_streams_and_streams_of_some_images_are_named(residual: Graph) -> None:
    def unknown(found: dict[str, IntArray]) -> None:
        found["zz"] = found["codes"]

    with pytest.raises(MismatchError, match="fake gives zz, which is no stream of"):
        compare(residual, [Fake(residual, ("codes",), unknown)], images(2))
    runs: list[int] = []

    def once(found: dict[str, IntArray]) -> None:
        runs.append(1)
        if len(runs) > 1:
            del found["codes"]

    with pytest.raises(MismatchError, match="fake gives codes of some images and not of others"):
        compare(residual, [Fake(residual, ("codes",), once)], images(2 * BATCH))


def test_no_execution_changes_the_images_of_another(residual: Graph) -> None:
    class Changes(Fake):
        def run(self, codes: Mapping[str, IntArray]) -> dict[str, IntArray]:
            next(iter(codes.values()))[:] = 0
            return super().run(codes)

    with pytest.raises(ValueError, match="read-only"):
        compare(residual, [Changes(residual)], images(2))


def test_no_images(residual: Graph) -> None:
    with pytest.raises(MuxflowError, match="no images; give at least one"):
        compare(residual, [Fake(residual)], images(0))
    with pytest.raises(MuxflowError, match="no images; give at least one"):
        compare(residual, [Fake(residual)], iter([]))


def test_codes_are_checked(residual: Graph) -> None:
    with pytest.raises(MuxflowError, match="the input holds"):
        compare(residual, [Fake(residual)], images(60) + 1)


def test_the_graph_is_evaluated_once_for_all_executions(residual: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: Counter[str] = Counter()
    for kind in {type(node.op) for node in residual.nodes}:

        def counted(self: Op, *inputs: IntArray, inner: Any = kind.compute) -> Any:
            calls[self.kind] += 1
            return inner(self, *inputs)

        monkeypatch.setattr(kind, "compute", counted)
    one = images(20)
    known = residual.run(one, keep=residual.outputs)

    class Still(Fake):
        """Gives what was computed before, and computes nothing."""

        def run(self, codes: Mapping[str, IntArray]) -> dict[str, IntArray]:
            return known

    calls.clear()
    compare(residual, [Still(residual), Still(residual), Still(residual)], one)
    assert calls == Counter(node.op.kind for node in residual.nodes)


def test_memory_does_not_grow_with_the_number_of_images(residual: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forty batches, and of no more than two is anything alive: neither input codes nor what an execution gave."""
    alive: dict[str, list[weakref.ref[Any]]] = {"given": [], "observed": []}
    most = Counter[str]()

    def note(kind: str, array: IntArray) -> IntArray:
        gc.collect()
        alive[kind] = [ref for ref in alive[kind] if ref() is not None] + [weakref.ref(array)]
        most[kind] = max(most[kind], len(alive[kind]))
        return array

    def batches() -> Iterator[IntArray]:
        rng = np.random.default_rng(0)
        for _ in range(40):
            yield note("given", rng.integers(0, 8, (5, 6, 6, 4)))

    def change(found: dict[str, IntArray]) -> None:
        for array in found.values():
            note("observed", array)

    told: list[tuple[int, int]] = []
    execution = Fake(residual, ("codes", "sums"), change)
    gc.freeze()  # what other tests left alive need not be walked by every collection
    agreed = compare(residual, [execution], batches(), lambda done, total: told.append((done, total)))
    gc.unfreeze()
    assert agreed.outcomes[0].images == 200
    assert told[-1] == (200, 0)
    assert most["given"] <= 2
    assert most["observed"] <= 2 * 3


def test_large_frames_come_in_small_batches(residual: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = residual.weights()
    frame = sum(stream.size for name, stream in residual.streams.items() if name not in weights)
    for limit, sizes in ((3 * frame, [3, 3, 1]), (frame - 1, [1] * 7)):
        monkeypatch.setattr(comparing, "BATCH_CODES", limit)
        execution = Fake(residual)
        compare(residual, [execution], images(7))
        assert execution.batches == sizes
