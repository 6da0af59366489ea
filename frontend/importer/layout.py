"""The order of elements, by rank: the model's maps are channel first, streams are channel last.

| rank | model, without the batch | stream |
|---|---|---|
| vectors | (features) | (1, 1, features), or (1, features) after a one-dimensional map |
| 1-D | (C, L) | (L, C) |
| 2-D | (C, H, W) | (H, W, C) |
| 3-D | (C, D, H, W) | (D, H, W, C) |

Axes of size one come and go in the model (Squeeze, Unsqueeze, Reshape) without a stream of its own: see `Axes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from muxflow.dataflow.errors import UnsupportedError
from muxflow.dataflow.graph.stream import Stream
from muxflow.dataflow.op import IntArray
from muxflow.frontend.importer.values import Tensor

Number = TypeVar("Number")
MOST_SPATIAL = 3
SUPPORTED_MAPS = "(C, L), (C, H, W) and (C, D, H, W)"
"""How messages name the maps that streams can carry."""
SHUFFLED = (
    "channels of maps in another order, as after a channel shuffle, are read by no layer; put a convolution of size 1 without "
    "groups in its place, which mixes the channels of all groups, or leave it out"
)
"""What is wrong with a permutation of channels, and what to do."""
UNFOLDED = (
    "it reads pixels that were made of channels, as by PixelShuffle (DepthToSpace), whose order no stream has; supported is that "
    "at the end of a model, where the host re-orders the output; use ConvTranspose, or Resize and a convolution, in its place"
)
"""What is wrong with a map whose pixels come of channels, and what to do."""


def stream_shape(shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return the shape of the stream that carries a tensor of the model (without the batch), or None for other ranks."""
    if len(shape) == 1:
        return (1, 1, *shape)
    return (*shape[1:], shape[0]) if len(shape) - 1 <= MOST_SPATIAL else None


def stream_axes(rank: int) -> tuple[int, ...]:
    """Return the order of a stream's axes that makes a channel-first map of it."""
    return (rank - 1, *range(rank - 1))


def axis_of(label: str, axis: int, rank: int) -> int:
    """Count an axis of a tensor from the front, the batch included; raises UnsupportedError where it has none of that number.

    `label`: of the node that names it.
    """
    if not -rank <= axis < rank:
        raise UnsupportedError(f"{label}: axis {axis} of a tensor of {rank} axes; export the model again")
    return int(axis) % rank


def natural(stream: Stream) -> IntArray:
    """Return the index of a stream's elements in its own, channel-last order."""
    return np.arange(stream.size).reshape(stream.shape)


def channel_first(stream: Stream) -> IntArray:
    """Return the index of a feature map in the model's order: (C, ...) over a stream of (..., C)."""
    return np.moveaxis(natural(stream), -1, 0)


def map_index(stream: Stream, sizes: Sequence[int]) -> IntArray:
    """Return the index of a feature map of these spatial axes: those of the stream, but for some of size one."""
    return channel_first(stream).reshape(stream.channels, *sizes)


@dataclass(frozen=True)
class Axes:
    """The spatial axes of a model's map, and where they are in its stream, which may have other axes of size one.

    `sizes`: of the model's axes; `places`: the model's axis that each one of the stream is, None where the model has none.
    """

    sizes: tuple[int, ...]
    places: tuple[int | None, ...]

    @property
    def added(self) -> tuple[int, ...]:
        """The model's axes, all of size one, that the stream has not."""
        return tuple(axis for axis in range(len(self.sizes)) if axis not in self.places)

    def in_stream(self, numbers: Sequence[Number], neutral: Number) -> tuple[Number, ...]:
        """Give the stream's axes what those of the model have: one number each, or one before all and then one after all.

        `neutral`: of an axis that the model has not.
        """
        rank = len(self.sizes)
        sides = [numbers[start : start + rank] for start in range(0, len(numbers), rank)]
        return tuple(neutral if place is None else side[place] for side in sides for place in self.places)

    def adds(self, pads: Sequence[int]) -> bool:
        """Tell whether there is padding, before all axes and then after, along an axis that the stream has not."""
        return any(pads[axis] or pads[axis + len(self.sizes)] for axis in self.added)

    def check(self, label: str, sizes: Sequence[int], pads: Sequence[int] = ()) -> None:
        """Raise UnsupportedError naming the node where it makes a map of these sizes whose added axes are not of size one.

        `pads`: what it adds by itself; none is along such an axis, not even in place of the position there.
        """
        for axis in self.added:
            padded = any(pads[axis :: len(self.sizes)])
            if sizes[axis] != 1 or padded:
                what = "pads" if padded else f"makes {sizes[axis]} positions of"
                raise UnsupportedError(
                    f"{label}: {what} axis {axis + 2}, of size one, which was added to a map of {len(self.places)} spatial "
                    "axes; supported is what leaves the one position there, so give the map this axis from the input on (Conv2d "
                    "in place of Conv1d)"
                )


