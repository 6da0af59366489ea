"""In which order the axes of images come: that of a graph's input stream, or that of the model's own input."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.graph import Entry

Array = npt.NDArray[Any]
Sizes = tuple[int, ...]
Bring = Callable[[Array], Array]
"""Takes images of any shape with as many elements, gives them in the shape of the stream."""
Reading = tuple[Sizes, Bring]


def in_stream_order(where: str, images: Array, wanted: Sizes, entry: Entry | None) -> Array:
    """Bring images (N, ...) to the shape of an input's stream, (N, *wanted).

    Images have their channels last, in the axes of the model's input (`entry`, None for the usual order), or the shape of
    that input where it is not the usual one. Axes of one element may be left out, and a model that reads vectors takes
    grey images row by row. Decision: no paper or format says what an image is to a model that swaps its axes.
    Raises MuxflowError, which begins with `where`, for other shapes and for one that may be read in two ways.
    """
    shape = images.shape[1:]
    fitting = [one for one in _readings(shape, wanted, entry) if _plain(one[0]) == _plain(shape)]
    if not fitting:
        raise MuxflowError(f"{where}: {_met(images.shape, wanted, entry)}")
    exact = [one for one in fitting if one[0] == shape]
    read_as, bring = (exact or fitting)[0]
    if entry is not None:
        others = fitting if len(entry.shape) != len(wanted) and (not exact or read_as == wanted) else []
        if not entry.last and len(entry.shape) == 3 and shape == _first_last(entry) != entry.shape:
            # (C, H, W) with its channels last, whatever the model makes of its axes.
            others = [*others, (shape, lambda array: _from_last(array, wanted, entry))]
        if others and not _alike(bring, others, math.prod(wanted)):
            raise MuxflowError(
                f"{where}: shape {images.shape} may be that of the model's input in another order, or the order of its stream; "
                f"give the shape of the model's input, (N, {_listed(_own(entry))})"
            )
    return bring(images)


def swaps_axes(shape: Sizes, entry: Entry | None) -> bool:
    """Tell whether a stream of a shape has its axes but for the channels in another order than the model's input."""
    axes = [] if entry is None else [axis for axis in entry.axes if shape[axis] > 1]
    if entry is not None and entry.last and len(entry.shape) > 1 and entry.shape[0] > 1:
        axes = [*axes[1:], axes[0]]
    others = [axis for axis in axes if axis != len(shape) - 1]
    return others != sorted(others)


def _alike(bring: Bring, others: Sequence[Reading], size: int) -> bool:
    """Tell whether readings put every element where another one does."""
    places = np.arange(size)[None]
    return all(np.array_equal(other(places), bring(places)) for _, other in others)


def _readings(shape: Sizes, wanted: Sizes, entry: Entry | None) -> Iterator[Reading]:
    """Yield the shapes that images may have and how each comes to the stream's, the likeliest first."""
    if entry is not None and _has_channels_first(wanted, entry):
        yield _first_last(entry), lambda array: _from_last(array, wanted, entry)
    if not swaps_axes(wanted, entry):
        yield wanted, lambda array: _shaped(array, wanted)
    if entry is not None and not (entry.last and len(entry.shape) > 1):
        yield entry.shape, lambda array: entry.reordered(array, wanted)
    vector = wanted if entry is None else entry.shape
    rows = len(_plain(vector)) < 2 == len(_plain(shape)) and math.prod(shape) == math.prod(vector)
    if rows and (shape != wanted or shape == shape[::-1]):
        yield shape, lambda array: _shaped(array, wanted) if entry is None else entry.reordered(array, wanted)


def _has_channels_first(wanted: Sizes, entry: Entry) -> bool:
    """Tell whether the first axis of a model's input is that of the channels, or of size one."""
    first = next((axis for axis in entry.axes if wanted[axis] > 1), None)
    return len(entry.shape) > 1 and (entry.last or entry.shape[0] == 1 or first == len(wanted) - 1)


def _first_last(entry: Entry) -> Sizes:
    """Give the shape of a model's input with its first axis last."""
    return (*entry.shape[1:], *entry.shape[:1])


def _own(entry: Entry) -> Sizes:
    """Give the shape of the model's input as its own file has it."""
    return _first_last(entry) if entry.last else entry.shape


def _from_last(array: Array, wanted: Sizes, entry: Entry) -> Array:
    """Bring images with the first axis of the model's input last to the shape of the stream."""
    return entry.reordered(np.moveaxis(_shaped(array, _first_last(entry)), -1, 1), wanted)


def _listed(shape: Sizes) -> str:
    return ", ".join(map(str, shape))


def _shaped(array: Array, shape: Sizes) -> Array:
    return array.reshape(len(array), *shape)


def _plain(shape: Sizes) -> Sizes:
    return tuple(size for size in shape if size > 1)


def _met(met: Sizes, wanted: Sizes, entry: Entry | None) -> str:
    """Say why no reading fits a shape, the images included."""
    shape = met[1:]
    own = "" if entry is None else f"(N, {_listed(_own(entry))})"
    if entry is not None and swaps_axes(wanted, entry):
        last = not entry.last and _has_channels_first(wanted, entry)
        other = f", or channels last, (N, {_listed(_first_last(entry))})" if last else ""
        return f"shape {met}; the model swaps the axes of its input: give them as the model reads them, {own}{other}"
    if (*shape[1:], *shape[:1]) == wanted:
        return (
            f"shape {met} is channels first; the simulation reads channels last, (N, {_listed(wanted)}): "
            f"save images.transpose({_listed((0, *range(2, len(met)), 1))})"
        )
    other = f", or as the model's input, {own}" if entry and len(entry.shape) != len(wanted) else ""
    return f"shape {met}; expected (N, {_listed(wanted)}), channels last{other}"
