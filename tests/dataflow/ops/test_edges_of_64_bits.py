"""Intervals at the edge of 64 bits, of every op: what fits is exact, and what is one step beyond is refused, never wrapped."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ladder import Ladder

from muxflow.dataflow.errors import GraphError
from muxflow.dataflow.graph.stream import LEAST, MOST, Stream
from muxflow.dataflow.op import Fold, Op
from muxflow.dataflow.ops import OPS
from muxflow.dataflow.ops.add_join import AddJoin
from muxflow.dataflow.ops.arg_max import ArgMax
from muxflow.dataflow.ops.automaton_weights import AutomatonWeights
from muxflow.dataflow.ops.channel_select import ChannelSelect
from muxflow.dataflow.ops.concat import Concat
from muxflow.dataflow.ops.fork import Fork
from muxflow.dataflow.ops.loaded_weights import LoadedWeights
from muxflow.dataflow.ops.lstm_cell import LstmCell
from muxflow.dataflow.ops.matrix_vector import MatrixVector, accumulator_interval
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

BEYOND = "is beyond integers of 64 bits with a sign"
FULL = (LEAST, MOST)


def stream(lo: int, hi: int, shape: tuple[int, ...] = (2, 2, 2)) -> Stream:
    return Stream(shape, lo, hi)


def rom(*rows: list[int], lo: int | None = None) -> Stream:
    """Weights for the four pixels of a map; `lo`: the least that may be loaded, where they are not constant."""
    weights = np.array(rows)
    least, most = int(weights.min()), int(weights.max())
    if lo is not None:
        return Stream(weights.shape, lo, most, 4)
    return Stream(weights.shape, least, most, 4, constant=weights)


def lstm(**changes: Any) -> LstmCell:
    attributes: dict[str, Any] = {
        "thresholds": np.zeros((4, 1)), "bases": (0, 0, 0, 0), "factors": (1, 1), "shift": 0, "limits": (-1, 1),
        "outputs": np.ones((1, 1)),
    }  # fmt: skip
    return LstmCell(**(attributes | changes))


AT_THE_EDGE: list[tuple[Op, tuple[Stream, ...], tuple[int, int]]] = [
    (AddJoin(), (stream(LEAST + 5, MOST - 5), stream(-5, 5)), FULL),
    (ArgMax(), (stream(*FULL),), (0, 1)),
    (AutomatonWeights(4, 4, 4, seed=MOST), (), (-1, 1)),
    (ChannelSelect("sum", np.array([MOST, 1])), (stream(0, MOST // 4),), (0, 1)),
    (ChannelSelect("max", np.array([MOST, 1])), (stream(0, MOST),), (0, 1)),
    (Concat(), (stream(LEAST, 0), stream(0, MOST)), FULL),
    (Fork(), (stream(*FULL),), FULL),
    (LoadedWeights(np.array([[LEAST, MOST]]), 1, 1, LEAST, MOST), (), FULL),
    (lstm(), (stream(-(2**30) + 1, 2**30 - 2, (2, 2, 4)), rom([1], [0], [0], [0])), (0, 1)),
    (MatrixVector(), (stream(0, 1), rom([LEAST, MOST])), FULL),
    (MatrixVector(), (stream(0, 1), rom([2**62, 2**62 - 1], [-(2**62), -(2**62)])), FULL),
    (MatrixVector(), (stream(0, 0), rom([LEAST, LEAST], [MOST, MOST])), (0, 0)),
    (MatrixVector(), (stream(-1, 0), rom([MOST, 0], [0, 1])), (-MOST, 0)),
    (MatrixVector(), (stream(*FULL), rom([1, 0], [0, 1])), FULL),
    (MatrixVector(), (stream(0, 1), rom([0, 2**62 - 1], lo=-(2**62))), (LEAST, 2**63 - 2)),
    (MuxJoin("always"), (stream(0, 2**30 - 1), stream(0, 2**30 - 1)), (0, 2**30 - 1)),
    (MuxJoin("always", mix="or"), (stream(0, MOST), stream(0, 1)), (0, MOST)),
    (OrJoin(), (stream(0, MOST), stream(0, 1)), (0, MOST)),
    (Pool((2, 2), "sum"), (stream(LEAST // 4, MOST // 4),), (LEAST, MOST - 3)),
    (Pool((2, 2), "max"), (stream(*FULL),), FULL),
    (Resize((1, 1), (1, 0, 0, 0), code=LEAST), (stream(0, MOST),), FULL),
    (RomWeights(np.array([[LEAST, MOST]])), (), FULL),
    (Scale(np.array([LEAST])), (stream(0, 1),), (LEAST, 0)),
    (Scale(np.array([1, -1])), (stream(-MOST, MOST),), (-MOST, MOST)),
    (ShiftClip(np.array([-5]), 0, *FULL), (stream(LEAST + 5, MOST),), (LEAST, MOST - 5)),
    (ShiftClip(np.array([0]), 63, -1, 1, even=True), (stream(LEAST + 1, MOST),), (-1, 0)),
    (SlidingWindow((2, 2), pads=(1, 0, 0, 0), pad_code=LEAST), (stream(0, MOST),), FULL),
    (ThermometerEncode(1, 4), (stream(0, 255),), (0, 15)),
    (Threshold(np.array([[LEAST, 0, MOST]]), np.array([0]), MOST - 3), (stream(*FULL),), (MOST - 2, MOST)),
    (Threshold(np.array([[LEAST, 0, MOST]]), np.array([1]), LEAST), (stream(*FULL),), (LEAST, LEAST + 2)),
    (TopK(2), (stream(*FULL),), (0, 1)),
    (WidthConverter(1, 2), (stream(*FULL),), FULL),
    (WindowPool(2, "sum"), (stream(LEAST // 2, MOST // 2),), (LEAST, MOST - 1)),
    (WindowPool(2, "max"), (stream(*FULL),), FULL),
]  # fmt: skip


def test_every_op_has_a_case() -> None:
    assert {type(op).__name__ for op, *_ in AT_THE_EDGE} >= {
        kind for kind, op in OPS.items() if op.__module__.startswith("muxflow.")
    }


@pytest.mark.parametrize(("op", "inputs", "interval"), AT_THE_EDGE, ids=lambda value: getattr(value, "kind", ""))
def test_what_fits_is_exact(op: Op, inputs: tuple[Stream, ...], interval: tuple[int, int]) -> None:
    y = op.infer(*inputs)[0]
    assert (y.lo, y.hi) == interval
    for end in ("lo", "hi"):
        codes = [
            np.full(one.shape if one.repeats > 1 else (3, *one.shape), getattr(one, end)) if one.constant is None
            else one.constant for one in inputs
        ]  # fmt: skip
        (met, *_) = op.compute(*codes)
        assert met.dtype == np.int64 and y.lo <= met.min() <= met.max() <= y.hi
        if isinstance(op, MatrixVector):
            vectors = codes[0].reshape(-1, codes[1].shape[1]).astype(object)
            np.testing.assert_array_equal(met.reshape(len(vectors), -1), vectors @ codes[1].astype(object).T)


BEYOND_IT: list[tuple[Op, tuple[Stream, ...]]] = [
    (AddJoin(), (stream(0, MOST), stream(0, 1))),
    (AddJoin(), (stream(LEAST, 0), stream(-1, 0))),
    (ChannelSelect("sum", np.array([1])), (stream(0, MOST // 4 + 1),)),
    (MatrixVector(), (stream(0, 255), rom([2**62, 1]))),
    (MatrixVector(), (stream(0, 1), rom([2**62, 2**62]))),
    (MatrixVector(), (stream(0, 1), rom([1, 1], [-(2**62), -(2**62) - 1]))),
    (MatrixVector(), (stream(-1, 0), rom([LEAST, 0], [0, 1]))),
    (MatrixVector(), (stream(*FULL), rom([-1, 0], [0, 1]))),
    (MatrixVector(), (stream(0, 2**32), rom([2**32, 0], [0, 1]))),
    (MatrixVector(), (stream(0, 1), rom([0, 2**62], lo=-1))),
    (Pool((2, 2), "sum"), (stream(0, MOST // 4 + 1),)),
    (Scale(np.array([-1])), (stream(*FULL),)),
    (Scale(np.array([LEAST])), (stream(-1, 0),)),
    (ShiftClip(np.array([1]), 0, 0, 1), (stream(0, MOST),)),
    (ShiftClip(np.array([-1]), 3, 0, 1), (stream(*FULL),)),
    (ShiftClip(np.array([0]), 63, -1, 1, even=True), (stream(LEAST, 0),)),
    (Threshold(np.array([[1, 2]]), np.array([0]), MOST - 1), (stream(0, 255),)),
    (Threshold(np.array([[1, 2]]), np.array([1]), MOST), (stream(0, 255),)),
    (WindowPool(2, "sum"), (stream(0, MOST // 2 + 1),)),
]


@pytest.mark.parametrize(("op", "inputs"), BEYOND_IT, ids=lambda value: getattr(value, "kind", ""))
def test_one_step_beyond_is_refused(op: Op, inputs: tuple[Stream, ...]) -> None:
    with pytest.raises(GraphError, match=BEYOND):
        op.infer(*inputs)


@pytest.mark.parametrize(
    "changes",
    [
        {"factors": (2**40, 1), "limits": (0, 0)},
        {"bases": (0, 2**40, 0, 0), "limits": (0, 0)},
        {"bases": (2**40, 0, 0, 0)},
    ],
)
def test_all_numbers_of_an_lstm_cell_fit_its_bits(changes: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match=r"supported are 31 \(MOST_BITS\)"):
        lstm(**changes).infer(stream(0, 1, (2, 2, 4)), rom([1], [0], [0], [0]))
    with pytest.raises(GraphError, match=r"supported are 31 \(MOST_BITS\)"):
        lstm().infer(stream(0, 1, (2, 2, 4)), rom([2**62], [2**62], [0], [0]))


def test_attributes_are_of_64_bits() -> None:
    for make in (
        lambda: Resize((1, 1), code=2**63),
        lambda: Resize((2**63, 1), mode="insert"),
        lambda: SlidingWindow((1,), pad_code=-(2**63) - 1),
        lambda: ShiftClip(np.array([0]), 0, 0, 2**63),
        lambda: Threshold(np.array([[1]]), np.array([0]), 2**64),
    ):
        with pytest.raises(GraphError, match=BEYOND):
            make()


@pytest.mark.parametrize("code", [2**31, -(2**40), LEAST])
def test_kernels_take_codes_of_64_bits(tmp_path: Path, code: int) -> None:
    """Codes of padding and the least code of a quantizer are no numbers of the stream before, and may need more bits."""
    window = SlidingWindow((2, 2), pads=(1, 1, 0, 0), pad_code=code, groups=2)
    ops: list[tuple[Op, list[Fold] | None]] = [
        (window, [Fold(), Fold(simd=4, groups=2)]),
        (Resize((1, 2), (1, 0, 0, 0), "insert", code), None),
        (Threshold(np.array([[1, 2]]), np.array([0]), code), None),
        (Threshold(np.array([[1, 2]]), np.array([1]), code), None),
        (ShiftClip(np.array([-2]), 1, code, max(code, 0) + 1), None),
    ]
    ladder = Ladder(tmp_path)
    for op, folds in ops:
        ladder.add(op, [stream(0, 3)], lambda x, op=op: tuple(y[0] for y in op.compute(x[None])), folds=folds)
    assert ladder.climb()


def test_sums_of_wide_weights_are_taken_in_parts() -> None:
    """More weights than are summed at once, of which one row alone is at the edge."""
    weights = np.zeros((3, 40000), np.int64)
    weights[1, :2], weights[2, 0] = (2**62, 2**62 - 1), -(2**62)
    assert accumulator_interval(Stream(weights.shape, -(2**62), 2**62, 4, constant=weights), 0, 1) == (-(2**62), MOST)
