"""The codec: every op's attributes, graphs, and what is refused by name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from muxflow.dataflow.errors import GraphError, MuxflowError
from muxflow.dataflow.graph.codec import decode_op, encode_op, from_json, to_json
from muxflow.dataflow.graph.file import decode_graph, encode_graph, read_graph, write_graph
from muxflow.dataflow.graph.graph import Graph
from muxflow.dataflow.graph.node import Node
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import Fold, IntArray, Op
from muxflow.dataflow.ops import OPS
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.loaded_weights import LoadedWeights
from muxflow.dataflow.ops.lstm_cell import LstmCell
from muxflow.dataflow.ops.matrix_vector import MatrixVector
from muxflow.dataflow.ops.mux_join import MuxJoin
from muxflow.dataflow.ops.or_join import OrJoin
from muxflow.dataflow.ops.pool import Pool
from muxflow.dataflow.ops.resize import Resize
from muxflow.dataflow.ops.rom_weights import RomWeights
from muxflow.dataflow.ops.scale import Scale
from muxflow.dataflow.ops.shift_clip import ShiftClip
from muxflow.dataflow.ops.sliding_window import SlidingWindow
from muxflow.dataflow.ops.thermometer_encode import ThermometerEncode
from muxflow.dataflow.ops.threshold import Threshold
from muxflow.dataflow.ops.top_k import TopK
from muxflow.dataflow.ops.width_converter import WidthConverter
from muxflow.dataflow.ops.window_pool import WindowPool

X = Stream((2, 4, 2), 0, 3)
# A legal op of each kind with inputs that it takes; attributes are changed from there.
CASES: tuple[tuple[Op, *tuple[Stream, ...]], ...] = (
    (AddJoin(), X, X),
    (ArgMax(), X),
    (AutomatonWeights(2, 6, 24),),
    (ChannelSelect("max", np.array([1, 2])), X),
    (Concat(), X, X),
    (Fork(2), X),
    (LoadedWeights.of(RomWeights(np.arange(6).reshape(2, 3))),),
    (
        LstmCell(np.zeros((8, 2)), (0, 0, -1, 0), (1, 2), 3, (-7, 7), np.ones((2, 1))),
        Stream((3, 8), -2, 2),
        Stream((8, 2), -1, 1, 3),
    ),
    (MatrixVector(), Stream((1, 1, 4), 0, 3), Stream((2, 4), -1, 1)),
    (MuxJoin("element", np.array([1, 2])), X, X),
    (OrJoin(), X, X),
    (Pool((2, 1), "max"), X),
    (Resize((2, 1), (0, 1, 0, 0)), X),
    (RomWeights(np.arange(6).reshape(2, 3)),),
    (Scale(np.array([2])), X),
    (ShiftClip(np.array([1]), 1, 0, 3), X),
    (SlidingWindow((2, 2), pads=(1, 0, 1, 0), groups=2), X),
    (Threshold(np.array([[1, 2, 3]]), np.array([0])), X),
    (ThermometerEncode(3, 2), X),
    (TopK(2), X),
    (WidthConverter(4, 2), X),
    (WindowPool(2, "sum"), X),
)


def test_every_op_has_a_case():
    shipped = {kind for kind, op in OPS.items() if op.__module__.startswith("muxflow.")}
    assert {op.kind for op, *_ in CASES} == shipped


def values_of(hint: Any) -> st.SearchStrategy[Any]:
    """Values of a type, NumPy's numbers among them."""
    if get_origin(hint) is Literal:
        return st.sampled_from(get_args(hint))
    if get_origin(hint) is tuple:
        element, *rest = get_args(hint)
        assert rest == [Ellipsis]
        return st.lists(values_of(element), max_size=6).map(tuple)
    if get_origin(hint) is np.ndarray:
        shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)
        return st.sampled_from([np.int64, np.int8, np.uint16]).flatmap(lambda dtype: arrays(dtype, shapes))
    plain, numpy_type = {int: (st.integers(1, 3) | st.integers(-3, 40), np.int64), bool: (st.booleans(), np.bool_)}[
        hint
    ]
    return plain | plain.map(numpy_type)


@st.composite
def ops_like(draw: st.DrawFn, op: Op) -> Op:
    """The op with as many other attributes, in any order, as it accepts; it refuses by MuxflowError alone."""
    hints = get_type_hints(type(op))
    for field in draw(st.permutations(fields(op))):
        value = draw(values_of(hints[field.name]))
        try:
            op = replace(op, **{field.name: value})
        except MuxflowError:
            continue
    return op


def same(met: Any, expected: Any) -> None:
    """Equal values of equal Python types, NumPy's numbers being plain ones."""
    expected = expected.item() if isinstance(expected, np.generic) else expected
    assert type(met) is type(expected)
    if isinstance(expected, np.ndarray):
        assert met.dtype == expected.dtype == np.int64
        np.testing.assert_array_equal(met, expected)
    elif isinstance(expected, tuple):
        assert len(met) == len(expected)
        for one, other in zip(met, expected, strict=True):
            same(one, other)
    else:
        assert met == expected


