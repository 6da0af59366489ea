"""In which order the axes of images come: that of a graph's input stream, or that of the model's own input."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from muxflow.dataflow.errors import MuxflowError
from muxflow.dataflow.graph.graph import Entry

Array = npt.NDArray[Any]
Sizes = tuple[int, ...]
Bring = Callable[[Array], Array]
"""Takes images of any shape with as many elements, gives them in the shape of the stream."""


def in_stream_order(where: str, images: Array, wanted: Sizes, entry: Entry | None) -> Array:
    """Bring images (N, ...) to the shape of an input's stream, (N, *wanted).

    Images have their channels last, in the axes of the model's input (`entry`, None for the usual order), or the shape of
    that input where it is not the usual one. Axes of one element may be left out, and a model that reads vectors takes
    grey images row by row. Decision: no paper or format says what an image is to a model that swaps its axes.
    Raises MuxflowError, which begins with `where`, for other shapes and for one that may be read in two ways.
    """
    shape = images.shape[1:]
    fitting = [(own, bring) for own, bring in _readings(shape, wanted, entry) if _plain(own) == _plain(shape)]
    if not fitting:
        raise MuxflowError(f"{where}: {_met(images.shape, wanted, entry)}")
    exact = [one for one in fitting if one[0] == shape]
    own, bring = (exact or fitting)[0]
    if entry is not None and len(entry.shape) != len(wanted) and (not exact or own == wanted):
        places = np.arange(math.prod(wanted))[None]
        if any((other(places) != bring(places)).any() for _, other in fitting):
            raise MuxflowError(
                f"{where}: shape {images.shape} may be the model's input without its axes of one element, or the order of its "
                f"stream; give the shape of the model's input, (N, {listed(entry.shape)})"
            )
    return bring(images)


def swaps_axes(shape: Sizes, entry: Entry | None) -> bool:
    """Tell whether a stream of a shape has its axes but for the channels in another order than the model's input."""
    axes = () if entry is None else entry.axes
    others = [axis for axis in axes if axis != len(shape) - 1 and shape[axis] > 1]
    return others != sorted(others)


def listed(shape: Sizes) -> str:
    """List the sizes of axes."""
    return ", ".join(map(str, shape))


def _readings(shape: Sizes, wanted: Sizes, entry: Entry | None) -> Iterator[tuple[Sizes, Bring]]:
    """Yield the shapes that images may have and how each comes to the stream's, the likeliest first."""

    def from_model(array: Array) -> Array:
        return _shaped(array, wanted) if entry is None else entry.reordered(array, wanted)

    own = None if entry is None else entry.shape
    if entry and own and len(own) > 1 and (own[0] == 1 or entry.axes[0] == len(wanted) - 1):
        last = (*own[1:], own[0])
        yield last, lambda array: from_model(np.moveaxis(_shaped(array, last), -1, 1))
    if not swaps_axes(wanted, entry):
        yield wanted, lambda array: _shaped(array, wanted)
    if own:
        yield own, from_model
    vector = own or wanted
    if len(_plain(vector)) < 2 == len(_plain(shape)) and math.prod(shape) == math.prod(vector):
        yield shape, from_model


def _shaped(array: Array, shape: Sizes) -> Array:
    return array.reshape(len(array), *shape)


def _plain(shape: Sizes) -> Sizes:
    return tuple(size for size in shape if size > 1)


def _met(met: Sizes, wanted: Sizes, entry: Entry | None) -> str:
    """Say why no reading fits a shape, the images included."""
    shape = met[1:]
    own = "" if entry is None else f"(N, {listed(entry.shape)})"
    if swaps_axes(wanted, entry):
        return f"shape {met}; the model swaps the axes of its input: give them as the model reads them, {own}, or channels last"
    if (*shape[1:], *shape[:1]) == wanted:
        return (
            f"shape {met} is channels first; the simulation reads channels last, (N, {listed(wanted)}): "
            f"save images.transpose({listed((0, *range(2, len(met)), 1))})"
        )
    other = f", or as the model's input, {own}" if entry and len(entry.shape) != len(wanted) else ""
    return f"shape {met}; expected (N, {listed(wanted)}), channels last{other}"