def axes_of(tensor: Tensor, stream: Stream) -> Axes | None:
    """Return the spatial axes of a tensor that is the stream's map in the model's (C, ...) order, None for any other."""
    own, given = stream.shape[:-1], tensor.index.shape[1:]
    if not 1 <= len(given) <= MOST_SPATIAL or len(tensor.index) != stream.channels:
        return None
    if [size for size in own if size > 1] != [size for size in given if size > 1]:
        return None
    if not np.array_equal(tensor.index, map_index(stream, given)):
        return None
    places: list[int | None] = [None] * len(own)
    for here, there in zip(_runs(own), _runs(given), strict=True):
        for axis, place in zip(here, there, strict=False):
            places[axis] = place
    return Axes(given, tuple(places))


def _runs(sizes: Sequence[int]) -> list[list[int]]:
    """List axes one by one, and all neighbours of size one together before and after them."""
    runs: list[list[int]] = [[]]
    for axis, size in enumerate(sizes):
        if size > 1:
            runs += [[axis], []]
        else:
            runs[-1].append(axis)
    return runs


def is_feature_map(tensor: Tensor, stream: Stream) -> bool:
    """Tell whether the tensor is the stream's map in the model's (C, ...) order, whatever axes of size one it has."""
    return axes_of(tensor, stream) is not None


def _is_shuffled(tensor: Tensor, stream: Stream) -> bool:
    """Tell whether the tensor is the stream's map with its channels in another order."""
    maps = channel_first(stream)
    if tensor.index.shape != maps.shape or tensor.index.ndim < 2:
        return False
    order = tensor.index.reshape(len(maps), -1)[:, 0]
    return bool((order < len(maps)).all()) and np.array_equal(tensor.index, maps[order])


def _is_unfolded(tensor: Tensor, stream: Stream) -> bool:
    """Tell whether the tensor is a map of more pixels than the stream has, made of its channels."""
    channels, *sizes = tensor.index.shape
    own = stream.shape[:-1]
    grown = len(sizes) == len(own) and all(size % one == 0 for size, one in zip(sizes, own, strict=True))
    return grown and tensor.index.size == stream.size and channels < stream.channels


def feature_axes(label: str, tensor: Tensor, stream: Stream, supported: str) -> Axes:
    """Return the axes of a map; raises UnsupportedError naming the node where it is none; `supported`: what may be there."""
    axes = axes_of(tensor, stream)
    if axes is None:
        if _is_shuffled(tensor, stream):
            raise UnsupportedError(f"{label}: {SHUFFLED}")
        if _is_unfolded(tensor, stream):
            raise UnsupportedError(f"{label}: {UNFOLDED}")
        raise UnsupportedError(
            f"{label}: its input is not a map in the order its stream has (shape {tensor.index.shape}); "
            f"supported are {supported}, not re-ordered before; axes of size one may come and go after that of the channels"
        )
    return axes


def is_channel_last(tensor: Tensor, stream: Stream) -> bool:
    """Tell whether the tensor is the stream's map in the stream's own order, as after a Transpose."""
    return tensor.index.ndim > 1 and np.array_equal(tensor.index, natural(stream))


def is_pixel_by_pixel(tensor: Tensor, stream: Stream) -> bool:
    """Tell whether the tensor holds the stream's pixels in order, channels last, whatever axes the pixels have."""
    last = tensor.index.ndim > 1 and tensor.index.shape[-1] == stream.channels
    return last and np.array_equal(tensor.index.reshape(-1), np.arange(stream.size))