def graph_of(op: Op, streams: tuple[Stream, ...]) -> Graph:
    """The op between the host's ends; a source stands beside an op that reads what the host sends."""
    outputs = op.infer(*streams)
    known = {f"x{i}": stream for i, stream in enumerate(streams)} | {f"y{i}": s for i, s in enumerate(outputs)}
    inputs, results = (tuple(name for name in known if name[0] == letter) for letter in "xy")
    nodes = [Node("node", op, inputs, results)]
    if not streams:
        known |= {"host": X, "echo": X}
        nodes.append(Node("beside", Scale([1]), ("host",), ("echo",)))
    return Graph("g", tuple(nodes), known, inputs or ("host",), (*results, *(() if streams else ("echo",))))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case[0].kind)
def test_attributes_come_back(case, tmp_path_factory):
    seed, *streams = case
    file = tmp_path_factory.mktemp("codec") / "graph.npz"
    met: set[Op] = set()

    @settings(max_examples=60)
    @given(ops_like(seed))
    def check(op: Op) -> None:
        text = json.dumps(encode_op(op))
        read = decode_op(json.loads(text))
        assert type(read) is type(op)
        assert read == op
        for name, value in op.attributes().items():
            same(getattr(read, name), value)
        assert json.dumps(encode_op(read)) == text
        met.add(op)
        try:
            graph = graph_of(op, tuple(streams))
        except GraphError:
            return
        round_trip(graph, file)

    check()
    round_trip(graph_of(seed, tuple(streams)), file)
    assert len(met) > 1 or not fields(seed)


def round_trip(graph: Graph, file: Path) -> None:
    write_graph(graph, file)
    read = read_graph(file)
    assert read == graph
    for before, after in zip(graph.nodes, read.nodes, strict=True):
        for name, value in before.op.attributes().items():
            same(after.op.attributes()[name], value)
    encoded = json.dumps(encode_graph(graph))
    assert json.dumps(encode_graph(graph)) == encoded
    decoded = decode_graph(json.loads(encoded))
    assert decoded == graph == decode_graph(encode_graph(graph))
    assert json.dumps(encode_graph(decoded)) == encoded
    written = file.read_bytes()
    write_graph(decoded, file)
    assert file.read_bytes() == written


# ------------------------------------------------------------------------------------------------ any dataclass


@dataclass(frozen=True)
class Inner:
    pairs: tuple[tuple[int, float], ...] = ()
    mode: Literal["max", "sum", 1] = "max"


@dataclass(frozen=True)
class Outer:
    name: str
    inner: Inner
    fixed: tuple[int, str, bool]
    by_name: Mapping[str, Inner]
    nothing: Inner | None = None
    either: int | str | None = None
    table: IntArray | None = None


OUTER = Outer("é", Inner(((1, 2.0), (3, 4.5)), "sum"), (1, "a", True), {"fc": Inner()})


@pytest.mark.parametrize(
    "changes", [{}, {"nothing": Inner(mode=1)}, {"either": 7}, {"either": "seven"}, {"fixed": (-1, "", False)}]
)
def test_any_dataclass_comes_back(changes):
    value = replace(OUTER, **changes)
    read = from_json(Outer, json.loads(json.dumps(to_json(value))))
    assert read == value
    assert type(read.inner.pairs[0]) is tuple
    assert [type(part) for part in read.inner.pairs[0]] == [int, float]


def test_numpy_values_are_written_as_plain_ones():
    inner = Inner(((np.int8(3), np.float32(0.5)),))  # type: ignore[arg-type]
    assert from_json(Inner, json.loads(json.dumps(to_json(inner)))).pairs == ((3, 0.5),)
    read = from_json(Outer, json.loads(json.dumps(to_json(replace(OUTER, table=np.zeros((0, 2), np.int16))))))
    assert read.table is not None
    assert (read.table.shape, read.table.dtype) == ((0, 2), np.int64)


@given(st.integers(-(2**63), 2**62), st.integers(0, 2**62 - 1), st.booleans())
def test_a_stream_comes_back(lo, size, numpy_type):
    one = np.int64 if numpy_type else int
    stream = Stream((one(2), 3), one(lo), one(lo + size), scale=(0.1,), offset=(one(0),))
    read = from_json(Stream, json.loads(json.dumps(to_json(stream))))
    assert read == stream
    assert [type(part) for part in (read.lo, read.hi, *read.shape, *read.offset)] == [int, int, int, int, float]


ENCODED = to_json(OUTER)


def changed(**changes: Any) -> dict[str, Any]:
    return {**ENCODED, **changes}


