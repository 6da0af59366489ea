"""Images in whatever order of axes, against inputs of models written down element by element."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.graph import Entry
from muxflow.dataflow.graph.input_order import in_stream_order, swaps_axes

Sizes = tuple[int, ...]

IMAGE = Entry((1, 0, 2), (1, 8, 8))
"""A grey image whose height and width the model swaps: its stream is (width, height, 1)."""


def ordered(images: Any, stream: Sizes, entry: Entry | None) -> Any:
    return in_stream_order("x", np.asarray(images), stream, entry)


def one_by_one(images: Any, stream: Sizes, place: Any) -> Any:
    """Bring images to a stream by the place in the image of each of its elements."""
    found = np.zeros((len(images), *stream), images.dtype)
    for at in np.ndindex(*stream):
        found[(slice(None), *at)] = images[(slice(None), *place(*at))]
    return found


@pytest.mark.parametrize(
    ("stream", "entry", "shape", "place"),
    [
        # No entry: channels last, axes of one element there or not.
        ((4, 5, 3), None, (4, 5, 3), lambda h, w, c: (h, w, c)),
        ((8, 8, 1), None, (8, 8), lambda h, w, c: (h, w)),
        ((8, 8, 1), None, (1, 8, 8), lambda h, w, c: (0, h, w)),
        ((1, 1, 64), None, (64,), lambda _y, _x, f: (f,)),
        ((1, 1, 64), None, (8, 8), lambda _y, _x, f: (f // 8, f % 8)),
        ((1, 1, 64), None, (8, 8, 1), lambda _y, _x, f: (f // 8, f % 8, 0)),
        ((8, 8), None, (8, 8), lambda w, c: (w, c)),
        # Height and width swapped, of equal sides.
        ((8, 8, 1), IMAGE, (8, 8, 1), lambda w, h, c: (h, w, c)),
        ((8, 8, 1), IMAGE, (1, 8, 8), lambda w, h, c: (c, h, w)),
        ((8, 8, 1), IMAGE, (8, 8), lambda w, h, c: (h, w)),
        ((8, 8, 3), Entry((2, 1, 0), (3, 8, 8)), (8, 8, 3), lambda w, h, c: (h, w, c)),
        ((8, 8, 3), Entry((2, 1, 0), (3, 8, 8)), (3, 8, 8), lambda w, h, c: (c, h, w)),
        ((6, 8, 1), Entry((1, 0, 2), (1, 8, 6)), (8, 6, 1), lambda w, h, c: (h, w, c)),
        ((8, 8, 1), Entry((1, 0, 2), (8, 8, 1)), (8, 8, 1), lambda w, h, c: (h, w, c)),
        # Rows as channels of a map of one axis.
        ((8, 8), Entry((1, 0), (1, 8, 8)), (8, 8, 1), lambda w, h: (h, w, 0)),
        ((8, 8), Entry((1, 0), (1, 8, 8)), (1, 8, 8), lambda w, h: (0, h, w)),
        ((6, 8), Entry((1, 0), (1, 8, 6)), (8, 6), lambda w, h: (h, w)),
        # A model that reads (H, W) and adds the axis of its one channel itself.
        *(
            ((8, height, 1), Entry((2, 0, 1), (8, height)), shape, lambda h, w, _c, at=at: at(h, w))
            for height in (8, 6)
            for shape, at in (
                ((8, height), lambda h, w: (h, w)),
                ((8, height, 1), lambda h, w: (h, w, 0)),
                ((1, 8, height), lambda h, w: (0, h, w)),
            )
        ),
        # Of a file of Keras, whose (8, 8) is described as (columns, rows): an axis added, and swapped before that.
        *(
            ((8, 8, 1), Entry(axes, (8, 8), last=True), shape, at)
            for axes, swapped in (((1, 0, 2), False), ((2, 0, 1), True))
            for shape, at in (
                ((8, 8), lambda h, w, _c, swapped=swapped: (w, h) if swapped else (h, w)),
                ((8, 8, 1), lambda h, w, _c, swapped=swapped: (w, h, 0) if swapped else (h, w, 0)),
                ((1, 8, 8), lambda h, w, _c, swapped=swapped: (0, w, h) if swapped else (0, h, w)),
            )
        ),
        ((8, 8, 1), Entry((1, 0, 2), (1, 8, 8), last=True), (8, 8, 1), lambda w, h, c: (h, w, c)),
        ((4, 5, 3), Entry((2, 0, 1), (3, 4, 5), (0.5,), last=True), (4, 5, 3), lambda h, w, c: (h, w, c)),
        # The model's input has its channels last already.
        ((4, 5, 3), Entry((0, 1, 2), (4, 5, 3)), (4, 5, 3), lambda h, w, c: (h, w, c)),
        ((4, 4, 4), Entry((0, 1, 2), (4, 4, 4)), (4, 4, 4), lambda h, w, c: (h, w, c)),
        # Equal sizes all over: channels last.
        ((3, 3, 3), Entry((2, 1, 0), (3, 3, 3)), (3, 3, 3), lambda w, h, c: (h, w, c)),
        ((4, 4, 4), Entry((2, 0, 1), (4, 4, 4), (0.5,)), (4, 4, 4), lambda h, w, c: (h, w, c)),
        # A flat input, and one that is flat and swapped.
        ((4, 5, 3), Entry((2, 0, 1), (60,)), (60,), lambda h, w, c: (c * 20 + h * 5 + w,)),
        ((4, 5, 3), Entry((2, 0, 1), (60,)), (4, 5, 3), lambda h, w, c: (h, w, c)),
        ((5, 4, 1), Entry((2, 1, 0), (20,)), (4, 5, 1), lambda w, h, c: (h, w, c)),
        ((16, 2), Entry((1, 0), (32,)), (16, 2), lambda x, c: (x, c)),
        ((8, 8), Entry((1, 0), (64,)), (8, 8, 1), lambda x, c: (c, x, 0)),
        # Clips (T, C, H, W) with their channels last, as many as frames.
        ((3, 4, 5, 3), Entry((0, 3, 1, 2), (3, 3, 4, 5)), (3, 4, 5, 3), lambda t, h, w, c: (t, h, w, c)),
    ],
)
def test_every_element_comes_to_its_place(stream: Sizes, entry: Entry | None, shape: Sizes, place: Any) -> None:
    images = np.random.default_rng(0).permutation(2 * int(np.prod(shape))).reshape(2, *shape)
    assert np.array_equal(ordered(images, stream, entry), one_by_one(images, stream, place))
    if entry is not None and shape == entry.shape and not entry.mean and not entry.last and shape[0] != shape[-1]:
        values = ordered(images, stream, entry).astype(np.float32)
        assert np.array_equal(entry(values), images)


@pytest.mark.parametrize(
    ("stream", "entry", "shape", "message"),
    [
        (
            (4, 5, 3),
            None,
            (3, 4, 5),
            r"^x: shape \(2, 3, 4, 5\) is channels first; .* save images.transpose\(0, 2, 3, 1\)",
        ),
        ((4, 5, 3), None, (4, 5), r"expected \(N, 4, 5, 3\), channels last$"),
        ((4, 5, 3), None, (60,), r"expected \(N, 4, 5, 3\), channels last$"),
        ((1, 1, 48), None, (4, 4, 3), r"expected \(N, 1, 1, 48\)"),
        (
            (6, 8, 1),
            Entry((1, 0, 2), (1, 8, 6)),
            (6, 8, 1),
            r"swaps the axes of its input: .* \(N, 1, 8, 6\), or channels last, \(N, 8, 6, 1\)$",
        ),
        ((5, 4, 3), Entry((2, 1, 0), (60,)), (5, 4, 3), r"swaps the axes of its input: .* \(N, 60\)"),
        ((8, 8), Entry((1, 0), (1, 8, 8)), (8, 8), r"may be that of .* the order of its stream; .* \(N, 1, 8, 8\)$"),
        # Grey, rows as channels of a flat input: channels last, or row by row.
        ((8, 8), Entry((1, 0), (64,)), (8, 8), r"may be that of .* \(N, 64\)$"),
        # The rows become the channels of as many columns as the image had channels.
        ((2, 8, 2), Entry((0, 2, 1), (2, 2, 8)), (2, 8, 2), r"may be that of .* \(N, 2, 2, 8\)$"),
        ((8, 6, 1), Entry((2, 0, 1), (8, 6)), (6, 8), r"expected \(N, 8, 6, 1\), channels last, or as .* \(N, 8, 6\)$"),
        ((4, 5, 3), Entry((0, 1, 2), (4, 5, 3)), (5, 3, 4), r"expected \(N, 4, 5, 3\)"),
    ],
)
def test_other_shapes_are_refused(stream: Sizes, entry: Entry | None, shape: Sizes, message: str) -> None:
    with pytest.raises(MuxflowError, match=message):
        ordered(np.zeros((2, *shape)), stream, entry)


def test_which_inputs_swap_axes() -> None:
    assert swaps_axes((8, 8, 1), IMAGE)
    assert not swaps_axes((1, 8, 3), Entry((1, 0, 2), (8, 1, 3)))  # an axis of one element has no place
    assert not swaps_axes((8, 8, 3), Entry((0, 1, 2), (8, 8, 3)))
    assert not swaps_axes((8, 8, 3), None)