@pytest.mark.parametrize(
    ("hint", "value", "message"),
    [
        (Mapping[str, Fold], {"fc": 7}, "folds.fc: 7; expected the fields of Fold as a table"),
        (Mapping[str, Fold], {"fc": {"pe": "2"}}, "folds.fc.pe: '2'; expected int"),
        (Mapping[str, Fold], {"fc": {"pe": True}}, "folds.fc.pe: True; expected int"),
        (Mapping[str, Fold], {"fc": {"pe": 2.0}}, "folds.fc.pe: 2.0; expected int"),
        (
            Mapping[str, Fold],
            {"fc": {"lanes": 2}},
            "folds.fc: no field 'lanes'; Fold has dsp, groups, packed, pe, pixels, simd",
        ),
        (Mapping[str, Fold], [], "folds: []; expected a table"),
        (Stream, {"lo": 0}, "folds: no value for shape, hi of Stream"),
        (Outer, changed(name=None), "folds.name: None; expected str"),
        (Outer, changed(inner={"mode": "mean"}), "folds.inner.mode: 'mean'; supported: 'max', 'sum', 1"),
        (Outer, changed(inner={"mode": True}), "folds.inner.mode: True; supported: 'max', 'sum', 1"),
        (Outer, changed(inner={"mode": []}), "folds.inner.mode: []; supported: 'max', 'sum', 1"),
        (Outer, changed(inner={"pairs": [[1, 2], [3]]}), "folds.inner.pairs.1: [3]; expected a list of 2"),
        (Outer, changed(inner={"pairs": [[1, "2"]]}), "folds.inner.pairs.0.1: '2'; expected float"),
        (Outer, changed(inner={"pairs": "12"}), "folds.inner.pairs: '12'; expected a list"),
        (Outer, changed(fixed=[1, "a", 1]), "folds.fixed.2: 1; expected bool"),
        (Outer, changed(by_name={"fc": {"mode": 2}}), "folds.by_name.fc.mode: 2; supported: 'max', 'sum', 1"),
        (Outer, changed(nothing={"mode": 2}), "folds.nothing.mode: 2; supported: 'max', 'sum', 1"),
        (Outer, changed(either=[]), "folds.either: []; expected int or str or None"),
        (Outer, changed(either=True), "folds.either: True; expected int or str or None"),
        (Outer, changed(table=[1]), "folds.table: [1]; expected an array, {'shape': ..., 'values': ...}"),
        (Outer, changed(table={"shape": [2], "values": [1]}), "expected as many integers as the shape holds"),
        (Outer, changed(table={"shape": [1], "values": [0.5]}), "folds.table: an array of float64; expected integers"),
        (Outer, changed(table={"shape": [1], "values": [2**63]}), "folds.table: 9223372036854775808 is beyond 64 bits"),
        (Outer, changed(table={"shape": [1], "values": [2**64]}), "folds.table: an array of object; expected integers"),
    ],
)
def test_what_is_refused_is_named(hint, value, message):
    with pytest.raises(GraphError) as caught:
        from_json(hint, value, path="folds")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Inner(({1, 2},)), "pairs.0: a set has no JSON form"),  # type: ignore[arg-type]
        (replace(OUTER, table=np.zeros(2)), "table: an array of float64; expected integers"),
        (replace(OUTER, by_name={"fc": object()}), "by_name.fc: a object has no JSON form"),
        (Inner, "value: a type has no JSON form"),
    ],
)
def test_what_cannot_be_written_is_named(value, message):
    with pytest.raises(GraphError, match=message):
        to_json(value)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (7, "an op is a table with 'op' and 'attributes'; met 7"),
        ({"op": "Fork"}, "an op is a table with 'op' and 'attributes'"),
        ({"op": "Pool", "attributes": {"kernel": [2]}}, "Pool: no value for mode of Pool"),
        ({"op": "Pool", "attributes": {"kernel": [2, "3"], "mode": "max"}}, r"Pool\.kernel\.1: '3'; expected int"),
        ({"op": "Pool", "attributes": {"kernel": [2], "mode": "mean"}}, r"Pool\.mode: 'mean'; supported: 'max', 'sum'"),
        ({"op": "TopK", "attributes": {"k": 1, "depth": 2}}, "TopK: no field 'depth'; TopK has k"),
        ({"op": "Scale", "attributes": {"factors": 2}}, r"Scale\.factors: 2; expected an array"),
    ],
)
def test_ops_that_are_refused(entry, message):
    with pytest.raises(GraphError, match=message):
        decode_op(entry)


def test_arrays_that_are_kept_elsewhere():
    kept: dict[str, npt.NDArray[Any]] = {}

    def store(name: str, array: npt.NDArray[Any]) -> str:
        kept[name] = array
        return name

    op = Threshold(np.array([[1, 2], [3, 4]]), np.array([0, 1]), -2)
    entry = json.loads(json.dumps(encode_op(op, store)))
    assert entry == {
        "op": "Threshold",
        "attributes": {"thresholds": "thresholds", "falling": "falling", "base": -2},
    }
    assert decode_op(entry, lambda name: kept[name]) == op
    with pytest.raises(GraphError, match=r"Threshold\.falling: 'falling'; expected the name of an array in the file"):
        decode_op(entry, lambda name: {"thresholds": kept["thresholds"]}[name])
